//! What a token is limited to, beside zones: which services it reads for, which categories, and how exact places are.

use pipeline::Agencies;
use protocol::Category;

/// How exactly places are shown. It is a property of the token: no query asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sight {
    /// As they were sent, with what the sender wrote.
    #[default]
    Exact,
    /// As a cell of a hundredth of a degree, without anybody's words.
    Coarse,
}

impl Sight {
    /// The name that metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Coarse => "coarse",
        }
    }
}

/// A set of categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Categories(u16);

/// The limits of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Alerts that one of these answers.
    pub agencies: Agencies,
    /// Alerts of these categories.
    pub categories: Categories,
    /// How exactly places are shown.
    pub sight: Sight,
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

impl Limits {
    /// Whether an alert of this category that these agencies answer is within the limits. A token without limits sees
    /// also what no agency was found for. What states no category may be about any: it is let through rather than lost.
    #[must_use]
    pub fn admit(&self, agencies: Agencies, category: Option<Category>) -> bool {
        (self.agencies == Agencies::ALL || self.agencies.meets(agencies))
            && category.is_none_or(|category| self.categories.contains(category))
    }
}

impl Default for Limits {
    /// None.
    fn default() -> Self {
        Self { agencies: Agencies::ALL, categories: Categories::ALL, sight: Sight::Exact }
    }
}

#[cfg(test)]
mod tests {
    use pipeline::Agency;

    use super::*;

    #[test]
    fn limits_admit_what_both_name_and_no_limits_admit_everything() {
        let fire = Agencies::NONE.with(Agency::Fire);
        let limits = Limits {
            agencies: fire.with(Agency::Medical),
            categories: [Category::Fire, Category::Unspecified].into_iter().collect(),
            ..Limits::default()
        };
        assert!(limits.admit(fire, Some(Category::Fire)));
        assert!(!limits.admit(fire, Some(Category::Crime)));
        assert!(!limits.admit(Agencies::NONE.with(Agency::Police), Some(Category::Fire)));
        assert!(!limits.admit(Agencies::NONE, Some(Category::Fire)));
        assert!(limits.admit(fire, None));
        for category in Category::ALL {
            assert!(Limits::default().admit(Agencies::NONE, Some(category)), "{category:?}");
        }
        assert_eq!(Category::ALL.into_iter().collect::<Categories>(), Categories::ALL);
    }
}
