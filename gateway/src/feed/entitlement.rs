//! Which zones a subscriber may see.
//!
//! It is given the zones that a token names and the tree of zones, and answers for the zone of one event. A token for a
//! zone covers all zones below it; one for the root covers everything, also events of zones that are no longer drawn.

use std::collections::HashSet;

use pipeline::{ZoneId, Zones};

/// The zones of one subscriber, in one version of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entitlement {
    /// The root: every event.
    Everything,
    /// Events of these zones.
    Zones(HashSet<ZoneId>),
}

impl Entitlement {
    /// What a token for `granted` zones may see.
    pub(crate) fn new(granted: &[ZoneId], zones: &Zones) -> Self {
        let known: Vec<_> = granted.iter().filter_map(|id| zones.find(id.as_str())).collect();
        if known.contains(&zones.root()) {
            return Self::Everything;
        }
        let below = zones
            .iter()
            .filter(|(index, _)| known.iter().any(|granted| zones.is_within(*index, *granted)))
            .map(|(_, zone)| zone.id.clone());
        // A zone that is no longer drawn still names the events that were routed to it.
        Self::Zones(granted.iter().cloned().chain(below).collect())
    }

    /// Whether events of `zone` may be seen.
    pub(crate) fn allows(&self, zone: &ZoneId) -> bool {
        match self {
            Self::Everything => true,
            Self::Zones(zones) => zones.contains(zone),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feed::testing::town;

    /// The zones of [`town`], each with those above it.
    const ABOVE: [(&str, &[&str]); 5] = [
        ("town", &[]),
        ("west", &["town"]),
        ("west-1", &["west", "town"]),
        ("west-2", &["west", "town"]),
        ("east", &["town"]),
    ];

    proptest! {
        #[test]
        fn covers_what_was_granted_and_what_lies_below_it_and_nothing_else(
            granted in prop::sample::subsequence(ABOVE.map(|(id, _)| id).to_vec(), 1..5),
        ) {
            let ids: Vec<ZoneId> = granted.iter().copied().map(ZoneId::new).collect();
            let entitlement = Entitlement::new(&ids, &town());
            for (id, above) in ABOVE {
                let expected = granted.contains(&id) || above.iter().any(|id| granted.contains(id));
                prop_assert_eq!(entitlement.allows(&ZoneId::new(id)), expected, "{}", id);
            }
        }
    }

    #[test]
    fn zone_that_is_no_longer_drawn_is_for_the_root_and_for_its_own_token() {
        let gone = ZoneId::new("north");
        let allows = |granted| Entitlement::new(&[ZoneId::new(granted)], &town()).allows(&gone);
        assert!(allows("town"));
        assert!(allows("north"));
        assert!(!allows("west"));
    }
}
