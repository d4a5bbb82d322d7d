//! The vectors of sealed datagrams, made with `ring` from the words of `docs/protocol.md`: crate `seal`, which uses other
//! libraries, is held against these files by its own tests.

use protocol::{
    CoapReply, CoapRequest, DeviceId, Epoch, Iv, RECEIPT_LEN_MAX, SealedDown, SealedUp, Silence,
    Token, additional_data_down, additional_data_up, assemble_down, assemble_up,
};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac;
use serde_json::{Value, json};

use crate::keys::{DEVICES, Device, EDDSA, ES256, REALM};
use crate::vectors;

/// The secret of the vectors' epoch.
const SECRET: [u8; 32] = [0x5e; 32];
const EPOCH: Epoch = Epoch(1);
/// What the datagrams' sender recognises the answer by.
const MESSAGE_ID: u16 = 0x7d34;
const TOKEN: &[u8] = &[0x71];

/// A signed message, sealed.
pub(crate) struct Message {
    /// The name of the signed vector.
    pub(crate) name: String,
    signed: Vec<u8>,
    sealed: Vec<u8>,
}

/// A receipt, sealed for a request.
struct Receipt {
    name: &'static str,
    request: &'static str,
    device: Device,
    receipt: Vec<u8>,
    sealed: Vec<u8>,
}

/// Bytes that are not opened.
struct Unopened {
    name: &'static str,
    why: &'static str,
    sealed: Vec<u8>,
}

/// How many bytes of keys a device is given.
struct KeysLen;

impl KeyType for KeysLen {
    fn len(&self) -> usize {
        96
    }
}

/// The keys of a device: K_up, K_down, V_up, V_down.
fn keys_of(device: &DeviceId) -> [u8; 96] {
    let pseudorandom = Salt::new(HKDF_SHA256, b"kentongan/seal/1").extract(&SECRET);
    let info = [&b"kentongan/device/1"[..], REALM.as_bytes(), &[EPOCH.0], device.as_bytes()];
    let mut keys = [0; 96];
    pseudorandom.expand(&info, KeysLen).unwrap().fill(&mut keys).unwrap();
    keys
}

fn nonce(key: &[u8], parts: &[&[u8]]) -> Iv {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat());
    Iv(tag.as_ref()[..12].try_into().unwrap())
}

fn encrypt(key: &[u8], iv: Iv, additional_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).unwrap());
    let mut bytes = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv.0);
    key.seal_in_place_append_tag(nonce, Aad::from(additional_data), &mut bytes).unwrap();
    bytes
}

fn seal_up(device: &DeviceId, content: &[u8]) -> Vec<u8> {
    seal_up_with(device, nonce(&keys_of(device)[32..64], &[content]), content)
}

fn seal_up_with(device: &DeviceId, iv: Iv, content: &[u8]) -> Vec<u8> {
    let additional_data = additional_data_up(EPOCH, device);
    let ciphertext = encrypt(&keys_of(device)[..16], iv, &additional_data, content);
    assemble_up(EPOCH, device, &iv, &ciphertext)
}

fn seal_down(device: &DeviceId, request: Iv, receipt: &[u8]) -> Vec<u8> {
    let keys = keys_of(device);
    let iv = nonce(&keys[64..], &[&request.0, receipt]);
    let ciphertext = encrypt(&keys[16..32], iv, &additional_data_down(&request), receipt);
    assemble_down(&iv, &ciphertext)
}

/// Some of the accepted messages: the smallest, the worked example, a button's.
pub(crate) fn messages() -> Vec<Message> {
    let names = [
        "es256-raise-smallest",
        "es256-cancel",
        "eddsa-raise-smallest",
        "eddsa-raise",
        "eddsa-heartbeat",
    ];
    let mut accepted = vectors::accepted();
    accepted.retain(|vector| names.contains(&vector.name.as_str()));
    let sealed = |vector: vectors::Accepted| Message {
        sealed: seal_up(&vector.device.id, &vector.signed),
        name: vector.name,
        signed: vector.signed,
    };
    accepted.into_iter().map(sealed).collect()
}

fn message(name: &str) -> Message {
    messages().into_iter().find(|message| message.name == name).unwrap()
}

fn receipts() -> Vec<Receipt> {
    let plain = vectors::receipts();
    let sealed = |(request, name): (&'static str, &'static str)| {
        let receipt = plain.iter().find(|(other, _)| *other == name).unwrap().1.encode();
        let iv = SealedUp::parse(&message(request).sealed).unwrap().iv;
        let sealed = seal_down(&EDDSA.id, iv, &receipt);
        Receipt { name, request, device: EDDSA, receipt, sealed }
    };
    [
        ("eddsa-raise", "received"),
        ("eddsa-raise", "duplicate"),
        ("eddsa-raise", "held"),
        ("eddsa-heartbeat", "heartbeat"),
    ]
    .map(sealed)
    .into()
}

