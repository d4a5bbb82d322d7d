//! Starts every room in order, waits for a reason to stop, and stops them in order.
//!
//! Stopping is draining: no message is taken any more, whatever was taken gets its receipt, every synced event reaches
//! the subscribers that are connected, and only then do the doors close. A journal that fails is the one exception:
//! the process says why and ends at once, because it can promise nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use pipeline::policy::HORIZON_MAX;
use pipeline::{Cursor, Desk, DeskConfig};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::{Config, DeskLimits};
use crate::desk::{self, Decisions, DeskHandle, DeskParts, RecallError, Sources};
use crate::feed::{Feed, FeedParts, Head};
use crate::hints::Hints;
use crate::identity::{Identity, IdentityError};
use crate::intake::{self, Drops, Shard, ShardError, ShardParts, Strangers, TransportError};
use crate::journal::{Journal, JournalError, Reader, Writer};
use crate::operator::{self, OperatorParts};
use crate::ready::{JOURNAL_FILE, Ready, ReadyError, SEARCH_FILE};
use crate::registry::{self, Changes, Loaded, Registry, StoreError, Watcher};
use crate::reload::{Reload, ReloadError};
use crate::search::{self, Indexer, IndexerHandle, Lookup, SearchError};
use crate::{clock, telemetry};

/// How often histograms are told to forget.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Threads for operators and subscribers; they wait far more than they work.
const FANOUT_THREADS: usize = 2;

