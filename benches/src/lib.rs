//! One bench per stage of the path, each beside its bound. Here is what they share: a device, and a press as phones send it.
//!
//! `cargo bench -p benches` measures; `cargo bench -p benches -- --test` runs each once, as a test. A bench is named
//! for what it does and ends with its bound in brackets: what the stage must reach on one core, or what it is held
//! against. Compare ratios within one run; the machine moves the numbers themselves by a fifth.

use ed25519_dalek::Signer as _;
use protocol::{
    Algorithm, Category, Counters, DeviceId, Message, Method, Nonce, Position, Realm, UnixMillis,
    assemble, to_be_signed,
};

/// The deployment.
pub const REALM: Realm = Realm([7; 16]);
/// The device.
pub const DEVICE: DeviceId = DeviceId([9; 16]);

/// Both key pairs that a device might have.
#[derive(Debug)]
pub struct Keys {
    /// For Ed25519.
    pub eddsa: ed25519_dalek::SigningKey,
    /// For ES256.
    pub es256: p256::ecdsa::SigningKey,
}

impl Keys {
    /// Keys that are the same in every run; nothing if the library changed its mind about what a key is.
    #[must_use]
    pub fn new() -> Option<Self> {
        let es256 = p256::ecdsa::SigningKey::from_slice(&[3; 32]).ok()?;
        Some(Self { eddsa: ed25519_dalek::SigningKey::from_bytes(&[5; 32]), es256 })
    }

    /// A signature over `covered`.
    #[must_use]
    pub fn sign(&self, algorithm: Algorithm, covered: &[u8]) -> [u8; 64] {
        match algorithm {
            Algorithm::EdDsa => self.eddsa.sign(covered).to_bytes(),
            Algorithm::Es256 => {
                let signature: p256::ecdsa::Signature = self.es256.sign(covered);
                signature.to_bytes().into()
            }
        }
    }
}

/// A press with a place, a time and a category: what a phone sends first.
#[must_use]
pub fn press(sequence: u32) -> Vec<u8> {
    let mut nonce = [0; 8];
    nonce.iter_mut().zip(sequence.to_be_bytes()).for_each(|(nonce, byte)| *nonce = byte);
    let position = Position::new(-79_666_200, 1_126_326_000).map(|mut place| {
        (place.radius_m, place.method, place.age_s) = (12, Method::Gnss, 3);
        place
    });
    let press = Message {
        category: Some(Category::Medical),
        position,
        device_clock: Some(UnixMillis(1_800_000_000_000)),
        ..Message::raise(Counters::new(1, sequence), Nonce(nonce))
    };
    press.encode()
}

/// That press, signed.
#[must_use]
pub fn signed(keys: &Keys, algorithm: Algorithm, sequence: u32) -> Vec<u8> {
    let message = press(sequence);
    let covered = to_be_signed(algorithm, &DEVICE, &REALM, &message);
    assemble(algorithm, &DEVICE, &message, &keys.sign(algorithm, &covered))
}
