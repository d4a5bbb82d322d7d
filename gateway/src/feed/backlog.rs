//! What lies behind the ring: records read back from the journal, in bounded batches, on threads that may block.
//!
//! Few batches are read at one time, whatever the number of subscribers, so that a crowd that resumes at once takes
//! turns instead of taking the machine. Each batch is encoded on the same thread and travels as a chunk like any other.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pipeline::Cursor;
use tokio::sync::Semaphore;

use super::chunk::{Chunk, ChunkBuilder};
use super::cursor::CursorCodec;
use super::shape::Shape;
use crate::journal::{JournalError, Reader};

/// Records in one batch: about as many as fill a chunk, so that a slow subscriber holds no more than one.
const BATCH_RECORDS: usize = 128;

/// Batches that are read at one time.
const READS_MAX: usize = 2;

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
}

impl Backlog {
    /// The backlog in the journal at this path.
    pub(super) fn new(journal: PathBuf, codec: Arc<CursorCodec>) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(READS_MAX));
        Arc::new(Self { journal, codec, turns, idle: Mutex::new(vec![]) })
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
            let chunk = backlog.read_blocking(shape, after, tip);
            drop(turn);
            chunk
        });
        Ok(read.await.map_err(|_| BacklogError::Stopping)??)
    }

    fn read_blocking(
        &self,
        shape: Shape,
        after: Cursor,
        tip: Cursor,
    ) -> Result<Option<Chunk>, JournalError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = idle.map_or_else(|| Reader::open(&self.journal), Ok)?;
        let entries = reader.read_after(after, BATCH_RECORDS)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        metrics::counter!("gateway_feed_backlog_records_total").increment(entries.len() as u64);
        let mut builder = ChunkBuilder::new(shape, after);
        for entry in entries.iter().take_while(|entry| entry.cursor() <= tip) {
            builder.push(entry, &self.codec);
        }
        Ok(builder.take())
    }
}
