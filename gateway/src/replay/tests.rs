//! A past is made by the real desk, written to a real journal, and replayed.

use std::path::PathBuf;

use bytes::Bytes;
use pipeline::{
    Answer, Arrival, BatchIndex, Carrier, Demand, Desk, DeskConfig, DeviceIndex, Enrolment, Entry,
    Input, Output, OwnerIndex, Reach, Recollected, Request, Scope, Span, Ticket, Verdict,
};
use protocol::{
    Algorithm, Counters, DeviceId, Kind, Labels, Message, MessageId, Nonce, Position, Realm,
    assemble,
};
use serde_json::{Value, json};

use super::*;
use crate::config::{JournalConfig, ZonesConfig};
use crate::journal::Journal;
use crate::registry::{Device, DeviceKey};
use crate::zones;

/// 2027-01-15T08:00:00Z.
const START: Time = Time(1_800_000_000_000_000);
const MINUTE: Span = Span::from_secs(60);

/// A town with a desk under the default policy.
struct Town {
    desk: Desk,
    journal: Vec<Entry>,
    registry: Registry,
    zones: Arc<Zones>,
    now: Time,
    sent: u32,
    folder: tempfile::TempDir,
}

impl Town {
    /// Devices 0 to 9, each with an owner of its own, in two batches by turns.
    fn new() -> Self {
        let zones = Arc::new(zones::load(&ZonesConfig::default()).unwrap());
        let registry = Registry::default();
        for number in 0..10 {
            let enrolment = Enrolment {
                owner: Some(OwnerIndex(number)),
                batch: Some(BatchIndex(number % 2)),
                trusted_from: Time(0),
            };
            let (index, key) = (DeviceIndex(number), DeviceKey::EdDsa([9; 32]));
            let device = Device { index, key, revoked: false, site: None, enrolment };
            registry.put(id(number), &device);
        }
        let policy = Arc::new(Policy::default());
        Self {
            desk: Desk::new(DeskConfig::default(), Arc::clone(&zones), policy, Cursor(0)),
            journal: vec![],
            registry,
            zones,
            now: START,
            sent: 0,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn pass(&mut self, minutes: u64) {
        let until = self.now + minutes * MINUTE;
        while let Some(deadline) = self.desk.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.bring(Input::Tick);
        }
        self.now = until;
    }

    /// The device presses in Klojen, so many metres north of the square.
    fn press(&mut self, device: u32, metres: i64) -> AlertId {
        let message = Message {
            position: Position::new(-79_770_000 + metres * 90, 1_126_340_000),
            ..self.message(Kind::Raise)
        };
        self.send(device, &message)
    }

    fn cancel(&mut self, device: u32, alert: AlertId) {
        let message = Message { alert: Some(alert), ..self.message(Kind::Cancel) };
        self.send(device, &message);
    }

    fn message(&mut self, kind: Kind) -> Message<'static> {
        self.sent += 1;
        let nonce = (kind == Kind::Raise).then(|| Nonce(u64::from(self.sent).to_be_bytes()));
        Message { nonce, ..Message::new(kind, Counters::new(1, self.sent)) }
    }

    fn send(&mut self, device: u32, message: &Message<'_>) -> AlertId {
        let bytes = message.encode();
        let message_id = MessageId::of(&Realm([7; 16]), &id(device), &bytes);
        let known = self.registry.get(&id(device)).unwrap();
        self.bring(Input::Arrived(Arrival {
            ticket: Ticket(self.sent.into()),
            received_at: self.now,
            carrier: Carrier::Quic,
            device: id(device),
            device_index: known.index,
            enrolment: known.enrolment,
            message_id,
            kind: message.kind,
            counters: message.counters,
            device_clock: None,
            model: None,
            alert: message.alert,
            category: None,
            position: message.position,
            site: None,
            labels: Labels::NONE,
            signed: Bytes::from(assemble(Algorithm::EdDsa, &id(device), &bytes, &[0; 64])),
        }));
        message_id.alert()
    }

    fn judge(&mut self, alert: AlertId, verdict: Verdict) {
        self.demand(Demand::Verdict { alert, verdict });
    }

    fn demand(&mut self, demand: Demand) {
        let (actor, reason) = (Arc::from("siti"), Some(Arc::from("seen on site")));
        let request =
            Request { actor, reach: Reach::Everywhere, scope: Scope::ALL, demand, reason };
        self.bring(Input::Decide { ticket: Ticket(1), request });
    }

