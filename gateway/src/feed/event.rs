//! One entry of the journal as one server-sent event: `id:`, `event:` and one line of JSON, GeoJSON or CAP.
//!
//! It is given a journaled entry and appends bytes; it decides nothing and drops nothing but heartbeats, which are not
//! on the feed. A message is `event: alert`, or `event: held` where it is shown to operators and nobody is paged; an
//! alert that is promoted is shown again as `event: alert`. What events say of messages and of decisions is written
//! elsewhere. Times are RFC 3339 in UTC, ids lower-case hexadecimal, coordinates degrees.

use pipeline::{Act, Cursor, Disposition, Entry, Record};
use protocol::Kind;

use super::cap::{self, Again};
use super::cursor::{CursorCodec, SEALED_LEN};
use super::decision;
use super::message::{category, decode, place, told, write_data};
use super::shape::{Format, Shape};
use super::text::ascii;

/// Appends the event of `entry` in this shape to `out`. Returns whether there is one: heartbeats are not on the feed.
pub fn encode_event(entry: &Entry, shape: Shape, codec: &CursorCodec, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    begin(entry.cursor(), codec, out);
    let encoded = match entry {
        Entry::Message(record) if record.kind == Kind::Heartbeat => {
            out.truncate(start);
            return false;
        }
        Entry::Message(record) => encode_message(record, false, shape, codec, out),
        Entry::Decision(decision) => match (&decision.act, &decision.raise) {
            (Act::Promote, Some(raise)) => encode_message(raise, true, shape, codec, out),
            (Act::Moving { .. } | Act::Quiet { .. }, Some(raise))
                if shape.format == Format::Cap =>
            {
                decision::begin(decision, out);
                let place = decision::place(decision, shape.sight);
                let sender = deployment(codec);
                let told = cap::Told {
                    sender: ascii(&sender),
                    again: Some(Again::Told(decision)),
                    place: place.as_ref(),
                    category: raise.category,
                    note: None,
                };
                cap::write(raise, &told, out).map_err(serde_json::Error::io)
            }
            _ if shape.format == Format::Cap => {
                out.truncate(start);
                return false;
            }
            _ => decision::encode(decision, shape, out),
        },
    };
    if let Err(error) = encoded {
        out.truncate(start);
        tracing::error!(cursor = entry.cursor().0, %error, "event cannot be written");
        return false;
    }
    out.extend_from_slice(b"\n\n");
    true
}

/// Appends the line that names the place of an event.
fn begin(cursor: Cursor, codec: &CursorCodec, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(&codec.seal(cursor));
}

/// Appends the name and the data of the event that shows `record`.
fn encode_message(
    record: &Record,
    promoted: bool,
    shape: Shape,
    codec: &CursorCodec,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let held = record.disposition == Disposition::Held && !promoted;
    out.extend_from_slice(b"\nevent: ");
    out.extend_from_slice(if held { b"held".as_slice() } else { b"alert" });
    out.extend_from_slice(b"\ndata: ");
    match shape.format {
        Format::Json | Format::Geojson => write_data(record, promoted, shape, out),
        Format::Cap => {
            let message = decode(record);
            let told = told(message.as_ref(), shape.sight);
            let place = place(message.as_ref(), record, shape.sight);
            let sender = deployment(codec);
            let told = cap::Told {
                sender: ascii(&sender),
                again: promoted.then_some(Again::Promoted),
                place: place.as_ref(),
                category: category(message.as_ref(), record),
                note: told.and_then(|message| message.note),
            };
            cap::write(record, &told, out).map_err(serde_json::Error::io)
        }
    }
}

/// Names a deployment: the place before the journal, sealed. No other has the same, and it is the same for ever.
fn deployment(codec: &CursorCodec) -> [u8; SEALED_LEN] {
    codec.seal(Cursor(0))
}

#[cfg(test)]
mod tests {
    use pipeline::{Agencies, Agency, Time, ZoneId};
    use proptest::prelude::*;
    use protocol::{
        AlertId, Algorithm, Category, Counters, DeviceId, Label, Labels, Message, MessageId,
        Method, Nonce, Percent, Position,
    };

    use super::*;
    use crate::feed::testing::record;
    use crate::registry::Sight;

