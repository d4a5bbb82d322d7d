//! How long a webhook waits before it tries again: longer each time, and never all at the same moment.
//!
//! It is given the attempt and a seed and draws nothing itself. Half of each wait is fixed, so that a target that comes
//! up again has time to; the other half is spread, so that many webhooks for one target do not knock together.

use std::time::Duration;

use crate::config::WebhookConfig;

/// The wait after the `attempt`th failed attempt, counted from 1.
///
/// What the target asks for (`Retry-After`) is kept to, up to a bound: it cannot silence a webhook for a day.
#[must_use]
pub fn backoff(
    config: &WebhookConfig,
    attempt: u32,
    seed: u64,
    asked: Option<Duration>,
) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let ceiling = config.retry_min.saturating_mul(1 << doublings).min(config.retry_max);
    let half = ceiling / 2;
    let spread = half.mul_f64(fraction(seed.wrapping_add(u64::from(attempt))));
    let asked = asked.unwrap_or_default().min(config.retry_after_max);
    (half + spread).max(asked)
}

/// A number from 0 to below 1 that looks drawn: `SplitMix64`'s step (Steele, Lea and Flood 2014).
fn fraction(seed: u64) -> f64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let bits = u32::try_from(mixed >> 32).unwrap_or_default();
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_between_half_and_the_whole_of_a_bounded_doubling(attempt in 1_u32.., seed: u64) {
            let config = WebhookConfig::default();
            let doubled = config.retry_min.as_secs_f64() * 2_f64.powf(f64::from(attempt) - 1.0);
            let ceiling = doubled.min(config.retry_max.as_secs_f64());
            let wait = backoff(&config, attempt, seed, None).as_secs_f64();
            prop_assert!(wait >= ceiling / 2.0 - 1e-6 && wait <= ceiling + 1e-6, "{wait} of {ceiling}");
            prop_assert_eq!(wait, backoff(&config, attempt, seed, None).as_secs_f64());
        }
    }

    #[test]
    fn webhooks_that_failed_together_try_again_apart() {
        let config = WebhookConfig::default();
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|seed| backoff(&config, 5, seed, None).as_millis() / 100).collect();
        assert!(waits.len() > 40, "{waits:?}");
    }

    #[test]
    fn what_the_target_asks_for_is_kept_to_within_its_bound() {
        let config = WebhookConfig::default();
        let asked = config.retry_after_max - Duration::from_secs(1);
        assert_eq!(backoff(&config, 1, 7, Some(asked)), asked);
        assert_eq!(backoff(&config, 1, 7, Some(Duration::MAX)), config.retry_after_max);
        assert_eq!(backoff(&config, 3, 7, Some(Duration::ZERO)), backoff(&config, 3, 7, None));
    }
}
