//! The file: opened or built again, filled in batches.
//!
//! A batch is one transaction that also moves `position`, so after a crash the index is exactly as full as it says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pipeline::{Act, Agencies, Agency, Carrier, Cursor, Disposition, Entry, Rule, Verdict, ZoneId};
use protocol::{Category, Kind, Label};
use rusqlite::{Connection, Row, Transaction, params};

use super::{SearchError, fill};
use crate::sqlite::{self, Synchronous, WriterOptions};

const SCHEMA: &str = include_str!("schema.sql");
/// `PRAGMA user_version` of [`SCHEMA`]. Another version is built again, not migrated.
const SCHEMA_VERSION: i64 = 3;
/// `PRAGMA application_id`: "KtSe".
const APPLICATION_ID: i64 = 0x4b74_5365;
/// Pages kept in memory, in KiB: what one batch changes in the trees of two million random keys.
const CACHE_KIB: i64 = 64 << 10;
/// Pages of 4 KiB in the write-ahead log before they are copied into the database, so that a page that several batches
/// change is copied once.
const CHECKPOINT_PAGES: i64 = 16_384;

/// An open index: the only one that writes this file.
#[derive(Debug)]
pub struct Index {
    connection: Connection,
    path: PathBuf,
    indexed: Cursor,
}

impl Index {
    /// Opens the index at `path` of a journal that ends at `journal`. If there is none, or it is damaged or of another
    /// version, an empty one takes its place.
    ///
    /// # Errors
    /// If the index knows more than the journal, or the disk is in trouble.
    pub fn open(path: &Path, journal: Cursor) -> Result<Self, SearchError> {
        let (connection, indexed) = match connect_and_read(path) {
            Ok(opened) => opened,
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "the index is built again from the journal");
                remove(path)?;
                connect_and_read(path)?
            }
            Err(error) => return Err(error),
        };
        if indexed > journal {
            return Err(SearchError::Ahead { path: path.to_owned(), indexed, journal });
        }
        Ok(Self { connection, path: path.to_owned(), indexed })
    }

    /// How far the journal is indexed.
    #[must_use]
    pub fn indexed(&self) -> Cursor {
        self.indexed
    }

    /// Indexes `entries`, which follow what is indexed, in one transaction.
    ///
    /// # Errors
    /// If they do not follow, or the disk does not take them. The index is then as it was.
    pub fn add(&mut self, entries: &[Entry]) -> Result<(), SearchError> {
        let mut indexed = self.indexed;
        for entry in entries {
            if entry.cursor() != indexed.next() {
                return Err(SearchError::Gap { indexed, found: entry.cursor() });
            }
            indexed = entry.cursor();
        }
        self.commit(entries, indexed).map_err(|source| SearchError::Sqlite {
            action: "write",
            path: self.path.clone(),
            source,
        })?;
        self.indexed = indexed;
        Ok(())
    }

    fn commit(&mut self, entries: &[Entry], indexed: Cursor) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        fill::messages(&transaction, entries)?;
        fill::decisions(&transaction, entries)?;
        transaction.execute("UPDATE position SET cursor = ?1", [indexed.0.cast_signed()])?;
        transaction.commit()
    }
}

fn connect(path: &Path) -> Result<Connection, SearchError> {
    let tell = |source| SearchError::Sqlite { action: "open", path: path.to_owned(), source };
    let options = WriterOptions {
        synchronous: Synchronous::Normal,
        secure_delete: false,
        ..WriterOptions::DURABLE
    };
    let mut connection = sqlite::open_writer(path, options)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(tell)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(tell)?;
    match prepare(&mut connection).map_err(tell)? {
        Origin::Ours => Ok(connection),
        Origin::Outdated => Err(SearchError::Outdated { path: path.to_owned() }),
        Origin::Foreign => Err(SearchError::Foreign { path: path.to_owned() }),
    }
}

/// Whose file it is.
enum Origin {
    Ours,
    Outdated,
    Foreign,
}