fn unopened() -> Vec<Unopened> {
    let Message { signed, sealed, .. } = message("eddsa-raise-smallest");
    let SealedUp { iv, ciphertext, .. } = SealedUp::parse(&sealed).unwrap();
    let mut altered = sealed.clone();
    *altered.last_mut().unwrap() ^= 1;
    // The protected header is 22 bytes from the fourth on; behind it stands the map with the iv.
    let mut other_algorithm = sealed.clone();
    other_algorithm[5] = 3;
    let headers_end = 3 + 22 + 15;
    let mut two_headers = sealed.clone();
    two_headers[25] = 0xa2;
    two_headers.splice(headers_end..headers_end, [0x06, 0x40]);
    let mut long_length = sealed.clone();
    long_length.splice(headers_end..headers_end + 2, [0x59, 0, sealed[headers_end + 1]]);
    let cases = [
        ("untagged", "layout", sealed[1..].to_vec()),
        ("trailing", "layout", [&sealed[..], &[0]].concat()),
        ("truncated", "layout", sealed[..sealed.len() - 1].to_vec()),
        ("other-algorithm", "layout", other_algorithm),
        ("two-headers", "layout", two_headers),
        ("long-length", "layout", long_length),
        ("altered", "unauthentic", altered),
        ("other-epoch", "unauthentic", assemble_up(Epoch(2), &EDDSA.id, &iv, ciphertext)),
        ("other-claim", "unauthentic", assemble_up(EPOCH, &ES256.id, &iv, ciphertext)),
        ("chosen-nonce", "nonce", seal_up_with(&EDDSA.id, Iv([0; 12]), &signed)),
        ("other-signer", "other_device", seal_up(&ES256.id, &signed)),
        ("not-signed", "envelope", seal_up(&EDDSA.id, b"not signed")),
    ];
    cases.map(|(name, why, sealed)| Unopened { name, why, sealed }).into()
}

/// The worked example as a datagram, and what answers it.
fn datagrams() -> [(&'static str, Vec<u8>); 2] {
    let sealed = message("eddsa-raise").sealed;
    let token = Token::new(TOKEN).unwrap();
    let request = CoapRequest { message_id: MESSAGE_ID, token, payload: &sealed };
    let receipt = receipts().into_iter().find(|receipt| receipt.name == "received").unwrap().sealed;
    [("request", request.encode()), ("reply", request.reply(&receipt).encode())]
}

/// Datagrams that are met with silence whatever their payload is: header, options, payload.
fn silent() -> Vec<(&'static str, Silence, Vec<u8>)> {
    let cases: [(_, _, &[u8]); 12] = [
        ("ping", Silence::Ping, &[0x40, 0x00, 0x7d, 0x34]),
        ("reset", Silence::Unasked, &[0x70, 0x00, 0x7d, 0x34]),
        (
            "not-confirmable",
            Silence::NotConfirmable,
            &[0x50, 0x02, 0x7d, 0x34, 0xb1, b'a', 0xff, 0],
        ),
        ("get", Silence::Method, &[0x40, 0x01, 0x7d, 0x34, 0xb1, b'a', 0xff, 0]),
        ("other-path", Silence::Path, &[0x40, 0x02, 0x7d, 0x34, 0xb1, b'b', 0xff, 0]),
        ("observe", Silence::Observe, &[0x40, 0x02, 0x7d, 0x34, 0x60, 0x51, b'a', 0xff, 0]),
        (
            "block1",
            Silence::Blockwise,
            &[0x40, 0x02, 0x7d, 0x34, 0xb1, b'a', 0xd1, 3, 0x0e, 0xff, 0],
        ),
        ("proxy", Silence::Proxy, &[0x40, 0x02, 0x7d, 0x34, 0xb1, b'a', 0xd1, 11, b'x', 0xff, 0]),
        ("query", Silence::Critical, &[0x40, 0x02, 0x7d, 0x34, 0xb1, b'a', 0x41, b'x', 0xff, 0]),
        ("no-payload", Silence::NoPayload, &[0x40, 0x02, 0x7d, 0x34, 0xb1, b'a']),
        ("marker-alone", Silence::Malformed, &[0x40, 0x02, 0x7d, 0x34, 0xb1, b'a', 0xff]),
        ("version-2", Silence::Malformed, &[0x80, 0x02, 0x7d, 0x34, 0xb1, b'a', 0xff, 0]),
    ];
    cases.map(|(name, silence, bytes)| (name, silence, bytes.to_vec())).into()
}

/// Every golden file of this page: name and bytes.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![];
    files.extend(messages().into_iter().map(|m| (format!("sealed-{}.cbor", m.name), m.sealed)));
    files.extend(
        receipts().into_iter().map(|r| (format!("sealed-receipt-{}.cbor", r.name), r.sealed)),
    );
    files.extend(unopened().into_iter().map(|u| (format!("unopened-{}.cbor", u.name), u.sealed)));
    files.extend(datagrams().map(|(name, bytes)| (format!("datagram-{name}.coap"), bytes)));
    files.extend(
        silent().into_iter().map(|(name, _, bytes)| (format!("silent-{name}.coap"), bytes)),
    );
    files
}

