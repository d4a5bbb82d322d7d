//! What operators ask of the index: alerts, decisions and devices, newest first, a page at a time.
//!
//! A page is bounded twice: by how many matches it may hold and by how many rows are looked at for them. A page that
//! ended for the second reason says so by naming where the next one starts, like any other that is not the last; so one
//! question costs the same however rare its answers are. Who may see which zone is the caller's to say.

mod alerts;
mod answers;
mod decisions;
mod devices;

use pipeline::{Cursor, Time};
use rusqlite::types::Type;

pub use alerts::{AlertPage, AlertQuery, AlertRow, AlertState};
pub use answers::{AnswerState, Motion, Prepared};
pub use decisions::{DecisionPage, DecisionQuery};
pub use devices::DeviceRow;

/// Rows looked at for one page, at most: some tens of milliseconds.
const LOOKED_AT_MAX: usize = 50_000;

/// How far the times of two entries may be the other way round than their places: queues before the desk hold messages
/// back for less, and clocks are set back by less.
const DISORDER_US: i64 = 60_000_000;

/// The moments that a question is about: from the first on, before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// Nothing: since the beginning.
    pub since: Option<Time>,
    /// Nothing: up to this moment.
    pub until: Option<Time>,
}

impl Period {
    fn holds(&self, at: i64) -> bool {
        self.since.is_none_or(|since| at >= micros(since))
            && self.until.is_none_or(|until| at < micros(until))
    }

    /// Whether everything that lies before an entry of this time is too old.
    fn is_passed(&self, at: i64) -> bool {
        self.since.is_some_and(|since| at < micros(since).saturating_sub(DISORDER_US))
    }

    /// A time behind which everything is too new.
    fn end(&self) -> Option<i64> {
        self.until.map(|until| micros(until).saturating_add(DISORDER_US))
    }
}

/// Collects one page.
struct Pager {
    limit: usize,
    looked_at: usize,
    matches: usize,
    last: Option<Cursor>,
}

impl Pager {
    fn new(limit: usize) -> Self {
        Self { limit, looked_at: 0, matches: 0, last: None }
    }

    /// Whether the page can take another row. The row is then counted as looked at.
    fn looks_at(&mut self, cursor: Cursor) -> bool {
        if self.matches >= self.limit || self.looked_at >= LOOKED_AT_MAX {
            return false;
        }
        self.looked_at += 1;
        self.last = Some(cursor);
        true
    }

    fn matched(&mut self) {
        self.matches += 1;
    }
}

fn micros(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> Time {
    Time(u64::try_from(micros).unwrap_or_default())
}

fn cursor(stored: i64) -> Cursor {
    Cursor(u64::try_from(stored).unwrap_or_default())
}

/// A cursor as a bound: nothing is behind every entry.
fn bound(before: Option<Cursor>) -> i64 {
    before.map_or(i64::MAX, |before| i64::try_from(before.0).unwrap_or(i64::MAX))
}

/// A number that no version of this program writes: the index is damaged.
fn foreign(column: usize) -> rusqlite::Error {
    let problem = "a value that this program does not write";
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, problem.into())
}

#[cfg(test)]
mod tests;
