//! How alerts are answered, where they climbed, where they were last seen, whether whoever pressed moves or has gone
//! quiet, and what operators set for zones: each by the latest decision, or message, about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::{Answer, Cursor, Posture, Time, ZoneId};
use protocol::{AlertId, Label};
use rusqlite::{Connection, OptionalExtension, params};

use super::{bound, cursor, foreign, time};
use crate::search::{Lookup, SearchError};

/// The decision by which the alert `?1` is answered as it is: the latest of those that say so since it was last opened;
/// where there is none, the first verdict, because whoever gives one has taken the alert up.
const ANSWER: &str = "SELECT act, operator, decided_at_us, object FROM decisions WHERE cursor = coalesce( \
     (SELECT max(cursor) FROM decisions WHERE alert_id = ?1 AND act BETWEEN 9 AND 11 AND cursor > ?2), \
     (SELECT min(cursor) FROM decisions WHERE alert_id = ?1 AND act = 1 AND cursor > ?2))";
/// Where the alert `?1` was last opened again.
const REOPENED: &str =
    "SELECT coalesce(max(cursor), 0) FROM decisions WHERE alert_id = ?1 AND act = 12";
/// Who was last sent to the alert `?1` since then.
const ASSIGNED: &str = "SELECT object FROM decisions WHERE alert_id = ?1 AND act = 10 AND cursor > ?2 \
     ORDER BY cursor DESC LIMIT 1";
/// Where the alert `?1` climbed to, each once, in that order; nothing means everybody.
const CLIMBED: &str = "SELECT object FROM decisions WHERE alert_id = ?1 AND act = 13 \
     GROUP BY object ORDER BY min(cursor)";
/// Messages that belong to the alert `?1` or joined it and have none of the labels `?2`, before `?3`, the newest `?4`.
const PLACED: &str = "SELECT cursor FROM (SELECT cursor, labels FROM entries WHERE alert_id = ?1 \
     UNION ALL SELECT cursor, labels FROM entries WHERE joins = ?1) \
     WHERE labels & ?2 = 0 AND cursor < ?3 ORDER BY cursor DESC LIMIT ?4";
/// When it was last told that whoever raised the alert `?1` moves.
const MOVED: &str = "SELECT decided_at_us FROM decisions WHERE alert_id = ?1 AND act = 14 \
     ORDER BY cursor DESC LIMIT 1";
/// When it was last told that whoever raised the alert `?1` has gone quiet, and where in the journal.
const QUIET: &str = "SELECT decided_at_us, cursor FROM decisions WHERE alert_id = ?1 AND act = 15 \
     ORDER BY cursor DESC LIMIT 1";
/// Whether anything came of the press of the alert `?1` behind `?2`: an update, a raise that joined it, or an update of
/// one.
const HEARD: &str = "SELECT EXISTS (SELECT 1 FROM entries WHERE alert_id = ?1 AND kind = 2 AND cursor > ?2) \
     OR EXISTS (SELECT 1 FROM entries WHERE joins = ?1 AND cursor > ?2) \
     OR EXISTS (SELECT 1 FROM entries AS again JOIN entries AS later ON later.alert_id = again.message_id \
     WHERE again.joins = ?1 AND later.kind = 2 AND later.cursor > ?2)";
const PREPARED: &str = "SELECT zone, posture, drill_until_us FROM preparations ORDER BY zone";
const OPEN: &str = "SELECT zone, alerts FROM open_alerts";

/// How far an alert is answered, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AnswerState {
    /// Nobody answers it, or it was opened again.
    #[default]
    Waiting,
    /// Somebody does.
    Acknowledged,
    /// Somebody was sent.
    Assigned,
    /// It is over.
    Resolved,
}

impl AnswerState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Acknowledged, Self::Assigned, Self::Resolved];

    /// How far `answer` is.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Waiting => Self::Waiting,
            Answer::Acknowledged { .. } => Self::Acknowledged,
            Answer::Assigned { .. } => Self::Assigned,
            Answer::Resolved { .. } => Self::Resolved,
        }
    }

    /// The name that interfaces use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Acknowledged => "acknowledged",
            Self::Assigned => "assigned",
            Self::Resolved => "resolved",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// Whether whoever pressed moves or has gone quiet, as far as it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Motion {
    /// When it was last told that they move.
    pub moved_at: Option<Time>,
    /// When it was told that they send nothing any more; nothing once they are heard again.
    pub quiet_since: Option<Time>,
}

/// What operators set for a zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prepared {
    /// Its posture; nothing: nobody set one.
    pub posture: Option<Posture>,
    /// Until when a drill was last declared; that may be over.
    pub drill_until: Option<Time>,
}

