//! The files that answers are read from: index, journal and registry, on threads that may block.
//!
//! Few reads are under way at one time, whatever the number of requests, so that a crowd of them takes turns instead of
//! taking the machine.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use pipeline::{Cursor, Record};
use tokio::sync::Semaphore;

use super::refusal::Refusal;
use crate::journal::{JournalError, Reader};
use crate::lock::lock;
use crate::registry::{Store, StoreError};
use crate::search::{Lookup, SearchError};

/// Reads that are under way at one time.
const READS_MAX: usize = 2;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BookError {
    /// The index.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] StoreError),
}

/// Where the files lie.
#[derive(Debug)]
pub(super) struct Books {
    search: PathBuf,
    journal: PathBuf,
    data_dir: PathBuf,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Volumes>>,
}

/// The files, open for reading.
#[derive(Debug)]
pub(super) struct Volumes {
    pub(super) lookup: Lookup,
    pub(super) journal: Reader,
    pub(super) registry: Store,
}

impl Volumes {
    /// The message at `cursor`. One that was erased, or cannot be read, is shown as nothing, and the rest of an answer
    /// without it.
    pub(super) fn message(&mut self, cursor: Cursor) -> Option<Record> {
        self.journal.message(cursor).unwrap_or_else(|error| {
            tracing::warn!(%error, "an answer leaves out what a message says");
            None
        })
    }
}

impl Books {
    /// The files at these paths; none is opened yet.
    pub(super) fn new(search: PathBuf, journal: PathBuf, data_dir: PathBuf) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(READS_MAX));
        Arc::new(Self { search, journal, data_dir, turns, idle: Mutex::default() })
    }

    /// Reads with `read` when it is its turn.
    ///
    /// # Errors
    /// If a file cannot be read, or if the gateway is stopping.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&mut Volumes) -> Result<T, BookError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turns = Arc::clone(&self.turns);
        let turn = turns.acquire_owned().await.map_err(|_| Refusal::Stopping)?;
        let books = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || {
            let answer = books.read_blocking(read);
            drop(turn);
            answer
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::error!(%error, "an operator's question cannot be answered");
                Err(Refusal::Unreadable)
            }
            Err(_) => Err(Refusal::Stopping),
        }
    }

    fn read_blocking<T>(
        &self,
        read: impl FnOnce(&mut Volumes) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        let idle = lock(&self.idle).pop();
        let mut volumes = idle.map_or_else(|| self.open(), Ok)?;
        // After an error the files are opened anew: one may have been replaced.
        let answer = read(&mut volumes)?;
        lock(&self.idle).push(volumes);
        Ok(answer)
    }

    fn open(&self) -> Result<Volumes, BookError> {
        Ok(Volumes {
            lookup: Lookup::open(&self.search)?,
            journal: Reader::open(&self.journal)?,
            registry: Store::open_reader(&self.data_dir)?,
        })
    }
}
