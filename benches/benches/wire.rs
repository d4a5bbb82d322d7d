//! Reading what came off the wire, beside general-purpose libraries that do the same work.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use std::hint::black_box;

use benches::{DEVICE, Keys, REALM, press, signed};
use ciborium::Value;
use coset::{CoseSign1, TaggedCborSerializable as _};
use criterion::{Criterion, Throughput};
use protocol::{
    Algorithm, Counters, Envelope, Message, MessageId, Receipt, Status, UnixMillis, check_canonical,
};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    read(&mut criterion);
    cover(&mut criterion);
    identify(&mut criterion);
    criterion.final_summary();
}

/// From received bytes to a message whose every byte was checked.
fn read(criterion: &mut Criterion) {
    let bytes = signed(&Keys::new().unwrap(), Algorithm::EdDsa, 1);
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    group.bench_function(
        "envelope and message (bound: a twentieth of a signature check)",
        |bencher| {
            bencher.iter(|| {
                let envelope = Envelope::parse(black_box(&bytes)).unwrap();
                black_box(Message::decode(envelope.message).unwrap());
            });
        },
    );
    group.bench_function("canonical check alone", |bencher| {
        bencher.iter(|| check_canonical(black_box(&bytes)).unwrap());
    });
    group.bench_function("coset and ciborium, spelling not checked", |bencher| {
        bencher.iter(|| {
            let envelope = CoseSign1::from_tagged_slice(black_box(&bytes)).unwrap();
            black_box(value_of(envelope.payload.as_deref().unwrap()));
        });
    });
    group.bench_function("coset and ciborium, spelling checked by writing again", |bencher| {
        bencher.iter(|| {
            let envelope = CoseSign1::from_tagged_slice(black_box(&bytes)).unwrap();
            let payload = envelope.payload.as_deref().unwrap();
            let mut again = Vec::with_capacity(payload.len());
            ciborium::into_writer(&value_of(payload), &mut again).unwrap();
            assert_eq!(again, payload);
            assert_eq!(envelope.to_tagged_vec().unwrap(), bytes);
        });
    });
    group.finish();
}

fn value_of(payload: &[u8]) -> Value {
    ciborium::from_reader(payload).unwrap()
}

/// The bytes that a signature covers.
fn cover(criterion: &mut Criterion) {
    let bytes = signed(&Keys::new().unwrap(), Algorithm::EdDsa, 1);
    let envelope = Envelope::parse(&bytes).unwrap();
    let theirs = CoseSign1::from_tagged_slice(&bytes).unwrap();
    let aad = [b"kentongan/alert/1".as_slice(), REALM.as_bytes()].concat();
    assert_eq!(envelope.to_be_signed(&REALM), theirs.tbs_data(&aad));
    let mut group = criterion.benchmark_group("cover");
    group.throughput(Throughput::Elements(1));
    group.bench_function("to be signed (bound: coset)", |bencher| {
        bencher.iter(|| black_box(&envelope).to_be_signed(&REALM));
    });
    group.bench_function("coset", |bencher| {
        bencher.iter(|| black_box(&theirs).tbs_data(&aad));
    });
    group.finish();
}

/// The message id, and the receipt that states it.
fn identify(criterion: &mut Criterion) {
    let message = press(1);
    let alert = MessageId::of(&REALM, &DEVICE, &message).alert();
    let mut group = criterion.benchmark_group("identify");
    group.throughput(Throughput::Elements(1));
    group.bench_function("message id (bound: SHA-256 of two blocks)", |bencher| {
        bencher.iter(|| MessageId::of(&REALM, &DEVICE, black_box(&message)));
    });
    group.bench_function("receipt", |bencher| {
        let receipt = Receipt {
            alert: Some(alert),
            counters: Some(Counters::new(1, 1)),
            ..Receipt::new(Status::Received, UnixMillis(1_800_000_000_000))
        };
        bencher.iter(|| black_box(&receipt).encode());
    });
    group.finish();
}
