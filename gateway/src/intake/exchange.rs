//! One message on one stream: read, handed over for its check, answered.
//!
//! What can be told of a message without its proof is told by [`super::claims`]; then it waits in its lane for its check
//! ([`super::checker`]). A message that proves nothing leaves nothing behind but its receipt and a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pipeline::DeviceIndex;
use protocol::{Reason, Receipt, SIGNED_LEN_MAX, Status};
use quinn::{ReadError, RecvStream, SendStream, VarInt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::claims::{Check, Claims};
use super::door::Slots;
use super::peer::{Peer, Peers, Proof};
use crate::clock;
use crate::config::AlertConfig;
use crate::telemetry::{Abandoned, Intake};

/// Where messages are handed in: what every exchange of a shard shares.
pub(super) struct Gate {
    pub(super) config: AlertConfig,
    pub(super) claims: Claims,
    pub(super) telemetry: Arc<Intake>,
    pub(super) under_way: UnderWay,
    /// Whoever is at the other ends.
    pub(super) peers: Arc<Peers>,
    /// Handshakes under way.
    pub(super) slots: Arc<Slots>,
    /// How long one may take.
    pub(super) handshake_timeout: Duration,
}

/// Exchanges whose message was read and whose receipt, or refusal, is not acknowledged.
#[derive(Default)]
pub(super) struct UnderWay {
    exchanges: AtomicUsize,
    none_left: Notify,
}

impl UnderWay {
    fn begin(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        if self.exchanges.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.none_left.notify_waiters();
        }
    }

    /// Waits until nothing is under way: every receipt that was made, refusals too, was acknowledged by its sender.
    pub(super) async fn ended(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.exchanges.load(Ordering::Relaxed) == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Gate {
    /// Serves one stream to its end. How many messages of its connection are proven, if this one is.
    pub(super) async fn serve(
        &self,
        peer: &Peer,
        send: SendStream,
        mut receive: RecvStream,
    ) -> Option<u32> {
        self.telemetry.messages.increment(1);
        self.telemetry.in_flight.increment(1.0);
        let begun = clock::monotonic();
        let read = self.read(&mut receive).await;
        self.telemetry.receive.record(begun.elapsed());
        self.under_way.begin();
        let proven = match read {
            Ok(signed) => self.answer(peer, send, signed).await,
            Err(Some(reason)) => {
                peer.note(Proof::Failed);
                self.refuse(send, reason).await;
                None
            }
            Err(None) => {
                peer.note(Proof::Unread);
                self.abandon(Abandoned::Unread);
                None
            }
        };
        self.under_way.end();
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

    /// Has the message checked and decided, and answers its sender.
    async fn answer(&self, peer: &Peer, send: SendStream, signed: Bytes) -> Option<u32> {
        let started = clock::monotonic();
        match self.claims.check(signed, peer.comes_last()).await {
            Check::Receipt(device, receipt) => {
                self.telemetry.receipt_seconds.record(started.elapsed());
                let proven = peer.note(shown_by(&receipt, device));
                self.reply(send, &receipt).await;
                proven
            }
            Check::Unread(reason) => {
                peer.note(Proof::Failed);
                self.refuse(send, reason).await;
                None
            }
            Check::Unanswered => {
                self.abandon(Abandoned::Unanswered);
                None
            }
        }
    }

    fn abandon(&self, cause: Abandoned) {
        self.telemetry.abandoned(cause);
        self.telemetry.in_flight.decrement(1.0);
    }

    async fn refuse(&self, send: SendStream, reason: Reason) {
        self.reply(send, &Receipt::refused(reason, clock::now().to_millis())).await;
    }

    /// Hands a receipt to the transport. A sender that is gone resends or has stopped caring.
    async fn reply(&self, mut send: SendStream, receipt: &Receipt) {
        debug_assert!(receipt.status != Status::Refused || receipt.reason.is_some());
        self.telemetry.receipt(receipt.status, receipt.reason);
        let begun = clock::monotonic();
        let written = send.write_all(&receipt.encode()).await;
        self.telemetry.reply.record(begun.elapsed());
        self.telemetry.in_flight.decrement(1.0);
        if written.is_ok() && send.finish().is_ok() {
            // A drain closes the endpoint once nothing is under way, and closing forgets what was not acknowledged.
            // The idle timeout of the connection is the longest that this takes.
            send.stopped().await.ok();
        }
    }
}

/// What a message that claims to come from `device` has shown by its receipt.
fn shown_by(receipt: &Receipt, device: DeviceIndex) -> Proof {
    match receipt.reason {
        Some(Reason::Unproven) => Proof::Failed,
        // An overloaded gateway has not looked; a revoked device's key is nobody's any more.
        Some(Reason::Overloaded | Reason::Revoked) => Proof::Open,
        _ => Proof::Given(device),
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

#[cfg(test)]
mod tests {
    use protocol::UnixMillis;

    use super::*;

    #[test]
    fn only_what_was_checked_counts_for_or_against_an_address() {
        let device = DeviceIndex(7);
        let refused = |reason| Receipt::refused(reason, UnixMillis(0));
        let shown = [
            (Receipt::new(Status::Received, UnixMillis(0)), Proof::Given(device)),
            (refused(Reason::Stale), Proof::Given(device)),
            (refused(Reason::RateLimited), Proof::Given(device)),
            (refused(Reason::Unproven), Proof::Failed),
            (refused(Reason::Overloaded), Proof::Open),
            (refused(Reason::Revoked), Proof::Open),
        ];
        for (receipt, proof) in shown {
            assert_eq!(shown_by(&receipt, device), proof, "{receipt:?}");
        }
    }
}