/// Why the gateway does not serve, or no longer does.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Realm, certificate or cursor key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The zones or the policy.
    #[error(transparent)]
    Reload(#[from] ReloadError),
    /// Devices and subscribers.
    #[error(transparent)]
    Registry(#[from] StoreError),
    /// The journal, at the start.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal, while serving. Nothing was received since: mend the disk and start again.
    #[error("the journal failed, so nothing more can be received: {0}")]
    JournalFailed(Arc<JournalError>),
    /// The index.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// What the desk must know of the past.
    #[error(transparent)]
    Recall(#[from] RecallError),
    /// The index, while serving. It was removed: start again, and it is built anew from the journal.
    #[error("the index failed, so copies can no longer be told apart: {0}")]
    IndexFailed(Arc<SearchError>),
    /// What was taken could not be finished in time. What has a receipt is on disk.
    #[error("stopping took longer than the drain timeout")]
    DrainTimeout,
    /// Socket or TLS of the intake.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The intake's thread.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The ready file.
    #[error(transparent)]
    Ready(#[from] ReadyError),
    /// The metrics recorder.
    #[error("metrics cannot be set up: {0}")]
    Telemetry(#[from] metrics_exporter_prometheus::BuildError),
    /// The operator's address.
    #[error("{address} cannot be bound: {source}")]
    OperatorAddress {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread, a runtime or a signal handler.
    #[error("the system refused a thread, a runtime or a signal handler: {0}")]
    System(#[from] io::Error),
}

/// Serves until a signal or a failed journal ends it.
///
/// # Errors
/// If it cannot start, or the journal failed.
pub fn run(config: &Config, ready_file: Option<&Path>) -> Result<(), ServeError> {
    abort_on_panic();
    let prometheus = telemetry::install()?;
    let identity = Identity::open(config)?;
    let reload = Arc::new(Reload::start(config)?);
    let enrolled = load_registry(config)?;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(FANOUT_THREADS)
        .thread_name("fan-out")
        .enable_all()
        .build()?;
    let spine = Spine::start(config, &identity, &enrolled.registry, &reload, &runtime)?;
    let feed = Feed::new(FeedParts {
        head: Arc::clone(&spine.head),
        journal: config.data_dir.join(JOURNAL_FILE),
        cursor_key: identity.cursor_key,
        zones: reload.zones(),
        subscribers: Arc::clone(&enrolled.subscribers),
        operators: Arc::clone(&enrolled.operators),
        config: config.feed.clone(),
        now: Arc::new(clock::now),
    });
    let ended = runtime.block_on(async {
        let listener = bind_operator(config).await?;
        let ready = Ready {
            alert_addr: spine.shard.address,
            operator_addr: listener.local_addr()?,
            ..Ready::of(config, &identity)
        };
        let signals = Signals::listen()?;
        let (close_operator, operator_closing) = watch::channel(false);
        let rendered = prometheus.clone();
        let parts = OperatorParts {
            listener,
            feed: Arc::clone(&feed),
            metrics: Arc::new(move || rendered.render()),
            journal_failure: spine.failure.clone(),
            decisions: spine.decisions.clone(),
            closing: operator_closing,
        };
        let operator = tokio::spawn(operator::serve(parts));
        ready.write(ready_file)?;
        tracing::info!(alert = %ready.alert_addr, operator = %ready.operator_addr,
            realm = %ready.realm, cert = %ready.cert.display(), "serving");
        tokio::spawn(async move { feed.run().await });
        let watched = Arc::clone(&reload);
        tokio::spawn(async move { watched.watch_policy().await });
        tokio::spawn(watch_enrolment(enrolled.watcher, config.registry.poll_interval));
        tokio::spawn(keep_metrics(prometheus));
        until_stopped(&reload, signals, spine.failure.clone(), spine.indexer.failure()).await?;
        tracing::info!("stopping: nothing more is taken, what was taken is finished");
        let stopping = tokio::task::spawn_blocking(move || spine.stop());
        // Exchanges may take the drain timeout, and the endpoint's farewell as long again.
        let stopped = timeout(3 * config.drain_timeout, stopping).await;
        let last = stopped.map_err(|_| ServeError::DrainTimeout)?.map_err(io::Error::other)??;
        tracing::info!(last = last.0, "everything taken is on disk");
        close_operator.send_replace(true);
        if timeout(config.drain_timeout, operator).await.is_err() {
            tracing::warn!("subscribers were still reading when the drain timeout ended");
        }
        Ok(())
    });
    // What is left on the runtime waits for subscribers that are gone.
    runtime.shutdown_background();
    ended
}

/// A panic is a bug. A gateway with a dead room would go on promising, so it ends whole and is started again.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

/// Who may send and who may listen.
fn load_registry(config: &Config) -> Result<Loaded, ServeError> {
    let started = clock::monotonic();
    let loaded = registry::load(&config.data_dir)?;
    tracing::info!(devices = loaded.registry.len(), subscribers = loaded.subscribers.len(),
        took = ?started.elapsed(), "registry loaded");
    Ok(loaded)
}

/// The path of an alert, from the socket to the index.
struct Spine {
    shard: Shard,
    desk: DeskHandle,
    indexer: IndexerHandle,
    head: Arc<Head>,
    decisions: Decisions,
    stopping: watch::Sender<bool>,
    failure: watch::Receiver<Option<Arc<JournalError>>>,
}

impl Spine {
    fn start(
        config: &Config,
        identity: &Identity,
        registry: &Arc<Registry>,
        reload: &Reload,
        runtime: &Runtime,
    ) -> Result<Self, ServeError> {
        let (socket, server) = listen(config, identity)?;
        let strangers = Arc::new(Strangers::new(&config.strangers, identity.address_key));
        runtime.spawn(watch_strangers(Arc::clone(&strangers), Drops::of(&socket)));
        let journal_path = config.data_dir.join(JOURNAL_FILE);
        let search_path = config.data_dir.join(SEARCH_FILE);
        let journal = Journal::open(&journal_path, &config.journal)?;
        let journaled = journal.last();
        let head = Head::new(&config.feed, journaled);
        let pushed = Arc::clone(&head);
        let writer = Writer::spawn(journal, move |entries| pushed.push(entries))?;
        let indexer = Indexer::spawn(&journal_path, &search_path, &config.search, writer.synced())?;
        runtime.block_on(indexed_enough(&indexer, journaled, &config.desk))?;
        let lookup = Lookup::open(&search_path)?;
        let limits = DeskConfig {
            remembered_max: config.desk.remembered_max,
            in_hand_max: config.desk.unsynced_max,
            ..DeskConfig::default()
        };
        let zones = reload.desk_zones();
        let in_force = Arc::clone(&zones.borrow());
        let mut desk = Desk::new(limits, in_force, journaled);
        let hints = Arc::new(Hints::default());
        let mut reader = Reader::open(&journal_path)?;
        let mut sources = Sources {
            lookup: &lookup,
            reader: &mut reader,
            registry: registry.as_ref(),
            hints: hints.as_ref(),
        };
        let wanted = desk::recall(&mut desk, HORIZON_MAX, &mut sources)
            .inspect_err(|error| discard_if_damaged(error, &search_path))?;
        let failure = writer.failure();
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
            indexed: indexer.indexed(),
            lookup,
            reader,
            registry: Arc::clone(registry),
            hints: Arc::clone(&hints),
            asked,
            in_hand_max: limits.in_hand_max,
            decisions_max: limits.decisions_max,
            zones,
        })?;
        let (stopping, stopping_shard) = watch::channel(false);
        let shard = Shard::spawn(ShardParts {
            realm: identity.realm,
            config: config.alert.clone(),
            socket,
            server,
            registry: Arc::clone(registry),
            hints,
            strangers: Arc::clone(&strangers),
            strangers_config: config.strangers.clone(),
            lanes: config.lanes.clone(),
            lane,
            receipts,
            stopping: stopping_shard,
            drain_timeout: config.drain_timeout,
        })?;
        Ok(Self { shard, desk, indexer, head, decisions, stopping, failure })
    }

    /// Takes nothing more and finishes what was taken, room by room. The last cursor that is on disk.
    fn stop(self) -> Result<Cursor, ServeError> {
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

/// Lets histograms forget their samples, whether or not anybody scrapes them.
async fn keep_metrics(prometheus: PrometheusHandle) {
    let mut ticks = interval(METRICS_UPKEEP);
    loop {
        ticks.tick().await;
        prometheus.run_upkeep();
    }
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

async fn bind_operator(config: &Config) -> Result<TcpListener, ServeError> {
    let address = config.operator.listen;
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::OperatorAddress { address, source })
}

/// Notices what the command line changed in the registry.
async fn watch_enrolment(mut watcher: Watcher, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let polled = tokio::task::spawn_blocking(move || {
            let changes = watcher.poll();
            (watcher, changes)
        });
        let Ok((back, changes)) = polled.await else { return };
        watcher = back;
        match changes {
            Ok(changes) if changes == Changes::default() => {}
            Ok(changes) => tracing::info!(?changes, "registry changed"),
            Err(error) => tracing::warn!(%error, "the registry cannot be read; it stays as it was"),
        }
    }
}

/// What a supervisor may say. Heard from before the ready file is written: whoever reads that may say it at once.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, io::Error> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Waits for SIGTERM or SIGINT; reloads on SIGHUP.
async fn until_stopped(
    reload: &Reload,
    mut signals: Signals,
    mut journal: watch::Receiver<Option<Arc<JournalError>>>,
    mut index: watch::Receiver<Option<Arc<SearchError>>>,
) -> Result<(), ServeError> {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            _ = signals.hangup.recv() => reload.reload(),
            Ok(failed) = journal.wait_for(Option::is_some) => {
                let failed = failed.clone();
                return failed.map_or(Ok(()), |error| Err(ServeError::JournalFailed(error)));
            }
            Ok(failed) = index.wait_for(Option::is_some) => {
                let failed = failed.clone();
                return failed.map_or(Ok(()), |error| Err(ServeError::IndexFailed(error)));
            }
        }
    }
}