/// What a stranger needs to know about the files.
pub(crate) fn index() -> Value {
    let keys = DEVICES.map(|device| {
        json!({
            "device_id": device.id.to_string(),
            "keys": hex::encode(keys_of(&device.id)),
        })
    });
    let messages = messages().into_iter().map(|message| {
        json!({
            "signed": format!("{}.signed.cbor", message.name),
            "sealed": format!("sealed-{}.cbor", message.name),
        })
    });
    let receipts = receipts().into_iter().map(|receipt| {
        json!({
            "device_id": receipt.device.id.to_string(),
            "request": format!("sealed-{}.cbor", receipt.request),
            "receipt": format!("receipt-{}.cbor", receipt.name),
            "sealed": format!("sealed-receipt-{}.cbor", receipt.name),
        })
    });
    let unopened = unopened().into_iter().map(|unopened| {
        json!({ "sealed": format!("unopened-{}.cbor", unopened.name), "why": unopened.why })
    });
    let silent = silent().into_iter().map(|(name, silence, _)| {
        json!({ "datagram": format!("silent-{name}.coap"), "why": silence.name() })
    });
    json!({
        "secret": hex::encode(SECRET),
        "epoch": EPOCH.0,
        "devices": keys,
        "messages": messages.collect::<Vec<_>>(),
        "receipts": receipts.collect::<Vec<_>>(),
        "unopened": unopened.collect::<Vec<_>>(),
        "datagrams": {
            "message_id": MESSAGE_ID,
            "token": hex::encode(TOKEN),
            "request": { "datagram": "datagram-request.coap", "sealed": "sealed-eddsa-raise.cbor" },
            "reply": { "datagram": "datagram-reply.coap", "sealed": "sealed-receipt-received.cbor" },
        },
        "silent": silent.collect::<Vec<_>>(),
    })
}

/// The page explains the worked example by its keys.
#[test]
fn keys_and_nonces_of_the_vectors_stand_on_the_page() {
    let page = crate::page::text();
    let shown = |what: &str, bytes: &[u8]| {
        assert!(page.contains(&hex::encode(bytes)), "{what} {}", hex::encode(bytes));
    };
    for device in DEVICES {
        shown("keys", &keys_of(&device.id));
    }
    let keys = keys_of(&EDDSA.id);
    for (what, bytes) in [
        ("K_up", &keys[..16]),
        ("K_down", &keys[16..32]),
        ("V_up", &keys[32..64]),
        ("V_down", &keys[64..]),
    ] {
        let named = format!("{what}`{}`", hex::encode(bytes));
        let words: String = page.split_whitespace().collect();
        assert!(words.contains(&named), "{named}");
    }
    shown("iv", &SealedUp::parse(&message("eddsa-raise").sealed).unwrap().iv.0);
    // The additional data stand there a part a line.
    let digits: String = page.chars().filter(|c| !c.is_whitespace()).collect();
    let additional_data = additional_data_up(EPOCH, &EDDSA.id);
    assert!(digits.contains(&hex::encode(additional_data)), "the additional data");
}

#[test]
fn sealed_vectors_are_read_and_put_together_again_alike() {
    for Message { name, signed, sealed } in messages() {
        let parts = SealedUp::parse(&sealed).unwrap();
        assert_eq!(parts.ciphertext.len(), signed.len() + 16, "{name}");
        let again = assemble_up(parts.epoch, &parts.device, &parts.iv, parts.ciphertext);
        assert_eq!(again, sealed, "{name}");
    }
    for Receipt { name, receipt, sealed, .. } in receipts() {
        let parts = SealedDown::parse(&sealed).unwrap();
        assert_eq!(parts.ciphertext.len(), receipt.len() + 16, "{name}");
        assert_eq!(assemble_down(&parts.iv, parts.ciphertext), sealed, "{name}");
    }
}

#[test]
fn unopened_vectors_are_refused_by_their_layout_or_not_at_all() {
    for Unopened { name, why, sealed } in unopened() {
        assert_eq!(SealedUp::parse(&sealed).is_err(), why == "layout", "{name}");
    }
}

#[test]
fn datagrams_are_read_and_what_is_no_press_is_met_with_its_silence() {
    let [(_, request), (_, reply)] = datagrams();
    let read = CoapRequest::parse(&request).unwrap();
    assert_eq!((read.message_id, read.token.as_bytes()), (MESSAGE_ID, TOKEN));
    assert_eq!(read.payload, message("eddsa-raise").sealed);
    let read = CoapReply::parse(&reply).unwrap();
    assert_eq!((read.message_id, read.token.as_bytes()), (MESSAGE_ID, TOKEN));
    for (name, silence, bytes) in silent() {
        assert_eq!(CoapRequest::parse(&bytes), Err(silence), "{name}");
    }
}

#[test]
fn sealed_receipts_stay_below_the_shortest_sealed_message() {
    let shortest = messages().iter().map(|message| message.sealed.len()).min().unwrap();
    let longest = seal_down(&EDDSA.id, Iv([1; 12]), &[1; RECEIPT_LEN_MAX]);
    assert!(longest.len() < shortest, "{} < {shortest}", longest.len());
}
