//! `registry.db`: the devices and subscribers of a deployment, as the command line changes them.
//!
//! Every change is one transaction with a revision of its own, on disk when the call returns. A server that runs is
//! never blocked: it only reads, and readers of a WAL do not wait. Two commands at one time wait for each other.

use std::path::Path;
use std::time::Duration;

use pipeline::{BatchIndex, Enrolment as Origin, OwnerIndex, Time};
use protocol::{Algorithm, DeviceId, Position};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::device::site_at;
use super::{DeviceKey, SubscriberId, WebhookId};
use crate::sqlite::{self, OpenError, WriterOptions};

/// Name of the file in the data directory.
pub const REGISTRY_FILE: &str = "registry.db";

/// The layout that this program reads and writes.
const VERSION: i64 = 4;

const SCHEMA: &str = include_str!("schema.sql");

/// An import of a million devices keeps other commands waiting for less than this.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// The devices and subscribers on disk.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
}

/// Why the registry could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite failed: the disk is full, the file damaged, or another command held it for a minute.
    #[error("registry.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file was written by another version of this program. Use that one, or enrol into an empty folder.
    #[error("registry.db has layout {found}, but this program knows {VERSION}")]
    OtherLayout {
        /// The layout of the file.
        found: i64,
    },
    /// A row holds what no enrolment writes. Restore the file.
    #[error("registry.db is damaged: device {index} has no valid {what}")]
    Damaged {
        /// The row.
        index: i64,
        /// The column.
        what: &'static str,
    },
    /// There are as many devices as can be numbered.
    #[error("registry.db is full")]
    Full,
    /// No such device is enrolled. Check the id.
    #[error("device {0} is not enrolled")]
    UnknownDevice(DeviceId),
    /// The id stands for another key. A new key needs a new id.
    #[error("device {0} is enrolled with another key; a new key is a new device id")]
    OtherKey(DeviceId),
    /// Somebody has this name already. Remove them first, or take another name: it stands in every decision.
    #[error("there is an operator {0:?} already; `gateway operator remove` ends a token")]
    OperatorExists(String),
    /// No such operator. Check the name.
    #[error("there is no operator {0:?}")]
    UnknownOperator(String),
    /// A row holds a role or a limit that no version of this program writes. Restore the file.
    #[error("registry.db is damaged: operator {0:?} has no valid role or limits")]
    DamagedOperator(String),
    /// A row holds a limit that no version of this program writes. Restore the file.
    #[error("registry.db is damaged: subscriber {0} has no valid limits")]
    DamagedSubscriber(SubscriberId),
    /// No such subscriber. Check the id.
    #[error("there is no subscriber {0}")]
    UnknownSubscriber(SubscriberId),
    /// No such webhook. Check the id.
    #[error("there is no webhook {0}")]
    UnknownWebhook(WebhookId),
    /// A gateway serves so many. Remove one, or write a larger `webhook.targets_max`.
    #[error("there are {0} webhooks already, as many as webhook.targets_max allows")]
    WebhooksFull(usize),
    /// A row holds agencies, categories or a format that no version of this program writes. Restore the file.
    #[error("registry.db is damaged: webhook {0} has no valid agencies, categories or format")]
    DamagedWebhook(WebhookId),
}

/// What is stated about a device at its enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolment<'a> {
    /// Its id, random.
    pub id: DeviceId,
    /// Its key.
    pub key: DeviceKey,
    /// For people.
    pub label: Option<&'a str>,
    /// Whose it is, by a name. Devices of one name have one owner: they cannot confirm each other's alerts.
    pub owner: Option<&'a str>,
    /// The delivery that it came in.
    pub batch: Option<&'a str>,
    /// Where it is mounted.
    pub site: Option<Position>,
    /// Somebody answers for it: it has no time on probation. Once said of a device it stays.
    pub vouched: bool,
}

/// What an enrolment changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolled {
    /// The device is new.
    Added,
    /// The device was known by this key; what is stated about it changed.
    Updated,
    /// Everything stated was known.
    Unchanged,
}

/// A device as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: DeviceId,
    /// Its key.
    pub key: DeviceKey,
    /// For people.
    pub label: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// The delivery that it came in.
    pub batch: Option<String>,
    /// Where it is mounted.
    pub site: Option<Position>,
    /// Whether somebody answers for it.
    pub vouched: bool,
    /// When it was enrolled.
    pub enrolled_at: Time,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Time>,
}

