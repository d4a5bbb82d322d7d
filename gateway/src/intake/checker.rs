//! Checks signatures: one task of a shard, which takes what waits, in small batches, and hands the desk what is proven.
//!
//! Exchanges bring a message once it is understood ([`Claims`]) and wait for its receipt. The checker works between two
//! turns of the shard's sockets, so a batch is short; the desk is woken once for all of it, and its receipts come back
//! many at a time, because on a busy core a wake-up costs as much as everything else that the desk does for an alert.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pipeline::{Arrival, Carrier, Ticket};
use protocol::{Envelope, Message, Realm, Reason, Receipt};
use tokio::sync::{mpsc, oneshot, watch};

use super::verify::verifies;
use crate::clock;
use crate::registry::{DeviceKey, Registry};
use crate::telemetry::{Intake, Unproven};

/// Messages checked before the shard looks at its sockets again: half a millisecond of signatures.
pub const BATCH_MAX: usize = 16;

/// Receipts on their way from the desk to the shard whose exchanges wait for them.
pub type Receipts = Vec<(Ticket, Receipt)>;

/// What became of a message.
pub(super) enum Check {
    /// The desk's answer, or a refusal of the proof.
    Receipt(Receipt),
    /// It cannot be understood.
    Unread(Reason),
    /// The gateway ended first.
    Unanswered,
}

/// Where exchanges bring their messages.
pub(super) struct Claims {
    pub(super) realm: Realm,
    pub(super) registry: Arc<Registry>,
    pub(super) telemetry: Arc<Intake>,
    pub(super) queue: mpsc::Sender<Claim>,
}

/// A message that is understood and not proven: an arrival, if its signature verifies.
pub(super) struct Claim {
    arrival: Arrival,
    key: DeviceKey,
    revoked: bool,
    reply: oneshot::Sender<Receipt>,
}

impl Claims {
    /// Has a message checked and decided. Waits while the queue is full, and so stops reading (promise 3).
    pub(super) async fn check(&self, signed: Bytes) -> Check {
        let (reply, receipt) = oneshot::channel();
        let claim = match self.understand(signed, reply) {
            Ok(claim) => claim,
            Err(reason) => return Check::Unread(reason),
        };
        match (self.queue.send(claim).await, receipt.await) {
            (Ok(()), Ok(receipt)) => Check::Receipt(receipt),
            _ => Check::Unanswered,
        }
    }

    /// Everything that can be told of a message without its signature.
    fn understand(&self, signed: Bytes, reply: oneshot::Sender<Receipt>) -> Result<Claim, Reason> {
        let received_at = clock::now();
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
            message_id: envelope.message_id(&self.realm),
            kind: message.kind,
            counters: message.counters,
            alert: message.alert,
            category: message.category,
            position: message.position,
            site: device.site,
            labels,
            signed: signed.clone(),
        };
        Ok(Claim { arrival, key: device.key, revoked: device.revoked, reply })
    }

    fn unproven(&self, cause: Unproven) -> Reason {
        self.telemetry.unproven(cause);
        Reason::Unproven
    }
}

/// Exchanges that wait for the desk's receipt.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<Ticket, oneshot::Sender<Receipt>>>);

impl Waiting {
    /// Hands out receipts as they come; when the desk has ended, whoever still waits is told by the loss of its sender.
    pub(super) async fn answer(&self, mut receipts: mpsc::UnboundedReceiver<Receipts>) {
        while let Some(receipts) = receipts.recv().await {
            let mut waiting = self.lock();
            for (ticket, receipt) in receipts {
                // A sender that is gone does not wait.
                waiting.remove(&ticket).map(|reply| reply.send(receipt).ok());
            }
        }
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Receipt>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks what waits and hands it to the desk.
pub(super) struct Checker {
    pub(super) realm: Realm,
    pub(super) telemetry: Arc<Intake>,
    pub(super) queue: mpsc::Receiver<Claim>,
    pub(super) waiting: Arc<Waiting>,
    pub(super) tickets: Tickets,
    pub(super) desk: mpsc::Sender<Vec<Arrival>>,
    /// Turns true when nothing more is to be taken.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Checker {
    /// Works until nobody can bring a message any more, or the desk has ended.
    pub(super) async fn run(mut self) {
        let mut claims = Vec::with_capacity(BATCH_MAX);
        while self.queue.recv_many(&mut claims, BATCH_MAX).await > 0 {
            let proven = self.check(&mut claims);
            if !proven.is_empty() && self.desk.send(proven).await.is_err() {
                return;
            }
            // The sockets come before the next batch.
            tokio::task::yield_now().await;
        }
    }

    /// The arrivals that are proven; the others are answered.
    fn check(&mut self, claims: &mut Vec<Claim>) -> Vec<Arrival> {
        let mut proven = Vec::with_capacity(claims.len());
        for Claim { mut arrival, key, revoked, reply } in claims.drain(..) {
            match self.refusal(&arrival, &key, revoked) {
                Some(reason) => {
                    let receipt = Receipt::refused(reason, clock::now().to_millis());
                    // A sender that is gone does not wait.
                    reply.send(receipt).ok();
                }
                None => {
                    arrival.ticket = self.tickets.next();
                    self.waiting.lock().insert(arrival.ticket, reply);
                    proven.push(arrival);
                }
            }
        }
        proven
    }

    /// Why a message is refused before the desk hears of it, if it is.
    fn refusal(&self, arrival: &Arrival, key: &DeviceKey, revoked: bool) -> Option<Reason> {
        let proven = Envelope::parse(&arrival.signed).is_ok_and(|envelope| {
            verifies(key, &envelope.to_be_signed(&self.realm), envelope.signature)
        });
        if !proven {
            self.telemetry.unproven(Unproven::BadSignature);
            Some(Reason::Unproven)
        } else if revoked {
            Some(Reason::Revoked)
        } else if *self.stopping.borrow() {
            Some(Reason::Stopping)
        } else {
            None
        }
    }
}

/// Tickets of one shard: the shard's number in the upper bits, so that the desk knows where a receipt goes.
pub(super) struct Tickets(u64);

/// Bits of a ticket that count; the others name the shard.
const COUNTED_BITS: u32 = 48;

impl Tickets {
    pub(super) fn of_shard(shard: u16) -> Self {
        Self(u64::from(shard) << COUNTED_BITS)
    }

    fn next(&mut self) -> Ticket {
        self.0 += 1;
        Ticket(self.0)
    }
}

/// The shard that gave this ticket.
#[must_use]
pub fn shard_of(ticket: Ticket) -> usize {
    usize::try_from(ticket.0 >> COUNTED_BITS).unwrap_or(usize::MAX)
}
