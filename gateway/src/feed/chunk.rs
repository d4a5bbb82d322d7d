//! A stretch of the journal as encoded events, shared by every subscriber.
//!
//! An event is encoded once. A subscriber for everything is handed the chunk's own buffer; one for some zones gets the
//! events of these zones, by slices of the same buffer where they lie together. The zone of every event is known here,
//! so that entitlement is decided on a few zones per chunk, not on text.

use bytes::Bytes;
use pipeline::{Cursor, Decision, Entry, ZoneId};

use super::cursor::CursorCodec;
use super::event::encode_event;
use super::shape::Shape;

/// A chunk is closed once it holds this many bytes of events: one write, a few TCP segments.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// What a chunk costs beside its events, roughly: its allocations and their heads.
const CHUNK_OVERHEAD_BYTES: usize = 256;

/// Events of the places after `after`, up to `last`.
#[derive(Debug)]
pub(super) struct Chunk {
    after: Cursor,
    last: Cursor,
    bytes: Bytes,
    events: Vec<Event>,
    zones: Vec<ZoneId>,
}

/// One event of a chunk: it ends at `end` and starts where the one before it ends.
#[derive(Debug, Clone, Copy)]
struct Event {
    cursor: Cursor,
    end: usize,
    zone: usize,
}

impl Chunk {
    /// The place that this chunk follows.
    pub(super) fn after(&self) -> Cursor {
        self.after
    }

    /// The last place that it covers.
    pub(super) fn last(&self) -> Cursor {
        self.last
    }

    /// Memory that it holds, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + self.events.len() * size_of::<Event>() + CHUNK_OVERHEAD_BYTES
    }

    /// The events behind `after` in zones that `entitled` allows, and how many they are.
    pub(super) fn select(
        &self,
        after: Cursor,
        entitled: impl Fn(&ZoneId) -> bool,
    ) -> (Bytes, usize) {
        let skipped = self.events.partition_point(|event| event.cursor <= after);
        let allowed: Vec<bool> = self.zones.iter().map(entitled).collect();
        if allowed.iter().all(|allowed| *allowed) {
            return (self.bytes.slice(self.start_of(skipped)..), self.events.len() - skipped);
        }
        let mut runs = Runs::default();
        let mut start = self.start_of(skipped);
        let mut count = 0;
        for event in self.events.iter().skip(skipped) {
            if allowed.get(event.zone).copied().unwrap_or_default() {
                runs.push(start, event.end);
                count += 1;
            }
            start = event.end;
        }
        (runs.of(&self.bytes), count)
    }

    fn start_of(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|before| self.events.get(before)).map_or(0, |event| event.end)
    }
}

/// Ranges of one buffer, neighbours joined.
#[derive(Default)]
struct Runs(Vec<(usize, usize)>);

impl Runs {
    fn push(&mut self, start: usize, end: usize) {
        match self.0.last_mut() {
            Some((_, last_end)) if *last_end == start => *last_end = end,
            _ => self.0.push((start, end)),
        }
    }

    /// One run is a slice; several are copied together, which is cheaper than a write for each.
    fn of(&self, bytes: &Bytes) -> Bytes {
        match self.0.as_slice() {
            [] => Bytes::new(),
            [(start, end)] => bytes.slice(*start..*end),
            runs => {
                let mut copy =
                    Vec::with_capacity(runs.iter().map(|(start, end)| end - start).sum());
                for (start, end) in runs {
                    copy.extend_from_slice(bytes.get(*start..*end).unwrap_or_default());
                }
                copy.into()
            }
        }
    }
}

/// Encodes entries, in order, into chunks.
#[derive(Debug)]
pub(super) struct ChunkBuilder {
    shape: Shape,
    after: Cursor,
    last: Cursor,
    bytes: Vec<u8>,
    events: Vec<Event>,
    zones: Vec<ZoneId>,
}

impl ChunkBuilder {
    /// A builder whose first entry is the first one behind `after`.
    pub(super) fn new(shape: Shape, after: Cursor) -> Self {
        Self { shape, after, last: after, bytes: vec![], events: vec![], zones: vec![] }
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: &Entry, codec: &CursorCodec) {
        debug_assert!(entry.cursor() > self.last, "entries come in journal order");
        self.last = entry.cursor();
        if encode_event(entry, self.shape, codec, &mut self.bytes) {
            let zone = self.zone_index(shown_zone(entry));
            self.events.push(Event { cursor: entry.cursor(), end: self.bytes.len(), zone });
        }
    }

