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
use pipeline::Fleet;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::Config;
use crate::desk::{InForce, RecallError};
use crate::feed::{Attendance, Attended, Feed, FeedParts};
use crate::identity::{self, Identity, IdentityError};
use crate::intake::{ShardError, TransportError};
use crate::journal::JournalError;
use crate::operator::{self, ApiParts, OperatorParts};
use crate::ready::{JOURNAL_FILE, Ready, ReadyError, SEARCH_FILE};
use crate::registry::{self, Changes, Loaded, StoreError, Watcher};
use crate::reload::{Reload, ReloadError};
use crate::search::SearchError;
use crate::spine::Spine;
use crate::webhook::{self, LedgerError, WebhookParts, Webhooks};
use crate::{clock, telemetry};

/// How often histograms are told to forget, and gauges of what must be looked at are set.
pub(crate) const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Threads for operators and subscribers; they wait far more than they work.
const FANOUT_THREADS: usize = 2;

/// Why the gateway does not serve, or no longer does.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Realm, certificate or cursor key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The zones, the policy or the routing.
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
    /// What webhooks have delivered.
    #[error(transparent)]
    Webhooks(#[from] LedgerError),
    /// The metrics recorder.
    #[error("metrics cannot be set up: {0}")]
    Telemetry(#[from] metrics_exporter_prometheus::BuildError),
    /// The operators' certificate.
    #[error("operators cannot be served with TLS: {0}")]
    OperatorTls(#[from] rustls::Error),
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
    let runtime = fan_out()?;
    let fleet = watch::Sender::new(Arc::new(enrolled.registry.fleet()));
    let attendance = Attendance::new();
    let in_force = in_force(&reload, fleet.subscribe(), attendance.watch());
    let spine = Spine::start(config, &identity, &enrolled.registry, in_force, &runtime)?;
    let feed = Feed::new(FeedParts {
        heads: Arc::clone(&spine.heads),
        journal: config.data_dir.join(JOURNAL_FILE),
        cursor_key: identity.cursor_key,
        zones: reload.zones(),
        attendance: Arc::clone(&attendance),
        subscribers: Arc::clone(&enrolled.subscribers),
        operators: Arc::clone(&enrolled.operators),
        config: config.feed.clone(),
        now: Arc::new(clock::now),
    });
    let webhooks = webhook_parts(config, &identity, &enrolled, &reload, &spine, attendance);
    runtime.spawn(Webhooks::open(webhooks)?.run());
    let tls = identity::operator_certificate(&config.operator)?.map(operator::tls).transpose()?;
    let ended = runtime.block_on(async {
        let listener = bind_operator(config).await?;
        let ready = Ready {
            alert_addr: spine.shard.address,
            operator_addr: listener.local_addr()?,
            ..Ready::of(config, &identity)
        };
        let signals = Signals::listen()?;
        let (close_operator, operator_closing) = watch::channel(false);
        let parts = OperatorParts {
            listener,
            tls,
            feed: Arc::clone(&feed),
            api: api(config, (&identity, &enrolled), &reload, &spine, prometheus.clone()),
            journal_failure: spine.failure.clone(),
            closing: operator_closing,
        };
        let operator = tokio::spawn(operator::serve(parts));
        ready.write(ready_file)?;
        tracing::info!(alert = %ready.alert_addr, operator = %ready.operator_addr,
            realm = %ready.realm, cert = %ready.cert.display(), "serving");
        tokio::spawn(async move { feed.run().await });
        let watched = Arc::clone(&reload);
        tokio::spawn(async move { watched.watch().await });
        let Loaded { watcher, registry, .. } = enrolled;
        tokio::spawn(watch_enrolment(watcher, config.registry.poll_interval, move || {
            fleet.send_replace(Arc::new(registry.fleet()));
        }));
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

/// Where operators and subscribers are served.
fn fan_out() -> io::Result<Runtime> {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(FANOUT_THREADS).thread_name("fan-out").enable_all().build()
}

/// What the desk goes by.
fn in_force(
    reload: &Reload,
    fleet: watch::Receiver<Arc<Fleet>>,
    attended: watch::Receiver<Attended>,
) -> InForce {
    InForce {
        zones: reload.desk_zones(),
        policy: reload.policy(),
        routing: reload.routing(),
        fleet,
        attended,
    }
}

/// What operators ask, and whom.
fn api(
    config: &Config,
    (identity, enrolled): (&Identity, &Loaded),
    reload: &Reload,
    spine: &Spine,
    metrics: PrometheusHandle,
) -> ApiParts {
    ApiParts {
        search: config.data_dir.join(SEARCH_FILE),
        journal: config.data_dir.join(JOURNAL_FILE),
        data_dir: config.data_dir.clone(),
        registry: Arc::clone(&enrolled.registry),
        operators: Arc::clone(&enrolled.operators),
        subscribers: Arc::clone(&enrolled.subscribers),
        zones: reload.zones(),
        cursor_key: identity.cursor_key,
        decider: Arc::new(spine.decisions.clone()),
        metrics: Arc::new(move || metrics.render()),
        now: Arc::new(clock::now),
    }
}

/// What webhooks read, and whom they believe.
fn webhook_parts(
    config: &Config,
    identity: &Identity,
    enrolled: &Loaded,
    reload: &Reload,
    spine: &Spine,
    attendance: Arc<Attendance>,
) -> WebhookParts {
    let tls = webhook::trust_of_the_machine().unwrap_or_else(|error| {
        // A gateway without webhooks needs none, and one with webhooks must take alerts all the same.
        tracing::warn!(error, "no webhook can be reached with TLS");
        webhook::trust(rustls::RootCertStore::empty())
    });
    WebhookParts {
        data_dir: config.data_dir.clone(),
        journal: config.data_dir.join(JOURNAL_FILE),
        cursor_key: identity.cursor_key,
        zones: reload.zones(),
        webhooks: enrolled.webhooks.clone(),
        routing: reload.routing(),
        synced: spine.synced.clone(),
        config: config.webhook.clone(),
        tls,
        resolve: webhook::resolve_with_the_machine(),
        attendance,
        now: Arc::new(clock::now),
        pause: Arc::new(|wait| Box::pin(tokio::time::sleep(wait))),
    }
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

/// Lets histograms forget their samples, whether or not anybody scrapes them.
async fn keep_metrics(prometheus: PrometheusHandle) {
    let mut ticks = interval(METRICS_UPKEEP);
    loop {
        ticks.tick().await;
        prometheus.run_upkeep();
    }
}

async fn bind_operator(config: &Config) -> Result<TcpListener, ServeError> {
    let address = config.operator.listen;
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::OperatorAddress { address, source })
}

/// Notices what the command line changed in the registry.
async fn watch_enrolment(mut watcher: Watcher, every: Duration, devices_changed: impl Fn()) {
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
            Ok(changes) => {
                tracing::info!(?changes, "registry changed");
                if changes.devices > 0 {
                    devices_changed();
                }
            }
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
