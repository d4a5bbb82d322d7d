//! The config room.

use std::time::Duration;

/// The feed to subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedConfig {
    /// Latest events kept encoded in memory, in bytes.
    pub ring_bytes: usize,
    /// A subscriber that takes nothing for this long is closed.
    pub write_timeout: Duration,
    /// A comment is sent on a feed that was silent for this long.
    pub keepalive_interval: Duration,
    /// Feeds open at one time.
    pub subscribers_max: usize,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            ring_bytes: 16 << 20,
            write_timeout: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(15),
            subscribers_max: 256,
        }
    }
}
