//! One subscriber's open stream: where it stands, and the bytes that come next.
//!
//! The stream is pulled by the connection: it reads on only when the client has taken what it was given, so a slow
//! client costs one chunk and delays nobody. Whether the token still holds, and for which zones, is asked again at
//! every read. Every stream tells its client at its opening, and with every keep-alive, up to where it has been served,
//! so that a client that was sent no event yet can resume without a gap too.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, stream};
use pipeline::Cursor;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::access::Access;
use super::chunk::Chunk;
use super::cursor::SEALED_LEN;
use super::head::{Head, Next};
use super::shape::Shape;
use super::stall::Stall;
use super::state::Feed;

/// How soon a client should reconnect, in milliseconds: it may be an alert's difference.
const RETRY_MS: u32 = 1_000;

/// An open stream.
pub(super) struct Subscription {
    feed: Arc<Feed>,
    access: Access,
    shape: Shape,
    position: Cursor,
    tip: watch::Receiver<Cursor>,
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

/// What a step of the stream came to.
enum Step {
    /// Bytes for the client.
    Send(Bytes),
    /// Nothing for this client; there may be more to read.
    Again,
    /// The last words.
    Close(&'static str),
}

impl Subscription {
    /// A stream in this shape for whoever has `access`, of what follows `position`, or of what is new if there is none.
    pub(super) fn new(
        feed: Arc<Feed>,
        access: Access,
        shape: Shape,
        position: Option<Cursor>,
        stall: Stall,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let mut tip = feed.heads.of(shape).watch();
        let position = position.unwrap_or(*tip.borrow_and_update());
        let closing = feed.closing.subscribe();
        let mut keep_alive = interval(feed.config.keepalive_interval);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        metrics::gauge!("gateway_feed_subscribers").increment(1.0);
        Self {
            feed,
            access,
            shape,
            position,
            tip,
            closing,
            keep_alive,
            stall,
            stage: Stage::Opening,
            _place: place,
        }
    }

    /// The stream's bytes, until the client, the token or the gateway ends it.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
        stream::unfold(self, |mut subscription| async move {
            let bytes = subscription.next().await?;
            Some((Ok(bytes), subscription))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
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
            match self.step().await {
                Step::Send(bytes) => return bytes,
                Step::Again => {}
                Step::Close(why) => {
                    self.stage = Stage::Closed;
                    tracing::info!(reader = %self.access.holder(), why, "feed closed");
                    return format!(": {why}\n\n").into();
                }
            }
        }
    }

    async fn step(&mut self) -> Step {
        let tip = *self.tip.borrow_and_update();
        if self.position >= tip {
            return self.wait().await;
        }
        let chunk = match self.chunk(tip).await {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::error!(%error, "feed cannot read the journal");
                return Step::Close("the journal cannot be read");
            }
        };
        if let Err(refusal) = self.access.renew(&self.feed) {
            return Step::Close(refusal.title());
        }
        let Some(chunk) = chunk else {
            self.position = tip;
            return Step::Again;
        };
        let (bytes, events) = chunk.select(self.position, |zone| self.access.allows(zone));
        self.position = chunk.last();
        if events > 0 {
            metrics::counter!("gateway_feed_events_total").increment(events as u64);
            metrics::counter!("gateway_feed_bytes_total").increment(bytes.len() as u64);
            Step::Send(bytes)
        } else if self.keep_alive.tick().now_or_never().is_some() {
            Step::Send(self.keep_alive_comment())
        } else {
            Step::Again
        }
    }

    /// What follows the position; nothing if there is nothing up to `tip` after all.
    async fn chunk(&self, tip: Cursor) -> Result<Option<Arc<Chunk>>, super::backlog::BacklogError> {
        match self.head().next(self.position) {
            Next::Chunk(chunk) => Ok(Some(chunk)),
            Next::Nothing => Ok(None),
            Next::Behind => {
                let chunk = self.feed.backlog.read(self.shape, self.position, tip).await?;
                Ok(chunk.map(Arc::new))
            }
        }
    }

    fn head(&self) -> &Head {
        self.feed.heads.of(self.shape)
    }

    /// Everything that is there was served: waits for more, or for the time to say that the stream is alive.
    async fn wait(&mut self) -> Step {
        if *self.closing.borrow_and_update() && self.position >= self.head().pushed() {
            return Step::Close("the gateway is stopping");
        }
        let more = tokio::select! {
            changed = self.tip.changed() => changed.is_ok(),
            changed = self.closing.changed() => changed.is_ok(),
            _ = self.keep_alive.tick() => {
                return match self.access.renew(&self.feed) {
                    Ok(()) => Step::Send(self.keep_alive_comment()),
                    Err(refusal) => Step::Close(refusal.title()),
                };
            }
        };
        if more { Step::Again } else { Step::Close("the gateway is stopping") }
    }

    fn keep_alive_comment(&self) -> Bytes {
        format!(": keep-alive\n{}", self.served()).into()
    }

    /// A block without data: it sets the client's last event id and dispatches nothing (HTML section 9.2.6).
    fn served(&self) -> String {
        let sealed: [u8; SEALED_LEN] = self.feed.codec.seal_passed(self.position);
        format!("id: {}\n\n", String::from_utf8_lossy(&sealed))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        metrics::gauge!("gateway_feed_subscribers").decrement(1.0);
    }
}
