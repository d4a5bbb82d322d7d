//! The plan of a run: every press signed ahead and held in memory, in the order in which it is due.
//!
//! Signing is the sender's work, done on phones; a load generator that signs while it sends measures its own
//! cryptography. The plan also spoils the signatures that `--corrupt` asks for, and knows which alert each press opens,
//! so that what the feed shows can be told apart from what it should not show.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use bytes::Bytes;
use protocol::{AlertId, Position};

use crate::clock::Moment;
use crate::ledger::{Ledger, PressIndex};
use crate::report::Place;

/// The signature lies at the end of the signed bytes; this many bytes from there is its middle.
const SPOILED_FROM_END: usize = 40;

/// One press, ready to be sent.
#[derive(Debug, Clone)]
pub struct Press {
    /// When it is due.
    pub intended: Moment,
    /// What travels.
    pub signed: Bytes,
    /// The alert that it opens.
    pub alert: AlertId,
    /// Whether its signature is spoiled.
    pub corrupted: bool,
    /// Which socket or relay carries its first copy; presses with one number share it.
    pub turn: u32,
    /// Where it happened.
    pub place: Option<Place>,
}

/// Presses in the order in which they are due.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    presses: Vec<Press>,
}

/// A share from 0 to 1 that is not one.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("expected a share from 0 to 1, found {0}")]
pub struct ShareError(pub f64);

impl Plan {
    /// A plan of `presses`, put in the order in which they are due.
    #[must_use]
    pub fn new(mut presses: Vec<Press>) -> Self {
        presses.sort_by_key(|press| press.intended);
        Self { presses }
    }

    /// The presses, in the order in which they are due.
    #[must_use]
    pub fn presses(&self) -> &[Press] {
        &self.presses
    }

    /// The press with this index.
    #[must_use]
    pub fn press(&self, index: PressIndex) -> Option<&Press> {
        self.presses.get(usize::try_from(index.0).ok()?)
    }

    /// Spoils the signatures of `share` of all presses, rounded to the nearest whole press; which ones depends on
    /// `seed` alone. Returns how many.
    ///
    /// # Errors
    /// When `share` is not from 0 to 1.
    pub fn corrupt(&mut self, share: f64, seed: u64) -> Result<usize, ShareError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(ShareError(share));
        }
        let wanted = (float(self.presses.len()) * share).round();
        let mut random = SplitMix64(seed);
        let mut spoiled = 0;
        let mut left = self.presses.len();
        for press in &mut self.presses {
            // Selection sampling: each press is taken with the share that is still wanted of those still left.
            if random.unit() * float(left) < wanted - float(spoiled) {
                press.spoil();
                spoiled += 1;
            }
            left -= 1;
        }
        Ok(spoiled)
    }

    /// An empty ledger for these presses.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.presses.iter().map(|press| (press.intended, press.corrupted)))
    }

    /// Which press opens which alert.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        let index = |place: usize| PressIndex(u32::try_from(place).unwrap_or(u32::MAX));
        let presses = self.presses.iter().enumerate();
        Alerts(presses.map(|(place, press)| (press.alert, index(place))).collect())
    }
}

impl Press {
    /// Where it happened, as the message says it.
    pub(crate) fn position(&self) -> Option<Position> {
        let e7 = |degrees: f64| format!("{:.0}", degrees * 1e7).parse().ok();
        let place = self.place?;
        Position::new(e7(place.lat)?, e7(place.lon)?)
    }

    fn spoil(&mut self) {
        let mut bytes = self.signed.to_vec();
        let place = bytes.len().saturating_sub(SPOILED_FROM_END);
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1;
        }
        self.signed = bytes.into();
        self.corrupted = true;
    }
}

/// Which press opens which alert.
#[derive(Debug, Clone, Default)]
pub struct Alerts(HashMap<AlertId, PressIndex, BuildHasherDefault<IdHasher>>);

impl Alerts {
    /// The press that opens `alert`, if one of this plan does.
    #[must_use]
    pub fn press(&self, alert: &AlertId) -> Option<PressIndex> {
        self.0.get(alert).copied()
    }
}

impl Alerts {
    /// How many alerts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Alert ids are SHA-256 output already; eight of their bytes are as good as any hash of them.
#[derive(Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*last);
        }
    }

    /// The length of the id, which is always the same.
    fn write_usize(&mut self, _: usize) {}
}

/// SplitMix64 (Steele, Lea and Flood, 2014): enough to choose presses by seed, the same on every machine.
#[derive(Debug, Clone)]
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0, included, to 1, excluded.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }
}

/// A count as a float; exact below 2^53.
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan(presses: u8) -> Plan {
        let press = |number: u8| Press {
            intended: Moment::after_start(Duration::from_secs(u64::from(presses - number))),
            signed: Bytes::from(vec![number; 120]),
            alert: AlertId([number; 16]),
            corrupted: false,
            turn: u32::from(number),
            place: None,
        };
        Plan::new((0..presses).map(press).collect())
    }

    #[test]
    fn presses_stand_in_the_order_in_which_they_are_due_and_are_found_by_alert() {
        let plan = plan(5);
        assert!(plan.presses().is_sorted_by_key(|press| press.intended));
        let alerts = plan.alerts();
        let found = alerts.press(&AlertId([4; 16])).and_then(|index| plan.press(index));
        assert_eq!(found.map(|press| press.alert), Some(AlertId([4; 16])));
        assert_eq!(alerts.press(&AlertId([5; 16])), None);
    }

    #[test]
    fn spoils_exactly_the_share_asked_for_and_the_same_ones_from_the_same_seed() {
        for (share, expected) in [(0.0, 0), (0.1, 20), (0.333, 67), (1.0, 200)] {
            let mut once = plan(200);
            assert_eq!(once.corrupt(share, 7), Ok(expected));
            let spoiled = |plan: &Plan| -> Vec<_> {
                plan.presses().iter().map(|press| (press.corrupted, press.signed.clone())).collect()
            };
            let count = once.presses().iter().filter(|press| press.corrupted).count();
            assert_eq!(count, expected);
            let mut again = plan(200);
            again.corrupt(share, 7).unwrap();
            assert_eq!(spoiled(&once), spoiled(&again));
        }
        assert_eq!(plan(2).corrupt(1.5, 7), Err(ShareError(1.5)));
    }

    #[test]
    fn spoils_one_bit_of_the_signature_and_nothing_else() {
        let mut plan = plan(1);
        let before = plan.presses()[0].signed.clone();
        plan.corrupt(1.0, 1).unwrap();
        let after = &plan.presses()[0].signed;
        let differing: Vec<_> = (0..120).filter(|place| before[*place] != after[*place]).collect();
        assert_eq!(differing, [80]);
        assert!(differing[0] >= 120 - 64);
    }
}
