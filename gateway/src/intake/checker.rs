//! Checks signatures: one task of a shard, which takes what waits, in small batches, and hands the desk what is proven.
//!
//! It works between two turns of the shard's sockets, so a batch is short; the desk is woken once for all of it, and its
//! receipts come back many at a time, because on a busy core a wake-up costs as much as everything else that the desk does
//! for an alert.

use std::sync::Arc;
use std::time::Instant;

use pipeline::{Arrival, Lane};
use protocol::{Envelope, Realm, Reason, Receipt};
use tokio::sync::mpsc;

use super::claims::Claim;
use super::door::Slots;
use super::lanes::{LanesOut, Taken};
use super::verify::verifies;
use super::waiting::{Tickets, Waiting};
use crate::clock;
use crate::telemetry::{Intake, LaneRefusal, Unproven};

/// Messages checked before the shard looks at its sockets again: most of a millisecond of signatures.
pub const BATCH_MAX: usize = 32;

/// So many handshakes under way halve the part of a batch that may be refused, twice as many leave a third of it. On a quiet
/// day there are one or two; a gateway that falls behind with them soon has a hundred.
const HANDSHAKES_EACH: usize = 4;

/// Arrivals on their way to the desk.
#[derive(Debug)]
pub struct Proven {
    /// In the order in which they were checked; [`BATCH_MAX`] at most.
    pub arrivals: Vec<Arrival>,
    /// When their check was done.
    pub since: Instant,
}

/// Checks what waits and hands it to the desk.
pub(super) struct Checker {
    pub(super) realm: Realm,
    pub(super) telemetry: Arc<Intake>,
    pub(super) lanes: LanesOut<Claim>,
    pub(super) slots: Arc<Slots>,
    pub(super) waiting: Arc<Waiting>,
    pub(super) tickets: Tickets,
    pub(super) desk: mpsc::Sender<Proven>,
}

impl Checker {
    /// Works until nobody can bring a message any more, or the desk has ended.
    pub(super) async fn run(mut self) {
        while let Some(Taken { due, overdue }) = self.take().await {
            for Claim { lane, overloaded, reply, .. } in overdue {
                self.telemetry.lane_refused(lane, LaneRefusal::Overdue);
                // A sender that is gone does not wait.
                reply.send(overloaded).ok();
            }
            let proven = self.check(due);
            if !proven.arrivals.is_empty() && self.desk.send(proven).await.is_err() {
                return;
            }
            for lane in Lane::ALL {
                self.telemetry.lane_waiting(lane, self.lanes.len(lane));
            }
            // The sockets come before the next batch.
            tokio::task::yield_now().await;
        }
    }

    /// What to check next. Handshakes under way are first presses to come: the more there are, the fewer of the others are
    /// checked before the sockets are read again.
    async fn take(&mut self) -> Option<Taken<Claim>> {
        let others_max = BATCH_MAX / (1 + self.slots.under_way() / HANDSHAKES_EACH);
        self.lanes.take(BATCH_MAX, others_max.max(1)).await
    }

    /// The arrivals that are proven; the others are answered.
    fn check(&mut self, claims: Vec<Claim>) -> Proven {
        let mut proven = Vec::with_capacity(claims.len());
        let (begun, checked) = (clock::monotonic(), claims.len());
        for claim in claims {
            self.telemetry.lane.record(begun.saturating_duration_since(claim.since));
            let Some(reason) = self.refusal(&claim) else {
                let mut arrival = claim.arrival;
                arrival.ticket = self.tickets.next();
                self.waiting.wait(arrival.ticket, claim.reply);
                proven.push(arrival);
                continue;
            };
            let receipt = Receipt::refused(reason, clock::now().to_millis());
            // A sender that is gone does not wait.
            claim.reply.send(receipt).ok();
        }
        // Checks of a batch take alike, so the clock is read once for all of them.
        let each = begun.elapsed() / u32::try_from(checked.max(1)).unwrap_or(u32::MAX);
        self.telemetry.verify.record_each(each, checked);
        Proven { arrivals: proven, since: clock::monotonic() }
    }

