//! Checks a signature with the key that the device was enrolled with.
//!
//! The algorithm comes from the registry, never from the message. Ed25519 is checked strictly: one signature has one
//! meaning in every implementation, and small-order keys verify nothing.

use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::registry::DeviceKey;

/// Uncompressed points start with this octet (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Whether `signature` over `signed` was made with the private half of `key`.
pub(super) fn verifies(key: &DeviceKey, signed: &[u8], signature: &[u8; 64]) -> bool {
    match key {
        DeviceKey::Es256(point) => {
            let mut sec1 = [UNCOMPRESSED; 65];
            if let Some(coordinates) = sec1.last_chunk_mut::<64>() {
                *coordinates = *point;
            }
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, sec1).verify(signed, signature).is_ok()
        }
        DeviceKey::EdDsa(key) => VerifyingKey::from_bytes(key)
            .is_ok_and(|key| verifies_strictly(&key, signed, &Signature::from_bytes(signature))),
    }
}

/// What `VerifyingKey::verify_strict` accepts, for a fifth less time.
///
/// Both compute R from the key and compare its bytes with the signature's. The strict one also decompresses the
/// signature's R, a square root, to see whether its order is small; but bytes that are equal to those of a computed
/// point are that point's one canonical spelling, and of points of small order there are eight
/// (docs/decisions/0007-strict-by-bytes.md).
fn verifies_strictly(key: &VerifyingKey, signed: &[u8], signature: &Signature) -> bool {
    !SMALL_ORDER.contains(signature.r_bytes())
        && !key.is_weak()
        && key.verify(signed, signature).is_ok()
}

/// The eight points of Ed25519 whose order divides 8, in their canonical spelling (RFC 8032 section 5.1.2).
const SMALL_ORDER: [[u8; 32]; 8] = [
    point(0x01, [0; 30], 0x00),
    point(0xec, [0xff; 30], 0x7f),
    point(0x00, [0; 30], 0x00),
    point(0x00, [0; 30], 0x80),
    ORDER_8_LOW,
    with_sign(ORDER_8_LOW),
    ORDER_8_HIGH,
    with_sign(ORDER_8_HIGH),
];
/// Two of the points of order 8; the other two have the sign bit set.
const ORDER_8_LOW: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];
const ORDER_8_HIGH: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

const fn point(first: u8, middle: [u8; 30], last: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (head, tail) = bytes.split_at_mut(1);
    let (body, end) = tail.split_at_mut(30);
    head.copy_from_slice(&[first]);
    body.copy_from_slice(&middle);
    end.copy_from_slice(&[last]);
    bytes
}

/// The point with the other sign: the top bit of the last byte.
const fn with_sign(point: [u8; 32]) -> [u8; 32] {
    let mut bytes = point;
    if let Some(last) = bytes.last_mut() {
        *last |= 0x80;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use device::Key;
    use protocol::Algorithm;

    use super::*;

    fn key(algorithm: Algorithm) -> (Key, DeviceKey) {
        let secret = [7; 32];
        let key = Key::from_secret(algorithm, &secret).unwrap();
        let public = DeviceKey::parse(algorithm, key.public()).unwrap();
        (key, public)
    }

    #[test]
    fn accepts_what_the_device_signed_and_nothing_else() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let (key, public) = key(algorithm);
            let signature = key.sign(b"covered").unwrap();
            assert!(verifies(&public, b"covered", &signature), "{algorithm:?}");
            assert!(!verifies(&public, b"coverec", &signature), "{algorithm:?}");
            for byte in 0..signature.len() {
                let mut flipped = signature;
                flipped[byte] ^= 1;
                assert!(!verifies(&public, b"covered", &flipped), "{algorithm:?} byte {byte}");
            }
        }
    }

    #[test]
    fn one_algorithm_is_never_taken_for_the_other() {
        let (es256, es256_public) = key(Algorithm::Es256);
        let (eddsa, eddsa_public) = key(Algorithm::EdDsa);
        assert!(!verifies(&eddsa_public, b"covered", &es256.sign(b"covered").unwrap()));
        assert!(!verifies(&es256_public, b"covered", &eddsa.sign(b"covered").unwrap()));
    }

    /// Every spelling of a point of small order, canonical or not (y below 19 has a second one, y + p).
    fn small_order_spellings() -> Vec<[u8; 32]> {
        let mut spellings: Vec<[u8; 32]> = Vec::new();
        for canonical in SMALL_ORDER {
            spellings.push(canonical);
            if canonical[1..31] == [0; 30] {
                // y + p, p = 2^255 - 19.
                let mut other = [0xff; 32];
                other[0] = 0xed + canonical[0];
                other[31] = 0x7f | (canonical[31] & 0x80);
                spellings.push(other);
            }
        }
        spellings
    }

    #[test]
    fn the_eight_points_are_all_that_are_of_small_order() {
        for (n, bytes) in SMALL_ORDER.iter().enumerate() {
            assert!(VerifyingKey::from_bytes(bytes).unwrap().is_weak(), "point {n}");
            assert_eq!(SMALL_ORDER.iter().filter(|other| *other == bytes).count(), 1, "point {n}");
        }
    }

    #[test]
    fn accepts_exactly_what_strict_verification_accepts() {
        let (key, _) = key(Algorithm::EdDsa);
        let own: [u8; 32] = key.public().try_into().unwrap();
        let honest = key.sign(b"covered").unwrap();
        let mut keys = small_order_spellings();
        keys.push(own);
        let mut points = keys.clone();
        points.push(honest[..32].try_into().unwrap());
        points.push([0xff; 32]);
        // 0, 1, the order of the base point (not canonical), and what was signed.
        let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let mut scalars = vec![[0; 32], [0; 32], [0; 32], honest[32..].try_into().unwrap()];
        scalars[1][0] = 1;
        hex::decode_to_slice(order, &mut scalars[2]).unwrap();
        let mut accepted = 0;
        for key in &keys {
            let Ok(key) = VerifyingKey::from_bytes(key) else { continue };
            for r in &points {
                for s in &scalars {
                    for message in [&b"covered"[..], b"other", b""] {
                        let signature = Signature::from_components(*r, *s);
                        let strict = key.verify_strict(message, &signature).is_ok();
                        assert_eq!(verifies_strictly(&key, message, &signature), strict);
                        accepted += u32::from(strict);
                    }
                }
            }
        }
        assert_eq!(accepted, 1, "the honest signature");
    }

    #[test]
    fn small_order_key_verifies_nothing() {
        // The neutral element: by the equation alone, a signature of it and s = 0 would hold for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verifies(&DeviceKey::EdDsa(neutral), b"anything", &signature));
    }
}
