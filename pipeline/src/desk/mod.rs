//! The desk: the one writer that decides about every verified message, in one order.
//!
//! It is given arrivals, how far the journal is synced and the index filled, and the answers to its own questions. It
//! yields, in order, records to append, receipts to send and ids to look up. It never says `received`, `duplicate` or
//! `held` before the first copy is synced (promise 1), never makes two records of one message (promise 2), and never
//! refuses a raise (promise 3): while it has too much in hand, [`Desk::wants_more`] is false and the caller stops
//! reading.
//!
//! Whether a message is a copy is answered by its id: from [`Memory`], or without any question if the
//! device's counters advance, or else from the index, while the arrival waits in [`Parked`].

mod fleet;
mod io;
mod memory;
mod parked;
mod receipts;
mod request;
mod sent;

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::{AlertId, Kind, Label, Labels, MessageId, Position, Reason, Receipt, Status};

pub use self::fleet::{Batch, Fleet};
pub use self::io::{Arrival, DeskConfig, Found, Input, Output, Past, Recollected, Ticket};
use self::memory::{Memory, Remembered};
use self::parked::{Parked, Question};
use self::receipts::{Receipts, Waiting};
pub use self::request::{About, DecisionAnswer, DecisionRefusal, Demand, Reach, Request};
use self::sent::{Order, Sent};
use crate::{Cursor, DeviceIndex, Disposition, Entry, Record, Time, ZoneId, Zones};

/// The one writer.
#[derive(Debug)]
pub struct Desk {
    config: DeskConfig,
    zones: Arc<Zones>,
    sent: Sent,
    memory: Memory,
    parked: Parked,
    receipts: Receipts,
    journaled: Cursor,
    outputs: VecDeque<Output>,
}

/// The alert that an update or cancel names, as far as it is known.
enum Named {
    /// Raised by the same device, in this zone.
    Own(ZoneId),
    /// Raised by another device.
    Foreign,
    /// Never seen.
    Unknown,
}

impl Desk {
    /// A desk over a journal whose last record is `journaled` (0 when it is empty) and synced.
    #[must_use]
    pub fn new(config: DeskConfig, zones: Arc<Zones>, journaled: Cursor) -> Self {
        Self {
            config,
            zones,
            sent: Sent::default(),
            memory: Memory::new(journaled.next()),
            parked: Parked::default(),
            receipts: Receipts::new(journaled),
            journaled,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. What follows from it is read with [`poll_output`](Self::poll_output).
    pub fn handle(&mut self, input: Input, now: Time) {
        match input {
            Input::Arrived(arrival) => self.arrived(arrival, now),
            Input::LookedUp { id, found } => self.looked_up(id, found.as_ref(), now),
            Input::Synced(cursor) => self.synced(cursor, now),
            Input::Indexed(cursor) => self.memory.indexed(cursor, self.config.remembered_max),
            Input::Counted(device, counters) => self.sent.count(device, counters),
            Input::Recalled(past) => self.recalled(past),
            Input::Rezoned(zones) => self.zones = zones,
            Input::Decide { ticket, request } => {
                let refusal = request.check().err().unwrap_or(DecisionRefusal::Busy);
                self.outputs.push_back(Output::Decided(ticket, Err(refusal)));
            }
            Input::Recollected { .. } | Input::Tick | Input::Stands { .. } | Input::Fleet(_) => {}
        }
    }

    /// The next thing to be done, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle`](Self::handle) should next be called though nothing happened. Nothing here waits for a time yet.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        None
    }

    /// Whether the caller may bring another arrival; otherwise it first brings syncs, answers or index progress.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.in_hand() < self.config.in_hand_max
            && self.memory.unindexed() < self.config.remembered_max
    }

