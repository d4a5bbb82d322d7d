//! The desk alone, and the question it asks of the map.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use std::hint::black_box;
use std::sync::Arc;

use benches::{DEVICE, Keys, REALM, signed};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use pipeline::{
    Arrival, Carrier, Cursor, Desk, DeskConfig, DeviceIndex, Enrolment, Input, Output, Ticket,
    Time, Zones,
};
use protocol::{Algorithm, Counters, DeviceId, Envelope, Message, MessageId, Position};

/// Records that one sync of the journal covers under load.
const BATCH: u32 = 64;
/// Devices that press in turn: more than any cache of the processor holds.
const DEVICES: u32 = 100_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decide(&mut criterion);
    locate(&mut criterion);
    near(&mut criterion);
    criterion.final_summary();
}

fn zones() -> Arc<Zones> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/zones/malang.geojson");
    Arc::new(Zones::from_geojson(&std::fs::read_to_string(path).unwrap()).unwrap())
}

/// A desk, and everything around it that answers at once.
struct Counter {
    desk: Desk,
    press: Arrival,
    pressed: u64,
    appended: Cursor,
}

impl Counter {
    fn new() -> Self {
        let config =
            DeskConfig { remembered_max: 1 << 17, in_hand_max: 4_096, ..DeskConfig::default() };
        let signed = Bytes::from(signed(&Keys::new().unwrap(), Algorithm::EdDsa, 1));
        let envelope = Envelope::parse(&signed).unwrap();
        let (message, labels) = Message::decode(envelope.message).unwrap();
        let press = Arrival {
            ticket: Ticket(0),
            received_at: Time(1),
            carrier: Carrier::Quic,
            device: DEVICE,
            device_index: DeviceIndex(0),
            enrolment: Enrolment::default(),
            message_id: envelope.message_id(&REALM),
            kind: message.kind,
            counters: message.counters,
            device_clock: message.device_clock,
            model: None,
            alert: message.alert,
            category: message.category,
            position: message.position,
            site: None,
            labels,
            signed: signed.clone(),
        };
        let desk = Desk::new(config, zones(), Arc::default(), Cursor::default());
        Self { desk, press, pressed: 0, appended: Cursor::default() }
    }

    /// One press, from a device that has not pressed for a while, under an id of its own.
    fn arrive(&mut self) {
        self.pressed += 1;
        let device = u32::try_from(self.pressed % u64::from(DEVICES)).unwrap_or_default();
        let sequence = u32::try_from(self.pressed / u64::from(DEVICES)).unwrap_or_default();
        let mut arrival = self.press.clone();
        arrival.ticket = Ticket(self.pressed);
        arrival.device_index = DeviceIndex(device);
        arrival.counters = Counters::new(1, sequence + 1);
        arrival.device = DeviceId(spread(u64::from(device)));
        arrival.message_id = MessageId(spread(self.pressed));
        self.desk.handle(Input::Arrived(arrival), Time(self.pressed));
    }

    /// The desk's wishes granted: journaled, synced and indexed.
    fn settle(&mut self) -> u32 {
        let mut receipts = 0;
        self.drain(&mut receipts);
        self.desk.handle(Input::Synced(self.appended), Time(self.pressed));
        self.desk.handle(Input::Indexed(self.appended), Time(self.pressed));
        self.drain(&mut receipts);
        receipts
    }

    fn drain(&mut self, receipts: &mut u32) {
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Append(entry) => self.appended = entry.cursor(),
                Output::Reply(..) => *receipts += 1,
                Output::LookUp(id) => {
                    self.desk.handle(Input::LookedUp { id, found: None }, Time(self.pressed));
                }
                Output::Decided(..) | Output::Recollect { .. } | Output::Hint(..) => {}
            }
        }
    }
}

/// Sixteen bytes that look random and are different for every number.
fn spread(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    let halves = [number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number];
    bytes
        .iter_mut()
        .zip(halves.into_iter().flat_map(u64::to_be_bytes))
        .for_each(|(to, from)| *to = from);
    bytes
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("desk");
    group.throughput(Throughput::Elements(BATCH.into()));
    group.bench_function("presses, 64 to a sync (bound: 500k/s)", |bencher| {
        let mut counter = Counter::new();
        bencher.iter(|| {
            (0..BATCH).for_each(|_| counter.arrive());
            assert_eq!(counter.settle(), BATCH);
        });
    });
    group.bench_function("copies of remembered presses (bound: 500k/s)", |bencher| {
        let mut counter = Counter::new();
        counter.arrive();
        assert_eq!(counter.settle(), 1);
        bencher.iter(|| {
            (0..BATCH).for_each(|_| {
                counter.pressed -= 1;
                counter.arrive();
            });
            assert_eq!(counter.settle(), BATCH);
        });
    });
    group.finish();
}

fn locate(criterion: &mut Criterion) {
    let zones = zones();
    let mut group = criterion.benchmark_group("locate");
    group.throughput(Throughput::Elements(1));
    let places = [("inside a zone", -79_666_200, 1_126_326_000), ("far outside", 0, 0)];
    for (what, lat, lon) in places {
        let place = Position::new(lat, lon).unwrap();
        let id = BenchmarkId::new(what, "bound: 0.1 us, a twentieth of the desk's budget");
        group.bench_with_input(id, &place, |bencher, place| {
            bencher.iter(|| zones.locate(black_box(place)));
        });
    }
    group.finish();
}

/// What a press costs beyond `locate`: most lie far from every border, some beside one, and a phone that knows only its
/// mobile cell looks a kilometre around.
fn near(criterion: &mut Criterion) {
    let zones = zones();
    let mut group = criterion.benchmark_group("near");
    group.throughput(Throughput::Elements(1));
    let places = [
        ("far from a border", -79_800_000, 1_126_300_000, 130),
        ("beside a border", -79_616_000, 1_126_384_000, 130),
        ("a kilometre around", -79_616_000, 1_126_384_000, 1_100),
        ("far outside", 0, 0, 130),
    ];
    for (what, lat, lon, reach_m) in places {
        let place = Position::new(lat, lon).unwrap();
        let id = BenchmarkId::new(what, "bound: 0.5 us, the desk's budget");
        group.bench_with_input(id, &place, |bencher, place| {
            bencher.iter(|| zones.near(black_box(place), reach_m));
        });
    }
    group.finish();
}
