//! An alert as a document of the Common Alerting Protocol (CAP 1.2, OASIS 2010), in one line.
//!
//! A raise is an `Alert`; an update, a press that joins an open alert, and word that whoever pressed moves or has gone
//! quiet, an `Update` that refers to it; a cancel a `Cancel`. Other decisions, and notices, are no warnings and have no document. It is written by hand: the elements are few and
//! always the same, and a document is written once for all who read it (docs/decisions/0008). Order of elements and
//! rules of content are those of section 3.2 of the standard.

use std::io::{self, Write};

use pipeline::{Decision, Disposition, Record, Time};
use protocol::{Category, Kind, Label};

use super::place::Place;
use super::text::{ascii, hex, rfc3339};

/// What a document is made of, beside the record.
pub(super) struct Told<'a> {
    /// Whom it comes from: unique to this deployment, the same for ever.
    pub(super) sender: &'a str,
    /// Why a raise is shown again.
    pub(super) again: Option<Again<'a>>,
    /// Where.
    pub(super) place: Option<&'a Place>,
    /// What it is about.
    pub(super) category: Category,
    /// What the sender wrote.
    pub(super) note: Option<&'a str>,
}

/// Why a raise is shown again.
#[derive(Clone, Copy)]
pub(super) enum Again<'a> {
    /// It was held, and is to be paged.
    Promoted,
    /// Whoever pressed moves, or has gone quiet, as this tells.
    Told(&'a Decision),
}

/// Appends the document that shows `record`.
pub(super) fn write(record: &Record, told: &Told<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let earlier = Earlier::of(record, told);
    write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">"
    )?;
    element(out, "identifier", &identifier(record, told.again))?;
    element(out, "sender", told.sender)?;
    let sent_at = match told.again {
        Some(Again::Told(decision)) => decision.decided_at,
        Some(Again::Promoted) | None => record.received_at,
    };
    element(out, "sent", &sent(sent_at))?;
    let is_drill = record.labels.contains(Label::Drill);
    element(out, "status", if is_drill { "Exercise" } else { "Actual" })?;
    element(out, "msgType", earlier.as_ref().map_or("Alert", |earlier| earlier.msg_type))?;
    element(out, "scope", "Restricted")?;
    element(out, "restriction", "for the services that this feed is given to")?;
    if let Some(Earlier { id, raised_at, .. }) = &earlier {
        element(out, "references", &format!("{},{id},{}", told.sender, sent(*raised_at)))?;
    }
    write_info(record, told, out)?;
    write!(out, "</alert>")
}

/// What a document follows: the raise of its alert, or itself from when it was held.
struct Earlier {
    msg_type: &'static str,
    id: String,
    raised_at: Time,
}

impl Earlier {
    fn of(record: &Record, told: &Told<'_>) -> Option<Self> {
        if told.again.is_some() {
            let id = identifier(record, None);
            return Some(Self { msg_type: "Update", id, raised_at: record.received_at });
        }
        let alert = match record.kind {
            Kind::Raise => record.joins,
            _ => record.alert,
        };
        let msg_type = if record.kind == Kind::Cancel { "Cancel" } else { "Update" };
        // An alert that never came here cannot be referred to: what is told of it is news.
        let (alert, raised_at) = alert.zip(record.raised_at)?;
        Some(Self { msg_type, id: ascii(&hex(alert.as_bytes())).to_owned(), raised_at })
    }
}

fn write_info(record: &Record, told: &Told<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let (category, event) = named(told.category);
    let is_held = record.disposition == Disposition::Held && told.again.is_none();
    write!(out, "<info>")?;
    element(out, "language", "en")?;
    element(out, "category", category)?;
    element(out, "event", event)?;
    element(out, "urgency", if is_held { "Unknown" } else { "Immediate" })?;
    element(out, "severity", "Unknown")?;
    element(out, "certainty", if is_held { "Unknown" } else { "Likely" })?;
    element(out, "senderName", "Kentongan")?;
    if let Some(note) = told.note {
        element(out, "description", note)?;
    }
    let alert = record.alert.map(|alert| hex(alert.as_bytes()));
    let incident = record.incident.map(|incident| hex(incident.as_bytes()));
    parameter(out, "kind", record.kind.name())?;
    if let Some(Again::Told(decision)) = told.again {
        parameter(out, "act", decision.act.name())?;
    }
    for (name, id) in [("alert_id", &alert), ("incident_id", &incident)] {
        if let Some(id) = id {
            parameter(out, name, ascii(id))?;
        }
    }
    let page = match told.again {
        Some(Again::Promoted) => true,
        Some(Again::Told(_)) => false,
        None => record.disposition == Disposition::Paged,
    };
    parameter(out, "page", if page { "true" } else { "false" })?;
    for flag in record.labels.iter() {
        parameter(out, "flag", flag.name())?;
    }
    for agency in record.agencies.iter() {
        parameter(out, "agency", agency.name())?;
    }
    write_area(record, told.place, out)?;
    write!(out, "</info>")
}

