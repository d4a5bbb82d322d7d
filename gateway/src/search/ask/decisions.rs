//! Decisions: where they lie. What they say in full is in the journal.

use std::sync::Arc;

use pipeline::{Cursor, ZoneId};
use protocol::{AlertId, DeviceId};
use rusqlite::ToSql;

use super::{Pager, Period, bound, cursor};
use crate::search::{Lookup, SearchError};

/// Which decisions are asked for. What is nothing restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecisionQuery {
    /// Only those that lie before this place.
    pub before: Option<Cursor>,
    /// When they were made.
    pub period: Period,
    /// The device that they are about.
    pub device: Option<DeviceId>,
    /// The alert that they are about.
    pub alert: Option<AlertId>,
    /// The operator who made them.
    pub operator: Option<Arc<str>>,
    /// How many, at most.
    pub limit: usize,
}

/// Places of decisions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionPage {
    /// The matches.
    pub decisions: Vec<Cursor>,
    /// Where the next page ends, as [`DecisionQuery::before`]; nothing: this is the last.
    pub next: Option<Cursor>,
}

impl Lookup {
    /// One page of decisions in zones that `allowed` allows.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn decisions(
        &self,
        query: &DecisionQuery,
        allowed: impl Fn(&ZoneId) -> bool,
    ) -> Result<DecisionPage, SearchError> {
        // The most telling restriction chooses the index; the others are looked at row by row.
        let alert = query.alert.as_ref().map(|alert| alert.as_bytes().as_slice());
        let device = query.device.as_ref().map(|device| device.as_bytes().as_slice());
        let operator = query.operator.as_deref();
        let (restricted, value): (&str, &dyn ToSql) = match (&alert, &device, &operator) {
            (Some(alert), ..) => ("alert_id = ?2", alert),
            (None, Some(device), _) => ("device_id = ?2", device),
            (None, None, Some(operator)) => ("operator = ?2", operator),
            (None, None, None) => ("?2 IS NULL", &rusqlite::types::Null),
        };
        let select = format!(
            "SELECT cursor, decided_at_us, zone, device_id, operator FROM decisions \
             WHERE cursor < ?1 AND {restricted} ORDER BY cursor DESC"
        );
        self.read(|connection| {
            let mut select = connection.prepare_cached(&select)?;
            let mut rows = select.query([&bound(query.before) as &dyn ToSql, value])?;
            let mut pager = Pager::new(query.limit);
            let mut decisions = vec![];
            while let Some(row) = rows.next()? {
                let (at, decided_at): (i64, i64) = (row.get(0)?, row.get(1)?);
                if query.period.is_passed(decided_at) {
                    break;
                }
                if !pager.looks_at(cursor(at)) {
                    return Ok(DecisionPage { decisions, next: pager.last });
                }
                let by: Option<String> = row.get(4)?;
                let about: Option<[u8; 16]> = row.get(3)?;
                let matches = query.period.holds(decided_at)
                    && query.device.is_none_or(|device| about == Some(device.0))
                    && query.operator.as_ref().is_none_or(|name| by.as_deref() == Some(name))
                    && allowed(&ZoneId::new(row.get_ref(2)?.as_str()?));
                if matches {
                    pager.matched();
                    decisions.push(cursor(at));
                }
            }
            Ok(DecisionPage { decisions, next: None })
        })
    }
}
