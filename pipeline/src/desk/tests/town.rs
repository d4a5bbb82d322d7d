//! A town around the desk: devices that press, operators that judge, a journal that keeps, a disk that syncs at once
//! unless it is told not to, and restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use protocol::{
    AlertId, Algorithm, Counters, DeviceId, Kind, Labels, Message, MessageId, Nonce, Position,
    Receipt, UnixMillis, assemble,
};

use crate::*;

const ZONES: &str = r#"{"type":"FeatureCollection","features":[
  {"type":"Feature","properties":{"id":"city","name":"City","level":"polres"},"geometry":null},
  {"type":"Feature","properties":{"id":"east","name":"East","level":"polsek","parent":"city"},
   "geometry":{"type":"Polygon","coordinates":[[[10,0],[11,0],[11,1],[10,1],[10,0]]]}},
  {"type":"Feature","properties":{"id":"west","name":"West","level":"polsek","parent":"city"},
   "geometry":{"type":"Polygon","coordinates":[[[9,0],[10,0],[10,1],[9,1],[9,0]]]}}]}"#;

/// When every town begins: 2027-01-15T08:00:00Z.
pub(super) const START: Time = Time(1_800_000_000_000_000);
pub(super) const SECOND: Span = Span::from_secs(1);
pub(super) const MINUTE: Span = Span::from_secs(60);
pub(super) const DAY: Span = Span::from_secs(86_400);

pub(super) fn zones() -> Arc<Zones> {
    static READ: LazyLock<Arc<Zones>> =
        LazyLock::new(|| Arc::new(Zones::from_geojson(ZONES).expect("the zones above are valid")));
    Arc::clone(&READ)
}

/// A place in the east, so many metres north of its middle.
pub(super) fn place(metres: i64) -> Option<Position> {
    Position::new(5_000_000 + metres * 90, 105_000_000)
}

/// What a device sends.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) kind: Kind,
    pub(super) alert: Option<AlertId>,
    pub(super) place: Option<Position>,
    pub(super) clock: Option<Time>,
    pub(super) model: Option<&'static str>,
}

impl Sent {
    pub(super) fn raise() -> Self {
        Self { kind: Kind::Raise, alert: None, place: place(0), clock: None, model: None }
    }

    pub(super) fn at(metres: i64) -> Self {
        Self { place: place(metres), ..Self::raise() }
    }

    pub(super) fn cancel(alert: AlertId) -> Self {
        Self { kind: Kind::Cancel, alert: Some(alert), place: None, ..Self::raise() }
    }

    pub(super) fn update(alert: AlertId) -> Self {
        Self { kind: Kind::Update, alert: Some(alert), place: None, ..Self::raise() }
    }

    pub(super) fn heartbeat() -> Self {
        Self { kind: Kind::Heartbeat, place: None, ..Self::raise() }
    }
}

pub(super) struct Town {
    pub(super) desk: Desk,
    pub(super) now: Time,
    pub(super) journal: Vec<Entry>,
    pub(super) synced: usize,
    pub(super) hints: BTreeMap<DeviceIndex, Hint>,
    pub(super) receipts: BTreeMap<Ticket, Receipt>,
    pub(super) answers: BTreeMap<Ticket, Result<DecisionAnswer, DecisionRefusal>>,
    pub(super) enrolments: BTreeMap<u32, Enrolment>,
    pub(super) policy: Arc<Policy>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) zones: Arc<Zones>,
    pub(super) routing: Arc<Routing>,
    pub(super) listening: Option<Arc<BTreeSet<ZoneId>>>,
    /// Lines that the index holds.
    pub(super) indexed: usize,
    config: DeskConfig,
    tickets: u64,
    sequences: BTreeMap<u32, u32>,
}

impl Town {
    pub(super) fn new() -> Self {
        Self::with(Policy::default())
    }

    pub(super) fn ruled(toml: &str) -> Self {
        Self::with(Policy::read(toml, []).expect("the test's policy is valid"))
    }

    pub(super) fn with(policy: Policy) -> Self {
        Self::within(policy, DeskConfig::default())
    }

