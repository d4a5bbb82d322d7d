//! Latencies and rates of a run, worked out of what happened to every press.
//!
//! The latency that counts runs from the **intended** instant: when a person pressed, not when the tool got round to
//! sending. Beside it stands the naive latency, what a tool of a few workers would have recorded, each of which waits
//! for its answer before it sends again. Such a tool stops asking while the gateway stalls ("coordinated omission"), so
//! a stall costs it one bad sample a worker; a real city goes on pressing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock::Moment;
use crate::ledger::Outcome;

/// Longest latency that is told apart from a longer one: an hour, in microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// A latency is kept to one part in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;
/// A tool that keeps its workers half idle: room for chance, and still few of them.
const WORKERS_PER_BUSY_ONE: f64 = 2.0;
/// And never more than somebody would start.
const WORKERS_MAX: usize = 64;

/// Latencies in microseconds.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

/// A histogram in six numbers, microseconds. What was not measured is nothing, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// How many were measured.
    pub count: u64,
    /// Median.
    pub p50: Option<u64>,
    /// Nine of ten were faster.
    pub p90: Option<u64>,
    /// 99 of 100 were faster.
    pub p99: Option<u64>,
    /// 999 of 1,000 were faster.
    pub p999: Option<u64>,
    /// The slowest.
    pub max: Option<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// Nothing measured yet; grows with what is recorded.
    #[expect(clippy::expect_used, reason = "the precision is a constant that is accepted")]
    #[must_use]
    pub fn new() -> Self {
        Self(Histogram::new(SIGNIFICANT_DIGITS).expect("valid precision"))
    }

    /// Adds one latency; one that is longer than an hour counts as an hour.
    pub fn record(&mut self, latency: Duration) {
        let latency_us = micros(latency).clamp(1, LATENCY_US_MAX);
        if self.0.record(latency_us).is_err() {
            self.0.saturating_record(latency_us);
        }
    }

    /// How many were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency, in microseconds, that this share (0 to 1) of all did not exceed; nothing if none was measured.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        let least = self.0.min();
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share).max(least))
    }

    /// The slowest, in microseconds.
    #[must_use]
    pub fn max_us(&self) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.max())
    }

    /// The histogram in six numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            p50: self.quantile_us(0.5),
            p90: self.quantile_us(0.9),
            p99: self.quantile_us(0.99),
            p999: self.quantile_us(0.999),
            max: self.max_us(),
        }
    }

    /// The histogram itself, for the interval log.
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }
}

/// One second of the run. Rates count what happened in it; latencies are of the presses that were due in it.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// Presses whose first copy was sent.
    pub sent: u32,
    /// Receipts read.
    pub receipted: u32,
    /// Events shown.
    pub fed: u32,
    /// Press to receipt.
    pub receipt: Summary,
    /// Press to feed.
    pub feed: Summary,
}

/// Everything that was measured about time.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Intended instant to receipt, refusals left out: they are faster and would flatter.
    pub receipt: Latencies,
    /// Intended instant to feed event.
    pub feed: Latencies,
    /// What a tool of [`workers`](Self::workers) workers would have recorded as press to receipt.
    pub receipt_naive: Latencies,
    /// How many workers the naive tool has.
    pub workers: usize,
    /// Intended instant to the instant at which sending began: this tool's own fault.
    pub lag: Latencies,
    /// The run by the second.
    pub seconds: Vec<Second>,
}

