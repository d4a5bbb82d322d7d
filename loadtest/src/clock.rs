//! The one place that reads clocks: moments on the run's own monotonic clock, and the date for the report.
//!
//! A [`Moment`] counts nanoseconds from the start of the run, so that it fits an atomic and means the same to the
//! pacing thread, the driver and the subscriber. Nothing else in this crate asks what time it is.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds since the run's clock started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `offset` after the start; the clock's end (584 years) if it lies beyond.
    #[must_use]
    pub fn after_start(offset: Duration) -> Self {
        Self(u64::try_from(offset.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long the clock had run.
    #[must_use]
    pub fn offset(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// How long `earlier` was before this moment; nothing if it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `span` later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(Self::after_start(span).0))
    }

    /// The second of the run that this moment lies in.
    #[must_use]
    pub fn second(self) -> usize {
        usize::try_from(self.0 / 1_000_000_000).unwrap_or(usize::MAX)
    }
}

/// The date.
#[expect(clippy::disallowed_methods, reason = "this is the crate's clock module")]
#[must_use]
pub fn date() -> SystemTime {
    SystemTime::now()
}

/// A monotonic clock that started when it was made, and the date at which it did.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    date: SystemTime,
}

impl Clock {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Self {
        Self::start_in(Duration::ZERO)
    }

    /// A clock that starts after `lead`; until then it shows its start.
    #[expect(clippy::disallowed_methods, reason = "this is the crate's clock module")]
    #[must_use]
    pub fn start_in(lead: Duration) -> Self {
        Self { start: Instant::now() + lead, date: SystemTime::now() + lead }
    }

    /// What the clock shows.
    #[expect(clippy::disallowed_methods, reason = "this is the crate's clock module")]
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::after_start(Instant::now().saturating_duration_since(self.start))
    }

    /// The date at which the clock started.
    #[must_use]
    pub fn date(&self) -> SystemTime {
        self.date
    }

    /// Puts the calling thread to sleep until `moment`; returns at once if it has passed.
    #[expect(clippy::disallowed_methods, reason = "this is the crate's clock module")]
    pub fn sleep_until(&self, moment: Moment) {
        let left = (self.start + moment.offset()).saturating_duration_since(Instant::now());
        if !left.is_zero() {
            thread::sleep(left);
        }
    }

    /// `moment` as the timers of the async runtime understand it.
    #[must_use]
    pub fn deadline(&self, moment: Moment) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + moment.offset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_count_from_the_start_and_never_go_negative() {
        let clock = Clock::start();
        let first = clock.now();
        clock.sleep_until(first.plus(Duration::from_millis(2)));
        assert!(clock.now().since(first) >= Duration::from_millis(2));
        assert_eq!(first.since(clock.now()), Duration::ZERO);
        assert_eq!(Moment::after_start(Duration::from_millis(2_500)).second(), 2);
    }
}
