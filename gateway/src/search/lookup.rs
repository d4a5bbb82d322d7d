//! Asks the index, from a connection of its own.

use std::path::{Path, PathBuf};

use pipeline::{Cursor, Found, ZoneId};
use protocol::{Counters, DeviceId, MessageId};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{SearchError, index};
use crate::sqlite;

const FIND: &str = "SELECT entries.cursor, device_id, zone FROM message_ids \
     JOIN entries ON entries.cursor = message_ids.cursor WHERE message_ids.message_id = ?1";

/// One connection for asking.
#[derive(Debug)]
pub struct Lookup {
    connection: Connection,
    path: PathBuf,
}

impl Lookup {
    /// Opens the index at `path`. There must be one: spawn an [`Indexer`](super::Indexer) first.
    ///
    /// # Errors
    /// If there is no index, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, SearchError> {
        let connection = sqlite::open_reader(path)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Where the message with this id is journaled, as far as [`indexed`](Self::indexed).
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn find(&self, id: MessageId) -> Result<Option<Found>, SearchError> {
        let find = || {
            self.connection
                .prepare_cached(FIND)?
                .query_row([id.as_bytes().as_slice()], found)
                .optional()
        };
        find().map_err(|source| self.error(source))
    }

    /// How far the journal is indexed.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn indexed(&self) -> Result<Cursor, SearchError> {
        index::position(&self.connection).map_err(|source| self.error(source))
    }

    /// Tells the highest counters of every device that ever sent anything, in order of their ids, and returns how far
    /// the journal was indexed when they were read.
    ///
    /// # Errors
    /// If the index cannot be read; some devices may have been told by then.
    pub fn counters(
        &self,
        mut each: impl FnMut(DeviceId, Counters),
    ) -> Result<Cursor, SearchError> {
        let mut read = || {
            // One transaction, so that the counters and the place belong together.
            let transaction = self.connection.unchecked_transaction()?;
            let mut select = transaction
                .prepare("SELECT device_id, boot, sequence FROM devices ORDER BY device_id")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                each(DeviceId(row.get(0)?), Counters::new(row.get(1)?, row.get(2)?));
            }
            index::position(&transaction)
        };
        read().map_err(|source| self.error(source))
    }

    fn error(&self, source: rusqlite::Error) -> SearchError {
        SearchError::Sqlite { action: "read", path: self.path.clone(), source }
    }
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let cursor: i64 = row.get(0)?;
    let cursor =
        u64::try_from(cursor).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, cursor))?;
    let zone = row.get_ref(2)?.as_str()?;
    Ok(Found { cursor: Cursor(cursor), device: DeviceId(row.get(1)?), zone: ZoneId::new(zone) })
}