impl Recording {
    /// Works everything out of what happened to every press, in the order of their intended instants.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut recording = Self::default();
        outcomes.iter().for_each(|outcome| recording.add(outcome));
        for (due, presses) in by_second(outcomes) {
            let second = recording.second(due);
            second.receipt = receipt_latencies(presses).summary();
            second.feed = feed_latencies(presses).summary();
        }
        recording.receipt = receipt_latencies(outcomes);
        recording.feed = feed_latencies(outcomes);
        let services = services(outcomes);
        recording.workers = workers(&services);
        recording.receipt_naive = naive(&services, recording.workers);
        recording
    }

    /// The most presses sent in one second.
    #[must_use]
    pub fn peak_per_s(&self) -> u32 {
        self.seconds.iter().map(|second| second.sent).max().unwrap_or_default()
    }

    fn add(&mut self, outcome: &Outcome) {
        let Some(sent) = outcome.sent else { return };
        self.lag.record(sent.since(outcome.intended));
        self.second(sent).sent += 1;
        if let Some((at, _)) = outcome.receipt {
            self.second(at).receipted += 1;
        }
        if let Some(at) = outcome.fed {
            self.second(at).fed += 1;
        }
    }

    /// The second that `moment` lies in; the run grows to hold it.
    #[expect(clippy::indexing_slicing, reason = "the run was grown to hold it a line above")]
    fn second(&mut self, moment: Moment) -> &mut Second {
        let second = moment.second();
        if self.seconds.len() <= second {
            self.seconds.resize_with(second + 1, Second::default);
        }
        &mut self.seconds[second]
    }
}

/// The presses of each second in which any were due, in order; `outcomes` are in the order of the plan.
pub fn by_second(outcomes: &[Outcome]) -> impl Iterator<Item = (Moment, &[Outcome])> {
    let same = |one: &Outcome, other: &Outcome| one.intended.second() == other.intended.second();
    let due = |presses: &[Outcome]| presses.first().map_or(Moment(0), |press| press.intended);
    outcomes.chunk_by(same).map(move |presses| (due(presses), presses))
}

/// Intended instant to receipt; refusals are left out.
#[must_use]
pub fn receipt_latencies(outcomes: &[Outcome]) -> Latencies {
    let mut latencies = Latencies::new();
    for outcome in outcomes {
        if let Some((at, _)) = outcome.receipt.filter(|(_, answer)| answer.is_durable()) {
            latencies.record(at.since(outcome.intended));
        }
    }
    latencies
}

/// Intended instant to the first feed event.
#[must_use]
pub fn feed_latencies(outcomes: &[Outcome]) -> Latencies {
    let mut latencies = Latencies::new();
    for outcome in outcomes {
        if let Some(at) = outcome.fed {
            latencies.record(at.since(outcome.intended));
        }
    }
    latencies
}

/// When a press was really sent and how long its answer then took.
#[derive(Debug, Clone, Copy)]
struct Service {
    intended: Moment,
    sent: Moment,
    took: Duration,
}

/// The presses with a durable answer, by the instant at which they were sent.
fn services(outcomes: &[Outcome]) -> Vec<Service> {
    let service = |outcome: &Outcome| {
        let sent = outcome.sent?;
        let (at, _) = outcome.receipt.filter(|(_, answer)| answer.is_durable())?;
        Some(Service { intended: outcome.intended, sent, took: at.since(sent) })
    };
    let mut services: Vec<_> = outcomes.iter().filter_map(service).collect();
    services.sort_by_key(|service| service.sent);
    services
}

/// How many workers somebody would give a naive tool: enough for the mean rate at the median answer (Little's law),
/// twice over, up to 64.
fn workers(services: &[Service]) -> usize {
    let mut took: Vec<_> = services.iter().map(|service| service.took).collect();
    let middle = took.len() / 2;
    let (Some(first), Some(last)) = (services.first(), services.last()) else { return 1 };
    let span_s = last.sent.since(first.sent).as_secs_f64();
    if span_s <= 0.0 {
        return 1;
    }
    let (_, median, _) = took.select_nth_unstable(middle);
    let busy = count(services.len()) / span_s * median.as_secs_f64();
    let wanted = (busy * WORKERS_PER_BUSY_ONE).ceil();
    (1..WORKERS_MAX).find(|workers| count(*workers) >= wanted).unwrap_or(WORKERS_MAX)
}

