//! One entry of the journal as one server-sent event: `id:`, `event:` and one line of JSON, GeoJSON or CAP.
//!
//! It is given a journaled entry and appends bytes; it decides nothing and drops nothing but heartbeats, which are not
//! on the feed. A message is `event: alert`, or `event: held` where it is shown to operators and nobody is paged; an
//! alert that is promoted is shown again as `event: alert`. Decisions are encoded elsewhere. What the message itself says
//! (place, note, battery) is read again from its signed bytes, which are the truth; they were verified when they came.
//! Times are RFC 3339 in UTC, ids lower-case hexadecimal, coordinates degrees.

use pipeline::{Act, Agencies, Agency, Cursor, Disposition, Entry, Record, Time, ZoneId};
use protocol::{Envelope, Kind, Label, Labels, Message, Percent};
use serde::{Serialize, Serializer};

use super::cap;
use super::cursor::CursorCodec;
use super::decision;
use super::geojson::Feature;
use super::place::Place;
use super::shape::{Format, Shape};
use crate::registry::Sight;

const DAY_MS: u64 = 86_400_000;
/// Length of a time in text.
pub(super) const TIME_LEN: usize = 24;

/// The JSON of an event. Names are part of the contract with subscribers; names may be added.
#[derive(Serialize)]
struct EventData<'a> {
    alert_id: Option<&'a str>,
    message_id: &'a str,
    device_id: &'a str,
    kind: &'a str,
    category: &'a str,
    position: Option<Place>,
    zone: &'a str,
    received_at: &'a str,
    flags: Flags,
    page: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    paged_zones: Option<PagedZones<'a>>,
    agencies: AgencyNames,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raised_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exercise: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drill: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joins: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promoted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    battery: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// The names of the labels, in order of their bits.
pub(crate) struct Flags(pub(crate) Labels);

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Label::name))
    }
}

/// The zones whose people are to be woken: the alert's own, and those that are paged beside it.
struct PagedZones<'a>(&'a Record);

impl Serialize for PagedZones<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let zones = std::iter::once(&self.0.zone).chain(&self.0.also);
        serializer.collect_seq(zones.map(ZoneId::as_str))
    }
}

/// Who answers, by name.
struct AgencyNames(Agencies);

impl Serialize for AgencyNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Agency::name))
    }
}

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
        Format::Cap => write_cap(record, promoted, shape.sight, codec, out),
    }
}

/// Appends the document that shows `record`.
fn write_cap(
    record: &Record,
    promoted: bool,
    sight: Sight,
    codec: &CursorCodec,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let message = decode(record);
    let told = told(message.as_ref(), sight);
    // The place before the journal, sealed, names a deployment: no other has the same, and it is the same for ever.
    let deployment = codec.seal(Cursor(0));
    let place = place(message.as_ref(), record, sight);
    let told = cap::Told {
        sender: ascii(&deployment),
        promoted,
        place: place.as_ref(),
        note: told.and_then(|message| message.note),
    };
    cap::write(record, &told, out).map_err(serde_json::Error::io)
}

fn write_data(
    record: &Record,
    promoted: bool,
    shape: Shape,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let message = decode(record);
    let alert_id = record.alert.map(|alert| hex(alert.as_bytes()));
    let message_id = hex(record.message_id.as_bytes());
    let device_id = hex(record.device.as_bytes());
    let received_at = rfc3339(record.received_at);
    let joins = record.joins.map(|alert| hex(alert.as_bytes()));
    let incident = record.incident.map(|incident| hex(incident.as_bytes()));
    let raised_at = record.raised_at.map(rfc3339);
    let page = promoted || record.disposition == Disposition::Paged;
    let is = |label| record.labels.contains(label).then_some(true);
    let told = told(message.as_ref(), shape.sight);
    let data = EventData {
        alert_id: alert_id.as_ref().map(|text| ascii(text)),
        message_id: ascii(&message_id),
        device_id: ascii(&device_id),
        kind: record.kind.name(),
        category: record.category.name(),
        position: place(message.as_ref(), record, shape.sight),
        zone: record.zone.as_str(),
        received_at: ascii(&received_at),
        flags: Flags(record.labels),
        page,
        paged_zones: page.then_some(PagedZones(record)),
        agencies: AgencyNames(record.agencies),
        incident_id: incident.as_ref().map(|text| ascii(text)),
        raised_at: raised_at.as_ref().map(|text| ascii(text)),
        exercise: is(Label::Exercise),
        drill: is(Label::Drill),
        joins: joins.as_ref().map(|text| ascii(text)),
        promoted: promoted.then_some(true),
        silent: is(Label::Silent),
        battery: told.and_then(|message| message.battery).map(Percent::value),
        note: told.and_then(|message| message.note),
    };
    match shape.format {
        Format::Json | Format::Cap => serde_json::to_writer(out, &data),
        Format::Geojson => serde_json::to_writer(out, &Feature::new(data.position.as_ref(), &data)),
    }
}

