//! Checks a signature with the key that the device was enrolled with.
//!
//! The algorithm comes from the registry, never from the message. Ed25519 is checked strictly: one signature has one
//! meaning in every implementation, and small-order keys verify nothing.

use ed25519_dalek::{Signature, VerifyingKey};
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
            .and_then(|key| key.verify_strict(signed, &Signature::from_bytes(signature)))
            .is_ok(),
    }
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