/// Replays the answers to a tool whose workers each wait for one answer before the next send.
///
/// A press that finds a worker free is sent when it is due and takes what it took. One that finds none is sent late,
/// when a worker is free, takes what the gateway needed for whatever was sent next at that instant, and has its clock
/// started only then: that is the omission.
fn naive(services: &[Service], workers: usize) -> Latencies {
    let mut latencies = Latencies::new();
    let mut free: BinaryHeap<_> = (0..workers).map(|_| Reverse(Moment(0))).collect();
    let mut next = 0;
    for service in services {
        let Reverse(worker) = free.pop().unwrap_or_default();
        let starts = worker.max(service.intended);
        let took = if starts <= service.sent {
            service.took
        } else {
            while services.get(next).is_some_and(|other| other.sent < starts) {
                next += 1;
            }
            services.get(next).or(services.last()).map_or(service.took, |other| other.took)
        };
        latencies.record(took);
        free.push(Reverse(starts.plus(took)));
    }
    latencies
}

/// Whole microseconds.
#[must_use]
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// A count as a float; exact below 2^53.
fn count(items: usize) -> f64 {
    items as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Answer;

    /// `rate` presses a second for `seconds`, each answered in 2 ms; from `stall_at` on the gateway does nothing for
    /// `stall` and then answers everything at once.
    fn stalled(rate: u64, seconds: u64, stall_at: Duration, stall: Duration) -> Vec<Outcome> {
        let due =
            |press: u64| Moment::after_start(Duration::from_nanos(press * 1_000_000_000 / rate));
        let (from, to) = (Moment::after_start(stall_at), Moment::after_start(stall_at + stall));
        (0..rate * seconds)
            .map(|press| {
                let intended = due(press);
                let answered = intended.plus(Duration::from_millis(2));
                let caught = answered > from && answered < to;
                let at = if caught { to.plus(Duration::from_millis(2)) } else { answered };
                Outcome {
                    intended,
                    sent: Some(intended),
                    receipt: Some((at, Answer::Received)),
                    fed: None,
                    fed_times: 0,
                    attempts: 1,
                    corrupted: false,
                }
            })
            .collect()
    }

    #[test]
    fn a_stall_shows_in_the_corrected_latency_and_not_in_the_naive_one() {
        let outcomes = stalled(300, 20, Duration::from_secs(8), Duration::from_secs(3));
        let recording = Recording::of(&outcomes);
        let corrected = recording.receipt.summary();
        let naive = recording.receipt_naive.summary();
        assert!(corrected.p99 > Some(2_500_000), "{corrected:?}");
        assert!(corrected.p90 > Some(500_000), "{corrected:?}");
        assert!(naive.p99 < Some(10_000), "{naive:?} with {} workers", recording.workers);
        assert!(naive.max > Some(2_500_000), "even a naive tool meets the stall once a worker");
        assert_eq!(naive.count, corrected.count);
    }

    #[test]
    fn without_a_stall_both_agree() {
        let outcomes = stalled(300, 5, Duration::from_secs(60), Duration::ZERO);
        let recording = Recording::of(&outcomes);
        assert_eq!(recording.receipt.summary(), recording.receipt_naive.summary());
        assert_eq!(recording.peak_per_s(), 300);
    }

    #[test]
    fn lateness_of_the_tool_counts_against_the_press_and_is_shown_as_lag() {
        let mut outcomes = stalled(10, 1, Duration::from_secs(60), Duration::ZERO);
        outcomes[3].sent = Some(outcomes[3].intended.plus(Duration::from_millis(1)));
        let recording = Recording::of(&outcomes);
        assert!(recording.lag.max_us().is_some_and(|lag| (1_000..=1_001).contains(&lag)));
        assert!(recording.receipt.max_us() >= Some(2_000));
    }

    #[test]
    fn nothing_measured_is_nothing_and_refusals_are_left_out() {
        let mut outcomes = stalled(1, 1, Duration::from_secs(60), Duration::ZERO);
        let refused = Answer::Refused(protocol::Reason::Unproven);
        outcomes[0].receipt = outcomes[0].receipt.map(|(at, _)| (at, refused));
        let recording = Recording::of(&outcomes);
        assert_eq!(recording.receipt.summary(), Summary::default());
        assert_eq!(recording.seconds[0].receipted, 1);
    }
}
