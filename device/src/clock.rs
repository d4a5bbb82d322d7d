//! The only place of this crate that reads clocks. The library takes time as an argument; the command line asks here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::UnixMillis;

/// The system's wall clock. A clock before 1970 reads as 1970: it is evidence in a message, never a reason to refuse.
#[expect(clippy::disallowed_methods, reason = "the clock module of this crate")]
pub(crate) fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Measures how long something takes.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the clock module of this crate")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
