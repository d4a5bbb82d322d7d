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
