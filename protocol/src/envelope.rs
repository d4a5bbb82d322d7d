//! The signed envelope: a COSE_Sign1 (RFC 9052 section 4.2) with exactly one permitted layout.
//!
//! [`Envelope::parse`] splits received bytes into borrowed parts; [`to_be_signed`] yields what the signature covers,
//! made from the received bytes and never from values; [`assemble`] is the sender's side. No signature is made or
//! checked here. The algorithm in the header is a claim: the registry decides which one a device uses.

use alloc::vec::Vec;
use core::convert::Infallible;

use minicbor::encode::Error as EncodeError;
use minicbor::{Decoder, Encoder, data::Tag};

use crate::{CanonicalError, DeviceId, MessageId, Realm, Reason, check_canonical};

/// Longest signed message that is read, in bytes: one datagram on any path (RFC 9000 section 14 guarantees 1,200).
pub const SIGNED_LEN_MAX: usize = 1_200;

/// Domain separation of alert signatures; the realm follows it in `external_aad`.
const ALERT_CONTEXT: &[u8; 17] = b"kentongan/alert/1";

/// COSE_Sign1 (RFC 9052 section 2).
const SIGN1_TAG: u64 = 18;
const HEADER_ALG: u64 = 1;
const HEADER_KID: u64 = 4;
const SIGNATURE_LEN: usize = 64;

/// A signature algorithm, fixed for a device at enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256 (RFC 9053 section 2.1): what secure hardware in phones can do.
    Es256,
    /// Ed25519 (RFC 9053 section 2.2).
    EdDsa,
}

impl Algorithm {
    /// The number in the COSE header.
    #[must_use]
    pub fn cose(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
        }
    }

    /// The algorithm with this COSE number.
    #[must_use]
    pub fn from_cose(number: i64) -> Option<Self> {
        [Self::Es256, Self::EdDsa].into_iter().find(|algorithm| algorithm.cose() == number)
    }

    /// The name that files and command lines use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "es256",
            Self::EdDsa => "eddsa",
        }
    }

    /// The algorithm with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Es256, Self::EdDsa].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Why bytes are not a signed envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More than [`SIGNED_LEN_MAX`] bytes: shorten the note.
    #[error("signed message of {0} bytes is longer than 1200")]
    TooLarge(usize),
    /// Not one deterministic CBOR item.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Deterministic CBOR, but not a COSE_Sign1 with the two header entries that are allowed.
    #[error("not a COSE_Sign1 of the expected layout")]
    Layout,
    /// The header names an algorithm that no device here can have.
    #[error("algorithm {0} is not used here")]
    UnknownAlgorithm(i64),
}

impl EnvelopeError {
    /// What the sender is told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge(_) => Reason::TooLarge,
            Self::Encoding(error) if error.is_spelling() => Reason::NonCanonical,
            Self::Encoding(_) | Self::Layout => Reason::Malformed,
            Self::UnknownAlgorithm(_) => Reason::Unproven,
        }
    }
}

/// The parts of a signed message, borrowed from the received bytes. Nothing in it is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The algorithm that the sender claims.
    pub algorithm: Algorithm,
    /// The device that the sender claims to be.
    pub device: DeviceId,
    /// The message bytes: to be hashed, kept and read, never re-encoded.
    pub message: &'a [u8],
    /// 64 bytes, r and s or R and s.
    pub signature: &'a [u8; SIGNATURE_LEN],
    protected: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Splits `signed` into its parts.
    ///
    /// # Errors
    /// When the bytes are not one deterministic COSE_Sign1 with exactly the allowed headers.
    pub fn parse(signed: &'a [u8]) -> Result<Self, EnvelopeError> {
        if signed.len() > SIGNED_LEN_MAX {
            return Err(EnvelopeError::TooLarge(signed.len()));
        }
        check_canonical(signed)?;
        let parts = Parts::read(signed).map_err(|_| EnvelopeError::Layout)?;
        check_canonical(parts.protected)?;
        let (algorithm, device) =
            read_header(parts.protected).map_err(|_| EnvelopeError::Layout)?;
        let device = DeviceId::from_slice(device).ok_or(EnvelopeError::Layout)?;
        let signature = parts.signature.try_into().map_err(|_| EnvelopeError::Layout)?;
        let algorithm =
            Algorithm::from_cose(algorithm).ok_or(EnvelopeError::UnknownAlgorithm(algorithm))?;
        let Parts { protected, message, .. } = parts;
        Ok(Self { algorithm, device, message, signature, protected })
    }

    /// The bytes that the signature must cover, for this deployment.
    #[must_use]
    pub fn to_be_signed(&self, realm: &Realm) -> Vec<u8> {
        sig_structure(self.protected, realm, self.message)
    }

    /// The message's identity in this deployment.
    #[must_use]
    pub fn message_id(&self, realm: &Realm) -> MessageId {
        MessageId::of(realm, &self.device, self.message)
    }
}

