//! What shards may know of a device's standing: one word each, written by the desk's thread, read by every shard.
//!
//! A hint chooses a lane and nothing else, so it may be late and nobody waits for it: words are written and read one by
//! one, without an order among them. The table grows with the registry, in segments that never move.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use pipeline::{DeviceIndex, Hint, Span, Time};

/// Devices in one segment: 128 KiB.
const SEGMENT_LEN: usize = 1 << 14;
/// Segments at most: 64 million devices, as many as `registry.db` is meant for. Beyond them a device has no hint, which
/// puts it in the best light.
const SEGMENTS: usize = 1 << 12;

/// Clocks are put right by less than this all day. By more, they were set back.
const SET_BACK_MIN: Span = Span::from_secs(1);

/// The hints of every device.
pub struct Hints {
    /// The latest time that passed, in microseconds.
    latest: AtomicU64,
    segments: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl Hints {
    /// What is known of a device.
    #[must_use]
    pub fn get(&self, device: DeviceIndex) -> Hint {
        let (segment, place) = split(device);
        let words = self.segments.get(segment).and_then(OnceLock::get);
        let word = words.and_then(|words| words.get(place));
        word.map_or_else(Hint::default, |word| Hint::from_bits(word.load(Ordering::Relaxed)))
    }

    /// Forgets everything: every device stands in the best light until it is heard of again.
    pub fn forget(&self) {
        for words in self.segments.iter().filter_map(OnceLock::get) {
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }

    /// It is `now`, by whoever writes. If the clock was set back, what is kept speaks of moments that are still to come: a
    /// press that was open then would put the device's next emergency among the repeats, which may be refused.
    pub fn pass(&self, now: Time) {
        let latest = Time(self.latest.swap(now.0, Ordering::Relaxed));
        if latest.since(now) > SET_BACK_MIN {
            self.forget();
        }
    }

    /// Takes down what is known of a device.
    pub fn set(&self, device: DeviceIndex, hint: Hint) {
        let (segment, place) = split(device);
        let Some(segment) = self.segments.get(segment) else { return };
        let words = segment.get_or_init(|| (0..SEGMENT_LEN).map(|_| AtomicU64::new(0)).collect());
        if let Some(word) = words.get(place) {
            word.store(hint.bits(), Ordering::Relaxed);
        }
    }
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            latest: AtomicU64::new(0),
            segments: (0..SEGMENTS).map(|_| OnceLock::new()).collect(),
        }
    }
}

fn split(device: DeviceIndex) -> (usize, usize) {
    let index = usize::try_from(device.0).unwrap_or(usize::MAX);
    (index / SEGMENT_LEN, index % SEGMENT_LEN)
}

#[cfg(test)]
mod tests {
    use pipeline::Grade;

    use super::*;

    #[test]
    fn keeps_each_devices_hint_and_knows_nothing_of_others() {
        let hints = Hints::default();
        let hint = Hint::new(Grade::Blocked, Time(u64::MAX), Time(0));
        for index in [0, 16_383, 16_384, 5_000_000] {
            assert_eq!(hints.get(DeviceIndex(index)), Hint::default());
            hints.set(DeviceIndex(index), hint);
            assert_eq!(hints.get(DeviceIndex(index)), hint);
            assert_eq!(hints.get(DeviceIndex(index + 1)), Hint::default());
        }
        hints.forget();
        assert_eq!(hints.get(DeviceIndex(5_000_000)), Hint::default());
    }

    #[test]
    fn forgets_when_the_clock_is_set_back() {
        let hints = Hints::default();
        let device = DeviceIndex(1);
        let hint = Hint::new(Grade::Good, Time(u64::MAX), Time(u64::MAX));
        let second = SET_BACK_MIN.0;
        for (now, kept) in [(10, true), (20, true), (19, true), (17, false), (17, true), (3, false)]
        {
            hints.set(device, hint);
            hints.pass(Time(now * second));
            assert_eq!(hints.get(device) == hint, kept, "at {now}");
        }
    }

    #[test]
    fn devices_beyond_the_table_stand_in_the_best_light() {
        let hints = Hints::default();
        let far = DeviceIndex(u32::MAX);
        hints.set(far, Hint::new(Grade::Blocked, Time(u64::MAX), Time(0)));
        assert_eq!(hints.get(far), Hint::default());
    }
}
