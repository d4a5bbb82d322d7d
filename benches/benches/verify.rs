//! Signature checks: the largest cost of an alert, and so the bound of every gateway core.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use std::hint::black_box;

use benches::{DEVICE, Keys, REALM, press};
use criterion::{Criterion, Throughput};
use ed25519_dalek::{Signature, VerifyingKey};
use p256::ecdsa::signature::Verifier as _;
use protocol::{Algorithm, to_be_signed};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    eddsa(&mut criterion);
    es256(&mut criterion);
    criterion.final_summary();
}

/// The registry holds 32 bytes a key. Keeping the decompressed point instead would cost 160 more for each device.
fn eddsa(criterion: &mut Criterion) {
    let keys = Keys::new().unwrap();
    let covered = to_be_signed(Algorithm::EdDsa, &DEVICE, &REALM, &press(1));
    let signature = Signature::from_bytes(&keys.sign(Algorithm::EdDsa, &covered));
    let point = keys.eddsa.verifying_key();
    let compressed = point.to_bytes();
    let mut group = criterion.benchmark_group("verify Ed25519");
    group.throughput(Throughput::Elements(1));
    group.bench_function(
        "strict, key from 32 bytes (bound: 39k/s with AVX-512, 20k/s without)",
        |bencher| {
            bencher.iter(|| {
                let key = VerifyingKey::from_bytes(black_box(&compressed)).unwrap();
                key.verify_strict(black_box(&covered), &signature).unwrap();
            });
        },
    );
    group.bench_function("strict by bytes, key from 32 bytes: what the intake does", |bencher| {
        bencher.iter(|| {
            let key = VerifyingKey::from_bytes(black_box(&compressed)).unwrap();
            assert!(!key.is_weak());
            key.verify(black_box(&covered), &signature).unwrap();
        });
    });
    group.bench_function("strict, key kept decompressed", |bencher| {
        bencher.iter(|| point.verify_strict(black_box(&covered), &signature).unwrap());
    });
    group.bench_function("ring, not strict", |bencher| {
        let key = UnparsedPublicKey::new(&ED25519, compressed);
        bencher.iter(|| key.verify(black_box(&covered), &signature.to_bytes()).unwrap());
    });
    group.finish();
}

fn es256(criterion: &mut Criterion) {
    let keys = Keys::new().unwrap();
    let covered = to_be_signed(Algorithm::Es256, &DEVICE, &REALM, &press(1));
    let signature = keys.sign(Algorithm::Es256, &covered);
    let point = keys.es256.verifying_key().to_sec1_point(false);
    let mut group = criterion.benchmark_group("verify ES256");
    group.throughput(Throughput::Elements(1));
    group.bench_function("ring, key from 65 bytes (bound: 17k/s)", |bencher| {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.as_bytes());
        bencher.iter(|| key.verify(black_box(&covered), &signature).unwrap());
    });
    group.bench_function("p256, the tests' oracle", |bencher| {
        let key = keys.es256.verifying_key();
        let signature = p256::ecdsa::Signature::from_slice(&signature).unwrap();
        bencher.iter(|| key.verify(black_box(&covered), &signature).unwrap());
    });
    group.finish();
}
