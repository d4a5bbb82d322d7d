//! One subscriber's open stream, whatever it shows: from its opening to its end.
//!
//! The stream is pulled by the connection: it reads on only when the client has taken what it was given, so a slow
//! client costs one chunk and delays nobody. What comes next is its [`Source`]'s to say. Whether the token still holds, and
//! for which zones, is asked again at every read. Every stream tells its client at its opening, and with every keep-alive,
//! up to where it has been served, so that a client that was sent no event yet can resume without a gap too.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, stream};
use pipeline::Cursor;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::access::Access;
use super::attendance::Attending;
use super::cursor::SEALED_LEN;
use super::refusal::Refusal;
use super::stall::Stall;
use super::state::Feed;
use super::text::ascii;

/// How soon a client should reconnect, in milliseconds: it may be an alert's difference.
const RETRY_MS: u32 = 1_000;
/// The last words of a gateway that stops.
const STOPPING: &str = "the gateway is stopping";

/// What a stream shows.
pub(super) trait Source: Send {
    /// What comes next, or a reason to look again.
    fn step(&mut self, reader: &mut Reader) -> impl Future<Output = Step> + Send;

    /// Up to where the client has been served.
    fn position(&self) -> Cursor;

    /// Waits until there may be more than was served; false if there will never be. Nothing is lost if it is dropped.
    fn changed(&mut self) -> impl Future<Output = bool> + Send;

    /// Whether everything was served that the gateway took, so that the stream may end when it stops.
    fn is_served(&self, feed: &Feed) -> bool;
}

/// What a step of the stream came to.
pub(super) enum Step {
    /// Events for the client, and how many they are.
    Events(Bytes, usize),
    /// Nothing for this client; there may be more to read.
    Again,
    /// Everything that is there was served.
    Served,
    /// Something is missing here, and the stream goes on behind it.
    Gap(Bytes),
    /// The client stays behind: what follows is missing here, and it has to come again for it.
    Behind(Bytes),
    /// The last words.
    Close(&'static str),
}

/// Who reads, as far as a source needs them.
pub(super) struct Reader {
    pub(super) feed: Arc<Feed>,
    pub(super) access: Access,
    attending: Attending,
}

/// An open stream.
pub(super) struct Subscription<S> {
    reader: Reader,
    source: S,
    closing: watch::Receiver<bool>,
    keep_alive: Interval,
    stall: Stall,
    stage: Stage,
    /// Returned when the stream is dropped.
    _place: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    Closed,
}

impl Reader {
    /// Looks at the token again.
    pub(super) fn renew(&mut self) -> Result<(), Refusal> {
        self.access.renew(&self.feed)?;
        if self.access.granted() != self.attending.zones() {
            self.attending = self.feed.attendance.attend(self.access.granted());
        }
        Ok(())
    }
}

impl<S: Source> Subscription<S> {
    /// A stream of this source for whoever has `access`.
    pub(super) fn new(
        feed: Arc<Feed>,
        access: Access,
        source: S,
        stall: Stall,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let closing = feed.closing.subscribe();
        let mut keep_alive = interval(feed.config.keepalive_interval);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        metrics::gauge!("gateway_feed_subscribers").increment(1.0);
        let attending = feed.attendance.attend(access.granted());
        let reader = Reader { feed, access, attending };
        let stage = Stage::Opening;
        Self { reader, source, closing, keep_alive, stall, stage, _place: place }
    }

    /// The stream's bytes, until the client, the token or the gateway ends it.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
        stream::unfold(self, |mut subscription| async move {
            let bytes = subscription.next().await?;
            Some((Ok(bytes), subscription))
        })
    }

    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.stall.taken();
        let bytes = match self.stage {
            Stage::Closed => return None,
            Stage::Opening => {
                self.stage = Stage::Open;
                format!(": kentongan\nretry: {RETRY_MS}\n{}", self.served()).into()
            }
            Stage::Open => self.read().await,
        };
        self.keep_alive.reset();
        self.stall.given();
        Some(bytes)
    }

    async fn read(&mut self) -> Bytes {
        loop {
            match self.source.step(&mut self.reader).await {
                Step::Events(bytes, events) => {
                    metrics::counter!("gateway_feed_events_total").increment(events as u64);
                    metrics::counter!("gateway_feed_bytes_total").increment(bytes.len() as u64);
                    return bytes;
                }
                Step::Again => {
                    if self.keep_alive.tick().now_or_never().is_some() {
                        return self.keep_alive_comment();
                    }
                }
                Step::Served => {
                    if let Some(bytes) = self.wait().await {
                        return bytes;
                    }
                }
                Step::Gap(bytes) => {
                    metrics::counter!("gateway_feed_gaps_total").increment(1);
                    return bytes;
                }
                Step::Behind(bytes) => {
                    self.stage = Stage::Closed;
                    metrics::counter!("gateway_feed_gaps_total").increment(1);
                    let reader = self.reader.access.holder();
                    tracing::info!(%reader, "feed closed: it stays behind");
                    return bytes;
                }
                Step::Close(why) => return self.close(why),
            }
        }
    }

    /// Everything that is there was served: waits for more, or for the time to say that the stream is alive.
    async fn wait(&mut self) -> Option<Bytes> {
        if *self.closing.borrow_and_update() && self.source.is_served(&self.reader.feed) {
            return Some(self.close(STOPPING));
        }
        let more = tokio::select! {
            more = self.source.changed() => more,
            changed = self.closing.changed() => changed.is_ok(),
            _ = self.keep_alive.tick() => {
                return Some(match self.reader.renew() {
                    Ok(()) => self.keep_alive_comment(),
                    Err(refusal) => self.close(refusal.title()),
                });
            }
        };
        (!more).then(|| self.close(STOPPING))
    }

    fn close(&mut self, why: &'static str) -> Bytes {
        self.stage = Stage::Closed;
        tracing::info!(reader = %self.reader.access.holder(), why, "feed closed");
        format!(": {why}\n\n").into()
    }

    fn keep_alive_comment(&self) -> Bytes {
        format!(": keep-alive\n{}", self.served()).into()
    }

    /// A block without data: it sets the client's last event id and dispatches nothing (HTML section 9.2.6).
    fn served(&self) -> String {
        let sealed: [u8; SEALED_LEN] = self.reader.feed.codec.seal_passed(self.source.position());
        format!("id: {}\n\n", ascii(&sealed))
    }
}

impl<S> Drop for Subscription<S> {
    fn drop(&mut self) {
        metrics::gauge!("gateway_feed_subscribers").decrement(1.0);
    }
}
