//! The one thread that writes: takes whatever queued while the last commit was being synced, and commits it.
//!
//! An alert that comes alone is on its way to the disk at once. Under load batches fill by themselves, because a sync
//! takes longer than an arrival; but a commit burns as much of a core as two signature checks, whatever its size, so
//! after a commit of several records the next one lets records gather for a moment (`commit_wait`). Entries are handed
//! over under a lock that is held for the length of a push. The queue is bounded by its caller, who knows what is not
//! synced yet.
//!
//! After an error the thread has ended: nothing is retried, `synced` never moves again, and `failure` says why.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};
use pipeline::{Cursor, Entry};
use tokio::sync::watch;

use super::{Journal, JournalError};
use crate::clock;
use crate::telemetry::{Stage, StageTimer};

/// A commit of as many records shows load, thousands a second: the next one waits for [`GATHERED_MAX`], or for
/// `commit_wait`.
const GATHERED: usize = 32;
/// Records for which nobody waits longer.
const GATHERED_MAX: usize = 256;

/// Starts the thread that writes.
#[derive(Debug)]
pub struct Writer {
    journal: Journal,
    queue: Arc<Queue>,
    synced: watch::Sender<Cursor>,
    failure: watch::Sender<Option<Arc<JournalError>>>,
}

/// The writer as others see it. When it is dropped, the thread writes what is queued and ends.
#[derive(Debug)]
pub struct WriterHandle {
    queue: Arc<Queue>,
    synced: watch::Receiver<Cursor>,
    failure: watch::Receiver<Option<Arc<JournalError>>>,
    thread: Option<JoinHandle<()>>,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Queue {
    inbox: Mutex<Inbox>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Inbox {
    entries: Vec<Entry>,
    /// The writer waits for so many entries: the push that makes them up wakes it. Spares a system call for all others.
    wanted: Option<usize>,
    /// Nothing more will be appended.
    closed: bool,
    /// The writer has ended: what is appended is dropped, and nobody will be told that it was received.
    ended: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the inbox and wakes the writer if that is what it waits for.
    fn change(&self, change: impl FnOnce(&mut Inbox)) {
        let mut inbox = self.lock();
        change(&mut inbox);
        let enough =
            inbox.wanted.is_some_and(|wanted| inbox.closed || inbox.entries.len() >= wanted);
        if enough {
            inbox.wanted = None;
        }
        drop(inbox);
        if enough {
            self.filled.notify_one();
        }
    }

    /// Everything that is queued, waiting for some; nothing once the queue is closed and empty. Once there is some, more
    /// may gather for `patience`.
    fn take(&self, patience: Duration) -> Option<Vec<Entry>> {
        let mut inbox = self.lock();
        while inbox.entries.is_empty() {
            if inbox.closed {
                return None;
            }
            inbox.wanted = Some(1);
            inbox = self.filled.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
        if !patience.is_zero() && inbox.entries.len() < GATHERED_MAX && !inbox.closed {
            inbox.wanted = Some(GATHERED_MAX);
            let waited =
                self.filled.wait_timeout_while(inbox, patience, |inbox| inbox.wanted.is_some());
            inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inbox.wanted = None;
        Some(mem::take(&mut inbox.entries))
    }

    fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }
}

impl Writer {
    /// Starts the writer. After each sync `sink` is given the entries that were synced, in order, and then `synced`
    /// advances; so whoever sees a cursor there knows that `sink` had its entry. `sink` must not block. Promotions have
    /// the raise that they show.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn spawn(
        journal: Journal,
        sink: impl FnMut(Vec<Entry>) + Send + 'static,
    ) -> Result<WriterHandle, JournalError> {
        let queue = Arc::new(Queue::default());
        let (synced_sender, synced) = watch::channel(journal.last());
        let (failure_sender, failure) = watch::channel(None);
        let writer = Self {
            journal,
            queue: Arc::clone(&queue),
            synced: synced_sender,
            failure: failure_sender,
        };
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(sink))
            .map_err(JournalError::Thread)?;
        Ok(WriterHandle { queue, synced, failure, thread: Some(thread) })
    }

    fn run(mut self, mut sink: impl FnMut(Vec<Entry>)) {
        if let Err(error) = self.write(&mut sink) {
            tracing::error!(%error, "the journal stopped; nothing more is received");
            self.failure.send_replace(Some(Arc::new(error)));
        }
    }

    fn write(&mut self, sink: &mut impl FnMut(Vec<Entry>)) -> Result<(), JournalError> {
        let events = Events::new();
        let mut patience = Duration::ZERO;
        while let Some(mut entries) = self.queue.take(patience) {
            let busy = entries.len() >= GATHERED;
            patience = if busy { self.journal.commit_wait() } else { Duration::ZERO };
            while !entries.is_empty() {
                let rest = entries.split_off(entries.len().min(self.journal.commit_records_max()));
                let started = clock::monotonic();
                self.journal.append(&entries)?;
                events.committed(entries.len(), started.elapsed());
                self.journal.fill_raises(&mut entries)?;
                sink(entries);
                self.synced.send_replace(self.journal.last());
                let started = clock::monotonic();
                if self.journal.checkpoint(rest.is_empty() && self.queue.is_empty())? {
                    events.checkpoint_seconds.record(started.elapsed());
                }
                entries = rest;
            }
        }
        Ok(())
    }
}

/// What the thread exports. Handles are made once: a look-up by name for every commit would be paid by every alert.
struct Events {
    commits: Counter,
    records: Counter,
    /// From the first record of a commit to the end of its sync.
    commit_seconds: Histogram,
    /// What a copy of the write-ahead log into the database adds to the wait of the next commit.
    checkpoint_seconds: Histogram,
    stage: StageTimer,
}

impl Events {
    fn new() -> Self {
        Self {
            commits: counter!("gateway_journal_commits_total"),
            records: counter!("gateway_journal_records_total"),
            commit_seconds: histogram!("gateway_journal_commit_seconds"),
            checkpoint_seconds: histogram!("gateway_journal_checkpoint_seconds"),
            stage: Stage::Sync.timer(),
        }
    }

