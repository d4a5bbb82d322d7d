//! The index, with `KENTONGAN_INDEX_ROWS` records in it already (by default few, so that a trial run is quick) and
//! `KENTONGAN_INDEX_BATCH` to a commit (by default as configured), beside the same rows appended to one table without any
//! index.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use std::cell::RefCell;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use gateway::config::SearchConfig;
use gateway::search::Index;
use gateway::sqlite::{Synchronous, WriterOptions, open_writer};
use pipeline::{Agencies, Carrier, Cursor, Entry, Record, Time, ZoneId};
use protocol::{Category, Counters, DeviceId, Kind, Labels, MessageId};

/// Devices that press: the city's.
const DEVICES: u64 = 1_000_000;
/// Rows in at the start, unless told otherwise.
const ROWS: u64 = 10_000;
const ZONES: [&str; 5] = [
    "polsek-klojen",
    "polsek-sukun",
    "polsek-blimbing",
    "polsek-lowokwaru",
    "polsek-kedungkandang",
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |number| number.parse().unwrap())
    };
    let rows = number("KENTONGAN_INDEX_ROWS", ROWS);
    let default = SearchConfig::default().batch_records_max as u64;
    let batch = number("KENTONGAN_INDEX_BATCH", default);
    let mut group = criterion.benchmark_group(format!("index, {rows} rows in, {batch} a batch"));
    group.throughput(Throughput::Elements(batch));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("plain.db");
    let options = WriterOptions { synchronous: Synchronous::Normal, ..WriterOptions::DURABLE };
    let plain = RefCell::new(open_writer(&path, options).unwrap());
    let table = "CREATE TABLE entries (cursor INTEGER PRIMARY KEY, message_id BLOB, device_id BLOB, zone TEXT) STRICT";
    plain.borrow().execute_batch(table).unwrap();
    let mut next = Next::default();
    group.bench_function("one plain table (bound)", |bencher| {
        bencher.iter_batched(
            || next.records(batch),
            |records| {
                let mut plain = plain.borrow_mut();
                let transaction = plain.transaction().unwrap();
                for record in records.iter().filter_map(Entry::message) {
                    transaction
                        .prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4)")
                        .unwrap()
                        .execute((
                            record.cursor.0.cast_signed(),
                            record.message_id.as_bytes().as_slice(),
                            record.device.as_bytes().as_slice(),
                            record.zone.as_str(),
                        ))
                        .unwrap();
                }
                transaction.commit().unwrap();
            },
            BatchSize::PerIteration,
        );
    });

    let mut next = Next::default();
    let index = Index::open(&folder.path().join("search.db"), Cursor(0)).unwrap();
    let index = RefCell::new(index);
    while index.borrow().indexed().0 < rows {
        let missing = rows - index.borrow().indexed().0;
        index.borrow_mut().add(&next.records(missing.min(batch))).unwrap();
    }
    group.bench_function("index", |bencher| {
        bencher.iter_batched(
            || next.records(batch),
            |records| index.borrow_mut().add(&records).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    criterion.final_summary();
}

/// Records with random ids, from devices in random order.
#[derive(Default)]
struct Next {
    last: Cursor,
}

impl Next {
    fn records(&mut self, count: u64) -> Vec<Entry> {
        (0..count).map(|_| self.record().into()).collect()
    }

    fn record(&mut self) -> Record {
        self.last = self.last.next();
        let message_id = MessageId(mix(self.last.0));
        let [pick, zone, ..] = mix(!self.last.0).map(u64::from);
        let device = (self.last.0.wrapping_mul(7_919) + pick) % DEVICES;
        let zone = usize::try_from(zone).unwrap() % ZONES.len();
        Record {
            cursor: self.last,
            received_at: Time(1_800_000_000_000_000 + self.last.0 * 30),
            device: DeviceId(mix(device << 40)),
            message_id,
            alert: Some(message_id.alert()),
            kind: Kind::Raise,
            counters: Counters::new(1, 1),
            category: Category::Disaster,
            zone: ZoneId::new(ZONES.get(zone).unwrap()),
            labels: Labels::NONE,
            carrier: Carrier::Quic,
            disposition: pipeline::Disposition::Paged,
            also: vec![],
            agencies: Agencies::ALL,
            joins: None,
            incident: Some(message_id.alert()),
            raised_at: None,
            site: None,
            signed: Bytes::from_static(&[7; 300]),
        }
    }
}

/// SplitMix64 twice: ids as random as a hash.
fn mix(number: u64) -> [u8; 16] {
    let half = |number: u64| {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (u128::from(half(number)) << 64 | u128::from(half(number ^ 0x5555))).to_be_bytes()
}
