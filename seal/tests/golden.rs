//! The vectors of `docs/protocol.md`, which `protocol`'s tests make with `ring`: what is sealed here is byte for byte the
//! same, and what must not be opened is refused for its reason.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

use std::fs;

use protocol::{DeviceId, Epoch, Realm, SealedUp};
use seal::{EpochKeys, EpochSecret, OpenError, SealKeys};
use serde_json::Value;

fn file(name: &Value) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/tests/golden/");
    fs::read(format!("{folder}{}", name.as_str().unwrap())).unwrap()
}

fn list<'a>(vectors: &'a Value, name: &str) -> &'a [Value] {
    let list = vectors[name].as_array().unwrap();
    assert!(!list.is_empty(), "{name}");
    list
}

/// What the index says of sealed datagrams, and the gateway that has their secret.
fn scene() -> (Value, EpochKeys) {
    let mut vectors: Value = serde_json::from_slice(&file(&"vectors.json".into())).unwrap();
    let realm: Realm = vectors["realm"].as_str().unwrap().parse().unwrap();
    let vectors = vectors["sealed"].take();
    let mut secret = [0; EpochSecret::LEN];
    hex::decode_to_slice(vectors["secret"].as_str().unwrap(), &mut secret).unwrap();
    let epoch = Epoch(u8::try_from(vectors["epoch"].as_u64().unwrap()).unwrap());
    (vectors, EpochKeys::new(realm, epoch, &EpochSecret::new(&secret)))
}

fn device(entry: &Value) -> DeviceId {
    entry["device_id"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_device_is_given_the_keys_on_the_page() {
    let (vectors, gateway) = scene();
    for entry in list(&vectors, "devices") {
        let keys = gateway.device(&device(entry)).to_bytes();
        assert_eq!(hex::encode(*keys), entry["keys"].as_str().unwrap());
    }
}

#[test]
fn messages_are_sealed_and_opened_as_on_the_page() {
    let (vectors, gateway) = scene();
    for entry in list(&vectors, "messages") {
        let (signed, sealed) = (file(&entry["signed"]), file(&entry["sealed"]));
        let parts = SealedUp::parse(&sealed).unwrap();
        assert_eq!(gateway.open_up(&parts).as_ref(), Ok(&signed), "{entry}");
        let keys = gateway.device(&parts.device);
        assert_eq!(keys.seal_up(gateway.epoch(), &parts.device, &signed), Ok(sealed), "{entry}");
    }
}

#[test]
fn receipts_are_sealed_and_opened_as_on_the_page() {
    let (vectors, gateway) = scene();
    for entry in list(&vectors, "receipts") {
        let (receipt, sealed) = (file(&entry["receipt"]), file(&entry["sealed"]));
        let request = SealedUp::parse(&file(&entry["request"])).unwrap().iv;
        let keys = SealKeys::from_bytes(&gateway.device(&device(entry)).to_bytes());
        assert_eq!(keys.open_down(&request, &sealed).as_ref(), Ok(&receipt), "{entry}");
        assert_eq!(keys.seal_down(&request, &receipt), Ok(sealed), "{entry}");
    }
}

#[test]
fn what_must_not_be_opened_is_refused_for_its_reason() {
    let (vectors, gateway) = scene();
    for entry in list(&vectors, "unopened") {
        let sealed = file(&entry["sealed"]);
        let opened = SealedUp::parse(&sealed).map_err(OpenError::from);
        let error = opened.and_then(|parts| gateway.open_up(&parts)).unwrap_err();
        let why = match error {
            OpenError::Layout(_) => "layout",
            OpenError::Unauthentic => "unauthentic",
            OpenError::Nonce => "nonce",
            OpenError::Envelope(_) => "envelope",
            OpenError::OtherDevice => "other_device",
        };
        assert_eq!(why, entry["why"].as_str().unwrap(), "{entry}");
    }
}
