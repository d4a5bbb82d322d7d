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
    /// The marks of each cell, oldest first, never none; side by side, so that looking through them is quick.
    cells: Map<Cell, Vec<Mark>>,
    /// Every mark, oldest first; some are displaced already.
    order: VecDeque<(u64, Time, Cell)>,
    next: u64,
}

/// Where an alert of an incident was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) incident: AlertId,
    pub(super) spot: Spot,
    /// How much farther away it may have been.
    pub(super) slack_m: u32,
    pub(super) category: Category,
    pub(super) at: Time,
    /// Its place among all marks.
    number: u64,
}

impl Mark {
    pub(super) fn new(
        incident: AlertId,
        spot: Spot,
        slack_m: u32,
        category: Category,
        at: Time,
    ) -> Self {
        Self { incident, spot, slack_m, category, at, number: 0 }
    }
}

impl Marks {
    pub(super) fn new(edge_m: u32) -> Self {
        Self { edge_m, cells: Map::default(), order: VecDeque::new(), next: 0 }
    }

    /// The marks that may reach `spot`.
    pub(super) fn around(&self, spot: Spot) -> impl Iterator<Item = &Mark> {
        let cells = spot.cell(self.edge_m).around();
        cells.filter_map(|cell| self.cells.get(&cell)).flatten()
    }

    /// Keeps a mark; which incidents have lost one by it.
    pub(super) fn put(&mut self, mut mark: Mark, len_max: usize) -> Vec<AlertId> {
        mark.number = self.next;
        self.next += 1;
        let cell = mark.spot.cell(self.edge_m);
        // Most cells hold few; a vector that grows by itself would start with four.
        let there = self.cells.entry(cell).or_insert_with(|| Vec::with_capacity(1));
        let mut lost = vec![];
        if let Some(place) = displaced(there, &mark, self.edge_m / PATCHES) {
            lost.push(there.remove(place).incident);
        }
        there.push(mark);
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
    pub(super) fn rearrange(&mut self, edge_m: u32) -> Vec<Mark> {
        self.edge_m = edge_m;
        self.order.clear();
        let mut all: Vec<_> = std::mem::take(&mut self.cells).into_values().flatten().collect();
        all.sort_unstable_by_key(|mark| mark.number);
        all
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Removes the oldest mark, if it was not displaced before; whose it was.
    fn pop(&mut self) -> Option<AlertId> {
        let (number, _, cell) = self.order.pop_front()?;
        let there = self.cells.get_mut(&cell)?;
        let place = there.iter().position(|mark| mark.number == number)?;
        let lost = there.remove(place).incident;
        if there.is_empty() {
            self.cells.remove(&cell);
        }
        Some(lost)
    }
}

/// Which mark of a cell has to make room for a new one, if any has.
fn displaced(there: &[Mark], new: &Mark, patch_m: u32) -> Option<usize> {
    let patch = new.spot.cell(patch_m);
    let own = there.iter().enumerate().filter(|(_, mark)| mark.incident == new.incident);
    let (mut oldest, mut count) = (None, 0);
    for (place, mark) in own {
        if mark.spot.cell(patch_m) == patch {
            return Some(place);
        }
        oldest = oldest.or(Some(place));
        count += 1;
    }
    match there.len() {
        _ if count >= INCIDENT_MAX => oldest,
        len if len >= CELL_MAX => Some(0),
        _ => None,
    }
}
