//! Forgeries of real signed messages: nothing that differs from what a device signed is taken for it.

use protocol::{Algorithm, Counters, Envelope, Message, Nonce};

use crate::golden::judge;
use crate::keys::{DEVICES, EDDSA, ES256, REALM};
use crate::vectors;

#[test]
fn every_byte_flipped_in_turn_is_refused() {
    for vector in vectors::accepted() {
        assert!(judge(&vector.signed, &DEVICES).is_ok(), "{}", vector.name);
        for at in 0..vector.signed.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut flipped = vector.signed.clone();
                flipped[at] ^= mask;
                assert!(
                    judge(&flipped, &DEVICES).is_err(),
                    "{}: byte {at} ^ {mask:#x}",
                    vector.name
                );
            }
        }
    }
}

#[test]
fn every_bit_of_the_smallest_press_flipped_in_turn_is_refused() {
    for device in DEVICES {
        let message = Message::raise(Counters::new(1, 1), Nonce([1; 8])).encode();
        let signed = device.sign(&message);
        for bit in 0..signed.len() * 8 {
            let mut flipped = signed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(judge(&flipped, &DEVICES).is_err(), "{:?}: bit {bit}", device.algorithm);
        }
    }
}

#[test]
fn every_prefix_is_refused() {
    for vector in vectors::accepted() {
        for len in 0..vector.signed.len() {
            assert!(
                judge(&vector.signed[..len], &DEVICES).is_err(),
                "{}: {len} bytes",
                vector.name
            );
        }
    }
}

#[test]
fn a_signature_counts_for_one_device_algorithm_realm_and_message_only() {
    let message = Message::raise(Counters::new(1, 1), Nonce([1; 8])).encode();
    let other = Message::raise(Counters::new(1, 1), Nonce([2; 8])).encode();
    for (device, elsewhere) in [(ES256, EDDSA), (EDDSA, ES256)] {
        let covered = protocol::to_be_signed(device.algorithm, &device.id, &REALM, &message);
        let signature = device.sign_bytes(&covered);
        let assembled = |algorithm: Algorithm, id, message: &[u8]| {
            protocol::assemble(algorithm, &id, message, &signature)
        };
        assert!(judge(&assembled(device.algorithm, device.id, &message), &DEVICES).is_ok());
        assert!(judge(&assembled(device.algorithm, elsewhere.id, &message), &DEVICES).is_err());
        assert!(judge(&assembled(elsewhere.algorithm, device.id, &message), &DEVICES).is_err());
        assert!(judge(&assembled(device.algorithm, device.id, &other), &DEVICES).is_err());
    }
}

/// Whoever sees (r, s) can make (r, n - s), which verifies too. It must be the same press: identity is content.
#[test]
fn the_other_es256_signature_of_a_press_is_the_same_press() {
    let vector = vectors::accepted().into_iter().find(|v| v.device == ES256).unwrap();
    let envelope = Envelope::parse(&vector.signed).unwrap();
    let signature = p256::ecdsa::Signature::from_slice(envelope.signature).unwrap();
    let (r, s) = (signature.r(), signature.s());
    let mirrored = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    let mut signed = vector.signed.clone();
    let start = signed.len() - 64;
    signed[start..].copy_from_slice(&mirrored.to_bytes());
    assert_ne!(signed, vector.signed);
    let copy = Envelope::parse(&signed).unwrap();
    assert!(ES256.has_signed(&copy));
    assert_eq!(copy.message_id(&REALM), envelope.message_id(&REALM));
}

/// RFC 8032 section 5.1.7: S must be below the order of the group, or every signature had a twin.
#[test]
fn the_twin_of_an_eddsa_signature_is_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let vector = vectors::accepted().into_iter().find(|v| v.device == EDDSA).unwrap();
    let mut twin = vector.signed.clone();
    let start = twin.len() - 32;
    let mut carry = 0;
    for (byte, order) in twin[start..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "the twin fits");
    assert!(judge(&twin, &DEVICES).is_err());
}

/// A key of small order would accept one signature for every message.
#[test]
fn a_key_of_small_order_proves_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let signature =
        ed25519_dalek::Signature::from_bytes(&std::array::from_fn(|at| u8::from(at == 0)));
    let key = ed25519_dalek::VerifyingKey::from_bytes(&identity).unwrap();
    assert!(key.is_weak());
    assert!(key.verify_strict(b"any message", &signature).is_err());
}
