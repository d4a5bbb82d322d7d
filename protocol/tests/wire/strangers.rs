//! Messages made by `strangers/messages.py`, which shares no code with this repository, are what they claim to be.
//!
//! One set is kept beside this file. `STRANGERS_DIR` names another, fresh from
//! `python strangers/messages.py make --out DIR`.

use std::fs;
use std::path::PathBuf;

use protocol::{Algorithm, DeviceId, Envelope, Message, MessageId, Realm};
use serde_json::Value;

use crate::keys;

fn folder() -> PathBuf {
    std::env::var_os("STRANGERS_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stranger")),
        PathBuf::from,
    )
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

fn manifest() -> Value {
    serde_json::from_str(&fs::read_to_string(folder().join("manifest.json")).unwrap()).unwrap()
}

/// What the manifest calls the device that signed, and whether its key verifies these bytes.
fn verify(manifest: &Value, device_id: DeviceId, envelope: &Envelope<'_>, realm: &Realm) -> bool {
    manifest["devices"].as_array().unwrap().iter().any(|device| {
        let key = hex::decode(string(device, "public_key")).unwrap();
        let algorithm = Algorithm::from_name(string(device, "alg")).unwrap();
        string(device, "device_id") == device_id.to_string()
            && algorithm == envelope.algorithm
            && keys::verify(algorithm, &key, &envelope.to_be_signed(realm), envelope.signature)
    })
}

#[test]
fn messages_made_by_strangers_are_accepted_and_mean_what_they_say() {
    let manifest = manifest();
    let realm: Realm = string(&manifest, "realm").parse().unwrap();
    let accepted = manifest["accepted"].as_array().unwrap();
    assert!(accepted.len() >= 10, "every kind by both algorithms");
    for expected in accepted {
        let signed = fs::read(folder().join(string(expected, "signed"))).unwrap();
        let envelope = Envelope::parse(&signed).unwrap();
        assert!(verify(&manifest, envelope.device, &envelope, &realm), "{expected}");
        let id = MessageId::of(&realm, &envelope.device, envelope.message);
        assert_eq!(id.to_string(), string(expected, "message_id"));
        let (message, labels) = Message::decode(envelope.message).unwrap();
        assert_eq!(message.encode(), envelope.message, "{expected}");
        assert_eq!(fields_of(&message), expected["fields"], "{expected}");
        let flags: Vec<_> = labels.iter().map(|label| label.name()).collect();
        assert_eq!(serde_json::json!(flags), expected["flags"], "{expected}");
    }
}

#[test]
fn messages_spoilt_by_strangers_are_refused_for_their_reason() {
    let manifest = manifest();
    let realm: Realm = string(&manifest, "realm").parse().unwrap();
    let refused = manifest["refused"].as_array().unwrap();
    assert!(!refused.is_empty());
    for expected in refused {
        let signed = fs::read(folder().join(string(expected, "signed"))).unwrap();
        let reason = match Envelope::parse(&signed) {
            Err(error) => error.reason().name(),
            Ok(envelope) => match Message::decode(envelope.message) {
                Err(error) => error.reason().name(),
                Ok(_) if verify(&manifest, envelope.device, &envelope, &realm) => "none",
                Ok(_) => protocol::Reason::Unproven.name(),
            },
        };
        assert_eq!(reason, string(expected, "reason"), "{expected}");
    }
}

/// A message's fields by the numbers of their keys, as the manifest writes them: byte strings in hexadecimal.
fn fields_of(message: &Message<'_>) -> Value {
    let mut fields = serde_json::Map::new();
    let mut put = |key: u64, value: Option<Value>| {
        fields.extend(value.map(|value| (key.to_string(), value)));
    };
    put(1, Some(1.into()));
    put(2, Some((message.kind as u64).into()));
    put(3, Some(message.counters.boot.0.into()));
    put(4, Some(message.counters.sequence.0.into()));
    put(5, message.alert.map(|alert| alert.to_string().into()));
    put(6, message.category.map(|category| (category as u64).into()));
    put(
        7,
        message.position.map(|p| {
            serde_json::json!([p.lat_e7(), p.lon_e7(), p.radius_m, p.method as u64, p.age_s])
        }),
    );
    put(8, message.device_clock.map(|clock| clock.0.into()));
    put(9, message.battery.map(|battery| battery.value().into()));
    let flags = u64::from(message.silent) + 2 * u64::from(message.exercise);
    put(10, (flags != 0).then(|| flags.into()));
    put(11, message.note.map(Value::from));
    put(12, message.nonce.map(|nonce| hex::encode(nonce.0).into()));
    put(13, message.firmware.map(Value::from));
    Value::Object(fields)
}
