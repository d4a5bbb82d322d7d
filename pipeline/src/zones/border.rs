//! Which outlines run near a place: one hash look-up where none does.
//!
//! Distances are taken on the plane that touches the globe at the place: outlines are straight in degrees (RFC 7946
//! section 3.1.1), and degrees become metres by one factor northwards and another eastwards, so they are straight there
//! too. Over a few kilometres that is as good as the drawing. It needs one cosine, libm's, so every machine answers alike.
//!
//! Outlines are entered into grids of several sizes. A query takes the finest whose cells are larger than its reach, and
//! looks only at the cell of the place and the eight around it; a cell far from every outline is in no grid.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use geo::{Coord, Euclidean, Length, Line, MultiPolygon};
use protocol::Position;

use super::ZoneIndex;
use super::grid::{Cell, Grid, STEP, walk};
use crate::admission::EARTH_M;

/// Cells of the finest grid, about 30 bytes each. The coarser ones together have a third of that.
const CELLS_MAX: f64 = 150_000.0;
/// Cells of 365 m at the equator: for a border that is a street away, and a phone that knows its place.
const FINEST_SHIFT: u32 = 15;
/// Cells of 23 km. What reaches further than they allow looks at every outline.
const COARSEST_SHIFT: u32 = 21;
/// Each grid has cells four times as large as the one before.
const SHIFT_STEP: usize = 2;
/// As much of a cell's side a query may reach: with the quarter by which an outline may stray from the cells that it is
/// entered in, it stays within the cells around.
const REACH: f64 = 0.7;
/// From here on a place may be near an outline on the other side of the date line.
const FAR_EAST: f64 = 170.0;

/// Every outline, by where it runs.
#[derive(Clone, Default)]
pub(super) struct Borders {
    edges: Vec<(ZoneIndex, Line)>,
    /// The finest first.
    levels: Vec<Level>,
}

/// The edges by the cells of one grid.
#[derive(Clone)]
struct Level {
    grid: Grid,
    /// Every cell that an edge passes through, with its run of `listed`, and those around, with an empty run.
    cells: HashMap<Cell, Run>,
    /// Indices of edges.
    listed: Vec<u32>,
}

#[derive(Clone, Copy, Default)]
struct Run {
    start: u32,
    len: u32,
}

/// The plane at a place: how many metres a degree is there.
struct Plane {
    place: Coord,
    east_m: f64,
    north_m: f64,
}

impl Borders {
    pub(super) fn new(areas: &[(ZoneIndex, &MultiPolygon)]) -> Self {
        let polygons = areas.iter().flat_map(|(zone, area)| area.iter().map(|one| (*zone, one)));
        let rings = polygons.flat_map(|(zone, polygon)| {
            let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
            rings.map(move |ring| (zone, ring))
        });
        let edges: Vec<_> =
            rings.flat_map(|(zone, ring)| ring.lines().map(move |edge| (zone, edge))).collect();
        let length: f64 = edges.iter().map(|(_, edge)| Euclidean.length(edge)).sum();
        // An outline passes through a strip of cells, and there is one on either side.
        let fits = |shift: &u32| 3.0 * length / (Grid { shift: *shift }).degrees() <= CELLS_MAX;
        let finest = (FINEST_SHIFT..COARSEST_SHIFT).find(fits).unwrap_or(COARSEST_SHIFT);
        let shifts = (finest..=COARSEST_SHIFT).step_by(SHIFT_STEP);
        let levels = shifts.map(|shift| Level::new(&edges, Grid { shift })).collect();
        Self { edges, levels }
    }

    /// Every zone whose outline comes within `reach_m` of the position, and how near in metres. In no order.
    pub(super) fn near(&self, position: &Position, reach_m: u32) -> Vec<(ZoneIndex, f64)> {
        let mut found = Vec::new();
        let plane = Plane::at(position);
        self.collect(&plane, f64::from(reach_m), &mut found);
        if plane.place.x.abs() > FAR_EAST {
            let x = plane.place.x - 360.0_f64.copysign(plane.place.x);
            let beyond = Plane { place: Coord { x, ..plane.place }, ..plane };
            self.collect(&beyond, f64::from(reach_m), &mut found);
        }
        found
    }

