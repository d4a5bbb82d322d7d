//! Keeps the memory of a running gateway equal to `registry.db`.
//!
//! A [`Watcher`] only reads. It asks SQLite whether anybody committed, which costs next to nothing, and then takes the
//! rows whose revision is newer than what it has seen: an import of a thousand devices into a million costs a
//! thousand rows. It has no timer and no thread of its own; whoever owns it calls [`Watcher::poll`] from a thread that
//! may block.

use std::path::Path;
use std::sync::Arc;

use pipeline::DeviceIndex;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::watch;

use super::store::{
    REGISTRY_FILE, Store, StoreError, read_identity, read_operator, read_origin, read_subscriber,
    read_webhooks,
};
use super::{Device, Operator, Operators, Registry, Subscriber, Subscribers, TokenHash, Webhook};
use crate::sqlite;

/// What a poll brought into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Devices enrolled, changed or revoked.
    pub devices: u64,
    /// Whether subscribers, operators and webhooks were read again.
    pub tokens: bool,
}

/// Reads what is new in `registry.db`.
#[derive(Debug)]
pub struct Watcher {
    connection: Connection,
    registry: Arc<Registry>,
    subscribers: Arc<Subscribers>,
    operators: Arc<Operators>,
    webhooks: watch::Sender<Vec<Arc<Webhook>>>,
    /// What `PRAGMA data_version` said when the file was last read.
    data_version: Option<i64>,
    /// Everything up to here is in memory.
    revision: i64,
}

/// A registry in memory, and what keeps it up to date.
#[derive(Debug)]
pub struct Loaded {
    /// The devices.
    pub registry: Arc<Registry>,
    /// The subscribers.
    pub subscribers: Arc<Subscribers>,
    /// The operators.
    pub operators: Arc<Operators>,
    /// The webhooks, the oldest first.
    pub webhooks: watch::Receiver<Vec<Arc<Webhook>>>,
    /// To be polled as often as changes should count.
    pub watcher: Watcher,
}

/// Reads the whole registry in `data_dir` into memory; makes `registry.db` if it is not there.
///
/// # Errors
/// If the file cannot be made or read, or holds a row that is no device.
pub fn load(data_dir: &Path) -> Result<Loaded, StoreError> {
    let devices = Store::open(data_dir)?.device_count()?;
    load_from(data_dir, usize::try_from(devices).unwrap_or(0))
}

/// The devices of the registry in `data_dir`, once. Nothing is written, so there must be one.
///
/// # Errors
/// If the file is not there or cannot be read, or holds a row that is no device.
pub fn read(data_dir: &Path) -> Result<Arc<Registry>, StoreError> {
    Ok(load_from(data_dir, 0)?.registry)
}

fn load_from(data_dir: &Path, devices: usize) -> Result<Loaded, StoreError> {
    let registry = Arc::new(Registry::with_capacity(devices));
    let subscribers = Arc::new(Subscribers::default());
    let operators = Arc::new(Operators::default());
    let (webhooks_sender, webhooks) = watch::channel(vec![]);
    let connection = sqlite::open_reader(&data_dir.join(REGISTRY_FILE))?;
    let mut watcher = Watcher {
        connection,
        registry: Arc::clone(&registry),
        subscribers: Arc::clone(&subscribers),
        operators: Arc::clone(&operators),
        webhooks: webhooks_sender,
        data_version: None,
        revision: -1,
    };
    watcher.poll()?;
    Ok(Loaded { registry, subscribers, operators, webhooks, watcher })
}

