//! The other desk: fed line by line, asked what it would do, its questions answered from the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::{
    About, Act, Actor, Answer, Arrival, Cursor, Decision, Demand, Desk, DeskConfig, DeviceIndex,
    Enrolment, Entry, Found, Input, Model, Output, Policy, Reach, Recollected, Record, Request,
    Scope, Ticket, Time, Zones,
};
use protocol::{AlertId, DeviceId, Envelope, Kind, Labels, Message, MessageId, Status};

use super::{Case, Course, Replay, Sums};
use crate::journal::{JournalError, Reader};
use crate::registry::Registry;

pub(super) struct Rerun<'a> {
    pub(super) journal: &'a mut Reader,
    pub(super) replay: Replay,
    registry: &'a Registry,
    desk: Desk,
    /// Devices that are no longer in the registry, by the places that they are given here.
    gone: BTreeMap<DeviceId, DeviceIndex>,
    now: Time,
    last: Cursor,
    tickets: u64,
}

impl<'a> Rerun<'a> {
    pub(super) fn new(
        journal: &'a mut Reader,
        registry: &'a Registry,
        zones: Arc<Zones>,
        policy: Arc<Policy>,
    ) -> Self {
        let mut desk = Desk::new(DeskConfig::default(), zones, policy, Cursor(0));
        desk.handle(Input::Fleet(Arc::new(registry.fleet())), Time(0));
        let replay = Replay {
            lines: 0,
            span: None,
            cases: BTreeMap::new(),
            old: Sums::default(),
            new: Sums::default(),
            refused: 0,
            moot: 0,
            erased: 0,
        };
        Self {
            journal,
            replay,
            registry,
            desk,
            gone: BTreeMap::new(),
            now: Time(0),
            last: Cursor(0),
            tickets: 0,
        }
    }

