//! `webhooks.db`: how far each webhook is, and which events could not be delivered to it.
//!
//! Whatever is written here is on disk when the call returns, and only then does a webhook go on: after `kill -9` it
//! sends the event that it was at once more, and never leaves one out. It holds cursors and causes; what an event says
//! stays in the journal.

use std::path::Path;
use std::sync::{Arc, Mutex};

use pipeline::{Cursor, Time};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::lock::lock;
use crate::registry::WebhookId;
use crate::sqlite::{self, OpenError, WriterOptions};

/// Name of the file in the data directory.
pub const LEDGER_FILE: &str = "webhooks.db";

/// The layout that this program reads and writes.
const VERSION: i64 = 1;

const SCHEMA: &str = include_str!("schema.sql");

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite failed: the disk is full, or the file damaged.
    #[error("webhooks.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file was written by another version of this program. Use that one, or move the file away: every webhook then
    /// begins again where it was added.
    #[error("webhooks.db has layout {found}, but this program knows {VERSION}")]
    OtherLayout {
        /// The layout of the file.
        found: i64,
    },
    /// The runtime is shutting down.
    #[error("the gateway is stopping")]
    Stopping,
}

/// How far a webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Up to here everything is delivered, dead, or not for this webhook.
    pub cursor: Cursor,
    /// Failed attempts of the event that comes next.
    pub attempts: u32,
    /// When the first of them was, if there was one.
    pub first_attempt_at: Option<Time>,
    /// Dead letters that made room for later ones.
    pub dropped: u64,
    /// Requests for another try that are heeded.
    pub retries: u32,
}

/// An event that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its place in the journal.
    pub cursor: Cursor,
    /// Its `webhook-id`.
    pub message_id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub died_at: Time,
    /// Why its last attempt failed.
    pub cause: String,
    /// Whether somebody asked to send it once more.
    pub due: bool,
}

/// The ledger, shared by every webhook.
#[derive(Debug, Clone)]
pub struct Ledger {
    connection: Arc<Mutex<Connection>>,
}

impl Ledger {
    /// Opens the ledger in `data_dir`; makes it if it is not there.
    ///
    /// # Errors
    /// If the file cannot be made or was written by another version of this program.
    pub fn open(data_dir: &Path) -> Result<Self, LedgerError> {
        let path = data_dir.join(LEDGER_FILE);
        let mut connection = sqlite::open_writer(&path, WriterOptions::DURABLE)?;
        let creation = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut found = creation.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found == 0 {
            creation.execute_batch(SCHEMA)?;
            creation.pragma_update(None, "user_version", VERSION)?;
            found = VERSION;
        }
        creation.commit()?;
        if found != VERSION {
            return Err(LedgerError::OtherLayout { found });
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Opens the ledger in `data_dir` for looking; nothing if no gateway has made one.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub fn open_reader(data_dir: &Path) -> Result<Option<Self>, LedgerError> {
        let path = data_dir.join(LEDGER_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let connection = sqlite::open_reader(&path)?;
        Ok(Some(Self { connection: Arc::new(Mutex::new(connection)) }))
    }

    /// How far a webhook is; nothing if it has not begun.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn progress(&self, id: WebhookId) -> Result<Option<Progress>, LedgerError> {
        let select = "SELECT cursor, attempts, first_attempt_at, dropped, retries FROM progress WHERE webhook_id = ?1";
        let connection = lock(&self.connection);
        let found = connection.prepare_cached(select)?.query_row([id.0], |row| {
            let first: i64 = row.get(2)?;
            Ok(Progress {
                cursor: Cursor(row.get::<_, i64>(0)?.cast_unsigned()),
                attempts: row.get(1)?,
                first_attempt_at: (first != 0).then(|| from_stored(first)),
                dropped: row.get::<_, i64>(3)?.cast_unsigned(),
                retries: row.get(4)?,
            })
        });
        Ok(found.optional()?)
    }

    /// A webhook begins behind `after`, unless it has begun already.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn begin(&self, id: WebhookId, after: Cursor) -> Result<(), LedgerError> {
        let insert =
            "INSERT INTO progress VALUES (?1, ?2, 0, 0, 0, 0) ON CONFLICT (webhook_id) DO NOTHING";
        self.change(|change| change.execute(insert, params![id.0, after.0.cast_signed()]).map(drop))
    }

    /// What comes next is what follows `cursor`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn advance(&self, id: WebhookId, cursor: Cursor) -> Result<(), LedgerError> {
        self.change(|change| advance(change, id, cursor))
    }

