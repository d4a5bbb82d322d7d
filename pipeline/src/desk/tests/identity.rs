//! Which message is a copy of which: the desk against a slow obvious model, in random histories of presses, copies,
//! syncs, crashes and look-ups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use protocol::{Category, Counters, DeviceId, Label, Labels, Position};

use std::sync::Arc;

use super::super::*;
use crate::{Answer, Carrier, DeviceIndex, Disposition, Enrolment, Entry, Record, Span, ZoneId};

const ZONES: &str = r#"{"type":"FeatureCollection","features":[
  {"type":"Feature","properties":{"id":"city","name":"City","level":"polres"},"geometry":null},
  {"type":"Feature","properties":{"id":"east","name":"East","level":"polsek","parent":"city"},
   "geometry":{"type":"Polygon","coordinates":[[[10,0],[10.01,0],[10.01,0.01],[10,0.01],[10,0]]]}},
  {"type":"Feature","properties":{"id":"west","name":"West","level":"polsek","parent":"city"},
   "geometry":{"type":"Polygon","coordinates":[[[9.99,0],[10,0],[10,0.01],[9.99,0.01],[9.99,0]]]}}]}"#;

fn zones() -> Arc<Zones> {
    static READ: LazyLock<Arc<Zones>> =
        LazyLock::new(|| Arc::new(Zones::from_geojson(ZONES).expect("the zones above are valid")));
    Arc::clone(&READ)
}

fn east() -> Position {
    Position::new(50_000, 100_050_000).unwrap()
}

fn west() -> Position {
    Position::new(50_000, 99_950_000).unwrap()
}

/// A raise with everything at its plainest; tests change what they are about.
fn raise(ticket: u64, id: u8, counters: Counters) -> Arrival {
    Arrival {
        ticket: Ticket(ticket),
        received_at: Time(7),
        carrier: Carrier::Quic,
        device: DeviceId([1; 16]),
        device_index: DeviceIndex(0),
        enrolment: Enrolment::default(),
        message_id: MessageId([id; 16]),
        kind: Kind::Raise,
        counters,
        device_clock: None,
        model: None,
        alert: None,
        category: None,
        position: Some(east()),
        site: None,
        labels: Labels::NONE,
        signed: bytes::Bytes::from_static(b"signed"),
    }
}

fn update(ticket: u64, id: u8, counters: Counters, alert: u8) -> Arrival {
    let alert = Some(AlertId([alert; 16]));
    Arrival { kind: Kind::Update, alert, ..raise(ticket, id, counters) }
}

fn desk() -> Desk {
    desk_over(Cursor(0), 1_000)
}

fn desk_over(journaled: Cursor, remembered_max: usize) -> Desk {
    Desk::new(
        DeskConfig { remembered_max, in_hand_max: 8, ..DeskConfig::default() },
        zones(),
        Arc::default(),
        journaled,
    )
}

fn outputs(desk: &mut Desk, input: Input) -> Vec<Output> {
    desk.handle(input, Time(9_000));
    // Hints are for shards; nothing here depends on them.
    let outputs = std::iter::from_fn(|| desk.poll_output());
    outputs.filter(|output| !matches!(output, Output::Hint(..))).collect()
}

fn appended(outputs: &[Output]) -> &Record {
    match outputs {
        [Output::Append(Entry::Message(record))] => record,
        other => panic!("expected one record, got {other:?}"),
    }
}

fn replied(outputs: &[Output]) -> (Ticket, Receipt) {
    match outputs {
        [Output::Reply(ticket, receipt)] => (*ticket, *receipt),
        other => panic!("expected one receipt, got {other:?}"),
    }
}

#[test]
fn receipt_waits_for_the_sync() {
    let mut desk = desk();
    let record = outputs(&mut desk, Input::Arrived(raise(1, 1, Counters::new(1, 0))));
    assert_eq!(appended(&record).cursor, Cursor(1));
    assert_eq!(appended(&record).zone, ZoneId::new("east"));
    assert_eq!(desk.in_hand(), 1);
    let (ticket, receipt) = replied(&outputs(&mut desk, Input::Synced(Cursor(1))));
    assert_eq!(ticket, Ticket(1));
    assert_eq!(receipt.status, Status::Received);
    assert_eq!(receipt.alert, Some(AlertId([1; 16])));
    assert_eq!(receipt.counters, Some(Counters::new(1, 0)));
    assert_eq!(receipt.gateway_clock.0, 9);
    assert_eq!(desk.in_hand(), 0);
}

