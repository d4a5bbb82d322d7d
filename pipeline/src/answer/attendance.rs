//! Where somebody listens: the zones that have subscribers of their own connected, and since when the others have none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Time, ZoneId};

#[derive(Debug, Default)]
pub(super) struct Attendance {
    /// Nothing: that is not known, and every zone is taken for attended.
    listening: Option<Arc<BTreeSet<ZoneId>>>,
    /// When it became known. Whoever has not come since may have been there before.
    known_from: Time,
    /// When the last subscriber left, of zones that had one. No more than there are zones with subscribers.
    left: BTreeMap<ZoneId, Time>,
}

impl Attendance {
    /// These zones have subscribers from `now` on; whether that is anything else than before.
    pub(super) fn set(&mut self, listening: Option<Arc<BTreeSet<ZoneId>>>, now: Time) -> bool {
        if self.listening == listening {
            return false;
        }
        match (&self.listening, &listening) {
            (Some(before), Some(after)) => {
                for gone in before.difference(after) {
                    self.left.insert(gone.clone(), now);
                }
                self.left.retain(|zone, _| !after.contains(zone));
            }
            _ => {
                self.left.clear();
                self.known_from = now;
            }
        }
        self.listening = listening;
        true
    }

    /// Whether somebody listens in `zone`.
    pub(super) fn listens(&self, zone: &ZoneId) -> bool {
        self.listening.as_ref().is_none_or(|listening| listening.contains(zone))
    }

    /// Since when nobody listens in `zone`; nothing while somebody does.
    pub(super) fn left(&self, zone: &ZoneId) -> Option<Time> {
        (!self.listens(zone)).then(|| self.left.get(zone).copied().unwrap_or(self.known_from))
    }

    /// The clock was set back to `now`: nothing has happened later.
    pub(super) fn set_back(&mut self, now: Time) {
        self.known_from = self.known_from.min(now);
        self.left.values_mut().for_each(|left| *left = (*left).min(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(ids: &[&str]) -> Option<Arc<BTreeSet<ZoneId>>> {
        Some(Arc::new(ids.iter().map(|id| ZoneId::new(id)).collect()))
    }

    #[test]
    fn a_zone_is_unattended_from_when_its_last_subscriber_left() {
        let (east, west) = (ZoneId::new("east"), ZoneId::new("west"));
        let mut attendance = Attendance::default();
        assert_eq!(attendance.left(&east), None, "not known");
        assert!(attendance.set(zones(&["east"]), Time(10)));
        assert!(!attendance.set(zones(&["east"]), Time(20)), "nothing else");
        assert_eq!(attendance.left(&east), None);
        assert_eq!(attendance.left(&west), Some(Time(10)), "since it is known");
        attendance.set(zones(&["west"]), Time(30));
        assert_eq!(attendance.left(&east), Some(Time(30)));
        attendance.set_back(Time(5));
        assert_eq!(attendance.left(&east), Some(Time(5)));
        attendance.set(zones(&["east"]), Time(40));
        assert_eq!(attendance.left(&east), None);
        attendance.set(None, Time(50));
        assert!(attendance.listens(&west));
    }
}