    fn committed(&self, records: usize, took: Duration) {
        self.commits.increment(1);
        self.records.increment(records as u64);
        self.commit_seconds.record(took);
        self.stage.record_each(took, records);
    }
}

impl Drop for Writer {
    /// However the thread ends, nobody queues for it any more.
    fn drop(&mut self) {
        let mut inbox = self.queue.lock();
        inbox.ended = true;
        inbox.entries = Vec::new();
    }
}

impl WriterHandle {
    /// Queues an entry: the one behind the last that was queued. Never blocks. After a failure it is dropped.
    pub fn append(&self, entry: impl Into<Entry>) {
        let entry = entry.into();
        self.queue.change(|inbox| {
            if !inbox.ended {
                inbox.entries.push(entry);
            }
        });
    }

    /// Queues `entries` in their order and leaves the vector empty: one lock and one wake-up for all of them.
    pub fn append_all(&self, entries: &mut Vec<Entry>) {
        self.queue.change(|inbox| {
            if inbox.ended {
                entries.clear();
            } else {
                inbox.entries.append(entries);
            }
        });
    }

    /// The last entry that is on disk.
    #[must_use]
    pub fn synced(&self) -> watch::Receiver<Cursor> {
        self.synced.clone()
    }

    /// Why writing stopped, once it has. Then the process must stop: it can receive nothing.
    #[must_use]
    pub fn failure(&self) -> watch::Receiver<Option<Arc<JournalError>>> {
        self.failure.clone()
    }

    /// Writes what is queued, ends the thread, closes the file and returns the last cursor that is on disk.
    ///
    /// # Errors
    /// Why writing stopped before its end.
    pub fn close(mut self) -> Result<Cursor, Arc<JournalError>> {
        self.queue.change(|inbox| inbox.closed = true);
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        debug_assert!(!panicked, "the journal's thread panicked");
        match self.failure.borrow().as_ref() {
            Some(error) => Err(Arc::clone(error)),
            None => Ok(*self.synced.borrow()),
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.queue.change(|inbox| inbox.closed = true);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;
    use crate::config::JournalConfig;
    use crate::journal::Reader;
    use crate::journal::testing::{record, records};

    fn open(path: &Path, commit_records_max: usize) -> Journal {
        Journal::open(path, &JournalConfig { commit_records_max, ..JournalConfig::default() })
            .unwrap()
    }

    #[test]
    fn every_record_reaches_the_disk_and_then_the_sink_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let (given, sink) = mpsc::channel();
        let mut reader_path = Some(path.clone());
        let mut reader = None;
        let writer = Writer::spawn(open(&path, 16), move |records| {
            let reader =
                reader.get_or_insert_with(|| Reader::open(&reader_path.take().unwrap()).unwrap());
            assert_eq!(reader.last().unwrap(), records.last().unwrap().cursor());
            given.send(records).unwrap();
        })
        .unwrap();
        for cursor in 1..=100 {
            writer.append(record(cursor));
        }
        let mut more = records(101..=200);
        writer.append_all(&mut more);
        assert!(more.is_empty());
        assert_eq!(writer.close().unwrap(), Cursor(200));

        let batches: Vec<_> = sink.iter().collect();
        assert!(batches.iter().all(|batch| (1..=16).contains(&batch.len())));
        assert_eq!(batches.concat(), records(1..=200));
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.read_after(Cursor(0), usize::MAX).unwrap(), records(1..=200));
    }

    #[test]
    fn synced_follows_without_waiting_for_a_batch_to_fill() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::spawn(open(&dir.path().join("journal.db"), 512), |_| {}).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut synced = writer.synced();
        for cursor in 1..=20 {
            writer.append(record(cursor));
            let reached = synced.wait_for(|synced| *synced == Cursor(cursor));
            runtime.block_on(reached).unwrap();
        }
    }

    #[test]
    fn after_a_failure_nothing_is_synced_and_the_reason_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let (given, sink) = mpsc::channel();
        let writer =
            Writer::spawn(open(&path, 512), move |records| given.send(records).unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        writer.append(record(2));
        let mut failure = writer.failure();
        runtime.block_on(failure.wait_for(Option::is_some)).unwrap();
        writer.append(record(1));
        assert_eq!(*writer.synced().borrow(), Cursor(0));
        let error = writer.close().unwrap_err();
        assert!(matches!(*error, JournalError::Refused { cursor: Cursor(2), .. }), "{error}");
        assert!(sink.iter().next().is_none());
        assert_eq!(open(&path, 512).last(), Cursor(0));
    }

    #[test]
    fn a_dropped_handle_ends_the_thread_after_what_was_queued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let (given, sink) = mpsc::channel();
        let writer =
            Writer::spawn(open(&path, 512), move |records| given.send(records).unwrap()).unwrap();
        writer.append(record(1));
        drop(writer);
        assert_eq!(sink.iter().collect::<Vec<_>>().concat(), records([1]));
    }
}
