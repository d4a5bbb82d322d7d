//! The gateway's clock: the only place that reads one.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pipeline::Time;

/// The time of day, in microseconds. It follows the machine's clock, steps included.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the gateway's clock module")]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// A moment for measuring how long something takes; it never steps.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the gateway's clock module")]
pub fn monotonic() -> Instant {
    Instant::now()
}
