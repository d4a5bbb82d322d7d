//! Receipts that wait for the disk.
//!
//! A receipt that says that a message is stored leaves only when its first copy is synced. First copies wait in order
//! of their cursors; copies that came before that sync wait beside them.

use std::collections::{BTreeMap, VecDeque};

use protocol::{AlertId, Counters, Receipt, Status};

use super::{Arrival, Output, Ticket};
use crate::{Cursor, Time};

/// A receipt that lacks only its time.
#[derive(Debug)]
pub(super) struct Waiting {
    ticket: Ticket,
    status: Status,
    alert: Option<AlertId>,
    counters: Counters,
}

impl Waiting {
    pub(super) fn new(arrival: &Arrival, status: Status) -> Self {
        let (alert, counters) = (arrival.alert_id(), arrival.counters);
        Self { ticket: arrival.ticket, status, alert, counters }
    }

    pub(super) fn reply(&self, now: Time) -> Output {
        let receipt = Receipt {
            alert: self.alert,
            counters: Some(self.counters),
            ..Receipt::new(self.status, now.to_millis())
        };
        Output::Reply(self.ticket, receipt)
    }
}

#[derive(Debug)]
pub(super) struct Receipts {
    synced: Cursor,
    /// First copies; the front's record is the one behind `synced`.
    firsts: VecDeque<Waiting>,
    copies: BTreeMap<(Cursor, Ticket), Waiting>,
}

impl Receipts {
    pub(super) fn new(synced: Cursor) -> Self {
        Self { synced, firsts: VecDeque::new(), copies: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.firsts.len() + self.copies.len()
    }

    /// A first copy was appended at `cursor`.
    pub(super) fn wait(&mut self, cursor: Cursor, waiting: Waiting) {
        debug_assert_eq!(cursor.0, self.synced.0 + self.firsts.len() as u64 + 1);
        self.firsts.push_back(waiting);
    }

    /// A copy of the message at `first`: handed back at once if that is synced.
    pub(super) fn wait_for_copy(&mut self, first: Cursor, waiting: Waiting) -> Option<Waiting> {
        if first <= self.synced {
            return Some(waiting);
        }
        self.copies.insert((first, waiting.ticket), waiting);
        None
    }

    /// Everything up to `cursor` is on disk: hands out whoever waited for it, first copies first.
    pub(super) fn synced(&mut self, cursor: Cursor, mut each: impl FnMut(Waiting)) {
        while self.synced < cursor {
            let Some(waiting) = self.firsts.pop_front() else { break };
            each(waiting);
            self.synced = self.synced.next();
        }
        while let Some(copy) = self.copies.first_entry() {
            if copy.key().0 > self.synced {
                break;
            }
            each(copy.remove());
        }
    }
}
