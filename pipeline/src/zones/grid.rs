//! Squares of degrees, as outlines are drawn in degrees: finding a position's cell is two shifts of its integers.
//!
//! Outlines are walked in steps shorter than a cell, so that none is missed in a cell or in one beside it.

use geo::{Coord, Euclidean, Length, Line};
use protocol::Position;

/// The finest grid that is worth its memory: 4,096e-7 degrees, squares of 45 m at the equator.
pub(super) const FINEST: Grid = Grid { shift: 12 };
/// The coarsest: the globe is a few cells.
pub(super) const COARSEST_SHIFT: u32 = 30;
/// Longest step along an outline, as a share of a cell's side. Every point of an outline then lies within a quarter of
/// a side of a visited one, so in its cell or in one of the eight around it.
pub(super) const STEP: f64 = 0.5;

/// Squares of `1 << shift` 1e-7 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) shift: u32,
}

/// A square: row from the equator northwards, column from Greenwich eastwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cell {
    row: i32,
    column: i32,
}

impl Grid {
    pub(super) fn of(self, position: &Position) -> Cell {
        Cell { row: position.lat_e7() >> self.shift, column: position.lon_e7() >> self.shift }
    }

    /// The cell at a place in degrees.
    pub(super) fn at(self, place: Coord) -> Cell {
        Cell { row: floor(place.y / self.degrees()), column: floor(place.x / self.degrees()) }
    }

    /// The side of a cell.
    pub(super) fn degrees(self) -> f64 {
        f64::from(1_u32 << self.shift) / 1e7
    }

    pub(super) fn centre(self, cell: Cell) -> Coord {
        let middle = |index: i32| (f64::from(index) + 0.5) * self.degrees();
        Coord { x: middle(cell.column), y: middle(cell.row) }
    }
}

impl Cell {
    /// The cell and the eight around it.
    pub(super) fn block(self) -> impl Iterator<Item = Self> {
        let rows = self.row - 1..=self.row + 1;
        rows.flat_map(move |row| {
            (self.column - 1..=self.column + 1).map(move |column| Self { row, column })
        })
    }

    /// The four cells that share a side with it.
    pub(super) fn beside(self) -> impl Iterator<Item = Self> {
        let Self { row, column } = self;
        let sides = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)];
        sides.into_iter().map(|(row, column)| Self { row, column })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the globe has fewer cells than 2^31 in a row")]
fn floor(number: f64) -> i32 {
    number.floor() as i32
}

/// Points along an edge, both ends included, at most a step apart.
pub(super) fn walk(edge: Line, step: f64) -> impl Iterator<Item = Coord> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an edge on the globe has far fewer than 2^32 steps, and `as` saturates"
    )]
    let steps = (Euclidean.length(&edge) / step).ceil().max(1.0) as u32;
    (0..=steps).map(move |step| edge.start + edge.delta() * (f64::from(step) / f64::from(steps)))
}