impl Lookup {
    /// How far an alert is answered.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn answer(&self, alert: AlertId) -> Result<Answer, SearchError> {
        self.read(|connection| Ok(answer(connection, alert)?.0))
    }

    /// What operators set for zones.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn preparations(&self) -> Result<BTreeMap<ZoneId, Prepared>, SearchError> {
        self.read(|connection| {
            let mut prepared = BTreeMap::new();
            let mut select = connection.prepare_cached(PREPARED)?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let posture = match row.get_ref(1)?.as_str_or_null()? {
                    Some(name) => Some(Posture::from_name(name).ok_or_else(|| foreign(1))?),
                    None => None,
                };
                let drill_until = row.get::<_, Option<i64>>(2)?.map(time);
                let zone = ZoneId::new(row.get_ref(0)?.as_str()?);
                prepared.insert(zone, Prepared { posture, drill_until });
            }
            Ok(prepared)
        })
    }

    /// How many alerts are open, by the zone that they were routed to.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn open_alerts(&self) -> Result<BTreeMap<ZoneId, u64>, SearchError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(OPEN)?;
            let open = select.query_map([], |row| {
                let alerts: i64 = row.get(1)?;
                Ok((ZoneId::new(row.get_ref(0)?.as_str()?), u64::try_from(alerts).unwrap_or(0)))
            })?;
            open.collect()
        })
    }

    /// Where the messages lie that say where an alert was: its raise, updates, cancels and raises that joined it, those
    /// before `before`, newest first, at most `limit`. The raise is not among them.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn places(
        &self,
        alert: AlertId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Cursor>, SearchError> {
        self.read(|connection| {
            let without = Label::NoPosition as u32 | Label::EnrolledSite as u32;
            let mut select = connection.prepare_cached(PLACED)?;
            let asked = params![alert.as_bytes().as_slice(), without, bound(before), limit];
            let places = select.query_map(asked, |row| row.get(0))?;
            places.map(|place| place.map(cursor)).collect()
        })
    }
}

/// How far `alert` is answered, and who was sent, if anybody was.
pub(super) fn answer(
    connection: &Connection,
    alert: AlertId,
) -> rusqlite::Result<(Answer, Option<Arc<str>>)> {
    let id = alert.as_bytes().as_slice();
    let reopened: i64 = connection.prepare_cached(REOPENED)?.query_row([id], |row| row.get(0))?;
    let since = params![id, reopened];
    let found: Option<(i64, String, i64, Option<String>)> =
        connection.prepare_cached(ANSWER)?.query_row(since, |row| row.try_into()).optional()?;
    let Some((act, by, at, object)) = found else { return Ok((Answer::Waiting, None)) };
    let (by, at) = (Arc::from(by), time(at));
    Ok(match act {
        10 => {
            let to: Arc<str> = object.map(Arc::from).ok_or_else(|| foreign(3))?;
            (Answer::Assigned { by, to: Arc::clone(&to), at }, Some(to))
        }
        11 => {
            let mut assigned = connection.prepare_cached(ASSIGNED)?;
            let sent: Option<String> = assigned.query_row(since, |row| row.get(0)).optional()?;
            (Answer::Resolved { by, at }, sent.map(Arc::from))
        }
        _ => (Answer::Acknowledged { by, at }, None),
    })
}

/// Whether whoever raised `alert`, which joined no other, moves or has gone quiet.
pub(super) fn motion(connection: &Connection, alert: AlertId) -> rusqlite::Result<Motion> {
    let id = alert.as_bytes().as_slice();
    let moved: Option<i64> =
        connection.prepare_cached(MOVED)?.query_row([id], |row| row.get(0)).optional()?;
    let quiet: Option<(i64, i64)> =
        connection.prepare_cached(QUIET)?.query_row([id], |row| row.try_into()).optional()?;
    let quiet_since = match quiet {
        Some((at, told)) => {
            let mut heard = connection.prepare_cached(HEARD)?;
            let heard: bool = heard.query_row(params![id, told], |row| row.get(0))?;
            Some(time(at)).filter(|_| !heard)
        }
        None => None,
    };
    Ok(Motion { moved_at: moved.map(time), quiet_since })
}

/// The zones that `alert` climbed to, and whether it climbed to everybody.
pub(super) fn climbed_to(
    connection: &Connection,
    alert: AlertId,
) -> rusqlite::Result<(Vec<ZoneId>, bool)> {
    let mut select = connection.prepare_cached(CLIMBED)?;
    let mut rows = select.query([alert.as_bytes().as_slice()])?;
    let (mut zones, mut everybody) = (vec![], false);
    while let Some(row) = rows.next()? {
        match row.get_ref(0)?.as_str_or_null()? {
            Some(zone) => zones.push(ZoneId::new(zone)),
            None => everybody = true,
        }
    }
    Ok((zones, everybody))
}