impl Watcher {
    /// Brings into memory what was committed since the last call.
    ///
    /// # Errors
    /// If the file cannot be read. Memory is then as it was, or partly newer; the next call reads the same rows again.
    pub fn poll(&mut self) -> Result<Changes, StoreError> {
        // Read before the rows: a commit in between is then seen by the next call, at the price of one empty read.
        let data_version =
            self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if self.data_version == Some(data_version) {
            return Ok(Changes::default());
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let revision =
            transaction.query_row("SELECT revision FROM registry", [], |row| row.get(0))?;
        let mut changes = Changes::default();
        if revision != self.revision {
            changes.devices = read_devices(&transaction, self.revision, &self.registry)?;
            self.subscribers.replace(read_subscribers(&transaction)?);
            self.operators.replace(read_operators(&transaction)?);
            let webhooks: Vec<_> = read_webhooks(&transaction)?.into_iter().map(Arc::new).collect();
            self.webhooks.send_if_modified(|known| {
                let changed = *known != webhooks;
                *known = webhooks;
                changed
            });
            changes.tokens = true;
        }
        transaction.finish()?;
        self.data_version = Some(data_version);
        self.revision = revision;
        Ok(changes)
    }
}

fn read_devices(
    transaction: &Transaction<'_>,
    after: i64,
    registry: &Registry,
) -> Result<u64, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT device_index, device_id, algorithm, public_key, lat_e7, lon_e7, revoked_at IS NOT NULL, owner_id, \
         batch_id, enrolled_at, vouched FROM device WHERE revision > ?1",
    )?;
    let mut rows = statement.query([after])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let (index, id, key, site) = read_identity(row)?;
        let revoked = row.get(6)?;
        let enrolment = read_origin(row, 7, index)?;
        registry.put(id, &Device { index: DeviceIndex(index), key, revoked, site, enrolment });
        count += 1;
    }
    if count > 0 {
        registry.name_batches(read_batches(transaction)?);
    }
    Ok(count)
}

/// The names of the batches, by their numbers, which are dense.
fn read_batches(transaction: &Transaction<'_>) -> Result<Vec<Arc<str>>, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT name FROM batch ORDER BY batch_id")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0).map(Arc::from))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn read_subscribers(
    transaction: &Transaction<'_>,
) -> Result<Vec<(TokenHash, Subscriber)>, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT subscriber_id, expires_at, agencies, categories, coarse, token_sha256 FROM subscriber",
    )?;
    let mut rows = statement.query([])?;
    let mut subscribers = vec![];
    while let Some(row) = rows.next()? {
        subscribers.push((TokenHash(row.get(5)?), read_subscriber(transaction, row)?));
    }
    Ok(subscribers)
}

fn read_operators(transaction: &Transaction<'_>) -> Result<Vec<(TokenHash, Operator)>, StoreError> {
    let select =
        "SELECT name, role, expires_at, agencies, categories, coarse, token_sha256 FROM operator";
    let mut statement = transaction.prepare_cached(select)?;
    let mut rows = statement.query([])?;
    let mut operators = vec![];
    while let Some(row) = rows.next()? {
        operators.push((TokenHash(row.get(6)?), read_operator(transaction, row)?));
    }
    Ok(operators)
}

#[cfg(test)]
mod tests {
    use pipeline::Time;
    use protocol::{Algorithm, DeviceId};

    use super::super::store::Enrolment;
    use super::super::{DeviceKey, Limits, Sight, SubscriberId, TokenError};
    use super::*;

