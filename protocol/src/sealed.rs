//! The seal around what travels in a datagram: a COSE_Encrypt0 (RFC 9052 section 5.2) with exactly one permitted layout
//! each way.
//!
//! [`SealedUp`] and [`SealedDown`] split received bytes into borrowed parts; [`additional_data_up`] and
//! [`additional_data_down`] yield what the tag covers beside the content; [`assemble_up`] and [`assemble_down`] are the
//! other direction. Nothing is encrypted or decrypted here, because this crate knows no key: crate `seal` does that.
//! The device in the header is a claim, like everything else that is not opened yet.

use alloc::vec::Vec;

use minicbor::Decoder;

use crate::envelope::{append, encode};
use crate::{DeviceId, SIGNED_LEN_MAX, check_canonical};

/// The tag of AES-GCM, in bytes: what a ciphertext is longer than its plaintext.
pub const SEAL_TAG_LEN: usize = 16;
/// Longest sealed message that is read, in bytes: the longest signed message, its tag, and the layout around them.
pub const SEALED_LEN_MAX: usize = UP_HEAD.len()
    + KEY_ID_LEN
    + IV_HEAD.len()
    + Iv::LEN
    + BYTES_HEAD_LEN_MAX
    + SIGNED_LEN_MAX
    + SEAL_TAG_LEN;

/// Tag 16, array of 3, a protected header of 22 bytes: alg (1) is A128GCM (1), kid (4) has 17 bytes.
const UP_HEAD: [u8; 8] = [0xd0, 0x83, 0x56, 0xa2, 0x01, 0x01, 0x04, 0x51];
/// Tag 16, array of 3, a protected header of 3 bytes: alg (1) is A128GCM (1).
const DOWN_HEAD: [u8; 6] = [0xd0, 0x83, 0x43, 0xa1, 0x01, 0x01];
/// Where the protected header begins in [`UP_HEAD`] and [`DOWN_HEAD`].
const PROTECTED_AT: usize = 3;
/// An unprotected header with nothing but the iv (5), which has 12 bytes.
const IV_HEAD: [u8; 3] = [0xa1, 0x05, 0x4c];
/// The head of a byte string of fewer than 65,536 bytes.
const BYTES_HEAD_LEN_MAX: usize = 3;
/// Epoch and device id.
const KEY_ID_LEN: usize = 1 + DeviceId::LEN;

/// Domain separation of what devices seal.
const UP_CONTEXT: &[u8] = b"kentongan/up/1";
/// Domain separation of what gateways seal; the request's iv follows it.
const DOWN_CONTEXT: &[u8; 16] = b"kentongan/down/1";

/// Which of a deployment's secrets a device's keys come from. A new secret is a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u8);

/// The nonce of AES-GCM: a keyed hash of what it seals, never a counter and never drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Iv(pub [u8; 12]);

impl Iv {
    /// Length in bytes.
    pub const LEN: usize = 12;
}

/// Why bytes are not a sealed message or receipt. Whoever sent them is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// More than [`SEALED_LEN_MAX`] bytes.
    #[error("sealed message of {0} bytes is longer than 1259")]
    TooLarge(usize),
    /// Not one COSE_Encrypt0 with the header entries that are allowed, spelled as they must be.
    #[error("not a COSE_Encrypt0 of the expected layout")]
    Layout,
}

/// The parts of a sealed message, borrowed from the received bytes. Nothing in it is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedUp<'a> {
    /// Which secret the sender claims that its keys come from.
    pub epoch: Epoch,
    /// The device that the sender claims to be.
    pub device: DeviceId,
    /// The nonce; a receipt is bound to its request by it.
    pub iv: Iv,
    /// The sealed bytes with their tag, always more than the tag alone.
    pub ciphertext: &'a [u8],
}

impl<'a> SealedUp<'a> {
    /// Splits `sealed` into its parts.
    ///
    /// # Errors
    /// When the bytes are not one deterministic COSE_Encrypt0 with exactly the allowed headers.
    pub fn parse(sealed: &'a [u8]) -> Result<Self, SealedError> {
        if sealed.len() > SEALED_LEN_MAX {
            return Err(SealedError::TooLarge(sealed.len()));
        }
        read_up(sealed).ok_or(SealedError::Layout)
    }
}

/// The parts of a sealed receipt, borrowed from the received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedDown<'a> {
    /// The nonce.
    pub iv: Iv,
    /// The sealed bytes with their tag, always more than the tag alone.
    pub ciphertext: &'a [u8],
}

