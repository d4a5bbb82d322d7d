//! Presses that were raised without a place and may get one by an update: then they count as if they had had it.
//!
//! Of each device the newest few wait, so that one device does not push out the others; in all the oldest are forgotten.
//! Like everything here it is a fold over the journal: what is on an update's line alone decides whether it counts.

use std::collections::{BTreeMap, BTreeSet};

use protocol::AlertId;

use super::nearby::Raiser;
use crate::{Cursor, DeviceIndex, Span, Time};

/// Presses of one device. Whoever presses again and again updates one of the last.
const DEVICE_MAX: usize = 4;

/// Presses, each with what is needed once it has a place.
#[derive(Debug)]
pub(crate) struct Placeless<T> {
    waiting: BTreeMap<(DeviceIndex, Cursor), (Raiser, T)>,
    /// The same, in order of the journal.
    order: BTreeSet<(Cursor, DeviceIndex)>,
}

impl<T> Default for Placeless<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<T> Placeless<T> {
    /// The press at `cursor` waits for a place.
    pub(crate) fn wait(&mut self, cursor: Cursor, raiser: Raiser, needed: T, len_max: usize) {
        let device = raiser.device;
        if self.of(device).count() >= DEVICE_MAX
            && let Some(oldest) = self.oldest(device)
        {
            self.remove(device, oldest);
        }
        self.order.insert((cursor, device));
        self.waiting.insert((device, cursor), (raiser, needed));
        while self.order.len() > len_max.max(1) {
            let Some((cursor, device)) = self.order.first().copied() else { break };
            self.remove(device, cursor);
        }
    }

    /// The press `alert` of the device has a place, and waits no longer.
    pub(crate) fn take(&mut self, device: DeviceIndex, alert: AlertId) -> Option<(Raiser, T)> {
        let (cursor, _) = self.of(device).find(|(_, raiser)| raiser.alert == alert)?;
        self.remove(device, cursor)
    }

    /// The press at `cursor` need not wait.
    pub(crate) fn remove(&mut self, device: DeviceIndex, cursor: Cursor) -> Option<(Raiser, T)> {
        self.order.remove(&(cursor, device));
        self.waiting.remove(&(device, cursor))
    }

    /// No press of the device need wait.
    pub(crate) fn clear(&mut self, device: DeviceIndex) {
        while let Some(oldest) = self.oldest(device) {
            self.remove(device, oldest);
        }
    }

    /// Forgets what is too old for a place to matter, and what a clock that was set back left ahead.
    pub(crate) fn forget(&mut self, now: Time, window: Span) {
        while let Some((cursor, device)) = self.order.first().copied() {
            let raised = self.waiting.get(&(device, cursor));
            if raised.is_some_and(|(raiser, _)| now.apart(raiser.at) <= window) {
                break;
            }
            self.remove(device, cursor);
        }
    }

    /// Presses that wait.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    fn oldest(&self, device: DeviceIndex) -> Option<Cursor> {
        self.of(device).next().map(|(cursor, _)| cursor)
    }

    /// The device's presses, oldest first: a few at most.
    fn of(&self, device: DeviceIndex) -> impl Iterator<Item = (Cursor, &Raiser)> {
        let own = self.waiting.range((device, Cursor(0))..=(device, Cursor(u64::MAX)));
        own.map(|((_, cursor), (raiser, _))| (*cursor, raiser))
    }
}
