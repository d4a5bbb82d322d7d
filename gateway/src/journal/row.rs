//! A message's record as rows of `log` and `content`, and back.
//!
//! Both ways check what must hold: a record that could not be read back is not written, and a row that no writer of
//! ours makes is not read.

use bytes::Bytes;
use pipeline::{Agencies, Carrier, Cursor, Disposition, Entry, Record, Time, ZoneId};
use protocol::{
    AlertId, Category, Counters, DeviceId, Kind, Labels, MessageId, Method, Position,
    SIGNED_LEN_MAX,
};
use rusqlite::types::Type;
use rusqlite::{Row, Statement, params};

use super::decision;

/// Appends to `log`; the parameters are those of [`insert`].
pub(super) const INSERT_LOG: &str = "INSERT INTO log (cursor, received_at_us, message_id, device_id, alert_id, kind, \
     boot, sequence, category, zone, labels, carrier, disposition, joins, also, agencies, incident, raised_at_us) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
/// Appends to `content`; the parameters are those of [`insert`].
pub(super) const INSERT_CONTENT: &str =
    "INSERT INTO content (cursor, signed, site_lat_e7, site_lon_e7) VALUES (?1, ?2, ?3, ?4)";
/// Reads behind cursor `?1`, at most `?2` rows, in the order that [`read`] expects.
pub(super) const SELECT_AFTER: &str = "SELECT log.cursor, received_at_us, message_id, device_id, alert_id, kind, boot, \
     sequence, category, zone, labels, carrier, disposition, joins, signed, site_lat_e7, site_lon_e7, also, agencies, \
     incident, raised_at_us \
     FROM log LEFT JOIN content ON content.cursor = log.cursor WHERE log.cursor > ?1 ORDER BY log.cursor LIMIT ?2";
/// Reads the one row at cursor `?1`, in the same order.
pub(super) const SELECT_ONE: &str = "SELECT log.cursor, received_at_us, message_id, device_id, alert_id, kind, boot, \
     sequence, category, zone, labels, carrier, disposition, joins, signed, site_lat_e7, site_lon_e7, also, agencies, \
     incident, raised_at_us \
     FROM log LEFT JOIN content ON content.cursor = log.cursor WHERE log.cursor = ?1";

/// Zone names kept, so that a record costs no allocation for its zone. More zones only cost that.
const ZONES_KEPT_MAX: usize = 64;

/// What is wrong with an entry that follows `last`, if anything is.
pub(super) fn problem(entry: &Entry, last: Cursor) -> Option<&'static str> {
    if entry.cursor() != last.next() {
        return Some("its cursor is not the next one");
    }
    if i64::try_from(entry.cursor().0).is_err() || i64::try_from(entry.at().0).is_err() {
        return Some("its cursor or time is beyond what the journal can hold");
    }
    match entry {
        Entry::Message(record) => record_problem(record),
        Entry::Decision(decision) => decision::problem(decision),
    }
}

fn record_problem(record: &Record) -> Option<&'static str> {
    if record.signed.is_empty() || record.signed.len() > SIGNED_LEN_MAX {
        return Some("its signed bytes are none or too many");
    }
    if record.kind == Kind::Raise && record.alert.is_none() {
        return Some("it is a raise without an alert");
    }
    if record.incident.is_some() != (record.kind == Kind::Raise) {
        return Some("raises belong to an incident, and nothing else does");
    }
    if record.also.iter().any(|zone| zone.as_str().is_empty() || zone.as_str().contains(' ')) {
        return Some("it names a zone that could not be read back");
    }
    if record.raised_at.is_some_and(|at| i64::try_from(at.0).is_err()) {
        return Some("its raise's time is beyond what the journal can hold");
    }
    None
}

/// Inserts one record; `log` and `content` are prepared from [`INSERT_LOG`] and [`INSERT_CONTENT`].
pub(super) fn insert(
    log: &mut Statement<'_>,
    content: &mut Statement<'_>,
    record: &Record,
) -> rusqlite::Result<()> {
    let cursor = record.cursor.0.cast_signed();
    let alert = record.alert.filter(|alert| !is_own_alert(record, alert));
    let incident = record.incident.filter(|alert| !is_own_alert(record, alert));
    log.execute(params![
        cursor,
        record.received_at.0.cast_signed(),
        record.message_id.as_bytes().as_slice(),
        record.device.as_bytes().as_slice(),
        alert.as_ref().map(|alert| alert.as_bytes().as_slice()),
        record.kind as u8,
        record.counters.boot.0,
        record.counters.sequence.0,
        record.category as u8,
        record.zone.as_str(),
        record.labels.bits(),
        record.carrier as u8,
        record.disposition as u8,
        record.joins.as_ref().map(|alert| alert.as_bytes().as_slice()),
        zones_text(&record.also),
        record.agencies.bits(),
        incident.as_ref().map(|alert| alert.as_bytes().as_slice()),
        record.raised_at.map(|at| at.0.cast_signed()),
    ])?;
    let site = record.site.as_ref();
    content.execute(params![
        cursor,
        record.signed.as_ref(),
        site.map(Position::lat_e7),
        site.map(Position::lon_e7),
    ])?;
    Ok(())
}

