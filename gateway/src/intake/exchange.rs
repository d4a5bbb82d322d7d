//! One message on one stream: read, verified, submitted, answered.
//!
//! Cheap tests come first: length, shape, whether the device exists, whether it uses this algorithm; the signature is
//! last. A message that proves nothing leaves nothing behind but its receipt and a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use pipeline::{Arrival, Carrier, Ticket};
use protocol::{Envelope, Message, Realm, Reason, Receipt, SIGNED_LEN_MAX, Status};
use quinn::{ReadError, RecvStream, SendStream, VarInt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::verify::verifies;
use crate::clock;
use crate::config::AlertConfig;
use crate::registry::Registry;
use crate::telemetry::{Abandoned, Intake, Unproven};

/// A verified message on its way to the desk, and where its receipt is waited for.
#[derive(Debug)]
pub struct Submission {
    /// The message. Its ticket is given by the desk's driver.
    pub arrival: Arrival,
    /// Where the receipt goes.
    pub reply: oneshot::Sender<Receipt>,
}

/// Where messages are handed in: what every exchange of a shard shares.
pub(super) struct Gate {
    pub(super) realm: Realm,
    pub(super) config: AlertConfig,
    pub(super) registry: Arc<Registry>,
    pub(super) lane: mpsc::Sender<Submission>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) telemetry: Intake,
    /// Exchanges whose message was read and whose receipt, or refusal, is not acknowledged.
    pub(super) under_way: watch::Sender<usize>,
    /// Handshakes under way.
    pub(super) handshakes: AtomicUsize,
}

impl Gate {
    /// Serves one stream to its end. Says whether the message was proven.
    pub(super) async fn serve(&self, send: SendStream, mut receive: RecvStream) -> bool {
        self.telemetry.messages.increment(1);
        self.telemetry.in_flight.increment(1.0);
        let read = self.read(&mut receive).await;
        self.under_way.send_modify(|under_way| *under_way += 1);
        let proven = match read {
            Ok(signed) => self.answer(send, signed).await,
            Err(Some(reason)) => {
                self.refuse(send, reason).await;
                false
            }
            Err(None) => {
                self.abandon(Abandoned::Unread);
                false
            }
        };
        self.under_way.send_modify(|under_way| *under_way -= 1);
        proven
    }

    /// The whole message, uncopied if it came in one piece. An error is a refusal, or nobody left to refuse.
    async fn read(&self, receive: &mut RecvStream) -> Result<Bytes, Option<Reason>> {
        let message = read_whole(receive);
        match timeout(self.config.message_timeout, message).await {
            Ok(Ok(Some(signed))) => Ok(signed),
            Ok(Ok(None)) => {
                // Nothing more of it is wanted; that it can no longer be stopped is no matter.
                receive.stop(VarInt::from_u32(0)).ok();
                Err(Some(Reason::TooLarge))
            }
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }

    async fn answer(&self, send: SendStream, signed: Bytes) -> bool {
        let started = clock::monotonic();
        let arrival = match self.check(signed) {
            Ok(arrival) => arrival,
            Err(reason) => {
                self.refuse(send, reason).await;
                return false;
            }
        };
        if *self.stopping.borrow() {
            self.refuse(send, Reason::Stopping).await;
            return true;
        }
        self.submit(send, arrival, started).await;
        true
    }

    async fn submit(&self, send: SendStream, arrival: Arrival, started: Instant) {
        let (reply, receipt) = oneshot::channel();
        let submitted = self.lane.send(Submission { arrival, reply }).await;
        match (submitted, receipt.await) {
            (Ok(()), Ok(receipt)) => {
                self.telemetry.receipt_seconds.record(started.elapsed());
                self.reply(send, &receipt).await;
            }
            _ => self.abandon(Abandoned::Unanswered),
        }
    }

    /// Waits until nothing is under way: every receipt that was made, refusals too, was acknowledged by its sender.
    pub(super) async fn idle(&self) {
        let mut under_way = self.under_way.subscribe();
        // The sender lives as long as this gate.
        under_way.wait_for(|under_way| *under_way == 0).await.ok();
    }

    /// A verified arrival, or why it is refused.
    fn check(&self, signed: Bytes) -> Result<Arrival, Reason> {
        let received_at = clock::now();
        let envelope = Envelope::parse(&signed).map_err(|error| error.reason())?;
        let (message, labels) =
            Message::decode(envelope.message).map_err(|error| error.reason())?;
        self.telemetry.read(message.kind);
        let Some(device) = self.registry.get(&envelope.device) else {
            return Err(self.unproven(Unproven::UnknownDevice));
        };
        if device.algorithm() != envelope.algorithm {
            return Err(self.unproven(Unproven::WrongAlgorithm));
        }
        let covered = envelope.to_be_signed(&self.realm);
        if !verifies(&device.key, &covered, envelope.signature) {
            return Err(self.unproven(Unproven::BadSignature));
        }
        if device.revoked {
            return Err(Reason::Revoked);
        }
        Ok(Arrival {
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
        })
    }

    fn abandon(&self, cause: Abandoned) {
        self.telemetry.abandoned(cause);
        self.telemetry.in_flight.decrement(1.0);
    }

    pub(super) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
    }

    fn unproven(&self, cause: Unproven) -> Reason {
        self.telemetry.unproven(cause);
        Reason::Unproven
    }

    async fn refuse(&self, send: SendStream, reason: Reason) {
        self.reply(send, &Receipt::refused(reason, clock::now().to_millis())).await;
    }

    /// Hands a receipt to the transport. A sender that is gone resends or has stopped caring.
    async fn reply(&self, mut send: SendStream, receipt: &Receipt) {
        debug_assert!(receipt.status != Status::Refused || receipt.reason.is_some());
        self.telemetry.receipt(receipt.status, receipt.reason);
        let written = send.write_all(&receipt.encode()).await;
        self.telemetry.in_flight.decrement(1.0);
        if written.is_ok() && send.finish().is_ok() {
            // A drain closes the endpoint once nothing is under way, and closing forgets what was not acknowledged.
            // The idle timeout of the connection is the longest that this takes.
            send.stopped().await.ok();
        }
    }
}

/// The stream's bytes; nothing if there are more than a message may have. What came in one piece is not copied.
async fn read_whole(receive: &mut RecvStream) -> Result<Option<Bytes>, ReadError> {
    let Some(first) = next_piece(receive).await? else { return Ok(Some(Bytes::new())) };
    let Some(second) = next_piece(receive).await? else { return Ok(fitting(first)) };
    let mut whole = BytesMut::with_capacity(SIGNED_LEN_MAX);
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while whole.len() <= SIGNED_LEN_MAX {
        let Some(piece) = next_piece(receive).await? else { return Ok(fitting(whole.freeze())) };
        whole.extend_from_slice(&piece);
    }
    Ok(None)
}

async fn next_piece(receive: &mut RecvStream) -> Result<Option<Bytes>, ReadError> {
    Ok(receive.read_chunk(SIGNED_LEN_MAX + 1, true).await?.map(|chunk| chunk.bytes))
}

fn fitting(message: Bytes) -> Option<Bytes> {
    (message.len() <= SIGNED_LEN_MAX).then_some(message)
}
