//! Alerts: raises, with what became of them.

use std::sync::Arc;

use pipeline::{Agencies, Answer, Cursor, Disposition, Scope, Time, Verdict, ZoneId};
use protocol::{AlertId, Category, DeviceId, Labels};
use rusqlite::{OptionalExtension, Row, params};

use super::answers::{self, AnswerState, Motion};
use super::{Pager, Period, bound, cursor, foreign, time};
use crate::search::{Lookup, SearchError, index};

const COLUMNS: &str = "e.cursor, e.received_at_us, e.message_id, e.device_id, e.category, e.zone, e.labels, e.disposition, e.joins, \
     e.also, e.agencies, e.incident";
/// What became of the raise with id `?1`: promoted, cancelled, its latest verdict, its updates.
const FATE: &str = "SELECT \
     EXISTS (SELECT 1 FROM decisions WHERE alert_id = ?1 AND act = 7), \
     EXISTS (SELECT 1 FROM entries WHERE alert_id = ?1 AND kind = 3), \
     (SELECT verdict FROM decisions WHERE alert_id = ?1 AND act IN (1, 11) ORDER BY cursor DESC LIMIT 1), \
     (SELECT count(*) FROM entries WHERE alert_id = ?1 AND kind = 2)";
/// Messages that belong to the alert `?1` or joined it, behind its raise at `?2`; `?3` at most.
const FOLLOWERS: &str = "SELECT cursor FROM (SELECT cursor FROM entries WHERE alert_id = ?1 AND cursor > ?2 \
     UNION SELECT cursor FROM entries WHERE joins = ?1) ORDER BY cursor LIMIT ?3";

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// People were paged at once.
    Paged,
    /// It joined an open press.
    Joined,
    /// Nobody was paged: its device is blocked.
    Held,
    /// It was part of a surge that a notice spoke of.
    Noticed,
    /// It was held, and people were paged after all.
    Promoted,
}

impl AlertState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Paged, Self::Joined, Self::Held, Self::Noticed, Self::Promoted];

    /// The name that interfaces use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paged => "paged",
            Self::Joined => "joined",
            Self::Held => "held",
            Self::Noticed => "noticed",
            Self::Promoted => "promoted",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// Which alerts are asked for. What is nothing restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertQuery {
    /// Only those that lie before this place.
    pub before: Option<Cursor>,
    /// When they came.
    pub period: Period,
    /// Who pressed.
    pub device: Option<DeviceId>,
    /// What became of them.
    pub state: Option<AlertState>,
    /// How far they are answered.
    pub answer: Option<AnswerState>,
    /// What they are about.
    pub category: Option<Category>,
    /// Which of them may be shown at all.
    pub scope: Scope,
    /// How many, at most.
    pub limit: usize,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Where its raise is journaled.
    pub cursor: Cursor,
    /// When it came.
    pub received_at: Time,
    /// Its id.
    pub alert: AlertId,
    /// Who pressed.
    pub device: DeviceId,
    /// What it is about.
    pub category: Category,
    /// The zone that it was routed to.
    pub zone: ZoneId,
    /// What was odd about it.
    pub labels: Labels,
    /// The open press that it joined.
    pub joins: Option<AlertId>,
    /// What became of it.
    pub state: AlertState,
    /// Whether its sender took it back.
    pub cancelled: bool,
    /// The latest verdict.
    pub verdict: Option<Verdict>,
    /// Updates that followed.
    pub updates: u64,
    /// How far it is answered, and by whom.
    pub answer: Answer,
    /// Who was sent, since it was last opened.
    pub assigned_to: Option<Arc<str>>,
    /// Whether whoever pressed moves or has gone quiet.
    pub motion: Motion,
    /// Who is to answer.
    pub agencies: Agencies,
    /// The incident that it belongs to, by its first alert.
    pub incident: AlertId,
    /// The zones that were paged so far, its own first.
    pub paged_zones: Vec<ZoneId>,
    /// Whether everybody entitled was paged, whatever their zone.
    pub paged_all: bool,
}

/// Alerts, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPage {
    /// The matches.
    pub alerts: Vec<AlertRow>,
    /// Where the next page ends, as [`AlertQuery::before`]; nothing: this is the last.
    pub next: Option<Cursor>,
}

