//! One month under one policy: the gateway's own desk, driven in virtual time.
//!
//! The disk syncs after a fixed delay and the index follows after another; operators and evaders do what the month
//! intends for them, depending on what the desk does. Nothing is drawn here, so two policies differ by nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use pipeline::{
    Arrival, Carrier, Cursor, Demand, Desk, DeskConfig, DeviceIndex, Disposition, Enrolment, Entry,
    Input, Output, Policy, Reach, Request, Scope, Span, Ticket, Time, Verdict,
};
use protocol::{
    AlertId, Algorithm, Counters, Kind, Labels, Message, MessageId, Nonce, Realm, assemble,
};

use super::disk::Disk;
use super::tally::Tally;
use super::trial::Trial;
use crate::agenda::Agenda;
use crate::month::{Month, Press, START, Who};

/// From an appended line to a synced one.
const SYNC_DELAY: Span = Span::from_millis(5);
/// From an appended line to one that the index knows.
const INDEX_DELAY: Span = Span::from_secs(1);
/// Nobody checks signatures here, and nothing is signed with a key.
const REALM: Realm = Realm([0; 16]);
const UNSIGNED: [u8; 64] = [0; 64];

impl Month {
    /// What the month comes to under this policy.
    #[must_use]
    pub fn try_policy(&self, policy: &Arc<Policy>) -> Trial {
        let mut run = Run::new(self, policy);
        run.go();
        run.tally.trial(run.disk.sha256())
    }
}

struct Run<'a> {
    month: &'a Month,
    desk: Desk,
    disk: Disk,
    agenda: Agenda<Event>,
    tally: Tally<'a>,
    now: Time,
    tickets: u64,
    sequences: BTreeMap<DeviceIndex, u32>,
    /// The device that each prankster uses.
    using: Vec<DeviceIndex>,
    /// How evaders' devices were enrolled; by number, behind the fleet's.
    evaders: Vec<Enrolment>,
}

enum Event {
    /// Somebody presses.
    Press(usize),
    /// The same person raises again.
    Again(usize, DeviceIndex),
    /// The same bytes come again.
    Copy(Box<Arrival>),
    /// The press is taken back.
    Cancel(DeviceIndex, AlertId),
    /// An operator says what it was.
    Judge(AlertId, Verdict),
    Synced(Cursor),
    Indexed(Cursor),
}

impl<'a> Run<'a> {
    fn new(month: &'a Month, policy: &Arc<Policy>) -> Self {
        let zones = Arc::clone(&month.zones);
        let mut desk = Desk::new(DeskConfig::default(), zones, Arc::clone(policy), Cursor(0));
        desk.handle(Input::Fleet(Arc::new(month.people.fleet())), START);
        let mut agenda = Agenda::new();
        for (number, press) in month.presses.iter().enumerate() {
            agenda.put(press.at, Event::Press(number));
        }
        Self {
            month,
            desk,
            disk: Disk::default(),
            agenda,
            tally: Tally::new(month, policy),
            now: START,
            tickets: 0,
            sequences: BTreeMap::new(),
            using: month.pranksters.iter().map(|prankster| prankster.device).collect(),
            evaders: vec![],
        }
    }

    /// Until nothing is left to happen. Blocks that outlast the last verdict end unseen.
    fn go(&mut self) {
        while let Some(at) = self.agenda.next_at() {
            match self.desk.next_deadline() {
                Some(deadline) if deadline <= at => {
                    self.now = self.now.max(deadline);
                    self.bring(Input::Tick);
                }
                _ => {
                    let Some((at, event)) = self.agenda.take() else { break };
                    self.now = at;
                    self.happens(event);
                }
            }
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Press(number) => self.press(number),
            Event::Again(number, device) => {
                self.raise(number, device);
            }
            Event::Copy(mut arrival) => {
                arrival.ticket = self.ticket();
                arrival.received_at = self.now;
                self.send(*arrival);
            }
            Event::Cancel(device, alert) => {
                let counters = self.counters(device);
                let cancel = Message::new(Kind::Cancel, counters);
                let arrival = self.arrival(device, &Message { alert: Some(alert), ..cancel });
                self.send(arrival);
            }
            Event::Judge(alert, verdict) => {
                let ticket = self.ticket();
                let demand = Demand::Verdict { alert, verdict };
                let actor = Arc::from("operator");
                let request = Request {
                    actor,
                    reach: Reach::Everywhere,
                    scope: Scope::ALL,
                    demand,
                    reason: None,
                };
                self.bring(Input::Decide { ticket, request });
            }
            Event::Synced(cursor) => self.bring(Input::Synced(cursor)),
            Event::Indexed(cursor) => self.bring(Input::Indexed(cursor)),
        }
    }