    fn enrolment(id: u8) -> Enrolment<'static> {
        let key = DeviceKey::EdDsa([id; 32]);
        Enrolment {
            id: DeviceId([id; 16]),
            key,
            label: None,
            owner: None,
            batch: None,
            site: None,
            vouched: false,
        }
    }

    #[test]
    fn an_empty_folder_loads_as_an_empty_registry() {
        let folder = tempfile::tempdir().unwrap();
        let mut loaded = load(folder.path()).unwrap();
        assert!(loaded.registry.is_empty());
        assert!(loaded.subscribers.is_empty());
        assert_eq!(loaded.watcher.poll().unwrap(), Changes::default());
    }

    #[test]
    fn what_was_enrolled_before_is_loaded_with_dense_indices() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        for id in [9, 4, 7] {
            store.add(&enrolment(id), Time(0)).unwrap();
        }
        store.revoke(DeviceId([4; 16]), Time(1)).unwrap();
        let loaded = load(folder.path()).unwrap();
        let get = |id: u8| loaded.registry.get(&DeviceId([id; 16])).unwrap();
        let indices = [9, 4, 7].map(|id| get(id).index.0);
        assert_eq!(indices, [0, 1, 2]);
        assert_eq!([9, 4, 7].map(|id| get(id).revoked), [false, true, false]);
        assert_eq!(get(9).algorithm(), Algorithm::EdDsa);
    }

    #[test]
    fn a_poll_brings_only_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        for id in 0..10 {
            store.add(&enrolment(id), Time(0)).unwrap();
        }
        let mut loaded = load(folder.path()).unwrap();
        store.add(&enrolment(100), Time(0)).unwrap();
        store.revoke(DeviceId([3; 16]), Time(1)).unwrap();
        assert_eq!(loaded.watcher.poll().unwrap(), Changes { devices: 2, tokens: true });
        assert_eq!(loaded.watcher.poll().unwrap(), Changes::default());
        assert_eq!(loaded.registry.index_of(&DeviceId([100; 16])), Some(DeviceIndex(10)));
        assert!(loaded.registry.get(&DeviceId([3; 16])).unwrap().revoked);
        // What changes nothing is no change.
        store.add(&enrolment(100), Time(5)).unwrap();
        store.revoke(DeviceId([3; 16]), Time(5)).unwrap();
        assert_eq!(loaded.watcher.poll().unwrap(), Changes::default());
    }

    #[test]
    fn tokens_come_and_go_while_the_gateway_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut loaded = load(folder.path()).unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let id = SubscriberId([5; 16]);
        let zones = vec![pipeline::ZoneId::new("klojen"), pipeline::ZoneId::new("sukun")];
        let limits = Limits { sight: Sight::Coarse, ..Limits::default() };
        let subscriber = Subscriber { id, zones, limits, expires_at: Time(2_000_000) };
        store.add_subscriber(&subscriber, TokenHash::of("secret"), Time(0)).unwrap();
        assert_eq!(loaded.subscribers.authenticate("secret", Time(0)), Err(TokenError::Unknown));
        loaded.watcher.poll().unwrap();
        let found = loaded.subscribers.authenticate("secret", Time(0)).unwrap();
        assert_eq!(*found, subscriber);
        let operator = Operator {
            name: Arc::from("siti"),
            role: super::super::Role::Supervisor,
            zones: subscriber.zones.clone(),
            limits: Limits {
                agencies: pipeline::Agencies::NONE.with(pipeline::Agency::Fire),
                categories: [protocol::Category::Fire].into_iter().collect(),
                sight: Sight::Coarse,
            },
            expires_at: Time(2_000_000),
        };
        store.add_operator(&operator, TokenHash::of("siti's"), Time(0)).unwrap();
        let again = store.add_operator(&operator, TokenHash::of("other"), Time(0));
        assert!(matches!(again, Err(StoreError::OperatorExists(_))));
        loaded.watcher.poll().unwrap();
        assert_eq!(*loaded.operators.authenticate("siti's", Time(0)).unwrap(), operator);
        let listed = store.operators().unwrap();
        assert_eq!(listed, [(operator, Time(0))]);
        store.remove_operator("siti").unwrap();
        assert!(matches!(store.remove_operator("siti"), Err(StoreError::UnknownOperator(_))));
        store.remove_subscriber(id).unwrap();
        loaded.watcher.poll().unwrap();
        assert!(loaded.operators.is_empty());
        let found = loaded.subscribers.authenticate("secret", Time(0));
        assert_eq!(found, Err(TokenError::Unknown));
    }

    #[test]
    fn an_open_change_blocks_no_poll_and_is_not_seen_before_its_commit() {
        let folder = tempfile::tempdir().unwrap();
        let mut loaded = load(folder.path()).unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let transaction = store.change().unwrap();
        super::super::store::Enroller::begin(&transaction, Time(0))
            .unwrap()
            .enrol(&enrolment(1))
            .unwrap();
        assert_eq!(loaded.watcher.poll().unwrap(), Changes::default());
        // Nor does it block a gateway that starts, or a command that lists.
        assert!(load(folder.path()).unwrap().registry.is_empty());
        transaction.commit().unwrap();
        assert_eq!(loaded.watcher.poll().unwrap().devices, 1);
    }

    #[test]
    fn a_damaged_row_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.add(&enrolment(1), Time(0)).unwrap();
        store.connection.execute("UPDATE device SET public_key = x'00'", []).unwrap();
        assert!(matches!(
            load(folder.path()),
            Err(StoreError::Damaged { index: 0, what: "public_key" })
        ));
    }
}
