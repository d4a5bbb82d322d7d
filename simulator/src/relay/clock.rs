//! The one place of the simulator that reads a clock: microseconds since a relay was opened.
//!
//! Whatever decides about packets is told them as an argument.

use std::time::{Duration, Instant};

use pipeline::Time;

/// A monotonic clock that starts when it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the crate's clock module")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the crate's clock module")]
    pub(super) fn now(&self) -> Time {
        let run = Instant::now().saturating_duration_since(self.0);
        Time(u64::try_from(run.as_micros()).unwrap_or(u64::MAX))
    }

    /// Returns at `moment`, or up to a tick of the runtime's timers later.
    pub(super) async fn sleep_until(&self, moment: Time) {
        let deadline = self.0 + Duration::from_micros(moment.0);
        tokio::time::sleep_until(tokio::time::Instant::from_std(deadline)).await;
    }
}
