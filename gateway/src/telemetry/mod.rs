//! Counters of what came in and what became of it, so that promise 6 can be checked from outside.
//!
//! Messages in = receipts out (received, duplicate, held, refused by reason) + abandoned + in flight. Every label
//! comes from a closed set; no device, address or place is ever one. Handles are made once, because a look-up by name
//! for every message would cost more than the desk does.

mod catalog;
mod stages;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use pipeline::{Carrier, Lane};
use protocol::{Kind, Reason, Status};

pub use stages::{Stage, StageTimer};

/// Bucket bounds of stage latencies, in seconds: from a memory access to a lost sender.
const SECONDS: [f64; 14] =
    [1e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1.0, 5.0];

/// Installs the recorder that `/metrics` renders.
/// Call its `run_upkeep` every few seconds: until then, or until somebody scrapes, histograms keep every sample.
///
/// # Errors
/// If another recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    catalog::describe();
    Ok(handle)
}

/// Why a proof failed. Told apart here and nowhere else; the sender only hears `unproven`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// No device of this id is enrolled.
    UnknownDevice = 0,
    /// The message claims another algorithm than the device was enrolled with.
    WrongAlgorithm = 1,
    /// The signature does not verify.
    BadSignature = 2,
}

impl Unproven {
    const NAMES: [&'static str; 3] = ["unknown_device", "wrong_algorithm", "bad_signature"];
}

/// How a message ended without a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// Its sender was gone, or too slow, before it was whole.
    Unread = 0,
    /// The gateway ended before the receipt was made. The sender's resend finds it journaled or not.
    Unanswered = 1,
}

impl Abandoned {
    const NAMES: [&'static str; 2] = ["unread", "unanswered"];
}

/// Why a message of a lane that may be refused was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneRefusal {
    /// Its lane was full.
    Full = 0,
    /// It had waited too long.
    Overdue = 1,
}

impl LaneRefusal {
    const NAMES: [&'static str; 2] = ["full", "overdue"];
}

/// The counters of one carrier.
#[derive(Clone)]
pub struct Intake {
    /// Messages whose first byte arrived.
    pub messages: Counter,
    read: [Counter; 4],
    receipts: [Counter; 3],
    refused: [Counter; Reason::LISTED.len()],
    unproven: [Counter; 3],
    abandoned: [Counter; 2],
    lane_waiting: [Gauge; Lane::ALL.len()],
    lane_refused: [[Counter; 2]; Lane::ALL.len()],
    /// Messages between their first byte and their receipt.
    pub in_flight: Gauge,
    /// From the last byte read to the desk's answer.
    pub receipt_seconds: Histogram,
    /// From a message's first byte to its last.
    pub receive: StageTimer,
    /// From its last byte to its check.
    pub lane: StageTimer,
    /// Its check.
    pub verify: StageTimer,
    /// From its receipt to the transport.
    pub reply: StageTimer,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections open.
    pub connections_open: Gauge,
}

impl Intake {
    /// The counters of `carrier`.
    #[must_use]
    pub fn of(carrier: Carrier) -> Self {
        let carrier = carrier.name();
        Self {
            messages: counter!("gateway_messages_total", "carrier" => carrier),
            read: Kind::ALL.map(|kind| {
                counter!("gateway_messages_read_total", "carrier" => carrier, "kind" => kind.name())
            }),
            receipts: [Status::Received, Status::Duplicate, Status::Held].map(|status| {
                counter!("gateway_receipts_total",
                    "carrier" => carrier, "status" => status.name(), "reason" => "none")
            }),
            refused: Reason::LISTED.map(|reason| {
                counter!("gateway_receipts_total",
                    "carrier" => carrier, "status" => "refused", "reason" => reason.name())
            }),
            unproven: Unproven::NAMES.map(|cause| {
                counter!("gateway_unproven_total", "carrier" => carrier, "cause" => cause)
            }),
            abandoned: Abandoned::NAMES.map(|cause| {
                counter!("gateway_abandoned_total", "carrier" => carrier, "cause" => cause)
            }),
            lane_waiting: Lane::ALL.map(|lane| {
                gauge!("gateway_lane_waiting", "carrier" => carrier, "lane" => lane.name())
            }),
            lane_refused: Lane::ALL.map(|lane| {
                LaneRefusal::NAMES.map(|cause| {
                    counter!("gateway_lane_refused_total",
                        "carrier" => carrier, "lane" => lane.name(), "cause" => cause)
                })
            }),
            in_flight: gauge!("gateway_messages_in_flight", "carrier" => carrier),
            receipt_seconds: histogram!("gateway_receipt_seconds", "carrier" => carrier),
            receive: Stage::Receive.timer(),
            lane: Stage::Lane.timer(),
            verify: Stage::Verify.timer(),
            reply: Stage::Receipt.timer(),
            connections: counter!("gateway_connections_total", "carrier" => carrier),
            connections_open: gauge!("gateway_connections_open", "carrier" => carrier),
        }
    }

    /// A message of this kind could be read.
    pub fn read(&self, kind: Kind) {
        let at = Kind::ALL.iter().position(|listed| *listed == kind);
        at.and_then(|at| self.read.get(at)).unwrap_or(&Counter::noop()).increment(1);
    }

    /// A receipt was given.
    pub fn receipt(&self, status: Status, reason: Option<Reason>) {
        let counter = match status {
            Status::Received => self.receipts.first(),
            Status::Duplicate => self.receipts.get(1),
            Status::Held => self.receipts.get(2),
            Status::Refused => Reason::LISTED
                .iter()
                .position(|listed| Some(*listed) == reason)
                .and_then(|at| self.refused.get(at)),
        };
        counter.unwrap_or(&Counter::noop()).increment(1);
    }

    /// A proof failed, for this cause.
    pub fn unproven(&self, cause: Unproven) {
        self.unproven.get(cause as usize).unwrap_or(&Counter::noop()).increment(1);
    }

    /// So many messages wait in this lane.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub fn lane_waiting(&self, lane: Lane, messages: usize) {
        self.lane_waiting.get(lane as usize).unwrap_or(&Gauge::noop()).set(messages as f64);
    }

    /// A message of this lane was refused because there was too much to do.
    pub fn lane_refused(&self, lane: Lane, cause: LaneRefusal) {
        let counter = self.lane_refused.get(lane as usize);
        let counter = counter.and_then(|causes| causes.get(cause as usize));
        counter.unwrap_or(&Counter::noop()).increment(1);
    }

    /// A message ended without a receipt.
    pub fn abandoned(&self, cause: Abandoned) {
        self.abandoned.get(cause as usize).unwrap_or(&Counter::noop()).increment(1);
    }
}
