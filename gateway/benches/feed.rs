//! What an event costs before it is shared: read from its signed bytes and written as a server-sent event.
//!
//! Its bound is the reading alone, which the contract asks for (place, note); the rest is writing some 430 bytes.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use gateway::feed::{CursorCodec, Shape, encode_event};
use pipeline::{Agencies, Carrier, Cursor, Entry, Record, Time, ZoneId};
use protocol::{
    AlertId, Algorithm, Category, Counters, DeviceId, Envelope, Kind, Labels, Message, MessageId,
    Nonce, Percent, Position,
};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    encode(&mut criterion);
    criterion.final_summary();
}

fn encode(criterion: &mut Criterion) {
    let entry = Entry::from(record());
    let signed = entry.message().unwrap().signed.clone();
    let codec = CursorCodec::new([7; 16]);
    let mut group = criterion.benchmark_group("feed");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bound: read the signed message", |bencher| {
        bencher.iter(|| {
            let envelope = Envelope::parse(black_box(&signed)).unwrap();
            black_box(Message::decode(envelope.message).unwrap());
        });
    });
    let mut out = Vec::with_capacity(1_024);
    group.bench_function("encode an event", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(encode_event(black_box(&entry), Shape::default(), &codec, &mut out));
        });
    });
    group.finish();
}

/// A raise as phones send it: with a place, a category and the state of the battery.
fn record() -> Record {
    let device = DeviceId([9; 16]);
    let counters = Counters::new(3, 17);
    let message = Message {
        position: Position::new(-79_666_213, 1_126_326_117),
        category: Some(Category::Medical),
        battery: Percent::new(71),
        ..Message::raise(counters, Nonce([5; 8]))
    };
    let signed = protocol::assemble(Algorithm::EdDsa, &device, &message.encode(), &[0; 64]);
    Record {
        cursor: Cursor(1_000_000),
        received_at: Time(1_772_323_199_999_999),
        device,
        message_id: MessageId([0xab; 16]),
        alert: Some(AlertId([0xab; 16])),
        kind: Kind::Raise,
        counters,
        category: Category::Medical,
        zone: ZoneId::new("polsek-klojen"),
        labels: Labels::NONE,
        carrier: Carrier::Quic,
        disposition: pipeline::Disposition::Paged,
        also: vec![],
        agencies: Agencies::ALL,
        joins: None,
        incident: Some(AlertId([0xab; 16])),
        raised_at: None,
        site: None,
        signed: signed.into(),
    }
}