    fn bring(&mut self, input: Input) {
        self.desk.handle(input, self.now);
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Append(entry) => self.journal.push(entry),
                Output::Recollect { alert, .. } => {
                    let mut raises = self.journal.iter().filter_map(Entry::message);
                    let raise = raises.find(|record| record.message_id.alert() == alert);
                    let found = raise.map(|raise| Recollected {
                        raise: Arc::new(raise.clone()),
                        device_index: self.registry.index_of(&raise.device),
                        promoted: false,
                        answer: Answer::Waiting,
                    });
                    self.desk.handle(Input::Recollected { alert, found }, self.now);
                }
                Output::LookUp(_) => unreachable!("the desk knows its whole past"),
                Output::Decided(_, answer) => assert!(answer.is_ok(), "{answer:?}"),
                Output::Reply(..) | Output::Hint(..) => {}
            }
        }
        let last = self.journal.last().map_or(Cursor(0), Entry::cursor);
        self.desk.handle(Input::Synced(last), self.now);
        while self.desk.poll_output().is_some() {}
    }

    fn replay(&self, policy: &str) -> (Replay, Vec<String>) {
        let path: PathBuf = self.folder.path().join("journal.db");
        if !path.exists() {
            let mut journal = Journal::open(&path, &JournalConfig::default()).unwrap();
            journal.append(&self.journal).unwrap();
        }
        let policy = Policy::read(policy, []).unwrap();
        let differences = Policy::default().differences(&policy);
        let mut reader = Reader::open(&path).unwrap();
        let zones = Arc::clone(&self.zones);
        let sources = Sources { journal: &mut reader, registry: &self.registry, zones };
        (replay(sources, Arc::new(policy)).unwrap(), differences)
    }
}

fn id(number: u32) -> DeviceId {
    DeviceId(u128::from(number + 1).to_be_bytes())
}

/// A prankster who is blocked and once in need, one who is judged once and then in need, one whom nobody judges.
fn past() -> Town {
    let mut town = Town::new();
    for _ in 0..3 {
        let prank = town.press(1, 0);
        town.press(1, 0);
        town.pass(20);
        town.judge(prank, Verdict::Prank);
    }
    town.press(1, 0);
    let once = town.press(2, 5_000);
    town.press(3, 0);
    town.pass(20);
    town.judge(once, Verdict::Prank);
    town.pass(20);
    let real = town.press(2, 5_000);
    town.pass(30);
    town.judge(real, Verdict::Genuine);
    let real = town.press(1, 9_000);
    town.pass(5);
    town.judge(real, Verdict::Genuine);
    let prank = town.press(4, 2_000);
    town.cancel(4, prank);
    town.pass(20);
    town.judge(prank, Verdict::Prank);
    town.press(4, 2_000);
    town.pass(3 * 24 * 60);
    town.press(5, 0);
    town
}

#[test]
fn the_same_policy_would_have_done_the_same() {
    let town = past();
    let (replay, _) = town.replay("");
    assert_eq!(replay.old, replay.new);
    assert_eq!(replay.lines, town.journal.len() as u64);
    assert_eq!((replay.refused, replay.moot, replay.erased), (0, 0, 0));
    for case in replay.cases.values() {
        assert_eq!(case.new, Some(case.old));
        assert_eq!(case.change(), None);
    }
}

#[test]
fn names_each_real_alert_that_would_have_waited_and_each_prank_page_avoided() {
    let (replay, differences) = past().replay("[strikes]\nblock_at = 1\n");
    let mut told = Vec::new();
    replay.tell(&differences, &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    // Ids follow from keys that stand in this test: they do not change.
    assert_eq!(told, include_str!("testing/strikes-1.txt"), "{told}");
    let json = replay.json(&differences);
    assert_eq!(json["alerts"]["worse"].as_array().unwrap().len(), 2);
    assert_eq!(json["alerts"]["worse"][0]["change"], "delayed");
    assert_eq!(json["alerts"]["worse"][1]["verdict"], Value::Null);
    assert_eq!(json["alerts"]["worse"][1]["change"], "held");
    assert!(!told.contains("7.97") && !told.contains("112.6"), "no place is told");
}

#[test]
fn a_laxer_policy_shows_what_it_would_have_paged() {
    let (replay, differences) = past().replay("[strikes]\nblock_at = 8\n");
    let json = replay.json(&differences);
    assert_eq!(json["replayed"]["held"], 0);
    assert_eq!(json["alerts"]["worse"], json!([]));
    assert_eq!(json["alerts"]["better"][0]["change"], "released", "{json:#}");
    assert_eq!(json["alerts"]["better"][1]["change"], "sooner", "{json:#}");
}

#[test]
fn what_operators_could_not_have_decided_is_counted() {
    let mut town = Town::new();
    let about = || pipeline::About {
        device: id(1),
        index: DeviceIndex(1),
        zone: pipeline::ZoneId::new("polsek-klojen"),
    };
    let until = town.now + Span::from_secs(20 * 86_400);
    town.demand(Demand::Block { about: about(), until });
    town.press(1, 0);
    town.pass(60);
    town.demand(Demand::Appeal(about()));
    town.demand(Demand::Unblock(about()));
    let (same, _) = town.replay("");
    assert_eq!((same.moot, same.old.held, same.new.held), (0, 1, 1));
    let (replay, _) = town.replay("[strikes]\noperator_block_max = \"1d\"\n");
    assert_eq!((replay.moot, replay.old.held, replay.new.held), (2, 1, 0));
}
