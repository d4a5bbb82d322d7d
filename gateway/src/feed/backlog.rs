//! What lies behind the ring: records read back from the journal, in bounded batches, on threads that may block.
//!
//! Few batches are read at one time, whatever the number of subscribers, so that a crowd that resumes at once takes
//! turns instead of taking the machine. Each batch is encoded on the same thread and travels as a chunk like any other.
//! While alerts come, a turn rests after each batch ([`Live::rest`]): whoever catches up is late already, and must not
//! make those late who are not.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pipeline::Cursor;
use tokio::sync::Semaphore;

use super::chunk::{Chunk, ChunkBuilder};
use super::cursor::CursorCodec;
use super::shape::Shape;
use crate::clock;
use crate::journal::{JournalError, Reader};
use crate::lock::lock;

/// Records in one batch: about as many as fill a chunk, so that a slow subscriber holds no more than one.
const BATCH_RECORDS: usize = 128;

/// Batches that are read at one time.
const READS_MAX: usize = 2;

/// While alerts come, a turn rests this many times as long as its batch took: it takes an eighth of a core, and a
/// subscriber who is behind reads some fifty thousand records a second where a core reads four hundred thousand.
const REST: u32 = 7;

/// The longest rest, whatever a batch took on a slow disk.
const REST_MAX: Duration = Duration::from_millis(100);

/// Alerts come as long as the last one is no older than this.
const LIVE: Duration = Duration::from_secs(1);

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BacklogError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The runtime is shutting down.
    #[error("the gateway is stopping")]
    Stopping,
}

/// The journal behind the ring.
pub(super) struct Backlog {
    journal: PathBuf,
    codec: Arc<CursorCodec>,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
    live: Mutex<Live>,
}

/// Whether alerts come.
#[derive(Debug, Default)]
struct Live {
    tip: Cursor,
    /// When the tip was last seen to have moved.
    moved: Option<Instant>,
}

impl Backlog {
    /// The backlog in the journal at this path.
    pub(super) fn new(journal: PathBuf, codec: Arc<CursorCodec>) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(READS_MAX));
        Arc::new(Self { journal, codec, turns, idle: Mutex::default(), live: Mutex::default() })
    }

    /// Some of the events behind `after` in this shape, none behind `tip`; nothing if the journal has none there.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(super) async fn read(
        self: &Arc<Self>,
        shape: Shape,
        after: Cursor,
        tip: Cursor,
    ) -> Result<Option<Chunk>, BacklogError> {
        let turns = Arc::clone(&self.turns);
        let turn = turns.acquire_owned().await.map_err(|_| BacklogError::Stopping)?;
        let backlog = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let begun = clock::monotonic();
            let chunk = backlog.read_blocking(shape, after, tip);
            // The turn lasts as long as the batch, even where nobody waits for it any more.
            (chunk, turn, begun, clock::monotonic())
        });
        let (chunk, turn, begun, done) = read.await.map_err(|_| BacklogError::Stopping)?;
        let rest = lock(&self.live).rest(tip, done, done - begun);
        // Even the shortest sleep lasts until the clock's next millisecond, longer than a batch.
        if !rest.is_zero() {
            tokio::spawn(async move {
                tokio::time::sleep(rest).await;
                drop(turn);
            });
        }
        Ok(chunk?)
    }

    fn read_blocking(
        &self,
        shape: Shape,
        after: Cursor,
        tip: Cursor,
    ) -> Result<Option<Chunk>, JournalError> {
        let idle = lock(&self.idle).pop();
        let mut reader = idle.map_or_else(|| Reader::open(&self.journal), Ok)?;
        let entries = reader.read_after(after, BATCH_RECORDS)?;
        lock(&self.idle).push(reader);
        metrics::counter!("gateway_feed_backlog_records_total").increment(entries.len() as u64);
        let mut builder = ChunkBuilder::new(shape, after);
        for entry in entries.iter().take_while(|entry| entry.cursor() <= tip) {
            builder.push(entry, &self.codec);
        }
        Ok(builder.take())
    }
}

impl Live {
    /// How long a turn rests at `now`, after a batch that took so long, with the journal's tip at `tip`.
    fn rest(&mut self, tip: Cursor, now: Instant, took: Duration) -> Duration {
        if tip > self.tip {
            // The first tip that is seen says nothing of when it came.
            self.moved = (self.tip > Cursor(0)).then_some(now);
            self.tip = tip;
        }
        match self.moved {
            Some(moved) if now.saturating_duration_since(moved) <= LIVE => {
                (took * REST).min(REST_MAX)
            }
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(1);

    #[test]
    fn a_turn_rests_while_alerts_come_and_only_then() {
        let begun = clock::monotonic();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut live = Live::default();
        assert_eq!(live.rest(Cursor(9), at(0), TOOK), Duration::ZERO);
        assert_eq!(live.rest(Cursor(9), at(1), TOOK), Duration::ZERO);
        assert_eq!(live.rest(Cursor(10), at(2), TOOK), TOOK * REST);
        assert_eq!(live.rest(Cursor(10), at(1_002), TOOK), TOOK * REST);
        assert_eq!(live.rest(Cursor(10), at(1_003), TOOK), Duration::ZERO);
        assert_eq!(live.rest(Cursor(11), at(1_004), Duration::from_secs(1)), REST_MAX);
    }
}
