//! The test vectors, made from code: every kind of message by both algorithms, every status of a receipt, and one of
//! each way to be refused. `golden` keeps them as files; `docs/protocol.md` shows them.

use protocol::{
    AlertId, Algorithm, Category, Counters, DeviceId, Kind, Message, MessageId, Method, Nonce,
    Percent, Position, Progress, Realm, Reason, Receipt, SIGNED_LEN_MAX, ShortText, Status,
    StatusItem, UnixMillis,
};
use serde_json::{Value, json};

use crate::keys::{DEVICES, Device, EDDSA, ES256, REALM};
use crate::sealed;

/// The clock of every receipt: 2027-01-15T08:00:00Z.
const GATEWAY_CLOCK: UnixMillis = UnixMillis(1_800_000_000_000);

/// A message that is accepted.
pub(crate) struct Accepted {
    /// Name of its files.
    pub(crate) name: String,
    /// Who signed it.
    pub(crate) device: Device,
    /// What it says.
    pub(crate) kind: Kind,
    /// The message bytes.
    pub(crate) message: Vec<u8>,
    /// The signed bytes.
    pub(crate) signed: Vec<u8>,
}

/// Bytes that are refused.
pub(crate) struct Refused {
    /// What is wrong with them.
    pub(crate) name: &'static str,
    /// The bytes.
    pub(crate) signed: Vec<u8>,
    /// What a gateway answers that knows both devices.
    pub(crate) reason: Reason,
}

/// Every message that is accepted, by both devices.
pub(crate) fn accepted() -> Vec<Accepted> {
    DEVICES.into_iter().flat_map(accepted_of).collect()
}

fn accepted_of(device: Device) -> Vec<Accepted> {
    let small = Message::raise(Counters::new(1, 1), Nonce([0, 1, 2, 3, 4, 5, 6, 7])).encode();
    let raise = raise().encode();
    let alert = MessageId::of(&REALM, &device.id, &raise).alert();
    [
        ("raise-smallest", Kind::Raise, small),
        ("raise", Kind::Raise, raise),
        ("update", Kind::Update, update(alert).encode()),
        ("cancel", Kind::Cancel, cancel(alert).encode()),
        ("heartbeat", Kind::Heartbeat, heartbeat().encode()),
    ]
    .into_iter()
    .map(|(name, kind, message)| Accepted {
        name: format!("{}-{name}", device.algorithm.name()),
        device,
        kind,
        signed: device.sign(&message),
        message,
    })
    .collect()
}

/// A raise that says everything a phone can say.
pub(crate) fn raise() -> Message<'static> {
    Message {
        category: Some(Category::Fire),
        position: Some(place(12, Method::Gnss, 3)),
        device_clock: Some(UnixMillis(1_799_999_999_250)),
        battery: Some(Percent::new(57).unwrap()),
        silent: true,
        note: Some("Api di dapur, dua orang di dalam"),
        ..Message::raise(
            Counters::new(7, 41),
            Nonce([0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x96, 0x87]),
        )
    }
}

fn update(alert: AlertId) -> Message<'static> {
    Message {
        alert: Some(alert),
        position: Some(place(4, Method::Gnss, 0)),
        note: Some("Sudah di luar"),
        ..Message::new(Kind::Update, Counters::new(7, 42))
    }
}

fn cancel(alert: AlertId) -> Message<'static> {
    Message { alert: Some(alert), ..Message::new(Kind::Cancel, Counters::new(7, 43)) }
}

fn heartbeat() -> Message<'static> {
    Message {
        battery: Percent::new(100),
        firmware: Some("KT-1 1.0.3"),
        ..Message::new(Kind::Heartbeat, Counters::new(8, 1))
    }
}

fn place(radius_m: u32, method: Method, age_s: u32) -> Position {
    let mut position = Position::new(-79_666_200, 1_126_326_000).unwrap();
    (position.radius_m, position.method, position.age_s) = (radius_m, method, age_s);
    position
}

