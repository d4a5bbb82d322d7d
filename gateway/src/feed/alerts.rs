//! What a stream of alerts shows: every entry of the journal that its token may see, in order.
//!
//! Near the head it reads the ring, which all streams of one shape share; behind it, the journal.

use std::sync::Arc;

use bytes::Bytes;
use pipeline::Cursor;
use tokio::sync::watch;

use super::backlog::BacklogError;
use super::chunk::Chunk;
use super::cursor::CursorCodec;
use super::head::Next;
use super::lag::Lag;
use super::shape::Shape;
use super::state::Feed;
use super::stream::{Reader, Source, Step};
use super::text::ascii;
use crate::clock;

/// The alerts behind a place.
pub(super) struct Alerts {
    shape: Shape,
    position: Cursor,
    tip: watch::Receiver<Cursor>,
    lag: Lag,
}

/// What follows a place, and where it was found.
enum Read {
    Memory(Arc<Chunk>),
    Journal(Arc<Chunk>),
    Nothing,
}

impl Alerts {
    /// In this shape, what follows `position`, or what is new if there is none.
    pub(super) fn new(feed: &Feed, shape: Shape, position: Option<Cursor>) -> Self {
        let mut tip = feed.heads.of(shape).watch();
        let position = position.unwrap_or(*tip.borrow_and_update());
        Self { shape, position, tip, lag: Lag::default() }
    }

    /// What follows the position; nothing if there is nothing up to `tip` after all.
    async fn chunk(&self, feed: &Feed, tip: Cursor) -> Result<Read, BacklogError> {
        match feed.heads.of(self.shape).next(self.position) {
            Next::Chunk(chunk) => Ok(Read::Memory(chunk)),
            Next::Nothing => Ok(Read::Nothing),
            Next::Behind => {
                let chunk = feed.backlog.read(self.shape, self.position, tip).await?;
                Ok(chunk.map_or(Read::Nothing, |chunk| Read::Journal(Arc::new(chunk))))
            }
        }
    }

    fn stays_behind(&mut self, feed: &Feed, tip: Cursor) -> bool {
        let places = (self.position, tip);
        self.lag.lasts(places, clock::monotonic(), feed.config.lag_max)
    }

    /// What is missing from here on, and how to have it: an event with the id to resume with.
    fn gap(&self, codec: &CursorCodec) -> Bytes {
        let sealed = codec.seal_passed(self.position);
        let id = ascii(&sealed);
        format!(
            "id: {id}\nevent: gap\ndata: {{\"after\":\"{id}\",\"resume\":\"ask again with this id as Last-Event-ID, \
             or with ?after=\"}}\n\n"
        )
        .into()
    }
}

impl Source for Alerts {
    async fn step(&mut self, reader: &mut Reader) -> Step {
        let tip = *self.tip.borrow_and_update();
        if self.position >= tip {
            return Step::Served;
        }
        let chunk = match self.chunk(&reader.feed, tip).await {
            Ok(Read::Memory(chunk)) => {
                self.lag.end();
                Some(chunk)
            }
            Ok(Read::Journal(_)) if self.stays_behind(&reader.feed, tip) => {
                return Step::Behind(self.gap(&reader.feed.codec));
            }
            Ok(Read::Journal(chunk)) => Some(chunk),
            Ok(Read::Nothing) => None,
            Err(error) => {
                tracing::error!(%error, "feed cannot read the journal");
                return Step::Close("the journal cannot be read");
            }
        };
        if let Err(refusal) = reader.renew() {
            return Step::Close(refusal.title());
        }
        if reader.access.viewer().sight() != self.shape.sight {
            return Step::Close("this token sees places otherwise from here on");
        }
        let Some(chunk) = chunk else {
            self.position = tip;
            return Step::Again;
        };
        let viewer = reader.access.viewer();
        let (bytes, events) = chunk.select(self.position, |audience| viewer.sees(audience));
        self.position = chunk.last();
        if events > 0 { Step::Events(bytes, events) } else { Step::Again }
    }

    fn position(&self) -> Cursor {
        self.position
    }

    async fn changed(&mut self) -> bool {
        self.tip.changed().await.is_ok()
    }

    fn is_served(&self, feed: &Feed) -> bool {
        self.position >= feed.heads.of(self.shape).pushed()
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use pipeline::{Entry, Time, ZoneId};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::config::{FeedConfig, JournalConfig};
    use crate::feed::access::Access;
    use crate::feed::stall::Stall;
    use crate::feed::stream::Subscription;
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
            let alerts = Alerts::new(&feed, Shape::default(), position);
            Subscription::new(Arc::clone(&feed), access, alerts, Stall::default(), place)
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