    /// The event that comes next could not be delivered so often, for the first time at `first`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn failed(&self, id: WebhookId, attempts: u32, first: Time) -> Result<(), LedgerError> {
        let update =
            "UPDATE progress SET attempts = ?2, first_attempt_at = ?3 WHERE webhook_id = ?1";
        self.change(|change| {
            change.execute(update, params![id.0, attempts, to_stored(first)]).map(drop)
        })
    }

    /// The event that comes next is given up; what follows it comes next. The oldest dead letters beyond `limit` are
    /// dropped. Returns how many were.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn bury(
        &self,
        id: WebhookId,
        letter: &DeadLetter,
        limit: usize,
    ) -> Result<u64, LedgerError> {
        let insert = "INSERT OR REPLACE INTO dead VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let trim = "DELETE FROM dead WHERE webhook_id = ?1 AND cursor IN (SELECT cursor FROM dead \
             WHERE webhook_id = ?1 ORDER BY cursor DESC LIMIT -1 OFFSET ?2)";
        let count = "UPDATE progress SET dropped = dropped + ?2 WHERE webhook_id = ?1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.change(|change| {
            change.prepare_cached(insert)?.execute(params![
                id.0,
                letter.cursor.0.cast_signed(),
                letter.message_id,
                letter.attempts,
                to_stored(letter.died_at),
                letter.cause,
                letter.due,
            ])?;
            let dropped = change.prepare_cached(trim)?.execute(params![id.0, limit])? as u64;
            change.execute(count, params![id.0, dropped.cast_signed()])?;
            advance(change, id, letter.cursor)?;
            Ok(dropped)
        })
    }

    /// Heeds the `retries`th request for another try: every dead letter is due, and what waits is as if untried.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn revive(&self, id: WebhookId, retries: u32) -> Result<(), LedgerError> {
        let heed = "UPDATE progress SET retries = ?2, attempts = 0, first_attempt_at = 0 WHERE webhook_id = ?1";
        self.change(|change| {
            change.execute(heed, params![id.0, retries])?;
            change.execute("UPDATE dead SET due = 1 WHERE webhook_id = ?1", [id.0]).map(drop)
        })
    }

    /// The oldest dead letter that is due.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn due(&self, id: WebhookId) -> Result<Option<DeadLetter>, LedgerError> {
        Ok(self.letters(id, "AND due = 1 ORDER BY cursor LIMIT 1")?.pop())
    }

    /// A dead letter was delivered after all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delivered(&self, id: WebhookId, cursor: Cursor) -> Result<(), LedgerError> {
        let delete = "DELETE FROM dead WHERE webhook_id = ?1 AND cursor = ?2";
        self.change(|change| {
            change.execute(delete, params![id.0, cursor.0.cast_signed()]).map(drop)
        })
    }

    /// A dead letter could not be delivered once more: it waits for the next request.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn died_again(&self, id: WebhookId, letter: &DeadLetter) -> Result<(), LedgerError> {
        let update = "UPDATE dead SET due = 0, attempts = ?3, died_at = ?4, cause = ?5 \
             WHERE webhook_id = ?1 AND cursor = ?2";
        let cursor = letter.cursor.0.cast_signed();
        let died_at = to_stored(letter.died_at);
        self.change(|change| {
            change
                .execute(update, params![id.0, cursor, letter.attempts, died_at, letter.cause])
                .map(drop)
        })
    }

    /// Every dead letter of a webhook, the oldest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn dead(&self, id: WebhookId) -> Result<Vec<DeadLetter>, LedgerError> {
        self.letters(id, "ORDER BY cursor")
    }

    /// Forgets every webhook that is not among `known`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep_only(&self, known: &[WebhookId]) -> Result<(), LedgerError> {
        self.change(|change| {
            let mut statement = change.prepare("SELECT webhook_id FROM progress")?;
            let ids = statement.query_map([], |row| Ok(WebhookId(row.get(0)?)))?;
            for id in ids.collect::<Result<Vec<_>, _>>()? {
                if !known.contains(&id) {
                    change.execute("DELETE FROM progress WHERE webhook_id = ?1", [id.0])?;
                }
            }
            Ok(())
        })
    }

    fn letters(&self, id: WebhookId, rest: &str) -> Result<Vec<DeadLetter>, LedgerError> {
        let select = format!(
            "SELECT cursor, message_id, attempts, died_at, cause, due FROM dead WHERE webhook_id = ?1 {rest}"
        );
        let connection = lock(&self.connection);
        let mut statement = connection.prepare_cached(&select)?;
        let letters = statement.query_map([id.0], read_letter)?;
        Ok(letters.collect::<Result<_, _>>()?)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changed = change(&transaction)?;
        transaction.commit()?;
        Ok(changed)
    }
}

