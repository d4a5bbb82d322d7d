//! The journal: every accepted message and every decision, on disk and in order, before anybody is told of it.
//!
//! [`Journal`] owns `journal.db`: it creates it, refuses it when it is damaged, and appends. [`Writer`] is the one
//! thread that does so, with one commit for whatever queued while the last one was being synced. [`Reader`] reads
//! records back by cursor, from its own connection, and never sees one that is not synced. What is stored and why it
//! lies as it does is said in `schema.sql`.
//!
//! Nothing is retried. A disk that has once failed to sync may have dropped what it was given and report the next sync
//! as done, so the first error is the last thing that a writer does.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use pipeline::Cursor;
use rusqlite::ffi;

use crate::sqlite::OpenError;

mod decision;
mod log;
mod reader;
mod row;
mod standing;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub(crate) use decision::object;
pub use log::Journal;
pub use reader::Reader;
pub(crate) use row::zones_text;
pub(crate) use standing::{standing, standing_text};
pub use writer::{Writer, WriterHandle};

/// Why the journal cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file beside the database cannot be used. Check the folder, its owner and the disk.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes this journal, or holds an old view of it so that its log cannot be copied. Stop that one
    /// first: two writers would give one cursor to two records.
    #[error("{path} is in use by another process")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The file is a database, but not a journal that this version can read. Name another `data_dir`, or run the version
    /// that wrote it.
    #[error(
        "{path} is not a journal of this version (application id {application:#x}, schema {version})"
    )]
    Foreign {
        /// The database file.
        path: PathBuf,
        /// `PRAGMA application_id`.
        application: i64,
        /// `PRAGMA user_version`.
        version: i64,
    },
    /// The journal is damaged; nothing was changed. What to do is part of the message, because it is read at night.
    #[error(
        "{path} is damaged: {problem}; nothing was changed: copy {path} and {path}-wal away, then restore a backup or \
         salvage with `sqlite3 {path} .recover`"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A record is not the next one, or cannot be stored. A fault of this program: report it.
    #[error("record {cursor} cannot be appended after {last}: {problem}", cursor = cursor.0, last = last.0)]
    Refused {
        /// The record.
        cursor: Cursor,
        /// The last record in the journal.
        last: Cursor,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The disk did not take a commit. Mend the disk or make room, then start again: nothing receipted is lost.
    #[error("cannot {action} {path}: {reason}")]
    Disk {
        /// What was being done.
        action: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said, and the system's error beneath it.
        reason: String,
    },
    /// The writer's thread cannot be started.
    #[error("cannot start the journal's thread: {0}")]
    Thread(io::Error),
}

impl JournalError {
    /// An error while the file is opened: a damaged one is told apart, because something must be done about it.
    fn opened(path: &Path, error: OpenError) -> Self {
        match &error {
            OpenError::Sqlite { source, .. } if is_damage(source) => {
                Self::Damaged { path: path.to_owned(), problem: source.to_string() }
            }
            _ => Self::Open(error),
        }
    }

    /// An error of SQLite while doing `action`, sorted into damage and trouble with the disk.
    fn sqlite(action: &'static str, path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        if is_damage(error) {
            Self::Damaged { path, problem: error.to_string() }
        } else {
            Self::Disk { action, path, reason: explain(error) }
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            matches!(
                failure.code,
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase
            )
        }
        // What is stored is not what was written.
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => true,
        _ => false,
    }
}

/// SQLite's words for a failed write are general; its extended code tells a failed sync from a failed write.
fn explain(error: &rusqlite::Error) -> String {
    let detail = match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.extended_code {
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => "the disk failed to sync",
            ffi::SQLITE_IOERR_WRITE => "the disk failed to write",
            ffi::SQLITE_FULL => "the disk is full",
            ffi::SQLITE_READONLY_DBMOVED => "the file was moved or deleted",
            _ => return error.to_string(),
        },
        _ => return error.to_string(),
    };
    format!("{detail} ({error})")
}

/// Makes the names of files in `dir` durable.
fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| JournalError::File { path: dir.to_owned(), source })
}
