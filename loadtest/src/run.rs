//! A run from beginning to end: probe, subscribe, drive, settle, account, judge.
//!
//! It is given a plan and says what the plan's presses met. Everything that can be known to be wrong is said before the
//! first press is sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use protocol::DeviceId;
use simulator::network::Network;
use simulator::relay::RelayError;

use crate::account::{Account, Conservation, GatewayCounters};
use crate::audience::{Attendance, Audience, Listening};
use crate::clock::{Clock, Moment};
use crate::connections::{AttemptError, Connections, Mode, OpenError, Target};
use crate::counters;
use crate::driver::{self, Drive};
use crate::ledger::{Ledger, Outcome, Totals};
use crate::network::{Crossed, Crossing};
use crate::plan::Plan;
use crate::probe::{self, ProbeError};
use crate::progress::Progress;
use crate::recorder::{Recording, Summary};
use crate::report::json::{
    Bound, Gateway, Generator, LagUs, LatencyUs, Machine, Offered, Report, Run, SCHEMA_VERSION,
};
use crate::report::warnings::{Circumstances, warnings};
use crate::resources::{Process, busy_per_core, machine};
use crate::slo::Slo;
use crate::subscriber::{FeedError, Source, Subscriber};
use crate::verdict::{Evidence, judge};

/// Time between the last preparation and the first press.
const LEAD: Duration = Duration::from_secs(1);
/// How long the feed may take to show what is receipted, after the last receipt.
const FEED_PATIENCE: Duration = Duration::from_secs(10);
/// How long the feed is watched for events too many, after the last one that is owed.
const FEED_AFTERMATH: Duration = Duration::from_millis(500);
const FEED_LOOK: Duration = Duration::from_millis(10);

/// What a run needs beside its plan.
#[derive(Debug)]
pub struct Setup {
    /// The gateway.
    pub target: Target,
    /// How presses are spread over connections.
    pub mode: Mode,
    /// The feed.
    pub source: Source,
    /// Who else reads it.
    pub audience: Option<Audience>,
    /// Messages that raise nothing, of devices that must be enrolled.
    pub probes: Vec<(DeviceId, Bytes)>,
    /// What lies between phones and the gateway; nothing: loopback, or whatever there is.
    pub network: Option<Network>,
    /// The gateway's process, if it is on this machine.
    pub gateway: Option<Process>,
    /// The gateway's metrics page.
    pub metrics: Option<String>,
    /// The objectives.
    pub slo: Slo,
    /// What the report says about the run; durations and dates are filled in.
    pub run: Run,
    /// Where the report will lie; its disk is probed.
    pub folder: PathBuf,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// The numbers.
    pub report: Report,
    /// The distributions.
    pub recording: Recording,
    /// What became of every press.
    pub outcomes: Vec<Outcome>,
    /// The run's clock.
    pub clock: Clock,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something is wrong with the target or what was said about it.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The tool's own end could not be set up.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The network's own end could not be set up.
    #[error(transparent)]
    Network(#[from] RelayError),
    /// A relay could not be connected.
    #[error("a relay cannot be connected: {0}")]
    Relay(#[from] AttemptError),
}

impl From<FeedError> for RunError {
    fn from(error: FeedError) -> Self {
        Self::Probe(error.into())
    }
}

impl RunError {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Probe(error) => error.exit_code(),
            Self::Open(_) | Self::Network(_) => 2,
            Self::Relay(_) => 4,
        }
    }
}

/// What was seen while the load lasted.
struct Seen {
    clock: Clock,
    ended: Moment,
    machine: Machine,
    busy_before: Option<f64>,
    own_cpu: Option<Duration>,
    gateway_cpu: Option<Duration>,
    rss_bytes_max: Option<u64>,
    counters: Option<GatewayCounters>,
    feed_reconnects: u64,
    attendance: Option<Attendance>,
}

