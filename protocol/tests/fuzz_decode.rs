//! Arbitrary and spoilt bytes against every decoder: none panics, and what one accepts is spelled in no other way.
//!
//! `cargo test` replays the corpora under `__fuzz__` and the golden files, then a thousand fresh inputs for each target.
//! `BOLERO_RANDOM_TEST_TIME_MS=60000 BOLERO_RANDOM_ITERATIONS=100000000` searches for a minute each.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

use std::fs;
use std::sync::LazyLock;

use bolero::check;
use ciborium::Value;
use protocol::{
    CanonicalError, CoapReply, CoapRequest, Envelope, Label, Message, Realm, Receipt, SealedDown,
    SealedUp, StatusItem, assemble, assemble_down, assemble_up, check_canonical, to_be_signed,
};

/// Longer inputs find nothing that shorter ones do not: every loop runs over items, and nesting is bounded.
const LEN_MAX: usize = 64;
/// Spoilings of one golden file, so that an input stays near what decoders accept.
type Edits = Vec<(u8, u16, u8)>;

static GOLDEN: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|extension| extension == "cbor" || extension == "coap")
    });
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
});

#[test]
fn fuzz_bytes() {
    check!().with_max_len(LEN_MAX).for_each(every_decoder);
}

#[test]
fn fuzz_spoilt_messages() {
    check!().with_type::<(u8, Edits)>().for_each(|(which, edits)| {
        every_decoder(&spoilt(&GOLDEN[usize::from(*which) % GOLDEN.len()], edits));
    });
}

#[test]
fn golden_files_hold_the_properties() {
    assert!(!GOLDEN.is_empty());
    GOLDEN.iter().for_each(|bytes| every_decoder(bytes));
}

fn every_decoder(bytes: &[u8]) {
    canonical_check_agrees_with_another_implementation(bytes);
    accepted_message_is_stable(bytes);
    accepted_envelope_has_one_spelling(bytes);
    accepted_receipt_is_stable(bytes);
    accepted_status_item_is_stable(bytes);
    accepted_seal_has_one_spelling(bytes);
    accepted_datagram_is_what_another_implementation_reads(bytes);
}

fn canonical_check_agrees_with_another_implementation(bytes: &[u8]) {
    let ours = check_canonical(bytes);
    // `ciborium` reads a big number (tags 2 and 3) as the integer that it is, and drops how it was spelled.
    let may_hold_big_number = bytes.iter().any(|byte| matches!(byte, 0xc2 | 0xc3));
    if may_hold_big_number || matches!(ours, Err(CanonicalError::TooDeep(_))) {
        return;
    }
    let mut rest = bytes;
    let Ok(value) = ciborium::from_reader::<Value, _>(&mut rest) else { return };
    let Some(theirs) = deterministic(&value) else { return };
    let same = rest.is_empty() && theirs == bytes;
    assert_eq!(ours.is_ok(), same, "{ours:?} for {bytes:02x?}, spelled {theirs:02x?}");
}

/// What `ciborium` read, spelled deterministically. Nothing where it does not keep what it read: null and undefined are
/// one to it, and so is every not-a-number.
fn deterministic(value: &Value) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    match value {
        Value::Null => return None,
        Value::Float(number) if number.is_nan() => return None,
        Value::Array(members) => {
            head(&mut bytes, 0x80, members.len());
            for member in members {
                bytes.extend(deterministic(member)?);
            }
        }
        Value::Map(entries) => {
            let mut spelled = vec![];
            for (key, value) in entries {
                spelled.push((deterministic(key)?, deterministic(value)?));
            }
            spelled.sort();
            spelled.dedup_by(|one, other| one.0 == other.0);
            head(&mut bytes, 0xa0, spelled.len());
            spelled.into_iter().for_each(|(key, value)| bytes.extend([key, value].concat()));
        }
        Value::Tag(tag, content) => {
            let empty = Value::Tag(*tag, Box::new(Value::Bool(false)));
            ciborium::into_writer(&empty, &mut bytes).unwrap();
            bytes.pop();
            bytes.extend(deterministic(content)?);
        }
        _ => ciborium::into_writer(value, &mut bytes).unwrap(),
    }
    Some(bytes)
}