/// The bytes that a sender signs to send `message` as `device` in `realm`.
#[must_use]
pub fn to_be_signed(
    algorithm: Algorithm,
    device: &DeviceId,
    realm: &Realm,
    message: &[u8],
) -> Vec<u8> {
    sig_structure(&header(algorithm, device), realm, message)
}

/// The signed message, from its parts and the signature over [`to_be_signed`].
#[must_use]
pub fn assemble(
    algorithm: Algorithm,
    device: &DeviceId,
    message: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> Vec<u8> {
    encode(message.len() + 96, |encoder| {
        encoder
            .tag(Tag::new(SIGN1_TAG))?
            .array(4)?
            .bytes(&header(algorithm, device))?
            .map(0)?
            .bytes(message)?
            .bytes(signature)?;
        Ok(())
    })
}

/// The four members of the outer array, unread.
struct Parts<'a> {
    protected: &'a [u8],
    message: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(signed: &'a [u8]) -> Result<Self, minicbor::decode::Error> {
        let mut decoder = Decoder::new(signed);
        let tag = decoder.tag()?.as_u64();
        let members = decoder.array()?;
        let protected = decoder.bytes()?;
        let unprotected = decoder.map()?;
        let message = decoder.bytes()?;
        let signature = decoder.bytes()?;
        if (tag, members, unprotected) == (SIGN1_TAG, Some(4), Some(0)) {
            Ok(Self { protected, message, signature })
        } else {
            Err(minicbor::decode::Error::message("layout"))
        }
    }
}

/// Algorithm and key id of a protected header that has exactly these two entries.
fn read_header(protected: &[u8]) -> Result<(i64, &[u8]), minicbor::decode::Error> {
    let mut decoder = Decoder::new(protected);
    let entries = decoder.map()?;
    let alg_key = decoder.u64()?;
    let algorithm = decoder.i64()?;
    let kid_key = decoder.u64()?;
    let device = decoder.bytes()?;
    let whole = decoder.position() == protected.len();
    if whole && (entries, alg_key, kid_key) == (Some(2), HEADER_ALG, HEADER_KID) {
        Ok((algorithm, device))
    } else {
        Err(minicbor::decode::Error::message("header"))
    }
}

fn header(algorithm: Algorithm, device: &DeviceId) -> Vec<u8> {
    encode(24, |encoder| {
        encoder.map(2)?.u64(HEADER_ALG)?.i64(algorithm.cose())?;
        encoder.u64(HEADER_KID)?.bytes(device.as_bytes())?;
        Ok(())
    })
}

/// Sig_structure of RFC 9052 section 4.4.
fn sig_structure(protected: &[u8], realm: &Realm, message: &[u8]) -> Vec<u8> {
    let mut external_aad = [0; ALERT_CONTEXT.len() + Realm::LEN];
    let (context, realm_part) = external_aad.split_at_mut(ALERT_CONTEXT.len());
    context.copy_from_slice(ALERT_CONTEXT);
    realm_part.copy_from_slice(realm.as_bytes());
    encode(message.len() + 80, |encoder| {
        encoder.array(4)?.str("Signature1")?.bytes(protected)?;
        encoder.bytes(&external_aad)?.bytes(message)?;
        Ok(())
    })
}