/// Carries out `plan`. Must run inside a tokio runtime with a single thread of its own.
///
/// # Errors
/// When the target cannot be reached or was described wrongly; nothing has been raised then.
pub async fn run(plan: Plan, mut setup: Setup) -> Result<Finished, RunError> {
    let plan = Arc::new(plan);
    let ledger = Arc::new(plan.ledger());
    probe_all(&setup).await?;
    let (mode, mut target) = (setup.mode, setup.target.clone());
    let crossing = match &setup.network {
        Some(network) => Some(Crossing::open(network, setup.run.seed, &mut target).await?),
        None => None,
    };
    let connections = Arc::new(Connections::open(target, mode, Arc::clone(&ledger))?);
    connections.warm().await?;
    let seen = load(&setup, plan, &ledger, connections).await?;
    let outcomes = ledger.outcomes();
    let recording = Recording::of(&outcomes);
    setup.run.duration_s = seen.ended.offset().as_secs_f64();
    setup.run.started_at = humantime::format_rfc3339_millis(seen.clock.date()).to_string();
    let network = crossing.map(Crossing::close);
    let report = report(&setup, &seen, &outcomes, &recording, (ledger.totals(), network));
    Ok(Finished { report, recording, outcomes, clock: seen.clock })
}

/// Probes what can be wrong, over connections that count in no ledger.
async fn probe_all(setup: &Setup) -> Result<(), RunError> {
    let nobody = Arc::new(Ledger::new(std::iter::empty()));
    let connections = Connections::open(setup.target.clone(), Mode::PerPress, nobody)?;
    for (device, harmless) in &setup.probes {
        probe::device(&connections, *device, harmless.clone()).await?;
    }
    Ok(probe::feed(&setup.source).await?)
}

async fn load(
    setup: &Setup,
    plan: Arc<Plan>,
    ledger: &Arc<Ledger>,
    connections: Arc<Connections>,
) -> Result<Seen, RunError> {
    let machine = machine(&setup.folder, &Clock::start());
    let busy_before = busy_per_core();
    let before = read_counters(setup).await;
    let alerts = plan.alerts();
    let clock = Clock::start_in(LEAD);
    let subscriber =
        Subscriber::open(setup.source.clone(), alerts, Arc::clone(ledger), clock).await?;
    let audience = match &setup.audience {
        Some(audience) => Some(audience.open(&setup.source.operator, &plan, clock).await?),
        None => None,
    };
    let progress = Progress::start(Arc::clone(ledger), clock, setup.gateway);
    let spent = |process: Option<Process>| process.and_then(Process::cpu);
    let (own, gateway) = (spent(Some(Process::own())), spent(setup.gateway));
    let stop: Arc<AtomicBool> = Arc::default();
    let drive =
        Drive { plan, ledger: Arc::clone(ledger), clock, connections, stop: Arc::clone(&stop) };
    let interrupted = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.store(true, Relaxed);
        }
    });
    driver::drive(Arc::new(drive)).await;
    interrupted.abort();
    settle(ledger, &clock).await;
    if let Some(audience) = &audience {
        wait_for(audience, ledger, &clock).await;
    }
    let ended = clock.now();
    let since =
        |after: Option<Duration>, before: Option<Duration>| Some(after?.saturating_sub(before?));
    let (own_cpu, gateway_cpu) =
        (since(spent(Some(Process::own())), own), since(spent(setup.gateway), gateway));
    let rss_bytes_max = progress.stop();
    let feed_reconnects = subscriber.close();
    let attendance = audience.map(|audience| audience.close(&ledger.outcomes()));
    let after = read_counters(setup).await;
    let counters = after.zip(before).map(|(after, before)| after.since(&before));
    Ok(Seen {
        clock,
        ended,
        machine,
        busy_before,
        own_cpu,
        gateway_cpu,
        rss_bytes_max,
        counters,
        feed_reconnects,
        attendance,
    })
}

async fn read_counters(setup: &Setup) -> Option<GatewayCounters> {
    counters::read(setup.metrics.as_deref()?).await
}

