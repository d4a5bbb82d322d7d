//! Field by field: what is mandatory refuses with its reason, what is optional is dropped with its label.

use ciborium::Value;
use protocol::{
    Counters, Kind, Label, Labels, Message, MessageError, Method, Nonce, Reason, UnixMillis,
};

/// A raise with boot 1, sequence 1 and these entries beside or instead of its own, in deterministic order.
fn raise_with(entries: &[(i64, Value)]) -> Vec<u8> {
    message_with(Kind::Raise, entries)
}

fn message_with(kind: Kind, entries: &[(i64, Value)]) -> Vec<u8> {
    let mut fields = vec![(1, int(1)), (2, int(kind as i64)), (3, int(1)), (4, int(1))];
    if kind == Kind::Raise {
        fields.push((12, Value::Bytes(vec![9; 8])));
    }
    fields.retain(|(key, _)| entries.iter().all(|(other, _)| other != key));
    fields.extend(entries.iter().filter(|(_, value)| *value != absent()).cloned());
    spell(fields)
}

fn spell(mut fields: Vec<(i64, Value)>) -> Vec<u8> {
    // Bytewise order of the keys' spellings: 0 upwards, then -1 downwards.
    fields.sort_by_key(|(key, _)| (*key < 0, key.unsigned_abs()));
    let map = fields.into_iter().map(|(key, value)| (int(key), value)).collect();
    let mut bytes = vec![];
    ciborium::into_writer(&Value::Map(map), &mut bytes).unwrap();
    bytes
}

