//! Notices a client that stays behind.
//!
//! A client that takes what it is given, but more slowly than alerts come, is served from the journal and never meets the
//! present again. Catching up may take as long as it needs, from however far behind; who gets no nearer for some time is
//! better told so than left to believe that it sees what happens. It is given places and moments and compares.

use std::time::{Duration, Instant};

use pipeline::Cursor;

/// How near a stream that is served from the journal came to the journal's end, and when.
#[derive(Debug, Default)]
pub(super) struct Lag {
    nearest: Option<(u64, Instant)>,
}

impl Lag {
    /// The stream reads what is in memory: it is not behind.
    pub(super) fn end(&mut self) {
        self.nearest = None;
    }

    /// The stream at `position` reads the journal, which reaches to `tip`. Whether it came no nearer for `max`.
    pub(super) fn lasts(
        &mut self,
        (position, tip): (Cursor, Cursor),
        now: Instant,
        max: Duration,
    ) -> bool {
        let distance = tip.0.saturating_sub(position.0);
        match self.nearest {
            Some((nearest, since)) if distance >= nearest => {
                now.saturating_duration_since(since) >= max
            }
            _ => {
                self.nearest = Some((distance, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn who_comes_nearer_may_take_for_ever_and_who_does_not_may_not() {
        let start = clock::monotonic();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lag = Lag::default();
        for minute in 0..100 {
            // A thousand come, a thousand and one are read.
            let places = (Cursor(minute * 1_001), Cursor(1_000_000 + minute * 1_000));
            assert!(!lag.lasts(places, at(minute * 60), MAX), "{minute}");
        }
        let stays = |seconds: u64| (Cursor(100_000 + seconds), Cursor(1_100_000 + seconds));
        assert!(!lag.lasts(stays(0), at(5_940), MAX));
        assert!(!lag.lasts(stays(59), at(5_999), MAX));
        assert!(lag.lasts(stays(60), at(6_000), MAX));
    }

    #[test]
    fn who_met_the_present_begins_anew() {
        let start = clock::monotonic();
        let mut lag = Lag::default();
        assert!(!lag.lasts((Cursor(0), Cursor(10)), start, MAX));
        lag.end();
        assert!(!lag.lasts((Cursor(20), Cursor(40)), start + MAX, MAX));
    }
}