    fn encoded(record: &Record) -> String {
        let mut out = vec![];
        encode_event(
            &record.clone().into(),
            Shape::default(),
            &CursorCodec::new([7; 16]),
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    fn data(record: &Record) -> serde_json::Value {
        let event = encoded(record);
        let line = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        serde_json::from_str(line).unwrap()
    }

    fn message() -> Message<'static> {
        let mut position = Position::new(-79_666_200, 1_126_326_000).unwrap();
        position.radius_m = 12;
        position.method = Method::Gnss;
        position.age_s = 3;
        Message {
            category: Some(Category::Fire),
            position: Some(position),
            battery: Percent::new(40),
            silent: true,
            note: Some("Jl. \"Ijen\" 1\nlantai 2"),
            ..Message::raise(Counters::new(1, 2), Nonce([5; 8]))
        }
    }

    fn golden() -> Record {
        let signed =
            protocol::assemble(Algorithm::EdDsa, &DeviceId([9; 16]), &message().encode(), &[0; 64]);
        Record {
            received_at: Time(1_772_323_199_999_999),
            device: DeviceId([9; 16]),
            message_id: MessageId([0xab; 16]),
            alert: Some(AlertId([0xab; 16])),
            incident: Some(AlertId([0xcd; 16])),
            also: vec![ZoneId::new("sukun")],
            agencies: Agencies::NONE.with(Agency::Fire),
            category: Category::Fire,
            labels: Labels::NONE.with(Label::Silent).with(Label::CountersBehind),
            signed: signed.into(),
            ..record(5, "klojen")
        }
    }

    #[test]
    fn event_has_exactly_these_bytes() {
        let expected = concat!(
            "id: a2b4735f1aa330561dd88837b09939ce\n",
            "event: alert\n",
            "data: {\"alert_id\":\"abababababababababababababababab\",",
            "\"message_id\":\"abababababababababababababababab\",",
            "\"device_id\":\"09090909090909090909090909090909\",\"kind\":\"raise\",\"category\":\"fire\",",
            "\"position\":{\"lat\":-7.96662,\"lon\":112.6326,\"radius_m\":12,\"method\":\"gnss\",",
            "\"age_s\":3,\"source\":\"message\"},\"zone\":\"klojen\",",
            "\"received_at\":\"2026-02-28T23:59:59.999Z\",\"flags\":[\"silent\",\"counters_behind\"],",
            "\"page\":true,\"paged_zones\":[\"klojen\",\"sukun\"],\"agencies\":[\"fire\"],",
            "\"incident_id\":\"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\",\"silent\":true,\"battery\":40,\"note\":\"Jl. \\\"Ijen\\\" 1\\nlantai 2\"}\n\n",
        );
        assert_eq!(encoded(&golden()), expected);
    }

    #[test]
    fn geojson_is_a_feature_of_the_same_data_at_its_place() {
        let feature = |record: &Record| {
            let mut out = vec![];
            let shape = Shape { format: Format::Geojson, ..Shape::default() };
            encode_event(&record.clone().into(), shape, &CursorCodec::new([7; 16]), &mut out);
            let event = String::from_utf8(out).unwrap();
            let line = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            serde_json::from_str::<serde_json::Value>(line).unwrap()
        };
        let geometry = serde_json::json!({"type": "Point", "coordinates": [112.6326, -7.96662]});
        let expected = serde_json::json!({
            "type": "Feature", "geometry": geometry, "properties": data(&golden()),
        });
        assert_eq!(feature(&golden()), expected);
        let nowhere = feature(&record(5, "klojen"));
        assert_eq!(nowhere["geometry"], serde_json::Value::Null);
        assert!(nowhere.as_object().unwrap().contains_key("geometry"));
    }

    #[test]
    fn coarse_sight_is_told_the_cell_and_nobodys_words() {
        let coarse = |format| {
            let mut out = vec![];
            let shape = Shape { format, sight: Sight::Coarse, ..Shape::default() };
            encode_event(&golden().into(), shape, &CursorCodec::new([7; 16]), &mut out);
            let event = String::from_utf8(out).unwrap();
            let line = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            serde_json::from_str::<serde_json::Value>(line).unwrap()
        };
        let mut expected = data(&golden());
        let fields = expected.as_object_mut().unwrap();
        assert!(fields.remove("note").is_some() && fields.remove("battery").is_some());
        fields["position"] = serde_json::json!({"lat": -7.965, "lon": 112.635, "radius_m": 790,
            "method": "gnss", "age_s": 3, "source": "message", "coarse": true});
        assert_eq!(coarse(Format::Json), expected);
        let feature = coarse(Format::Geojson);
        assert_eq!(feature["properties"], expected);
        assert_eq!(feature["geometry"]["type"], "Polygon");
    }

    #[test]
    fn update_says_when_its_alert_was_raised_and_wakes_nobody() {
        let update = Record {
            kind: Kind::Update,
            disposition: Disposition::Follows,
            incident: None,
            raised_at: Some(Time(1_772_323_100_000_000)),
            labels: Labels::NONE.with(Label::Exercise).with(Label::Drill),
            ..golden()
        };
        let data = data(&update);
        assert_eq!(data["raised_at"], "2026-02-28T23:58:20.000Z");
        assert_eq!((&data["exercise"], &data["drill"]), (&true.into(), &true.into()));
        assert_eq!((data.get("paged_zones"), data.get("incident_id")), (None, None));
    }

    #[test]
    fn event_says_the_category_that_its_message_says_and_else_that_of_its_alert() {
        for (said, shown, cap) in [
            (Some(Category::Crime), "crime", "<category>Security</category>"),
            (None, "fire", "<category>Fire</category>"),
        ] {
            let bytes = Message { category: said, ..message() }.encode();
            let signed = protocol::assemble(Algorithm::EdDsa, &DeviceId([9; 16]), &bytes, &[0; 64]);
            let update = Record { kind: Kind::Update, signed: signed.into(), ..golden() };
            assert_eq!(data(&update)["category"], shown);
            let shape = Shape { format: Format::Cap, ..Shape::default() };
            let mut out = vec![];
            assert!(encode_event(&update.into(), shape, &CursorCodec::new([7; 16]), &mut out));
            let document = String::from_utf8(out).unwrap();
            assert!(document.contains(cap), "{document}");
        }
    }

    #[test]
    fn enrolled_site_stands_in_for_a_missing_position() {
        let message = Message { position: None, ..message() };
        let signed =
            protocol::assemble(Algorithm::EdDsa, &DeviceId([9; 16]), &message.encode(), &[0; 64]);
        let mut record = Record { signed: signed.into(), ..golden() };
        assert_eq!(data(&record)["position"], serde_json::Value::Null);
        record.site = Position::new(10_000_000, -20_000_000);
        assert_eq!(
            data(&record)["position"],
            serde_json::json!({"lat": 1.0, "lon": -2.0, "radius_m": 0, "method": "unknown",
                "age_s": 0, "source": "enrolled_site"})
        );
    }

    #[test]
    fn unreadable_bytes_still_make_an_event_without_a_place() {
        let record = Record { signed: vec![0xff; 9].into(), ..golden() };
        let data = data(&record);
        assert_eq!(data["alert_id"], "abababababababababababababababab");
        assert_eq!(data["position"], serde_json::Value::Null);
        assert_eq!(data.get("note"), None);
    }

    #[test]
    fn only_a_first_press_pages_and_a_held_one_is_another_event() {
        let shown = |disposition, joins| {
            let record = Record { disposition, joins, ..golden() };
            let event = encoded(&record);
            let name = event.lines().find_map(|line| line.strip_prefix("event: ")).unwrap();
            (name.to_owned(), data(&record)["page"].clone(), data(&record)["joins"].clone())
        };
        let open = AlertId([0xcd; 16]);
        let (yes, no, nothing) = (true.into(), false.into(), serde_json::Value::Null);
        for (disposition, joins, expected) in [
            (Disposition::Paged, None, ("alert", &yes, &nothing)),
            (Disposition::Joined, Some(open), ("alert", &no, &open.to_string().into())),
            (Disposition::Noticed, None, ("alert", &no, &nothing)),
            (Disposition::Follows, None, ("alert", &no, &nothing)),
            (Disposition::Held, None, ("held", &no, &nothing)),
        ] {
            let (name, page, joined) = shown(disposition, joins);
            assert_eq!((&*name, &page, &joined), expected, "{disposition}");
        }
    }

    #[test]
    fn heartbeats_are_not_on_the_feed() {
        let record = Record { kind: Kind::Heartbeat, alert: None, incident: None, ..golden() };
        assert_eq!(encoded(&record), "");
    }

    proptest! {
        #[test]
        fn no_note_breaks_out_of_its_line(note in "\\PC{0,60}[\r\n\u{2028}\u{85}\0]{0,4}") {
            let message = Message { note: Some(&note), ..message() };
            let bytes = message.encode();
            let signed = protocol::assemble(Algorithm::EdDsa, &DeviceId([9; 16]), &bytes, &[0; 64]);
            let record = Record { signed: signed.into(), ..golden() };
            let event = encoded(&record);
            prop_assert_eq!(event.matches(['\n', '\r']).count(), 4);
            let data = data(&record);
            prop_assert_eq!(data["note"].as_str(), Some(note.as_str()));
        }
    }
}
