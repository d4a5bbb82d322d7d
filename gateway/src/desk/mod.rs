//! Drives the desk: one thread that brings it everything that happens and does what it wants done.
//!
//! It decides nothing. It reads the lane only while the desk wants more, so that whatever is behind (the disk, the
//! index) slows the senders and loses nothing; it never waits for the journal, a look-up or a sender. Operators ask through
//! [`Decisions`].

mod answers;
mod decisions;
mod exports;
mod recall;

use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pipeline::policy::Policy;
use pipeline::{Cursor, Desk, Entry, Fleet, Input, Output, Routing, Time, ZoneId, Zones};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use self::answers::{Answers, Question};
use self::decisions::{Asked, Deciding};
pub use self::decisions::{Decisions, Undecided, decisions};
use self::exports::Exports;
pub use self::recall::{RecallError, Sources, recall};
use crate::clock;
use crate::hints::Hints;
use crate::intake::{BATCH_MAX, Proven, Receipts, shard_of};
use crate::journal::{Reader, WriterHandle};
use crate::registry::Registry;
use crate::search::Lookup;
use crate::serve::METRICS_UPKEEP;
use crate::telemetry::{Stage, StageTimer};

/// Batches taken from the lane at once: a few hundred microseconds of work.
const BATCHES_MAX: usize = 16;
/// How long the time of day is trusted to pass evenly.
const CLOCK_LOOKED_AT: Duration = Duration::from_secs(1);

/// What the desk's thread is made of.
pub struct DeskParts {
    /// The desk, told of the past.
    pub desk: Desk,
    /// What it wants done because of that.
    pub wanted: Vec<Output>,
    /// What the shards have proven.
    pub lane: mpsc::Receiver<Proven>,
    /// Where each shard waits for its receipts. There are never more under way than the desk has in hand.
    pub receipts: Vec<mpsc::UnboundedSender<Receipts>>,
    /// Where records go.
    pub writer: WriterHandle,
    /// How far the index is.
    pub indexed: watch::Receiver<Cursor>,
    /// Where ids are looked up.
    pub lookup: Lookup,
    /// Where alerts are read back.
    pub reader: Reader,
    /// Who is enrolled.
    pub registry: Arc<Registry>,
    /// Where shards read how devices stand.
    pub hints: Arc<Hints>,
    /// What operators ask.
    pub asked: Asked,
    /// Arrivals without a receipt, at most: no more ids can be asked for at one time.
    pub in_hand_max: usize,
    /// Decisions that operators wait for, at most.
    pub decisions_max: usize,
    /// What the desk goes by.
    pub in_force: InForce,
}

/// Zones that have subscribers of their own; nothing: not known.
pub type Attended = Option<Arc<BTreeSet<ZoneId>>>;