/// The message for those who are told its words and the state of the phone: whoever may know where it is.
fn told<'a>(message: Option<&'a Message<'a>>, sight: Sight) -> Option<&'a Message<'a>> {
    message.filter(|_| sight == Sight::Exact)
}

fn place(message: Option<&Message<'_>>, record: &Record, sight: Sight) -> Option<Place> {
    match (message.and_then(|message| message.position), record.site) {
        (Some(position), _) => Some(Place::new(&position, "message", sight)),
        (None, Some(site)) => Some(Place::new(&site, "enrolled_site", sight)),
        (None, None) => None,
    }
}

/// What a message itself says, as far as only those who are entitled to its zone may know it.
#[derive(Serialize, Default)]
pub(crate) struct Content {
    pub(crate) position: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    battery: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Content {
    /// What `record`'s message says to whoever has this sight.
    pub(crate) fn of(record: &Record, sight: Sight) -> Self {
        let message = decode(record);
        let told = told(message.as_ref(), sight);
        Self {
            position: place(message.as_ref(), record, sight),
            battery: told.and_then(|message| message.battery).map(Percent::value),
            note: told.and_then(|message| message.note).map(str::to_owned),
        }
    }
}

/// A message as its event states it to whoever has this sight.
pub(crate) fn message_value(
    record: &Record,
    sight: Sight,
) -> serde_json::Result<serde_json::Value> {
    let mut text = vec![];
    write_data(record, false, Shape { sight, ..Shape::default() }, &mut text)?;
    serde_json::from_slice(&text)
}

/// `time` as events state it.
pub(crate) fn time_text(time: Time) -> String {
    ascii(&rfc3339(time)).to_owned()
}

/// The message in the record's signed bytes.
///
/// They decoded when they were received, so bytes that do not decode mean a damaged journal. The event is still sent,
/// with what the record itself holds: an alert without its place is worth more than none.
fn decode(record: &Record) -> Option<Message<'_>> {
    let message = Envelope::parse(&record.signed)
        .map_err(|error| error.to_string())
        .and_then(|envelope| Message::decode(envelope.message).map_err(|error| error.to_string()));
    match message {
        Ok((message, _)) => Some(message),
        Err(error) => {
            tracing::error!(message = %record.message_id, error, "journaled message is unreadable");
            None
        }
    }
}

/// Sixteen bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value & 0xf)).copied().unwrap_or(b'0');
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
    text
}

/// Text of bytes that are ASCII by construction.
pub(super) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// `time` as RFC 3339 in UTC with milliseconds. Years beyond 9999 are shown as 9999.
pub(super) fn rfc3339(time: Time) -> [u8; TIME_LEN] {
    let ms = time.to_millis().0;
    let (year, month, day) = civil(ms / DAY_MS);
    let of_day = ms % DAY_MS;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, width: usize, value: u64| {
        let mut value = value;
        for place in text.iter_mut().skip(at).take(width).rev() {
            *place = b'0' + u8::try_from(value % 10).unwrap_or_default();
            value /= 10;
        }
    };
    put(0, 4, year.min(9999));
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, of_day / 3_600_000);
    put(14, 2, of_day / 60_000 % 60);
    put(17, 2, of_day / 1_000 % 60);
    put(20, 3, of_day % 1_000);
    text
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
///
/// Counts from 0000-03-01, so that the leap day ends a year; an era is the 400 years after which the calendar repeats.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::{
        AlertId, Algorithm, Category, Counters, DeviceId, MessageId, Method, Nonce, Position,
    };

    use super::*;
    use crate::feed::testing::record;

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

        #[test]
        fn received_at_agrees_with_another_calendar(ms in 0_u64..253_402_300_800_000) {
            let ours = rfc3339(Time(ms * 1_000 + 7));
            let theirs = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap();
            prop_assert_eq!(ascii(&ours), format!("{theirs:.3}"));
        }
    }
}