    fn press(&mut self, number: usize) {
        let month = self.month;
        let Some(press) = month.presses.get(number) else { return };
        let device = self.device(press.who);
        let (arrival, alert) = self.raise(number, device);
        if let Some(after) = press.resent {
            self.agenda.put(self.now + after, Event::Copy(Box::new(arrival)));
        }
        if let Some(after) = press.repeated {
            self.agenda.put(self.now + after, Event::Again(number, device));
        }
        if let Some(after) = press.cancelled {
            self.agenda.put(self.now + after, Event::Cancel(device, alert));
        }
        self.evade(press, alert);
    }

    /// A device raises, with bytes of its own.
    fn raise(&mut self, number: usize, device: DeviceIndex) -> (Arrival, AlertId) {
        let counters = self.counters(device);
        let nonce = u64::from(device.0) << 32 | u64::from(counters.sequence.0);
        let press = self.month.presses.get(number);
        let message = Message {
            position: press.map(|press| press.place),
            category: press.map(|press| press.category),
            ..Message::raise(counters, Nonce(nonce.to_be_bytes()))
        };
        let arrival = self.arrival(device, &message);
        let alert = arrival.message_id.alert();
        self.tally.raised(number, alert);
        self.send(arrival.clone());
        (arrival, alert)
    }

    /// A prankster whose press was held enrols another device, if that is their way.
    fn evade(&mut self, press: &Press, alert: AlertId) {
        let Who::Prankster(number) = press.who else { return };
        let evading = self.month.pranksters.get(number).is_some_and(|prankster| prankster.evading);
        if !evading || self.tally.disposition(alert) != Some(Disposition::Held) {
            return;
        }
        let taken = u32::try_from(self.evaders.len()).unwrap_or(u32::MAX);
        let device = DeviceIndex(self.month.people.devices.saturating_add(taken));
        self.evaders.push(self.month.people.evader(device, self.now));
        self.using.get_mut(number).into_iter().for_each(|using| *using = device);
    }

    fn device(&self, who: Who) -> DeviceIndex {
        match who {
            Who::Device(device) => device,
            Who::Prankster(number) => self.using.get(number).copied().unwrap_or(DeviceIndex(0)),
        }
    }

    fn enrolment(&self, device: DeviceIndex) -> Enrolment {
        let evader = device.0.checked_sub(self.month.people.devices);
        let evader = evader.and_then(|number| self.evaders.get(usize::try_from(number).ok()?));
        evader.copied().unwrap_or_else(|| self.month.people.enrolment(device))
    }

    fn arrival(&mut self, device: DeviceIndex, message: &Message<'_>) -> Arrival {
        let id = self.month.people.id(device);
        self.disk.enrol(id, device);
        let bytes = message.encode();
        Arrival {
            ticket: self.ticket(),
            received_at: self.now,
            carrier: Carrier::Quic,
            device: id,
            device_index: device,
            enrolment: self.enrolment(device),
            message_id: MessageId::of(&REALM, &id, &bytes),
            kind: message.kind,
            counters: message.counters,
            device_clock: None,
            model: None,
            alert: message.alert,
            category: message.category,
            position: message.position,
            site: None,
            labels: Labels::NONE,
            signed: Bytes::from(assemble(Algorithm::Es256, &id, &bytes, &UNSIGNED)),
        }
    }

    fn counters(&mut self, device: DeviceIndex) -> Counters {
        let sequence = self.sequences.entry(device).or_default();
        *sequence += 1;
        Counters::new(1, *sequence)
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn send(&mut self, arrival: Arrival) {
        self.tally.sent();
        self.bring(Input::Arrived(arrival));
    }

    fn bring(&mut self, input: Input) {
        let before = self.disk.last();
        self.desk.handle(input, self.now);
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Append(entry) => self.append(&entry),
                Output::Reply(_, receipt) => self.tally.answered(receipt.status),
                Output::Decided(_, answer) => self.tally.decided(answer.is_ok()),
                Output::LookUp(id) => {
                    let found = self.disk.find(id);
                    self.desk.handle(Input::LookedUp { id, found }, self.now);
                }
                Output::Recollect { alert, .. } => {
                    let found = self.disk.recollect(alert);
                    self.desk.handle(Input::Recollected { alert, found }, self.now);
                }
                // The desk is never full here, so no lane matters.
                Output::Hint(..) => {}
            }
        }
        let last = self.disk.last();
        if last > before {
            self.agenda.put(self.now + SYNC_DELAY, Event::Synced(last));
            self.agenda.put(self.now + INDEX_DELAY, Event::Indexed(last));
        }
    }

    fn append(&mut self, entry: &Entry) {
        self.disk.append(entry);
        if let Some((alert, after, verdict)) = self.tally.note(entry) {
            self.agenda.put(self.now + after, Event::Judge(alert, verdict));
        }
    }
}