#[test]
fn copy_before_the_sync_waits_for_it_and_is_a_duplicate() {
    let mut desk = desk();
    outputs(&mut desk, Input::Arrived(raise(1, 1, Counters::new(1, 0))));
    assert!(outputs(&mut desk, Input::Arrived(raise(2, 1, Counters::new(1, 0)))).is_empty());
    let both = outputs(&mut desk, Input::Synced(Cursor(1)));
    let statuses: Vec<_> = both
        .iter()
        .map(|output| match output {
            Output::Reply(ticket, receipt) => (ticket.0, receipt.status),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(statuses, [(1, Status::Received), (2, Status::Duplicate)]);
    let later = outputs(&mut desk, Input::Arrived(raise(3, 1, Counters::new(1, 0))));
    assert_eq!(replied(&later).1.status, Status::Duplicate);
}

#[test]
fn raise_of_a_reset_device_is_labelled_and_paged() {
    let mut desk = desk();
    outputs(&mut desk, Input::Arrived(raise(1, 1, Counters::new(9, 500))));
    let later = Time(7) + Span::from_secs(3_600);
    let reset = Arrival { received_at: later, ..raise(2, 2, Counters::new(0, 0)) };
    let record = outputs(&mut desk, Input::Arrived(reset));
    assert!(appended(&record).labels.contains(Label::CountersBehind));
    assert_eq!(appended(&record).disposition, Disposition::Paged);
    let update = outputs(&mut desk, Input::Arrived(update(3, 3, Counters::new(0, 1), 2)));
    assert_eq!(appended(&update).alert, Some(AlertId([2; 16])), "its updates are heard again");
}

#[test]
fn old_update_is_dismissed_and_a_cancel_never_is() {
    let mut desk = desk();
    outputs(&mut desk, Input::Arrived(raise(1, 1, Counters::new(1, 100))));
    let old = outputs(&mut desk, Input::Arrived(update(2, 2, Counters::new(1, 30), 1)));
    assert_eq!(replied(&old).1.reason, Some(Reason::Stale));
    let cancel = Arrival { kind: Kind::Cancel, ..update(3, 3, Counters::new(1, 29), 1) };
    assert_eq!(appended(&outputs(&mut desk, Input::Arrived(cancel))).kind, Kind::Cancel);
    let crossed = outputs(&mut desk, Input::Arrived(update(4, 4, Counters::new(1, 99), 1)));
    assert_eq!(appended(&crossed).kind, Kind::Update);
}

#[test]
fn update_is_about_what_its_raise_is_about() {
    let mut desk = desk();
    let fire = Arrival { category: Some(Category::Fire), ..raise(1, 1, Counters::new(1, 0)) };
    outputs(&mut desk, Input::Arrived(fire));
    let mut about = |id: u8, sequence, alert, category| {
        let arrival = update(id.into(), id, Counters::new(1, sequence), alert);
        let followed = outputs(&mut desk, Input::Arrived(Arrival { category, ..arrival }));
        appended(&followed).category
    };
    assert_eq!(about(2, 1, 1, None), Category::Fire);
    assert_eq!(about(3, 2, 1, Some(Category::Crime)), Category::Fire);
    assert_eq!(about(4, 3, 77, Some(Category::Crime)), Category::Crime, "of an unknown alert");
}

#[test]
fn update_goes_where_its_raise_went() {
    let mut desk = desk();
    outputs(&mut desk, Input::Arrived(raise(1, 1, Counters::new(1, 0))));
    let moved = Arrival { position: Some(west()), ..update(2, 2, Counters::new(1, 1), 1) };
    let followed = outputs(&mut desk, Input::Arrived(moved));
    assert_eq!(appended(&followed[..1]).zone, ZoneId::new("east"));
    let [_, Output::Append(Entry::Decision(moving))] = &*followed else { panic!("{followed:?}") };
    assert_eq!(
        (moving.zone.as_str(), &moving.act),
        ("east", &crate::Act::Moving { seen: Cursor(2) })
    );
    let unknown = Arrival { position: Some(west()), ..update(3, 3, Counters::new(1, 2), 77) };
    let record = outputs(&mut desk, Input::Arrived(unknown));
    assert_eq!(appended(&record).zone, ZoneId::new("west"));
    assert!(appended(&record).labels.contains(Label::AlertUnknown));
}

#[test]
fn update_of_another_devices_alert_is_refused() {
    let mut desk = desk();
    outputs(&mut desk, Input::Arrived(raise(1, 1, Counters::new(1, 0))));
    let foreign = Arrival {
        device: DeviceId([2; 16]),
        device_index: DeviceIndex(1),
        ..update(2, 2, Counters::new(1, 1), 1)
    };
    let receipt = replied(&outputs(&mut desk, Input::Arrived(foreign))).1;
    assert_eq!((receipt.status, receipt.reason), (Status::Refused, Some(Reason::ForeignAlert)));
}

#[test]
fn place_off_every_zone_goes_to_the_root_with_a_label() {
    let mut desk = desk();
    let far = Arrival { position: Position::new(0, 0), ..raise(1, 1, Counters::new(1, 0)) };
    let record = outputs(&mut desk, Input::Arrived(far));
    assert_eq!(appended(&record).zone, ZoneId::new("city"));
    assert!(appended(&record).labels.contains(Label::OutsideZones));
    let nowhere = Arrival { position: None, ..raise(2, 2, Counters::new(1, 1)) };
    let record = outputs(&mut desk, Input::Arrived(nowhere));
    assert_eq!(appended(&record).zone, ZoneId::new("city"));
    assert!(appended(&record).labels.contains(Label::NoPosition));
    let site = Some(west());
    let button = Arrival { position: None, site, ..raise(3, 3, Counters::new(1, 2)) };
    let record = outputs(&mut desk, Input::Arrived(button));
    assert_eq!((appended(&record).zone.as_str(), appended(&record).site), ("west", site));
    assert!(appended(&record).labels.contains(Label::EnrolledSite));
}

#[test]
fn wants_no_more_at_its_bounds_until_the_disk_or_the_index_moves() {
    let mut desk = desk_over(Cursor(0), 3);
    for n in 0..3 {
        assert!(desk.wants_more());
        outputs(&mut desk, Input::Arrived(raise(u64::from(n), n, Counters::new(1, n.into()))));
    }
    assert!(!desk.wants_more(), "everything remembered is ahead of the index");
    outputs(&mut desk, Input::Synced(Cursor(3)));
    outputs(&mut desk, Input::Indexed(Cursor(3)));
    assert!(desk.wants_more());
}

/// A message of the model's world: device, id and kind follow from its number.
#[derive(Debug, Clone)]
enum Step {
    Send(u8),
    Sync(u8),
    Index(u8),
    Answer,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u8..40).prop_map(Step::Send),
        3 => (1_u8..6).prop_map(Step::Sync),
        2 => (1_u8..6).prop_map(Step::Index),
        3 => Just(Step::Answer),
        1 => Just(Step::Crash),
    ]
}

