//! What a token is limited to, beside zones: which services it reads for, which categories, and how exact places are.

use pipeline::{Agencies, Categories, Scope};

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

impl Limits {
    /// None but where the token is for.
    pub const NONE: Self =
        Self { agencies: Agencies::ALL, categories: Categories::ALL, sight: Sight::Exact };

    /// The alerts that are shown, and may be acted on.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { agencies: self.agencies, categories: self.categories }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::NONE
    }
}
