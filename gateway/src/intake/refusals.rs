//! When a refusal for want of room is told.
//!
//! Reading a message and refusing it costs a third of checking it, and a refused relay that ignores "retry after" sends
//! again at once: left to it, refusing alone fills a core and first presses wait for their handshakes. So refusals are
//! kept back, the longer the more of them there are, and a relay runs out of streams (RFC 9000 section 4.6).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::config::LaneConfig;
use crate::lock::lock;

/// The pace at which a shard tells refusals.
pub(super) struct Refusals {
    at_least: Duration,
    at_most: Duration,
    /// Between two of them.
    gap: Duration,
    /// When the latest may be told.
    latest: Mutex<Option<Instant>>,
}

impl Refusals {
    pub(super) fn new(config: &LaneConfig) -> Self {
        Self {
            at_least: config.hold,
            at_most: config.hold_max.max(config.hold),
            gap: Duration::from_secs(1) / config.refusals_per_s,
            latest: Mutex::default(),
        }
    }

    /// When what is refused now may be told.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let mut latest = lock(&self.latest);
        let in_turn = latest.map_or(now, |latest| latest + self.gap);
        let due = in_turn.max(now + self.at_least).min(now + self.at_most);
        *latest = Some(due);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_refusal_waits_the_least_and_many_wait_in_turn_up_to_the_most() {
        let config = LaneConfig {
            refusals_per_s: 100,
            hold: Duration::from_millis(20),
            hold_max: Duration::from_millis(50),
            ..LaneConfig::default()
        };
        let refusals = Refusals::new(&config);
        let now = crate::clock::monotonic();
        let waits = |now| (refusals.due(now) - now).as_millis();
        assert_eq!([waits(now), waits(now), waits(now)], [20, 30, 40]);
        assert_eq!([waits(now), waits(now), waits(now)], [50, 50, 50]);
        let later = now + Duration::from_millis(45);
        assert_eq!([waits(later), waits(later)], [20, 30], "the turns go on where they were");
    }
}