/// The gateway around the desk, as slowly and obviously as possible.
struct World {
    desk: Desk,
    journal: Vec<Record>,
    synced: usize,
    indexed: usize,
    questions: Vec<MessageId>,
    tickets: u64,
    waiting: BTreeMap<Ticket, Arrival>,
}

impl World {
    fn new() -> Self {
        Self {
            desk: desk_over(Cursor(0), 3),
            journal: vec![],
            synced: 0,
            indexed: 0,
            questions: vec![],
            tickets: 0,
            waiting: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Send(n) if self.desk.wants_more() => self.send(*n),
            Step::Send(_) | Step::Answer => self.answer(),
            Step::Sync(n) => self.sync(usize::from(*n)),
            Step::Index(n) => self.index(usize::from(*n)),
            Step::Crash => self.crash(),
        }
    }

    /// Numbers 0 to 39: four devices with ten messages each: raises, their updates and a cancel.
    fn send(&mut self, n: u8) {
        let (device, nth) = (n / 10, n % 10);
        let kind = match nth {
            0 | 4 | 7 => Kind::Raise,
            9 => Kind::Cancel,
            _ => Kind::Update,
        };
        let alert = match nth {
            0 | 4 | 7 => None,
            // One update names the alert of the next device.
            3 => Some(AlertId([(device + 1) % 4 * 10; 16])),
            1..=6 => Some(AlertId([device * 10; 16])),
            _ => Some(AlertId([device * 10 + 7; 16])),
        };
        self.tickets += 1;
        // The raise numbered 7 comes from a device whose counters were reset.
        let counters =
            if nth >= 7 { Counters::new(0, nth.into()) } else { Counters::new(1, nth.into()) };
        let arrival = Arrival {
            device: DeviceId([device; 16]),
            device_index: DeviceIndex(device.into()),
            kind,
            alert,
            position: Some(if device % 2 == 0 { east() } else { west() }),
            ..raise(self.tickets, n, counters)
        };
        self.waiting.insert(arrival.ticket, arrival.clone());
        self.bring(Input::Arrived(arrival));
    }

    fn sync(&mut self, n: usize) {
        self.synced = (self.synced + n).min(self.journal.len());
        self.bring(Input::Synced(Cursor(self.synced as u64)));
    }

    fn index(&mut self, n: usize) {
        self.indexed = (self.indexed + n).min(self.synced);
        self.bring(Input::Indexed(Cursor(self.indexed as u64)));
    }

