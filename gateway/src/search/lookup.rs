//! Asks the index, from a connection of its own.

use std::path::{Path, PathBuf};

use pipeline::{Act, Agencies, Cursor, Disposition, Found, Standing, Time, ZoneId};
use protocol::{AlertId, Category, Counters, DeviceId, MessageId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{SearchError, index};
use crate::{journal, sqlite};

/// The fourth column: held, and not promoted since.
const FIND: &str = "SELECT entries.cursor, device_id, zone, disposition = ?2 \
     AND NOT EXISTS (SELECT 1 FROM decisions WHERE alert_id = ?1 AND act = ?3), received_at_us, agencies, also, category FROM message_ids \
     JOIN entries ON entries.cursor = message_ids.cursor WHERE message_ids.message_id = ?1";

/// The least cursor, not the least time: the clock that stamps arrivals may have been set back. By the index of times,
/// or SQLite would walk the places from the first.
const FIRST_SINCE: &str = "SELECT min(cursor) FROM (SELECT min(cursor) AS cursor FROM entries INDEXED BY entries_by_time \
     WHERE received_at_us >= ?1 \
     UNION ALL SELECT min(cursor) FROM decisions INDEXED BY decisions_by_time WHERE decided_at_us >= ?1)";

const PROMOTED: &str = "SELECT 1 FROM decisions WHERE alert_id = ?1 AND act = ?2 LIMIT 1";

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
        let (held, promote) = (Disposition::Held as u8, Act::Promote.stored());
        let find = || {
            self.connection
                .prepare_cached(FIND)?
                .query_row(params![id.as_bytes().as_slice(), held, promote], found)
                .optional()
        };
        find().map_err(|source| self.error(source))
    }

    /// Whether a held alert was promoted, as far as [`indexed`](Self::indexed).
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn is_promoted(&self, alert: AlertId) -> Result<bool, SearchError> {
        let find = || {
            self.connection
                .prepare_cached(PROMOTED)?
                .query_row(params![alert.as_bytes().as_slice(), Act::Promote.stored()], |_| Ok(()))
                .optional()
        };
        Ok(find().map_err(|source| self.error(source))?.is_some())
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

    /// Tells how every device stands that was ever decided about, in order of their ids, and returns how far the journal
    /// was indexed when that was read.
    ///
    /// # Errors
    /// If the index cannot be read; some devices may have been told by then.
    pub fn standings(
        &self,
        mut each: impl FnMut(DeviceId, Standing),
    ) -> Result<Cursor, SearchError> {
        let mut read = || {
            let transaction = self.connection.unchecked_transaction()?;
            let mut select = transaction
                .prepare("SELECT device_id, standing FROM standings ORDER BY device_id")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let stated = journal::standing(row.get_ref(1)?.as_str()?).ok_or_else(foreign)?;
                each(DeviceId(row.get(0)?), stated);
            }
            index::position(&transaction)
        };
        read().map_err(|source| self.error(source))
    }

    /// The first place whose message came, or whose decision was made, at `time` or later: everything behind what is
    /// indexed counts as later. Messages of earlier times may lie behind it, none of later times before it.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn first_since(&self, time: Time) -> Result<Cursor, SearchError> {
        let read = || {
            let transaction = self.connection.unchecked_transaction()?;
            let time = i64::try_from(time.0).unwrap_or(i64::MAX);
            let first: Option<i64> =
                transaction.query_row(FIRST_SINCE, [time], |row| row.get(0))?;
            match first.and_then(|first| u64::try_from(first).ok()) {
                Some(first) => Ok(Cursor(first)),
                None => Ok(index::position(&transaction)?.next()),
            }
        };
        read().map_err(|source| self.error(source))
    }

    /// Reads in one transaction, so that everything read belongs together.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, SearchError> {
        let read = || read(&*self.connection.unchecked_transaction()?);
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
    let (device, zone) = (DeviceId(row.get(1)?), ZoneId::new(zone));
    let received_at: i64 = row.get(4)?;
    let received_at = u64::try_from(received_at)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(4, received_at))?;
    let agencies = Agencies::from_bits(row.get(5)?).ok_or_else(foreign)?;
    let category = u64::try_from(row.get::<_, i64>(7)?).ok().and_then(Category::from_wire);
    Ok(Found {
        cursor: Cursor(cursor),
        device,
        zone,
        held: row.get(3)?,
        received_at: Time(received_at),
        agencies,
        category: category.ok_or_else(foreign)?,
        also: index::zones(row, 6)?,
    })
}

/// A value that no version of this program writes: the index is damaged.
fn foreign() -> rusqlite::Error {
    let problem = "a value that this program does not write";
    rusqlite::Error::FromSqlConversionFailure(1, Type::Text, problem.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pipeline::{Decision, Record};

    use super::*;
    use crate::journal::testing::{decision, promotion, record, records};
    use crate::search::Index;

    #[test]
    fn standings_are_those_of_the_latest_decision_about_each_device() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        let mut index = Index::open(&path, Cursor(0)).unwrap();
        index.add(&records(1..=3)).unwrap();
        let pardoned = Decision { standing: Some(Standing::default()), ..decision(6, 1) };
        index.add(&[decision(4, 1).into(), decision(5, 2).into(), pardoned.into()]).unwrap();
        let silent = Decision { standing: None, ..decision(7, 2) };
        index.add(&[silent.into()]).unwrap();
        let mut standings = BTreeMap::new();
        let lookup = Lookup::open(&path).unwrap();
        let told = lookup.standings(|device, standing| {
            standings.insert(device, standing);
        });
        assert_eq!(told.unwrap(), Cursor(7));
        let expected = [
            (record(1).device, Standing::default()),
            (record(2).device, decision(5, 2).standing.unwrap()),
        ];
        assert_eq!(standings, BTreeMap::from(expected));
    }

    #[test]
    fn held_press_is_found_held_until_it_is_promoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        let mut index = Index::open(&path, Cursor(0)).unwrap();
        let held = |cursor| Record { disposition: Disposition::Held, ..record(cursor) };
        index.add(&[record(1).into(), held(2).into(), held(3).into()]).unwrap();
        index.add(&[decision(4, 2).into(), promotion(5, 3).into()]).unwrap();
        let lookup = Lookup::open(&path).unwrap();
        let found = |cursor| lookup.find(record(cursor).message_id).unwrap().unwrap().held;
        assert_eq!([1, 2, 3].map(found), [false, true, false]);
    }

    #[test]
    fn first_since_is_the_least_place_of_that_time_or_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        let mut index = Index::open(&path, Cursor(0)).unwrap();
        index.add(&records(1..=3)).unwrap();
        index.add(&[decision(4, 1).into()]).unwrap();
        let lookup = Lookup::open(&path).unwrap();
        let at = |cursor| Time(record(cursor).received_at.0);
        for cursor in 1..=5 {
            assert_eq!(lookup.first_since(at(cursor)).unwrap(), Cursor(cursor));
        }
        assert_eq!(lookup.first_since(Time(0)).unwrap(), Cursor(1));
        assert_eq!(lookup.first_since(Time(u64::MAX)).unwrap(), Cursor(5));
    }
}
