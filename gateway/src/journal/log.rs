//! The file: created, checked before it is trusted, appended to.
//!
//! Opening decides whether what lies there may be continued. It is given a path and leaves a file whose every entry
//! is on disk, whatever the process that wrote them lived to sync. Appending is one transaction for many entries.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline::{Act, Agencies, Agency, Carrier, Cursor, Disposition, Entry, Rule, Verdict};
use protocol::{Category, Kind, Label};
use rusqlite::{Connection, params};
use rustix::fs::{FlockOperation, flock};

use super::{JournalError, decision, reader, row, sync_dir};
use crate::config::JournalConfig;
use crate::sqlite::{self, WriterOptions};

const SCHEMA: &str = include_str!("schema.sql");
/// `PRAGMA user_version` of [`SCHEMA`].
const SCHEMA_VERSION: i64 = 3;
/// `PRAGMA application_id`: "KtJn". Tells a journal from any other database, also to file(1).
const APPLICATION_ID: i64 = 0x4b74_4a6e;

/// Up to this size, in bytes, the whole file is checked at a start: well under a second.
const CHECKED_WHOLE_BYTES_MAX: u64 = 64 << 20;
/// Beyond that size, so many of the latest records are read back.
const CHECKED_RECORDS: u64 = 4_096;

/// Bytes appended before the write-ahead log is copied into the database, while there is work: small enough that the
/// copy holds up one commit for a few milliseconds, large enough that it is rare.
const CHECKPOINT_BYTES: usize = 4 << 20;
/// The same when nothing waits to be written.
const CHECKPOINT_BYTES_IDLE: usize = 256 << 10;
/// What a decision counts for there, in bytes: its text, roughly.
const DECISION_BYTES: usize = 512;
/// A write-ahead log that grew beyond this, in bytes, because of a slow reader is cut back afterwards.
const WAL_BYTES_KEPT: i64 = 64 << 20;

/// An open journal: the only one that writes this file.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    last: Cursor,
    config: JournalConfig,
    /// Bytes of records since the last checkpoint.
    bytes_since_checkpoint: usize,
    /// Held for as long as this process may write; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Journal {
    /// Opens the journal at `path`, creates it if there is none, and checks it.
    ///
    /// # Errors
    /// If another process writes it, if it is damaged or of another version, or if the disk is in trouble.
    pub fn open(path: &Path, config: &JournalConfig) -> Result<Self, JournalError> {
        let lock = lock(path)?;
        let mut connection = sqlite::open_writer(path, WriterOptions::DURABLE)
            .map_err(|error| JournalError::opened(path, error))?;
        let tell = |error: rusqlite::Error| JournalError::sqlite("open", path, &error);
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(tell)?;
        // Not `pragma_update`: this pragma answers with a row.
        connection
            .query_row(&format!("PRAGMA journal_size_limit = {WAL_BYTES_KEPT}"), [], |_| Ok(()))
            .map_err(tell)?;
        create_or_recognise(&mut connection, path)?;
        name_numbers(&mut connection).map_err(tell)?;
        let last = check(&connection, path)?;
        let mut journal = Self {
            connection,
            path: path.to_owned(),
            last,
            config: config.clone(),
            bytes_since_checkpoint: 0,
            _lock: lock,
        };
        journal.make_durable()?;
        Ok(journal)
    }

    /// The last record's cursor; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> Cursor {
        self.last
    }

    /// The most records that one commit takes.
    #[must_use]
    pub fn commit_records_max(&self) -> usize {
        self.config.commit_records_max.max(1)
    }

    /// How long records may gather for a commit while there is load.
    #[must_use]
    pub fn commit_wait(&self) -> Duration {
        self.config.commit_wait
    }

    /// Appends `entries` in one commit. They are on disk when this returns.
    ///
    /// # Errors
    /// If an entry is not the next one or cannot be stored, or if the disk does not take them. Whether the entries are
    /// in the journal is then known only after it was opened again: append nothing more to this one.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        let mut last = self.last;
        for entry in entries {
            if let Some(problem) = row::problem(entry, last) {
                return Err(JournalError::Refused { cursor: entry.cursor(), last, problem });
            }
            last = entry.cursor();
        }
        self.commit(entries)
            .map_err(|error| JournalError::sqlite("append to", &self.path, &error))?;
        self.last = last;
        self.bytes_since_checkpoint += entries.iter().map(bytes).sum::<usize>();
        Ok(())
    }

    /// Gives every decision about an alert among appended `entries` the raise of that alert: whoever decided need not have
    /// kept it.
    ///
    /// # Errors
    /// If a raise is not in the journal, or the disk cannot be read.
    pub(super) fn fill_raises(&self, entries: &mut [Entry]) -> Result<(), JournalError> {
        reader::fill_raises(&self.connection, &self.path, entries)
    }

    fn commit(&mut self, entries: &[Entry]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut log = transaction.prepare_cached(row::INSERT_LOG)?;
            let mut content = transaction.prepare_cached(row::INSERT_CONTENT)?;
            for entry in entries {
                match entry {
                    Entry::Message(record) => row::insert(&mut log, &mut content, record)?,
                    Entry::Decision(decision) => {
                        let mut decisions = transaction.prepare_cached(decision::INSERT)?;
                        decision::insert(&mut decisions, decision)?;
                    }
                }
            }
        }
        transaction.commit()
    }

    /// Copies the write-ahead log into the database if enough of it has gathered; with `idle`, if a little has. Says
    /// whether it did.
    ///
    /// Not left to SQLite's own threshold: that one tries again at every commit for as long as a reader holds the log,
    /// with a sync each time.
    ///
    /// # Errors
    /// If the disk does not take it. Append nothing more.
    pub fn checkpoint(&mut self, idle: bool) -> Result<bool, JournalError> {
        let bytes = if idle { CHECKPOINT_BYTES_IDLE } else { CHECKPOINT_BYTES };
        if self.bytes_since_checkpoint < bytes {
            return Ok(false);
        }
        self.bytes_since_checkpoint = 0;
        self.run_checkpoint("PASSIVE").map(|_| true)
    }

    /// Makes every record that can be read durable before anything is built on it.
    ///
    /// After a crash the write-ahead log may hold commits that were written and never synced, or whose sync failed.
    /// A later sync of that file need not write them: the system may count them as written. Copied into the database
    /// they are written anew.
    fn make_durable(&mut self) -> Result<(), JournalError> {
        let (in_log, copied) = self.run_checkpoint("TRUNCATE")?;
        if copied < in_log {
            return Err(JournalError::InUse { path: self.path.clone() });
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        sync_dir(dir)?;
        // The folder may itself be an hour old and never synced. Without leave to open the one above, that stays so.
        match dir.parent().filter(|above| !above.as_os_str().is_empty()) {
            Some(above) if File::open(above).is_ok() => sync_dir(above),
            _ => Ok(()),
        }
    }

    /// Pages in the write-ahead log, and how many of them the database has.
    fn run_checkpoint(&mut self, mode: &str) -> Result<(i64, i64), JournalError> {
        self.connection
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                Ok((row.get(1)?, row.get(2)?))
            })
            .map_err(|error| JournalError::sqlite("checkpoint", &self.path, &error))
    }
}

