//! Which incidents are told in which order, and when: at most four times a second each, the first time at once, and the
//! last state never later than a quarter of a second.
//!
//! It is given what changed, and the time; it holds an incident once, where it was told last, so that it never grows with
//! what happens and a reader who comes late is told each incident once. Readers go by the order in which incidents are
//! told ([`Turn`]). To resume they need a place in the journal instead, before which everything is told; that is not the
//! place of the last change, because an incident that changed earlier may have to wait for its time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use pipeline::Cursor;
use protocol::AlertId;

/// An incident is told at most four times a second.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// The order in which incidents are told; nobody was told anything at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Turn(u64);

/// An incident that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) incident: AlertId,
    /// Its latest change at that time.
    pub(super) cursor: Cursor,
    /// Whoever has read what was told before this has been told everything up to here.
    before: Cursor,
}

/// What is known of an incident here.
#[derive(Debug)]
struct Known {
    turn: Option<Turn>,
    latest: Cursor,
    told_at: Option<Instant>,
    /// The first change that is not told, and when it is due.
    waits: Option<(Cursor, Instant)>,
}

/// What is told to one kind of reader.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    told: BTreeMap<Turn, Told>,
    known: HashMap<AlertId, Known>,
    /// Turns that were told and are not any more, since they were last taken.
    gone: Vec<Turn>,
    last: Turn,
    due: BTreeSet<(Instant, AlertId)>,
    waiting: BTreeSet<(Cursor, AlertId)>,
    tip: Cursor,
    floor: Cursor,
}

impl Shelf {
    /// What is told to whoever comes first: these incidents in order of their latest changes, of which the last lies at
    /// `tip` or before; what changed last at `floor` or before is not among them.
    pub(super) fn new(
        incidents: impl Iterator<Item = (AlertId, Cursor)>,
        floor: Cursor,
        tip: Cursor,
    ) -> Self {
        let mut shelf = Self { floor, tip, ..Self::default() };
        let mut incidents: Vec<_> = incidents.collect();
        incidents.sort_by_key(|(id, latest)| (*latest, *id));
        for (incident, cursor) in incidents {
            let turn = shelf.tell(incident, cursor, Cursor(cursor.0.saturating_sub(1)));
            let known = Known { turn: Some(turn), latest: cursor, told_at: None, waits: None };
            shelf.known.insert(incident, known);
        }
        shelf
    }

    /// The incident changed at `cursor`, which lies behind every change before.
    pub(super) fn change(&mut self, incident: AlertId, cursor: Cursor, now: Instant) {
        let known = self.known.entry(incident).or_insert(Known {
            turn: None,
            latest: cursor,
            told_at: None,
            waits: None,
        });
        known.latest = cursor;
        if known.waits.is_none() {
            let due = known.told_at.map_or(now, |told| now.max(told + INTERVAL));
            known.waits = Some((cursor, due));
            self.waiting.insert((cursor, incident));
            self.due.insert((due, incident));
        }
    }

    /// The incident is kept no more: whoever was not told its latest change is not told it any more.
    pub(super) fn leave(&mut self, incident: AlertId) {
        let Some(known) = self.known.remove(&incident) else { return };
        self.tell_no_more(known.turn);
        if let Some((cursor, due)) = known.waits {
            self.waiting.remove(&(cursor, incident));
            self.due.remove(&(due, incident));
        }
        self.floor = self.floor.max(known.latest);
    }

    /// Every change up to `tip` has been taken note of.
    pub(super) fn pass(&mut self, tip: Cursor) {
        self.tip = tip;
    }

    /// Tells what is due. How many incidents that is.
    pub(super) fn flush(&mut self, now: Instant) -> usize {
        let before = self.safe();
        let mut flushed = 0;
        while let Some((_, incident)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.pop_first();
            let Some(known) = self.known.get_mut(&incident) else { continue };
            let (earlier, latest) = (known.turn.take(), known.latest);
            if let Some((cursor, _)) = known.waits.take() {
                self.waiting.remove(&(cursor, incident));
            }
            known.told_at = Some(now);
            self.tell_no_more(earlier);
            let turn = self.tell(incident, latest, before);
            if let Some(known) = self.known.get_mut(&incident) {
                known.turn = Some(turn);
            }
            flushed += 1;
        }
        flushed
    }

    /// Turns that are told no more, each once.
    pub(super) fn take_gone(&mut self) -> Vec<Turn> {
        std::mem::take(&mut self.gone)
    }

    /// When the next incident is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// What is told behind `after`, in order.
    pub(super) fn behind(&self, after: Turn) -> impl Iterator<Item = (Turn, Told)> {
        let first = Turn(after.0 + 1);
        self.told.range(first..).map(|(turn, told)| (*turn, *told))
    }

    /// Whoever has read what is told up to `turn` has been told every change up to here.
    pub(super) fn resumes_at(&self, turn: Turn) -> Cursor {
        self.behind(turn).next().map_or_else(|| self.safe(), |(_, told)| told.before)
    }

    /// The last that is told.
    pub(super) fn last(&self) -> Turn {
        self.last
    }

    /// What changed last here or before may be told no more.
    pub(super) fn floor(&self) -> Cursor {
        self.floor
    }

    /// Everything that is told together reaches to here.
    fn safe(&self) -> Cursor {
        let first = self.waiting.first();
        first.map_or(self.tip, |(cursor, _)| Cursor(cursor.0.saturating_sub(1)))
    }

    fn tell_no_more(&mut self, turn: Option<Turn>) {
        if let Some(turn) = turn {
            self.told.remove(&turn);
            self.gone.push(turn);
        }
    }

    fn tell(&mut self, incident: AlertId, cursor: Cursor, before: Cursor) -> Turn {
        self.last = Turn(self.last.0 + 1);
        self.told.insert(self.last, Told { incident, cursor, before });
        self.last
    }
}
