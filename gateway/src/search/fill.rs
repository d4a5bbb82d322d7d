//! What one batch of the journal adds to the tables of the index.
//!
//! Random keys are inserted in their order: each page of a tree is then visited once a batch. A batch without decisions
//! costs what its messages cost and nothing more.

use std::collections::BTreeMap;

use pipeline::{Act, Actor, Cursor, Decision, Disposition, Entry, Record, Standing};
use protocol::{AlertId, Counters, DeviceId, Kind};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::journal;

const INSERT_ENTRY: &str = "INSERT INTO entries (cursor, received_at_us, message_id, device_id, alert_id, kind, \
     category, zone, labels, carrier, disposition, joins, also, agencies, incident) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
/// A message is journaled once; should it ever be twice, the first is the one.
const INSERT_ID: &str = "INSERT OR IGNORE INTO message_ids (message_id, cursor) VALUES (?1, ?2)";
const INSERT_DEVICE_MESSAGE: &str =
    "INSERT INTO device_messages (device_id, cursor) VALUES (?1, ?2)";
const UPSERT_DEVICE: &str = "INSERT INTO devices (device_id, boot, sequence, messages, last_cursor) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (device_id) DO UPDATE SET \
     boot = max(boot, excluded.boot), \
     sequence = CASE WHEN (excluded.boot, excluded.sequence) > (boot, sequence) THEN excluded.sequence ELSE sequence END, \
     messages = messages + excluded.messages, last_cursor = excluded.last_cursor";
const INSERT_DECISION: &str = "INSERT INTO decisions (cursor, decided_at_us, act, operator, rule, device_id, alert_id, \
     zone, verdict, until_us, object) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const UPSERT_STANDING: &str = "INSERT INTO standings (device_id, cursor, strikes, blocked_until_us, probation_until_us, \
     standing) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (device_id) DO UPDATE SET \
     cursor = excluded.cursor, strikes = excluded.strikes, blocked_until_us = excluded.blocked_until_us, \
     probation_until_us = excluded.probation_until_us, standing = excluded.standing";

const UPSERT_POSTURE: &str = "INSERT INTO preparations (zone, posture) VALUES (?1, ?2) \
     ON CONFLICT (zone) DO UPDATE SET posture = excluded.posture";
const UPSERT_DRILL: &str = "INSERT INTO preparations (zone, drill_until_us) VALUES (?1, ?2) \
     ON CONFLICT (zone) DO UPDATE SET drill_until_us = excluded.drill_until_us";
const UPSERT_OPEN: &str = "INSERT INTO open_alerts (zone, alerts) VALUES (?1, ?2) \
     ON CONFLICT (zone) DO UPDATE SET alerts = alerts + excluded.alerts";
/// Whether the alert `?1` with its raise at `?2` is open: somebody was paged (a paged raise, or a promotion), and nobody
/// resolved it since. And its zone.
const IS_OPEN: &str = "SELECT zone, \
     (disposition = ?3 OR EXISTS (SELECT 1 FROM decisions WHERE alert_id = ?1 AND act = 7)) \
     AND coalesce((SELECT act FROM decisions WHERE alert_id = ?1 AND act BETWEEN 9 AND 12 ORDER BY cursor DESC LIMIT 1), 0) \
       <> 11 FROM entries WHERE cursor = ?2";

/// What one batch says of a device.
struct Seen {
    highest: Counters,
    messages: u64,
    last: Cursor,
}

/// Adds the messages among `entries`.
pub(super) fn messages(transaction: &Transaction<'_>, entries: &[Entry]) -> rusqlite::Result<()> {
    let records: Vec<&Record> = entries.iter().filter_map(Entry::message).collect();
    insert_entries(transaction, &records)?;
    insert_ids(transaction, &records)?;
    insert_device_messages(transaction, &records)?;
    upsert_devices(transaction, &records)?;
    count_paged(transaction, &records)
}

