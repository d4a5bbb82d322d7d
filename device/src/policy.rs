//! When to send again: the waits between the attempts of one press.
//!
//! Values in, durations out. The jitter of a press comes from its id, which is a hash over its random nonce: a thousand
//! phones that press in the same second do not come back in the same second, and no random source is needed.

use std::time::Duration;

use protocol::MessageId;

/// How long the first attempt may stay silent. A receipt takes two round trips and one disk sync, well under 300 ms on
/// a mobile network; a second without one means a dead path far more often than a slow one.
pub const FRESH_AFTER: Duration = Duration::from_secs(1);
/// Longest wait between two attempts. A person waits for this.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// Wait after a first attempt that failed outright. Short, because it cost the path next to nothing.
const FAILURE_MIN: Duration = Duration::from_millis(250);
/// Longest wait that a gateway can ask for. Anything above would let one wrong number silence a press.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Share of a wait that jitter adds or takes away at most, in percent.
const JITTER_PERCENT: u32 = 20;

/// How hard a client tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Silence after which a fresh connection is opened beside the silent one (default: [`FRESH_AFTER`]). It doubles
    /// with each further attempt, up to 8 s.
    pub fresh_after: Duration,
    /// When to give up. None (the default) is never: a phone tries until it is switched off.
    pub deadline: Option<Duration>,
    /// Attempts that may be under way side by side; the oldest gives way (default: 3).
    pub parallel_max: usize,
    /// Refusals for want of proof after which to give up (default: none, the deadline alone decides). Such a refusal
    /// is not final, because an enrolment may reach the gateway a moment after the press.
    pub unproven_max: Option<u32>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { fresh_after: FRESH_AFTER, deadline: None, parallel_max: 3, unproven_max: None }
    }
}

impl Policy {
    /// How long attempt number `attempt` (from 1) may stay silent before the next one starts.
    pub(crate) fn silence(&self, id: MessageId, attempt: u32) -> Duration {
        let wait = doubled(self.fresh_after, attempt).min(SILENCE_MAX.max(self.fresh_after));
        // The first wait is exact: nobody is in step with anybody yet.
        if attempt <= 1 { wait } else { jittered(wait, id, attempt) }
    }

    /// How long to wait after attempt number `attempt` (from 1) failed and no other is under way.
    pub(crate) fn failure(&self, id: MessageId, attempt: u32) -> Duration {
        jittered(doubled(FAILURE_MIN, attempt).min(SILENCE_MAX), id, attempt)
    }

    /// How long to wait after a refusal that asked to come back after `asked`.
    pub(crate) fn refusal(&self, id: MessageId, attempt: u32, asked_ms: Option<u64>) -> Duration {
        let own = self.failure(id, attempt);
        match asked_ms {
            // The gateway's number has jitter in it already.
            Some(asked_ms) => Duration::from_millis(asked_ms).clamp(FAILURE_MIN, RETRY_AFTER_MAX),
            None => own,
        }
    }
}

/// `base` for the first attempt, twice that for the second, and so on.
fn doubled(base: Duration, attempt: u32) -> Duration {
    base.saturating_mul(1 << attempt.saturating_sub(1).min(16))
}

/// `wait`, up to a fifth longer or shorter; how much depends on the press and the attempt alone.
fn jittered(wait: Duration, id: MessageId, attempt: u32) -> Duration {
    let index = usize::try_from(attempt).unwrap_or(0) % id.as_bytes().len();
    let byte = id.as_bytes().get(index).copied().unwrap_or(0);
    // 0 to 255 becomes 80 to 120 percent.
    let percent = 100 - JITTER_PERCENT + u32::from(byte) * 2 * JITTER_PERCENT / 255;
    wait * percent / 100
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_silent_first_attempt_is_joined_after_exactly_a_second() {
        let id = MessageId([0xff; 16]);
        assert_eq!(Policy::default().silence(id, 1), FRESH_AFTER);
    }

    #[test]
    fn presses_do_not_come_back_in_step() {
        let (early, late) = (MessageId([0; 16]), MessageId([0xff; 16]));
        let policy = Policy::default();
        assert_eq!(policy.silence(early, 2), Duration::from_millis(1_600));
        assert_eq!(policy.silence(late, 2), Duration::from_millis(2_400));
    }

    #[test]
    fn a_gateway_can_ask_for_patience_within_bounds() {
        let (policy, id) = (Policy::default(), MessageId([0; 16]));
        assert_eq!(policy.refusal(id, 1, Some(4_000)), Duration::from_secs(4));
        assert_eq!(policy.refusal(id, 1, Some(u64::MAX)), RETRY_AFTER_MAX);
        assert_eq!(policy.refusal(id, 1, Some(0)), FAILURE_MIN);
        assert_eq!(policy.refusal(id, 3, None), policy.failure(id, 3));
    }

    proptest! {
        #[test]
        fn every_wait_is_bounded_and_never_a_spin(id: [u8; 16], attempt: u32) {
            let (policy, id) = (Policy::default(), MessageId(id));
            for wait in [policy.silence(id, attempt), policy.failure(id, attempt)] {
                prop_assert!(wait >= Duration::from_millis(200));
                prop_assert!(wait <= SILENCE_MAX * 12 / 10);
            }
        }
    }
}
