//! Incidents against a slow model, in virtual time: whatever happens, and however seldom a reader reads or resumes, it ends
//! with what its own alerts come to; nothing is told more often than four times a second, nothing later than a quarter.

mod history;
mod model;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::{Agencies, Agency, Cursor, Entry, ZoneId};
use proptest::prelude::*;
use protocol::AlertId;
use serde_json::Value;

use self::history::{Line, lines, writer};
use self::model::summaries;
use super::board::{Board, State};
use super::follow::Lines;
use super::shelf::{INTERVAL, Shelf, Turn};
use super::{Incidents, lock};
use crate::clock;
use crate::config::FeedConfig;
use crate::feed::access::Viewer;
use crate::feed::cursor::CursorCodec;
use crate::feed::entitlement::Entitlement;
use crate::feed::shape::Format;
use crate::feed::testing::town;
use crate::registry::{Limits, Sight};

/// Bytes that a board keeps of summaries: of a few.
const ENCODED_MAX: usize = 4_096;

fn viewers() -> Vec<Viewer> {
    let of = |zones: &[&str], limits| {
        let zones: Vec<ZoneId> = zones.iter().copied().map(ZoneId::new).collect();
        Viewer::new(Entitlement::new(&zones, &town()), limits)
    };
    let fire = Limits { agencies: Agencies::NONE.with(Agency::Fire), ..Limits::default() };
    let coarse = Limits { sight: Sight::Coarse, ..Limits::default() };
    vec![
        of(&["town"], Limits::default()),
        of(&["west"], Limits::default()),
        of(&["east"], coarse),
        of(&["town"], fire),
    ]
}

/// What readers of one kind are told, and one of them that reads now and then.
struct Reader {
    board: Arc<Board>,
    viewer: Viewer,
    turn: Turn,
    from: Cursor,
    position: Cursor,
    shown: BTreeMap<String, Value>,
    told_at: HashMap<AlertId, Instant>,
    seen: Turn,
}

/// A room without a journal, and its readers.
struct House {
    room: Arc<Incidents>,
    codec: CursorCodec,
    now: Instant,
    due: Option<Instant>,
    entries: Vec<(Instant, Entry)>,
    readers: Vec<Reader>,
}

impl House {
    fn new(config: &FeedConfig) -> Self {
        let room = Incidents::new(PathBuf::new(), config);
        let now = clock::monotonic();
        let codec = CursorCodec::new([7; 16]);
        let mut house = Self { room, codec, now, due: None, entries: vec![], readers: vec![] };
        house.readers = viewers().into_iter().map(|viewer| house.reader(viewer)).collect();
        house.take(vec![]);
        house
    }

    fn reader(&self, viewer: Viewer) -> Reader {
        Reader {
            board: self.room.board(&viewer, Format::Json),
            viewer,
            turn: Turn::default(),
            from: Cursor(0),
            position: Cursor(0),
            shown: BTreeMap::new(),
            told_at: HashMap::new(),
            seen: Turn::default(),
        }
    }

    /// Takes these lines at this moment, and looks at what is told and what is kept for that.
    fn take(&mut self, entries: Vec<Entry>) {
        self.entries.extend(entries.iter().map(|entry| (self.now, entry.clone())));
        let last = Cursor(self.entries.len() as u64);
        let lines = Lines { begins: None, entries };
        let boards = self.room.live();
        self.due = self.room.take(&lines, &boards, (last, self.now), false).1;
        for reader in &mut self.readers {
            let (kept_bytes, is_told) = reader.board.kept();
            assert!(is_told && kept_bytes <= ENCODED_MAX, "{kept_bytes} bytes are kept");
            let told: Vec<_> = reader.board.look(|shelf| shelf.behind(reader.seen).collect());
            for (turn, told) in told {
                reader.seen = turn;
                if let Some(before) = reader.told_at.insert(told.incident, self.now) {
                    assert!(self.now - before >= INTERVAL, "told after {:?}", self.now - before);
                }
            }
        }
    }

