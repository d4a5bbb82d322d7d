//! What a message claims: understood as far as it can be without its signature, put into its lane, waited for.
//!
//! Cheap tests come first: length, shape, whether the device exists, whether it uses this algorithm. Nothing is charged to
//! the device that a message claims to be from: until its proof is checked, anybody can have written it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pipeline::{Arrival, Carrier, DeviceIndex, Lane, Model, Ticket};
use protocol::{Envelope, Kind, Message, MessageId, Realm, Reason, Receipt};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep_until;

use super::lanes::{Lanes, NotPut};
use super::refusals::Refusals;
use crate::clock;
use crate::config::LaneConfig;
use crate::hints::Hints;
use crate::registry::{DeviceKey, Registry};
use crate::telemetry::{Intake, LaneRefusal, Unproven};

/// What became of a message.
pub(super) enum Check {
    /// The desk's answer, or a refusal of the proof.
    Receipt {
        /// The device that the message claims to come from.
        device: DeviceIndex,
        /// What the message is for.
        kind: Kind,
        /// The answer.
        receipt: Receipt,
    },
    /// It cannot be understood.
    Unread(Reason),
    /// The gateway ended first.
    Unanswered,
}

/// Where exchanges bring their messages.
pub(super) struct Claims {
    pub(super) realm: Realm,
    pub(super) config: LaneConfig,
    pub(super) registry: Arc<Registry>,
    pub(super) hints: Arc<Hints>,
    pub(super) telemetry: Arc<Intake>,
    pub(super) lanes: Lanes<Claim>,
    pub(super) refusals: Refusals,
    /// Turns true when nothing more is to be taken.
    pub(super) stopping: watch::Receiver<bool>,
}

/// A message that is understood and not proven: an arrival, if its signature verifies.
pub(super) struct Claim {
    pub(super) arrival: Arrival,
    pub(super) key: DeviceKey,
    pub(super) revoked: bool,
    /// It came when nothing more was to be taken.
    pub(super) late: bool,
    pub(super) lane: Lane,
    /// What to say if there is no time to check it.
    pub(super) overloaded: Receipt,
    pub(super) reply: oneshot::Sender<Receipt>,
    /// When its last byte was read.
    pub(super) since: Instant,
}

impl Claims {
    /// Has a message checked and decided. A first press waits while its lane is full, and so stops reading (promise 3).
    ///
    /// Where `comes_last`, it waits behind the others of its lane.
    pub(super) async fn check(&self, signed: Bytes, comes_last: bool) -> Check {
        let (reply, receipt) = oneshot::channel();
        let claim = match self.understand(signed, reply) {
            Ok(claim) => claim,
            Err(reason) => return Check::Unread(reason),
        };
        let (lane, overloaded) = (claim.lane, claim.overloaded);
        let (device, kind) = (claim.arrival.device_index, claim.arrival.kind);
        let answered = |receipt| Check::Receipt { device, kind, receipt };
        match self.lanes.put(lane, comes_last, claim).await {
            Ok(()) => receipt.await.map_or(Check::Unanswered, answered),
            Err(NotPut::Full) => {
                self.telemetry.lane_refused(lane, LaneRefusal::Full);
                self.keep_back().await;
                answered(overloaded)
            }
            Err(NotPut::Closed) => Check::Unanswered,
        }
    }

    /// Waits until a refusal may be told; a drain has no time for that.
    async fn keep_back(&self) {
        let due = self.refusals.due(clock::monotonic());
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = sleep_until(due.into()) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    /// Everything that can be told of a message without its signature.
    fn understand(&self, signed: Bytes, reply: oneshot::Sender<Receipt>) -> Result<Claim, Reason> {
        let (received_at, since) = (clock::now(), clock::monotonic());
        let envelope = Envelope::parse(&signed).map_err(|error| error.reason())?;
        let (message, labels) =
            Message::decode(envelope.message).map_err(|error| error.reason())?;
        self.telemetry.read(message.kind);
        let device = self.registry.get(&envelope.device);
        let device = device.ok_or_else(|| self.unproven(Unproven::UnknownDevice))?;
        if device.algorithm() != envelope.algorithm {
            return Err(self.unproven(Unproven::WrongAlgorithm));
        }
        let arrival = Arrival {
            ticket: Ticket(0),
            received_at,
            carrier: Carrier::Quic,
            device: envelope.device,
            device_index: device.index,
            enrolment: device.enrolment,
            message_id: envelope.message_id(&self.realm),
            kind: message.kind,
            counters: message.counters,
            device_clock: message.device_clock,
            model: message.firmware.and_then(Model::new),
            alert: message.alert,
            category: message.category,
            position: message.position,
            site: device.site,
            labels,
            signed: signed.clone(),
        };
        let lane = Lane::of(message.kind, self.hints.get(device.index), received_at);
        let overloaded = Receipt {
            alert: arrival.alert_id(),
            counters: Some(arrival.counters),
            retry_after_ms: Some(self.retry_after_ms(&arrival.message_id)),
            ..Receipt::refused(Reason::Overloaded, received_at.to_millis())
        };
        let (key, revoked, late) = (device.key, device.revoked, *self.stopping.borrow());
        Ok(Claim { arrival, key, revoked, late, lane, overloaded, reply, since })
    }

    /// Between half and one and a half of what is configured, by the message's id: those who were refused together do not
    /// come back together.
    fn retry_after_ms(&self, id: &MessageId) -> u64 {
        let mean = u64::try_from(self.config.retry_after.as_millis()).unwrap_or(u64::MAX);
        let [.., high, low] = id.0;
        let share = u64::from(u16::from_be_bytes([high, low]));
        (mean / 2).saturating_add(mean.saturating_mul(share) >> 16)
    }

    fn unproven(&self, cause: Unproven) -> Reason {
        self.telemetry.unproven(cause);
        Reason::Unproven
    }
}
