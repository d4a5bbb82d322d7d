//! The head of the journal in one shape: the most recent synced records, encoded, and the wake-up that there are more.
//!
//! It is given records by the journal's thread, after their sync and in order. [`Head::push`] only puts them down and
//! wakes one task, whatever the number of subscribers; that task encodes them into the ring ([`Head::run`]) and then
//! wakes the subscribers, who pull by their own cursor. The ring is a cache of the journal and never more: what does not
//! fit, what nobody listens to and what comes faster than it is encoded is left out, and whoever is behind the ring
//! reads the journal. So its memory is bounded, and a slow subscriber can delay nobody.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use pipeline::{Cursor, Entry};
use tokio::sync::{Notify, watch};

use super::chunk::{Chunk, ChunkBuilder};
use super::cursor::CursorCodec;
use super::shape::Shape;
use crate::clock;
use crate::lock::lock;
use crate::telemetry::{Stage, StageTimer};

/// Records that may wait to be encoded: a few milliseconds of work. Beyond it they are left to the journal.
const WAITING_RECORDS_MAX: usize = 4_096;

/// The most recent synced records in one shape, and the wake-up.
pub(super) struct Head {
    shape: Shape,
    waiting: Mutex<Waiting>,
    arrived: Notify,
    ring: Mutex<Ring>,
    tip: watch::Sender<Cursor>,
    stage: StageTimer,
}

/// Synced records that are not encoded yet: those behind `after`, up to `last`.
struct Waiting {
    after: Cursor,
    last: Cursor,
    batches: Vec<Arc<[Entry]>>,
    /// How many entries the batches have together.
    count: usize,
    /// When the first of them was synced.
    since: Instant,
}

/// Encoded records: an unbroken stretch of the journal, those behind `after`, up to `last`.
struct Ring {
    after: Cursor,
    last: Cursor,
    chunks: VecDeque<Arc<Chunk>>,
    bytes: usize,
    bytes_max: usize,
}

/// What the ring has for a subscriber who was given everything up to some place.
#[derive(Debug)]
pub(super) enum Next {
    /// A chunk that holds what follows this place, perhaps behind some that precedes it.
    Chunk(Arc<Chunk>),
    /// What follows is in the journal, not in the ring.
    Behind,
    /// Nothing follows yet.
    Nothing,
}

impl Head {
    /// A head behind which nothing has been pushed; `after` is the last place that the journal holds.
    pub(super) fn new(shape: Shape, ring_bytes: usize, after: Cursor) -> Self {
        Self {
            shape,
            waiting: Mutex::new(Waiting {
                after,
                last: after,
                batches: vec![],
                count: 0,
                since: clock::monotonic(),
            }),
            arrived: Notify::new(),
            ring: Mutex::new(Ring {
                after,
                last: after,
                chunks: VecDeque::new(),
                bytes: 0,
                bytes_max: ring_bytes,
            }),
            tip: watch::Sender::new(after),
            stage: Stage::Feed.timer(),
        }
    }

    /// Whether anybody reads this shape.
    pub(super) fn is_heard(&self) -> bool {
        self.tip.receiver_count() > 0
    }

