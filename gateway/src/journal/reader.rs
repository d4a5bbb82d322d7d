//! Reads records back by cursor, from a connection of its own.
//!
//! A reader sees what is synced and nothing else: SQLite shows a commit to other connections only once it is on disk.
//! It never waits for the writer and the writer never waits for it. Each read ends its transaction, so that the
//! write-ahead log can be reused.

use std::path::{Path, PathBuf};

use pipeline::{Cursor, Record};
use rusqlite::Connection;

use super::row::{self, ZoneNames};
use super::{JournalError, log};
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

    /// The records behind `after`, in order and without gaps, at most `limit`.
    ///
    /// # Errors
    /// If the journal is damaged or the disk cannot be read.
    pub fn read_after(&mut self, after: Cursor, limit: usize) -> Result<Vec<Record>, JournalError> {
        read(&self.connection, &self.path, &mut self.zones, after, limit)
    }

    /// The last synced record's cursor; 0 if there is none.
    ///
    /// # Errors
    /// If the journal is damaged or the disk cannot be read.
    pub fn last(&self) -> Result<Cursor, JournalError> {
        log::last(&self.connection, "log")
            .map_err(|error| JournalError::sqlite("read", &self.path, &error))
    }
}

/// Reads once from any connection.
pub(super) fn read_after(
    connection: &Connection,
    path: &Path,
    after: Cursor,
    limit: usize,
) -> Result<Vec<Record>, JournalError> {
    read(connection, path, &mut ZoneNames::default(), after, limit)
}

fn read(
    connection: &Connection,
    path: &Path,
    zones: &mut ZoneNames,
    after: Cursor,
    limit: usize,
) -> Result<Vec<Record>, JournalError> {
    let tell = |error: rusqlite::Error| JournalError::sqlite("read", path, &error);
    let Ok(from) = i64::try_from(after.0) else { return Ok(Vec::new()) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(row::SELECT_AFTER).map_err(tell)?;
    let mut rows = statement.query([from, limit]).map_err(tell)?;
    let mut records = Vec::new();
    let mut last = after;
    while let Some(row) = rows.next().map_err(tell)? {
        let record = row::read(row, zones).map_err(tell)?;
        if let Some(problem) = row::problem(&record, last) {
            return Err(JournalError::Damaged {
                path: path.to_owned(),
                problem: format!("record {} after {}: {problem}", record.cursor.0, last.0),
            });
        }
        last = record.cursor;
        records.push(record);
    }
    Ok(records)
}