fn advance(change: &Transaction<'_>, id: WebhookId, cursor: Cursor) -> rusqlite::Result<()> {
    let update = "UPDATE progress SET cursor = max(cursor, ?2), attempts = 0, first_attempt_at = 0 \
         WHERE webhook_id = ?1";
    change.prepare_cached(update)?.execute(params![id.0, cursor.0.cast_signed()]).map(drop)
}

fn read_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        cursor: Cursor(row.get::<_, i64>(0)?.cast_unsigned()),
        message_id: row.get(1)?,
        attempts: row.get(2)?,
        died_at: from_stored(row.get(3)?),
        cause: row.get(4)?,
        due: row.get(5)?,
    })
}

fn to_stored(time: Time) -> i64 {
    i64::try_from(time.to_millis().0).unwrap_or(i64::MAX)
}

fn from_stored(millis: i64) -> Time {
    Time(u64::try_from(millis).unwrap_or_default().saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: WebhookId = WebhookId([1; 16]);

    fn letter(cursor: u64) -> DeadLetter {
        DeadLetter {
            cursor: Cursor(cursor),
            message_id: format!("{cursor:032x}"),
            attempts: 3,
            died_at: Time(7_000),
            cause: "rejected".to_owned(),
            due: false,
        }
    }

    #[test]
    fn place_and_failures_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.progress(ID).unwrap(), None);
        ledger.begin(ID, Cursor(4)).unwrap();
        ledger.advance(ID, Cursor(9)).unwrap();
        ledger.failed(ID, 2, Time(5_000)).unwrap();
        drop(ledger);
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.begin(ID, Cursor(4)).unwrap();
        let progress = ledger.progress(ID).unwrap().unwrap();
        assert_eq!((progress.cursor, progress.attempts), (Cursor(9), 2));
        assert_eq!(progress.first_attempt_at, Some(Time(5_000)));
        ledger.advance(ID, Cursor(10)).unwrap();
        let progress = ledger.progress(ID).unwrap().unwrap();
        assert_eq!((progress.attempts, progress.first_attempt_at), (0, None));
    }

    #[test]
    fn dead_letters_are_bounded_and_the_oldest_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.begin(ID, Cursor(0)).unwrap();
        let dropped: u64 = (1..=5).map(|cursor| ledger.bury(ID, &letter(cursor), 3).unwrap()).sum();
        assert_eq!(dropped, 2);
        assert_eq!(ledger.dead(ID).unwrap(), [letter(3), letter(4), letter(5)]);
        let progress = ledger.progress(ID).unwrap().unwrap();
        assert_eq!((progress.cursor, progress.dropped), (Cursor(5), 2));
    }

    #[test]
    fn dead_letters_come_back_once_for_each_request() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.begin(ID, Cursor(0)).unwrap();
        for cursor in 1..=2 {
            ledger.bury(ID, &letter(cursor), 9).unwrap();
        }
        assert_eq!(ledger.due(ID).unwrap(), None);
        ledger.revive(ID, 1).unwrap();
        assert_eq!(ledger.due(ID).unwrap().unwrap().cursor, Cursor(1));
        ledger.delivered(ID, Cursor(1)).unwrap();
        ledger.died_again(ID, &DeadLetter { attempts: 4, ..letter(2) }).unwrap();
        assert_eq!(ledger.due(ID).unwrap(), None);
        assert_eq!(ledger.dead(ID).unwrap(), [DeadLetter { attempts: 4, ..letter(2) }]);
        assert_eq!(ledger.progress(ID).unwrap().unwrap().retries, 1);
    }

    #[test]
    fn a_webhook_that_was_removed_is_forgotten_with_its_dead_letters() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.begin(ID, Cursor(0)).unwrap();
        ledger.bury(ID, &letter(1), 9).unwrap();
        ledger.keep_only(&[ID]).unwrap();
        assert_eq!(ledger.dead(ID).unwrap().len(), 1);
        ledger.keep_only(&[]).unwrap();
        assert_eq!(ledger.progress(ID).unwrap(), None);
        assert_eq!(ledger.dead(ID).unwrap(), []);
    }
}
