//! The heads of the journal: one for each shape, all told of every synced batch.
//!
//! A shape that nobody reads costs a note of how far the journal reaches; one that is read shares the batch with the
//! others and encodes it for itself. A cursor names the same place in all of them.

use std::sync::Arc;

use futures_util::future::join_all;
use pipeline::{Cursor, Entry};
use tokio::sync::watch;

use super::cursor::CursorCodec;
use super::head::Head;
use super::shape::{Format, Shape, View};
use crate::config::FeedConfig;
use crate::registry::Sight;

/// The most recent synced records in every shape that is read.
#[derive(Debug)]
pub struct Heads {
    exact: Formats,
    coarse: Formats,
    pushed: watch::Sender<Cursor>,
}

/// The heads of one sight.
#[derive(Debug)]
struct Formats {
    json: Head,
    geojson: Head,
    cap: Head,
}

impl Heads {
    /// Heads behind which nothing has been pushed; `after` is the last place that the journal holds.
    #[must_use]
    pub fn new(config: &FeedConfig, after: Cursor) -> Arc<Self> {
        let formats = |sight| {
            let head = |format| {
                Head::new(Shape { view: View::Alerts, format, sight }, config.ring_bytes, after)
            };
            Formats {
                json: head(Format::Json),
                geojson: head(Format::Geojson),
                cap: head(Format::Cap),
            }
        };
        let (exact, coarse) = (formats(Sight::Exact), formats(Sight::Coarse));
        Arc::new(Self { exact, coarse, pushed: watch::Sender::new(after) })
    }

    /// Takes records that are synced to disk, in journal order, each once. Never waits for a subscriber.
    pub fn push(&self, entries: Vec<Entry>) {
        let Some(last) = entries.last().map(Entry::cursor) else { return };
        let entries: Arc<[Entry]> = entries.into();
        for head in self.all() {
            if head.is_heard() {
                head.push(&entries);
            } else {
                head.pass(last);
            }
        }
        self.pushed.send_replace(last);
    }

    /// The last place that was pushed.
    #[must_use]
    pub fn pushed(&self) -> Cursor {
        *self.pushed.borrow()
    }

    /// The last place that was pushed, and the wake-up when it advances.
    pub(super) fn watch_pushed(&self) -> watch::Receiver<Cursor> {
        self.pushed.subscribe()
    }

    /// Encodes what is pushed and wakes the subscribers, for ever.
    pub async fn run(&self, codec: &CursorCodec) {
        join_all(self.all().map(|head| head.run(codec))).await;
    }

    /// The head of this shape.
    pub(super) fn of(&self, shape: Shape) -> &Head {
        let formats = match shape.sight {
            Sight::Exact => &self.exact,
            Sight::Coarse => &self.coarse,
        };
        match shape.format {
            Format::Json => &formats.json,
            Format::Geojson => &formats.geojson,
            Format::Cap => &formats.cap,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Head> {
        [&self.exact, &self.coarse].into_iter().flat_map(|of| [&of.json, &of.geojson, &of.cap])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::head::Next;
    use crate::feed::testing::{cursors, record};

    #[tokio::test]
    async fn a_shape_is_encoded_only_while_it_is_read_and_misses_nothing() {
        let heads = Heads::new(&FeedConfig::default(), Cursor(0));
        let codec = CursorCodec::new([7; 16]);
        let geojson = Shape { format: Format::Geojson, ..Shape::default() };
        let json = Shape::default();
        let mut first = heads.of(json).watch();
        heads.push(vec![record(1, "klojen").into()]);
        let mut second = heads.of(geojson).watch();
        heads.push(vec![record(2, "klojen").into()]);
        let reached = async {
            first.wait_for(|tip| *tip == Cursor(2)).await.unwrap();
            second.wait_for(|tip| *tip == Cursor(2)).await.unwrap();
        };
        tokio::select! {
            () = heads.run(&codec) => {}
            () = reached => {}
        }
        let Next::Chunk(chunk) = heads.of(json).next(Cursor(0)) else { panic!() };
        assert_eq!(cursors(&chunk.select(Cursor(0), |_| true).0), [1, 2]);
        assert!(matches!(heads.of(geojson).next(Cursor(0)), Next::Behind));
        assert!(matches!(heads.of(geojson).next(Cursor(1)), Next::Chunk(_)));
    }
}