/// Creates the tables in an empty file; changes nothing in a file with any others.
fn prepare(connection: &mut Connection) -> rusqlite::Result<Origin> {
    let transaction = connection.transaction()?;
    let pragma = |name: &str| -> rusqlite::Result<i64> {
        transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    };
    match (pragma("application_id")?, pragma("user_version")?, pragma("schema_version")?) {
        (APPLICATION_ID, SCHEMA_VERSION, _) => {}
        (0, 0, 0) => {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        (APPLICATION_ID, _, _) => return Ok(Origin::Outdated),
        _ => return Ok(Origin::Foreign),
    }
    name_numbers(&transaction)?;
    transaction.commit().map(|()| Origin::Ours)
}

fn name_numbers(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let name = |table: &str, number: u32, name: &str| {
        let insert = format!("INSERT OR IGNORE INTO {table} VALUES (?1, ?2)");
        transaction.execute(&insert, params![number, name]).map(|_| ())
    };
    Kind::ALL.iter().try_for_each(|kind| name("kinds", *kind as u32, kind.name()))?;
    Category::ALL.iter().try_for_each(|it| name("categories", *it as u32, it.name()))?;
    Carrier::ALL.iter().try_for_each(|it| name("carriers", *it as u32, it.name()))?;
    Disposition::ALL.iter().try_for_each(|it| name("dispositions", *it as u32, it.name()))?;
    Act::NAMES.iter().try_for_each(|(act, of)| name("acts", u32::from(*act), of))?;
    Rule::ALL.iter().try_for_each(|it| name("rules", *it as u32, it.name()))?;
    Verdict::ALL.iter().try_for_each(|it| name("verdicts", *it as u32, it.name()))?;
    let bit = |agency: &Agency| u32::from(Agencies::NONE.with(*agency).bits());
    Agency::ALL.iter().try_for_each(|it| name("agencies", bit(it), it.name()))?;
    Label::ALL.iter().try_for_each(|label| name("labels", *label as u32, label.name()))
}

pub(super) fn position(connection: &Connection) -> rusqlite::Result<Cursor> {
    let cursor: i64 = connection.query_row("SELECT cursor FROM position", [], |row| row.get(0))?;
    u64::try_from(cursor)
        .map(Cursor)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, cursor))
}

/// The zones that the text in `column` names.
pub(super) fn zones(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<ZoneId>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    Ok(text.map(|text| text.split(' ').map(ZoneId::new).collect()).unwrap_or_default())
}