    pub(super) fn within(policy: Policy, config: DeskConfig) -> Self {
        let policy = Arc::new(policy);
        Self {
            desk: Desk::new(config, zones(), Arc::clone(&policy), Cursor(0)),
            now: START,
            journal: vec![],
            synced: 0,
            hints: BTreeMap::new(),
            receipts: BTreeMap::new(),
            answers: BTreeMap::new(),
            enrolments: BTreeMap::new(),
            policy,
            fleet: Arc::default(),
            zones: zones(),
            routing: Arc::default(),
            listening: None,
            indexed: 0,
            config,
            tickets: 0,
            sequences: BTreeMap::new(),
        }
    }

    /// Time passes, and the desk is told when it asked to be.
    pub(super) fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        self.tick();
        self.sync();
    }

    /// The desk is told when it asked to be.
    pub(super) fn tick(&mut self) {
        while self.desk.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.bring(Input::Tick);
        }
    }

    /// A device sends a message and everything that follows is synced: its line and its receipt.
    pub(super) fn send(&mut self, device: u32, sent: Sent) -> (Record, Receipt) {
        let before = self.journal.len();
        let receipt = self.try_send(device, sent);
        let Some(Entry::Message(record)) = self.journal.get(before) else {
            panic!("refused: {receipt:?}")
        };
        (record.clone(), receipt)
    }

    pub(super) fn try_send(&mut self, device: u32, sent: Sent) -> Receipt {
        let arrival = self.arrival(device, sent);
        let ticket = arrival.ticket;
        self.bring(Input::Arrived(arrival));
        self.sync();
        self.receipts.remove(&ticket).expect("everybody is answered")
    }

    /// A raise in the middle of the east.
    pub(super) fn press(&mut self, device: u32) -> Record {
        self.send(device, Sent::raise()).0
    }

    pub(super) fn arrival(&mut self, device: u32, sent: Sent) -> Arrival {
        self.tickets += 1;
        let sequence = self.sequences.entry(device).or_default();
        *sequence += 1;
        let counters = Counters::new(1, *sequence);
        let nonce = (u64::from(device) << 32 | u64::from(*sequence)).to_be_bytes();
        let message = Message {
            alert: sent.alert,
            position: sent.place,
            device_clock: sent.clock.map(|clock| UnixMillis(clock.0 / 1_000)),
            firmware: sent.model,
            nonce: Some(Nonce(nonce)),
            ..Message::new(sent.kind, counters)
        };
        let bytes = message.encode();
        let id = device_id(device);
        let signed = assemble(Algorithm::EdDsa, &id, &bytes, &[0; 64]);
        Arrival {
            ticket: Ticket(self.tickets),
            received_at: self.now,
            carrier: Carrier::Quic,
            device: id,
            device_index: DeviceIndex(device),
            enrolment: self.enrolment(device),
            message_id: MessageId::of(&protocol::Realm([7; 16]), &id, &bytes),
            kind: sent.kind,
            counters,
            device_clock: message.device_clock,
            model: sent.model.and_then(Model::new),
            alert: sent.alert,
            category: None,
            position: sent.place,
            site: None,
            labels: Labels::NONE,
            signed: Bytes::from(signed),
        }
    }

    /// How the index knows the alert to be answered that a line is about.
    fn indexed_answer(&self, entry: &Entry) -> Answer {
        let Entry::Decision(Decision { alert: Some((alert, _)), .. }) = entry else {
            return Answer::Waiting;
        };
        answer_of(&self.journal[..self.indexed], *alert)
    }

    /// Devices are their own owners, in two batches by turns, and vouched for, unless a test says otherwise.
    pub(super) fn enrolment(&self, device: u32) -> Enrolment {
        let batch = Some(BatchIndex(device % 2));
        let usual = Enrolment { owner: None, batch, trusted_from: Time(0) };
        self.enrolments.get(&device).copied().unwrap_or(usual)
    }

    pub(super) fn enrol(&mut self, device: u32, owner: Option<u32>, batch: Option<u32>) {
        let owner = owner.map(OwnerIndex);
        let enrolment = Enrolment { owner, batch: batch.map(BatchIndex), trusted_from: Time(0) };
        self.enrolments.insert(device, enrolment);
    }

    /// An operator who may act everywhere judges an alert.
    pub(super) fn judge(
        &mut self,
        alert: AlertId,
        verdict: Verdict,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        self.demand(Demand::Verdict { alert, verdict }, Reach::Everywhere)
    }

    pub(super) fn demand(
        &mut self,
        demand: Demand,
        reach: Reach,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        self.ask("ani", demand, reach)
    }

    pub(super) fn ask(
        &mut self,
        actor: &str,
        demand: Demand,
        reach: Reach,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        let reason = Some("seen on site".into());
        self.request(Request { actor: actor.into(), reach, scope: Scope::ALL, demand, reason })
    }

    pub(super) fn request(&mut self, request: Request) -> Result<DecisionAnswer, DecisionRefusal> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.bring(Input::Decide { ticket, request });
        self.sync();
        self.answers.remove(&ticket).expect("every demand is answered")
    }

    /// The device presses and is judged a prankster for it, so often.
    pub(super) fn prank(&mut self, device: u32, times: usize) {
        for _ in 0..times {
            let alert = self.press(device).message_id.alert();
            self.judge(alert, Verdict::Prank).expect("the alert is known");
            self.pass(11 * MINUTE);
        }
    }

    pub(super) fn about(device: u32) -> About {
        let (device, index) = (device_id(device), DeviceIndex(device));
        About { device, index, zone: ZoneId::new("east") }
    }

    pub(super) fn sync(&mut self) {
        self.synced = self.journal.len();
        self.bring(Input::Synced(Cursor(self.synced as u64)));
    }

    pub(super) fn bring(&mut self, input: Input) {
        self.desk.handle(input, self.now);
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Append(entry) => {
                    assert_eq!(entry.cursor().0, self.journal.len() as u64 + 1, "no gaps");
                    self.journal.push(entry);
                }
                Output::Reply(ticket, receipt) => {
                    assert!(self.receipts.insert(ticket, receipt).is_none(), "answered twice");
                }
                Output::Decided(ticket, answer) => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "answered twice");
                }
                Output::LookUp(id) => self.bring(Input::LookedUp { id, found: None }),
                Output::Recollect { alert, .. } => {
                    let found = self.recollect(alert);
                    self.bring(Input::Recollected { alert, found });
                }
                Output::Hint(device, hint) => drop(self.hints.insert(device, hint)),
            }
        }
    }

    fn recollect(&self, alert: AlertId) -> Option<Recollected> {
        let synced = self.journal.iter().take(self.synced);
        let raise = synced
            .filter_map(Entry::message)
            .find(|record| record.kind == Kind::Raise && record.message_id.alert() == alert)?;
        let promoted = self.decisions().any(|decision| decision.promotes() == Some(alert));
        let device_index = Some(DeviceIndex(index_of(raise.device)));
        let answer = answer_of(&self.journal[..self.indexed], alert);
        Some(Recollected { raise: Arc::new(raise.clone()), device_index, promoted, answer })
    }

    pub(super) fn decisions(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.journal.iter().filter_map(|entry| match entry {
            Entry::Decision(decision) => Some(decision),
            Entry::Message(_) => None,
        })
    }

    /// The acts of all decisions so far, by name, but for alerts that climb: nobody answers in most tests.
    pub(super) fn acts(&self) -> Vec<&'static str> {
        self.decisions()
            .map(|decision| decision.act.name())
            .filter(|act| *act != "escalate")
            .collect()
    }

    pub(super) fn rezone(&mut self, zones: &Arc<Zones>) {
        self.zones = Arc::clone(zones);
        self.bring(Input::Rezoned(Arc::clone(zones)));
    }

    pub(super) fn route(&mut self, routing: Routing) {
        self.routing = Arc::new(routing);
        self.bring(Input::Routed(Arc::clone(&self.routing)));
    }

    /// Just these zones have subscribers.
    pub(super) fn attend(&mut self, zones: &[&str]) {
        self.listening = Some(Arc::new(zones.iter().map(|id| ZoneId::new(id)).collect()));
        self.bring(Input::Attended(self.listening.clone()));
        self.pass(Span(0));
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Record> {
        self.journal.iter().filter_map(Entry::message)
    }

    pub(super) fn grade(&self, device: u32) -> Grade {
        let index = DeviceIndex(device);
        self.desk.admission.grade(index, self.enrolment(device), self.now).0
    }

    pub(super) fn standing(&self, device: u32) -> Standing {
        self.desk.admission.standing(DeviceIndex(device))
    }

    /// The gateway stops as if power failed, and starts: what was not synced is gone.
    pub(super) fn restart(&mut self) {
        self.restart_within(self.policy.horizon());
    }

    /// A start at which the journal is told so far back.
    pub(super) fn restart_within(&mut self, horizon: Span) {
        self.journal.truncate(self.synced);
        let newest = self.journal.last().map_or(self.now, |line| line.at().min(self.now));
        let since = newest - horizon;
        let tail = self.journal.iter().position(|entry| entry.at() >= since);
        self.restart_with(tail.unwrap_or(self.journal.len()));
    }

    /// A start at which the journal is told from this line on, and the index knows everything.
    pub(super) fn restart_with(&mut self, tail: usize) {
        let journaled = Cursor(self.journal.len() as u64);
        let policy = Arc::clone(&self.policy);
        self.desk = Desk::new(self.config, Arc::clone(&self.zones), policy, journaled);
        self.receipts.clear();
        self.answers.clear();
        self.hints.clear();
        self.bring(Input::Fleet(Arc::clone(&self.fleet)));
        self.indexed = self.journal.len();
        self.bring(Input::Indexed(journaled));
        self.bring(Input::Routed(Arc::clone(&self.routing)));
        self.bring(Input::Attended(self.listening.clone()));
        for decision in self.decisions().cloned().collect::<Vec<_>>() {
            let (zone, drill_until, posture) = match decision.act {
                Act::Drill { until } => (decision.zone, Some(until), None),
                Act::Posture(posture) => (decision.zone, None, Some(posture)),
                _ => continue,
            };
            self.bring(Input::Prepared { zone, drill_until, posture });
        }
        let mut standings = BTreeMap::new();
        for decision in self.decisions() {
            if let (Some(device), Some(standing)) = (decision.device, &decision.standing) {
                standings.insert(device, standing.clone());
            }
        }
        for (device, standing) in standings {
            let index = DeviceIndex(index_of(device));
            self.bring(Input::Stands { index, device, standing });
        }
        let mut highest = BTreeMap::new();
        for record in self.messages() {
            let known = highest.entry(index_of(record.device)).or_insert(record.counters);
            *known = (*known).max(record.counters);
        }
        for (index, counters) in highest {
            self.bring(Input::Counted(DeviceIndex(index), counters));
        }
        for entry in self.journal.clone().into_iter().skip(tail) {
            let device = match &entry {
                Entry::Message(record) => Some(record.device),
                Entry::Decision(decision) => decision.device,
            };
            let index = device.map(index_of);
            let past = Past {
                device_index: index.map(DeviceIndex),
                enrolment: index.map(|index| self.enrolment(index)).unwrap_or_default(),
                answer: self.indexed_answer(&entry),
                entry,
            };
            self.bring(Input::Recalled(past));
        }
        self.pass(Span(0));
    }
}

