//! What zones are prepared for: drills and postures, as operators last set them. One entry a zone.

use std::collections::BTreeMap;

use crate::{Posture, Time, ZoneId, ZoneIndex, Zones};

#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// When the last drill of a zone ends or ended.
    drills: BTreeMap<ZoneId, Time>,
    postures: BTreeMap<ZoneId, Posture>,
}

impl Prepared {
    /// Sets what is named.
    pub(super) fn set(&mut self, zone: &ZoneId, drill: Option<Time>, posture: Option<Posture>) {
        if let Some(until) = drill {
            self.drills.insert(zone.clone(), until);
        }
        if let Some(posture) = posture {
            self.postures.insert(zone.clone(), posture);
        }
    }

    /// Whether a drill is on at `at` in `zone` or above it.
    pub(super) fn is_drill(&self, zones: &Zones, zone: ZoneIndex, at: Time) -> bool {
        !self.drills.is_empty()
            && upwards(zones, zone).any(|id| self.drills.get(id).is_some_and(|until| *until > at))
    }

    /// The posture of `zone`, or of the nearest above that has one set.
    pub(super) fn posture(&self, zones: &Zones, zone: ZoneIndex) -> Posture {
        if self.postures.is_empty() {
            return Posture::default();
        }
        let posture = upwards(zones, zone).find_map(|id| self.postures.get(id));
        posture.copied().unwrap_or_default()
    }
}

fn upwards(zones: &Zones, zone: ZoneIndex) -> impl Iterator<Item = &ZoneId> {
    zones.upwards(zone).filter_map(|zone| zones.get(zone)).map(|zone| &zone.id)
}