impl<'a> SealedDown<'a> {
    /// Splits `sealed` into its parts.
    ///
    /// # Errors
    /// When the bytes are not one deterministic COSE_Encrypt0 with exactly the allowed headers.
    pub fn parse(sealed: &'a [u8]) -> Result<Self, SealedError> {
        if sealed.len() > SEALED_LEN_MAX {
            return Err(SealedError::TooLarge(sealed.len()));
        }
        let read = sealed.strip_prefix(&DOWN_HEAD).and_then(read_content);
        read.map(|(iv, ciphertext)| Self { iv, ciphertext }).ok_or(SealedError::Layout)
    }
}

/// What the tag of a sealed message covers beside its content: Enc_structure of RFC 9052 section 5.3.
#[must_use]
pub fn additional_data_up(epoch: Epoch, device: &DeviceId) -> Vec<u8> {
    let mut protected = [0; UP_HEAD.len() - PROTECTED_AT + KEY_ID_LEN];
    let parts = UP_HEAD.iter().skip(PROTECTED_AT).chain([&epoch.0]).chain(device.as_bytes());
    protected.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    enc_structure(&protected, UP_CONTEXT)
}

/// What the tag of a sealed receipt covers beside its content, so that it opens for this request only.
#[must_use]
pub fn additional_data_down(request: &Iv) -> Vec<u8> {
    let mut external_aad = [0; DOWN_CONTEXT.len() + Iv::LEN];
    let (context, iv) = external_aad.split_at_mut(DOWN_CONTEXT.len());
    context.copy_from_slice(DOWN_CONTEXT);
    iv.copy_from_slice(&request.0);
    enc_structure(DOWN_HEAD.get(PROTECTED_AT..).unwrap_or_default(), &external_aad)
}

/// The sealed message, from its parts.
#[must_use]
pub fn assemble_up(epoch: Epoch, device: &DeviceId, iv: &Iv, ciphertext: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SEALED_LEN_MAX - SIGNED_LEN_MAX + ciphertext.len());
    sealed.extend_from_slice(&UP_HEAD);
    sealed.push(epoch.0);
    sealed.extend_from_slice(device.as_bytes());
    write_content(&mut sealed, iv, ciphertext);
    sealed
}

/// The sealed receipt, from its parts.
#[must_use]
pub fn assemble_down(iv: &Iv, ciphertext: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(DOWN_HEAD.len() + 32 + ciphertext.len());
    sealed.extend_from_slice(&DOWN_HEAD);
    write_content(&mut sealed, iv, ciphertext);
    sealed
}

fn read_up(sealed: &[u8]) -> Option<SealedUp<'_>> {
    let key_id = sealed.strip_prefix(&UP_HEAD)?;
    let ([epoch], rest) = key_id.split_first_chunk()?;
    let (device, rest) = rest.split_first_chunk()?;
    let (iv, ciphertext) = read_content(rest)?;
    Some(SealedUp { epoch: Epoch(*epoch), device: DeviceId(*device), iv, ciphertext })
}

/// The unprotected header and the ciphertext, and nothing behind them.
fn read_content(bytes: &[u8]) -> Option<(Iv, &[u8])> {
    let (iv, item) = bytes.strip_prefix(&IV_HEAD)?.split_first_chunk()?;
    check_canonical(item).ok()?;
    let ciphertext = Decoder::new(item).bytes().ok()?;
    (ciphertext.len() > SEAL_TAG_LEN).then_some((Iv(*iv), ciphertext))
}

fn write_content(sealed: &mut Vec<u8>, iv: &Iv, ciphertext: &[u8]) {
    sealed.extend_from_slice(&IV_HEAD);
    sealed.extend_from_slice(&iv.0);
    append(sealed, |encoder| {
        encoder.bytes(ciphertext)?;
        Ok(())
    });
}

