//! Drives the desk: one thread that brings it everything that happens and does what it wants done.
//!
//! It decides nothing. It reads the lane only while the desk wants more, so that whatever is behind (the disk, the
//! index) slows the senders and loses nothing; it never waits for the journal, a look-up or a sender.

use std::io;
use std::mem;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use pipeline::{Arrival, Cursor, Desk, Entry, Found, Input, Output, Zones};
use protocol::MessageId;
use tokio::runtime;
use tokio::sync::{mpsc, watch};

use crate::clock;
use crate::intake::{BATCH_MAX, Receipts, shard_of};
use crate::journal::WriterHandle;
use crate::search::Lookup;

/// Batches taken from the lane at once: a few hundred microseconds of work.
const BATCHES_MAX: usize = 16;

/// What the desk's thread is made of.
pub struct DeskParts {
    /// The desk, told of the past.
    pub desk: Desk,
    /// What the shards have proven.
    pub lane: mpsc::Receiver<Vec<Arrival>>,
    /// Where each shard waits for its receipts. There are never more under way than the desk has in hand.
    pub receipts: Vec<mpsc::UnboundedSender<Receipts>>,
    /// Where records go.
    pub writer: WriterHandle,
    /// How far the index is.
    pub indexed: watch::Receiver<Cursor>,
    /// Where ids are looked up.
    pub lookup: Lookup,
    /// Arrivals without a receipt, at most: no more ids can be asked for at one time.
    pub in_hand_max: usize,
    /// The zones in force.
    pub zones: watch::Receiver<Arc<Zones>>,
}

/// The running desk.
pub struct DeskHandle {
    thread: JoinHandle<WriterHandle>,
}

/// Starts the desk's thread and that of its look-ups. It ends when every shard has let go of the lane and everybody
/// in hand has a receipt.
///
/// # Errors
/// If the system grants no thread or no runtime.
pub fn spawn(parts: DeskParts) -> Result<DeskHandle, io::Error> {
    let runtime = runtime::Builder::new_current_thread().build()?;
    let lookups_max = parts.in_hand_max + BATCHES_MAX * BATCH_MAX;
    let (ask, asked) = mpsc::channel(lookups_max);
    let (answer, answers) = mpsc::channel(lookups_max);
    let lookup = parts.lookup;
    thread::Builder::new()
        .name("lookup".to_owned())
        .spawn(move || answer_lookups(lookup, asked, &answer))?;
    let driver = Driver {
        desk: parts.desk,
        writer: parts.writer,
        ask,
        shards: parts
            .receipts
            .into_iter()
            .map(|receipts| Shard { receipts, ready: vec![] })
            .collect(),
        appended: vec![],
    };
    let events = Events {
        lane: parts.lane,
        synced: driver.writer.synced(),
        indexed: parts.indexed,
        answers,
        zones: parts.zones,
    };
    let thread = thread::Builder::new()
        .name("desk".to_owned())
        .spawn(move || runtime.block_on(driver.run(events)))?;
    Ok(DeskHandle { thread })
}

impl DeskHandle {
    /// Waits for the desk's end and hands the journal's writer back; nothing if the desk panicked.
    #[must_use]
    pub fn join(self) -> Option<WriterHandle> {
        self.thread.join().ok()
    }
}

/// Everything that the desk is told about.
struct Events {
    lane: mpsc::Receiver<Vec<Arrival>>,
    synced: watch::Receiver<Cursor>,
    indexed: watch::Receiver<Cursor>,
    answers: mpsc::Receiver<(MessageId, Option<Found>)>,
    zones: watch::Receiver<Arc<Zones>>,
}

struct Driver {
    desk: Desk,
    writer: WriterHandle,
    ask: mpsc::Sender<MessageId>,
    shards: Vec<Shard>,
    appended: Vec<Entry>,
}

/// A shard as the desk sees it.
struct Shard {
    receipts: mpsc::UnboundedSender<Receipts>,
    /// Receipts of this turn.
    ready: Receipts,
}

impl Driver {
    async fn run(mut self, mut events: Events) -> WriterHandle {
        let mut taken = Vec::with_capacity(BATCHES_MAX);
        let mut open = true;
        while open || self.desk.in_hand() > 0 {
            tokio::select! {
                biased;
                changed = events.synced.changed() => {
                    let synced = *events.synced.borrow_and_update();
                    self.handle(Input::Synced(synced));
                    // The journal has ended, with an error: nobody in hand will have a receipt.
                    if changed.is_err() { break; }
                }
                Some((id, found)) = events.answers.recv() => {
                    self.handle(Input::LookedUp { id, found });
                }
                Ok(()) = events.indexed.changed() => {
                    let indexed = *events.indexed.borrow_and_update();
                    self.handle(Input::Indexed(indexed));
                }
                Ok(()) = events.zones.changed() => {
                    let zones = Arc::clone(&events.zones.borrow_and_update());
                    self.handle(Input::Rezoned(zones));
                }
                count = events.lane.recv_many(&mut taken, BATCHES_MAX), if open && self.desk.wants_more() => {
                    open = count > 0;
                    for arrival in taken.drain(..).flatten() {
                        self.handle(Input::Arrived(arrival));
                    }
                }
            }
            self.deliver();
        }
        self.writer
    }

    /// Passes on what this turn came to: one wake-up for the journal and one for each shard, however much it is.
    fn deliver(&mut self) {
        if !self.appended.is_empty() {
            self.writer.append_all(&mut self.appended);
        }
        for shard in self.shards.iter_mut().filter(|shard| !shard.ready.is_empty()) {
            // A shard that has ended waits for nothing.
            shard.receipts.send(mem::take(&mut shard.ready)).ok();
        }
    }

    fn handle(&mut self, input: Input) {
        self.desk.handle(input, clock::now());
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Append(entry) => self.appended.push(entry),
                Output::Reply(ticket, receipt) => {
                    let shard = self.shards.get_mut(shard_of(ticket));
                    debug_assert!(shard.is_some(), "tickets are given by shards");
                    shard.into_iter().for_each(|shard| shard.ready.push((ticket, receipt)));
                }
                Output::LookUp(id) => {
                    let asked = self.ask.try_send(id);
                    debug_assert!(
                        asked.is_ok(),
                        "the desk asks for no more ids than it has in hand"
                    );
                }
                // Nobody asks for decisions here, and no rule makes any.
                Output::Decided(..) | Output::Recollect { .. } | Output::Hint(..) => {}
            }
        }
    }
}

/// Answers look-ups until the desk has ended.
///
/// An index that cannot be read answers as if it knew nothing: a press paged twice is better than one lost.
fn answer_lookups(
    lookup: Lookup,
    mut asked: mpsc::Receiver<MessageId>,
    answer: &mpsc::Sender<(MessageId, Option<Found>)>,
) {
    let failures = metrics::counter!("gateway_lookup_failures_total");
    let lookups = metrics::counter!("gateway_lookups_total");
    while let Some(id) = asked.blocking_recv() {
        lookups.increment(1);
        let found = lookup.find(id).unwrap_or_else(|error| {
            failures.increment(1);
            tracing::warn!(%error, "the index cannot be read; a copy may be taken for a first press");
            None
        });
        if answer.blocking_send((id, found)).is_err() {
            return;
        }
    }
}
