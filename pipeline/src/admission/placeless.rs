//! Presses that were raised without a place and may get one by an update: then they count as if they had had it.
//!
//! Of each device the newest few wait, so that one device does not push out the others; in all the oldest are forgotten.
//! Like everything here it is a fold over the journal: what is on an update's line alone decides whether it counts.

use std::collections::{BTreeMap, VecDeque};

use protocol::AlertId;

use super::nearby::Raiser;
use crate::{Cursor, DeviceIndex, Span, Time};

/// Presses of one device. Whoever presses again and again updates one of the last.
const DEVICE_MAX: usize = 4;

/// Presses, each with what is needed once it has a place.
#[derive(Debug)]
pub(crate) struct Placeless<T> {
    waiting: BTreeMap<(DeviceIndex, Cursor), (Raiser, T)>,
    /// When each began to wait, oldest first; some wait no longer.
    order: VecDeque<(Time, DeviceIndex, Cursor)>,
}

impl<T> Default for Placeless<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<T> Placeless<T> {
    /// The press at `cursor` waits for a place.
    pub(crate) fn wait(&mut self, cursor: Cursor, raiser: Raiser, needed: T, len_max: usize) {
        let device = raiser.device;
        let own = self.of(device);
        if let Some(oldest) = own.first().filter(|_| own.len() >= DEVICE_MAX) {
            self.waiting.remove(oldest);
        }
        self.order.push_back((raiser.at, device, cursor));
        self.waiting.insert((device, cursor), (raiser, needed));
        while self.order.len() > len_max.max(1) {
            let Some((_, device, cursor)) = self.order.pop_front() else { break };
            self.waiting.remove(&(device, cursor));
        }
    }

    /// The press `alert` of the device has a place, and waits no longer.
    pub(crate) fn take(&mut self, device: DeviceIndex, alert: AlertId) -> Option<(Raiser, T)> {
        let own = self.of(device);
        let is_meant = |(raiser, _): &(Raiser, T)| raiser.alert == alert;
        let key = own.iter().find(|key| self.waiting.get(key).is_some_and(is_meant))?;
        self.waiting.remove(key)
    }

    /// The press at `cursor` need not wait.
    pub(crate) fn remove(&mut self, device: DeviceIndex, cursor: Cursor) {
        self.waiting.remove(&(device, cursor));
    }

    /// No press of the device need wait.
    pub(crate) fn clear(&mut self, device: DeviceIndex) {
        for key in self.of(device) {
            self.waiting.remove(&key);
        }
    }

    /// Forgets what is too old for a place to matter, and what a clock that was set back left ahead.
    pub(crate) fn forget(&mut self, now: Time, window: Span) {
        while let Some((at, device, cursor)) = self.order.front().copied() {
            if now.apart(at) <= window {
                break;
            }
            self.order.pop_front();
            self.waiting.remove(&(device, cursor));
        }
    }

    /// Presses that wait, some of them no longer.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The device's presses, oldest first: a few at most.
    fn of(&self, device: DeviceIndex) -> Vec<(DeviceIndex, Cursor)> {
        let own = self.waiting.range((device, Cursor(0))..=(device, Cursor(u64::MAX)));
        own.map(|(key, _)| *key).collect()
    }
}
