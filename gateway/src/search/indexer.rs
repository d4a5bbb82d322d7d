//! The thread that fills the index behind the journal.
//!
//! It wakes when the journal has synced more, lets a batch gather for `batch_wait` (or until it is full), reads it from
//! the journal and indexes it. It runs at low priority, because on a busy core every alert comes before its index. How
//! far it is goes out through [`IndexerHandle::indexed`]; how far behind, as a gauge.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pipeline::Cursor;
use tokio::sync::watch;

use super::{Index, SearchError};
use crate::config::SearchConfig;
use crate::journal::Reader;

/// Added to the thread's nice value: the most there is. On one busy core that leaves it a sixtieth; once the desk has
/// as many records ahead of the index as it may, intake pauses and the indexer has the core.
const NICE: i32 = 19;

/// Pause before a batch that failed is tried again: a lock is let go or a full disk is mended, or it is not yet.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Fills the index.
#[derive(Debug)]
pub struct Indexer {
    path: PathBuf,
    index: Index,
    reader: Reader,
    config: SearchConfig,
    synced: watch::Receiver<Cursor>,
    closed: watch::Receiver<bool>,
    indexed: watch::Sender<Cursor>,
    failure: watch::Sender<Option<Arc<SearchError>>>,
}

/// The indexer as others see it. When it is dropped, the thread ends after the batch that it is at.
#[derive(Debug)]
pub struct IndexerHandle {
    path: PathBuf,
    indexed: watch::Receiver<Cursor>,
    failure: watch::Receiver<Option<Arc<SearchError>>>,
    close: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Indexer {
    /// Opens the index at `search` (builds it again if it must be) and starts to fill it from the journal at `journal`,
    /// up to what `synced` says. When this returns, a [`Lookup`](super::Lookup) can be opened.
    ///
    /// # Errors
    /// If the index cannot be opened or knows more than the journal, if the journal cannot be read, or if the thread
    /// cannot be started.
    pub fn spawn(
        journal: &Path,
        search: &Path,
        config: &SearchConfig,
        synced: watch::Receiver<Cursor>,
    ) -> Result<IndexerHandle, SearchError> {
        let reader = Reader::open(journal)?;
        let index = Index::open(search, reader.last()?)?;
        let (indexed_sender, indexed) = watch::channel(index.indexed());
        let (failure_sender, failure) = watch::channel(None);
        let (close, closed) = watch::channel(false);
        let indexer = Self {
            path: search.to_owned(),
            index,
            reader,
            config: config.clone(),
            synced,
            closed,
            indexed: indexed_sender,
            failure: failure_sender,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(SearchError::Thread)?;
        let thread = thread::Builder::new()
            .name("indexer".to_owned())
            .spawn(move || {
                yield_to_intake();
                runtime.block_on(indexer.run());
            })
            .map_err(SearchError::Thread)?;
        Ok(IndexerHandle { path: search.to_owned(), indexed, failure, close, thread: Some(thread) })
    }

    /// Follows the journal. A batch that failed left the index as it was, so it is tried again; damage is not.
    async fn run(mut self) {
        while let Err(error) = self.follow().await {
            if error.is_damage() {
                tracing::error!(%error, "the index is damaged; the next start builds it again");
                if let Err(error) = super::discard(&self.path) {
                    tracing::error!(%error, "remove the index by hand");
                }
                self.failure.send_replace(Some(Arc::new(error)));
                return;
            }
            tracing::warn!(%error, "the index falls behind; the batch is tried again");
            self.export(self.index.indexed());
            drop(tokio::time::timeout(RETRY_AFTER, self.closed.wait_for(|closed| *closed)).await);
        }
    }

    async fn follow(&mut self) -> Result<(), SearchError> {
        while self.gather().await {
            let waiting = self.synced.borrow().0.saturating_sub(self.index.indexed().0);
            let batch = usize::try_from(waiting).unwrap_or(usize::MAX);
            let batch = batch.min(self.config.batch_records_max);
            let entries = self.reader.read_after(self.index.indexed(), batch)?;
            self.index.add(&entries)?;
            let indexed = self.index.indexed();
            self.indexed.send_replace(indexed);
            self.export(indexed);
        }
        Ok(())
    }

    /// Waits until there is a batch to index; false when closed.
    async fn gather(&mut self) -> bool {
        let indexed = self.index.indexed();
        let full = indexed.0.saturating_add(self.config.batch_records_max as u64);
        let batch_wait = self.config.batch_wait;
        let synced = &mut self.synced;
        let fill = async {
            // When the writer has ended, this is an error only once all that it synced is indexed.
            if synced.wait_for(|synced| *synced > indexed).await.is_err() {
                return false;
            }
            let filled = synced.wait_for(|synced| synced.0 >= full);
            drop(tokio::time::timeout(batch_wait, filled).await);
            true
        };
        tokio::select! {
            biased;
            _ = self.closed.wait_for(|closed| *closed) => false,
            ready = fill => ready,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn export(&self, indexed: Cursor) {
        let lag = self.synced.borrow().0.saturating_sub(indexed.0);
        metrics::gauge!("gateway_search_lag_records").set(lag as f64);
        metrics::counter!("gateway_search_records_total").absolute(indexed.0);
    }
}

/// Linux gives every thread a priority of its own. Where that is refused, the indexer is only less polite.
fn yield_to_intake() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(%error, "the indexer runs at ordinary priority");
    }
}

impl IndexerHandle {
    /// The file that is filled.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records up to here can be looked up.
    #[must_use]
    pub fn indexed(&self) -> watch::Receiver<Cursor> {
        self.indexed.clone()
    }

    /// Why indexing stopped, once it has: the index was damaged and is removed. Then the process must stop, because
    /// copies can no longer be told apart; its next start builds the index again.
    #[must_use]
    pub fn failure(&self) -> watch::Receiver<Option<Arc<SearchError>>> {
        self.failure.clone()
    }

    /// Ends the thread after the batch that it is at, and returns how far it came.
    ///
    /// # Errors
    /// Why indexing stopped before its end.
    pub fn close(mut self) -> Result<Cursor, Arc<SearchError>> {
        self.close.send_replace(true);
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        debug_assert!(!panicked, "the indexer's thread panicked");
        match self.failure.borrow().as_ref() {
            Some(error) => Err(Arc::clone(error)),
            None => Ok(*self.indexed.borrow()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::JournalConfig;
    use crate::journal::testing::{record, records};
    use crate::journal::{Journal, Writer};
    use crate::search::Lookup;

    const CONFIG: SearchConfig =
        SearchConfig { batch_records_max: 7, batch_wait: Duration::from_millis(1) };

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn follows_the_journal_and_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, search) = (dir.path().join("journal.db"), dir.path().join("search.db"));
        let mut opened = Journal::open(&journal, &JournalConfig::default()).unwrap();
        opened.append(&records(1..=30)).unwrap();
        let writer = Writer::spawn(opened, |_| {}).unwrap();
        for round in 0..2 {
            let indexer = Indexer::spawn(&journal, &search, &CONFIG, writer.synced()).unwrap();
            let base = 30 + round * 20;
            (base + 1..=base + 20).for_each(|cursor| writer.append(record(cursor)));
            block_on(indexer.indexed().wait_for(|indexed| indexed.0 == base + 20)).unwrap();
            assert_eq!(indexer.close().unwrap(), Cursor(base + 20));
        }
        let lookup = Lookup::open(&search).unwrap();
        assert_eq!(lookup.indexed().unwrap(), Cursor(70));
        for record in (1..=70).map(record) {
            assert_eq!(lookup.find(record.message_id).unwrap().unwrap().cursor, record.cursor);
        }
    }

    #[test]
    fn indexes_nothing_that_is_not_synced() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, search) = (dir.path().join("journal.db"), dir.path().join("search.db"));
        let mut opened = Journal::open(&journal, &JournalConfig::default()).unwrap();
        opened.append(&records(1..=3)).unwrap();
        let (_synced, never) = watch::channel(Cursor(0));
        let indexer = Indexer::spawn(&journal, &search, &CONFIG, never).unwrap();
        assert_eq!(indexer.close().unwrap(), Cursor(0));
    }

    #[test]
    fn catches_up_and_ends_when_the_writer_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, search) = (dir.path().join("journal.db"), dir.path().join("search.db"));
        let opened = Journal::open(&journal, &JournalConfig::default()).unwrap();
        let writer = Writer::spawn(opened, |_| {}).unwrap();
        let indexer = Indexer::spawn(&journal, &search, &CONFIG, writer.synced()).unwrap();
        writer.append_all(&mut records(1..=40));
        writer.close().unwrap();
        let mut indexed = indexer.indexed();
        block_on(async { while indexed.changed().await.is_ok() {} });
        assert_eq!(indexer.close().unwrap(), Cursor(40));
    }
}