fn enc_structure(protected: &[u8], external_aad: &[u8]) -> Vec<u8> {
    encode(64, |encoder| {
        encoder.array(3)?.str("Encrypt0")?.bytes(protected)?.bytes(external_aad)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use coset::{
        CoseEncrypt0, CoseEncrypt0Builder, HeaderBuilder, TaggedCborSerializable as _, iana,
    };

    use super::*;

    const DEVICE: DeviceId = DeviceId([9; 16]);
    const EPOCH: Epoch = Epoch(3);
    const IV: Iv = Iv([6; Iv::LEN]);
    const CIPHERTEXT: [u8; 30] = [5; 30];

    fn up() -> Vec<u8> {
        assemble_up(EPOCH, &DEVICE, &IV, &CIPHERTEXT)
    }

    /// What `coset` seals with these headers, and what it has the tag cover.
    fn oracle(header: HeaderBuilder, external_aad: &[u8]) -> (CoseEncrypt0, Vec<u8>) {
        let mut covered = vec![];
        let sealed = CoseEncrypt0Builder::new()
            .protected(header.algorithm(iana::Algorithm::A128GCM).build())
            .unprotected(HeaderBuilder::new().iv(IV.0.to_vec()).build())
            .create_ciphertext(b"plaintext", external_aad, |_, additional_data| {
                covered = additional_data.to_vec();
                CIPHERTEXT.to_vec()
            })
            .build();
        (sealed, covered)
    }

    #[test]
    fn message_reads_back_and_is_what_another_implementation_writes() {
        let key_id = [&[EPOCH.0], &DEVICE.0[..]].concat();
        let (sealed, covered) = oracle(HeaderBuilder::new().key_id(key_id), UP_CONTEXT);
        assert_eq!(sealed.to_tagged_vec().unwrap(), up());
        assert_eq!(covered, additional_data_up(EPOCH, &DEVICE));
        let (epoch, device, iv) = (EPOCH, DEVICE, IV);
        let parts = SealedUp { epoch, device, iv, ciphertext: &CIPHERTEXT };
        assert_eq!(SealedUp::parse(&up()), Ok(parts));
    }

    #[test]
    fn receipt_reads_back_and_is_what_another_implementation_writes() {
        let request = Iv([8; Iv::LEN]);
        let external_aad = [DOWN_CONTEXT.as_slice(), &request.0].concat();
        let (sealed, covered) = oracle(HeaderBuilder::new(), &external_aad);
        let down = assemble_down(&IV, &CIPHERTEXT);
        assert_eq!(sealed.to_tagged_vec().unwrap(), down);
        assert_eq!(covered, additional_data_down(&request));
        let parts = SealedDown { iv: IV, ciphertext: &CIPHERTEXT };
        assert_eq!(SealedDown::parse(&down), Ok(parts));
    }

    #[test]
    fn refuses_every_byte_that_is_not_what_the_layout_says() {
        let sealed = up();
        let free = UP_HEAD.len()..UP_HEAD.len() + KEY_ID_LEN;
        let iv = free.end + IV_HEAD.len()..free.end + IV_HEAD.len() + Iv::LEN;
        let content = sealed.len() - CIPHERTEXT.len()..sealed.len();
        for at in 0..sealed.len() {
            let is_free = [&free, &iv, &content].iter().any(|part| part.contains(&at));
            let mut flipped = sealed.clone();
            flipped[at] ^= 0x01;
            assert_eq!(SealedUp::parse(&flipped).is_ok(), is_free, "byte {at}");
            assert_eq!(SealedUp::parse(&sealed[..at]), Err(SealedError::Layout), "{at} bytes");
        }
        let trailing = [up(), vec![0]].concat();
        assert_eq!(SealedUp::parse(&trailing), Err(SealedError::Layout));
        assert_eq!(SealedDown::parse(&sealed), Err(SealedError::Layout));
    }

    #[test]
    fn refuses_a_longer_spelling_and_a_tag_around_nothing() {
        let mut long = up();
        let head = long.len() - CIPHERTEXT.len() - 2;
        assert_eq!(long[head..head + 2], [0x58, 30]);
        long.splice(head..head + 2, [0x59, 0, 30]);
        assert_eq!(SealedUp::parse(&long), Err(SealedError::Layout));
        for (len, is_read) in [(0, false), (SEAL_TAG_LEN, false), (SEAL_TAG_LEN + 1, true)] {
            let sealed = assemble_up(EPOCH, &DEVICE, &IV, &vec![1; len]);
            assert_eq!(SealedUp::parse(&sealed).is_ok(), is_read, "{len} bytes");
        }
    }

    #[test]
    fn longest_signed_message_fits_and_one_byte_more_is_too_large() {
        let longest = vec![1; SIGNED_LEN_MAX + SEAL_TAG_LEN];
        let sealed = assemble_up(EPOCH, &DEVICE, &IV, &longest);
        assert_eq!(sealed.len(), SEALED_LEN_MAX);
        assert!(SealedUp::parse(&sealed).is_ok());
        let sealed = assemble_up(EPOCH, &DEVICE, &IV, &[longest, vec![1]].concat());
        let too_large = SealedError::TooLarge(SEALED_LEN_MAX + 1);
        assert_eq!(SealedUp::parse(&sealed), Err(too_large));
    }
}
