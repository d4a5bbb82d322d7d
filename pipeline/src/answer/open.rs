//! The alerts that wait for an answer: at which step, since when, and which is due first.
//!
//! The table is bounded. When it is full, the oldest alert that has climbed to everybody leaves first: there is nobody
//! left whom it could page. Only if there is none, the oldest of all leaves, and climbs no further; it stays on the feed
//! and can be answered like any other, for operators' demands do not ask this table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Cursor, Record, Time, ZoneId};

/// One alert.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) raise: Arc<Record>,
    /// The zone that it waits at; nothing: everybody was paged.
    pub(super) step: Option<ZoneId>,
    /// When it began to wait there.
    pub(super) since: Time,
}

#[derive(Debug)]
pub(super) struct OpenAlerts {
    /// By the cursor of the raise.
    alerts: BTreeMap<Cursor, (Open, Option<Time>)>,
    /// When the next step of each is due.
    due: BTreeSet<(Time, Cursor)>,
    /// Those that can climb no further.
    at_top: BTreeSet<Cursor>,
    len_max: usize,
}

impl OpenAlerts {
    pub(super) fn new(len_max: usize) -> Self {
        Self {
            alerts: BTreeMap::new(),
            due: BTreeSet::new(),
            at_top: BTreeSet::new(),
            len_max: len_max.max(1),
        }
    }

    pub(super) fn get(&self, cursor: Cursor) -> Option<&Open> {
        self.alerts.get(&cursor).map(|(open, _)| open)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Cursor, &Open)> {
        self.alerts.iter().map(|(cursor, (open, _))| (*cursor, open))
    }

    pub(super) fn len(&self) -> usize {
        self.alerts.len()
    }

    /// An alert waits, in the place of what was known of it. Its next step is `due` then; nothing: there is none.
    pub(super) fn insert(&mut self, open: Open, due: Option<Time>) {
        let cursor = open.raise.cursor;
        self.remove(cursor);
        while self.alerts.len() >= self.len_max {
            let oldest = self.at_top.first().or(self.alerts.keys().next()).copied();
            oldest.into_iter().for_each(|oldest| self.remove(oldest));
        }
        match due {
            Some(due) => self.due.insert((due, cursor)),
            None => self.at_top.insert(cursor),
        };
        self.alerts.insert(cursor, (open, due));
    }

    /// The alert waits no longer.
    pub(super) fn remove(&mut self, cursor: Cursor) {
        match self.alerts.remove(&cursor) {
            Some((_, Some(due))) => drop(self.due.remove(&(due, cursor))),
            Some((_, None)) => drop(self.at_top.remove(&cursor)),
            None => {}
        }
    }

    /// The alert whose next step is due first, if it is by `now`.
    pub(super) fn first_due(&self, now: Time) -> Option<&Open> {
        let (due, cursor) = self.due.first()?;
        if *due <= now { self.get(*cursor) } else { None }
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Each of these alerts is due then.
    pub(super) fn reschedule(&mut self, all: Vec<(Cursor, Option<Time>)>) {
        for (cursor, due) in all {
            let Some((_, known)) = self.alerts.get_mut(&cursor) else { continue };
            if *known == due {
                continue;
            }
            match std::mem::replace(known, due) {
                Some(before) => self.due.remove(&(before, cursor)),
                None => self.at_top.remove(&cursor),
            };
            match due {
                Some(due) => self.due.insert((due, cursor)),
                None => self.at_top.insert(cursor),
            };
        }
    }

    /// The clock was set back to `now`: nobody has waited since later.
    pub(super) fn set_back(&mut self, now: Time) {
        self.alerts.values_mut().for_each(|(open, _)| open.since = open.since.min(now));
    }
}