    /// The next line of the past.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.pass(entry.at())?;
        self.replay.lines += 1;
        let first = self.replay.span.map_or(self.now, |(first, _)| first);
        self.replay.span = Some((first, self.now));
        match entry {
            Entry::Message(record) => {
                self.note_old(record);
                let arrival = self.arrival(record);
                self.bring(Input::Arrived(arrival))?;
            }
            Entry::Decision(decision) => {
                self.note_old_decision(decision);
                if let Some(request) = self.request(decision) {
                    let ticket = self.ticket();
                    self.bring(Input::Decide { ticket, request })?;
                }
            }
        }
        self.bring(Input::Synced(self.last))?;
        self.bring(Input::Indexed(self.last))
    }

    /// Time passes until `at`; what is due meanwhile is done when it is due. Time never goes back, though lines of one
    /// moment may be in another order than they were read.
    fn pass(&mut self, at: Time) -> Result<(), JournalError> {
        while let Some(deadline) = self.desk.next_deadline().filter(|deadline| *deadline <= at) {
            self.now = self.now.max(deadline);
            self.bring(Input::Tick)?;
        }
        self.now = self.now.max(at);
        Ok(())
    }

    fn bring(&mut self, input: Input) -> Result<(), JournalError> {
        self.desk.handle(input, self.now);
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Append(entry) => self.note_new(&entry),
                Output::Reply(_, receipt) if receipt.status == Status::Refused => {
                    self.replay.refused += 1;
                }
                Output::Decided(_, answer) => self.replay.moot += u64::from(answer.is_err()),
                Output::LookUp(id) => {
                    let found = self.find(id)?;
                    self.desk.handle(Input::LookedUp { id, found }, self.now);
                }
                Output::Recollect { alert, .. } => {
                    let found = self.recollect(alert)?;
                    self.desk.handle(Input::Recollected { alert, found }, self.now);
                }
                Output::Reply(..) | Output::Hint(..) => {}
            }
        }
        Ok(())
    }

    fn note_old(&mut self, record: &Record) {
        if record.kind != Kind::Raise {
            return;
        }
        self.replay.old.raise(record.disposition);
        let case = Case {
            at: record.received_at,
            zone: record.zone.clone(),
            cursor: record.cursor,
            verdict: None,
            old: Course::of(record),
            new: None,
        };
        self.replay.cases.insert(record.message_id.alert(), case);
    }

    fn note_old_decision(&mut self, decision: &Decision) {
        self.replay.old.decision(decision);
        let case = decision.alert.and_then(|(alert, _)| self.replay.cases.get_mut(&alert));
        let Some(case) = case else { return };
        match decision.act {
            Act::Verdict(verdict) => case.verdict = Some(verdict),
            Act::Promote => {
                case.old.promoted_at.get_or_insert(decision.decided_at);
            }
            _ => {}
        }
    }

    fn note_new(&mut self, entry: &Entry) {
        self.last = entry.cursor();
        match entry {
            Entry::Message(record) if record.kind == Kind::Raise => {
                self.replay.new.raise(record.disposition);
                let case = self.replay.cases.get_mut(&record.message_id.alert());
                case.into_iter().for_each(|case| case.new = Some(Course::of(record)));
            }
            Entry::Message(_) => {}
            Entry::Decision(decision) => {
                self.replay.new.decision(decision);
                let alert = decision.alert.filter(|_| decision.act == Act::Promote);
                let case = alert.and_then(|(alert, _)| self.replay.cases.get_mut(&alert));
                if let Some(new) = case.and_then(|case| case.new.as_mut()) {
                    new.promoted_at.get_or_insert(decision.decided_at);
                }
            }
        }
    }

    /// The message as it arrived, by its signed bytes; where they are erased, by its line.
    fn arrival(&mut self, record: &Record) -> Arrival {
        let message = Envelope::parse(&record.signed).ok();
        let message = message.and_then(|envelope| Message::decode(envelope.message).ok());
        self.replay.erased += u64::from(message.is_none());
        let (message, labels) =
            message.unwrap_or((Message::new(record.kind, record.counters), Labels::NONE));
        let (device_index, enrolment) = self.device(record.device);
        let follows = matches!(record.kind, Kind::Update | Kind::Cancel);
        Arrival {
            ticket: self.ticket(),
            received_at: record.received_at,
            carrier: record.carrier,
            device: record.device,
            device_index,
            enrolment,
            message_id: record.message_id,
            kind: record.kind,
            counters: record.counters,
            device_clock: message.device_clock,
            model: message.firmware.and_then(Model::new),
            alert: record.alert.filter(|_| follows),
            category: Some(record.category),
            position: message.position,
            site: record.site,
            labels,
            signed: record.signed.clone(),
        }
    }

    /// What an operator asked for; nothing if a rule decided, or if it followed from something else that was asked.
    fn request(&mut self, decision: &Decision) -> Option<Request> {
        let Actor::Operator(actor) = &decision.actor else { return None };
        let mut about = || {
            let device = decision.device?;
            Some(About { device, index: self.device(device).0, zone: decision.zone.clone() })
        };
        let demand = match decision.act {
            Act::Verdict(verdict) => Demand::Verdict { alert: decision.alert?.0, verdict },
            Act::Block { until } => Demand::Block { about: about()?, until },
            Act::Unblock => Demand::Unblock(about()?),
            Act::Appeal => Demand::Appeal(about()?),
            // By rules, or nothing that a policy turns on.
            _ => return None,
        };
        let (actor, reason) = (Arc::clone(actor), decision.reason.clone());
        Some(Request { actor, reach: Reach::Everywhere, scope: Scope::ALL, demand, reason })
    }

    fn device(&mut self, id: DeviceId) -> (DeviceIndex, Enrolment) {
        if let Some(device) = self.registry.get(&id) {
            return (device.index, device.enrolment);
        }
        let next = self.registry.len().saturating_add(self.gone.len());
        let next = DeviceIndex(u32::try_from(next).unwrap_or(u32::MAX));
        (*self.gone.entry(id).or_insert(next), Enrolment::default())
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// What the other journal would hold under this id. Only raises are ever asked for, or messages that are new.
    fn find(&mut self, id: MessageId) -> Result<Option<Found>, JournalError> {
        let Some((raise, new)) = self.raise(id.alert())? else { return Ok(None) };
        let held = new.disposition == pipeline::Disposition::Held && new.promoted_at.is_none();
        let Record { device, zone, also, received_at, agencies, category, .. } = raise;
        let cursor = new.cursor;
        Ok(Some(Found { cursor, device, zone, held, received_at, agencies, category, also }))
    }

    fn recollect(&mut self, alert: AlertId) -> Result<Option<Recollected>, JournalError> {
        let Some((raise, new)) = self.raise(alert)? else { return Ok(None) };
        let device_index = Some(self.device(raise.device).0);
        let promoted = new.promoted_at.is_some();
        let answer = Answer::Waiting;
        Ok(Some(Recollected { raise: Arc::new(raise), device_index, promoted, answer }))
    }

    /// The raise as the other journal would hold it.
    fn raise(&mut self, alert: AlertId) -> Result<Option<(Record, Course)>, JournalError> {
        let Some(case) = self.replay.cases.get(&alert) else { return Ok(None) };
        let (cursor, Some(new)) = (case.cursor, case.new) else { return Ok(None) };
        let record = self.journal.message(cursor)?;
        Ok(record.map(|record| {
            let Course { cursor, disposition, joins, .. } = new;
            (Record { cursor, disposition, joins, ..record }, new)
        }))
    }
}

impl Course {
    fn of(record: &Record) -> Self {
        let Record { cursor, disposition, joins, .. } = *record;
        Self { cursor, disposition, joins, promoted_at: None }
    }
}
