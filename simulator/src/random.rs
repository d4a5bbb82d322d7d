//! The one source of chance: ChaCha12 streams that a seed, a purpose and a number name.
//!
//! Each purpose (where people live, who presses, when, ...) draws from its own stream, so that a purpose that draws more
//! or fewer numbers moves no other. Everything is made of integers and of IEEE 754 operations that every machine rounds
//! alike; logarithms, exponentials and roots come from `libm`. No type of a random crate is part of the interface.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Separates these streams from every other use of the hash.
const CONTEXT: &[u8] = b"kentongan/simulator/1";

/// Names one repeatable city. Two runs with one seed have the same people, keys and presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(pub u64);

/// A stream of chance.
#[derive(Clone)]
pub(crate) struct Stream(ChaCha12Rng);

impl Stream {
    /// The stream of a purpose, and of one member of it (a device, an hour).
    pub(crate) fn new(seed: Seed, purpose: &str, number: u64) -> Self {
        let key = Sha256::new()
            .chain_update(CONTEXT)
            .chain_update(seed.0.to_le_bytes())
            .chain_update(purpose.as_bytes())
            .finalize();
        let mut rng = ChaCha12Rng::from_seed(key.into());
        rng.set_stream(number);
        Self(rng)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// A whole number below `bound`, each equally likely (Lemire's method); 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.next()) * u128::from(bound);
        while low_half(product) < bound.wrapping_neg().checked_rem(bound).unwrap_or(0) {
            product = u128::from(self.next()) * u128::from(bound);
        }
        high_half(product)
    }

    /// A number in (0, 1): the 2^53 midpoints between the multiples of 2^-53, so that neither end occurs.
    pub(crate) fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
        let steps = (self.next() >> 11) as f64;
        (steps + 0.5) * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A standard normal number (Box and Muller; the second of the pair is dropped).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.unit()));
        radius * libm::cos(core::f64::consts::TAU * self.unit())
    }

    /// A gamma number with mean 1 and this variance (Marsaglia and Tsang, 2000). 1 if the variance is 0.
    pub(crate) fn gamma(&mut self, variance: f64) -> f64 {
        if variance <= 0.0 {
            return 1.0;
        }
        let shape = 1.0 / variance;
        // Below a shape of 1 the method is used one higher and the result is scaled down.
        let boost = if shape < 1.0 { libm::pow(self.unit(), variance) } else { 1.0 };
        let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let normal = self.normal();
            let root = 1.0 + c * normal;
            let cube = root * root * root;
            let accepted = root > 0.0
                && libm::log(self.unit())
                    < 0.5 * normal * normal + d - d * cube + d * libm::log(cube);
            if accepted {
                return boost * d * cube / shape;
            }
        }
    }

    /// The place of one of `weights`, by weight; 0 if all weigh nothing.
    pub(crate) fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum());
        weights
            .enumerate()
            .find(|(_, weight)| {
                let found = left < *weight;
                left = left.saturating_sub(*weight);
                found
            })
            .map_or(0, |(place, _)| place)
    }

    /// `true` with this chance.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// `count` of the numbers below `bound`, none twice, in random order (Fisher and Yates).
    pub(crate) fn sample(&mut self, bound: u32, count: u32) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..bound).collect();
        let count = count.min(bound) as usize;
        for place in 0..count {
            let left = (numbers.len() - place) as u64;
            let other = place + usize::try_from(self.below(left)).unwrap_or(0);
            numbers.swap(place, other);
        }
        numbers.truncate(count);
        numbers
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn low_half(product: u128) -> u64 {
    product as u64
}

fn high_half(product: u128) -> u64 {
    (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream::new(Seed(7), "test", 0)
    }

    fn moments(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let n = 20_000.0;
        let draws: Vec<f64> = (0..20_000).map(|_| draw()).collect();
        let mean = draws.iter().sum::<f64>() / n;
        (mean, draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn streams_are_named_by_seed_purpose_and_number() {
        let first = stream().next();
        assert_eq!(first, stream().next());
        assert_ne!(first, Stream::new(Seed(8), "test", 0).next());
        assert_ne!(first, Stream::new(Seed(7), "tesu", 0).next());
        assert_ne!(first, Stream::new(Seed(7), "test", 1).next());
    }

    #[test]
    fn whole_numbers_stay_below_their_bound_and_reach_it() {
        let mut stream = stream();
        assert_eq!(stream.below(0), 0);
        let mut seen = [0_u32; 6];
        (0..6_000).for_each(|_| seen[usize::try_from(stream.below(6)).unwrap()] += 1);
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
        assert!(stream.below(u64::MAX) < u64::MAX);
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut stream = stream();
        let (mean, variance) = moments(|| stream.unit());
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.005);
        let (mean, variance) = moments(|| stream.normal());
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        for wanted in [0.05, 0.5, 2.0] {
            let (mean, variance) = moments(|| stream.gamma(wanted));
            assert!((mean - 1.0).abs() < 0.05, "{wanted}: {mean}");
            assert!((variance / wanted - 1.0).abs() < 0.12, "{wanted}: {variance}");
        }
        assert!((stream.gamma(0.0) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn sample_has_no_number_twice_and_knows_its_bound() {
        let mut sample = stream().sample(50, 20);
        assert_eq!(sample.len(), 20);
        sample.sort_unstable();
        sample.dedup();
        assert_eq!(sample.len(), 20);
        assert!(sample.iter().all(|number| *number < 50));
        assert_eq!(stream().sample(3, 9).len(), 3);
        assert!(stream().sample(0, 9).is_empty());
    }

    #[test]
    fn weights_decide_how_often() {
        let mut stream = stream();
        let mut seen = [0_u32; 3];
        (0..4_000).for_each(|_| seen[stream.weighted([1, 0, 3].into_iter())] += 1);
        assert_eq!(seen[1], 0);
        assert!((900..1100).contains(&seen[0]), "{seen:?}");
    }
}