    /// Whether the chunk should be taken before the next entry.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    /// What was added since the last call, in buffers of just that size; nothing if nothing was added.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        if self.last == self.after {
            return None;
        }
        let chunk = Chunk {
            after: self.after,
            last: self.last,
            bytes: Bytes::copy_from_slice(&self.bytes),
            events: self.events.as_slice().into(),
            zones: std::mem::take(&mut self.zones),
        };
        self.after = self.last;
        self.bytes.clear();
        self.events.clear();
        Some(chunk)
    }

    /// A chunk names few zones, and neighbours are often alike: a short list, searched from its end.
    fn zone_index(&mut self, zone: &ZoneId) -> usize {
        self.zones.iter().rposition(|known| known == zone).unwrap_or_else(|| {
            self.zones.push(zone.clone());
            self.zones.len() - 1
        })
    }
}

/// The zone that must allow an event. What is decided about an alert is seen by those who could see it when it came.
fn shown_zone(entry: &Entry) -> &ZoneId {
    match entry {
        Entry::Decision(Decision { raise: Some(raise), .. }) => &raise.zone,
        _ => entry.zone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feed::testing::{cursors, record};

    const ZONES: [&str; 4] = ["klojen", "sukun", "blimbing", "kota"];

    fn chunk(zones: &[usize]) -> Chunk {
        let codec = CursorCodec::new([7; 16]);
        let mut builder = ChunkBuilder::new(Shape::default(), Cursor(10));
        for (cursor, zone) in (11..).zip(zones) {
            builder.push(&record(cursor, ZONES[*zone]).into(), &codec);
        }
        builder.take().unwrap()
    }

    proptest! {
        #[test]
        fn selects_every_entitled_event_behind_the_place_and_no_other(
            zones in prop::collection::vec(0..ZONES.len(), 1..40),
            entitled: [bool; 4],
            after in 0_u64..60,
        ) {
            let chunk = chunk(&zones);
            let (bytes, count) = chunk.select(Cursor(after), |zone| {
                entitled[ZONES.iter().position(|name| *name == zone.as_str()).unwrap()]
            });
            let expected: Vec<u64> = (11..)
                .zip(&zones)
                .filter(|(cursor, zone)| *cursor > after && entitled[**zone])
                .map(|(cursor, _)| cursor)
                .collect();
            prop_assert_eq!(count, expected.len());
            prop_assert_eq!(cursors(&bytes), expected);
        }
    }

    #[test]
    fn promotion_is_seen_by_those_who_may_see_its_raise() {
        let raise = std::sync::Arc::new(record(1, "klojen"));
        let zone = ZoneId::new("kota");
        let decision = crate::journal::testing::promotion(2, 1);
        let promotion = Decision { zone, raise: Some(raise), ..decision };
        let mut builder = ChunkBuilder::new(Shape::default(), Cursor(1));
        builder.push(&promotion.into(), &CursorCodec::new([7; 16]));
        let chunk = builder.take().unwrap();
        assert_eq!(chunk.select(Cursor(1), |zone| zone.as_str() == "klojen").1, 1);
        assert_eq!(chunk.select(Cursor(1), |zone| zone.as_str() == "kota").1, 0);
    }

    #[test]
    fn whole_chunk_is_shared_not_copied() {
        let chunk = chunk(&[0, 1, 2]);
        let (first, _) = chunk.select(Cursor(10), |_| true);
        let (second, _) = chunk.select(Cursor(10), |_| true);
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(first.len(), chunk.bytes.len());
    }

    #[test]
    fn builder_goes_on_behind_what_was_taken() {
        let codec = CursorCodec::new([7; 16]);
        let mut builder = ChunkBuilder::new(Shape::default(), Cursor(0));
        assert!(builder.take().is_none());
        builder.push(&record(1, "klojen").into(), &codec);
        builder.push(&record(2, "klojen").into(), &codec);
        let first = builder.take().unwrap();
        builder.push(&record(3, "sukun").into(), &codec);
        let second = builder.take().unwrap();
        assert_eq!((first.after(), first.last()), (Cursor(0), Cursor(2)));
        assert_eq!((second.after(), second.last()), (Cursor(2), Cursor(3)));
        assert_eq!(cursors(&second.select(Cursor(0), |_| true).0), [3]);
    }
}
