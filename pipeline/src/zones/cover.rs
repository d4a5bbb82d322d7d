//! Which zones a hexagon of the H3 grid can hold: one hash look-up instead of a walk along every outline.
//!
//! A cell that no outline touches lies wholly inside a zone or wholly outside, so it answers for every position in it.
//! A cell that an outline touches, or might, names the zones that the exact test must try, best first. Outlines are
//! walked in steps shorter than a cell's edge and every neighbour of a visited cell counts as touched, so no cell is
//! missed and no position is rounded by the grid. (h3o's own tiler relates each outline cell to the whole zone: a
//! hundred times the time for the same cells.)

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use geo::coordinate_position::{CoordPos, CoordinatePosition};
use geo::{Area, Coord, Euclidean, Length, Line, MultiPolygon, Polygon};
use h3o::{CellIndex, LatLng, Resolution};
use protocol::Position;

use super::ZoneIndex;

/// Cells that the index of one zones file may take, about 30 bytes each.
const CELLS_MAX: f64 = 150_000.0;
/// The finest grid that is worth its memory: hexagons 50 m across.
const FINEST: Resolution = Resolution::Eleven;
/// Length of a degree of latitude, in kilometres.
const KM_PER_DEGREE: f64 = 111.2;
/// Longest step along an outline, as a share of the mean length of a cell's edge. Every point of an outline then lies
/// within a quarter of an edge of a visited one, and cells that do not touch are further apart, however distorted.
const STEP: f64 = 0.5;

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
    resolution: Resolution,
    cells: HashMap<CellIndex, Span>,
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
        Self { resolution: FINEST, cells: HashMap::new(), candidates: Vec::new() }
    }

    /// Covers the areas. They come in order of preference, best first; a certain candidate ends a cell's list.
    pub(super) fn new(areas: &[(ZoneIndex, &MultiPolygon)]) -> Self {
        let resolution = choose_resolution(areas.iter().flat_map(|(_, area)| &area.0));
        let mut lists: BTreeMap<CellIndex, Vec<Candidate>> = BTreeMap::new();
        for (zone, area) in areas {
            for (cell, certain) in cover_area(area, resolution) {
                let list = lists.entry(cell).or_default();
                if !list.last().is_some_and(|last| last.certain) {
                    list.push(Candidate { zone: *zone, certain });
                }
            }
        }
        let mut cover = Self { resolution, ..Self::empty() };
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
        let Ok(place) = LatLng::new(position.lat(), position.lon()) else { return &[] };
        let Some(span) = self.cells.get(&place.to_cell(self.resolution)) else { return &[] };
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
            .field("resolution", &self.resolution)
            .field("cells", &self.cells.len())
            .finish_non_exhaustive()
    }
}

/// The finest grid at which the zones are estimated to stay within [`CELLS_MAX`].
fn choose_resolution<'a>(polygons: impl Iterator<Item = &'a Polygon> + Clone) -> Resolution {
    let coarser = std::iter::successors(Some(FINEST), |resolution| resolution.pred());
    let cells_at = |resolution: Resolution| -> f64 {
        let (cell_km2, cell_km) = (resolution.area_km2(), resolution.edge_length_km());
        polygons
            .clone()
            .map(|polygon| {
                let area_km2 = polygon.unsigned_area() * KM_PER_DEGREE * KM_PER_DEGREE;
                let outline_km = Euclidean.length(polygon.exterior()) * KM_PER_DEGREE;
                // About three cells stand beside every edge length of an outline.
                area_km2 / cell_km2 + 3.0 * outline_km / cell_km + 7.0
            })
            .sum()
    };
    coarser
        .into_iter()
        .find(|resolution| cells_at(*resolution) <= CELLS_MAX)
        .unwrap_or(Resolution::Zero)
}

/// Every cell that can hold a position of the area, and whether it lies inside as a whole.
fn cover_area(area: &MultiPolygon, resolution: Resolution) -> BTreeMap<CellIndex, bool> {
    let mut cells = BTreeMap::new();
    for polygon in area {
        let touched = touched_cells(polygon, resolution);
        for cell in inner_cells(polygon, &touched) {
            cells.insert(cell, true);
        }
        for cell in touched {
            cells.entry(cell).or_insert(false);
        }
    }
    cells
}

/// The cells that the polygon's rings pass through, and their neighbours.
fn touched_cells(polygon: &Polygon, resolution: Resolution) -> BTreeSet<CellIndex> {
    let step_degrees = STEP * resolution.edge_length_km() / KM_PER_DEGREE;
    let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
    let visited: BTreeSet<CellIndex> = rings
        .flat_map(|ring| ring.lines())
        .flat_map(|edge| walk(edge, step_degrees))
        .filter_map(|place| LatLng::new(place.y, place.x).ok())
        .map(|place| place.to_cell(resolution))
        .collect();
    visited.into_iter().flat_map(|cell| cell.grid_disk::<Vec<_>>(1)).collect()
}

/// Points along an edge, both ends included, at most a step apart.
fn walk(edge: Line, step_degrees: f64) -> impl Iterator<Item = Coord> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an edge on the globe has far fewer than 2^32 steps, and `as` saturates"
    )]
    let steps = (Euclidean.length(&edge) / step_degrees).ceil().max(1.0) as u32;
    (0..=steps).map(move |step| edge.start + edge.delta() * (f64::from(step) / f64::from(steps)))
}

/// The untouched cells inside: whichever borders on the outline is tested, the others are on the side of a neighbour.
fn inner_cells(polygon: &Polygon, touched: &BTreeSet<CellIndex>) -> BTreeSet<CellIndex> {
    let beside = touched.iter().flat_map(|cell| cell.grid_disk::<Vec<_>>(1));
    let beside: BTreeSet<CellIndex> = beside.filter(|cell| !touched.contains(cell)).collect();
    let mut found: BTreeSet<CellIndex> =
        beside.into_iter().filter(|cell| is_centre_inside(polygon, *cell)).collect();
    let mut unspread: Vec<CellIndex> = found.iter().copied().collect();
    while let Some(cell) = unspread.pop() {
        for neighbour in cell.grid_disk::<Vec<_>>(1) {
            if !touched.contains(&neighbour) && found.insert(neighbour) {
                unspread.push(neighbour);
            }
        }
    }
    found
}

fn is_centre_inside(polygon: &Polygon, cell: CellIndex) -> bool {
    let centre = LatLng::from(cell);
    let centre = Coord { x: centre.lng(), y: centre.lat() };
    polygon.coordinate_position(&centre) == CoordPos::Inside
}
