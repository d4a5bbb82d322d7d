//! The desk: the one writer that decides about every verified message, in one order.
//!
//! It is given arrivals, operators' demands, how far the journal is synced and the index filled, and the answers to its
//! own questions. It yields, in order, lines to append, receipts and answers to send, and questions. It never says
//! `received`, `duplicate` or `held` before the first copy is synced (promise 1), never makes two records of one message
//! (promise 2), and never refuses a raise (promise 3): while it has too much in hand, [`Desk::wants_more`] is false and
//! the caller stops reading.
//!
//! Whether a message is a copy is answered by its id, here: from [`Memory`], or without any question if the device's
//! counters advance, or else from the index, while the arrival waits in [`Parked`]. What becomes of a message that is no
//! copy is in `admit`, where it goes in `route`, what operators decide in `decide` and `answer`, what the policy
//! decides in `rule`, what a start tells in `recall`.

mod admit;
mod answer;
mod decide;
mod fleet;
mod incident;
mod io;
mod lately;
mod memory;
mod parked;
mod recall;
mod receipts;
mod request;
mod route;
mod rule;
mod sent;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use protocol::{AlertId, Kind, MessageId, Reason, Receipt, Status};

pub use self::fleet::{Batch, Fleet};
pub use self::io::{Arrival, DeskConfig, Found, Input, Output, Past, Recollected, Ticket};
use self::memory::{Memory, Raised};
use self::parked::{Parked, Question};
use self::recall::Unfinished;
use self::receipts::{Receipts, Waiting};
pub use self::request::{About, DecisionAnswer, DecisionRefusal, Demand, Reach, Request};
use self::sent::{Order, Sent};
use crate::admission::{Admission, AdmissionSizes};
use crate::answer::Answering;
use crate::{Cursor, Incidents, Policy, Time, Zones};

/// The one writer.
#[derive(Debug)]
pub struct Desk {
    config: DeskConfig,
    zones: Arc<Zones>,
    sent: Sent,
    memory: Memory,
    parked: Parked,
    receipts: Receipts,
    admission: Admission,
    incidents: Incidents,
    answering: Answering,
    /// Demands about alerts that wait for their raise to be read.
    recollecting: BTreeMap<AlertId, Vec<(Ticket, Request)>>,
    recollecting_len: usize,
    /// The past was told, or the policy changed, and what either leaves to be done was not looked for yet.
    resuming: bool,
    unfinished: Option<Unfinished>,
    journaled: Cursor,
    outputs: VecDeque<Output>,
}

/// How full the desk's tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeskSizes {
    /// Messages and demands without an answer.
    pub in_hand: usize,
    /// Lines of the journal that the index does not hold yet.
    pub unindexed: usize,
    /// Incidents that alerts may still join.
    pub incidents: usize,
    /// Places that are kept of them.
    pub incident_places: usize,
    /// Alerts that wait for an answer.
    pub open_alerts: usize,
    /// Alerts of which it is known whether whoever pressed moves or has gone quiet.
    pub tracked_alerts: usize,
    /// What is known of devices and presses.
    pub admission: AdmissionSizes,
}

/// The alert that an update or cancel names, as far as it is known.
enum Named {
    /// Raised by the same device.
    Own(Raised),
    /// Raised by another device.
    Foreign,
    /// Never seen.
    Unknown,
}

/// A first copy.
#[derive(Clone, Copy)]
struct First {
    cursor: Cursor,
    /// It is a raise that nobody was paged for.
    held: bool,
}

