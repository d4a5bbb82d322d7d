//! One message on one stream: read, handed over for its check, answered, and followed if its sender wants that.
//!
//! What can be told of a message without its proof is told by [`super::claims`]; then it waits in its lane for its check
//! ([`super::checker`]). A message that proves nothing leaves nothing behind but its receipt and a count.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pipeline::DeviceIndex;
use protocol::{AlertId, Kind, Progress, Reason, Receipt, SIGNED_LEN_MAX, Status, StatusItem};
use quinn::{Connection, ReadError, RecvStream, SendStream, VarInt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::claims::{Check, Claims};
use super::connection::earn_streams;
use super::door::Slots;
use super::followers::{Followers, Following, Word};
use super::peer::{Peer, Peers, Proof};
use crate::clock;
use crate::config::AlertConfig;
use crate::telemetry::{Abandoned, Intake};

/// A receipt that was given so long ago has arrived, or its sender is gone: a drain does not wait for it.
const ARRIVED_AFTER: Duration = Duration::from_secs(1);

/// Where messages are handed in: what every exchange of a shard shares.
pub(super) struct Gate {
    pub(super) config: AlertConfig,
    pub(super) claims: Claims,
    pub(super) telemetry: Arc<Intake>,
    pub(super) under_way: UnderWay,
    /// Who waits for word of an alert.
    pub(super) followers: Arc<Followers>,
    /// Whoever is at the other ends.
    pub(super) peers: Arc<Peers>,
    /// Handshakes under way.
    pub(super) slots: Arc<Slots>,
    /// How long one may take.
    pub(super) handshake_timeout: Duration,
}

/// Exchanges whose message was read and whose receipt, or refusal, is not acknowledged; and those whose sender follows,
/// until a drain sends them away.
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
    /// Serves one stream to its end.
    pub(super) async fn serve(
        &self,
        peer: &Peer,
        connection: &Connection,
        send: SendStream,
        mut receive: RecvStream,
    ) {
        self.telemetry.messages.increment(1);
        self.telemetry.in_flight.increment(1.0);
        let begun = clock::monotonic();
        let read = self.read(&mut receive).await;
        self.telemetry.receive.record(begun.elapsed());
        self.under_way.begin();
        match read {
            Ok(signed) => self.answer(peer, connection, send, signed).await,
            Err(Some(reason)) => {
                peer.note(Proof::Failed);
                self.refuse(send, reason).await;
            }
            Err(None) => {
                peer.note(Proof::Unread);
                self.abandon(Abandoned::Unread);
            }
        }
        self.under_way.end();
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
    async fn answer(
        &self,
        peer: &Peer,
        connection: &Connection,
        mut send: SendStream,
        signed: Bytes,
    ) {
        let started = clock::monotonic();
        match self.claims.check(signed, peer.comes_last()).await {
            Check::Receipt { device, kind, receipt } => {
                self.telemetry.receipt_seconds.record(started.elapsed());
                let proven = peer.note(shown_by(&receipt, device));
                if proven == Some(self.config.streams_earned_after) {
                    earn_streams(connection, self.config.streams_earned);
                }
                if !self.say(&mut send, &receipt).await {
                    return;
                }
                match worth_following(kind, &receipt) {
                    Some(alert) => self.follow(peer, send, alert).await,
                    None => end(send).await,
                }
            }
            Check::Unread(reason) => {
                peer.note(Proof::Failed);
                self.refuse(send, reason).await;
            }
            Check::Unanswered => self.abandon(Abandoned::Unanswered),
        }
    }

    fn abandon(&self, cause: Abandoned) {
        self.telemetry.abandoned(cause);
        self.telemetry.in_flight.decrement(1.0);
    }

    async fn refuse(&self, mut send: SendStream, reason: Reason) {
        if self.say(&mut send, &Receipt::refused(reason, clock::now().to_millis())).await {
            end(send).await;
        }
    }

    /// Hands a receipt to the transport. A sender that is gone resends or has stopped caring.
    async fn say(&self, send: &mut SendStream, receipt: &Receipt) -> bool {
        debug_assert!(receipt.status != Status::Refused || receipt.reason.is_some());
        self.telemetry.receipt(receipt.status, receipt.reason);
        let begun = clock::monotonic();
        let written = send.write_all(&receipt.encode()).await;
        self.telemetry.reply.record(begun.elapsed());
        self.telemetry.in_flight.decrement(1.0);
        written.is_ok()
    }

    /// Tells the sender how far the alert is answered, while the sender wants to know and there is room.
    async fn follow(&self, peer: &Peer, mut send: SendStream, alert: AlertId) {
        let (present, following) = self.followers.follow(alert, peer.room(&self.config));
        if let Some(progress) = present
            && !self.report(&mut send, alert, progress).await
        {
            return;
        }
        let Some(following) = following else { return end(send).await };
        let since = clock::monotonic();
        match self.until_over(&mut send, alert, following).await {
            Over::Gone => {}
            // Its connection may be gone without anybody knowing; a drain would wait for that in vain.
            Over::Stopping if since.elapsed() > ARRIVED_AFTER => {
                send.finish().ok();
            }
            Over::Stopping | Over::Said => end(send).await,
        }
    }

    async fn until_over(
        &self,
        send: &mut SendStream,
        alert: AlertId,
        following: Following,
    ) -> Over {
        let mut gone = pin!(send.stopped());
        loop {
            let word = tokio::select! {
                _ = &mut gone => return Over::Gone,
                word = following.next() => word,
            };
            match word {
                Word::Said(progress) if !self.report(send, alert, progress).await => {
                    return Over::Gone;
                }
                Word::Said(progress) if progress.is_last() => return Over::Said,
                Word::Said(_) => {}
                Word::GiveWay => return Over::Said,
                Word::Stopping => return Over::Stopping,
            }
        }
    }

    /// Whether the sender has taken the item, in as much time as a message may take.
    async fn report(&self, send: &mut SendStream, alert: AlertId, progress: Progress) -> bool {
        let gateway_clock = clock::now().to_millis();
        let item = StatusItem { progress, alert, gateway_clock }.encode();
        let written = timeout(self.config.message_timeout, send.write_all(&item)).await;
        matches!(written, Ok(Ok(())))
    }
}

/// Why a sender is no longer followed.
enum Over {
    /// It is gone, or wants to know nothing more.
    Gone,
    /// There is nothing more to say, or no room to say it.
    Said,
    /// The gateway stops.
    Stopping,
}

/// Finishes a stream, and waits until everything on it is acknowledged or its sender is gone.
async fn end(mut send: SendStream) {
    if send.finish().is_ok() {
        // A drain closes the endpoint once nothing is under way, and closing forgets what was not acknowledged.
        // The idle timeout of the connection is the longest that this takes.
        send.stopped().await.ok();
    }
}

/// The alert whose sender may want to know what becomes of it. Of a held one there is nothing to tell.
fn worth_following(kind: Kind, receipt: &Receipt) -> Option<AlertId> {
    let paged = matches!(receipt.status, Status::Received | Status::Duplicate);
    receipt.alert.filter(|_| kind == Kind::Raise && paged && receipt.call.is_none())
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
    use protocol::{ShortText, UnixMillis};

    use super::*;

    #[test]
    fn only_a_raise_that_was_paged_is_worth_following() {
        let alert = Some(AlertId([1; 16]));
        let receipt = |status| Receipt { alert, ..Receipt::new(status, UnixMillis(0)) };
        let held = Receipt { call: ShortText::new("110"), ..receipt(Status::Duplicate) };
        for status in [Status::Received, Status::Duplicate] {
            assert_eq!(worth_following(Kind::Raise, &receipt(status)), alert);
            assert_eq!(worth_following(Kind::Update, &receipt(status)), None);
        }
        for nothing in [held, receipt(Status::Held), receipt(Status::Refused)] {
            assert_eq!(worth_following(Kind::Raise, &nothing), None);
        }
    }

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
