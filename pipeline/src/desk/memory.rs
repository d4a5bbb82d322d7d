//! The newest message ids, so that a copy is known without asking the index.
//!
//! Ids are kept in order of their cursors, without gaps, from `first` to the newest. Only ids that the index holds are
//! ever forgotten, so whatever is not found here is found there: between them nothing is unknown.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use protocol::MessageId;

use crate::{Cursor, DeviceIndex, ZoneId};

/// What is remembered of a journaled message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) cursor: Cursor,
    pub(super) device: Option<DeviceIndex>,
    pub(super) zone: ZoneId,
}

#[derive(Debug)]
pub(super) struct Memory {
    /// Hashed without a random key: the same inputs take the same time in every run, and only enrolled devices, whose
    /// ids are SHA-256, get here.
    by_id: HashMap<MessageId, Remembered, BuildHasherDefault<DefaultHasher>>,
    /// In order of cursors; the front is at `first`.
    ids: VecDeque<MessageId>,
    first: Cursor,
    indexed: Cursor,
}

impl Memory {
    /// An empty memory; the next record is at `next`.
    pub(super) fn new(next: Cursor) -> Self {
        Self {
            by_id: HashMap::default(),
            ids: VecDeque::new(),
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

    /// Remembered records that the index does not hold yet.
    pub(super) fn unindexed(&self) -> usize {
        let ahead = self.next().0.saturating_sub(1).saturating_sub(self.indexed.0);
        usize::try_from(ahead).unwrap_or(usize::MAX).min(self.ids.len())
    }

    pub(super) fn insert(&mut self, id: MessageId, remembered: Remembered, len_max: usize) {
        debug_assert_eq!(remembered.cursor, self.next(), "records are remembered without gaps");
        self.by_id.insert(id, remembered);
        self.ids.push_back(id);
        self.forget(len_max);
    }

    /// Takes a record of the journal's tail at a start; the first one sets where memory begins.
    pub(super) fn recall(&mut self, id: MessageId, remembered: Remembered) {
        if self.ids.is_empty() {
            self.first = remembered.cursor;
        }
        debug_assert_eq!(remembered.cursor, self.next(), "records are recalled without gaps");
        self.by_id.insert(id, remembered);
        self.ids.push_back(id);
    }

    /// The index holds everything up to `cursor`.
    pub(super) fn indexed(&mut self, cursor: Cursor, len_max: usize) {
        self.indexed = self.indexed.max(cursor);
        self.forget(len_max);
    }

    /// Forgets the oldest indexed ids beyond `len_max`.
    fn forget(&mut self, len_max: usize) {
        while self.ids.len() > len_max && self.first <= self.indexed {
            if let Some(id) = self.ids.pop_front() {
                self.by_id.remove(&id);
            }
            self.first = self.first.next();
        }
    }

    fn next(&self) -> Cursor {
        Cursor(self.first.0 + self.ids.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> MessageId {
        MessageId([n; 16])
    }

    fn remembered(cursor: u64) -> Remembered {
        Remembered { cursor: Cursor(cursor), device: None, zone: ZoneId::new("z") }
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
        recalled.recall(id(1), remembered(1));
        recalled.recall(id(2), remembered(2));
        assert!(recalled.is_whole());
    }
}
