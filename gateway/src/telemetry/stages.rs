//! How long each stage of a message takes: one histogram, labelled by stage, on the gateway's own clock.
//!
//! Their sum is not the time that a sender waits: stages of one message follow each other, but those that work in batches
//! (desk, sync, feed) count the batch's time for each of its messages, which is what each of them waited.

use std::time::Duration;

use metrics::{Histogram, histogram};

/// A stage of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the first byte of a message to its last.
    Receive,
    /// From the last byte to the start of the check: the wait in its lane.
    Lane,
    /// The check of its signature.
    Verify,
    /// From the check to the desk's decision.
    Desk,
    /// The commit that holds it.
    Sync,
    /// From the receipt to its last byte handed to the transport.
    Receipt,
    /// From the sync to the event that subscribers can read.
    Feed,
}

/// The histogram of one stage.
#[derive(Clone)]
pub struct StageTimer(Histogram);

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 7] = [
        Self::Receive,
        Self::Lane,
        Self::Verify,
        Self::Desk,
        Self::Sync,
        Self::Receipt,
        Self::Feed,
    ];

    /// The label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Lane => "lane",
            Self::Verify => "verify",
            Self::Desk => "desk",
            Self::Sync => "sync",
            Self::Receipt => "receipt",
            Self::Feed => "feed",
        }
    }

    /// Its timer. To be made once: a look-up by name for every message would be paid by every message.
    #[must_use]
    pub fn timer(self) -> StageTimer {
        StageTimer(histogram!("gateway_stage_seconds", "stage" => self.name()))
    }
}

impl StageTimer {
    /// One message took so long.
    pub fn record(&self, took: Duration) {
        self.0.record(took);
    }

    /// So many messages took so long, each.
    pub fn record_each(&self, took: Duration, messages: usize) {
        self.0.record_many(took, messages);
    }
}