pub(super) fn device_id(device: u32) -> DeviceId {
    DeviceId(u128::from(device).to_be_bytes())
}

pub(super) fn index_of(device: DeviceId) -> u32 {
    u32::try_from(u128::from_be_bytes(device.0)).unwrap()
}

/// How an alert is answered by these lines.
pub(super) fn answer_of(lines: &[Entry], alert: AlertId) -> Answer {
    let mut answer = Answer::Waiting;
    for line in lines {
        let Entry::Decision(Decision { actor: Actor::Operator(by), act, decided_at: at, .. }) =
            line
        else {
            continue;
        };
        let about =
            matches!(line, Entry::Decision(d) if d.alert.is_some_and(|(id, _)| id == alert));
        let (by, at) = (Arc::clone(by), *at);
        match act {
            _ if !about => {}
            Act::Verdict(_) if answer == Answer::Waiting => {
                answer = Answer::Acknowledged { by, at }
            }
            Act::Acknowledge => answer = Answer::Acknowledged { by, at },
            Act::Assign { to } => answer = Answer::Assigned { by, to: Arc::clone(to), at },
            Act::Resolve(_) => answer = Answer::Resolved { by, at },
            Act::Reopen => answer = Answer::Waiting,
            _ => {}
        }
    }
    answer
}