    /// Why a message is refused before the desk hears of it, if it is.
    fn refusal(&self, claim: &Claim) -> Option<Reason> {
        let proven = Envelope::parse(&claim.arrival.signed).is_ok_and(|envelope| {
            verifies(&claim.key, &envelope.to_be_signed(&self.realm), envelope.signature)
        });
        if !proven {
            self.telemetry.unproven(Unproven::BadSignature);
            Some(Reason::Unproven)
        } else if claim.revoked {
            Some(Reason::Revoked)
        } else if claim.late {
            Some(Reason::Stopping)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use device::{Key, Signer};
    use futures_util::FutureExt;
    use pipeline::{DeviceIndex, Enrolment};
    use protocol::{Algorithm, Counters, DeviceId, Message, Nonce, Status, UnixMillis};
    use tokio::sync::watch;

    use super::super::claims::{Check, Claims};
    use super::super::lanes::lanes;
    use super::super::refusals::Refusals;
    use super::*;
    use crate::config::LaneConfig;
    use crate::hints::Hints;
    use crate::registry::{Device, DeviceKey, Registry};

    const REALM: Realm = Realm([7; 16]);
    const ID: DeviceId = DeviceId([1; 16]);

    fn key() -> Key {
        Key::from_secret(Algorithm::EdDsa, &[3; 32]).unwrap()
    }

    fn press(sequence: u32) -> Bytes {
        let message = Message::raise(Counters::new(1, sequence), Nonce([5; 8]));
        Signer::new(REALM, ID, key()).sign(&message).unwrap().bytes().clone()
    }

    fn registry() -> Arc<Registry> {
        let registry = Registry::default();
        let device = Device {
            index: DeviceIndex(0),
            key: DeviceKey::parse(Algorithm::EdDsa, key().public()).unwrap(),
            revoked: false,
            site: None,
            enrolment: Enrolment::default(),
        };
        registry.put(ID, &device);
        Arc::new(registry)
    }

    /// Where messages are brought, and a desk behind it that receives all that is proven.
    fn open_gate(config: LaneConfig, stopping: watch::Receiver<bool>) -> Claims {
        let telemetry = Arc::new(Intake::of(pipeline::Carrier::Quic));
        let (put, taken) = lanes(&config);
        let (desk, mut proven) = mpsc::channel::<Proven>(1);
        let (answer, receipts) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let checker = Checker {
            realm: REALM,
            telemetry: Arc::clone(&telemetry),
            lanes: taken,
            slots: Arc::new(Slots::new()),
            waiting: Arc::clone(&waiting),
            tickets: Tickets::of_shard(0),
            desk,
        };
        tokio::spawn(checker.run());
        tokio::spawn(async move { waiting.answer(receipts).await });
        tokio::spawn(async move {
            let received = Receipt::new(Status::Received, UnixMillis(0));
            while let Some(Proven { arrivals, .. }) = proven.recv().await {
                answer.send(arrivals.iter().map(|it| (it.ticket, received)).collect()).ok();
            }
        });
        Claims {
            realm: REALM,
            refusals: Refusals::new(&config),
            config,
            registry: registry(),
            hints: Arc::new(Hints::default()),
            telemetry,
            lanes: put,
            stopping,
        }
    }

    #[tokio::test]
    async fn what_waits_when_the_gateway_stops_is_finished_and_what_comes_after_is_refused() {
        let (stop, stopping) = watch::channel(false);
        // The second finds its lane full, and waits for its place.
        let claims = open_gate(LaneConfig { first: 1, ..LaneConfig::default() }, stopping);
        let [mut first, mut second] = [1, 2].map(|n| Box::pin(claims.check(press(n), false)));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        stop.send_replace(true);
        let late = claims.check(press(3), false);
        let (first, second, late) = tokio::join!(first, second, late);
        let answers = [first, second, late].map(|check| match check {
            Check::Receipt { receipt: Receipt { status, reason, .. }, .. } => (status, reason),
            Check::Unread(_) | Check::Unanswered => panic!("each is answered"),
        });
        let received = (Status::Received, None);
        assert_eq!(answers, [received, received, (Status::Refused, Some(Reason::Stopping))]);
    }
}
