//! Who answers: the services that an alert is put before.

use core::fmt;

use crate::record::stored;

/// A service that answers alerts. The numbers are the journal's and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Agency {
    /// Police.
    Police = 1,
    /// Fire service and rescue.
    Fire = 2,
    /// Ambulances and hospitals.
    Medical = 3,
    /// Disaster management.
    Disaster = 4,
    /// Counter-terrorism and bomb disposal.
    CounterTerrorism = 5,
}

stored!(Agency {
    Police = "police",
    Fire = "fire",
    Medical = "medical",
    Disaster = "disaster",
    CounterTerrorism = "counter_terrorism",
});

/// A set of agencies.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Agencies(u8);

impl Agencies {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Every one.
    pub const ALL: Self = Self(0b1_1111);

    /// This set and `agency`.
    #[must_use]
    pub const fn with(self, agency: Agency) -> Self {
        Self(self.0 | 1 << (agency as u8 - 1))
    }

    /// Whether `agency` is in the set.
    #[must_use]
    pub fn contains(self, agency: Agency) -> bool {
        self.0 & Self::NONE.with(agency).0 != 0
    }

    /// Whether any agency is in both sets.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The agencies in the set, in order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Agency> {
        Agency::ALL.iter().copied().filter(move |agency| self.contains(*agency))
    }

    /// The set as the journal stores it.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The set that is stored as `bits`; nothing if there is an agency in it that is not known.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits & !Self::ALL.0 == 0).then_some(Self(bits))
    }
}

impl FromIterator<Agency> for Agencies {
    fn from_iter<I: IntoIterator<Item = Agency>>(agencies: I) -> Self {
        agencies.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Agencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_just_what_was_put_in_and_reads_back() {
        let both: Agencies = [Agency::Fire, Agency::CounterTerrorism].into_iter().collect();
        assert_eq!(both.iter().collect::<Vec<_>>(), [Agency::Fire, Agency::CounterTerrorism]);
        assert!(both.meets(Agencies::ALL) && !both.meets(Agencies::NONE.with(Agency::Police)));
        assert_eq!(Agencies::from_bits(both.bits()), Some(both));
        assert_eq!(Agencies::from_bits(0b10_0000), None);
        assert_eq!(Agency::ALL.iter().copied().collect::<Agencies>(), Agencies::ALL);
    }
}
