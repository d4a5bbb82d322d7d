//! The most that a gateway can do: a **closed** loop of workers that each wait for a receipt before the next send.
//!
//! It finds throughput and the processor time of one alert, and says in its report that it is closed: latencies under a
//! closed loop are not what senders meet, so it judges none. With a bare echo as second target it measures, in the same
//! run, what the transport alone could do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

use crate::account::{Account, Conservation, Feed, Receipts};
use crate::clock::{Clock, Moment};
use crate::connections::{Connections, Mode, Target};
use crate::ledger::{Answer, Ledger, Outcome, PressIndex};
use crate::plan::Plan;
use crate::recorder::{Summary, receipt_latencies};
use crate::resources::Process;
use crate::run::{RunError, settle};
use crate::subscriber::{Source, Subscriber};

/// What is loaded, and how hard.
#[derive(Debug, Clone)]
pub struct Saturation {
    /// The target.
    pub target: Target,
    /// How presses are spread over connections.
    pub mode: Mode,
    /// Presses in flight at any time.
    pub in_flight: usize,
    /// How long.
    pub duration: Duration,
    /// No more than so many sends a second; nothing: as fast as answers come.
    pub rate: Option<f64>,
    /// The target's process, if it is on this machine.
    pub process: Option<Process>,
    /// The feed, if it is read too.
    pub source: Option<Source>,
}

/// What a closed loop found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Always `true`.
    pub closed_loop: bool,
    /// `per-press` or `relay:K`.
    pub connections: String,
    /// Presses in flight at any time.
    pub in_flight: usize,
    /// From the first send to the last receipt, in seconds.
    pub duration_s: f64,
    /// Receipts per second.
    pub receipts_per_s: f64,
    /// Events per second until the feed had shown everything; nothing if it was not read.
    pub events_per_s: Option<f64>,
    /// Processor time of the target for one alert, in microseconds.
    pub server_cpu_us: Option<f64>,
    /// Processor time of this tool for one alert, in microseconds.
    pub client_cpu_us: Option<f64>,
    /// How presses were answered.
    pub receipts: Receipts,
    /// What the feed showed; nothing if it was not read.
    pub feed: Option<Feed>,
    /// Whether nothing disappeared.
    pub balanced: bool,
    /// From the actual send, in microseconds.
    pub receipt_us: Summary,
    /// Connections and streams that failed.
    pub connect_failures: u64,
}

/// Everything that the workers share.
struct Loop {
    plan: Arc<Plan>,
    ledger: Arc<Ledger>,
    connections: Connections,
    clock: Clock,
    next: AtomicU32,
    begun: Moment,
    /// When nothing more is sent.
    end: Moment,
    rate: Option<f64>,
}

/// Sends presses of `plan`, each once, as fast as `saturation` lets it, until its time is over or all are sent. Presses
/// that have not been sent count for nothing. Must run inside a tokio runtime.
///
/// # Errors
/// When the target cannot be reached or the feed not be read.
pub async fn saturate(plan: Arc<Plan>, saturation: Saturation) -> Result<Found, RunError> {
    let Saturation { target, mode, in_flight, duration, rate, process, source } = saturation;
    let ledger = Arc::new(plan.ledger());
    let connections = Connections::open(target, mode, Arc::clone(&ledger))?;
    connections.warm().await?;
    let clock = Clock::start();
    let alerts = plan.alerts();
    let subscriber = match source {
        Some(source) => Some(Subscriber::open(source, alerts, Arc::clone(&ledger), clock).await?),
        None => None,
    };
    let spent = || (process.and_then(Process::cpu), Process::own().cpu());
    let before = spent();
    let begun = clock.now();
    let shared = Loop {
        plan,
        ledger: Arc::clone(&ledger),
        connections,
        clock,
        next: AtomicU32::new(0),
        begun,
        end: begun.plus(duration),
        rate,
    };
    let shared = Arc::new(shared);
    let workers: Vec<_> = (0..in_flight).map(|_| tokio::spawn(work(Arc::clone(&shared)))).collect();
    for worker in workers {
        worker.await.unwrap_or_default();
    }
    let lasted = clock.now().since(begun).as_secs_f64();
    let fed = subscriber.is_some();
    if fed {
        settle(&ledger, &clock).await;
    }
    let after = spent();
    subscriber.map(Subscriber::close);
    let per_alert = |after: Option<Duration>, before: Option<Duration>| {
        let spent = after?.saturating_sub(before?).as_secs_f64();
        Some(spent * 1e6 / float(ledger.totals().receipted.max(1)))
    };
    let (server, client) = (per_alert(after.0, before.0), per_alert(after.1, before.1));
    let mut found = found(&ledger, lasted, fed);
    found.connections = mode.to_string();
    found.in_flight = in_flight;
    (found.server_cpu_us, found.client_cpu_us) = (server, client);
    Ok(found)
}

impl Loop {
    /// Waits until the press at this place may be sent. When answers come too slowly it is late, and nothing hurries.
    async fn turn_of(&self, place: u32) {
        let Some(rate) = self.rate else { return };
        let due = self.begun.plus(Duration::from_secs_f64(f64::from(place) / rate)).min(self.end);
        let early = due.since(self.clock.now());
        if !early.is_zero() {
            tokio::time::sleep(early).await;
        }
    }
}

/// One worker: the next press, its receipt, the next press.
async fn work(shared: Arc<Loop>) {
    loop {
        let place = shared.next.fetch_add(1, Relaxed);
        let Some(press) = shared.plan.press(PressIndex(place)) else { return };
        shared.turn_of(place).await;
        if shared.clock.now() >= shared.end {
            return;
        }
        shared.ledger.sent(PressIndex(place), shared.clock.now());
        let turn = usize::try_from(press.turn).unwrap_or_default();
        match shared.connections.attempt(turn, press.signed.clone()).await {
            Ok(receipt) => {
                let now = shared.clock.now();
                shared.ledger.receipted(PressIndex(place), now, Answer::of(&receipt));
            }
            Err(error) => tracing::debug!(%error, "a press failed"),
        }
    }
}

fn found(ledger: &Ledger, lasted: f64, fed: bool) -> Found {
    let sent = ledger.outcomes().into_iter().filter(|outcome| outcome.sent.is_some());
    let from_send =
        |outcome: Outcome| Outcome { intended: outcome.sent.unwrap_or_default(), ..outcome };
    let outcomes: Vec<_> = sent.map(from_send).collect();
    let totals = ledger.totals();
    let account = Account::of(&outcomes, totals.unexpected);
    let first = outcomes.iter().filter_map(|outcome| outcome.sent).min();
    let last_fed = outcomes.iter().filter_map(|outcome| outcome.fed).max();
    let events_s = last_fed.zip(first).map(|(last, first)| last.since(first).as_secs_f64());
    let balanced = !fed || Conservation::of(&account, None).balanced;
    Found {
        closed_loop: true,
        connections: String::new(),
        in_flight: 0,
        duration_s: lasted,
        receipts_per_s: float(totals.receipted) / lasted.max(1e-9),
        events_per_s: events_s.filter(|_| fed).map(|seconds| float(totals.fed) / seconds.max(1e-9)),
        server_cpu_us: None,
        client_cpu_us: None,
        receipts: account.receipts,
        feed: fed.then_some(account.feed),
        balanced,
        receipt_us: receipt_latencies(&outcomes).summary(),
        connect_failures: totals.connect_failures,
    }
}

/// A count as a float; exact below 2^53.
fn float(count: u64) -> f64 {
    count as f64
}