/// One of each way to be refused.
pub(crate) fn refused() -> Vec<Refused> {
    let message = raise().encode();
    let signed = EDDSA.sign(&message);
    let stranger = Device { id: DeviceId([0xcc; 16]), ..EDDSA };
    let mut all = vec![
        refusal("truncated", signed[..signed.len() - 1].to_vec(), Reason::Malformed),
        refusal("trailing", [signed.as_slice(), &[0]].concat(), Reason::Malformed),
        refusal("untagged", signed[1..].to_vec(), Reason::Malformed),
        refusal("bad-signature", flip_last(&signed), Reason::Unproven),
        refusal("unknown-device", stranger.sign(&message), Reason::Unproven),
        refusal(
            "wrong-algorithm",
            EDDSA.sign_as(Algorithm::Es256, &REALM, &message),
            Reason::Unproven,
        ),
        refusal(
            "other-realm",
            EDDSA.sign_as(Algorithm::EdDsa, &Realm([0xff; 16]), &message),
            Reason::Unproven,
        ),
    ];
    let bad_messages = [
        ("non-canonical", with_long_version(&message), Reason::NonCanonical),
        ("keys-out-of-order", swapped_keys(), Reason::NonCanonical),
        ("version-2", edited(&message, 2, 2), Reason::UnsupportedVersion),
        ("unknown-kind", edited(&message, 4, 9), Reason::UnknownKind),
        (
            "raise-without-nonce",
            Message::new(Kind::Raise, Counters::new(1, 1)).encode(),
            Reason::Malformed,
        ),
        (
            "update-without-alert",
            Message::new(Kind::Update, Counters::new(1, 1)).encode(),
            Reason::Malformed,
        ),
        ("too-large", with_long_unknown_key(), Reason::TooLarge),
    ];
    all.extend(
        bad_messages
            .into_iter()
            .map(|(name, message, reason)| refusal(name, EDDSA.sign(&message), reason)),
    );
    all
}

fn refusal(name: &'static str, signed: Vec<u8>, reason: Reason) -> Refused {
    Refused { name, signed, reason }
}

fn flip_last(signed: &[u8]) -> Vec<u8> {
    let mut bytes = signed.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

fn edited(message: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = message.to_vec();
    bytes[at] = value;
    bytes
}

/// The version 1 spelled in two bytes.
fn with_long_version(message: &[u8]) -> Vec<u8> {
    [&message[..2], &[0x18, 0x01], &message[3..]].concat()
}

/// The smallest raise with sequence before boot.
fn swapped_keys() -> Vec<u8> {
    let mut bytes = Message::raise(Counters::new(1, 1), Nonce([9; 8])).encode();
    bytes[5..9].rotate_left(2);
    bytes
}

/// A raise with so long a value under a key that is not known that the signed message has one byte too many.
fn with_long_unknown_key() -> Vec<u8> {
    let mut bytes = Message::raise(Counters::new(1, 1), Nonce([9; 8])).encode();
    bytes[0] += 1;
    bytes.extend_from_slice(&[0x18, 0x63, 0x59]);
    let spare = SIGNED_LEN_MAX + 1 - EDDSA.sign(&bytes).len() - 4;
    bytes.extend_from_slice(&u16::try_from(spare).unwrap().to_be_bytes());
    bytes.resize(bytes.len() + spare, 0);
    bytes
}

/// One receipt of each status, the shortest refusal and the longest receipt.
pub(crate) fn receipts() -> Vec<(&'static str, Receipt)> {
    let alert = MessageId::of(&REALM, &EDDSA.id, &raise().encode()).alert();
    let about = |status, counters| Receipt {
        alert: Some(alert),
        counters: Some(counters),
        ..Receipt::new(status, GATEWAY_CLOCK)
    };
    let heard = Counters::new(7, 41);
    vec![
        ("received", about(Status::Received, heard)),
        ("duplicate", about(Status::Duplicate, heard)),
        ("held", Receipt { call: ShortText::new("110"), ..about(Status::Held, heard) }),
        (
            "heartbeat",
            Receipt {
                counters: Some(Counters::new(8, 1)),
                ..Receipt::new(Status::Received, GATEWAY_CLOCK)
            },
        ),
        ("refused", Receipt::refused(Reason::Unproven, GATEWAY_CLOCK)),
        (
            "refused-stale",
            Receipt { reason: Some(Reason::Stale), ..about(Status::Refused, Counters::new(7, 42)) },
        ),
        (
            "refused-stopping",
            Receipt {
                retry_after_ms: Some(1_250),
                ..Receipt::refused(Reason::Stopping, GATEWAY_CLOCK)
            },
        ),
        (
            "refused-rate-limited",
            Receipt {
                reason: Some(Reason::RateLimited),
                retry_after_ms: Some(31_700),
                ..about(Status::Refused, Counters::new(7, 42))
            },
        ),
        (
            "longest",
            Receipt {
                counters: Some(Counters::new(u32::MAX, u32::MAX)),
                call: ShortText::new("+62 341 000 000 (tanya petugas)!"),
                status_key: Some([0x5c; 16]),
                ..about(Status::Held, heard)
            },
        ),
    ]
}

/// One item of each progress, a second after the receipt.
pub(crate) fn status_items() -> Vec<(&'static str, StatusItem)> {
    let alert = MessageId::of(&REALM, &EDDSA.id, &raise().encode()).alert();
    let gateway_clock = UnixMillis(GATEWAY_CLOCK.0 + 1_000);
    let item = |progress: Progress| StatusItem { progress, alert, gateway_clock };
    Progress::ALL.map(|progress| (progress.name(), item(progress))).into()
}

/// Every golden file but the index: name and bytes.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![];
    for vector in accepted() {
        files.push((format!("{}.message.cbor", vector.name), vector.message));
        files.push((format!("{}.signed.cbor", vector.name), vector.signed));
    }
    files.extend(refused().into_iter().map(|v| (format!("refused-{}.cbor", v.name), v.signed)));
    files.extend(
        receipts().into_iter().map(|(name, r)| (format!("receipt-{name}.cbor"), r.encode())),
    );
    files.extend(
        status_items().into_iter().map(|(name, i)| (format!("status-{name}.cbor"), i.encode())),
    );
    files.extend(sealed::files());
    files
}

