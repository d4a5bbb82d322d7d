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
use super::attendance::Attending;
use super::chunk::Chunk;
use super::cursor::SEALED_LEN;
use super::head::{Head, Next};
use super::lag::Lag;
use super::refusal::Refusal;
use super::shape::Shape;
use super::stall::Stall;
use super::state::Feed;
use crate::clock;

/// How soon a client should reconnect, in milliseconds: it may be an alert's difference.
const RETRY_MS: u32 = 1_000;

/// An open stream.
pub(super) struct Subscription {
    feed: Arc<Feed>,
    access: Access,
    attending: Attending,
    shape: Shape,
    position: Cursor,
    tip: watch::Receiver<Cursor>,
    closing: watch::Receiver<bool>,
    keep_alive: Interval,
    lag: Lag,
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
    /// The client stays behind: what follows is missing here, and it has to come again for it.
    Gap,
    /// The last words.
    Close(&'static str),
}

/// What follows a place, and where it was found.
enum Read {
    Memory(Arc<Chunk>),
    Journal(Arc<Chunk>),
    Nothing,
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
        let attending = feed.attendance.attend(access.granted());
        Self {
            feed,
            access,
            attending,
            shape,
            position,
            tip,
            closing,
            keep_alive,
            lag: Lag::default(),
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
                Step::Gap => {
                    self.stage = Stage::Closed;
                    metrics::counter!("gateway_feed_gaps_total").increment(1);
                    tracing::info!(reader = %self.access.holder(), "feed closed: it stays behind");
                    return self.gap();
                }
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
            Ok(Read::Memory(chunk)) => {
                self.lag.end();
                Some(chunk)
            }
            Ok(Read::Journal(_)) if self.stays_behind(tip) => return Step::Gap,
            Ok(Read::Journal(chunk)) => Some(chunk),
            Ok(Read::Nothing) => None,
            Err(error) => {
                tracing::error!(%error, "feed cannot read the journal");
                return Step::Close("the journal cannot be read");
            }
        };
        if let Err(refusal) = self.renew() {
            return Step::Close(refusal.title());
        }
        if self.access.sight() != self.shape.sight {
            return Step::Close("this token sees places otherwise from here on");
        }
        let Some(chunk) = chunk else {
            self.position = tip;
            return Step::Again;
        };
        let (bytes, events) = chunk.select(self.position, |audience| self.access.allows(audience));
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

    /// Looks at the token again.
    fn renew(&mut self) -> Result<(), Refusal> {
        self.access.renew(&self.feed)?;
        if self.access.granted() != self.attending.zones() {
            self.attending = self.feed.attendance.attend(self.access.granted());
        }
        Ok(())
    }

    /// What follows the position; nothing if there is nothing up to `tip` after all.
    async fn chunk(&self, tip: Cursor) -> Result<Read, super::backlog::BacklogError> {
        match self.head().next(self.position) {
            Next::Chunk(chunk) => Ok(Read::Memory(chunk)),
            Next::Nothing => Ok(Read::Nothing),
            Next::Behind => {
                let chunk = self.feed.backlog.read(self.shape, self.position, tip).await?;
                Ok(chunk.map_or(Read::Nothing, |chunk| Read::Journal(Arc::new(chunk))))
            }
        }
    }

    fn stays_behind(&mut self, tip: Cursor) -> bool {
        let places = (self.position, tip);
        self.lag.lasts(places, clock::monotonic(), self.feed.config.lag_max)
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
                return match self.renew() {
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

    /// What is missing from here on, and how to have it: an event with the id to resume with.
    fn gap(&self) -> Bytes {
        let sealed: [u8; SEALED_LEN] = self.feed.codec.seal_passed(self.position);
        let id = String::from_utf8_lossy(&sealed);
        format!(
            "id: {id}\nevent: gap\ndata: {{\"after\":\"{id}\",\"resume\":\"ask again with this id as Last-Event-ID, \
             or with ?after=\"}}\n\n"
        )
        .into()
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

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use pipeline::{Entry, Time, ZoneId};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::config::{FeedConfig, JournalConfig};
    use crate::feed::testing::{record, town};
    use crate::feed::{Attendance, FeedParts, Heads};
    use crate::journal::Journal;
    use crate::registry::{Limits, Subscriber, SubscriberId, Subscribers, TokenHash};

    fn records(cursors: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
        cursors.map(|cursor| record(cursor, "east").into()).collect()
    }

    /// A feed whose memory holds nothing and whose journal is in `folder`.
    fn feed(folder: &std::path::Path) -> Arc<Feed> {
        let subscribers = Subscribers::default();
        let subscriber = Subscriber {
            id: SubscriberId([1; 16]),
            zones: vec![ZoneId::new("town")],
            limits: Limits::default(),
            expires_at: Time(1),
        };
        subscribers.replace([(TokenHash::of("token"), subscriber)]);
        let config = FeedConfig {
            ring_bytes: 0,
            lag_max: std::time::Duration::ZERO,
            ..FeedConfig::default()
        };
        Feed::new(FeedParts {
            heads: Heads::new(&config, Cursor(0)),
            journal: folder.join("journal.db"),
            cursor_key: [7; 16],
            zones: Arc::new(ArcSwap::from_pointee(town())),
            attendance: Attendance::new(),
            subscribers: Arc::new(subscribers),
            operators: Arc::default(),
            config,
            now: Arc::new(|| Time(0)),
        })
    }

    async fn write(feed: &Feed, journal: &mut Journal, entries: Vec<Entry>) {
        journal.append(&entries).unwrap();
        let last = entries.last().map(Entry::cursor);
        feed.heads.push(entries);
        let mut tip = feed.heads.of(Shape::default()).watch();
        tokio::select! {
            () = feed.run() => {}
            reached = tip.wait_for(|tip| Some(*tip) == last) => assert!(reached.is_ok()),
        }
    }

    #[tokio::test]
    async fn who_stays_behind_is_told_from_where_on_and_resumes_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let mut journal = Journal::open(&path, &JournalConfig::default()).unwrap();
        let feed = feed(folder.path());
        let open = |position| {
            let access = Access::new("token", &feed).unwrap();
            let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            let (feed, stall) = (Arc::clone(&feed), Stall::default());
            Subscription::new(feed, access, Shape::default(), position, stall, place)
        };
        let mut slow = open(Some(Cursor(0)));
        write(&feed, &mut journal, records(1..=500)).await;
        slow.next().await.unwrap();
        // It takes one batch while more than that is written.
        let first = slow.next().await.unwrap();
        write(&feed, &mut journal, records(501..=1_500)).await;
        let gap = String::from_utf8(slow.next().await.unwrap().to_vec()).unwrap();
        assert!(gap.contains("event: gap\ndata: {\"after\":\""), "{gap}");
        let data = gap.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(slow.next().await, None);
        let after = feed.codec.open(data["after"].as_str().unwrap()).unwrap();
        let taken = crate::feed::testing::cursors(&first);
        assert_eq!(Some(&after.0), taken.last());
        let mut resumed = open(Some(after));
        resumed.next().await.unwrap();
        let next = crate::feed::testing::cursors(&resumed.next().await.unwrap());
        assert_eq!(next[0], after.0 + 1);
    }
}
