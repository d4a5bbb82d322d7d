//! The report as data: the shape of `report.json`, which outside programs rely on.
//!
//! The shape changes only by adding. Latencies are whole microseconds from the intended instant. What was not measured
//! is `null`, never zero. Nothing in it says where anybody was.

use serde::Serialize;

use crate::account::{Conservation, Corrupted, Feed, Receipts};
use crate::audience::Attendance;
use crate::network::Crossed;
use crate::recorder::Summary;
use crate::verdict::{SloRow, Verdict};

/// The version of the shape.
pub const SCHEMA_VERSION: u32 = 1;

/// A run, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What the run proves.
    pub verdict: Verdict,
    /// Why, a sentence each; empty for a pass.
    pub reasons: Vec<String>,
    /// What was run.
    pub run: Run,
    /// Where.
    pub machine: Machine,
    /// What was sent.
    pub offered: Offered,
    /// How it was answered.
    pub receipts: Receipts,
    /// The spoiled signatures.
    pub corrupted: Corrupted,
    /// What the command centre saw.
    pub feed: Feed,
    /// What every other subscriber saw, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<Attendance>,
    /// What the network between phones and gateway did, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Crossed>,
    /// How long it took.
    pub latency_us: LatencyUs,
    /// This tool itself.
    pub generator: Generator,
    /// The gateway's process.
    pub gateway: Gateway,
    /// The balance sheet.
    pub conservation: Conservation,
    /// Every objective.
    pub slo: Vec<SloRow>,
    /// What could be reached at best, measured in the same run.
    pub bounds: Vec<Bound>,
    /// Doubts.
    pub warnings: Vec<Warning>,
}

/// What was run, and how to run it again.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Run {
    /// A name for people.
    pub label: Option<String>,
    /// Of the scenario's random choices.
    pub seed: u64,
    /// The scenario's name.
    pub scenario: String,
    /// SHA-256 of the timeline, lower-case hex: equal digests are equal presses at equal instants.
    pub timeline_sha256: String,
    /// From the first intended instant to the end of the run, in seconds.
    pub duration_s: f64,
    /// How many times faster than the city the timeline was played.
    pub speed: f64,
    /// The commit that this program was built from.
    pub commit: Option<String>,
    /// The date at which the run started, RFC 3339.
    pub started_at: String,
    /// `per-press` or `relay:K`.
    pub connections: String,
    /// Whether messages could travel in 0-RTT.
    pub zero_rtt: bool,
    /// Always `false`: presses are sent when they are due, whatever happened to earlier ones.
    pub closed_loop: bool,
    /// What was typed, with the token left out.
    pub command: String,
    /// The objectives' file.
    pub slo_file: String,
}

/// Where the run took place.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: Option<String>,
    /// Processors of the machine.
    pub cores: Option<u64>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// How long the disk takes to make 4 KiB durable.
    pub fsync_us: Option<FsyncUs>,
}

/// How long the disk takes to make 4 KiB durable, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FsyncUs {
    /// Median.
    pub p50: u64,
    /// 99 of 100 were faster.
    pub p99: u64,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Offered {
    /// Presses in the plan.
    pub planned: u64,
    /// Presses whose first copy was sent.
    pub sent: u64,
    /// The most in one second.
    pub peak_per_s: u64,
    /// Connections that were opened.
    pub new_connections: u64,
    /// Copies beyond the first of their press.
    pub resends: u64,
    /// Connections and streams that failed.
    pub connect_failures: u64,
}

/// How long it took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LatencyUs {
    /// Intended instant until the sender had its receipt.
    pub receipt: Summary,
    /// Intended instant until the command centre had the event.
    pub feed: Summary,
    /// What a tool of a few waiting workers would have recorded as `receipt`.
    pub receipt_naive: Summary,
}

/// This tool itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Generator {
    /// How late sending began.
    pub lag_us: LagUs,
    /// Processor time used, in seconds.
    pub cpu_s: Option<f64>,
    /// Workers of the tool that `receipt_naive` describes.
    pub naive_workers: u64,
    /// Times that the feed had to be opened again.
    pub feed_reconnects: u64,
}

/// How late sending began, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LagUs {
    /// 99 of 100 presses were less late.
    pub p99: Option<u64>,
    /// The latest.
    pub max: Option<u64>,
}

/// The gateway's process, as the system sees it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Gateway {
    /// Processor time used during the run, in seconds.
    pub cpu_s: Option<f64>,
    /// The most memory seen, in bytes.
    pub rss_bytes_max: Option<u64>,
}

/// A measurement beside what could be reached at best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    /// What is compared.
    pub name: String,
    /// What was measured.
    pub measured: f64,
    /// What could be reached at best.
    pub bound: f64,
    /// The first by the second.
    pub ratio: f64,
}

/// A doubt, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What is doubtful.
    pub warning: String,
    /// What to do about it.
    pub remedy: String,
}

impl Bound {
    /// Compares `measured` with `bound`; nothing if the bound is not positive.
    #[must_use]
    pub fn of(name: &str, measured: f64, bound: f64) -> Option<Self> {
        let ratio = measured / bound;
        (bound > 0.0).then(|| Self { name: name.to_owned(), measured, bound, ratio })
    }
}

/// The report as it is written to `report.json`.
///
/// # Errors
/// When a number cannot be written, which no report has.
pub fn text(report: &Report) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(report).map(|text| text + "\n")
}