fn connect_and_read(path: &Path) -> Result<(Connection, Cursor), SearchError> {
    let connection = connect(path)?;
    let indexed = position(&connection).map_err(|source| SearchError::Sqlite {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok((connection, indexed))
}

/// Removes the index and the files that belong to it.
pub(super) fn remove(path: &Path) -> Result<(), SearchError> {
    for suffix in ["-wal", "-shm", ""] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(SearchError::Remove { path: file.into(), source }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pipeline::{Decision, Posture, Record};
    use protocol::{Counters, DeviceId};

    use super::*;
    use crate::journal::testing::{decision, promotion, record, records, update};
    use crate::search::Lookup;

    fn counters(lookup: &Lookup) -> BTreeMap<DeviceId, Counters> {
        let mut all = BTreeMap::new();
        lookup.counters(|device, counters| assert_eq!(all.insert(device, counters), None)).unwrap();
        all
    }

    #[test]
    fn finds_what_was_added_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        let mut index = Index::open(&path, Cursor(0)).unwrap();
        let alert = record(1).message_id.alert();
        let mut all = records(1..=19);
        let agencies = Agencies::NONE.with(Agency::Fire);
        let also = ["kota", "blimbing"].map(ZoneId::new).to_vec();
        all.push(Record { agencies, also, ..record(20) }.into());
        all.push(update(21, alert).into());
        all.push(
            Record { kind: Kind::Heartbeat, alert: None, incident: None, ..record(22) }.into(),
        );
        all.push(decision(23, 4).into());
        index.add(&all[..10]).unwrap();
        index.add(&all[10..]).unwrap();
        let lookup = Lookup::open(&path).unwrap();
        for record in all.iter().filter_map(Entry::message) {
            let found = lookup.find(record.message_id).unwrap().unwrap();
            assert_eq!(
                (found.cursor, found.device, &found.zone, found.agencies, &found.also),
                (record.cursor, record.device, &record.zone, record.agencies, &record.also)
            );
            assert_eq!(found.category, record.category);
        }
        assert_eq!(lookup.find(record(23).message_id).unwrap(), None);
        assert_eq!(lookup.indexed().unwrap(), Cursor(23));
    }

    #[test]
    fn keeps_the_highest_counters_of_each_device() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        let mut index = Index::open(&path, Cursor(0)).unwrap();
        let device = record(1).device;
        let steps = [(1, 5), (1, 4), (2, 0), (1, 9), (2, 3), (2, 1)];
        let sent: Vec<_> = (1..)
            .zip(steps)
            .map(|(cursor, (boot, sequence))| {
                let counters = Counters::new(boot, sequence);
                Entry::from(Record { device, counters, ..record(cursor) })
            })
            .collect();
        let highest = [(1, 5), (1, 5), (2, 0), (2, 0), (2, 3), (2, 3)];
        let lookup = Lookup::open(&path).unwrap();
        for (entry, (boot, sequence)) in sent.iter().zip(highest) {
            index.add(std::slice::from_ref(entry)).unwrap();
            assert_eq!(counters(&lookup)[&device], Counters::new(boot, sequence));
        }
        let whole = dir.path().join("whole.db");
        Index::open(&whole, Cursor(0)).unwrap().add(&sent).unwrap();
        assert_eq!(counters(&Lookup::open(&whole).unwrap()), counters(&lookup));
    }

    #[test]
    fn refuses_records_that_do_not_follow() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(&dir.path().join("search.db"), Cursor(0)).unwrap();
        assert!(matches!(index.add(&records([2])), Err(SearchError::Gap { .. })));
        index.add(&records([1])).unwrap();
        assert!(matches!(index.add(&records([1])), Err(SearchError::Gap { .. })));
        assert_eq!(index.indexed(), Cursor(1));
    }

    #[test]
    fn a_damaged_or_outdated_index_is_replaced_by_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        let mut index = Index::open(&path, Cursor(0)).unwrap();
        index.add(&records(1..=5)).unwrap();
        index.connection.pragma_update(None, "user_version", 99).unwrap();
        drop(index);
        assert_eq!(Index::open(&path, Cursor(5)).unwrap().indexed(), Cursor(0));
        fs::write(&path, b"not a database, but long enough to be taken for one by its size")
            .unwrap();
        let mut index = Index::open(&path, Cursor(5)).unwrap();
        index.add(&records(1..=5)).unwrap();
        drop(index);
        assert_eq!(Index::open(&path, Cursor(5)).unwrap().indexed(), Cursor(5));
    }

    #[test]
    fn refuses_to_replace_what_is_not_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(Index::open(&path, Cursor(0)), Err(SearchError::Foreign { .. })));
    }

    #[test]
    fn refuses_a_journal_that_ends_before_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        Index::open(&path, Cursor(0)).unwrap().add(&records(1..=5)).unwrap();
        let error = Index::open(&path, Cursor(4)).unwrap_err();
        assert!(matches!(error, SearchError::Ahead { .. }), "{error}");
        assert!(Index::open(&path, Cursor(5)).is_ok());
    }

    #[test]
    fn people_read_alerts_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search.db");
        let mut index = Index::open(&path, Cursor(0)).unwrap();
        let raise = record(2);
        let alert = raise.message_id.alert();
        let followed = [update(3, alert), update(4, alert)].map(Entry::from);
        index.add(&[record(1).into(), raise.into()]).unwrap();
        index.add(&followed).unwrap();
        index.add(&[decision(5, 2).into(), promotion(6, 2).into()]).unwrap();
        let words: (String, String, String, String, i64, i64, String, String) = index
            .connection
            .query_row(
                "SELECT received_at, alert, category, labels, updates, cancels, state, verdict FROM alerts \
                 WHERE zone = 'klojen' ORDER BY cursor LIMIT 1",
                [],
                |row| row.try_into(),
            )
            .unwrap();
        let (received_at, id, category, labels, updates, cancels, state, verdict) = words;
        assert_eq!((received_at, id), ("2027-01-15T08:00:00.000Z".to_owned(), alert.to_string()));
        assert_eq!((&*category, &*labels), ("fire", "silent no_position"));
        assert_eq!((updates, cancels), (2, 0));
        assert_eq!((&*state, &*verdict), ("promoted", "prank"));
        let standing: (i64, String) = index
            .connection
            .query_row("SELECT strikes, state FROM devices_standing", [], |row| row.try_into())
            .unwrap();
        assert_eq!(standing, (1, "blocked".to_owned()));
        let audit: i64 = index
            .connection
            .query_row("SELECT count(*) FROM audit WHERE actor = 'operator siti'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(audit, 1);
        let acknowledged = Decision { act: Act::Acknowledge, ..decision(7, 2) };
        // The verdict before it had taken the alert up.
        let prepared = Decision { act: Act::Posture(Posture::Special), ..decision(8, 2) };
        index.add(&[acknowledged.into(), prepared.into()]).unwrap();
        let words: (String, String, String, String, String) = index
            .connection
            .query_row(
                "SELECT answer, answered_by, answered_at, agencies, incident FROM alerts WHERE alert = ?1",
                [alert.to_string()],
                |row| row.try_into(),
            )
            .unwrap();
        let (answer, by, at, agencies, incident) = words;
        assert_eq!((&*answer, &*by, &*at), ("acknowledged", "siti", "2027-01-15T08:00:00.000Z"));
        assert_eq!(agencies, "police fire medical disaster counter_terrorism");
        assert_eq!(incident, alert.to_string());
        let zone: (String, Option<String>, i64) = index
            .connection
            .query_row(
                "SELECT posture, drill_until, open_alerts FROM zones_state WHERE zone = 'klojen'",
                [],
                |row| row.try_into(),
            )
            .unwrap();
        assert_eq!(zone, ("special".to_owned(), None, 1));
    }
}
