//! Doubts about a run: what would make a careful reader hesitate, each with what to do about it.
//!
//! A warning never changes the verdict.

use crate::account::Account;
use crate::ledger::Totals;
use crate::network::Crossed;
use crate::recorder::Recording;
use crate::report::json::{Generator, Machine, Warning};

/// Below so many samples a 99th percentile rests on fewer than ten of them.
const SAMPLES_MIN: u64 = 1_000;
/// A disk that is faster than this has not written anything (measured disks: 130 us).
const FSYNC_US_MIN: u64 = 20;
/// A disk that is slower than this decides the latency by itself.
const FSYNC_US_MAX: u64 = 10_000;
/// Beyond this share of one core the generator begins to measure itself.
const CPU_SHARE_MAX: f64 = 0.8;
/// Corrected and naive latency this far apart mean that the gateway stood still for a while.
const STALL_RATIO: u64 = 2;

/// What warnings are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// What became of the presses.
    pub account: &'a Account,
    /// The distributions.
    pub recording: &'a Recording,
    /// The running totals at the end.
    pub totals: Totals,
    /// The machine.
    pub machine: &'a Machine,
    /// This tool.
    pub generator: &'a Generator,
    /// Length of the run in seconds.
    pub duration_s: f64,
    /// How many times faster than the city.
    pub speed: f64,
    /// Whether the gateway's process was watched.
    pub watched: bool,
    /// Whether the gateway's counters were read.
    pub counted: bool,
    /// What the network did, if there was one.
    pub network: Option<&'a Crossed>,
    /// Runnable processes when the run started, per core.
    pub busy_before: Option<f64>,
}

/// Every doubt about a run.
#[must_use]
pub fn warnings(of: Circumstances<'_>) -> Vec<Warning> {
    let mut warnings = Warnings(Vec::new());
    about_the_sample(of, &mut warnings);
    about_the_machine(of, &mut warnings);
    about_the_gateway(of, &mut warnings);
    about_the_network(of, &mut warnings);
    warnings.0
}

struct Warnings(Vec<Warning>);

impl Warnings {
    fn add(&mut self, when: bool, warning: impl FnOnce() -> String, remedy: &str) {
        if when {
            self.0.push(Warning { warning: warning(), remedy: remedy.to_owned() });
        }
    }
}

fn about_the_sample(of: Circumstances<'_>, warnings: &mut Warnings) {
    let measured = of.recording.receipt.count();
    warnings.add(
        measured < SAMPLES_MIN,
        || format!("only {measured} latencies were measured; the 99th percentile rests on a few"),
        "run longer, or with more presses (--presses)",
    );
    let missing = of.account.receipts.missing;
    warnings.add(
        missing > 0,
        || {
            format!(
                "{missing} presses without a receipt have no latency, so the percentiles flatter"
            )
        },
        "read the gateway's log for the time of the run; look at receipts.missing first",
    );
    warnings.add(
        of.speed > 1.0,
        || format!("the timeline was played {} times faster than the city presses", of.speed),
        "use --speed 1 for numbers about the city; this run is about the gateway",
    );
}

fn about_the_machine(of: Circumstances<'_>, warnings: &mut Warnings) {
    let cpu_share = of.generator.cpu_s.map_or(0.0, |cpu_s| cpu_s / of.duration_s.max(1e-3));
    warnings.add(
        cpu_share > CPU_SHARE_MAX,
        || format!("the load generator used {:.0} % of a core", cpu_share * 100.0),
        "pin it to a core of its own (--cpu) or spread the load over machines",
    );
    let busy = of.busy_before.unwrap_or_default();
    warnings.add(
        busy > 0.5,
        || format!("the machine was busy before the run: load {busy:.1} per core"),
        "stop what else runs here, and run again",
    );
    let Some(fsync_us) = of.machine.fsync_us else {
        warnings.add(
            true,
            || "the disk was not probed".to_owned(),
            "make the report's folder writable",
        );
        return;
    };
    warnings.add(
        fsync_us.p50 < FSYNC_US_MIN,
        || format!("the disk says that it syncs in {} us; no disk does", fsync_us.p50),
        "the report's folder is in memory or its disk does not sync; use one that does",
    );
    warnings.add(
        fsync_us.p99 > FSYNC_US_MAX,
        || format!("one sync in a hundred takes {} us; the latencies are the disk's", fsync_us.p99),
        "use a faster disk, or state its latency beside the results",
    );
}

fn about_the_network(of: Circumstances<'_>, warnings: &mut Warnings) {
    let Some(network) = of.network else { return };
    warnings.add(
        true,
        || format!("the network {} runs on the load generator's own processor", network.name),
        "watch generator.cpu_s: a network that is late by itself adds to every latency",
    );
    let evicted = network.quic.mappings.evicted;
    warnings.add(
        evicted > 0,
        || format!("{evicted} phones lost their place in a full table of mappings"),
        "raise nat.mappings in the network's file, if the carrier is not to be that small",
    );
    let refused = network.quic.up.undeliverable + network.quic.down.undeliverable;
    warnings.add(
        refused > 0,
        || format!("{refused} packets were lost by the network's own sockets, not by its numbers"),
        "raise the limit of open files (`ulimit -n`), or press more slowly",
    );
}

fn about_the_gateway(of: Circumstances<'_>, warnings: &mut Warnings) {
    let summaries = (of.recording.receipt.summary(), of.recording.receipt_naive.summary());
    let (corrected, naive) = (summaries.0.p99.unwrap_or(0), summaries.1.p99.unwrap_or(0));
    warnings.add(
        naive > 0 && corrected > naive.saturating_mul(STALL_RATIO),
        || format!("the gateway stood still for a while: receipt p99 is {corrected} us, and a naive tool would have said {naive} us"),
        "look at the latency over time for the instant, and at the gateway's log there",
    );
    let resends = of.account.resends;
    warnings.add(
        resends > 0,
        || format!("{resends} copies were sent again after a second without a receipt"),
        "look for stalls, lost packets (/proc/net/udp drops) and full lanes",
    );
    let failures = of.totals.connect_failures;
    warnings.add(
        failures > 0,
        || format!("{failures} connections or streams failed and were tried again"),
        "look at the gateway's connection limits and its log",
    );
    let reconnects = of.generator.feed_reconnects;
    warnings.add(
        reconnects > 0,
        || format!("the feed broke off {reconnects} times and was resumed"),
        "look at the feed's write timeout and the subscriber's processor time",
    );
    warnings.add(
        !of.watched,
        || "the gateway's processor time and memory were not measured".to_owned(),
        "run on the gateway's machine and pass --pid",
    );
    warnings.add(
        !of.counted,
        || {
            "the gateway's own counters were not read, so only one side of the books is kept"
                .to_owned()
        },
        "pass --metrics with the address of its metrics",
    );
}