    fn answer(&mut self) {
        for id in std::mem::take(&mut self.questions) {
            let found = self.journal.iter().take(self.indexed).find(|r| r.message_id == id);
            let found = found.map(|record| Found {
                cursor: record.cursor,
                device: record.device,
                zone: record.zone.clone(),
                held: false,
                received_at: record.received_at,
                agencies: record.agencies,
                category: record.category,
                also: record.also.clone(),
            });
            self.bring(Input::LookedUp { id, found });
        }
    }

    /// Whatever was not synced is gone, and so is everybody who waited.
    fn crash(&mut self) {
        self.journal.truncate(self.synced);
        self.questions.clear();
        self.waiting.clear();
        self.desk = desk_over(Cursor(self.synced as u64), 3);
        self.bring(Input::Indexed(Cursor(self.indexed as u64)));
        let mut highest = BTreeMap::new();
        for record in self.journal.iter().take(self.indexed) {
            let device = DeviceIndex(record.device.0[0].into());
            let known = highest.entry(device).or_insert(record.counters);
            *known = (*known).max(record.counters);
        }
        for (device, counters) in highest {
            self.bring(Input::Counted(device, counters));
        }
        for record in self.journal.clone().iter().skip(self.indexed) {
            self.bring(Input::Recalled(Past {
                device_index: Some(DeviceIndex(record.device.0[0].into())),
                enrolment: Enrolment::default(),
                answer: Answer::Waiting,
                entry: Entry::Message(record.clone()),
            }));
        }
    }

    fn bring(&mut self, input: Input) {
        for output in outputs(&mut self.desk, input) {
            match output {
                Output::Append(Entry::Message(record)) => self.append(record),
                Output::LookUp(id) => self.questions.push(id),
                Output::Reply(ticket, receipt) => self.reply(ticket, &receipt),
                other => panic!("{other:?}"),
            }
        }
    }

    fn append(&mut self, record: Record) {
        assert_eq!(record.cursor.0, self.journal.len() as u64 + 1);
        let again = self.journal.iter().any(|earlier| earlier.message_id == record.message_id);
        assert!(!again, "one press became two records");
        let raise = record.alert.and_then(|alert| {
            self.journal.iter().find(|earlier| earlier.message_id.alert() == alert)
        });
        if let Some(raise) = raise {
            assert_eq!(raise.device, record.device, "an update joined another device's alert");
            assert_eq!(raise.zone, record.zone, "an update left the zone of its raise");
        }
        self.journal.push(record);
    }

    fn reply(&mut self, ticket: Ticket, receipt: &Receipt) {
        let arrival = self.waiting.remove(&ticket).expect("each ticket is answered once");
        let stored = self.journal.iter().position(|r| r.message_id == arrival.message_id);
        if receipt.status.is_durable() {
            let stored = stored.expect("a durable receipt without a record");
            assert!(stored < self.synced, "a receipt before the sync");
            assert_eq!(receipt.alert, arrival.alert_id());
        } else {
            assert_eq!(stored, None, "a stored message was refused");
            assert!(matches!(arrival.kind, Kind::Update | Kind::Cancel), "a raise was refused");
        }
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            self.sync(usize::MAX / 2);
            self.index(usize::MAX / 2);
            self.answer();
        }
    }
}

#[test]
fn copy_that_waited_for_its_alert_is_known_though_its_first_was_forgotten() {
    use Step::{Crash, Index, Send, Sync};
    let mut world = World::new();
    let before = [Send(0), Sync(1), Index(1), Crash, Send(11), Send(10), Send(11), Sync(2)];
    let forgotten = [Index(2), Send(37), Send(14), Send(0)];
    before.iter().chain(&forgotten).for_each(|step| world.step(step));
    world.settle();
    assert!(world.waiting.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_one_record_a_press_and_answers_everybody(
        steps in prop::collection::vec(step(), 0..120)
    ) {
        let mut world = World::new();
        let mut raised = BTreeSet::new();
        for step in &steps {
            world.step(step);
        }
        // Everybody presses again after the last crash: nothing may be lost, whatever happened before.
        world.settle();
        for n in (0..40).filter(|n| matches!(n % 10, 0 | 4 | 7)) {
            world.send(n);
            world.settle();
            raised.insert(MessageId([n; 16]));
        }
        prop_assert!(world.waiting.is_empty(), "somebody has no receipt");
        prop_assert_eq!(world.desk.in_hand(), 0);
        let journaled: BTreeSet<_> = world.journal.iter().map(|record| record.message_id).collect();
        prop_assert!(raised.is_subset(&journaled));
    }
}