impl Desk {
    /// A desk over a journal whose last line is `journaled` (0 when it is empty) and synced.
    #[must_use]
    pub fn new(
        config: DeskConfig,
        zones: Arc<Zones>,
        policy: Arc<Policy>,
        journaled: Cursor,
    ) -> Self {
        Self {
            incidents: Incidents::new(&policy.incident, config.witnesses_max),
            answering: Answering::new(config.open_max, &policy.motion),
            admission: Admission::new(policy, &config),
            config,
            zones,
            sent: Sent::default(),
            memory: Memory::new(journaled.next()),
            parked: Parked::default(),
            receipts: Receipts::new(journaled),
            recollecting: BTreeMap::new(),
            recollecting_len: 0,
            resuming: false,
            unfinished: None,
            journaled,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. What follows from it is read with [`poll_output`](Self::poll_output).
    pub fn handle(&mut self, input: Input, now: Time) {
        match input {
            Input::Arrived(arrival) => {
                self.catch_up(now);
                self.arrived(arrival, now);
            }
            Input::LookedUp { id, found } => {
                self.catch_up(now);
                self.looked_up(id, found.as_ref(), now);
            }
            Input::Decide { ticket, request } => {
                self.catch_up(now);
                self.demanded(ticket, request, now);
            }
            Input::Recollected { alert, found } => {
                self.catch_up(now);
                self.recollected(alert, found.as_ref(), now);
            }
            Input::Tick => self.catch_up(now),
            Input::Synced(cursor) => self.synced(cursor, now),
            Input::Indexed(cursor) => self.memory.indexed(cursor, self.config.remembered_max),
            Input::Counted(device, counters) => self.sent.count(device, counters),
            Input::Stands { index, device, standing } => self.stands(index, device, &standing, now),
            Input::Recalled(past) => self.recalled(past),
            Input::Rezoned(zones) => {
                self.zones = zones;
                self.answering.rezone();
            }
            Input::Ruled(policy) => {
                self.incidents.set(&policy.incident);
                self.answering.set_motion(&policy.motion);
                self.admission.rule(policy);
                self.resuming = true;
            }
            Input::Fleet(fleet) => self.admission.count_fleet(fleet),
            Input::Routed(routing) => self.answering.set_routing(routing),
            Input::Attended(listening) => self.answering.attend(listening, now),
            Input::Prepared { zone, drill_until, posture } => {
                self.answering.prepare(&zone, drill_until, posture);
            }
        }
    }

    /// The next thing to be done, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle`](Self::handle) should next be called though nothing happened: at once after the past was told or
    /// the policy changed, when the next block ends, when the next alert climbs, and when whoever pressed may
    /// have gone quiet.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.resuming {
            Some(Time(0))
        } else {
            let block_ends = self.admission.next_end().map(|(until, ..)| until);
            block_ends.into_iter().chain(self.answering.next_due()).min()
        }
    }

