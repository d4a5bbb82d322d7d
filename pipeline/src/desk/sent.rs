//! What each device has sent, by its own counters.
//!
//! Counters never say what a message is, only where it stands. They answer two questions: whether nothing higher was
//! ever journaled, in which case no copy can be and no look-up is needed; and whether an update or heartbeat is older
//! than what is known, by a window of 64. A raise that does not fit (a reset or restored device) restarts the window,
//! so that the device's later updates are ordered by where it stands, while the highest counters stay for the first
//! question. 24 bytes a device.

use protocol::Counters;

use crate::DeviceIndex;

/// Sequences behind the newest that are still told apart, as bits of a word.
const WINDOW: u64 = 64;

/// Where a message stands among those of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Above everything that the device ever sent: no copy of it can be journaled.
    Ahead,
    /// Not above everything, but not seen in the window either: messages crossed, or the device was reset.
    Gap,
    /// Seen already, or behind the window.
    Past,
}

#[derive(Debug, Default)]
pub(super) struct Sent {
    devices: Vec<Device>,
}

/// Counters packed into one number, boot above sequence.
#[derive(Debug, Clone, Copy, Default)]
struct Device {
    /// The highest counters ever, plus one; 0 if there are none. At its maximum nothing is above it any more.
    above_highest: u64,
    /// The newest counters by which updates are ordered.
    newest: u64,
    /// Bit n: `newest - n` was seen. 0 while the window is unknown.
    seen: u64,
}

impl Sent {
    /// Where `counters` stand among what the device has sent.
    pub(super) fn order(&self, device: DeviceIndex, counters: Counters) -> Order {
        let packed = pack(counters);
        let Some(known) = self.devices.get(device.slot()) else { return Order::Ahead };
        if packed >= known.above_highest && known.above_highest < u64::MAX {
            Order::Ahead
        } else if known.seen == 0 || packed > known.newest || known.is_gap(packed) {
            Order::Gap
        } else {
            Order::Past
        }
    }

    /// Notes a message that was journaled. What stands behind the window leaves no trace.
    pub(super) fn advance(&mut self, device: DeviceIndex, counters: Counters) {
        let packed = pack(counters);
        let device = self.device(device);
        if device.seen == 0 {
            (device.newest, device.seen) = (packed, 1);
        } else if packed > device.newest {
            let step = packed - device.newest;
            device.seen = u32::try_from(step)
                .map_or(0, |step| device.seen.checked_shl(step).unwrap_or(0))
                | 1;
            device.newest = packed;
        } else if let Some(bit) = device.bit(packed) {
            device.seen |= bit;
        }
        device.above_highest = device.above_highest.max(packed.saturating_add(1));
    }

    /// Notes a raise that was journaled: where it stands behind the window, the window starts anew at it.
    pub(super) fn restart(&mut self, device: DeviceIndex, counters: Counters) {
        if self.order(device, counters) == Order::Past {
            let known = self.device(device);
            (known.newest, known.seen) = (pack(counters), 1);
        }
        self.advance(device, counters);
    }

    /// Notes the highest counters that the index knows. It does not know the window.
    pub(super) fn count(&mut self, device: DeviceIndex, highest: Counters) {
        let above = pack(highest).saturating_add(1);
        let device = self.device(device);
        device.above_highest = device.above_highest.max(above);
    }

    fn device(&mut self, device: DeviceIndex) -> &mut Device {
        let slot = device.slot();
        if slot >= self.devices.len() {
            self.devices.resize(slot + 1, Device::default());
        }
        // The slot was just made.
        #[expect(clippy::indexing_slicing, reason = "the line above makes the slot")]
        &mut self.devices[slot]
    }
}

impl Device {
    fn is_gap(&self, packed: u64) -> bool {
        self.bit(packed).is_some_and(|bit| self.seen & bit == 0)
    }

    /// The window's bit for counters at or below the newest; nothing behind the window or in another boot.
    fn bit(&self, packed: u64) -> Option<u64> {
        let same_boot = packed >> 32 == self.newest >> 32;
        let back = self.newest.checked_sub(packed)?;
        (same_boot && back < WINDOW).then(|| 1 << back)
    }
}

fn pack(counters: Counters) -> u64 {
    u64::from(counters.boot.0) << 32 | u64::from(counters.sequence.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceIndex = DeviceIndex(3);

    fn at(boot: u32, sequence: u32) -> Counters {
        Counters::new(boot, sequence)
    }

    #[test]
    fn a_device_that_sent_nothing_is_ahead() {
        assert_eq!(Sent::default().order(DEVICE, at(0, 0)), Order::Ahead);
    }

    #[test]
    fn window_tells_seen_from_crossed_and_old() {
        let mut sent = Sent::default();
        sent.advance(DEVICE, at(1, 100));
        assert_eq!(sent.order(DEVICE, at(1, 100)), Order::Past);
        assert_eq!(sent.order(DEVICE, at(1, 99)), Order::Gap);
        assert_eq!(sent.order(DEVICE, at(1, 37)), Order::Gap);
        assert_eq!(sent.order(DEVICE, at(1, 36)), Order::Past);
        assert_eq!(sent.order(DEVICE, at(0, u32::MAX)), Order::Past);
        sent.advance(DEVICE, at(1, 99));
        assert_eq!(sent.order(DEVICE, at(1, 99)), Order::Past);
        assert_eq!(sent.order(DEVICE, at(2, 0)), Order::Ahead);
        sent.advance(DEVICE, at(1, 101));
        assert_eq!(sent.order(DEVICE, at(1, 99)), Order::Past, "moves with the window");
        assert_eq!(sent.order(DEVICE, at(1, 98)), Order::Gap);
    }

    #[test]
    fn raise_behind_the_window_restarts_it_without_lowering_the_highest() {
        let mut sent = Sent::default();
        sent.advance(DEVICE, at(9, 9));
        sent.restart(DEVICE, at(1, 0));
        assert_eq!(sent.order(DEVICE, at(1, 0)), Order::Past);
        assert_eq!(sent.order(DEVICE, at(1, 1)), Order::Gap, "fresh, yet a copy may be journaled");
        assert_eq!(sent.order(DEVICE, at(9, 10)), Order::Ahead);
    }

    #[test]
    fn highest_from_the_index_leaves_the_window_open() {
        let mut sent = Sent::default();
        sent.count(DEVICE, at(5, 5));
        assert_eq!(sent.order(DEVICE, at(5, 6)), Order::Ahead);
        assert_eq!(sent.order(DEVICE, at(1, 1)), Order::Gap);
        sent.advance(DEVICE, at(u32::MAX, u32::MAX));
        assert_eq!(sent.order(DEVICE, at(u32::MAX, u32::MAX)), Order::Past);
    }
}