/// About what an entry adds to the write-ahead log.
fn bytes(entry: &Entry) -> usize {
    match entry {
        Entry::Message(record) => record.signed.len(),
        Entry::Decision(_) => DECISION_BYTES,
    }
}

/// Takes the lock beside the database. Never on the database itself: to open and close that file outside of SQLite
/// drops SQLite's own locks on it.
fn lock(path: &Path) -> Result<File, JournalError> {
    let lock_path = path.with_extension("lock");
    let file_error = |source| JournalError::File { path: lock_path.clone(), source };
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(file_error)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse { path: path.to_owned() }),
        Err(error) => Err(file_error(io::Error::from(error))),
    }
}

fn create_or_recognise(connection: &mut Connection, path: &Path) -> Result<(), JournalError> {
    let tell = |error: rusqlite::Error| JournalError::sqlite("open", path, &error);
    let application = pragma(connection, "application_id").map_err(tell)?;
    let version = pragma(connection, "user_version").map_err(tell)?;
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(tell)?;
    match (application, version, objects) {
        (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(()),
        (0, 0, 0) => create(connection).map_err(tell),
        _ => Err(JournalError::Foreign { path: path.to_owned(), application, version }),
    }
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

/// Fills the tables of names. Writes nothing where they are complete.
fn name_numbers(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let name = |table: &str, number: u32, name: &str| {
        transaction
            .execute(
                &format!("INSERT OR IGNORE INTO {table} VALUES (?1, ?2)"),
                params![number, name],
            )
            .map(|_| ())
    };
    Kind::ALL.iter().try_for_each(|kind| name("kinds", *kind as u32, kind.name()))?;
    Category::ALL.iter().try_for_each(|it| name("categories", *it as u32, it.name()))?;
    Carrier::ALL.iter().try_for_each(|it| name("carriers", *it as u32, it.name()))?;
    Disposition::ALL.iter().try_for_each(|it| name("dispositions", *it as u32, it.name()))?;
    Label::ALL.iter().try_for_each(|label| name("labels", *label as u32, label.name()))?;
    Act::NAMES.iter().try_for_each(|(act, of)| name("acts", u32::from(*act), of))?;
    Rule::ALL.iter().try_for_each(|it| name("rules", *it as u32, it.name()))?;
    Verdict::ALL.iter().try_for_each(|it| name("verdicts", *it as u32, it.name()))?;
    let bit = |agency: Agency| u32::from(Agencies::NONE.with(agency).bits());
    Agency::ALL.iter().try_for_each(|it| name("agencies", bit(*it), it.name()))?;
    transaction.commit()
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// Checks as much as a start has time for and returns the last cursor.
///
/// A small file is checked whole. Of a large one the ends of the tables and the latest records are read, which is
/// where a crash does its damage; `PRAGMA integrity_check` is for the operator's quiet hour.
fn check(connection: &Connection, path: &Path) -> Result<Cursor, JournalError> {
    let tell = |error: rusqlite::Error| JournalError::sqlite("check", path, &error);
    let damaged = |problem: String| JournalError::Damaged { path: path.to_owned(), problem };
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    if size(path) + size(Path::new(&wal)) <= CHECKED_WHOLE_BYTES_MAX {
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(tell)?;
        if verdict != "ok" {
            return Err(damaged(verdict));
        }
    }
    let log = highest(connection, "log").map_err(tell)?;
    let content = highest(connection, "content").map_err(tell)?;
    if log != content {
        return Err(damaged(format!("log ends at {} and content at {}", log.0, content.0)));
    }
    let last = last(connection).map_err(tell)?;
    let after = Cursor(last.0.saturating_sub(CHECKED_RECORDS));
    let entries = reader::read_after(connection, path, after, usize::MAX)?;
    match entries.last() {
        Some(entry) if entry.cursor() != last => Err(damaged("records are missing".to_owned())),
        None if last != Cursor(0) => Err(damaged("the last record cannot be read".to_owned())),
        _ => Ok(last),
    }
}

/// The last cursor, of a message or a decision; 0 if there is none.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Cursor> {
    Ok(highest(connection, "log")?.max(highest(connection, "decisions")?))
}

/// The highest cursor in `table`; 0 if it is empty.
fn highest(connection: &Connection, table: &str) -> rusqlite::Result<Cursor> {
    let last: Option<i64> =
        connection.query_row(&format!("SELECT max(cursor) FROM {table}"), [], |row| row.get(0))?;
    let last = last.unwrap_or(0);
    u64::try_from(last).map(Cursor).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, last))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, PermissionsExt};

    use pipeline::Record;
    use tempfile::TempDir;

    use super::*;
    use crate::journal::Reader;
    use crate::journal::testing::{decision, promotion, record, records, update};

    const CONFIG: JournalConfig =
        JournalConfig { commit_records_max: 512, commit_wait: Duration::ZERO };

    fn folder() -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        (dir, path)
    }

    #[test]
    fn gives_back_what_was_appended_also_after_it_was_opened_again() {
        let (_dir, path) = folder();
        let mut journal = Journal::open(&path, &CONFIG).unwrap();
        assert_eq!(journal.last(), Cursor(0));
        let mut appended = records(1..=3);
        let alert = record(1).message_id.alert();
        appended.push(update(4, alert).into());
        appended.push(
            Record { kind: Kind::Heartbeat, alert: None, incident: None, ..record(5) }.into(),
        );
        appended.push(decision(6, 3).into());
        appended.push(promotion(7, 1).into());
        appended.push(record(8).into());
        appended.push(decision(9, 8).into());
        journal.append(&appended[..2]).unwrap();
        journal.append(&appended[2..]).unwrap();
        drop(journal);

        assert_eq!(Journal::open(&path, &CONFIG).unwrap().last(), Cursor(9));
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.read_after(Cursor(0), usize::MAX).unwrap(), appended);
        for after in 0..=9 {
            for limit in 0..=10 {
                let end = appended.len().min(after + limit);
                let read = reader.read_after(Cursor(after as u64), limit).unwrap();
                assert_eq!(read, appended[after..end], "{limit} after {after}");
            }
        }
        assert_eq!(reader.last().unwrap(), Cursor(9));
        assert_eq!(reader.message(Cursor(8)).unwrap(), Some(record(8)));
        assert_eq!(reader.message(Cursor(9)).unwrap(), None);
    }

    #[test]
    fn refuses_a_record_that_is_not_the_next() {
        let (_dir, path) = folder();
        let mut journal = Journal::open(&path, &CONFIG).unwrap();
        for wrong in [records([2]), records([1, 3]), records([1, 1]), records([0])] {
            let error = journal.append(&wrong).unwrap_err();
            assert!(matches!(error, JournalError::Refused { .. }), "{error}");
        }
        let too_long = Record { signed: vec![0; 1_201].into(), ..record(1) };
        assert!(journal.append(&[too_long.into()]).is_err());
        assert_eq!(journal.last(), Cursor(0));
        journal.append(&records([1])).unwrap();
    }

    #[test]
    fn one_process_writes_a_journal_at_a_time() {
        let (_dir, path) = folder();
        let journal = Journal::open(&path, &CONFIG).unwrap();
        assert!(matches!(Journal::open(&path, &CONFIG), Err(JournalError::InUse { .. })));
        drop(journal);
        assert!(Journal::open(&path, &CONFIG).is_ok());
    }

    #[test]
    fn files_are_private_and_people_can_read_them_in_words() {
        let (dir, path) = folder();
        let mut journal = Journal::open(&path, &CONFIG).unwrap();
        journal.append(&records([1])).unwrap();
        for file in fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
        }
        let words: (String, String, String, String, String, String) = journal
            .connection
            .query_row(
                "SELECT received_at, message, kind, category, labels, alert FROM records",
                [],
                |row| row.try_into(),
            )
            .unwrap();
        journal.append(&[decision(2, 1).into()]).unwrap();
        let decided: (String, String, String, String) = journal
            .connection
            .query_row("SELECT decided_at, actor, act, verdict FROM audit", [], |row| {
                row.try_into()
            })
            .unwrap();
        let expected = ["2027-01-15T08:00:00.000Z", "operator siti", "verdict", "prank"];
        assert_eq!(<[String; 4]>::from(decided), expected);
        let id = record(1).message_id.to_string();
        let (received_at, message, kind, category, labels, alert) = words;
        assert_eq!(received_at, "2027-01-15T08:00:00.000Z");
        assert_eq!((&message, &alert), (&id, &id));
        assert_eq!((&*kind, &*category, &*labels), ("raise", "fire", "silent no_position"));
    }

    #[test]
    fn refuses_a_database_that_is_not_its_own() {
        let (_dir, path) = folder();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        let error = Journal::open(&path, &CONFIG).unwrap_err();
        assert!(matches!(error, JournalError::Foreign { .. }), "{error}");
    }

    #[test]
    fn refuses_a_damaged_file_and_says_what_to_do() {
        let (_dir, path) = folder();
        let mut journal = Journal::open(&path, &CONFIG).unwrap();
        journal.append(&records(1..=500)).unwrap();
        drop(journal);
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let pages = file.metadata().unwrap().len() / 4_096;
        for page in 0..pages {
            let mut kept = [0; 16];
            file.read_exact_at(&mut kept, page * 4_096).unwrap();
            file.write_all_at(&[0xff; 16], page * 4_096).unwrap();
            let error = Journal::open(&path, &CONFIG).unwrap_err();
            assert!(matches!(error, JournalError::Damaged { .. }), "page {page}: {error}");
            assert!(error.to_string().contains("restore a backup"), "{error}");
            file.write_all_at(&kept, page * 4_096).unwrap();
        }
        assert_eq!(Journal::open(&path, &CONFIG).unwrap().last(), Cursor(500));
    }

    #[test]
    fn refuses_a_file_that_lost_records() {
        for damage in [
            "DELETE FROM log WHERE cursor = 7",
            "DELETE FROM content WHERE cursor = 9",
            "DELETE FROM content WHERE cursor = 5",
            "UPDATE log SET kind = 99 WHERE cursor = 3",
            "UPDATE log SET message_id = x'00' WHERE cursor = 3",
            "DELETE FROM decisions WHERE cursor = 10",
            "UPDATE decisions SET act = 99 WHERE cursor = 10",
            "UPDATE decisions SET standing = '{}' WHERE cursor = 10",
            "UPDATE decisions SET act = 7, alert_cursor = 10 WHERE cursor = 10",
        ] {
            let (_dir, path) = folder();
            let mut journal = Journal::open(&path, &CONFIG).unwrap();
            journal.append(&records(1..=9)).unwrap();
            journal.append(&[decision(10, 9).into(), record(11).into()]).unwrap();
            journal.connection.execute_batch(damage).unwrap();
            drop(journal);
            let error = Journal::open(&path, &CONFIG).unwrap_err();
            assert!(matches!(error, JournalError::Damaged { .. }), "{damage}: {error}");
        }
    }

    #[test]
    fn a_slow_reader_holds_up_neither_appends_nor_checkpoints() {
        let (_dir, path) = folder();
        let mut journal = Journal::open(&path, &CONFIG).unwrap();
        journal.append(&records(1..=10)).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM log").unwrap();
        journal.bytes_since_checkpoint = CHECKPOINT_BYTES;
        journal.append(&records(11..=20)).unwrap();
        assert!(journal.checkpoint(false).unwrap());
        assert_eq!(journal.bytes_since_checkpoint, 0);
        let seen: i64 = reader.query_row("SELECT count(*) FROM log", [], |row| row.get(0)).unwrap();
        assert_eq!((seen, journal.last()), (10, Cursor(20)));
    }
}
