//! Sealed datagrams: what a genuine one costs before its signature is checked, and what junk costs.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use std::hint::black_box;

use benches::{DEVICE, Keys, REALM, signed};
use coap_lite::Packet;
use criterion::{Criterion, Throughput};
use protocol::{
    Algorithm, CoapRequest, DATAGRAM_LEN_MAX, Epoch, SealedUp, Token, additional_data_up,
};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use seal::{EpochKeys, EpochSecret};

const EPOCH: Epoch = Epoch(3);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    coap(&mut criterion);
    seal(&mut criterion);
    ciphers(&mut criterion);
    criterion.final_summary();
}

fn gateway() -> EpochKeys {
    EpochKeys::new(REALM, EPOCH, &EpochSecret::new(&[5; EpochSecret::LEN]))
}

/// A press as phones send it, 139 bytes signed and 197 sealed.
fn press() -> (Vec<u8>, Vec<u8>) {
    let signed = signed(&Keys::new().unwrap(), Algorithm::EdDsa, 1);
    let sealed = gateway().device(&DEVICE).seal_up(EPOCH, &DEVICE, &signed).unwrap();
    (signed, sealed)
}

/// What stands around the seal, by our reader and by a library: a press, and the junk that costs a library most.
fn coap(criterion: &mut Criterion) {
    let (_, sealed) = press();
    let token = Token::new(b"tk").unwrap();
    let press = CoapRequest { message_id: 1, token, payload: &sealed }.encode();
    // Each zero is an option: the number of the one before, and no value.
    let junk = [&[0x40, 0x02, 0, 1][..], &[0; DATAGRAM_LEN_MAX - 4]].concat();
    let mut group = criterion.benchmark_group("CoAP");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a press: ours", |bencher| {
        bencher.iter(|| assert!(CoapRequest::parse(black_box(&press)).is_ok()));
    });
    group.bench_function("a press: coap-lite", |bencher| {
        bencher.iter(|| Packet::from_bytes(black_box(&press)).unwrap());
    });
    group.bench_function("options without end: ours", |bencher| {
        bencher.iter(|| assert!(CoapRequest::parse(black_box(&junk)).is_err()));
    });
    group.bench_function("options without end: coap-lite", |bencher| {
        bencher.iter(|| Packet::from_bytes(black_box(&junk)).unwrap());
    });
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let (gateway, (signed, sealed)) = (gateway(), press());
    let mut forged = sealed.clone();
    *forged.last_mut().unwrap() ^= 1;
    let keys = gateway.device(&DEVICE);
    let request = SealedUp::parse(&sealed).unwrap().iv;
    let mut group = criterion.benchmark_group("seal");
    group.throughput(Throughput::Elements(1));
    group.bench_function(
        "junk refused: layout, one block of keys, tag (bound: 400k/s)",
        |bencher| {
            bencher.iter(|| {
                gateway.open_up(&SealedUp::parse(black_box(&forged)).unwrap()).unwrap_err()
            });
        },
    );
    group.bench_function("opened: two blocks of keys, tag, nonce, envelope", |bencher| {
        bencher.iter(|| gateway.open_up(&SealedUp::parse(black_box(&sealed)).unwrap()).unwrap());
    });
    group.bench_function("opened by the device's own keys", |bencher| {
        bencher.iter(|| keys.open_up(&SealedUp::parse(black_box(&sealed)).unwrap()).unwrap());
    });
    group.bench_function("keys of one device", |bencher| {
        bencher.iter(|| gateway.device(black_box(&DEVICE)));
    });
    group.bench_function("a message sealed", |bencher| {
        bencher.iter(|| keys.seal_up(EPOCH, &DEVICE, black_box(&signed)).unwrap());
    });
    group.bench_function("a receipt sealed", |bencher| {
        bencher.iter(|| keys.seal_down(&request, black_box(&[7; 40])).unwrap());
    });
    group.finish();
}

/// The tag and the key's schedule alone, by the library in use and by the one that TLS uses.
fn ciphers(criterion: &mut Criterion) {
    use aes_gcm::Aes128Gcm;
    use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
    let (_, sealed) = press();
    let SealedUp { iv, ciphertext, .. } = SealedUp::parse(&sealed).unwrap();
    let aad = additional_data_up(EPOCH, &DEVICE);
    let keys = gateway().device(&DEVICE).to_bytes();
    let key = keys.first_chunk::<16>().unwrap();
    let mut group = criterion.benchmark_group("AES-128-GCM, key and tag");
    group.throughput(Throughput::Elements(1));
    group.bench_function("aes-gcm", |bencher| {
        bencher.iter(|| {
            let cipher = Aes128Gcm::new(black_box(key).into());
            cipher.decrypt((&iv.0).into(), Payload { msg: ciphertext, aad: &aad }).unwrap()
        });
    });
    group.bench_function("ring", |bencher| {
        bencher.iter(|| {
            let cipher = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, black_box(key)).unwrap());
            let mut bytes = ciphertext.to_vec();
            let nonce = Nonce::assume_unique_for_key(iv.0);
            cipher.open_in_place(nonce, Aad::from(&aad), &mut bytes).unwrap();
            bytes
        });
    });
    group.finish();
}