impl Lookup {
    /// One page of alerts that were paged in a zone that `allowed` allows.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn alerts(
        &self,
        query: &AlertQuery,
        allowed: impl Fn(&ZoneId) -> bool,
    ) -> Result<AlertPage, SearchError> {
        self.read(|connection| {
            let mut before = bound(query.before);
            if let Some(end) = query.period.end() {
                let first = "SELECT cursor FROM entries WHERE received_at_us >= ?1 ORDER BY received_at_us LIMIT 1";
                let first: Option<i64> =
                    connection.prepare_cached(first)?.query_row([end], |row| row.get(0)).optional()?;
                before = before.min(first.unwrap_or(i64::MAX));
            }
            let source = match query.device {
                Some(_) => "device_messages AS d JOIN entries AS e ON e.cursor = d.cursor \
                    WHERE d.device_id = ?2 AND d.cursor < ?1 AND e.kind = 1 ORDER BY d.cursor DESC",
                None => "entries AS e INDEXED BY entries_raises \
                    WHERE e.kind = 1 AND e.cursor < ?1 AND ?2 IS NULL ORDER BY e.cursor DESC",
            };
            let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM {source}"))?;
            let device = query.device.as_ref().map(|device| device.as_bytes().as_slice());
            let mut rows = select.query(params![before, device])?;
            let mut pager = Pager::new(query.limit);
            let mut alerts = vec![];
            while let Some(row) = rows.next()? {
                let (at, received_at): (i64, i64) = (row.get(0)?, row.get(1)?);
                if query.period.is_passed(received_at) {
                    return Ok(AlertPage { alerts, next: None });
                }
                if !pager.looks_at(cursor(at)) {
                    return Ok(AlertPage { alerts, next: pager.last });
                }
                if let Some(alert) = matching(connection, row, query, &allowed)? {
                    pager.matched();
                    alerts.push(alert);
                }
            }
            Ok(AlertPage { alerts, next: None })
        })
    }

    /// The alert with this id.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn alert(&self, alert: AlertId) -> Result<Option<AlertRow>, SearchError> {
        self.read(|connection| {
            let select = format!(
                "SELECT {COLUMNS} FROM message_ids AS m JOIN entries AS e ON e.cursor = m.cursor \
                 WHERE m.message_id = ?1 AND e.kind = 1"
            );
            let mut select = connection.prepare_cached(&select)?;
            let mut rows = select.query([alert.as_bytes().as_slice()])?;
            match rows.next()? {
                Some(row) => read(connection, row).map(Some),
                None => Ok(None),
            }
        })
    }

    /// Where the messages lie that followed an alert or joined it, oldest first, at most `limit`.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn followers(&self, alert: &AlertRow, limit: u32) -> Result<Vec<Cursor>, SearchError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(FOLLOWERS)?;
            let id = alert.alert.as_bytes().as_slice();
            let raise = alert.cursor.0.cast_signed();
            let places = select.query_map(params![id, raise, limit], |row| row.get(0))?;
            places.map(|place| place.map(cursor)).collect()
        })
    }
}

/// The alert in `row` if it is asked for and may be seen.
fn matching(
    connection: &rusqlite::Connection,
    row: &Row<'_>,
    query: &AlertQuery,
    allowed: &impl Fn(&ZoneId) -> bool,
) -> rusqlite::Result<Option<AlertRow>> {
    let category: i64 = row.get(4)?;
    let asked = query.period.holds(row.get(1)?)
        && query.category.is_none_or(|wanted| wanted as i64 == category)
        && query.scope.admits(agencies(row)?, Some(category_of(category)?))
        && is_seen(connection, row, allowed)?;
    if !asked {
        return Ok(None);
    }
    let alert = read(connection, row)?;
    Ok(Some(alert).filter(|alert| {
        query.state.is_none_or(|state| state == alert.state)
            && query.answer.is_none_or(|answer| answer == AnswerState::of(&alert.answer))
    }))
}

/// Whether a zone is allowed that was paged: its own, which most askers see, before those that cost a look.
fn is_seen(
    connection: &rusqlite::Connection,
    row: &Row<'_>,
    allowed: &impl Fn(&ZoneId) -> bool,
) -> rusqlite::Result<bool> {
    if allowed(&ZoneId::new(row.get_ref(5)?.as_str()?)) || index::zones(row, 9)?.iter().any(allowed)
    {
        return Ok(true);
    }
    let (zones, everybody) = answers::climbed_to(connection, AlertId(row.get(2)?))?;
    Ok(everybody || zones.iter().any(allowed))
}

fn category_of(stored: i64) -> rusqlite::Result<Category> {
    let category = u64::try_from(stored).ok();
    category.and_then(Category::from_wire).ok_or_else(|| foreign(4))
}

fn agencies(row: &Row<'_>) -> rusqlite::Result<Agencies> {
    Agencies::from_bits(row.get(10)?).ok_or_else(|| foreign(10))
}

fn read(connection: &rusqlite::Connection, row: &Row<'_>) -> rusqlite::Result<AlertRow> {
    let alert = AlertId(row.get(2)?);
    let disposition = u64::try_from(row.get::<_, i64>(7)?).ok();
    let disposition = disposition.and_then(Disposition::from_stored).ok_or_else(|| foreign(7))?;
    let (promoted, cancelled, verdict, updates): (bool, bool, Option<i64>, i64) = connection
        .prepare_cached(FATE)?
        .query_row([alert.as_bytes().as_slice()], |row| row.try_into())?;
    let verdict = verdict.and_then(|verdict| u64::try_from(verdict).ok());
    let state = match disposition {
        _ if promoted => AlertState::Promoted,
        Disposition::Joined => AlertState::Joined,
        Disposition::Held => AlertState::Held,
        Disposition::Noticed => AlertState::Noticed,
        Disposition::Paged | Disposition::Follows => AlertState::Paged,
    };
    let zone = ZoneId::new(row.get_ref(5)?.as_str()?);
    // One alert of a press carries it: what joined it is answered as that one is.
    let joins = row.get::<_, Option<[u8; 16]>>(8)?.map(AlertId);
    let (answer, assigned_to) = answers::answer(connection, joins.unwrap_or(alert))?;
    let motion = answers::motion(connection, joins.unwrap_or(alert))?;
    let (climbed, paged_all) = answers::climbed_to(connection, alert)?;
    let mut paged_zones = vec![zone.clone()];
    for paged in index::zones(row, 9)?.into_iter().chain(climbed) {
        if !paged_zones.contains(&paged) {
            paged_zones.push(paged);
        }
    }
    Ok(AlertRow {
        cursor: cursor(row.get(0)?),
        received_at: time(row.get(1)?),
        alert,
        device: DeviceId(row.get(3)?),
        category: category_of(row.get(4)?)?,
        zone,
        labels: Labels::from_bits(row.get(6)?),
        joins,
        state,
        cancelled,
        verdict: verdict.and_then(Verdict::from_stored),
        updates: u64::try_from(updates).unwrap_or_default(),
        answer,
        assigned_to,
        motion,
        agencies: agencies(row)?,
        incident: row.get::<_, Option<[u8; 16]>>(11)?.map_or(alert, AlertId),
        paged_zones,
        paged_all,
    })
}
