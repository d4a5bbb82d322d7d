//! How each device stands, and whose block ends next.
//!
//! Most devices have nothing held against them and cost one pointer; the others one small allocation. What a device's
//! standing comes to at a moment follows from its times alone, so nothing has to happen when a block ends for its next
//! press to pass; that the end is journaled is for those who read.

use std::collections::BTreeMap;

use protocol::DeviceId;

use crate::{DeviceIndex, Grade, Standing, Strike, Time};

#[derive(Debug, Default)]
pub(crate) struct Standings {
    /// By device index.
    kept: Vec<Option<Box<Kept>>>,
    len: usize,
    /// Blocks that last, by their end.
    blocks: BTreeMap<(Time, DeviceIndex), DeviceId>,
}

/// A [`Standing`] in 48 bytes; time 0 stands for none.
#[derive(Debug)]
struct Kept {
    strikes: Box<[Strike]>,
    blocked_at: Time,
    blocked_until: Time,
    probation_until: Time,
    blocks: u8,
    blocked_by_rule: bool,
}

impl Standings {
    /// How the device stands.
    pub(crate) fn get(&self, device: DeviceIndex) -> Standing {
        self.kept(device).map_or_else(Standing::default, Kept::standing)
    }

    /// How the device stands at `now`, and until when.
    pub(crate) fn grade(&self, device: DeviceIndex, now: Time) -> (Grade, Time) {
        match self.kept(device) {
            Some(kept) if kept.blocked_until > now => (Grade::Blocked, kept.blocked_until),
            Some(kept) if kept.probation_until > now => (Grade::Probation, kept.probation_until),
            _ => (Grade::Good, Time(0)),
        }
    }

    /// From here on the device stands so.
    pub(crate) fn set(&mut self, device: DeviceIndex, id: DeviceId, standing: &Standing) {
        let place = device.slot();
        if place >= self.kept.len() {
            self.kept.resize_with(place + 1, || None);
        }
        let Some(kept) = self.kept.get_mut(place) else { return };
        if let Some(old) = kept.take() {
            self.blocks.remove(&(old.blocked_until, device));
            self.len -= 1;
        }
        if *standing == Standing::default() {
            return;
        }
        if let Some(until) = standing.blocked_until {
            self.blocks.insert((until, device), id);
        }
        *kept = Some(Box::new(Kept::of(standing)));
        self.len += 1;
    }

    /// The block that ends first: when, and whose it is.
    pub(crate) fn next_end(&self) -> Option<(Time, DeviceIndex, DeviceId)> {
        self.blocks.first_key_value().map(|((until, index), device)| (*until, *index, *device))
    }

    /// Devices with something held against them.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Blocks that last.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn kept(&self, device: DeviceIndex) -> Option<&Kept> {
        self.kept.get(device.slot())?.as_deref()
    }
}

impl Kept {
    fn of(standing: &Standing) -> Self {
        Self {
            strikes: standing.strikes.as_slice().into(),
            blocked_at: standing.blocked_at.unwrap_or_default(),
            blocked_until: standing.blocked_until.unwrap_or_default(),
            probation_until: standing.probation_until.unwrap_or_default(),
            blocks: standing.blocks,
            blocked_by_rule: standing.blocked_by_rule,
        }
    }

    fn standing(&self) -> Standing {
        let set = |time: Time| (time > Time(0)).then_some(time);
        Standing {
            strikes: self.strikes.to_vec(),
            blocks: self.blocks,
            blocked_at: set(self.blocked_at),
            blocked_until: set(self.blocked_until),
            blocked_by_rule: self.blocked_by_rule,
            probation_until: set(self.probation_until),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::AlertId;

    use super::*;

    const DEVICE: DeviceIndex = DeviceIndex(4);
    const ID: DeviceId = DeviceId([4; 16]);

    fn blocked(until: u64) -> Standing {
        Standing {
            strikes: vec![Strike { at: Time(5), alert: AlertId([1; 16]) }],
            blocks: 1,
            blocked_at: Time(6).into(),
            blocked_until: Time(until).into(),
            blocked_by_rule: true,
            probation_until: Time(90).into(),
        }
    }

    #[test]
    fn what_is_set_is_got_back() {
        let mut standings = Standings::default();
        assert_eq!(standings.get(DEVICE), Standing::default());
        standings.set(DEVICE, ID, &blocked(50));
        assert_eq!(standings.get(DEVICE), blocked(50));
        assert_eq!((standings.len(), standings.blocks()), (1, 1));
        assert_eq!(standings.next_end(), Some((Time(50), DEVICE, ID)));
        standings.set(DEVICE, ID, &blocked(60));
        assert_eq!((standings.len(), standings.blocks()), (1, 1), "replaced, not added");
        standings.set(DEVICE, ID, &Standing::default());
        assert_eq!((standings.len(), standings.blocks()), (0, 0));
        assert_eq!(standings.next_end(), None);
    }

    #[test]
    fn grade_follows_from_the_times_alone() {
        let mut standings = Standings::default();
        standings.set(DEVICE, ID, &blocked(50));
        let grades = [0, 49, 50, 89, 90].map(|now| standings.grade(DEVICE, Time(now)).0);
        let expected =
            [Grade::Blocked, Grade::Blocked, Grade::Probation, Grade::Probation, Grade::Good];
        assert_eq!(grades, expected);
        assert_eq!(standings.grade(DeviceIndex(9), Time(0)).0, Grade::Good);
    }

    #[test]
    fn a_device_costs_a_pointer_and_a_small_allocation() {
        assert_eq!(size_of::<Option<Box<Kept>>>(), 8);
        assert_eq!(size_of::<Kept>(), 48);
        assert_eq!(size_of::<Strike>(), 24);
    }
}