    /// Takes records that are synced to disk, in journal order, each once. Never waits for a subscriber.
    pub(super) fn push(&self, entries: &Arc<[Entry]>) {
        let Some(last) = entries.last().map(Entry::cursor) else { return };
        let mut waiting = lock(&self.waiting);
        if waiting.count + entries.len() > WAITING_RECORDS_MAX {
            let left_out = waiting.count as u64;
            metrics::counter!("gateway_feed_left_to_journal_total").increment(left_out);
            waiting.after = waiting.last;
            waiting.batches.clear();
            waiting.count = 0;
        }
        if waiting.batches.is_empty() {
            waiting.since = clock::monotonic();
        }
        waiting.batches.push(Arc::clone(entries));
        waiting.count += entries.len();
        waiting.last = last;
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes note that the journal reaches to `last`, of records that nobody who reads this shape waited for.
    pub(super) fn pass(&self, last: Cursor) {
        let mut waiting = lock(&self.waiting);
        waiting.batches.clear();
        waiting.count = 0;
        waiting.after = last;
        waiting.last = last;
        drop(waiting);
        self.arrived.notify_one();
    }

    /// The last place that was pushed.
    pub(super) fn pushed(&self) -> Cursor {
        lock(&self.waiting).last
    }

    /// Encodes what is pushed and wakes the subscribers, for ever.
    pub(super) async fn run(&self, codec: &CursorCodec) {
        let mut builder = ChunkBuilder::new(self.shape, self.tip());
        loop {
            let (batches, since) = self.take_waiting(&mut builder);
            if batches.is_empty() {
                self.arrived.notified().await;
            }
            for entry in batches.iter().flat_map(|batch| batch.iter()) {
                builder.push(entry, codec);
                if builder.is_full() {
                    self.publish(&mut builder);
                    tokio::task::yield_now().await;
                }
            }
            self.publish(&mut builder);
            let count = batches.iter().map(|batch| batch.len()).sum();
            self.stage.record_each(since.elapsed(), count);
        }
    }

    /// The last place that subscribers may read, and the wake-up when it advances.
    pub(super) fn watch(&self) -> watch::Receiver<Cursor> {
        self.tip.subscribe()
    }

    /// The last place that subscribers may read.
    pub(super) fn tip(&self) -> Cursor {
        *self.tip.borrow()
    }

    /// What follows `after`.
    pub(super) fn next(&self, after: Cursor) -> Next {
        let ring = lock(&self.ring);
        if after >= ring.last {
            return Next::Nothing;
        }
        if after < ring.after {
            return Next::Behind;
        }
        let index = ring.chunks.partition_point(|chunk| chunk.last() <= after);
        ring.chunks.get(index).map_or(Next::Nothing, |chunk| Next::Chunk(Arc::clone(chunk)))
    }

    /// The records to be encoded. Where none are wanted or some were left out, the ring starts anew behind them.
    fn take_waiting(&self, builder: &mut ChunkBuilder) -> (Vec<Arc<[Entry]>>, Instant) {
        let mut waiting = lock(&self.waiting);
        let since = waiting.since;
        let mut batches = mem::take(&mut waiting.batches);
        let count = mem::take(&mut waiting.count);
        let last = waiting.last;
        let mut after = mem::replace(&mut waiting.after, last);
        drop(waiting);
        self.gauge("gateway_feed_waiting_records").set(count as f64);
        if !self.is_heard() {
            batches.clear();
            after = last;
        }
        if after > self.tip() {
            *builder = ChunkBuilder::new(self.shape, after);
            lock(&self.ring).restart(after);
            self.tip.send_replace(after);
        }
        (batches, since)
    }

    fn gauge(&self, name: &'static str) -> metrics::Gauge {
        let Shape { format, sight, .. } = self.shape;
        metrics::gauge!(name, "format" => format.name(), "sight" => sight.name())
    }

    fn publish(&self, builder: &mut ChunkBuilder) {
        if let Some(chunk) = builder.take() {
            let last = chunk.last();
            let mut ring = lock(&self.ring);
            ring.push(chunk);
            self.gauge("gateway_feed_ring_bytes").set(ring.bytes as f64);
            drop(ring);
            self.tip.send_replace(last);
        }
    }
}

impl Ring {
    fn push(&mut self, chunk: Chunk) {
        debug_assert_eq!(chunk.after(), self.last, "the ring has no gap");
        self.last = chunk.last();
        self.bytes += chunk.cost();
        self.chunks.push_back(Arc::new(chunk));
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.chunks.pop_front() else { break };
            self.bytes -= oldest.cost();
            self.after = oldest.last();
        }
    }

