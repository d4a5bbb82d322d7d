//! Round trips over every value that can be said, with encoders that are not ours as oracle.

use proptest::option::of;
use proptest::prelude::*;
use protocol::{
    AlertId, Algorithm, Category, Counters, DeviceId, Envelope, Kind, Labels, Message, Method,
    Nonce, Percent, Position, Progress, Realm, Reason, Receipt, ShortText, Status, StatusItem,
    UnixMillis, assemble, check_canonical, to_be_signed,
};

use crate::keys::DEVICES;

fn position() -> impl Strategy<Value = Position> {
    let lat = -900_000_000_i64..=900_000_000;
    let lon = -1_800_000_000_i64..=1_800_000_000;
    (lat, lon, any::<u32>(), 0_u64..6, any::<u32>()).prop_map(|(lat, lon, radius, method, age)| {
        let mut position = Position::new(lat, lon).unwrap();
        position.radius_m = radius;
        position.method = Method::from_wire(method).unwrap();
        position.age_s = age;
        position
    })
}

/// Everything a message holds; the texts apart, because a message borrows them.
fn parts() -> impl Strategy<Value = (Message<'static>, Option<String>, Option<String>)> {
    let head = (1_u64..=4, any::<u32>(), any::<u32>(), any::<[u8; 16]>(), any::<[u8; 8]>());
    let optional = (
        of(0_u64..9),
        of(position()),
        of(any::<u64>()),
        of(0_u8..=100),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let texts = (of("\\PC{0,70}"), of("\\PC{0,8}"));
    (head, optional, texts).prop_map(|(head, optional, (note, firmware))| {
        let (kind, boot, sequence, alert, nonce) = head;
        let (category, position, clock, battery, silent, exercise, has_nonce) = optional;
        let kind = Kind::from_wire(kind).unwrap();
        let message = Message {
            alert: matches!(kind, Kind::Update | Kind::Cancel).then_some(AlertId(alert)),
            category: category.and_then(Category::from_wire),
            position,
            device_clock: clock.map(UnixMillis),
            battery: battery.and_then(Percent::new),
            silent,
            exercise,
            nonce: (kind == Kind::Raise || has_nonce).then_some(Nonce(nonce)),
            ..Message::new(kind, Counters::new(boot, sequence))
        };
        (message, note, firmware)
    })
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let counters = of((any::<u32>(), any::<u32>()));
    let numbers = (of(any::<u64>()), of(any::<u64>()), any::<u64>());
    let last = (of("\\PC{1,8}"), of(any::<[u8; 16]>()));
    (1_u64..=4, of(any::<[u8; 16]>()), counters, numbers, last).prop_map(
        |(status, alert, counters, (reason, retry_after_ms, clock), (call, status_key))| Receipt {
            status: Status::from_wire(status).unwrap(),
            alert: alert.map(AlertId),
            counters: counters.map(|(boot, sequence)| Counters::new(boot, sequence)),
            reason: reason.map(Reason::from_code),
            retry_after_ms,
            gateway_clock: UnixMillis(clock),
            call: call.and_then(|call| ShortText::new(&call)),
            status_key,
        },
    )
}

/// What `ciborium` writes when it reads these bytes and writes them again.
fn respelled(bytes: &[u8]) -> Vec<u8> {
    let value: ciborium::Value = ciborium::from_reader(bytes).unwrap();
    let mut again = vec![];
    ciborium::into_writer(&value, &mut again).unwrap();
    again
}

proptest! {
    #[test]
    fn a_message_reads_back_as_it_was_said((message, note, firmware) in parts()) {
        let message = Message { note: note.as_deref(), firmware: firmware.as_deref(), ..message };
        let bytes = message.encode();
        prop_assert_eq!(respelled(&bytes), bytes.clone());
        let (read, labels) = Message::decode(&bytes).unwrap();
        prop_assert_eq!(read, message);
        let told = Labels::from_bits(u32::from(message.silent) | u32::from(message.exercise) << 1);
        prop_assert_eq!(labels, told);
        prop_assert_eq!(read.encode(), bytes);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters(note in "\\PC{0,400}") {
        let message = Message {
            note: Some(&note),
            ..Message::raise(Counters::new(1, 1), Nonce([1; 8]))
        };
        let bytes = message.encode();
        let (read, labels) = Message::decode(&bytes).unwrap();
        prop_assert_eq!(labels, Labels::NONE);
        let kept = read.note.unwrap();
        prop_assert!(note.starts_with(kept));
        prop_assert!(kept.len() == note.len() || kept.len() > 280 - 4);
    }

    #[test]
    fn an_envelope_reads_back_and_covers_the_same_bytes(
        device in any::<[u8; 16]>(),
        realm in any::<[u8; 16]>(),
        message in prop::collection::vec(any::<u8>(), 0..1_000),
        signature in prop::collection::vec(any::<u8>(), 64),
        is_es256 in any::<bool>(),
    ) {
        let algorithm = if is_es256 { Algorithm::Es256 } else { Algorithm::EdDsa };
        let (device, realm) = (DeviceId(device), Realm(realm));
        let signature: [u8; 64] = signature.try_into().unwrap();
        let signed = assemble(algorithm, &device, &message, &signature);
        let envelope = Envelope::parse(&signed).unwrap();
        prop_assert_eq!(envelope.algorithm, algorithm);
        prop_assert_eq!(envelope.device, device);
        prop_assert_eq!(envelope.message, &message[..]);
        prop_assert_eq!(envelope.signature, &signature);
        let covered = to_be_signed(algorithm, &device, &realm, &message);
        prop_assert_eq!(envelope.to_be_signed(&realm), covered.clone());
        prop_assert_eq!(covered, covered_by_coset(&signed, &realm));
    }

    #[test]
    fn a_receipt_reads_back_and_leaves_the_rest(
        receipt in receipt(),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = receipt.encode();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(respelled(&bytes), bytes.clone());
        bytes.extend_from_slice(&rest);
        prop_assert_eq!(Receipt::decode(&bytes), Ok((receipt, &rest[..])));
    }

    #[test]
    fn a_status_item_reads_back_and_leaves_the_rest(
        (progress, alert, clock) in (5_u64..=8, any::<[u8; 16]>(), any::<u64>()),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let progress = Progress::from_wire(progress).unwrap();
        let item =
            StatusItem { progress, alert: AlertId(alert), gateway_clock: UnixMillis(clock) };
        let mut bytes = item.encode();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(respelled(&bytes), bytes.clone());
        bytes.extend_from_slice(&rest);
        prop_assert_eq!(StatusItem::decode(&bytes), Ok((Some(item), &rest[..])));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_signature_over_any_message_verifies((message, _, _) in parts(), which in 0_usize..2) {
        let device = DEVICES[which];
        let signed = device.sign(&message.encode());
        prop_assert!(device.has_signed(&Envelope::parse(&signed).unwrap()));
    }
}

/// The Sig_structure that `coset` makes of received bytes.
fn covered_by_coset(signed: &[u8], realm: &Realm) -> Vec<u8> {
    use coset::TaggedCborSerializable as _;
    let aad = [b"kentongan/alert/1".as_slice(), realm.as_bytes()].concat();
    coset::CoseSign1::from_tagged_slice(signed).unwrap().tbs_data(&aad)
}