    /// Lets time pass; what is due is told when it is due.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.due.filter(|due| *due <= until) {
            self.now = due;
            self.take(vec![]);
        }
        self.now = until;
    }

    /// Reader `index` reads at most so many batches.
    fn read(&mut self, index: usize, batches: usize) {
        let reader = &mut self.readers[index];
        for _ in 0..batches {
            let behind = (reader.turn, reader.from);
            let batch = reader.board.read(behind, &self.room.ledger, &self.codec, ENCODED_MAX);
            let text = String::from_utf8(batch.bytes.to_vec()).unwrap();
            for event in text.split_terminator("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
                let id = event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
                let data: Value = serde_json::from_str(data).unwrap();
                reader.shown.insert(data["incident_id"].as_str().unwrap().to_owned(), data);
                reader.position = self.codec.open(id).unwrap();
            }
            (reader.turn, reader.position) = (batch.turn, batch.position);
        }
    }

    /// Reader `index` loses its connection, with everything that it was told only in part, and resumes.
    fn resume(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        (reader.turn, reader.from) = (Turn::default(), reader.position);
    }

    /// What the first reader should have been shown at each moment of the last quarter of a second.
    fn lately(&self) -> Vec<BTreeMap<String, Value>> {
        let since = self.now - INTERVAL;
        let mut moments: BTreeSet<_> = self.entries.iter().map(|(at, _)| *at).collect();
        moments = moments.split_off(&since);
        moments.insert(since);
        moments.into_iter().map(|moment| self.expected(0, moment)).collect()
    }

    /// What reader `index` should be shown of what happened until `until`.
    fn expected(&self, index: usize, until: Instant) -> BTreeMap<String, Value> {
        let entries = self.entries.iter().filter(|(at, _)| *at <= until).map(|(_, entry)| entry);
        summaries(entries, &self.readers[index].viewer)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Happens(Vec<Line>),
    Passes(u64),
    Reads(usize),
    Resumes(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => lines().prop_map(Step::Happens),
        3 => (1..400_u64).prop_map(Step::Passes),
        2 => (0..4_usize).prop_map(Step::Reads),
        1 => (0..4_usize).prop_map(Step::Resumes),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_ends_with_what_its_own_alerts_come_to(steps in steps()) {
        let mut house = House::new(&FeedConfig::default());
        let mut write = writer();
        // The first reader reads whatever is told at once.
        for step in steps {
            match step {
                Step::Happens(lines) => {
                    // No two batches at one moment: what was so in between could not be told apart.
                    house.pass(Duration::from_micros(1));
                    house.take(lines.into_iter().filter_map(&mut write).collect());
                }
                Step::Passes(ms) => house.pass(Duration::from_millis(ms)),
                Step::Reads(reader) => house.read(reader, 1),
                Step::Resumes(reader) => house.resume(reader),
            }
            house.read(0, 1);
            let lately = house.lately();
            for (id, summary) in house.expected(0, house.now) {
                if lately.iter().all(|before| before.get(&id) == Some(&summary)) {
                    prop_assert_eq!(&house.readers[0].shown[&id], &summary, "a quarter late");
                }
            }
        }
        house.pass(INTERVAL);
        for index in 0..house.readers.len() {
            house.read(index, 2);
            prop_assert_eq!(&house.readers[index].shown, &house.expected(index, house.now));
            prop_assert_eq!(house.readers[index].position, Cursor(house.entries.len() as u64));
        }
        // Whoever comes last is told the same, each incident once.
        let late = house.reader(viewers().swap_remove(1));
        house.readers.push(late);
        let index = house.readers.len() - 1;
        house.read(index, 1);
        prop_assert_eq!(&house.readers[index].shown, &house.expected(1, house.now));
    }

    #[test]
    fn memory_is_bounded_and_what_left_is_said(raises in prop::collection::vec(0..40_usize, 1..120)) {
        let config = FeedConfig { incident_members_max: 16, ..FeedConfig::default() };
        let mut house = House::new(&config);
        let mut write = writer();
        for of in raises {
            let entries = [Line::raise(of)].into_iter().filter_map(&mut write).collect();
            house.take(entries);
            house.pass(INTERVAL);
            let (members, kept) = {
                let ledger = lock(&house.room.ledger);
                let kept: Vec<_> = ledger.incidents().map(|(id, _)| id.to_string()).collect();
                (ledger.members(), kept)
            };
            prop_assert!(members <= 16);
            house.read(0, 1);
            for id in kept {
                prop_assert!(house.readers[0].shown.contains_key(&id));
            }
            // Whoever has read everything misses nothing of what leaves.
            let reader = &house.readers[0];
            prop_assert!(reader.board.look(Shelf::floor) <= reader.position);
        }
        // Whoever has read nothing is told where what is missing ends: before all that is not.
        let begun = house.expected(2, house.now).len();
        house.read(2, 2);
        let reader = &house.readers[2];
        let is_missing = reader.shown.len() < begun;
        prop_assert_eq!(is_missing, reader.board.look(Shelf::floor) > Cursor(0));
    }
}

#[test]
fn decision_about_an_alert_that_left_brings_it_back_as_a_part() {
    let config = FeedConfig { incident_members_max: 2, ..FeedConfig::default() };
    let mut house = House::new(&config);
    let mut write = writer();
    let lines = [Line::raise(0), Line::raise(1), Line::raise(2), Line::Acknowledge(0)];
    house.take(lines.into_iter().filter_map(&mut write).collect());
    house.read(0, 1);
    let partial: Vec<_> = house.readers[0]
        .shown
        .values()
        .filter(|summary| summary.get("partial").is_some())
        .map(|summary| (&summary["count"], &summary["state"]))
        .collect();
    assert_eq!(partial, [(&1.into(), &"acknowledged".into())]);
}

#[test]
fn nothing_is_told_while_the_journal_is_read_and_one_that_cannot_be_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let room = Incidents::new(folder.path().join("journal.db"), &FeedConfig::default());
    let board = room.board(&viewers()[0], Format::Json);
    assert_eq!(board.state(), State::Filling);
    room.step(Cursor(1), clock::monotonic(), false);
    assert_eq!(board.state(), State::Failed);
    // The next to ask begins anew.
    assert_eq!(room.board(&viewers()[0], Format::Json).state(), State::Filling);
}