/// The head of an array or map, by letting `ciborium` write one of that many nothings.
fn head(bytes: &mut Vec<u8>, major: u8, len: usize) {
    let mut spelled = vec![];
    ciborium::into_writer(&Value::Integer(len.into()), &mut spelled).unwrap();
    spelled[0] |= major;
    bytes.append(&mut spelled);
}

fn accepted_message_is_stable(bytes: &[u8]) {
    let Ok((message, labels)) = Message::decode(bytes) else { return };
    assert_eq!(check_canonical(bytes), Ok(()));
    let spelled = message.encode();
    let (again, labels_again) = Message::decode(&spelled).unwrap();
    assert_eq!((again, again.encode()), (message, spelled.clone()));
    let told: Vec<_> =
        labels.iter().filter(|label| matches!(label, Label::Silent | Label::Exercise)).collect();
    assert_eq!(labels_again.iter().collect::<Vec<_>>(), told);
    // Nothing was dropped and nothing stood there in vain (flags of 0): the bytes are the only ones.
    if labels == labels_again && !bytes.windows(2).any(|pair| pair == [0x0a, 0x00]) {
        assert_eq!(spelled, bytes);
    }
}

fn accepted_envelope_has_one_spelling(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    let Envelope { algorithm, device, message, signature, .. } = envelope;
    assert_eq!(assemble(algorithm, &device, message, signature), bytes);
    let realm = Realm([0; 16]);
    let covered = to_be_signed(algorithm, &device, &realm, message);
    assert_eq!(envelope.to_be_signed(&realm), covered);
    accepted_message_is_stable(message);
}

fn accepted_receipt_is_stable(bytes: &[u8]) {
    let Ok((receipt, rest)) = Receipt::decode(bytes) else { return };
    assert!(bytes.ends_with(rest));
    assert_eq!(Receipt::decode(&receipt.encode()), Ok((receipt, [].as_slice())));
}

fn accepted_status_item_is_stable(bytes: &[u8]) {
    let Ok((item, rest)) = StatusItem::decode(bytes) else { return };
    assert!(bytes.ends_with(rest) && rest.len() < bytes.len(), "a reader gets on");
    let Some(item) = item else { return };
    assert_eq!(StatusItem::decode(&item.encode()), Ok((Some(item), [].as_slice())));
}

fn accepted_seal_has_one_spelling(bytes: &[u8]) {
    if let Ok(SealedUp { epoch, device, iv, ciphertext }) = SealedUp::parse(bytes) {
        assert_eq!(check_canonical(bytes), Ok(()));
        assert_eq!(assemble_up(epoch, &device, &iv, ciphertext), bytes);
    }
    if let Ok(SealedDown { iv, ciphertext }) = SealedDown::parse(bytes) {
        assert_eq!(check_canonical(bytes), Ok(()));
        assert_eq!(assemble_down(&iv, ciphertext), bytes);
    }
}

fn accepted_datagram_is_what_another_implementation_reads(bytes: &[u8]) {
    if let Ok(request) = CoapRequest::parse(bytes) {
        let theirs = coap_lite::Packet::from_bytes(bytes).unwrap();
        assert_eq!(theirs.header.message_id, request.message_id);
        assert_eq!(theirs.get_token(), request.token.as_bytes());
        assert_eq!(theirs.payload, request.payload);
        assert_eq!(CoapRequest::parse(&request.encode()), Ok(request));
        accepted_seal_has_one_spelling(request.payload);
    }
    if let Ok(reply) = CoapReply::parse(bytes) {
        assert_eq!(coap_lite::Packet::from_bytes(bytes).unwrap().payload, reply.payload);
        assert_eq!(CoapReply::parse(&reply.encode()), Ok(reply));
    }
}

/// `bytes` with each edit made in turn: overwrite, insert, remove, cut, or repeat a piece.
fn spoilt(bytes: &[u8], edits: &Edits) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (what, at, value) in edits.iter().take(6) {
        let at = usize::from(*at) % (bytes.len() + 1);
        match what % 8 {
            0..=2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = *value),
            3 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (value % 8)),
            4 => bytes.insert(at, *value),
            5 => drop(bytes.drain(at..(at + usize::from(value % 4)).min(bytes.len()))),
            6 => bytes.truncate(at),
            _ => {
                let end = (at + usize::from(value % 32)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
        }
    }
    bytes
}
