//! Which alerts somebody is shown and may act on, beside where: those of some agencies, and of some categories.

use protocol::Category;

use super::Agencies;

/// A set of categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Categories(u16);

/// The alerts that somebody is shown and may act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Alerts that one of these answers.
    pub agencies: Agencies,
    /// Alerts of these categories.
    pub categories: Categories,
}

impl Categories {
    /// Every category.
    pub const ALL: Self = Self((1 << Category::ALL.len()) - 1);

    /// Whether `category` is in the set.
    #[must_use]
    pub fn contains(self, category: Category) -> bool {
        self.0 & 1 << category as u16 != 0
    }

    /// The categories in the set, in order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Category> {
        Category::ALL.into_iter().filter(move |category| self.contains(*category))
    }
}

impl FromIterator<Category> for Categories {
    fn from_iter<I: IntoIterator<Item = Category>>(categories: I) -> Self {
        Self(categories.into_iter().fold(0, |bits, category| bits | 1 << category as u16))
    }
}

impl Scope {
    /// Every alert.
    pub const ALL: Self = Self { agencies: Agencies::ALL, categories: Categories::ALL };

    /// Whether an alert of this category that these agencies answer is in scope. Without limits that is also what no
    /// agency was found for. What states no category may be about any: it is let through rather than lost.
    #[must_use]
    pub fn admits(self, agencies: Agencies, category: Option<Category>) -> bool {
        (self.agencies == Agencies::ALL || self.agencies.meets(agencies))
            && category.is_none_or(|category| self.categories.contains(category))
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Agency;

    #[test]
    fn scope_admits_what_both_name_and_everything_without_limits() {
        let fire = Agencies::NONE.with(Agency::Fire);
        let scope = Scope {
            agencies: fire.with(Agency::Medical),
            categories: [Category::Fire, Category::Unspecified].into_iter().collect(),
        };
        assert!(scope.admits(fire, Some(Category::Fire)));
        assert!(!scope.admits(fire, Some(Category::Crime)));
        assert!(!scope.admits(Agencies::NONE.with(Agency::Police), Some(Category::Fire)));
        assert!(!scope.admits(Agencies::NONE, Some(Category::Fire)));
        assert!(scope.admits(fire, None));
        for category in Category::ALL {
            assert!(Scope::ALL.admits(Agencies::NONE, Some(category)), "{category:?}");
        }
        assert_eq!(Category::ALL.into_iter().collect::<Categories>(), Categories::ALL);
    }
}
