//! Signature checks: the largest cost of an alert, and so the bound of every gateway core.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use std::hint::black_box;

use benches::{DEVICE, Keys, REALM, press};
use criterion::{Criterion, Throughput};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use p256::ecdsa::signature::Verifier as _;
use protocol::{Algorithm, to_be_signed};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    eddsa(&mut criterion);
    es256(&mut criterion);
    criterion.final_summary();
}

/// Devices that press in turn. One message again and again is checked a tenth faster: the processor learns by heart which
/// way the branches of its multiplication go, and no gateway sees one message again and again.
const DEVICES: usize = 4_096;

/// A key as the registry holds it, what it signed, and its signature.
struct Signed {
    point: VerifyingKey,
    compressed: [u8; 32],
    covered: Vec<u8>,
    signature: Signature,
}

fn signed() -> Vec<Signed> {
    let device = |number: usize| {
        let number = u32::try_from(number).unwrap();
        let mut secret = [5; 32];
        secret.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        let key = SigningKey::from_bytes(&secret);
        let covered = to_be_signed(Algorithm::EdDsa, &DEVICE, &REALM, &press(number));
        let point = key.verifying_key();
        let signature = key.sign(&covered);
        Signed { point, compressed: point.to_bytes(), covered, signature }
    };
    (0..DEVICES).map(device).collect()
}

/// The registry holds 32 bytes a key. Keeping the decompressed point instead would cost 160 more for each device.
fn eddsa(criterion: &mut Criterion) {
    let all = signed();
    let mut group = criterion.benchmark_group("verify Ed25519");
    group.throughput(Throughput::Elements(1));
    group.bench_function(
        "strict, key from 32 bytes (bound: 39k/s with AVX-512, 20k/s without)",
        |bencher| {
            let mut turn = all.iter().cycle();
            bencher.iter(|| {
                let Signed { compressed, covered, signature, .. } = turn.next().unwrap();
                let key = VerifyingKey::from_bytes(black_box(compressed)).unwrap();
                key.verify_strict(black_box(covered), signature).unwrap();
            });
        },
    );
    group.bench_function("strict by bytes, key from 32 bytes: what the intake does", |bencher| {
        let mut turn = all.iter().cycle();
        bencher.iter(|| {
            let Signed { compressed, covered, signature, .. } = turn.next().unwrap();
            let key = VerifyingKey::from_bytes(black_box(compressed)).unwrap();
            assert!(!key.is_weak());
            key.verify(black_box(covered), signature).unwrap();
        });
    });
    group.bench_function("strict, key kept decompressed", |bencher| {
        let mut turn = all.iter().cycle();
        bencher.iter(|| {
            let Signed { point, covered, signature, .. } = turn.next().unwrap();
            point.verify_strict(black_box(covered), signature).unwrap();
        });
    });
    group.bench_function("ring, not strict", |bencher| {
        let mut turn = all.iter().cycle();
        bencher.iter(|| {
            let Signed { compressed, covered, signature, .. } = turn.next().unwrap();
            let key = UnparsedPublicKey::new(&ED25519, compressed);
            key.verify(black_box(covered), &signature.to_bytes()).unwrap();
        });
    });
    group.bench_function("strict, one message again and again", |bencher| {
        let Signed { compressed, covered, signature, .. } = all.first().unwrap();
        bencher.iter(|| {
            let key = VerifyingKey::from_bytes(black_box(compressed)).unwrap();
            key.verify_strict(black_box(covered), signature).unwrap();
        });
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
