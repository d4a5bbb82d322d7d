//! One message on one stream: read, handed over for its check, answered.
//!
//! What can be told of a message without its proof is told by [`super::claims`]; then it waits in its lane for its check
//! ([`super::checker`]). A message that proves nothing leaves nothing behind but its receipt and a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use protocol::{Reason, Receipt, SIGNED_LEN_MAX, Status};
use quinn::{ReadError, RecvStream, SendStream, VarInt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::claims::{Check, Claims};
use crate::clock;
use crate::config::AlertConfig;
use crate::telemetry::{Abandoned, Intake};

/// Where messages are handed in: what every exchange of a shard shares.
pub(super) struct Gate {
    pub(super) config: AlertConfig,
    pub(super) claims: Claims,
    pub(super) telemetry: Arc<Intake>,
    pub(super) under_way: UnderWay,
    /// Handshakes under way.
    pub(super) handshakes: AtomicUsize,
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
    /// Serves one stream to its end. Says whether the message was proven.
    pub(super) async fn serve(&self, send: SendStream, mut receive: RecvStream) -> bool {
        self.telemetry.messages.increment(1);
        self.telemetry.in_flight.increment(1.0);
        let read = self.read(&mut receive).await;
        self.under_way.begin();
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
    async fn answer(&self, send: SendStream, signed: Bytes) -> bool {
        let started = clock::monotonic();
        match self.claims.check(signed).await {
            Check::Receipt(receipt) => {
                self.telemetry.receipt_seconds.record(started.elapsed());
                let proven = receipt.reason != Some(Reason::Unproven);
                self.reply(send, &receipt).await;
                proven
            }
            Check::Unread(reason) => {
                self.refuse(send, reason).await;
                false
            }
            Check::Unanswered => {
                self.abandon(Abandoned::Unanswered);
                false
            }
        }
    }

    fn abandon(&self, cause: Abandoned) {
        self.telemetry.abandoned(cause);
        self.telemetry.in_flight.decrement(1.0);
    }

    pub(super) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
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