    fn restart(&mut self, after: Cursor) {
        self.chunks.clear();
        self.bytes = 0;
        self.after = after;
        self.last = after;
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head").field("tip", &self.tip()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::feed::testing::{cursors, record};

    const CODEC_KEY: [u8; 16] = [7; 16];

    fn head(ring_bytes: usize) -> Head {
        Head::new(Shape::default(), ring_bytes, Cursor(0))
    }

    fn records(cursors: std::ops::RangeInclusive<u64>) -> Arc<[Entry]> {
        cursors.map(|cursor| record(cursor, "klojen").into()).collect()
    }

    /// Runs the head until everything that was pushed is encoded.
    async fn settle(head: &Head) {
        let codec = CursorCodec::new(CODEC_KEY);
        let pushed = head.pushed();
        let mut tip = head.watch();
        tokio::select! {
            () = head.run(&codec) => {}
            reached = tip.wait_for(|tip| *tip >= pushed) => assert!(reached.is_ok()),
        }
    }

    /// Polls `run` once: it has done what there is to do, and waits.
    async fn stands_still(mut run: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await
    }

    fn read(head: &Head, after: u64) -> Vec<u64> {
        match head.next(Cursor(after)) {
            Next::Chunk(chunk) => cursors(&chunk.select(Cursor(after), |_| true).0),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_pushed_is_read_by_cursor() {
        let head = head(1 << 20);
        let _subscriber = head.watch();
        head.push(&records(1..=3));
        head.push(&records(4..=5));
        settle(&head).await;
        assert_eq!(read(&head, 0), [1, 2, 3, 4, 5]);
        assert_eq!(read(&head, 4), [5]);
        assert!(matches!(head.next(Cursor(5)), Next::Nothing));
    }

    #[tokio::test]
    async fn ring_stays_within_its_bound_and_says_who_is_behind_it() {
        let head = head(200 * 1024);
        let _subscriber = head.watch();
        for batch in 0..40_u64 {
            head.push(&records(batch * 50 + 1..=batch * 50 + 50));
            settle(&head).await;
        }
        let (after, bytes) = {
            let ring = lock(&head.ring);
            (ring.after, ring.bytes)
        };
        assert!(bytes <= 200 * 1024, "{bytes}");
        assert!(after > Cursor(0));
        assert!(matches!(head.next(Cursor(after.0 - 1)), Next::Behind));
        assert_eq!(read(&head, after.0)[0], after.0 + 1);
    }

    #[tokio::test]
    async fn chunk_closes_when_it_is_full() {
        let head = head(1 << 24);
        let _subscriber = head.watch();
        head.push(&records(1..=1_000));
        settle(&head).await;
        let ring = lock(&head.ring);
        assert!(ring.chunks.len() > 2, "{}", ring.chunks.len());
        let slack = crate::feed::chunk::CHUNK_BYTES / 2;
        assert!(ring.chunks.iter().all(|chunk| chunk.cost() < 2 * slack + slack));
    }

    #[tokio::test]
    async fn records_beyond_the_waiting_bound_are_left_to_the_journal() {
        let head = head(1 << 24);
        let _subscriber = head.watch();
        let max = u64::try_from(WAITING_RECORDS_MAX).unwrap();
        head.push(&records(1..=max));
        head.push(&records(max + 1..=max + 2));
        settle(&head).await;
        assert!(matches!(head.next(Cursor(0)), Next::Behind));
        assert_eq!(read(&head, max), [max + 1, max + 2]);
    }

    #[tokio::test]
    async fn nothing_is_encoded_where_nobody_listens() {
        let head = head(1 << 20);
        head.push(&records(1..=3));
        let codec = CursorCodec::new(CODEC_KEY);
        let mut run = std::pin::pin!(head.run(&codec));
        assert!(stands_still(run.as_mut()).await);
        assert_eq!(head.tip(), Cursor(3));
        let _subscriber = head.watch();
        head.push(&records(4..=4));
        assert!(stands_still(run.as_mut()).await);
        assert!(matches!(head.next(Cursor(2)), Next::Behind));
        assert_eq!(read(&head, 3), [4]);
    }
}
