//! Arrivals that wait for a look-up in the index.
//!
//! Several may wait for the same id: it is asked for once, and they go on in the order in which they came, so that the
//! first becomes the record and the rest its duplicates.

use std::collections::BTreeMap;

use protocol::MessageId;

use super::Arrival;
use crate::Cursor;

/// What an arrival waits to know about an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether a copy of the arrival itself is journaled.
    Copy,
    /// Whose alert it is that the arrival names. It was no copy of anything up to this line of the journal.
    Owner(Cursor),
}

#[derive(Debug, Default)]
pub(super) struct Parked {
    by_id: BTreeMap<MessageId, Vec<(Question, Arrival)>>,
    len: usize,
}

impl Parked {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Parks an arrival; true if the id must be asked for, false if it already was.
    pub(super) fn park(&mut self, id: MessageId, question: Question, arrival: Arrival) -> bool {
        let waiting = self.by_id.entry(id).or_default();
        waiting.push((question, arrival));
        self.len += 1;
        waiting.len() == 1
    }

    /// Those who wait for `id`, in the order in which they came.
    pub(super) fn take(&mut self, id: &MessageId) -> Vec<(Question, Arrival)> {
        let waiting = self.by_id.remove(id).unwrap_or_default();
        self.len -= waiting.len();
        waiting
    }
}