/// Waits until the feed has shown what it owes, and a moment longer for what it does not owe.
pub(crate) async fn settle(ledger: &Ledger, clock: &Clock) {
    let give_up = clock.now().plus(FEED_PATIENCE);
    while ledger.totals().fed < ledger.totals().owed && clock.now() < give_up {
        tokio::time::sleep(FEED_LOOK).await;
    }
    tokio::time::sleep(FEED_AFTERMATH).await;
}

/// Waits until everybody has seen what they should, or it takes too long.
async fn wait_for(audience: &Listening, ledger: &Ledger, clock: &Clock) {
    let give_up = clock.now().plus(FEED_PATIENCE);
    while !audience.is_served(|press| ledger.is_owed(press)) && clock.now() < give_up {
        tokio::time::sleep(FEED_LOOK).await;
    }
}

fn report(
    setup: &Setup,
    seen: &Seen,
    outcomes: &[Outcome],
    recording: &Recording,
    (totals, network): (Totals, Option<Crossed>),
) -> Report {
    let account = Account::of(outcomes, totals.unexpected);
    let conservation = Conservation::of(&account, seen.counters.clone());
    let evidence = Evidence { account: &account, conservation: &conservation, recording };
    let judgement = judge(&setup.slo, evidence);
    let generator = generator(seen, recording);
    let warnings = warnings(Circumstances {
        account: &account,
        recording,
        totals,
        machine: &seen.machine,
        generator: &generator,
        duration_s: setup.run.duration_s,
        speed: setup.run.speed,
        watched: seen.gateway_cpu.is_some(),
        counted: seen.counters.is_some(),
        busy_before: seen.busy_before,
        network: network.as_ref(),
    });
    Report {
        schema_version: SCHEMA_VERSION,
        verdict: judgement.verdict,
        reasons: judgement.reasons,
        run: setup.run.clone(),
        machine: seen.machine.clone(),
        offered: offered(&account, recording, totals),
        receipts: account.receipts,
        corrupted: account.corrupted,
        feed: account.feed,
        audience: seen.attendance.clone(),
        network,
        latency_us: LatencyUs {
            receipt: recording.receipt.summary(),
            feed: recording.feed.summary(),
            receipt_naive: recording.receipt_naive.summary(),
        },
        generator,
        gateway: Gateway {
            cpu_s: seen.gateway_cpu.map(|cpu| cpu.as_secs_f64()),
            rss_bytes_max: seen.rss_bytes_max,
        },
        conservation,
        slo: judgement.slo,
        bounds: bounds(recording, &seen.machine),
        warnings,
    }
}

fn offered(account: &Account, recording: &Recording, totals: Totals) -> Offered {
    Offered {
        planned: account.planned,
        sent: account.sent,
        peak_per_s: u64::from(recording.peak_per_s()),
        new_connections: totals.connections,
        resends: account.resends,
        connect_failures: totals.connect_failures,
    }
}

fn generator(seen: &Seen, recording: &Recording) -> Generator {
    let Summary { p99, max, .. } = recording.lag.summary();
    Generator {
        lag_us: LagUs { p99, max },
        cpu_s: seen.own_cpu.map(|cpu| cpu.as_secs_f64()),
        naive_workers: u64::try_from(recording.workers).unwrap_or(u64::MAX),
        feed_reconnects: seen.feed_reconnects,
    }
}

/// No receipt can be faster than the sync that it waits for.
fn bounds(recording: &Recording, machine: &Machine) -> Vec<Bound> {
    let float = |us: u64| us as f64;
    let receipt = recording.receipt.quantile_us(0.5).map(float);
    let sync = machine.fsync_us.map(|fsync_us| float(fsync_us.p50));
    let bound = receipt.zip(sync).and_then(|(receipt, sync)| {
        Bound::of("median receipt against one sync of the disk, us", receipt, sync)
    });
    bound.into_iter().collect()
}
