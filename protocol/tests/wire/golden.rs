//! The golden files: bytes that never change while the version is 1. `UPDATE_GOLDEN=1` writes them anew, and the hex of
//! `docs/protocol.md` with them; a difference in version control is then a change of the protocol, to be meant.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use protocol::{
    Envelope, Kind, Message, RECEIPT_LEN_MAX, Receipt, STATUS_ITEM_LEN_MAX, StatusItem,
};

use crate::keys::{DEVICES, Device};
use crate::{page, vectors};

/// Where the files lie.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// Whether this run writes what others compare.
pub(crate) fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

fn index_text() -> String {
    format!("{}\n", serde_json::to_string_pretty(&vectors::index()).unwrap())
}

#[test]
fn every_vector_equals_its_golden_file_and_no_file_is_left_over() {
    if is_update() {
        fs::create_dir_all(folder()).unwrap();
        for (name, bytes) in vectors::files() {
            fs::write(folder().join(name), bytes).unwrap();
        }
        fs::write(folder().join("vectors.json"), index_text()).unwrap();
        page::rewrite();
    }
    let mut expected = BTreeSet::from(["vectors.json".to_owned()]);
    for (name, bytes) in vectors::files() {
        assert_eq!(fs::read(folder().join(&name)).unwrap(), bytes, "{name}");
        expected.insert(name);
    }
    assert_eq!(fs::read_to_string(folder().join("vectors.json")).unwrap(), index_text());
    let present: BTreeSet<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(present, expected);
}

#[test]
fn accepted_vectors_are_read_verified_and_spelled_again_alike() {
    for vector in vectors::accepted() {
        let envelope = Envelope::parse(&vector.signed).unwrap();
        assert!(vector.device.has_signed(&envelope), "{}", vector.name);
        assert_eq!(envelope.message, vector.message, "{}", vector.name);
        let (message, _) = Message::decode(envelope.message).unwrap();
        assert_eq!(message.kind, vector.kind, "{}", vector.name);
        assert_eq!(message.encode(), vector.message, "{}", vector.name);
    }
}

#[test]
fn refused_vectors_are_refused_for_their_reason() {
    for vector in vectors::refused() {
        assert_eq!(judge(&vector.signed, &DEVICES), Err(vector.reason), "{}", vector.name);
    }
}

#[test]
fn receipts_read_back_and_stay_below_the_shortest_signed_message() {
    let shortest = vectors::accepted().iter().map(|vector| vector.signed.len()).min().unwrap();
    assert!(RECEIPT_LEN_MAX < shortest);
    for (name, receipt) in vectors::receipts() {
        let bytes = receipt.encode();
        assert!(bytes.len() <= RECEIPT_LEN_MAX, "{name}");
        assert_eq!(Receipt::decode(&bytes), Ok((receipt, [].as_slice())), "{name}");
    }
}

#[test]
fn status_items_read_back_and_stay_within_their_bound() {
    for (name, item) in vectors::status_items() {
        let bytes = item.encode();
        assert!(bytes.len() <= STATUS_ITEM_LEN_MAX, "{name}");
        assert_eq!(StatusItem::decode(&bytes), Ok((Some(item), [].as_slice())), "{name}");
    }
}

/// What a gateway that knows `devices` makes of `signed`: the cheap tests first, the signature last.
pub(crate) fn judge(signed: &[u8], devices: &[Device]) -> Result<Kind, protocol::Reason> {
    let envelope = Envelope::parse(signed).map_err(|error| error.reason())?;
    let (message, _) = Message::decode(envelope.message).map_err(|error| error.reason())?;
    let proven = devices.iter().any(|device| device.has_signed(&envelope));
    proven.then_some(message.kind).ok_or(protocol::Reason::Unproven)
}