/// What a stranger needs to know about the files, as `vectors.json`.
pub(crate) fn index() -> Value {
    let devices = [ES256, EDDSA].map(|device| {
        json!({
            "alg": device.algorithm.name(),
            "device_id": device.id.to_string(),
            "private_key": hex::encode(device.secret_key()),
            "public_key": hex::encode(device.public_key()),
        })
    });
    let accepted = accepted().into_iter().map(|vector| {
        let (message, labels) = Message::decode(&vector.message).unwrap();
        let id = MessageId::of(&REALM, &vector.device.id, &vector.message);
        let alert = if vector.kind == Kind::Raise { Some(id.alert()) } else { message.alert };
        json!({
            "alg": vector.device.algorithm.name(),
            "kind": vector.kind.name(),
            "message": format!("{}.message.cbor", vector.name),
            "signed": format!("{}.signed.cbor", vector.name),
            "message_id": id.to_string(),
            "alert_id": alert.map(|id| id.to_string()),
            "flags": labels.iter().map(|label| label.name()).collect::<Vec<_>>(),
        })
    });
    let refused = refused().into_iter().map(|vector| {
        json!({
            "signed": format!("refused-{}.cbor", vector.name),
            "reason": vector.reason.name(),
            "code": vector.reason.code(),
        })
    });
    let receipts = receipts().into_iter().map(|(name, receipt)| {
        json!({
            "file": format!("receipt-{name}.cbor"),
            "status": receipt.status as u64,
            "alert_id": receipt.alert.map(|id| id.to_string()),
            "counters": receipt.counters.map(|c| [c.boot.0, c.sequence.0]),
            "reason": receipt.reason.map(Reason::code),
            "retry_after_ms": receipt.retry_after_ms,
            "gateway_clock_ms": receipt.gateway_clock.0,
            "call": receipt.call.map(|call| call.to_string()),
            "status_key": receipt.status_key.map(hex::encode),
        })
    });
    let status_items = status_items().into_iter().map(|(name, item)| {
        json!({
            "file": format!("status-{name}.cbor"),
            "status": item.progress as u64,
            "alert_id": item.alert.to_string(),
            "gateway_clock_ms": item.gateway_clock.0,
        })
    });
    json!({
        "realm": REALM.to_string(),
        "devices": devices,
        "accepted": accepted.collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
        "receipts": receipts.collect::<Vec<_>>(),
        "status_items": status_items.collect::<Vec<_>>(),
        "sealed": sealed::index(),
    })
}
