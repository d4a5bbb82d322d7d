//! The only place where these commands read a clock: to give up on a child process and to say how long a step took.

use std::time::{Duration, Instant};

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "the one clock of this crate")]
fn now() -> Instant {
    Instant::now()
}

/// Measures from its creation on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    pub(crate) fn start() -> Self {
        Self(now())
    }

    /// The time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        now().duration_since(self.0)
    }
}
