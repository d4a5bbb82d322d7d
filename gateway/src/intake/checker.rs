//! Checks signatures: one task of a shard, which takes what waits, in small batches, and hands the desk what is proven.
//!
//! It works between two turns of the shard's sockets, so a batch is short; the desk is woken once for all of it, and its
//! receipts come back many at a time, because on a busy core a wake-up costs as much as everything else that the desk does
//! for an alert.

use std::sync::Arc;
use std::time::Instant;

use pipeline::{Arrival, Lane};
use protocol::{Envelope, Realm, Reason, Receipt};
use tokio::sync::{mpsc, watch};

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
    /// Turns true when nothing more is to be taken.
    pub(super) stopping: watch::Receiver<bool>,
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
        } else if *self.stopping.borrow() {
            Some(Reason::Stopping)
        } else {
            None
        }
    }
}
