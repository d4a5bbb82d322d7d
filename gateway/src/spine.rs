//! The path of an alert, from the socket to the index: its rooms, started in order and stopped in order.

use std::io;
use std::path::Path;
use std::sync::Arc;

use pipeline::policy::HORIZON_MAX;
use pipeline::{Cursor, Desk, DeskConfig};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::interval;

use crate::config::{Config, DeskLimits};
use crate::desk::{self, Decisions, DeskHandle, DeskParts, InForce, RecallError, Sources};
use crate::feed::Heads;
use crate::hints::Hints;
use crate::identity::Identity;
use crate::intake::{self, Drops, Proven, Receipts, Shard, ShardParts, Strangers, TransportError};
use crate::journal::{Journal, JournalError, Reader, Writer, WriterHandle};
use crate::ready::{JOURNAL_FILE, SEARCH_FILE};
use crate::registry::Registry;
use crate::search::{self, Indexer, IndexerHandle, Lookup};
use crate::serve::{METRICS_UPKEEP, ServeError};

/// The running rooms.
pub(crate) struct Spine {
    pub(crate) shard: Shard,
    desk: DeskHandle,
    pub(crate) indexer: IndexerHandle,
    pub(crate) heads: Arc<Heads>,
    pub(crate) decisions: Decisions,
    stopping: watch::Sender<bool>,
    pub(crate) failure: watch::Receiver<Option<Arc<JournalError>>>,
}

/// The desk with everything beneath it, and the shard's way to it.
struct Below {
    desk: DeskHandle,
    decisions: Decisions,
    hints: Arc<Hints>,
    lane: mpsc::Sender<Proven>,
    receipts: mpsc::UnboundedReceiver<Receipts>,
}

impl Spine {
    pub(crate) fn start(
        config: &Config,
        identity: &Identity,
        registry: &Arc<Registry>,
        in_force: InForce,
        runtime: &Runtime,
    ) -> Result<Self, ServeError> {
        let (socket, server) = listen(config, identity)?;
        let strangers = Arc::new(Strangers::new(&config.strangers, identity.address_key));
        runtime.spawn(watch_strangers(Arc::clone(&strangers), Drops::of(&socket)));
        let journal_path = config.data_dir.join(JOURNAL_FILE);
        let search_path = config.data_dir.join(SEARCH_FILE);
        let journal = Journal::open(&journal_path, &config.journal)?;
        let journaled = journal.last();
        let heads = Heads::new(&config.feed, journaled);
        let pushed = Arc::clone(&heads);
        let writer = Writer::spawn(journal, move |entries| pushed.push(entries))?;
        let failure = writer.failure();
        let indexer = Indexer::spawn(&journal_path, &search_path, &config.search, writer.synced())?;
        runtime.block_on(indexed_enough(&indexer, journaled, &config.desk))?;
        let below = start_desk(config, registry, in_force, writer, journaled, indexer.indexed())?;
        let Below { desk, decisions, hints, lane, receipts } = below;
        let (stopping, stopping_shard) = watch::channel(false);
        let shard = Shard::spawn(ShardParts {
            realm: identity.realm,
            config: config.alert.clone(),
            socket,
            server,
            registry: Arc::clone(registry),
            hints,
            strangers,
            strangers_config: config.strangers.clone(),
            lanes: config.lanes.clone(),
            lane,
            receipts,
            stopping: stopping_shard,
            drain_timeout: config.drain_timeout,
        })?;
        Ok(Self { shard, desk, indexer, heads, decisions, stopping, failure })
    }

    /// Takes nothing more and finishes what was taken, room by room. The last cursor that is on disk.
    pub(crate) fn stop(self) -> Result<Cursor, ServeError> {
        self.stopping.send_replace(true);
        self.shard.join();
        let writer = self.desk.join().ok_or_else(|| io::Error::other("the desk panicked"))?;
        let last = writer.close().map_err(ServeError::JournalFailed)?;
        if let Err(error) = self.indexer.close() {
            tracing::warn!(%error, "the index stopped early; it is filled at the next start");
        }
        Ok(last)
    }
}