/// Runs an encoder over a fresh vector.
pub(crate) fn encode(
    capacity: usize,
    write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), EncodeError<Infallible>>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity);
    append(&mut bytes, write);
    bytes
}

/// Runs an encoder over the end of `bytes`; writing to memory cannot fail.
pub(crate) fn append(
    bytes: &mut Vec<u8>,
    write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), EncodeError<Infallible>>,
) {
    let written = write(&mut Encoder::new(bytes));
    debug_assert!(written.is_ok(), "a vector takes every byte");
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const REALM: Realm = Realm([7; 16]);
    const DEVICE: DeviceId = DeviceId([9; 16]);

    #[test]
    fn parse_gives_back_what_was_assembled() {
        let signed = assemble(Algorithm::Es256, &DEVICE, b"\xa0", &[5; 64]);
        let envelope = Envelope::parse(&signed).unwrap();
        assert_eq!(envelope.algorithm, Algorithm::Es256);
        assert_eq!(envelope.device, DEVICE);
        assert_eq!(envelope.message, b"\xa0");
        assert_eq!(envelope.signature, &[5; 64]);
        assert_eq!(
            envelope.to_be_signed(&REALM),
            to_be_signed(Algorithm::Es256, &DEVICE, &REALM, b"\xa0")
        );
    }

    #[test]
    fn covers_the_same_bytes_as_an_independent_implementation() {
        use coset::{
            CborSerializable, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable, iana,
        };
        let protected = HeaderBuilder::new()
            .algorithm(iana::Algorithm::EdDSA)
            .key_id(DEVICE.0.to_vec())
            .build();
        let mut aad = ALERT_CONTEXT.to_vec();
        aad.extend_from_slice(&REALM.0);
        let mut covered = vec![];
        let oracle = CoseSign1Builder::new()
            .protected(protected)
            .payload(b"message".to_vec())
            .create_signature(&aad, |bytes| {
                covered = bytes.to_vec();
                vec![3; 64]
            })
            .build();
        assert_eq!(covered, to_be_signed(Algorithm::EdDsa, &DEVICE, &REALM, b"message"));
        assert_eq!(
            oracle.clone().to_tagged_vec().unwrap(),
            assemble(Algorithm::EdDsa, &DEVICE, b"message", &[3; 64])
        );
        let untagged = oracle.to_vec().unwrap();
        assert_eq!(Envelope::parse(&untagged), Err(EnvelopeError::Layout));
    }

    #[test]
    fn refuses_every_departure_from_the_layout() {
        let signed = assemble(Algorithm::EdDsa, &DEVICE, b"\xa0", &[5; 64]);
        let mut extra_header = signed.clone();
        extra_header.splice(24..25, [0xa1, 0x01, 0x01]);
        assert_eq!(Envelope::parse(&extra_header), Err(EnvelopeError::Layout));
        let short_signature = assemble(Algorithm::EdDsa, &DEVICE, b"\xa0", &[5; 64]);
        assert!(matches!(
            Envelope::parse(&short_signature[..90]),
            Err(EnvelopeError::Encoding(CanonicalError::Truncated(_)))
        ));
        let mut other_algorithm = signed.clone();
        other_algorithm[5] = 0x28;
        assert_eq!(Envelope::parse(&other_algorithm), Err(EnvelopeError::UnknownAlgorithm(-9)));
        assert_eq!(
            Envelope::parse(&vec![0; SIGNED_LEN_MAX + 1]),
            Err(EnvelopeError::TooLarge(SIGNED_LEN_MAX + 1))
        );
        let mut swapped = signed.clone();
        swapped[4..24].rotate_left(2);
        assert_eq!(
            Envelope::parse(&swapped),
            Err(EnvelopeError::Encoding(CanonicalError::KeyOrder(19)))
        );
        let mut trailing = signed;
        trailing.push(0);
        assert_eq!(Envelope::parse(&trailing).unwrap_err().reason(), Reason::Malformed);
    }
}