impl Store {
    /// Opens the registry in `data_dir`; makes it if it is not there.
    ///
    /// # Errors
    /// If the file cannot be made, is no registry, or was written by another version of this program.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let options = WriterOptions { busy_timeout: BUSY_TIMEOUT, ..WriterOptions::DURABLE };
        let mut connection = sqlite::open_writer(&data_dir.join(REGISTRY_FILE), options)?;
        // Only a file without a layout is locked, so that nobody waits for an import just to read.
        if version_of(&connection)? == 0 {
            let creation = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if version_of(&creation)? == 0 {
                creation.execute_batch(SCHEMA)?;
                creation.pragma_update(None, "user_version", VERSION)?;
            }
            creation.commit()?;
        }
        let found = version_of(&connection)?;
        if found != VERSION {
            return Err(StoreError::OtherLayout { found });
        }
        Ok(Self { connection })
    }

    /// Opens the registry in `data_dir` for looking. There must be one.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open_reader(data_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: sqlite::open_reader(&data_dir.join(REGISTRY_FILE))? })
    }

    /// How many devices are enrolled.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn device_count(&self) -> Result<u64, StoreError> {
        let next: i64 = self.connection.query_row(NEXT_INDEX, [], |row| row.get(0))?;
        Ok(u64::try_from(next).unwrap_or_default())
    }

    /// Enrols one device.
    ///
    /// # Errors
    /// If its id stands for another key, or if the file cannot be written. Nothing is changed then.
    pub fn add(&mut self, device: &Enrolment<'_>, now: Time) -> Result<Enrolled, StoreError> {
        let transaction = self.change()?;
        let mut enroller = Enroller::begin(&transaction, now)?;
        let enrolled = enroller.enrol(device)?;
        if enrolled != Enrolled::Unchanged {
            transaction.commit()?;
        }
        Ok(enrolled)
    }

    /// Revokes a device. Returns whether it was in good standing before.
    ///
    /// # Errors
    /// If it is not enrolled, or if the file cannot be written.
    pub fn revoke(&mut self, id: DeviceId, now: Time) -> Result<bool, StoreError> {
        let transaction = self.change()?;
        let find = "SELECT revoked_at IS NULL FROM device WHERE device_id = ?1";
        let good = transaction.query_row(find, [id.0], |row| row.get(0)).optional()?;
        let good: bool = good.ok_or(StoreError::UnknownDevice(id))?;
        if good {
            let revision = advance(&transaction)?;
            let update = "UPDATE device SET revoked_at = ?2, revision = ?3 WHERE device_id = ?1";
            transaction.execute(update, params![id.0, to_stored(now), revision])?;
            transaction.commit()?;
        }
        Ok(good)
    }

    /// Shows every device behind `after`, in order of enrolment, `limit` at most.
    ///
    /// # Errors
    /// If `after` is not enrolled, if the file cannot be read, or whatever `each` returns.
    pub fn list<E: From<StoreError>>(
        &self,
        after: Option<DeviceId>,
        limit: Option<u32>,
        mut each: impl FnMut(Listed) -> Result<(), E>,
    ) -> Result<(), E> {
        let after = match after {
            None => -1,
            Some(id) => {
                let find = "SELECT device_index FROM device WHERE device_id = ?1";
                let found = self.connection.query_row(find, [id.0], |row| row.get(0)).optional();
                let found: Option<i64> = found.map_err(StoreError::from)?;
                found.ok_or(StoreError::UnknownDevice(id))?
            }
        };
        let limit = limit.map_or(-1, i64::from);
        let mut statement = self.connection.prepare(LIST).map_err(StoreError::from)?;
        let mut rows = statement.query([after, limit]).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            each(read_listed(row)?)?;
        }
        Ok(())
    }

    /// What is stated about the device with this id; nothing if it is not enrolled.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn find(&self, id: DeviceId) -> Result<Option<Listed>, StoreError> {
        let mut statement = self.connection.prepare_cached(FIND)?;
        let mut rows = statement.query([id.0])?;
        rows.next()?.map(read_listed).transpose()
    }

    pub(super) fn change(&mut self) -> Result<Transaction<'_>, StoreError> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

const NEXT_INDEX: &str = "SELECT coalesce(max(device_index) + 1, 0) FROM device";

const LIST: &str = "SELECT device_index, device_id, algorithm, public_key, lat_e7, lon_e7, label, owner.name, batch.name, \
     vouched, enrolled_at, revoked_at FROM device LEFT JOIN batch USING (batch_id) LEFT JOIN owner USING (owner_id) \
     WHERE device_index > ?1 ORDER BY device_index LIMIT ?2";
