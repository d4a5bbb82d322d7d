//! The index behind the journal: which message lies where, what a device sent and how it stands, what happened in a zone.
//!
//! [`Indexer`] follows the journal in large batches and never holds it up: it writes a file of its own, from a thread
//! of low priority, and reads the journal like any other reader. [`Lookup`] answers. `search.db` can be built again
//! from the journal at any time, and is when it is damaged or of another version; its tables are described in
//! `schema.sql`, for people with `sqlite3` too.

use std::io;
use std::path::PathBuf;

use pipeline::Cursor;

use crate::journal::JournalError;
use crate::sqlite::OpenError;

mod ask;
mod fill;
mod index;
mod indexer;
mod lookup;

pub use ask::{
    AlertPage, AlertQuery, AlertRow, AlertState, AnswerState, DecisionPage, DecisionQuery,
    DeviceRow, Motion, Period, Prepared,
};
pub use index::Index;
pub use indexer::{Indexer, IndexerHandle};
pub use lookup::Lookup;

/// Why the index cannot be filled or asked.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The index knows records that the journal has not, so the journal has lost some, or is not the one that this
    /// index belongs to. Their cursors would be given to other alerts. Put the right journal in place; if there is no
    /// other, delete the index, and know that alerts are missing.
    #[error(
        "{path} is filled up to {indexed} but the journal ends at {journal}: the journal has lost records or is not the \
         one indexed; restore it, or delete {path} to go on without them", indexed = indexed.0, journal = journal.0
    )]
    Ahead {
        /// The index's file.
        path: PathBuf,
        /// How far the index is filled.
        indexed: Cursor,
        /// The journal's last record.
        journal: Cursor,
    },
    /// The index was made by another version of this program. It is built again.
    #[error("{path} is an index of another version")]
    Outdated {
        /// The index's file.
        path: PathBuf,
    },
    /// The file is a database, but not an index; it is left alone. Move it away.
    #[error("{path} is not an index")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Records that do not follow what is indexed. A fault of this program: report it.
    #[error("record {found} does not follow {indexed} in the index", found = found.0, indexed = indexed.0)]
    Gap {
        /// How far the index is filled.
        indexed: Cursor,
        /// The record at fault.
        found: Cursor,
    },
    /// SQLite failed. If the file is damaged, the next start builds it again; otherwise mend the disk or make room.
    #[error("cannot {action} {path}: {source}")]
    Sqlite {
        /// What was being done.
        action: &'static str,
        /// The index's file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A file cannot be removed to build the index again. Remove it by hand.
    #[error("cannot remove {path}: {source}")]
    Remove {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The indexer's thread cannot be started.
    #[error("cannot start the indexer's thread: {0}")]
    Thread(io::Error),
}

impl SearchError {
    /// Whether the index must be built again: it is damaged, of another version, or does not follow the journal.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let source = match self {
            Self::Outdated { .. } | Self::Gap { .. } => return true,
            Self::Sqlite { source, .. } | Self::Open(OpenError::Sqlite { source, .. }) => source,
            _ => return false,
        };
        match source {
            rusqlite::Error::SqliteFailure(failure, _) => {
                matches!(failure.code, DatabaseCorrupt | NotADatabase)
            }
            _ => false,
        }
    }
}

/// Removes a damaged index, so that the next start builds it again from the journal.
///
/// # Errors
/// If the file cannot be removed.
pub fn discard(path: &std::path::Path) -> Result<(), SearchError> {
    index::remove(path)
}
