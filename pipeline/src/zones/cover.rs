//! Which zones a square of a grid can hold: one hash look-up instead of a walk along every outline.
//!
//! A cell that no outline touches lies wholly inside a zone or wholly outside and answers for every position in it; a
//! cell that an outline touches, or might, names the zones that the exact test must try, best first. Outlines are walked
//! in steps shorter than a cell and all eight neighbours of a visited cell count as touched, so no cell is missed and no
//! position is rounded. (`docs/decisions/` tells why this is not H3.)

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use geo::coordinate_position::{CoordPos, CoordinatePosition};
use geo::{Area, Euclidean, Length, MultiPolygon, Polygon};
use protocol::Position;

use super::ZoneIndex;
use super::grid::{COARSEST_SHIFT, Cell, FINEST, Grid, STEP, walk};

/// Cells that the index of one zones file may take, about 30 bytes each.
const CELLS_MAX: f64 = 150_000.0;

/// A zone that a cell may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) zone: ZoneIndex,
    /// Whether the whole cell lies inside the zone.
    pub(super) certain: bool,
}

/// The index. The hash map answers look-ups only; its order is never seen.
#[derive(Clone)]
pub(super) struct Cover {
    grid: Grid,
    cells: HashMap<Cell, Span>,
    candidates: Vec<Candidate>,
}

/// A run of `candidates`.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

impl Cover {
    /// A cover of nothing.
    pub(super) fn empty() -> Self {
        Self { grid: FINEST, cells: HashMap::new(), candidates: Vec::new() }
    }

    /// Covers the areas. They come in order of preference, best first; a certain candidate ends a cell's list.
    pub(super) fn new(areas: &[(ZoneIndex, &MultiPolygon)]) -> Self {
        let grid = choose_grid(areas.iter().flat_map(|(_, area)| &area.0));
        let mut lists: BTreeMap<Cell, Vec<Candidate>> = BTreeMap::new();
        for (zone, area) in areas {
            for (cell, certain) in cover_area(area, grid) {
                let list = lists.entry(cell).or_default();
                if !list.last().is_some_and(|last| last.certain) {
                    list.push(Candidate { zone: *zone, certain });
                }
            }
        }
        let mut cover = Self { grid, ..Self::empty() };
        // Most cells share one of a few lists, so that the lists stay in the processor's cache.
        let mut known: BTreeMap<Vec<Candidate>, Span> = BTreeMap::new();
        for (cell, list) in lists {
            let span = match known.get(&list) {
                Some(span) => *span,
                None => cover.append(&list),
            };
            known.insert(list, span);
            cover.cells.insert(cell, span);
        }
        cover
    }

    /// What the cell at this position may hold, best first.
    pub(super) fn candidates(&self, position: &Position) -> &[Candidate] {
        let Some(span) = self.cells.get(&self.grid.of(position)) else { return &[] };
        let start = span.start as usize;
        self.candidates.get(start..start + span.len as usize).unwrap_or_default()
    }

    /// How many cells there are.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    fn append(&mut self, list: &[Candidate]) -> Span {
        let start = u32::try_from(self.candidates.len()).unwrap_or(u32::MAX);
        self.candidates.extend_from_slice(list);
        Span { start, len: u32::try_from(list.len()).unwrap_or(u32::MAX) }
    }
}

impl fmt::Debug for Cover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cover")
            .field("grid", &self.grid)
            .field("cells", &self.cells.len())
            .finish_non_exhaustive()
    }
}

/// The finest grid at which the zones are estimated to stay within [`CELLS_MAX`].
fn choose_grid<'a>(polygons: impl Iterator<Item = &'a Polygon> + Clone) -> Grid {
    let cells_at = |grid: Grid| -> f64 {
        let side = grid.degrees();
        let of_polygon = |polygon: &Polygon| {
            // A strip about four cells wide is touched by an outline.
            let outline = Euclidean.length(polygon.exterior()) / side;
            polygon.unsigned_area() / (side * side) + 4.0 * outline + 9.0
        };
        polygons.clone().map(of_polygon).sum()
    };
    (FINEST.shift..COARSEST_SHIFT)
        .map(|shift| Grid { shift })
        .find(|grid| cells_at(*grid) <= CELLS_MAX)
        .unwrap_or(Grid { shift: COARSEST_SHIFT })
}

/// Every cell that can hold a position of the area, and whether it lies inside as a whole.
fn cover_area(area: &MultiPolygon, grid: Grid) -> BTreeMap<Cell, bool> {
    let mut cells = BTreeMap::new();
    for polygon in area {
        let touched = touched_cells(polygon, grid);
        for cell in inner_cells(polygon, &touched, grid) {
            cells.insert(cell, true);
        }
        for cell in touched {
            cells.entry(cell).or_insert(false);
        }
    }
    cells
}

/// The cells that the polygon's rings pass through, and their neighbours.
fn touched_cells(polygon: &Polygon, grid: Grid) -> BTreeSet<Cell> {
    let step = STEP * grid.degrees();
    let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
    let places = rings.flat_map(|ring| ring.lines()).flat_map(|edge| walk(edge, step));
    let visited: BTreeSet<Cell> = places.map(|place| grid.at(place)).collect();
    visited.into_iter().flat_map(Cell::block).collect()
}

/// The untouched cells inside: those beside the outline are tested, the others are on the side of a neighbour.
fn inner_cells(polygon: &Polygon, touched: &BTreeSet<Cell>, grid: Grid) -> BTreeSet<Cell> {
    let beside = touched.iter().copied().flat_map(Cell::beside);
    let beside: BTreeSet<Cell> = beside.filter(|cell| !touched.contains(cell)).collect();
    let is_inside =
        |cell: &Cell| polygon.coordinate_position(&grid.centre(*cell)) == CoordPos::Inside;
    let mut found: BTreeSet<Cell> = beside.into_iter().filter(is_inside).collect();
    let mut unspread: Vec<Cell> = found.iter().copied().collect();
    while let Some(cell) = unspread.pop() {
        for neighbour in cell.beside() {
            if !touched.contains(&neighbour) && found.insert(neighbour) {
                unspread.push(neighbour);
            }
        }
    }
    found
}
