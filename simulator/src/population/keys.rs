//! Test keys: what the devices of a population sign with.
//!
//! A key follows from the seed and the device's index alone. That is what makes a run repeatable, and what makes these
//! keys worthless as proof: they are for gateways that serve no city.

use core::fmt;

use ed25519_dalek::SigningKey;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use protocol::Algorithm;

use super::Device;
use crate::random::{Seed, Stream};

/// A private key that anyone who has the seed can make. Printing it shows only its algorithm.
#[derive(Clone, PartialEq, Eq)]
pub struct TestKey {
    algorithm: Algorithm,
    secret: [u8; 32],
    public: PublicKey,
}

/// A public key in the form that gateways import: `04 || x || y` (SEC1, 65 bytes) for ES256, 32 bytes for Ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TestKey {
    /// The key of the device with this index under this seed.
    pub(super) fn derive(seed: Seed, index: u32, device: &Device) -> Self {
        let mut stream = Stream::new(seed, "test key of a device", u64::from(index));
        loop {
            let secret = stream.bytes();
            // One draw in 2^32 is not a scalar of P-256; the next one serves.
            if let Some(key) = Self::of_secret(device.algorithm(), secret) {
                return key;
            }
        }
    }

    /// The key with this secret, if it is one of its algorithm.
    fn of_secret(algorithm: Algorithm, secret: [u8; 32]) -> Option<Self> {
        let public = match algorithm {
            Algorithm::Es256 => {
                let key = SecretKey::from_slice(&secret).ok()?;
                key.public_key().to_sec1_point(false).as_bytes().to_vec()
            }
            Algorithm::EdDsa => SigningKey::from_bytes(&secret).verifying_key().to_bytes().to_vec(),
        };
        Some(Self { algorithm, secret, public: PublicKey(public) })
    }

    /// A key as it was written. The public half is taken at its word.
    pub(super) fn written(algorithm: Algorithm, secret: [u8; 32], public: Vec<u8>) -> Self {
        Self { algorithm, secret, public: PublicKey(public) }
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The secret: a scalar of P-256 (big endian) or a seed of Ed25519.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestKey({})", self.algorithm.name())
    }
}