    /// Arrivals that have no receipt yet.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.receipts.len() + self.parked.len()
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
                Question::Copy => found.map(|found| found.cursor),
                Question::Owner => None,
            });
            match (first, question) {
                (Some(first), _) => self.duplicate(&arrival, first, now),
                (None, Question::Copy) => self.first_copy(arrival, now),
                (None, Question::Owner) => {
                    let named = self.named_in_memory(&arrival, AlertId(id.0));
                    let named = named.unwrap_or_else(|| Named::found(&arrival, found));
                    self.admit(&arrival, &named, now);
                }
            }
        }
    }

    /// Where the first copy of this message is, if that is in memory.
    fn remembered(&self, arrival: &Arrival) -> Option<Cursor> {
        self.memory.get(&arrival.message_id).map(|first| first.cursor)
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
                    self.ask(MessageId(alert.0), Question::Owner, arrival);
                }
            }
            _ => self.admit(&arrival, &Named::Unknown, now),
        }
    }

    fn named_in_memory(&self, arrival: &Arrival, alert: AlertId) -> Option<Named> {
        let raise = self.memory.get(&MessageId(alert.0))?;
        Some(Named::of(raise.device == Some(arrival.device_index), &raise.zone))
    }

    /// Refuses what is old or foreign; journals everything else.
    fn admit(&mut self, arrival: &Arrival, named: &Named, now: Time) {
        let order = self.sent.order(arrival.device_index, arrival.counters);
        let dismissable = matches!(arrival.kind, Kind::Update | Kind::Heartbeat);
        if matches!(named, Named::Foreign) {
            self.refuse(arrival, Reason::ForeignAlert, now);
        } else if dismissable && order == Order::Past {
            self.refuse(arrival, Reason::Stale, now);
        } else {
            self.append(arrival, named, order);
        }
    }

    fn append(&mut self, arrival: &Arrival, named: &Named, order: Order) {
        let cursor = self.journaled.next();
        let (zone, labels) = self.route(arrival, named);
        let behind = matches!(order, Order::Past | Order::Gap) && arrival.kind == Kind::Raise;
        let labels = if behind { labels.with(Label::CountersBehind) } else { labels };
        if arrival.kind == Kind::Raise {
            self.sent.restart(arrival.device_index, arrival.counters);
        } else {
            self.sent.advance(arrival.device_index, arrival.counters);
        }
        let remembered =
            Remembered { cursor, device: Some(arrival.device_index), zone: zone.clone() };
        self.memory.insert(arrival.message_id, remembered, self.config.remembered_max);
        self.journaled = cursor;
        self.receipts.wait(cursor, Waiting::new(arrival, Status::Received));
        self.outputs.push_back(Output::Append(Entry::Message(Record {
            cursor,
            received_at: arrival.received_at,
            device: arrival.device,
            message_id: arrival.message_id,
            alert: arrival.alert_id(),
            kind: arrival.kind,
            counters: arrival.counters,
            category: arrival.category.unwrap_or_default(),
            zone,
            labels,
            carrier: arrival.carrier,
            disposition: Disposition::of(arrival.kind),
            joins: None,
            site: arrival.site.filter(|_| arrival.position.is_none()),
            signed: arrival.signed.clone(),
        })));
    }

    /// The zone that an arrival is for, and what to remark about it.
    ///
    /// Updates and cancels go where their raise went, so that whoever saw the press sees what becomes of it.
    fn route(&self, arrival: &Arrival, named: &Named) -> (ZoneId, Labels) {
        let mut labels = arrival.labels;
        let place = arrival.position.or(arrival.site);
        match (arrival.position, arrival.site) {
            (Some(_), _) => {}
            (None, Some(_)) => labels.insert(Label::EnrolledSite),
            (None, None) => labels.insert(Label::NoPosition),
        }
        let follows = matches!(arrival.kind, Kind::Update | Kind::Cancel);
        match named {
            Named::Own(zone) => return (zone.clone(), labels),
            _ if follows => labels.insert(Label::AlertUnknown),
            _ => {}
        }
        let found = place.as_ref().and_then(|place: &Position| self.zones.locate(place));
        if place.is_some() && found.is_none() {
            labels.insert(Label::OutsideZones);
        }
        (self.zones.id(found.unwrap_or(self.zones.root())), labels)
    }

    fn duplicate(&mut self, arrival: &Arrival, first: Cursor, now: Time) {
        let waiting = Waiting::new(arrival, Status::Duplicate);
        if let Some(waiting) = self.receipts.wait_for_copy(first, waiting) {
            self.outputs.push_back(waiting.reply(now));
        }
    }

    fn refuse(&mut self, arrival: &Arrival, reason: Reason, now: Time) {
        let receipt = Receipt {
            alert: arrival.alert_id(),
            counters: Some(arrival.counters),
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
        self.receipts.synced(cursor, |waiting| outputs.push_back(waiting.reply(now)));
    }

    fn recalled(&mut self, past: Past) {
        let Entry::Message(record) = past.entry else { return };
        if let Some(device) = past.device_index {
            match record.kind {
                Kind::Raise => self.sent.restart(device, record.counters),
                _ => self.sent.advance(device, record.counters),
            }
        }
        let remembered =
            Remembered { cursor: record.cursor, device: past.device_index, zone: record.zone };
        self.memory.recall(record.message_id, remembered);
    }
}

impl Named {
    fn found(arrival: &Arrival, raise: Option<&Found>) -> Self {
        raise.map_or(Self::Unknown, |raise| Self::of(raise.device == arrival.device, &raise.zone))
    }

    fn of(own: bool, zone: &ZoneId) -> Self {
        if own { Self::Own(zone.clone()) } else { Self::Foreign }
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

impl Disposition {
    /// What becomes of a message while no rule says otherwise.
    fn of(kind: Kind) -> Self {
        if kind == Kind::Raise { Self::Paged } else { Self::Follows }
    }
}

/// A device's place in tables that grow with the registry.
fn slot(device: DeviceIndex) -> usize {
    usize::try_from(device.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