/// Tells the desk of the past and starts it.
fn start_desk(
    config: &Config,
    registry: &Arc<Registry>,
    in_force: InForce,
    writer: WriterHandle,
    journaled: Cursor,
    indexed: watch::Receiver<Cursor>,
) -> Result<Below, ServeError> {
    let limits = DeskConfig {
        remembered_max: config.desk.remembered_max,
        in_hand_max: config.desk.unsynced_max,
        ..DeskConfig::default()
    };
    let zones = Arc::clone(&in_force.zones.borrow());
    let policy = Arc::clone(&in_force.policy.borrow());
    let mut desk = Desk::new(limits, zones, policy, journaled);
    let hints = Arc::new(Hints::default());
    let search_path = config.data_dir.join(SEARCH_FILE);
    let lookup = Lookup::open(&search_path)?;
    let mut reader = Reader::open(&config.data_dir.join(JOURNAL_FILE))?;
    let mut sources = Sources {
        lookup: &lookup,
        reader: &mut reader,
        registry,
        hints: hints.as_ref(),
        routing: Arc::clone(&in_force.routing.borrow()),
    };
    let wanted = desk::recall(&mut desk, HORIZON_MAX, &mut sources)
        .inspect_err(|error| discard_if_damaged(error, &search_path))?;
    // A batch that is not full takes the place of one that is, so the lane never holds more than it may.
    let (lane, arrivals) = mpsc::channel(config.desk.lane_len.div_ceil(intake::BATCH_MAX));
    let (answers, receipts) = mpsc::unbounded_channel();
    let (decisions, asked) = desk::decisions(limits.decisions_max);
    let desk = desk::spawn(DeskParts {
        desk,
        wanted,
        lane: arrivals,
        receipts: vec![answers],
        writer,
        indexed,
        lookup,
        reader,
        registry: Arc::clone(registry),
        hints: Arc::clone(&hints),
        asked,
        in_hand_max: limits.in_hand_max,
        decisions_max: limits.decisions_max,
        in_force,
    })?;
    Ok(Below { desk, decisions, hints, lane, receipts })
}

/// The socket that devices are heard on, and how it speaks.
fn listen(
    config: &Config,
    identity: &Identity,
) -> Result<(std::net::UdpSocket, quinn::ServerConfig), TransportError> {
    let (chain, key) = (identity.certificate_chain.clone(), identity.private_key.clone_key());
    let server = intake::server_config(&config.alert, &config.strangers, chain, key)?;
    Ok((intake::bind(&config.alert)?, server))
}

/// Tells how full the table of addresses is, and what the system dropped before it could be read.
async fn watch_strangers(strangers: Arc<Strangers>, mut drops: Drops) {
    let mut ticks = interval(METRICS_UPKEEP);
    loop {
        ticks.tick().await;
        strangers.measure();
        drops = match tokio::task::spawn_blocking(move || drops.measured()).await {
            Ok(drops) => drops,
            Err(_) => return,
        };
    }
}

/// Waits until what the index lacks fits into the desk's memory: at once, unless the index is being built anew.
async fn indexed_enough(
    indexer: &IndexerHandle,
    journaled: Cursor,
    limits: &DeskLimits,
) -> Result<(), ServeError> {
    let lag_max = u64::try_from(limits.remembered_max / 2).unwrap_or(u64::MAX);
    let enough = Cursor(journaled.0.saturating_sub(lag_max));
    let mut indexed = indexer.indexed();
    if *indexed.borrow() < enough {
        tracing::warn!(records = enough.0, "nothing is received until the index is built");
    }
    if indexed.wait_for(|indexed| *indexed >= enough).await.is_err() {
        let failed = indexer.failure().borrow().clone();
        return failed.map_or(Ok(()), |error| Err(ServeError::IndexFailed(error)));
    }
    Ok(())
}

/// An index that cannot be read at a start is removed, so that the next start builds it again.
fn discard_if_damaged(error: &RecallError, search: &Path) {
    if let RecallError::Search(damage) = error
        && damage.is_damage()
        && let Err(error) = search::discard(search)
    {
        tracing::error!(%error, "remove the index by hand");
    }
}