/// Most raises open the alert that their own id names; those sixteen bytes are not stored twice.
fn is_own_alert(record: &Record, alert: &AlertId) -> bool {
    record.kind == Kind::Raise && *alert == record.message_id.alert()
}

/// Zones as one text; nothing if there are none. Ids have no spaces.
pub(crate) fn zones_text(zones: &[ZoneId]) -> Option<String> {
    let ids: Vec<_> = zones.iter().map(ZoneId::as_str).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// Zones by their text, so that the records of a journal share them.
#[derive(Debug, Default)]
pub(super) struct ZoneNames(Vec<ZoneId>);

impl ZoneNames {
    pub(super) fn get(&mut self, text: &str) -> ZoneId {
        if let Some(zone) = self.0.iter().find(|zone| zone.as_str() == text) {
            return zone.clone();
        }
        let zone = ZoneId::new(text);
        if self.0.len() < ZONES_KEPT_MAX {
            self.0.push(zone.clone());
        }
        zone
    }
}

/// Reads one row of [`SELECT_AFTER`].
pub(super) fn read(row: &Row<'_>, zones: &mut ZoneNames) -> rusqlite::Result<Record> {
    let message_id = MessageId(row.get(2)?);
    let kind = known(5, Kind::from_wire(unsigned(row, 5)?))?;
    let alert: Option<[u8; 16]> = row.get(4)?;
    let alert = match alert {
        Some(alert) => Some(AlertId(alert)),
        None if kind == Kind::Raise => Some(message_id.alert()),
        None => None,
    };
    let signed = row.get_ref(14)?.as_blob().map_err(|_| foreign(14))?;
    if signed.is_empty() || signed.len() > SIGNED_LEN_MAX {
        return Err(foreign(14));
    }
    // A raise that begins its incident.
    let own = (kind == Kind::Raise).then(|| message_id.alert());
    Ok(Record {
        cursor: Cursor(unsigned(row, 0)?),
        received_at: Time(unsigned(row, 1)?),
        device: DeviceId(row.get(3)?),
        message_id,
        alert,
        kind,
        counters: Counters::new(row.get(6)?, row.get(7)?),
        category: known(8, Category::from_wire(unsigned(row, 8)?))?,
        zone: zones.get(row.get_ref(9)?.as_str().map_err(|_| foreign(9))?),
        also: also(row, zones)?,
        agencies: known(18, Agencies::from_bits(row.get(18)?))?,
        labels: Labels::from_bits(row.get(10)?),
        carrier: known(11, Carrier::from_stored(unsigned(row, 11)?))?,
        disposition: known(12, Disposition::from_stored(unsigned(row, 12)?))?,
        joins: row.get::<_, Option<[u8; 16]>>(13)?.map(AlertId),
        incident: row.get::<_, Option<[u8; 16]>>(19)?.map(AlertId).or(own),
        raised_at: optional(row, 20)?.map(Time),
        site: site(row)?,
        signed: Bytes::copy_from_slice(signed),
    })
}

fn also(row: &Row<'_>, zones: &mut ZoneNames) -> rusqlite::Result<Vec<ZoneId>> {
    let text = row.get_ref(17)?.as_str_or_null().map_err(|_| foreign(17))?;
    Ok(text.map(|text| text.split(' ').map(|id| zones.get(id)).collect()).unwrap_or_default())
}

fn optional(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    let unfit = |value| rusqlite::Error::IntegralValueOutOfRange(column, value);
    value.map(|value| u64::try_from(value).map_err(|_| unfit(value))).transpose()
}

fn site(row: &Row<'_>) -> rusqlite::Result<Option<Position>> {
    let lat: Option<i64> = row.get(15)?;
    let lon: Option<i64> = row.get(16)?;
    match (lat, lon) {
        (None, None) => Ok(None),
        (Some(lat), Some(lon)) => {
            known(15, Position::new(lat, lon)).map(|site| Some(site.by(Method::FixedSite)))
        }
        _ => Err(foreign(15)),
    }
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

pub(super) fn known<T>(column: usize, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| foreign(column))
}

/// A value that no version of this program writes.
pub(super) fn foreign(column: usize) -> rusqlite::Error {
    let problem = "a value that this program does not write";
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, problem.into())
}