    /// Whether the caller may bring another arrival; otherwise it first brings syncs, answers or index progress.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.in_hand() < self.config.in_hand_max
            && self.memory.unindexed() < self.config.remembered_max
    }

    /// Arrivals that have no receipt yet, demands that have no answer yet, and decisions that are not synced yet.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.receipts.len() + self.parked.len() + self.recollecting_len
    }

    /// How full the tables are.
    #[must_use]
    pub fn sizes(&self) -> DeskSizes {
        DeskSizes {
            in_hand: self.in_hand(),
            unindexed: self.memory.unindexed(),
            incidents: self.incidents.len(),
            incident_places: self.incidents.places(),
            open_alerts: self.answering.len(),
            tracked_alerts: self.answering.tracks(),
            admission: self.admission.sizes(),
        }
    }

    fn arrived(&mut self, arrival: Arrival, now: Time) {
        if let Some(first) = self.remembered(&arrival) {
            self.duplicate(&arrival, first, now);
        } else if self.memory.is_whole()
            || self.sent.order(arrival.device_index, arrival.counters) == Order::Ahead
        {
            self.first_copy(arrival, now);
        } else {
            self.ask(arrival.message_id, Question::Copy, arrival);
        }
    }

    /// An id was looked up: those who waited for the answer go on, in the order in which they came.
    fn looked_up(&mut self, id: MessageId, found: Option<&Found>, now: Time) {
        for (question, arrival) in self.parked.take(&id) {
            let first = self.remembered(&arrival).or(match question {
                Question::Copy => found.map(|found| self.indexed_first(id, found)),
                Question::Owner(_) => None,
            });
            match (first, question) {
                (Some(first), _) => self.duplicate(&arrival, first, now),
                (None, Question::Copy) => self.first_copy(arrival, now),
                // A copy may have been journaled meanwhile, and forgotten again.
                (None, Question::Owner(known)) if !self.memory.reaches(known) => {
                    self.ask(arrival.message_id, Question::Copy, arrival);
                }
                (None, Question::Owner(_)) => {
                    let named = self.named_in_memory(&arrival, AlertId(id.0));
                    let named = named.unwrap_or_else(|| Named::found(&arrival, found));
                    self.admit(&arrival, &named, now);
                }
            }
        }
    }

    /// Where the first copy of this message is, if that is in memory.
    fn remembered(&self, arrival: &Arrival) -> Option<First> {
        let first = self.memory.get(&arrival.message_id)?;
        Some(First { cursor: first.cursor, held: first.held })
    }

    /// The first copy that the index knows. What happened to it since may be in memory.
    fn indexed_first(&self, id: MessageId, found: &Found) -> First {
        First { cursor: found.cursor, held: found.held && !self.memory.is_promoted(id.alert()) }
    }

    /// No copy of this message is journaled. What it names must be known before it can be routed.
    fn first_copy(&mut self, arrival: Arrival, now: Time) {
        match (arrival.kind, arrival.alert) {
            (Kind::Update | Kind::Cancel, Some(alert)) => {
                if let Some(named) = self.named_in_memory(&arrival, alert) {
                    self.admit(&arrival, &named, now);
                } else if self.memory.is_whole() {
                    self.admit(&arrival, &Named::Unknown, now);
                } else {
                    let question = Question::Owner(self.journaled);
                    self.ask(MessageId(alert.0), question, arrival);
                }
            }
            _ => self.admit(&arrival, &Named::Unknown, now),
        }
    }

    fn named_in_memory(&self, arrival: &Arrival, alert: AlertId) -> Option<Named> {
        let raise = self.memory.get(&MessageId(alert.0))?;
        Some(Named::of(raise.device == Some(arrival.device_index), || raise.raised.clone()))
    }

    fn duplicate(&mut self, arrival: &Arrival, first: First, now: Time) {
        // The sender of a held press may have lost the receipt that said whom to call.
        let call = first.held.then_some(self.admission.policy().held.emergency_number);
        let waiting = Waiting::new(arrival, Status::Duplicate, call);
        if let Some(waiting) = self.receipts.wait_for_copy(first.cursor, waiting) {
            self.outputs.push_back(waiting.reply(now));
        }
    }

    fn refuse(
        &mut self,
        arrival: &Arrival,
        reason: Reason,
        retry_after_ms: Option<u64>,
        now: Time,
    ) {
        let receipt = Receipt {
            alert: arrival.alert_id(),
            counters: Some(arrival.counters),
            retry_after_ms,
            ..Receipt::refused(reason, now.to_millis())
        };
        self.outputs.push_back(Output::Reply(arrival.ticket, receipt));
    }

    fn ask(&mut self, id: MessageId, question: Question, arrival: Arrival) {
        if self.parked.park(id, question, arrival) {
            self.outputs.push_back(Output::LookUp(id));
        }
    }

    fn synced(&mut self, cursor: Cursor, now: Time) {
        debug_assert!(cursor <= self.journaled, "nothing is synced that was not appended");
        let outputs = &mut self.outputs;
        self.receipts.synced(cursor, now, |output| outputs.push_back(output));
    }
}

impl Named {
    fn found(arrival: &Arrival, raise: Option<&Found>) -> Self {
        raise.map_or(Self::Unknown, |raise| {
            Self::of(raise.device == arrival.device, || Raised {
                zone: raise.zone.clone(),
                also: raise.also.as_slice().into(),
                agencies: raise.agencies,
                category: raise.category,
                received_at: raise.received_at,
            })
        })
    }

    fn of(own: bool, raised: impl FnOnce() -> Raised) -> Self {
        if own { Self::Own(raised()) } else { Self::Foreign }
    }
}

impl Arrival {
    /// The alert that this message opens or belongs to.
    #[must_use]
    pub fn alert_id(&self) -> Option<AlertId> {
        match self.kind {
            Kind::Raise => Some(self.message_id.alert()),
            Kind::Update | Kind::Cancel => self.alert,
            Kind::Heartbeat => None,
        }
    }
}

#[cfg(test)]
mod tests;