fn write_area(record: &Record, place: Option<&Place>, out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "<area>")?;
    element(out, "areaDesc", record.zone.as_str())?;
    if let Some(place) = place {
        match place.cell() {
            // Latitude comes first here, and the last corner is the first again.
            Some(cell) => {
                write!(out, "<polygon>")?;
                for (index, [lon, lat]) in cell.iter().enumerate() {
                    write!(out, "{}{lat},{lon}", if index == 0 { "" } else { " " })?;
                }
                write!(out, "</polygon>")?;
            }
            None => {
                let [lon, lat] = place.lon_lat();
                let radius_km = f64::from(place.radius_m()) / 1_000.0;
                write!(out, "<circle>{lat},{lon} {radius_km}</circle>")?;
            }
        }
    }
    for zone in std::iter::once(&record.zone).chain(&record.also) {
        write!(out, "<geocode><valueName>zone</valueName><value>")?;
        escape(out, zone.as_str())?;
        write!(out, "</value></geocode>")?;
    }
    write!(out, "</area>")
}

/// The document's own name. An alert that is shown again has several.
fn identifier(record: &Record, again: Option<Again<'_>>) -> String {
    let id = hex(record.message_id.as_bytes());
    let id = ascii(&id);
    match again {
        None => id.to_owned(),
        Some(Again::Promoted) => format!("{id}.promoted"),
        Some(Again::Told(decision)) => {
            format!("{id}.{}.{}", decision.act.name(), decision.decided_at.to_millis().0)
        }
    }
}

/// A time with whole seconds, and UTC as the standard wants it written (section 3.3.2).
fn sent(time: Time) -> String {
    let text = rfc3339(time);
    let seconds = text.get(.."0000-00-00T00:00:00".len()).unwrap_or_default();
    format!("{}-00:00", ascii(seconds))
}

/// The category of the standard, and the event in words.
fn named(category: Category) -> (&'static str, &'static str) {
    match category {
        Category::Unspecified => ("Other", "Call for help"),
        Category::Crime => ("Security", "Crime"),
        Category::ViolenceAtHome => ("Security", "Violence at home"),
        Category::Medical => ("Health", "Medical emergency"),
        Category::Fire => ("Fire", "Fire"),
        Category::Traffic => ("Transport", "Traffic accident"),
        Category::Disaster => ("Safety", "Disaster"),
        Category::Unrest => ("Security", "Unrest"),
        Category::Explosive => ("CBRNE", "Bomb, or what looks like one"),
    }
}

fn element(out: &mut Vec<u8>, name: &str, text: &str) -> io::Result<()> {
    write!(out, "<{name}>")?;
    escape(out, text)?;
    write!(out, "</{name}>")
}

fn parameter(out: &mut Vec<u8>, name: &str, value: &str) -> io::Result<()> {
    write!(out, "<parameter><valueName>{name}</valueName><value>")?;
    escape(out, value)?;
    write!(out, "</value></parameter>")
}