/// Adds the decisions among `entries`, and how the devices that they are about stand.
pub(super) fn decisions(transaction: &Transaction<'_>, entries: &[Entry]) -> rusqlite::Result<()> {
    let mut standings: BTreeMap<DeviceId, (Cursor, &Standing)> = BTreeMap::new();
    for entry in entries {
        let Entry::Decision(decision) = entry else { continue };
        let before = open(transaction, decision)?;
        insert_decision(transaction, decision)?;
        count_change(transaction, before, open(transaction, decision)?)?;
        prepare(transaction, decision)?;
        if let (Some(device), Some(standing)) = (decision.device, &decision.standing) {
            standings.insert(device, (decision.cursor, standing));
        }
    }
    if standings.is_empty() {
        return Ok(());
    }
    let mut upsert = transaction.prepare_cached(UPSERT_STANDING)?;
    for (device, (cursor, standing)) in standings {
        upsert.execute(params![
            device.as_bytes().as_slice(),
            cursor.0.cast_signed(),
            u8::try_from(standing.strikes.len()).unwrap_or(u8::MAX),
            standing.blocked_until.map(|until| until.0.cast_signed()),
            standing.probation_until.map(|until| until.0.cast_signed()),
            journal::standing_text(standing),
        ])?;
    }
    Ok(())
}

fn insert_decision(transaction: &Transaction<'_>, decision: &Decision) -> rusqlite::Result<()> {
    let (operator, rule) = match &decision.actor {
        Actor::Operator(name) => (Some(name.as_ref()), None),
        Actor::Rule(rule) => (None, Some(*rule as u8)),
    };
    let (verdict, until) = match decision.act {
        Act::Verdict(verdict) | Act::Resolve(verdict) => (Some(verdict as u8), None),
        Act::Block { until } | Act::Probation { until } | Act::Drill { until } => {
            (None, Some(until))
        }
        _ => (None, None),
    };
    transaction.prepare_cached(INSERT_DECISION)?.execute(params![
        decision.cursor.0.cast_signed(),
        decision.decided_at.0.cast_signed(),
        decision.act.stored(),
        operator,
        rule,
        decision.device.as_ref().map(|device| device.as_bytes().as_slice()),
        decision.alert.as_ref().map(|(alert, _)| alert.as_bytes().as_slice()),
        decision.zone.as_str(),
        verdict,
        until.map(|until| until.0.cast_signed()),
        journal::object(&decision.act),
    ])?;
    Ok(())
}

/// The zone of the alert that a decision pages, closes or opens again, and whether the alert is open; nothing if the
/// decision is none of these.
fn open(
    transaction: &Transaction<'_>,
    decision: &Decision,
) -> rusqlite::Result<Option<(String, bool)>> {
    let changes = matches!(decision.act, Act::Promote | Act::Resolve(_) | Act::Reopen);
    let Some((alert, cursor)) = decision.alert.filter(|_| changes) else { return Ok(None) };
    let asked =
        params![alert.as_bytes().as_slice(), cursor.0.cast_signed(), Disposition::Paged as u8];
    let mut is_open = transaction.prepare_cached(IS_OPEN)?;
    is_open.query_row(asked, |row| row.try_into()).optional()
}

fn count_change(
    transaction: &Transaction<'_>,
    before: Option<(String, bool)>,
    after: Option<(String, bool)>,
) -> rusqlite::Result<()> {
    let (Some((_, before)), Some((zone, after))) = (before, after) else { return Ok(()) };
    if before == after {
        return Ok(());
    }
    let change = if after { 1 } else { -1 };
    transaction.prepare_cached(UPSERT_OPEN)?.execute(params![zone, change]).map(|_| ())
}

