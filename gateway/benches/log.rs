//! The journal alone, at batches of one, of what one sync covers under load, and of many more; each beside the same
//! bytes written raw and appended to the plainest table that SQLite can have.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use gateway::clock;
use gateway::config::JournalConfig;
use gateway::journal::Journal;
use gateway::sqlite::{WriterOptions, open_writer};
use pipeline::{Agencies, Carrier, Cursor, Entry, Record, Time, ZoneId};
use protocol::{Category, Counters, DeviceId, Kind, Labels, MessageId};
use rusqlite::Connection;
use tempfile::TempDir;

/// A message with a note of ordinary length.
const SIGNED_LEN: usize = 300;
/// Where the raw file starts over, as a write-ahead log does: blocks that are on disk already sync faster.
const RAW_LEN: usize = 4 << 20;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for batch in [1, 64, 1_024] {
        let mut group = criterion.benchmark_group(format!("log, {batch} records a commit"));
        group.throughput(Throughput::Elements(batch));
        let mut raw = Raw::new(batch);
        group.bench_function("raw write and fdatasync (bound)", |bencher| {
            bencher.iter(|| raw.append());
        });
        let mut plain = Plain::new();
        group.bench_function("one plain table (bound)", |bencher| {
            bencher.iter(|| plain.append(batch));
        });
        let (mut next, journal) = open_log();
        group.bench_function("journal", |bencher| {
            bencher.iter_batched(
                || next.records(batch),
                |records| {
                    journal.borrow_mut().append(&records).unwrap();
                    journal.borrow_mut().checkpoint(false).unwrap();
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
    criterion.final_summary();
    // Not in a trial run.
    if std::env::args().any(|argument| argument == "--bench") {
        compare(64);
    }
}

/// Commits in a comparison: enough for a 999th permille.
const COMMITS: u64 = 5_000;

/// What criterion does not say: ratios, and how long the slowest commits take, checkpoints included. The three take
/// turns, so that whatever else the machine does meets them alike.
fn compare(batch: u64) {
    let (mut raw, mut plain, (mut next, journal)) = (Raw::new(batch), Plain::new(), open_log());
    let mut took = [const { Vec::new() }; 3];
    for _ in 0..COMMITS {
        let records = next.records(batch);
        let time = |commit: &mut dyn FnMut(), took: &mut Vec<Duration>| {
            let started = clock::monotonic();
            commit();
            took.push(started.elapsed());
        };
        let [raw_took, plain_took, journal_took] = &mut took;
        time(&mut || raw.append(), raw_took);
        time(&mut || plain.append(batch), plain_took);
        time(
            &mut || {
                journal.borrow_mut().append(&records).unwrap();
                journal.borrow_mut().checkpoint(false).unwrap();
            },
            journal_took,
        );
    }
    eprintln!("{COMMITS} commits of {batch} records of {SIGNED_LEN} bytes, in turns:");
    let [raw, plain, journal] = took.map(|mut took| {
        took.sort_unstable();
        took
    });
    let rate =
        |took: &[Duration]| (COMMITS * batch) as f64 / took.iter().sum::<Duration>().as_secs_f64();
    for (name, took) in [("raw", &raw), ("plain table", &plain), ("journal", &journal)] {
        let at =
            |permille: usize| took.get((took.len() - 1) * permille / 1_000).unwrap().as_micros();
        eprintln!(
            "  {name:12} {:7.0}/s ({:.2} of raw, {:.2} of the plain table); us: p50 {}, p99 {}, p99.9 {}, max {}",
            rate(took),
            rate(took) / rate(&raw),
            rate(took) / rate(&plain),
            at(500),
            at(990),
            at(999),
            at(1_000),
        );
    }
}

/// A folder on the disk that holds the build: the one that matters here, and not memory.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The bytes of a batch, over and over.
struct Raw {
    _folder: TempDir,
    file: File,
    bytes: Vec<u8>,
    at: usize,
}

impl Raw {
    fn new(batch: u64) -> Self {
        let folder = folder();
        let file = File::create(folder.path().join("raw")).unwrap();
        let bytes = vec![7; usize::try_from(batch).unwrap() * SIGNED_LEN];
        file.write_all_at(&vec![0; RAW_LEN + bytes.len()], 0).unwrap();
        file.sync_all().unwrap();
        Self { _folder: folder, file, bytes, at: 0 }
    }

    fn append(&mut self) {
        self.file.write_all_at(&self.bytes, self.at as u64).unwrap();
        self.file.sync_data().unwrap();
        self.at = (self.at + self.bytes.len()) % RAW_LEN;
    }
}

/// A cursor and a blob, with SQLite's own checkpoints.
struct Plain {
    _folder: TempDir,
    connection: Connection,
    last: i64,
}

impl Plain {
    fn new() -> Self {
        let folder = folder();
        let connection =
            open_writer(&folder.path().join("plain.db"), WriterOptions::DURABLE).unwrap();
        let table = "CREATE TABLE log (cursor INTEGER PRIMARY KEY, signed BLOB NOT NULL) STRICT";
        connection.execute_batch(table).unwrap();
        Self { _folder: folder, connection, last: 0 }
    }

    fn append(&mut self, batch: u64) {
        let transaction = self.connection.transaction().unwrap();
        let mut insert = transaction.prepare_cached("INSERT INTO log VALUES (?1, ?2)").unwrap();
        for _ in 0..batch {
            self.last += 1;
            insert.execute((self.last, [7_u8; SIGNED_LEN].as_slice())).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
    }
}

/// The records that come next.
struct Next {
    _folder: TempDir,
    zone: ZoneId,
    signed: Bytes,
    last: Cursor,
}

/// An empty journal, and what to append to it.
fn open_log() -> (Next, RefCell<Journal>) {
    let folder = folder();
    let journal =
        Journal::open(&folder.path().join("journal.db"), &JournalConfig::default()).unwrap();
    let next = Next {
        _folder: folder,
        zone: ZoneId::new("polsek-klojen"),
        signed: vec![7; SIGNED_LEN].into(),
        last: journal.last(),
    };
    (next, RefCell::new(journal))
}

impl Next {
    fn records(&mut self, count: u64) -> Vec<Entry> {
        (0..count).map(|_| self.record().into()).collect()
    }

    fn record(&mut self) -> Record {
        self.last = self.last.next();
        let spread =
            u128::from(self.last.0).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let message_id = MessageId(spread.to_be_bytes());
        Record {
            cursor: self.last,
            received_at: Time(1_800_000_000_000_000 + self.last.0),
            device: DeviceId(spread.to_le_bytes()),
            message_id,
            alert: Some(message_id.alert()),
            kind: Kind::Raise,
            counters: Counters::new(3, 70_000),
            category: Category::Disaster,
            zone: self.zone.clone(),
            labels: Labels::NONE,
            carrier: Carrier::Quic,
            disposition: pipeline::Disposition::Paged,
            also: vec![],
            agencies: Agencies::ALL,
            joins: None,
            incident: Some(message_id.alert()),
            raised_at: None,
            site: None,
            signed: self.signed.clone(),
        }
    }
}
