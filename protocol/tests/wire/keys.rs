//! Two devices with published keys: one signs with ES256, one with Ed25519. Both signatures are deterministic, so the
//! golden bytes are.

use ed25519_dalek::Signer as _;
use p256::ecdsa::SigningKey as P256Key;
use protocol::{Algorithm, DeviceId, Envelope, Realm, assemble, to_be_signed};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

/// The deployment of every vector.
pub(crate) const REALM: Realm = Realm([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

/// The key pair of RFC 6979 appendix A.2.5.
const ES256_SECRET: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
/// The key pair of RFC 8032 section 7.1, test 1.
const EDDSA_SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// A device that can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its one algorithm.
    pub(crate) algorithm: Algorithm,
    /// Its id.
    pub(crate) id: DeviceId,
}

/// The device with the key of RFC 6979.
pub(crate) const ES256: Device = Device { algorithm: Algorithm::Es256, id: DeviceId([0xa7; 16]) };
/// The device with the key of RFC 8032.
pub(crate) const EDDSA: Device = Device { algorithm: Algorithm::EdDsa, id: DeviceId([0xb8; 16]) };
/// Both.
pub(crate) const DEVICES: [Device; 2] = [ES256, EDDSA];

impl Device {
    /// The secret key: 32 bytes.
    pub(crate) fn secret_key(self) -> [u8; 32] {
        let text = match self.algorithm {
            Algorithm::Es256 => ES256_SECRET,
            Algorithm::EdDsa => EDDSA_SECRET,
        };
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// The public key: a point of P-256 as 04, x, y, or the 32 bytes of RFC 8032.
    pub(crate) fn public_key(self) -> Vec<u8> {
        match self.algorithm {
            Algorithm::Es256 => {
                let key = P256Key::from_slice(&self.secret_key()).unwrap();
                key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
            }
            Algorithm::EdDsa => {
                let key = ed25519_dalek::SigningKey::from_bytes(&self.secret_key());
                key.verifying_key().to_bytes().to_vec()
            }
        }
    }

    /// The 64 bytes of a signature over `bytes`.
    pub(crate) fn sign_bytes(self, bytes: &[u8]) -> [u8; 64] {
        match self.algorithm {
            Algorithm::Es256 => {
                let key = P256Key::from_slice(&self.secret_key()).unwrap();
                let signature: p256::ecdsa::Signature = key.sign(bytes);
                signature.to_bytes().as_slice().try_into().unwrap()
            }
            Algorithm::EdDsa => {
                let key = ed25519_dalek::SigningKey::from_bytes(&self.secret_key());
                key.sign(bytes).to_bytes()
            }
        }
    }

    /// The signed message around `message`.
    pub(crate) fn sign(self, message: &[u8]) -> Vec<u8> {
        self.sign_as(self.algorithm, &REALM, message)
    }

    /// A signed message whose header claims `claimed`, for `realm`, signed with this device's own key.
    pub(crate) fn sign_as(self, claimed: Algorithm, realm: &Realm, message: &[u8]) -> Vec<u8> {
        let signature = self.sign_bytes(&to_be_signed(claimed, &self.id, realm, message));
        assemble(claimed, &self.id, message, &signature)
    }

    /// Whether this device signed this envelope, as a gateway of [`REALM`] decides it.
    pub(crate) fn has_signed(self, envelope: &Envelope<'_>) -> bool {
        envelope.device == self.id
            && envelope.algorithm == self.algorithm
            && self.verify(&envelope.to_be_signed(&REALM), envelope.signature)
    }

    /// Whether `signature` covers `bytes`, by libraries that did not make it where there is a choice.
    pub(crate) fn verify(self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        verify(self.algorithm, &self.public_key(), bytes, signature)
    }
}

/// Whether `signature` covers `bytes`, by `ring`; Ed25519 strictly, by `ed25519-dalek` as well.
pub(crate) fn verify(
    algorithm: Algorithm,
    public_key: &[u8],
    bytes: &[u8],
    signature: &[u8; 64],
) -> bool {
    match algorithm {
        Algorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key)
            .verify(bytes, signature)
            .is_ok(),
        Algorithm::EdDsa => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(public_key.try_into().unwrap());
            let strict =
                key.unwrap().verify_strict(bytes, &ed25519_dalek::Signature::from_bytes(signature));
            let plain = UnparsedPublicKey::new(&ED25519, public_key).verify(bytes, signature);
            strict.is_ok() && plain.is_ok()
        }
    }
}