/// Text without markup and without a line's end, which would end the event's data. What XML has no characters for (XML
/// 1.0 section 2.2) is shown as lost.
fn escape(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    for character in text.chars() {
        match character {
            '&' => write!(out, "&amp;")?,
            '<' => write!(out, "&lt;")?,
            '>' => write!(out, "&gt;")?,
            '\n' => write!(out, "&#10;")?,
            '\r' => write!(out, "&#13;")?,
            '\t' => write!(out, "&#9;")?,
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => write!(out, "\u{fffd}")?,
            other => write!(out, "{other}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pipeline::{Agencies, Agency, ZoneId};
    use protocol::{AlertId, Labels, Position};

    use super::*;
    use crate::feed::testing::record;
    use crate::registry::Sight;

    fn document(record: &Record, sight: Sight, promoted: bool) -> String {
        let mut position = Position::new(-79_666_200, 1_126_326_000).unwrap();
        position.radius_m = 12;
        let place = Place::new(&position, "message", sight);
        let note = (sight == Sight::Exact).then_some("Jl. <Ijen> & 1\nlantai\0 2");
        let mut out = vec![];
        let again = promoted.then_some(Again::Promoted);
        let (place, category) = (Some(&place), record.category);
        write(record, &Told { sender: "here", again, place, category, note }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn fire() -> Record {
        Record {
            category: Category::Fire,
            labels: Labels::NONE.with(Label::Silent),
            agencies: Agencies::NONE.with(Agency::Fire),
            also: vec![ZoneId::new("sukun")],
            ..record(1, "klojen")
        }
    }

    #[test]
    fn raise_is_an_alert_with_exactly_these_elements() {
        let id = "00000000000000010000000000000000";
        let expected = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\
             <identifier>{id}</identifier><sender>here</sender><sent>2026-02-25T06:13:20-00:00</sent>\
             <status>Actual</status><msgType>Alert</msgType><scope>Restricted</scope>\
             <restriction>for the services that this feed is given to</restriction><info>\
             <language>en</language><category>Fire</category><event>Fire</event><urgency>Immediate</urgency>\
             <severity>Unknown</severity><certainty>Likely</certainty><senderName>Kentongan</senderName>\
             <description>Jl. &lt;Ijen&gt; &amp; 1&#10;lantai\u{fffd} 2</description>\
             <parameter><valueName>kind</valueName><value>raise</value></parameter>\
             <parameter><valueName>alert_id</valueName><value>{id}</value></parameter>\
             <parameter><valueName>incident_id</valueName><value>{id}</value></parameter>\
             <parameter><valueName>page</valueName><value>true</value></parameter>\
             <parameter><valueName>flag</valueName><value>silent</value></parameter>\
             <parameter><valueName>agency</valueName><value>fire</value></parameter>\
             <area><areaDesc>klojen</areaDesc><circle>-7.96662,112.6326 0.012</circle>\
             <geocode><valueName>zone</valueName><value>klojen</value></geocode>\
             <geocode><valueName>zone</valueName><value>sukun</value></geocode></area></info></alert>"
        );
        assert_eq!(document(&fire(), Sight::Exact, false), expected);
    }

    #[test]
    fn cell_is_a_polygon_and_tells_nobodys_words() {
        let coarse = document(&fire(), Sight::Coarse, false);
        let cell =
            "<polygon>-7.97,112.63 -7.97,112.64 -7.96,112.64 -7.96,112.63 -7.97,112.63</polygon>";
        assert!(coarse.contains(cell), "{coarse}");
        assert!(!coarse.contains("circle") && !coarse.contains("description"), "{coarse}");
    }

    #[test]
    fn what_follows_refers_to_the_raise_and_drills_are_exercises() {
        let alert = AlertId([0xab; 16]);
        let raised_at = Some(Time(1_771_999_999_900_000));
        let follows = Record { alert: Some(alert), raised_at, ..fire() };
        let reference = "<references>here,abababababababababababababababab,2026-02-25T06:13:19-00:00</references>";
        for (kind, joins, msg_type) in [
            (Kind::Update, None, "Update"),
            (Kind::Cancel, None, "Cancel"),
            (Kind::Raise, Some(alert), "Update"),
        ] {
            let record = Record { kind, joins, ..follows.clone() };
            let document = document(&record, Sight::Exact, false);
            assert!(document.contains(&format!("<msgType>{msg_type}</msgType>")), "{document}");
            assert!(document.contains(reference), "{document}");
        }
        let labels = Labels::NONE.with(Label::Drill);
        let unknown = Record { kind: Kind::Update, raised_at: None, labels, ..follows };
        let unknown = document(&unknown, Sight::Exact, false);
        assert!(unknown.contains("<msgType>Alert</msgType>") && !unknown.contains("references"));
        assert!(unknown.contains("<status>Exercise</status>"));
    }

    #[test]
    fn promoted_alert_updates_what_was_held() {
        let held = Record { disposition: Disposition::Held, ..fire() };
        let first = document(&held, Sight::Exact, false);
        assert!(first.contains("<urgency>Unknown</urgency>"));
        let second = document(&held, Sight::Exact, true);
        assert!(second.contains(".promoted</identifier>") && second.contains("Immediate"));
        assert!(second.contains("<references>here,00000000000000010000000000000000,2026-"));
    }
}