const FIND: &str = "SELECT device_index, device_id, algorithm, public_key, lat_e7, lon_e7, label, owner.name, batch.name, \
     vouched, enrolled_at, revoked_at FROM device LEFT JOIN batch USING (batch_id) LEFT JOIN owner USING (owner_id) \
     WHERE device_id = ?1";

/// Enrols devices within one transaction, with one revision.
pub(super) struct Enroller<'a> {
    transaction: &'a Transaction<'a>,
    now: Time,
    revision: i64,
    next_index: i64,
    /// The last batch and its number: files are mostly sorted by batch.
    batch: Option<(String, i64)>,
}

impl<'a> Enroller<'a> {
    /// An enroller whose changes count once `transaction` is committed.
    pub(super) fn begin(transaction: &'a Transaction<'a>, now: Time) -> Result<Self, StoreError> {
        let revision = advance(transaction)?;
        let next_index = transaction.query_row(NEXT_INDEX, [], |row| row.get(0))?;
        Ok(Self { transaction, now, revision, next_index, batch: None })
    }

    /// Enrols one device.
    pub(super) fn enrol(&mut self, device: &Enrolment<'_>) -> Result<Enrolled, StoreError> {
        if u32::try_from(self.next_index).is_err() {
            return Err(StoreError::Full);
        }
        let batch = device.batch.map(|name| self.batch(name)).transpose()?;
        let owner = device.owner.map(|name| self.intern(OWNERS, name)).transpose()?;
        let (lat, lon) = device.site.map(|site| (site.lat_e7(), site.lon_e7())).unzip();
        let inserted = self
            .transaction
            .prepare_cached(
                "INSERT INTO device (device_index, device_id, algorithm, public_key, label, owner_id, batch_id, \
                 lat_e7, lon_e7, enrolled_at, vouched, revision) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (device_id) DO NOTHING",
            )?
            .execute(params![
                self.next_index,
                device.id.0,
                device.key.algorithm().cose(),
                device.key.as_bytes(),
                device.label,
                owner,
                batch,
                lat,
                lon,
                to_stored(self.now),
                device.vouched,
                self.revision,
            ])?;
        if inserted == 1 {
            self.next_index += 1;
            return Ok(Enrolled::Added);
        }
        self.update(device, owner, batch)
    }

    /// States about a known device what is stated of it; what is not stated stays.
    fn update(
        &mut self,
        device: &Enrolment<'_>,
        owner: Option<i64>,
        batch: Option<i64>,
    ) -> Result<Enrolled, StoreError> {
        let same_key = "SELECT algorithm = ?2 AND public_key = ?3 FROM device WHERE device_id = ?1";
        let same_key: bool = self.transaction.prepare_cached(same_key)?.query_row(
            params![device.id.0, device.key.algorithm().cose(), device.key.as_bytes()],
            |row| row.get(0),
        )?;
        if !same_key {
            return Err(StoreError::OtherKey(device.id));
        }
        let (lat, lon) = device.site.map(|site| (site.lat_e7(), site.lon_e7())).unzip();
        let changed = self
            .transaction
            .prepare_cached(
                "UPDATE device SET label = coalesce(?2, label), owner_id = coalesce(?3, owner_id), \
                 batch_id = coalesce(?4, batch_id), lat_e7 = coalesce(?5, lat_e7), \
                 lon_e7 = coalesce(?6, lon_e7), vouched = max(?7, vouched), revision = ?8 \
                 WHERE device_id = ?1 AND (coalesce(?2, label) IS NOT label \
                 OR coalesce(?3, owner_id) IS NOT owner_id OR coalesce(?4, batch_id) IS NOT batch_id \
                 OR coalesce(?5, lat_e7) IS NOT lat_e7 OR coalesce(?6, lon_e7) IS NOT lon_e7 \
                 OR ?7 > vouched)",
            )?
            .execute(params![
                device.id.0,
                device.label,
                owner,
                batch,
                lat,
                lon,
                device.vouched,
                self.revision
            ])?;
        Ok(if changed == 0 { Enrolled::Unchanged } else { Enrolled::Updated })
    }

    fn batch(&mut self, name: &str) -> Result<i64, StoreError> {
        if let Some((last, number)) = &self.batch
            && last == name
        {
            return Ok(*number);
        }
        let number = self.intern(BATCHES, name)?;
        self.batch = Some((name.to_owned(), number));
        Ok(number)
    }

