//! Operators: people who look and decide, by name, with a role, in their zones.
//!
//! A role says what its holder may do; zones say where, limits about which alerts and how exactly places are shown. What
//! each role may do is asked here and nowhere else, so that a table of roles can be read in one place.

use std::sync::Arc;

use pipeline::{Span, Time, ZoneId};

use super::limits::{Limits, Sight};
use super::token::{Holder, Tokens};

/// The longest block that an operator may give alone. Longer ones are a supervisor's.
pub const OPERATOR_BLOCK_MAX: Span = Span::from_secs(86_400);

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees alerts and devices, answers alerts, declares drills and postures, gives verdicts, notes appeals, blocks for
    /// [`OPERATOR_BLOCK_MAX`] at most, unblocks.
    Operator,
    /// The same without that limit, and sees whose a device is.
    Supervisor,
    /// Keeps the gateway running: counters, no alert, no device, no place.
    Sre,
    /// Sees alerts and devices and decides nothing.
    ReadOnly,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Supervisor, Self::Sre, Self::ReadOnly];

    /// The name that interfaces and tables use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Supervisor => "supervisor",
            Self::Sre => "sre",
            Self::ReadOnly => "read-only",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether alerts, devices and decisions of its zones are shown, places included.
    #[must_use]
    pub fn sees_alerts(self) -> bool {
        self != Self::Sre
    }

    /// Whether it is shown whose a device is.
    #[must_use]
    pub fn sees_owners(self) -> bool {
        self == Self::Supervisor
    }

    /// Whether its word counts: answers, verdicts, blocks, appeals, drills, postures.
    #[must_use]
    pub fn decides(self) -> bool {
        matches!(self, Self::Operator | Self::Supervisor)
    }

    /// The longest block that it may give; nothing: as long as the policy lets a person block.
    #[must_use]
    pub fn block_max(self) -> Option<Span> {
        (self != Self::Supervisor).then_some(OPERATOR_BLOCK_MAX)
    }
}

/// A person or program with a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// What they are called in every audit entry. Unique.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// Where they may do it, with everything below these zones.
    pub zones: Vec<ZoneId>,
    /// What they are shown there, and may act on.
    pub limits: Limits,
    /// When the token ends.
    pub expires_at: Time,
}

impl Operator {
    /// Whether they are shown whose a device is: their role must be one that is, and who sees places as cells is shown
    /// nobody.
    #[must_use]
    pub fn sees_owners(&self) -> bool {
        self.role.sees_owners() && self.limits.sight == Sight::Exact
    }
}

impl Holder for Operator {
    fn expires_at(&self) -> Time {
        self.expires_at
    }
}

/// Every operator.
pub type Operators = Tokens<Operator>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_just_this() {
        let may = |role: Role| {
            (role.sees_alerts(), role.sees_owners(), role.decides(), role.block_max().is_none())
        };
        assert_eq!(may(Role::Operator), (true, false, true, false));
        assert_eq!(may(Role::Supervisor), (true, true, true, true));
        assert_eq!(may(Role::Sre), (false, false, false, false));
        assert_eq!(may(Role::ReadOnly), (true, false, false, false));
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
        assert_eq!(Role::from_name("root"), None);
    }
}
