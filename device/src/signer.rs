//! Turns a message into the bytes that travel, once.
//!
//! A press's bytes are fixed before its first send: a [`Signed`] is never re-encoded or signed again, so every copy of
//! it, by every carrier and after every crash, has the same id and is the same press. Counters, the nonce and the clock
//! are in the message that the caller hands in.

use bytes::Bytes;
use protocol::{DeviceId, Envelope, EnvelopeError, Message, MessageId, Realm};

use crate::{Key, SignError};

/// Who signs: one device in one deployment, with its one key.
#[derive(Debug)]
pub struct Signer {
    realm: Realm,
    device: DeviceId,
    key: Key,
}

/// A signed message: the bytes that travel, and the id that its content gives it. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    id: MessageId,
    bytes: Bytes,
}

impl Signer {
    /// The signer of `device` in `realm`.
    #[must_use]
    pub fn new(realm: Realm, device: DeviceId, key: Key) -> Self {
        Self { realm, device, key }
    }

    /// Signs `message`.
    ///
    /// # Errors
    /// When the operating system has no randomness for an ES256 signature.
    pub fn sign(&self, message: &Message<'_>) -> Result<Signed, SignError> {
        let message = message.encode();
        let algorithm = self.key.algorithm();
        let covered = protocol::to_be_signed(algorithm, &self.device, &self.realm, &message);
        let signature = self.key.sign(&covered)?;
        let bytes = protocol::assemble(algorithm, &self.device, &message, &signature);
        let id = MessageId::of(&self.realm, &self.device, &message);
        Ok(Signed { id, bytes: bytes.into() })
    }

    /// The deployment that signatures of this signer count in.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The device that signs.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// The key it signs with.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }
}

impl Signed {
    /// The signed message that was kept as `bytes`, for instance across a crash. Its signature is not checked.
    ///
    /// # Errors
    /// When the bytes are not a signed envelope.
    pub fn from_bytes(realm: &Realm, bytes: Bytes) -> Result<Self, EnvelopeError> {
        let id = Envelope::parse(&bytes)?.message_id(realm);
        Ok(Self { id, bytes })
    }

    /// The message's identity; a raise's is its alert id ([`MessageId::alert`]).
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// What travels. Cloning it copies nothing.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

// The bytes hold a place, and a place must not reach a log by accident.
impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed({}, {} bytes)", self.id, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Verifier;
    use proptest::prelude::*;
    use protocol::{Algorithm, Category, Counters, Kind, Nonce, Percent, Position};

    use super::*;

    const REALM: Realm = Realm([7; 16]);
    const DEVICE: DeviceId = DeviceId([9; 16]);

    /// Whether the signature holds, by implementations that this crate does not sign with (ES256) or by the strict
    /// check that the gateway makes (Ed25519).
    fn verifies(algorithm: Algorithm, public: &[u8], realm: &Realm, signed: &[u8]) -> bool {
        let envelope = Envelope::parse(signed).unwrap();
        let covered = envelope.to_be_signed(realm);
        match algorithm {
            Algorithm::Es256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(public)
                .unwrap()
                .verify(&covered, &p256::ecdsa::Signature::from_slice(envelope.signature).unwrap())
                .is_ok(),
            Algorithm::EdDsa => ed25519_dalek::VerifyingKey::from_bytes(public.try_into().unwrap())
                .unwrap()
                .verify_strict(&covered, &ed25519_dalek::Signature::from_bytes(envelope.signature))
                .is_ok(),
        }
    }

    fn algorithms() -> impl Strategy<Value = Algorithm> {
        prop_oneof![Just(Algorithm::Es256), Just(Algorithm::EdDsa)]
    }

    prop_compose! {
        fn messages()(
            kind in 0..Kind::ALL.len(), boot: u32, sequence: u32, nonce: [u8; 8],
            place in proptest::option::of((-900_000_000..=900_000_000_i64, -1_800_000_000..=1_800_000_000_i64)),
            category in proptest::option::of(0..Category::ALL.len()),
            battery in proptest::option::of(0..=100_u8),
            note in proptest::option::of(".{0,90}"), silent: bool, exercise: bool,
        ) -> (Message<'static>, Option<String>) {
            let message = Message {
                nonce: Some(Nonce(nonce)),
                alert: Some(protocol::AlertId([3; 16])),
                category: category.map(|category| Category::ALL[category]),
                position: place.and_then(|(lat, lon)| Position::new(lat, lon)),
                battery: battery.and_then(Percent::new),
                silent, exercise,
                ..Message::new(Kind::ALL[kind], Counters::new(boot, sequence))
            };
            (message, note)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_signed_is_what_a_stranger_verifies(
            algorithm in algorithms(), secret in prop::array::uniform32(1_u8..=0xfe),
            (message, note) in messages(),
        ) {
            let message = Message { note: note.as_deref(), ..message };
            let key = Key::from_secret(algorithm, &secret).unwrap();
            let public = key.public().to_vec();
            let signed = Signer::new(REALM, DEVICE, key).sign(&message).unwrap();

            let envelope = Envelope::parse(signed.bytes()).unwrap();
            prop_assert_eq!((envelope.algorithm, envelope.device), (algorithm, DEVICE));
            prop_assert_eq!(envelope.message, &message.encode()[..]);
            prop_assert_eq!(envelope.message_id(&REALM), signed.id());
            prop_assert!(verifies(algorithm, &public, &REALM, signed.bytes()));
            prop_assert!(!verifies(algorithm, &public, &Realm([8; 16]), signed.bytes()));
            let kept = Signed::from_bytes(&REALM, signed.bytes().clone()).unwrap();
            prop_assert_eq!(kept, signed);
        }
    }

    #[test]
    fn debug_text_holds_no_message_bytes() {
        let key = Key::from_secret(Algorithm::EdDsa, &[1; 32]).unwrap();
        let message = Message::raise(Counters::new(1, 2), Nonce([5; 8]));
        let signed = Signer::new(REALM, DEVICE, key).sign(&message).unwrap();
        let text = format!("{signed:?}");
        assert_eq!(text, format!("Signed({}, {} bytes)", signed.id(), signed.bytes().len()));
    }
}