    /// The number of this name, given to it when it is first seen.
    fn intern(&self, (insert, find): (&str, &str), name: &str) -> Result<i64, StoreError> {
        self.transaction.prepare_cached(insert)?.execute([name])?;
        Ok(self.transaction.prepare_cached(find)?.query_row([name], |row| row.get(0))?)
    }
}

/// Numbers are dense from 1: rows are never deleted, and a name that is known takes none.
const BATCHES: (&str, &str) = (
    "INSERT INTO batch (name) VALUES (?1) ON CONFLICT (name) DO NOTHING",
    "SELECT batch_id FROM batch WHERE name = ?1",
);
const OWNERS: (&str, &str) = (
    "INSERT INTO owner (name) VALUES (?1) ON CONFLICT (name) DO NOTHING",
    "SELECT owner_id FROM owner WHERE name = ?1",
);

fn version_of(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Counts this transaction as a change. Undone with it.
fn advance(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let update = "UPDATE registry SET revision = revision + 1 RETURNING revision";
    Ok(transaction.query_row(update, [], |row| row.get(0))?)
}

fn read_listed(row: &Row<'_>) -> Result<Listed, StoreError> {
    let (_, id, key, site) = read_identity(row)?;
    let revoked_at: Option<i64> = row.get(11)?;
    Ok(Listed {
        id,
        key,
        label: row.get(6)?,
        owner: row.get(7)?,
        batch: row.get(8)?,
        site,
        vouched: row.get(9)?,
        enrolled_at: from_stored(row.get(10)?),
        revoked_at: revoked_at.map(from_stored),
    })
}

/// The columns `device_index, device_id, algorithm, public_key, lat_e7, lon_e7`, checked again: a damaged file must
/// not become a device that anybody can sign for.
pub(super) fn read_identity(
    row: &Row<'_>,
) -> Result<(u32, DeviceId, DeviceKey, Option<Position>), StoreError> {
    let index: i64 = row.get(0)?;
    let damaged = |what| StoreError::Damaged { index, what };
    let number = u32::try_from(index).map_err(|_| damaged("device_index"))?;
    let algorithm = Algorithm::from_cose(row.get(2)?).ok_or_else(|| damaged("algorithm"))?;
    let key = row.get_ref(3)?.as_blob().ok().and_then(|key| DeviceKey::from_stored(algorithm, key));
    let key = key.ok_or_else(|| damaged("public_key"))?;
    let site = match (row.get::<_, Option<i32>>(4)?, row.get::<_, Option<i32>>(5)?) {
        (Some(lat), Some(lon)) => Some(site_at(lat, lon).ok_or_else(|| damaged("place"))?),
        _ => None,
    };
    Ok((number, DeviceId(row.get(1)?), key, site))
}

/// The columns `owner_id, batch_id, enrolled_at, vouched` from the column `first` on, of the device `index`.
pub(super) fn read_origin(row: &Row<'_>, first: usize, index: u32) -> Result<Origin, StoreError> {
    let number = |column: usize, what| -> Result<Option<u32>, StoreError> {
        let number: Option<i64> = row.get(column)?;
        let damaged = StoreError::Damaged { index: i64::from(index), what };
        number
            .map(|number| u32::try_from(number - 1).ok().filter(|number| *number < u32::MAX))
            .map_or(Ok(None), |number| number.map(Some).ok_or(damaged))
    };
    let enrolled_at = from_stored(row.get(first + 2)?);
    let vouched: bool = row.get(first + 3)?;
    Ok(Origin {
        owner: number(first, "owner")?.map(OwnerIndex),
        batch: number(first + 1, "batch")?.map(BatchIndex),
        // A registry that was restored by hand may state no time; it must not count as somebody's word.
        trusted_from: if vouched { Time(0) } else { enrolled_at.max(EARLIEST) },
    })
}

/// The least time that stands for itself: whole seconds are kept in memory, and 0 says that a device was vouched for.
const EARLIEST: Time = Time(1_000_000);

/// Milliseconds, as the file keeps times.
pub(super) fn to_stored(time: Time) -> i64 {
    i64::try_from(time.to_millis().0).unwrap_or(i64::MAX)
}

/// The time that the file keeps as `millis`.
pub(super) fn from_stored(millis: i64) -> Time {
    Time(u64::try_from(millis).unwrap_or_default().saturating_mul(1_000))
}

mod tokens;
mod webhooks;

pub(super) use tokens::{read_operator, read_subscriber};
pub(super) use webhooks::read_webhooks;

#[cfg(test)]
mod tests;
