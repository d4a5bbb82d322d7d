//! Where incidents were seen lately, by place: a bounded number of marks in each cell, so that one crowded cell is never
//! looked through for long.
//!
//! What is displaced is always the oldest: of an incident in one patch of a cell, of an incident in a cell, in a cell, of
//! all. So of the marks since any moment the same are kept, whether or not earlier ones were there: a desk that was told
//! only the newest lines of the journal comes to the same as one that lived through all of them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};

use protocol::{AlertId, Category};

use crate::place::{Cell, Spot};
use crate::{Span, Time};

/// Marks in one cell: nine cells of a crowded city are looked through in about a microsecond.
const CELL_MAX: usize = 64;
/// Of them by one incident, so that a large one leaves room for others.
const INCIDENT_MAX: usize = 16;
/// A cell's edge has so many patches; in each an incident has one mark, its newest.
const PATCHES: u32 = 8;

/// Hashed without a random key: cells are places, which a device can choose only by pressing there.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

#[derive(Debug)]
pub(super) struct Marks {
    /// No mark reaches farther.
    edge_m: u32,
    cells: Map<Cell, Vec<Seen>>,
    /// Every mark, oldest first; some are displaced already.
    order: VecDeque<(u64, Time, Cell)>,
    next: u64,
}

/// The marks of one incident in one cell, oldest first, never none.
#[derive(Debug)]
struct Seen {
    incident: AlertId,
    marks: Vec<Mark>,
}

/// Where an alert of an incident was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) spot: Spot,
    /// How much farther away it may have been.
    pub(super) slack_m: u32,
    pub(super) category: Category,
    pub(super) at: Time,
    /// Its place among all marks.
    number: u64,
}

impl Mark {
    pub(super) fn new(spot: Spot, slack_m: u32, category: Category, at: Time) -> Self {
        Self { spot, slack_m, category, at, number: 0 }
    }
}

impl Marks {
    pub(super) fn new(edge_m: u32) -> Self {
        Self { edge_m, cells: Map::default(), order: VecDeque::new(), next: 0 }
    }

    /// The marks that may reach `spot`, by incident. One incident may come several times.
    pub(super) fn around(&self, spot: Spot) -> impl Iterator<Item = (AlertId, &[Mark])> {
        let cells = spot.cell(self.edge_m).around();
        let seen = cells.filter_map(|cell| self.cells.get(&cell)).flatten();
        seen.map(|seen| (seen.incident, seen.marks.as_slice()))
    }

    /// Keeps a mark; which incidents have lost one by it.
    pub(super) fn put(
        &mut self,
        incident: AlertId,
        mut mark: Mark,
        len_max: usize,
    ) -> Vec<AlertId> {
        let mut lost = vec![];
        mark.number = self.next;
        self.next += 1;
        let cell = mark.spot.cell(self.edge_m);
        let there = self.cells.entry(cell).or_default();
        let place = there.iter().position(|seen| seen.incident == incident);
        let place = place.unwrap_or_else(|| {
            there.push(Seen { incident, marks: Vec::with_capacity(1) });
            there.len() - 1
        });
        if let Some(seen) = there.get_mut(place) {
            let before = seen.marks.len();
            seen.make_room(mark.spot, self.edge_m);
            lost.extend((seen.marks.len()..before).map(|_| incident));
            seen.marks.push(mark);
        }
        if there.iter().map(|seen| seen.marks.len()).sum::<usize>() > CELL_MAX {
            lost.extend(displace_oldest(there));
        }
        self.order.push_back((mark.number, mark.at, cell));
        while self.order.len() > len_max.max(1) {
            lost.extend(self.pop());
        }
        lost
    }

    /// Removes one mark that is farther than `window` from `now`, if the oldest is; whose it was.
    pub(super) fn pop_past(&mut self, now: Time, window: Span) -> Option<AlertId> {
        while self.order.front().is_some_and(|(_, at, _)| now.apart(*at) > window) {
            let lost = self.pop();
            if lost.is_some() {
                return lost;
            }
        }
        None
    }

    /// Takes everything out, oldest first, so that it can be put into cells of another size.
    pub(super) fn rearrange(&mut self, edge_m: u32) -> Vec<(AlertId, Mark)> {
        self.edge_m = edge_m;
        self.order.clear();
        let seen = std::mem::take(&mut self.cells).into_values().flatten();
        let mut all: Vec<_> = seen
            .flat_map(|seen| seen.marks.into_iter().map(move |mark| (seen.incident, mark)))
            .collect();
        all.sort_unstable_by_key(|(_, mark)| mark.number);
        all
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Removes the oldest mark, if it was not displaced before; whose it was.
    fn pop(&mut self) -> Option<AlertId> {
        let (number, _, cell) = self.order.pop_front()?;
        let there = self.cells.get_mut(&cell)?;
        let is_it = |mark: &Mark| mark.number == number;
        let place = there.iter().position(|seen| seen.marks.first().is_some_and(is_it))?;
        let lost = remove_first(there, place);
        if there.is_empty() {
            self.cells.remove(&cell);
        }
        lost
    }
}

impl Seen {
    /// Makes room for a mark at `spot`: in its patch, and in all.
    fn make_room(&mut self, spot: Spot, edge_m: u32) {
        let patch_m = edge_m / PATCHES;
        let patch = spot.cell(patch_m);
        self.marks.retain(|mark| mark.spot.cell(patch_m) != patch);
        if self.marks.len() >= INCIDENT_MAX {
            self.marks.remove(0);
        }
    }
}

/// Removes the oldest mark of a cell; whose it was.
fn displace_oldest(there: &mut Vec<Seen>) -> Option<AlertId> {
    let oldest = |seen: &Seen| seen.marks.first().map(|mark| mark.number);
    let (place, _) = there.iter().enumerate().min_by_key(|(_, seen)| oldest(seen))?;
    remove_first(there, place)
}

fn remove_first(there: &mut Vec<Seen>, place: usize) -> Option<AlertId> {
    let seen = there.get_mut(place)?;
    let incident = seen.incident;
    seen.marks.remove(0);
    if seen.marks.is_empty() {
        there.remove(place);
    }
    Some(incident)
}