fn int(value: i64) -> Value {
    Value::from(value)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn place(members: &[Value]) -> Value {
    Value::Array(members.to_vec())
}

/// Stands for an entry that is left out.
fn absent() -> Value {
    Value::Tag(0xdead, Box::new(Value::Null))
}

#[track_caller]
fn labels_of(bytes: &[u8]) -> Vec<Label> {
    Message::decode(bytes).unwrap().1.iter().collect()
}

#[test]
fn what_is_mandatory_refuses_with_its_reason() {
    let cases = [
        (raise_with(&[(1, absent())]), MessageError::Missing(1), Reason::Malformed),
        (raise_with(&[(2, absent())]), MessageError::Missing(2), Reason::Malformed),
        (raise_with(&[(3, absent())]), MessageError::Missing(3), Reason::Malformed),
        (raise_with(&[(4, absent())]), MessageError::Missing(4), Reason::Malformed),
        (raise_with(&[(12, absent())]), MessageError::Missing(12), Reason::Malformed),
        (
            raise_with(&[(12, Value::Bytes(vec![9; 7]))]),
            MessageError::Missing(12),
            Reason::Malformed,
        ),
        (raise_with(&[(12, text("12345678"))]), MessageError::Missing(12), Reason::Malformed),
        (message_with(Kind::Update, &[]), MessageError::Missing(5), Reason::Malformed),
        (message_with(Kind::Cancel, &[]), MessageError::Missing(5), Reason::Malformed),
        (
            message_with(Kind::Cancel, &[(5, Value::Bytes(vec![0; 15]))]),
            MessageError::Missing(5),
            Reason::Malformed,
        ),
        (raise_with(&[(1, text("1"))]), MessageError::Field(1), Reason::Malformed),
        (raise_with(&[(2, Value::Null)]), MessageError::Field(2), Reason::Malformed),
        (raise_with(&[(3, int(-1))]), MessageError::Field(3), Reason::Malformed),
        (raise_with(&[(3, int(1 << 32))]), MessageError::Field(3), Reason::Malformed),
        (raise_with(&[(4, int(1 << 32))]), MessageError::Field(4), Reason::Malformed),
        (raise_with(&[(1, int(0))]), MessageError::Version(0), Reason::UnsupportedVersion),
        (raise_with(&[(1, int(2))]), MessageError::Version(2), Reason::UnsupportedVersion),
        (raise_with(&[(2, int(0))]), MessageError::Kind(0), Reason::UnknownKind),
        (raise_with(&[(2, int(5))]), MessageError::Kind(5), Reason::UnknownKind),
        (hex::decode("8101").unwrap(), MessageError::Field(0), Reason::Malformed),
    ];
    for (bytes, error, reason) in cases {
        let found = Message::decode(&bytes).unwrap_err();
        assert_eq!((found, found.reason()), (error, reason), "{}", hex::encode(&bytes));
    }
}

#[test]
fn another_version_is_named_whatever_else_it_changed() {
    let bytes = spell(vec![(1, int(2)), (2, text("raise")), (3, Value::Null)]);
    assert_eq!(Message::decode(&bytes), Err(MessageError::Version(2)));
}

#[test]
fn what_is_optional_and_odd_is_dropped_with_its_label() {
    let cases = [
        (6, int(9), Label::CategoryDropped),
        (6, text("fire"), Label::CategoryDropped),
        (7, int(1), Label::PositionDropped),
        (7, place(&[]), Label::PositionDropped),
        (7, place(&[int(1)]), Label::PositionDropped),
        (7, place(&[Value::Float(1.5), int(1), int(0), int(0), int(0)]), Label::PositionDropped),
        (7, place(&[int(900_000_001), int(1), int(0), int(0), int(0)]), Label::PositionDropped),
        (7, place(&[int(1), int(-1_800_000_001), int(0), int(0), int(0)]), Label::PositionDropped),
        (8, int(-1), Label::ClockDropped),
        (8, text("2027"), Label::ClockDropped),
        (9, int(101), Label::BatteryDropped),
        (9, int(-1), Label::BatteryDropped),
        (9, Value::Float(0.5), Label::BatteryDropped),
        (10, text("silent"), Label::FlagsAmended),
        (10, int(4), Label::FlagsAmended),
        (11, text(&"n".repeat(281)), Label::NoteDropped),
        (11, Value::Bytes(b"note".to_vec()), Label::NoteDropped),
        (13, text(&"f".repeat(33)), Label::FirmwareDropped),
        (13, int(1), Label::FirmwareDropped),
        (0, int(1), Label::UnknownKeys),
        (14, int(1), Label::UnknownKeys),
        (-1, int(1), Label::UnknownKeys),
        (5, Value::Bytes(vec![5; 16]), Label::StrayField),
        (5, Value::Bytes(vec![5; 15]), Label::StrayField),
    ];
    let plain = Message::raise(Counters::new(1, 1), Nonce([9; 8]));
    for (key, value, label) in cases {
        let bytes = raise_with(&[(key, value)]);
        let decoded = Message::decode(&bytes);
        assert_eq!(decoded, Ok((plain, Labels::NONE.with(label))), "{}", hex::encode(&bytes));
    }
}

#[test]
fn the_edge_of_every_range_is_inside_it() {
    let bytes = raise_with(&[
        (3, int(u32::MAX.into())),
        (4, int(0)),
        (6, int(8)),
        (7, place(&[int(-900_000_000), int(1_800_000_000), int(u32::MAX.into()), int(5), int(0)])),
        (8, Value::from(u64::MAX)),
        (9, int(100)),
        (11, text(&"n".repeat(280))),
        (13, text(&"f".repeat(32))),
    ]);
    let (message, labels) = Message::decode(&bytes).unwrap();
    assert_eq!(labels, Labels::NONE);
    assert_eq!(message.counters, Counters::new(u32::MAX, 0));
    assert_eq!(message.device_clock, Some(UnixMillis(u64::MAX)));
    assert_eq!(message.position.unwrap().method, Method::TypedIn);
    assert_eq!(message.encode(), bytes);
}

#[test]
fn an_odd_radius_method_or_age_leaves_the_place_and_its_neighbours() {
    let (lat, lon) = (int(-79_666_200), int(1_126_326_000));
    let cases = [
        ([text("\u{5}\u{3}"), int(1), int(2)], (0, Method::Gnss, 2)),
        ([Value::Float(12.5), int(1), int(2)], (0, Method::Gnss, 2)),
        ([int(-1), int(1), int(2)], (0, Method::Gnss, 2)),
        ([int(12), int(6), int(2)], (12, Method::Unknown, 2)),
        ([int(12), Value::Null, int(2)], (12, Method::Unknown, 2)),
        ([int(12), int(1), int(1 << 32)], (12, Method::Gnss, 0)),
    ];
    for ([radius, method, age], kept) in cases {
        let bytes = raise_with(&[(7, place(&[lat.clone(), lon.clone(), radius, method, age]))]);
        let (message, labels) = Message::decode(&bytes).unwrap();
        let place = message.position.unwrap();
        assert_eq!((place.lat_e7(), place.lon_e7()), (-79_666_200, 1_126_326_000));
        assert_eq!((place.radius_m, place.method, place.age_s), kept, "{}", hex::encode(&bytes));
        assert_eq!(labels, Labels::NONE.with(Label::PositionAmended));
    }
    for members in [2, 4, 6] {
        let mut list = vec![lat.clone(), lon.clone()];
        list.resize(members, int(1));
        assert_eq!(labels_of(&raise_with(&[(7, place(&list))])), [Label::PositionAmended]);
    }
}

/// Small firmware cuts notes by bytes. The press must not pay for it.
#[test]
fn a_note_cut_inside_a_character_costs_the_note_alone() {
    let mut bytes = raise_with(&[(11, text("kebakaran 🔥"))]);
    let fire = bytes.windows(4).position(|window| window == "🔥".as_bytes()).unwrap();
    bytes.drain(fire + 2..fire + 4);
    let head = bytes.windows(2).position(|window| window == [0x0b, 0x6e]).unwrap();
    bytes[head + 1] -= 2;
    let (message, labels) = Message::decode(&bytes).unwrap();
    assert_eq!(message.note, None);
    assert_eq!(labels, Labels::NONE.with(Label::NoteDropped));
}

#[test]
fn flags_are_told_and_the_ones_that_are_not_known_are_left() {
    let bytes = raise_with(&[(10, int(7))]);
    let (message, labels) = Message::decode(&bytes).unwrap();
    assert!(message.silent && message.exercise);
    let expected = [Label::Silent, Label::Exercise, Label::FlagsAmended];
    assert_eq!(labels, expected.into_iter().collect());
}

#[test]
fn a_key_of_another_type_is_passed_over() {
    let plain = raise_with(&[]);
    let mut bytes = plain.clone();
    bytes[0] += 1;
    bytes.extend_from_slice(&[0x61, b'x', 0x82, 0x01, 0xf6]);
    assert_eq!(labels_of(&bytes), [Label::UnknownKeys]);
}
