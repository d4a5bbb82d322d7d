//! Which alerts a device had lately: what rules of the form "so many within such a time" count.
//!
//! An event is forgotten when it is older than the longest window, or when there are more than the table holds; a full
//! table counts less.

use std::collections::{BTreeMap, VecDeque};

use protocol::AlertId;

use crate::{DeviceIndex, EVIDENCE_MAX, Span, Time};

#[derive(Debug, Default)]
pub(crate) struct Recent {
    by_device: BTreeMap<DeviceIndex, VecDeque<(Time, AlertId)>>,
    /// Whose each event was, oldest first: the front of that device's own queue.
    order: VecDeque<DeviceIndex>,
}

impl Recent {
    /// One more, unless it is the one that the device had last.
    pub(crate) fn note(&mut self, device: DeviceIndex, alert: AlertId, at: Time, len_max: usize) {
        let events = self.by_device.entry(device).or_default();
        if events.back().is_some_and(|(_, last)| *last == alert) {
            return;
        }
        events.push_back((at, alert));
        self.order.push_back(device);
        while self.order.len() > len_max.max(1) {
            self.pop();
        }
    }

    /// Whether the device has had so many within `window` before `at`.
    pub(crate) fn reaches(&self, device: DeviceIndex, count: u16, window: Span, at: Time) -> bool {
        let events = self.by_device.get(&device);
        let nth_back = |events: &VecDeque<(Time, AlertId)>| {
            events.len().checked_sub(count.into()).and_then(|place| events.get(place)).copied()
        };
        events.and_then(nth_back).is_some_and(|(first, _)| at.since(first) < window)
    }

    /// The device's newest alerts, newest first.
    pub(crate) fn evidence(&self, device: DeviceIndex) -> Vec<AlertId> {
        let events = self.by_device.get(&device).into_iter().flatten();
        events.rev().take(EVIDENCE_MAX).map(|(_, alert)| *alert).collect()
    }

    /// Forgets what is older than `window`, and what a clock that was set back left ahead.
    pub(crate) fn forget(&mut self, now: Time, window: Span) {
        while let Some(device) = self.order.front() {
            let oldest = self.by_device.get(device).and_then(VecDeque::front);
            if oldest.is_some_and(|(at, _)| now.apart(*at) < window) {
                break;
            }
            self.pop();
        }
    }

    /// Events in all.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    fn pop(&mut self) {
        let Some(device) = self.order.pop_front() else { return };
        let Some(events) = self.by_device.get_mut(&device) else { return };
        events.pop_front();
        if events.is_empty() {
            self.by_device.remove(&device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceIndex = DeviceIndex(1);

    fn alert(n: u8) -> AlertId {
        AlertId([n; 16])
    }

    #[test]
    fn so_many_within_a_time_are_found_at_its_edge() {
        let mut recent = Recent::default();
        for n in 0..3 {
            recent.note(DEVICE, alert(n), Time(u64::from(n) * 10), 100);
        }
        recent.note(DEVICE, alert(2), Time(25), 100);
        assert!(recent.reaches(DEVICE, 3, Span(31), Time(30)));
        assert!(!recent.reaches(DEVICE, 3, Span(30), Time(30)));
        assert!(!recent.reaches(DEVICE, 4, Span(1_000), Time(30)), "one alert counts once");
        assert_eq!(recent.evidence(DEVICE), [alert(2), alert(1), alert(0)]);
        assert!(!recent.reaches(DeviceIndex(9), 1, Span(1_000), Time(30)));
    }

    #[test]
    fn forgets_by_age_and_by_number_and_leaves_nothing_behind() {
        let mut recent = Recent::default();
        for n in 0..200 {
            recent.note(DeviceIndex(u32::from(n) % 5), alert(n), Time(n.into()), 50);
        }
        assert_eq!(recent.len(), 50);
        recent.forget(Time(199), Span(10));
        assert_eq!(recent.len(), 10);
        recent.forget(Time(9_999), Span(10));
        assert_eq!((recent.len(), recent.by_device.len()), (0, 0));
    }
}
