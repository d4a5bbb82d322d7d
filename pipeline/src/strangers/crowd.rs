//! How many different devices there were, in 48 bits: enough to tell one phone from a street from a carrier's gateway.
//!
//! A count of distinct things as in HyperLogLog (Flajolet and others, 2007), with twelve registers of four bits and
//! integers only. It is off by a third at times, which is all that a budget needs. A device counts once, however much
//! it sends, so one enrolled phone cannot buy an address more than one phone's share.

use crate::{Span, Time};

const REGISTERS: u64 = 12;
const REGISTER_BITS: u64 = 4;
const REGISTER_MAX: u64 = (1 << REGISTER_BITS) - 1;
const SKETCH_BITS: u64 = REGISTERS * REGISTER_BITS;
/// The bias constant of twelve registers (0.66) times their square.
const ALPHA_SQUARED: u64 = 95;
/// Below this estimate, counting registers that are still empty is more exact (2.5 times the registers).
const SMALL: u64 = 30;
/// The count by so many empty registers, none to twelve: twelve times the logarithm of twelve by them.
const BY_EMPTY: [u64; 13] = [SMALL, 30, 22, 17, 13, 11, 8, 6, 5, 3, 2, 1, 0];

/// A window of time, by a number that comes again after 65,536 of them (fifteen months at ten minutes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window(u16);

impl Window {
    pub(super) fn at(now: Time, len: Span) -> Self {
        let number = now.0.checked_div(len.0).unwrap_or(0) & u64::from(u16::MAX);
        Self(u16::try_from(number).unwrap_or(0))
    }

    pub(super) fn before(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// Windows next to each other have different parities, so that each has a place of its own.
    pub(super) fn is_odd(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The devices of one window, as it is kept: the window's number above the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Crowd(pub(super) u64);

impl Crowd {
    /// With one device more, known by its hash; as it was if that changes nothing. A crowd of another window is
    /// forgotten.
    pub(super) fn with(self, device: u64, window: Window) -> Self {
        let place = (device % REGISTERS) * REGISTER_BITS;
        let rank = (u64::from((device / REGISTERS).trailing_zeros()) + 1).min(REGISTER_MAX);
        let sketch = self.of(window);
        let kept = (sketch >> place) & REGISTER_MAX;
        let sketch = sketch & !(REGISTER_MAX << place) | (kept.max(rank) << place);
        Self(u64::from(window.0) << SKETCH_BITS | sketch)
    }

    /// The registers, if they are this window's; empty ones otherwise.
    pub(super) fn of(self, window: Window) -> u64 {
        let own = self.0 >> SKETCH_BITS == u64::from(window.0);
        if own { self.0 & ((1 << SKETCH_BITS) - 1) } else { 0 }
    }
}

/// About how many different devices two sketches have seen together.
pub(super) fn count(a: u64, b: u64) -> u64 {
    let (mut empty, mut sum) = (0_usize, 0);
    for register in 0..REGISTERS {
        let at = |sketch: u64| (sketch >> (register * REGISTER_BITS)) & REGISTER_MAX;
        let rank = at(a).max(at(b));
        empty += usize::from(rank == 0);
        sum += 1 << (REGISTER_MAX - rank);
    }
    let estimate = (ALPHA_SQUARED << REGISTER_MAX).checked_div(sum).unwrap_or(0);
    match BY_EMPTY.get(empty) {
        Some(small) if empty > 0 && estimate <= SMALL => *small,
        _ => estimate,
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use siphasher::sip::SipHasher13;

    use super::*;

    const WINDOW: Window = Window(7);

    fn hash(key: u64, device: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(key, !key);
        hasher.write_u64(device);
        hasher.finish()
    }

    fn crowd_of(key: u64, devices: u64) -> u64 {
        let add = |crowd: Crowd, device| crowd.with(hash(key, device), WINDOW);
        (0..devices).fold(Crowd::default(), add).of(WINDOW)
    }

    #[test]
    fn counts_devices_within_a_third_on_average() {
        for devices in [1, 3, 10, 30, 100, 300, 1_000, 3_000] {
            let keys = 200;
            let counts: Vec<_> = (0..keys).map(|key| count(crowd_of(key, devices), 0)).collect();
            let mean = counts.iter().sum::<u64>() / keys;
            assert!(mean.abs_diff(devices) * 10 <= devices.max(10), "{devices}: mean {mean}");
            let far =
                counts.iter().filter(|count| count.abs_diff(devices) * 3 > 2 * devices.max(3));
            assert!(far.count() < 20, "{devices}: {counts:?}");
        }
    }

    #[test]
    fn one_device_counts_once_however_often_it_comes() {
        let add = |crowd: Crowd, _| crowd.with(hash(1, 1), WINDOW);
        let crowd = (0..1_000).fold(Crowd::default(), add).of(WINDOW);
        assert_eq!(count(crowd, crowd), 1);
    }

    #[test]
    fn another_window_starts_from_nothing() {
        let crowd = Crowd::default().with(hash(1, 1), WINDOW);
        assert_eq!(count(crowd.of(Window(8)), 0), 0);
        assert_eq!(count(crowd.with(hash(1, 2), Window(8)).of(Window(8)), 0), 1);
        assert_eq!(Window::at(Time(u64::MAX), Span(1)), Window(u16::MAX));
        assert_eq!(Window::at(Time(65_536), Span(1)), Window(0));
        assert_eq!(Window(0).before(), Window(u16::MAX));
    }
}
