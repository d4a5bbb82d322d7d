//! Chance, by a seed that a failed run prints.

use std::time::Duration;

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// Chance by `KENTONGAN_SEED`, or by the seed that every run has unless told otherwise.
    pub(crate) fn seeded() -> Self {
        let seed = std::env::var("KENTONGAN_SEED").map_or(20_261_122, |seed| seed.parse().unwrap());
        // Standard error is shown by a test that fails.
        eprintln!("repeat with KENTONGAN_SEED={seed}");
        Self(seed)
    }

    /// Chance by this seed.
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `count`.
    pub(crate) fn pick(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A length of time below `max`.
    pub(crate) fn below(&mut self, max: Duration) -> Duration {
        let max_us = u64::try_from(max.as_micros()).unwrap();
        Duration::from_micros(self.next() % max_us)
    }
}
