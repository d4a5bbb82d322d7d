//! The newest message ids, so that a copy is known without asking the index.
//!
//! Lines of the journal are kept in order of their cursors, without gaps, from `first` to the newest: of a message its
//! id, of a promotion the alert that it promotes. Only lines that the index holds are ever forgotten, so whatever is not
//! found here is found there: between them nothing is unknown.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;

use protocol::{AlertId, MessageId};

use crate::{Cursor, DeviceIndex, ZoneId};

/// What is remembered of a journaled message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) cursor: Cursor,
    pub(super) device: Option<DeviceIndex>,
    pub(super) zone: ZoneId,
    /// Whether it is a raise that is held: nobody was paged for it.
    pub(super) held: bool,
}

/// What is kept of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Message(MessageId),
    /// The alert is paged after all.
    Promotion(AlertId),
    /// Any other decision.
    Decision,
}

#[derive(Debug)]
pub(super) struct Memory {
    /// Hashed without a random key: the same inputs take the same time in every run, and only enrolled devices, whose
    /// ids are SHA-256, get here.
    by_id: HashMap<MessageId, Remembered, BuildHasherDefault<DefaultHasher>>,
    /// Alerts whose promotion is among the lines.
    promoted: HashSet<AlertId, BuildHasherDefault<DefaultHasher>>,
    /// In order of cursors; the front is at `first`.
    lines: VecDeque<Line>,
    first: Cursor,
    indexed: Cursor,
}

impl Memory {
    /// An empty memory; the next record is at `next`.
    pub(super) fn new(next: Cursor) -> Self {
        Self {
            by_id: HashMap::default(),
            promoted: HashSet::default(),
            lines: VecDeque::new(),
            first: next,
            indexed: Cursor::default(),
        }
    }

    pub(super) fn get(&self, id: &MessageId) -> Option<&Remembered> {
        self.by_id.get(id)
    }

    /// Whether every record of the journal is remembered, so that no look-up can find more.
    pub(super) fn is_whole(&self) -> bool {
        self.first == Cursor::default().next()
    }

    /// Whether every line behind `cursor` is remembered.
    pub(super) fn reaches(&self, cursor: Cursor) -> bool {
        self.first <= cursor.next()
    }

    /// Remembered records that the index does not hold yet.
    pub(super) fn unindexed(&self) -> usize {
        let ahead = self.next().0.saturating_sub(1).saturating_sub(self.indexed.0);
        usize::try_from(ahead).unwrap_or(usize::MAX).min(self.lines.len())
    }

    /// Whether the alert was promoted, as far as the lines tell.
    pub(super) fn is_promoted(&self, alert: AlertId) -> bool {
        self.promoted.contains(&alert)
    }

    /// A message was journaled.
    pub(super) fn insert(&mut self, id: MessageId, remembered: Remembered, len_max: usize) {
        debug_assert_eq!(remembered.cursor, self.next(), "lines are remembered without gaps");
        self.by_id.insert(id, remembered);
        self.lines.push_back(Line::Message(id));
        self.forget(len_max);
    }

    /// A decision was journaled at `cursor`.
    pub(super) fn decide(&mut self, cursor: Cursor, promotes: Option<AlertId>, len_max: usize) {
        debug_assert_eq!(cursor, self.next(), "lines are remembered without gaps");
        if let Some(alert) = promotes {
            self.promoted.insert(alert);
            if let Some(raise) = self.by_id.get_mut(&MessageId(alert.0)) {
                raise.held = false;
            }
        }
        self.lines.push_back(promotes.map_or(Line::Decision, Line::Promotion));
        self.forget(len_max);
    }

    /// Where the journal's tail begins that is told at a start.
    pub(super) fn begin(&mut self, cursor: Cursor) {
        if self.lines.is_empty() {
            self.first = cursor;
        }
    }

    /// The index holds everything up to `cursor`.
    pub(super) fn indexed(&mut self, cursor: Cursor, len_max: usize) {
        self.indexed = self.indexed.max(cursor);
        self.forget(len_max);
    }

    /// Forgets the oldest indexed ids beyond `len_max`.
    fn forget(&mut self, len_max: usize) {
        while self.lines.len() > len_max && self.first <= self.indexed {
            match self.lines.pop_front() {
                Some(Line::Message(id)) => drop(self.by_id.remove(&id)),
                Some(Line::Promotion(alert)) => drop(self.promoted.remove(&alert)),
                Some(Line::Decision) | None => {}
            }
            self.first = self.first.next();
        }
    }

    fn next(&self) -> Cursor {
        Cursor(self.first.0 + self.lines.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> MessageId {
        MessageId([n; 16])
    }

    fn remembered(cursor: u64) -> Remembered {
        Remembered { cursor: Cursor(cursor), device: None, zone: ZoneId::new("z"), held: false }
    }

    #[test]
    fn forgets_the_oldest_only_once_they_are_indexed() {
        let mut memory = Memory::new(Cursor(1));
        for n in 1..=4 {
            memory.insert(id(n), remembered(u64::from(n)), 2);
        }
        assert!((1..=4).all(|n| memory.get(&id(n)).is_some()), "nothing is indexed yet");
        assert_eq!(memory.unindexed(), 4);
        memory.indexed(Cursor(1), 2);
        assert!(memory.get(&id(1)).is_none());
        assert!(memory.get(&id(2)).is_some(), "not indexed");
        assert!(!memory.is_whole());
        memory.indexed(Cursor(4), 2);
        assert!(memory.get(&id(2)).is_none());
        assert!(memory.get(&id(3)).is_some(), "within the bound");
        assert_eq!(memory.unindexed(), 0);
    }

    #[test]
    fn is_whole_only_while_the_first_record_is_remembered() {
        assert!(Memory::new(Cursor(1)).is_whole());
        assert!(!Memory::new(Cursor(8)).is_whole());
        let mut recalled = Memory::new(Cursor(3));
        recalled.begin(Cursor(1));
        recalled.insert(id(1), remembered(1), 10);
        recalled.begin(Cursor(2));
        recalled.insert(id(2), remembered(2), 10);
        assert!(recalled.is_whole());
    }

    #[test]
    fn remembers_a_promotion_until_the_index_knows_it() {
        let mut memory = Memory::new(Cursor(1));
        memory.insert(id(1), Remembered { held: true, ..remembered(1) }, 1);
        memory.decide(Cursor(2), Some(AlertId([1; 16])), 1);
        assert!(!memory.get(&id(1)).unwrap().held, "it was paged");
        memory.decide(Cursor(3), None, 1);
        assert!(memory.is_promoted(AlertId([1; 16])));
        memory.indexed(Cursor(3), 1);
        assert!(!memory.is_promoted(AlertId([1; 16])));
        assert_eq!(memory.unindexed(), 0);
    }
}