fn count_paged(transaction: &Transaction<'_>, records: &[&Record]) -> rusqlite::Result<()> {
    let mut paged: BTreeMap<&str, u64> = BTreeMap::new();
    let is_paged = |record: &Record| record.disposition == Disposition::Paged;
    let raises = records.iter().filter(|record| record.kind == Kind::Raise);
    for record in raises.filter(|record| is_paged(record)) {
        *paged.entry(record.zone.as_str()).or_default() += 1;
    }
    let mut upsert = transaction.prepare_cached(UPSERT_OPEN)?;
    for (zone, count) in paged {
        upsert.execute(params![zone, count.cast_signed()])?;
    }
    Ok(())
}

/// What operators set for a zone holds until they set something else.
fn prepare(transaction: &Transaction<'_>, decision: &Decision) -> rusqlite::Result<()> {
    let zone = decision.zone.as_str();
    match decision.act {
        Act::Posture(posture) => {
            transaction.prepare_cached(UPSERT_POSTURE)?.execute(params![zone, posture.name()])?;
        }
        Act::Drill { until } => {
            let until = until.0.cast_signed();
            transaction.prepare_cached(UPSERT_DRILL)?.execute(params![zone, until])?;
        }
        _ => {}
    }
    Ok(())
}

fn insert_entries(transaction: &Transaction<'_>, records: &[&Record]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(INSERT_ENTRY)?;
    for record in records {
        let own = record.message_id.alert();
        let is_own = |alert: &&AlertId| record.kind == Kind::Raise && **alert == own;
        let alert = record.alert.as_ref().filter(|alert| !is_own(alert));
        let incident = record.incident.as_ref().filter(|alert| !is_own(alert));
        insert.execute(params![
            record.cursor.0.cast_signed(),
            record.received_at.0.cast_signed(),
            record.message_id.as_bytes().as_slice(),
            record.device.as_bytes().as_slice(),
            alert.map(|alert| alert.as_bytes().as_slice()),
            record.kind as u8,
            record.category as u8,
            record.zone.as_str(),
            record.labels.bits(),
            record.carrier as u8,
            record.disposition as u8,
            record.joins.as_ref().map(|alert| alert.as_bytes().as_slice()),
            journal::zones_text(&record.also),
            record.agencies.bits(),
            incident.map(|alert| alert.as_bytes().as_slice()),
        ])?;
    }
    Ok(())
}

fn insert_ids(transaction: &Transaction<'_>, records: &[&Record]) -> rusqlite::Result<()> {
    let mut ids: Vec<_> = records.iter().map(|record| (record.message_id, record.cursor)).collect();
    ids.sort_unstable();
    let mut insert = transaction.prepare_cached(INSERT_ID)?;
    for (id, cursor) in ids {
        insert.execute(params![id.as_bytes().as_slice(), cursor.0.cast_signed()])?;
    }
    Ok(())
}

fn insert_device_messages(
    transaction: &Transaction<'_>,
    records: &[&Record],
) -> rusqlite::Result<()> {
    let mut sent: Vec<_> = records.iter().map(|record| (record.device, record.cursor)).collect();
    sent.sort_unstable();
    let mut insert = transaction.prepare_cached(INSERT_DEVICE_MESSAGE)?;
    for (device, cursor) in sent {
        insert.execute(params![device.as_bytes().as_slice(), cursor.0.cast_signed()])?;
    }
    Ok(())
}

fn upsert_devices(transaction: &Transaction<'_>, records: &[&Record]) -> rusqlite::Result<()> {
    let mut devices: BTreeMap<DeviceId, Seen> = BTreeMap::new();
    for record in records {
        let first = Seen { highest: record.counters, messages: 0, last: record.cursor };
        let seen = devices.entry(record.device).or_insert(first);
        seen.highest = seen.highest.max(record.counters);
        seen.messages += 1;
        seen.last = record.cursor;
    }
    let mut upsert = transaction.prepare_cached(UPSERT_DEVICE)?;
    for (device, seen) in &devices {
        upsert.execute(params![
            device.as_bytes().as_slice(),
            seen.highest.boot.0,
            seen.highest.sequence.0,
            seen.messages.cast_signed(),
            seen.last.0.cast_signed(),
        ])?;
    }
    Ok(())
}