/// What the desk goes by and what can change while it works.
pub struct InForce {
    /// The zones.
    pub zones: watch::Receiver<Arc<Zones>>,
    /// The policy.
    pub policy: watch::Receiver<Arc<Policy>>,
    /// The routing.
    pub routing: watch::Receiver<Arc<Routing>>,
    /// How many devices are enrolled.
    pub fleet: watch::Receiver<Arc<Fleet>>,
    /// Which zones have subscribers of their own.
    pub attended: watch::Receiver<Attended>,
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
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let questions_max = parts.in_hand_max + BATCHES_MAX * BATCH_MAX + parts.decisions_max;
    let (ask, questions) = mpsc::channel(questions_max);
    let (answer, answers) = mpsc::channel(questions_max);
    let source = Answers { lookup: parts.lookup, reader: parts.reader, registry: parts.registry };
    thread::Builder::new()
        .name("lookup".to_owned())
        .spawn(move || source.run(questions, &answer))?;
    let mut driver = Driver {
        desk: parts.desk,
        writer: parts.writer,
        ask,
        shards: parts
            .receipts
            .into_iter()
            .map(|receipts| Shard { receipts, ready: vec![] })
            .collect(),
        appended: vec![],
        hints: parts.hints,
        deciding: Deciding::default(),
        stage: Stage::Desk.timer(),
        exports: Exports::new(),
    };
    parts.wanted.into_iter().for_each(|output| driver.perform(output));
    let events = Events {
        lane: parts.lane,
        synced: driver.writer.synced(),
        indexed: parts.indexed,
        answers,
        in_force: parts.in_force,
        asked: parts.asked,
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
    lane: mpsc::Receiver<Proven>,
    synced: watch::Receiver<Cursor>,
    indexed: watch::Receiver<Cursor>,
    answers: mpsc::Receiver<Input>,
    in_force: InForce,
    asked: Asked,
}

struct Driver {
    desk: Desk,
    writer: WriterHandle,
    ask: mpsc::Sender<Question>,
    shards: Vec<Shard>,
    appended: Vec<Entry>,
    hints: Arc<Hints>,
    deciding: Deciding,
    stage: StageTimer,
    exports: Exports,
}

/// A shard as the desk sees it.
struct Shard {
    receipts: mpsc::UnboundedSender<Receipts>,
    /// Receipts of this turn.
    ready: Receipts,
}

impl Driver {
    async fn run(mut self, mut events: Events) -> WriterHandle {
        self.deliver();
        let mut taken = Vec::with_capacity(BATCHES_MAX);
        let mut open = true;
        let mut measures = interval(METRICS_UPKEEP);
        measures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while open || self.desk.in_hand() > 0 {
            tokio::select! {
                biased;
                changed = events.synced.changed() => {
                    let synced = *events.synced.borrow_and_update();
                    self.handle(Input::Synced(synced));
                    // The journal has ended, with an error: nobody in hand will have a receipt.
                    if changed.is_err() { break; }
                }
                Some(answer) = events.answers.recv() => self.handle(answer),
                Ok(()) = events.indexed.changed() => {
                    let indexed = *events.indexed.borrow_and_update();
                    self.handle(Input::Indexed(indexed));
                }
                Ok(()) = events.in_force.zones.changed() => {
                    let zones = Arc::clone(&events.in_force.zones.borrow_and_update());
                    self.handle(Input::Rezoned(zones));
                }
                Ok(()) = events.in_force.policy.changed() => {
                    let policy = Arc::clone(&events.in_force.policy.borrow_and_update());
                    // They were made by the old policy.
                    self.hints.forget();
                    self.handle(Input::Ruled(policy));
                }
                Ok(()) = events.in_force.routing.changed() => {
                    let routing = Arc::clone(&events.in_force.routing.borrow_and_update());
                    self.handle(Input::Routed(routing));
                }
                Ok(()) = events.in_force.attended.changed() => {
                    let attended = events.in_force.attended.borrow_and_update().clone();
                    self.handle(Input::Attended(attended));
                }
                Ok(()) = events.in_force.fleet.changed() => {
                    let fleet = Arc::clone(&events.in_force.fleet.borrow_and_update());
                    self.handle(Input::Fleet(fleet));
                }
                Some((request, answer)) = events.asked.recv() => {
                    let ticket = self.deciding.wait(answer);
                    self.handle(Input::Decide { ticket, request });
                }
                _ = measures.tick() => {
                    // A clock that was set back is seen though nothing happens, so that no alert waits for it.
                    self.handle(Input::Tick);
                    self.exports.measure(&self.desk.sizes());
                }
                () = until(self.desk.next_deadline()) => self.handle(Input::Tick),
                count = events.lane.recv_many(&mut taken, BATCHES_MAX), if open && self.desk.wants_more() => {
                    open = count > 0;
                    for Proven { arrivals, since } in taken.drain(..) {
                        let count = arrivals.len();
                        for arrival in arrivals {
                            self.handle(Input::Arrived(arrival));
                        }
                        self.stage.record_each(since.elapsed(), count);
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
        let now = clock::now();
        self.hints.pass(now);
        self.desk.handle(input, now);
        while let Some(output) = self.desk.poll_output() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Append(entry) => {
                self.exports.appended(&entry);
                self.appended.push(entry);
            }
            Output::Reply(ticket, receipt) => {
                let shard = self.shards.get_mut(shard_of(ticket));
                debug_assert!(shard.is_some(), "tickets are given by shards");
                shard.into_iter().for_each(|shard| shard.ready.push((ticket, receipt)));
            }
            Output::Decided(ticket, answer) => self.deciding.answer(ticket, answer),
            Output::LookUp(id) => self.ask(Question::LookUp(id)),
            Output::Recollect { alert, cursor } => self.ask(Question::Recollect(alert, cursor)),
            Output::Hint(device, hint) => self.hints.set(device, hint),
        }
    }

    fn ask(&self, question: Question) {
        let asked = self.ask.try_send(question);
        debug_assert!(asked.is_ok(), "the desk asks no more than it has in hand");
    }
}

/// Waits for the desk's next deadline. The desk goes by the time of day, which can step, so it is asked again at times.
async fn until(deadline: Option<Time>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    loop {
        let left = Duration::from_micros(deadline.since(clock::now()).0);
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(CLOCK_LOOKED_AT)).await;
    }
}
