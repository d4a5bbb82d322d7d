//! Reads entries back by cursor, from a connection of its own.
//!
//! A reader sees what is synced and nothing else: SQLite shows a commit to other connections only once it is on disk.
//! It never waits for the writer and the writer never waits for it. Each read ends its transaction, so that the
//! write-ahead log can be reused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline::{Act, Cursor, Decision, Entry, Record};
use rusqlite::{Connection, OptionalExtension};

use super::row::{self, ZoneNames};
use super::{JournalError, decision, log};
use crate::sqlite;

/// One connection for reading.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    zones: ZoneNames,
}

impl Reader {
    /// Opens the journal at `path` for reading. There must be one: open a [`Journal`](super::Journal) first.
    ///
    /// # Errors
    /// If there is no journal, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let connection =
            sqlite::open_reader(path).map_err(|error| JournalError::opened(path, error))?;
        Ok(Self { connection, path: path.to_owned(), zones: ZoneNames::default() })
    }

    /// The entries behind `after`, in order and without gaps, at most `limit`. Promotions have their raise.
    ///
    /// # Errors
    /// If the journal is damaged or the disk cannot be read.
    pub fn read_after(&mut self, after: Cursor, limit: usize) -> Result<Vec<Entry>, JournalError> {
        read(&self.connection, &self.path, &mut self.zones, after, limit)
    }

    /// The message at `cursor`; nothing if there is none, or a decision.
    ///
    /// # Errors
    /// If the journal is damaged or the disk cannot be read.
    pub fn message(&mut self, cursor: Cursor) -> Result<Option<Record>, JournalError> {
        one(&self.connection, &mut self.zones, cursor)
            .map_err(|error| JournalError::sqlite("read", &self.path, &error))
    }

    /// The entry at `cursor`; nothing if the journal ends before it.
    ///
    /// # Errors
    /// If the journal is damaged or the disk cannot be read.
    pub fn entry(&mut self, cursor: Cursor) -> Result<Option<Entry>, JournalError> {
        Ok(self.read_after(Cursor(cursor.0.saturating_sub(1)), 1)?.pop())
    }

    /// The last synced entry's cursor; 0 if there is none.
    ///
    /// # Errors
    /// If the journal is damaged or the disk cannot be read.
    pub fn last(&self) -> Result<Cursor, JournalError> {
        log::last(&self.connection)
            .map_err(|error| JournalError::sqlite("read", &self.path, &error))
    }
}

/// Reads once from any connection.
pub(super) fn read_after(
    connection: &Connection,
    path: &Path,
    after: Cursor,
    limit: usize,
) -> Result<Vec<Entry>, JournalError> {
    read(connection, path, &mut ZoneNames::default(), after, limit)
}

/// Gives every decision about an alert among `entries` the raise of that alert, and the place that it tells of, from where
/// they lie in the journal. A raise that is not there is damage only where it has to be shown.
pub(super) fn fill_raises(
    connection: &Connection,
    path: &Path,
    entries: &mut [Entry],
) -> Result<(), JournalError> {
    for entry in entries {
        if let Entry::Decision(decision) = entry
            && decision.act.is_about_an_alert()
            && decision.raise.is_none()
            && let Some((_, cursor)) = decision.alert
        {
            let raise = one(connection, &mut ZoneNames::default(), cursor)
                .map_err(|error| JournalError::sqlite("read", path, &error))?;
            if raise.is_none() && decision.act == Act::Promote {
                return Err(JournalError::Damaged {
                    path: path.to_owned(),
                    problem: format!("the raise at {} that was promoted is missing", cursor.0),
                });
            }
            decision.raise = raise.map(Arc::new);
        }
        if let Entry::Decision(decision) = entry
            && decision.place.is_none()
            && let Some(seen) = decision.act.seen()
        {
            let message = one(connection, &mut ZoneNames::default(), seen)
                .map_err(|error| JournalError::sqlite("read", path, &error))?;
            decision.place = message.and_then(|message| message.stated().0);
        }
    }
    Ok(())
}

fn one(
    connection: &Connection,
    zones: &mut ZoneNames,
    cursor: Cursor,
) -> rusqlite::Result<Option<Record>> {
    connection
        .prepare_cached(row::SELECT_ONE)?
        .query_row([cursor.0.cast_signed()], |row| row::read(row, zones))
        .optional()
}

fn read(
    connection: &Connection,
    path: &Path,
    zones: &mut ZoneNames,
    after: Cursor,
    limit: usize,
) -> Result<Vec<Entry>, JournalError> {
    let tell = |error: rusqlite::Error| JournalError::sqlite("read", path, &error);
    // One transaction, so that both tables are seen as they were at one moment.
    let transaction = connection.unchecked_transaction().map_err(tell)?;
    let found = merge(&transaction, zones, after, limit).map_err(tell)?;
    let mut last = after;
    for entry in &found {
        if let Some(problem) = row::problem(entry, last) {
            return Err(JournalError::Damaged {
                path: path.to_owned(),
                problem: format!("record {} after {}: {problem}", entry.cursor().0, last.0),
            });
        }
        last = entry.cursor();
    }
    let mut found = found;
    fill_raises(&transaction, path, &mut found)?;
    Ok(found)
}

/// Messages and decisions behind `after` in the order of their cursors, at most `limit`.
///
/// Decisions are few, so those that can be among the first `limit` are read first; messages come row by row.
fn merge(
    connection: &Connection,
    zones: &mut ZoneNames,
    after: Cursor,
    limit: usize,
) -> rusqlite::Result<Vec<Entry>> {
    let Ok(from) = i64::try_from(after.0) else { return Ok(Vec::new()) };
    let count = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut decisions = connection.prepare_cached(decision::SELECT_BETWEEN)?;
    let mut decided = decisions.query([from, from.saturating_add(count)])?;
    let mut found = Vec::new();
    let mut waiting = Vec::new();
    while let Some(row) = decided.next()? {
        waiting.push(decision::read(row, zones)?);
    }
    let mut waiting = waiting.into_iter().peekable();
    let mut messages = connection.prepare_cached(row::SELECT_AFTER)?;
    let mut received = messages.query([from, count])?;
    while found.len() < limit {
        let message = received.next()?.map(|row| row::read(row, zones)).transpose()?;
        let before = |decision: &Decision| {
            message.as_ref().is_none_or(|message| decision.cursor < message.cursor)
        };
        while found.len() < limit
            && let Some(decision) = waiting.next_if(before)
        {
            found.push(Entry::Decision(decision));
        }
        match message {
            Some(message) if found.len() < limit => found.push(Entry::Message(message)),
            Some(_) => {}
            None => break,
        }
    }
    Ok(found)
}