    fn collect(&self, plane: &Plane, reach_m: f64, found: &mut Vec<(ZoneIndex, f64)>) {
        let reaches = |level: &&Level| plane.side_m(level.grid) * REACH >= reach_m;
        let Some(level) = self.levels.iter().find(reaches) else {
            self.edges.iter().for_each(|edge| plane.measure(edge, reach_m, found));
            return;
        };
        let here = level.grid.at(plane.place);
        if !level.cells.contains_key(&here) {
            return;
        }
        for run in here.block().filter_map(|cell| level.cells.get(&cell)) {
            let listed = level.listed.get(run.start as usize..(run.start + run.len) as usize);
            let edges = listed.unwrap_or_default().iter();
            let edges = edges.filter_map(|edge| self.edges.get(*edge as usize));
            edges.for_each(|edge| plane.measure(edge, reach_m, found));
        }
    }
}

impl Level {
    fn new(edges: &[(ZoneIndex, Line)], grid: Grid) -> Self {
        let mut passed: BTreeMap<Cell, Vec<u32>> = BTreeMap::new();
        for (index, (_, edge)) in (0..).zip(edges) {
            let places = walk(*edge, STEP * grid.degrees());
            let cells: BTreeSet<Cell> = places.map(|place| grid.at(place)).collect();
            cells.into_iter().for_each(|cell| passed.entry(cell).or_default().push(index));
        }
        let around = passed.keys().flat_map(|cell| cell.block());
        let mut level = Self {
            grid,
            cells: around.map(|cell| (cell, Run::default())).collect(),
            listed: vec![],
        };
        for (cell, edges) in passed {
            level.cells.insert(cell, Run { start: count(&level.listed), len: count(&edges) });
            level.listed.extend(edges);
        }
        level
    }
}

impl Plane {
    fn at(position: &Position) -> Self {
        let north_m = 1_f64.to_radians() * EARTH_M;
        // libm, not the platform's: the last bit of a cosine may decide.
        let east_m = north_m * libm::cos(position.lat().to_radians());
        Self { place: Coord { x: position.lon(), y: position.lat() }, east_m, north_m }
    }

    /// The shorter side of a cell here.
    fn side_m(&self, grid: Grid) -> f64 {
        grid.degrees() * self.east_m.min(self.north_m)
    }

    /// Notes the edge's zone if it is within reach, with its least distance so far.
    fn measure(&self, edge: &(ZoneIndex, Line), reach_m: f64, found: &mut Vec<(ZoneIndex, f64)>) {
        let (zone, edge) = edge;
        let metres = self.distance_m(edge);
        if metres > reach_m {
            return;
        }
        match found.iter_mut().find(|(known, _)| known == zone) {
            Some((_, least)) => *least = least.min(metres),
            None => found.push((*zone, metres)),
        }
    }

    /// How far the edge is from the place.
    fn distance_m(&self, edge: &Line) -> f64 {
        let metres = |place: Coord| Coord {
            x: (place.x - self.place.x) * self.east_m,
            y: (place.y - self.place.y) * self.north_m,
        };
        let (start, end) = (metres(edge.start), metres(edge.end));
        let along = end - start;
        let length_squared = along.x * along.x + along.y * along.y;
        let share = -(start.x * along.x + start.y * along.y) / length_squared;
        // An edge without a length has no share: its start is as near as any of it.
        let share = if length_squared > 0.0 { share.clamp(0.0, 1.0) } else { 0.0 };
        let nearest = start + along * share;
        (nearest.x * nearest.x + nearest.y * nearest.y).sqrt()
    }
}

fn count(indices: &[u32]) -> u32 {
    u32::try_from(indices.len()).unwrap_or(u32::MAX)
}

impl fmt::Debug for Borders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borders").field("edges", &self.edges.len()).finish_non_exhaustive()
    }
}
