//! What an event says of a message, as JSON or GeoJSON.
//!
//! It is given a message's line of the journal. What the message itself says (place, note, battery) is read again from its
//! signed bytes, which are the truth; they were verified when they came. Who sees places coarsely is told nobody's words.

use pipeline::{Agencies, Agency, Disposition, Record, ZoneId};
use protocol::{Category, Envelope, Label, Labels, Message, Percent};
use serde::{Serialize, Serializer};

use super::geojson::Feature;
use super::place::Place;
use super::shape::{Format, Shape};
use super::text::{ascii, hex, rfc3339};
use crate::registry::Sight;

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
pub(super) struct AgencyNames(pub(super) Agencies);

impl Serialize for AgencyNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Agency::name))
    }
}

/// Appends what `record` says in this shape.
pub(super) fn write_data(
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
        category: category(message.as_ref(), record).name(),
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
pub(super) fn told<'a>(message: Option<&'a Message<'a>>, sight: Sight) -> Option<&'a Message<'a>> {
    message.filter(|_| sight == Sight::Exact)
}

/// What it is about: as the message says, or else its alert.
pub(super) fn category(message: Option<&Message<'_>>, record: &Record) -> Category {
    message.and_then(|message| message.category).unwrap_or(record.category)
}

/// Where it is: as the message says, or where its device is fixed.
pub(super) fn place(message: Option<&Message<'_>>, record: &Record, sight: Sight) -> Option<Place> {
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

/// The message in the record's signed bytes.
///
/// They decoded when they were received, so bytes that do not decode mean a damaged journal. The event is still sent,
/// with what the record itself holds: an alert without its place is worth more than none.
pub(super) fn decode(record: &Record) -> Option<Message<'_>> {
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
