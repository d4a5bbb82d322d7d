//! Where an incident is: the smallest convex area around its alerts, as a geometry of GeoJSON (RFC 7946).
//!
//! One place is a point, places in a row are a line. To whom places are shown as cells, the area is made of whole cells, so
//! that it tells no more than the cells do.

use geo::{ConvexHull, Coord, MultiPoint};
use protocol::Position;
use serde::Serialize;

use super::super::place::Place;
use crate::registry::Sight;

/// A geometry. Rings run against the clock and are closed (section 3.1.6).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "coordinates")]
pub(super) enum Hull {
    /// Every alert is at one place.
    Point([f64; 2]),
    /// Every alert lies on one line.
    LineString([[f64; 2]; 2]),
    /// Around all of them.
    Polygon([Vec<[f64; 2]>; 1]),
}

impl Hull {
    /// Around all of these places; nothing around none.
    pub(super) fn around(places: impl Iterator<Item = Position>, sight: Sight) -> Option<Self> {
        let mut points: Vec<[f64; 2]> = vec![];
        for position in places {
            let place = Place::new(&position, "", sight);
            match place.cell() {
                Some(cell) => points.extend(cell),
                None => points.push(place.lon_lat()),
            }
        }
        points.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
        points.dedup();
        let (first, last) = (*points.first()?, *points.last()?);
        if points.len() < 3 {
            return Some(Self::between(first, last));
        }
        let hull = points.into_iter().map(geo::Point::from).collect::<MultiPoint>().convex_hull();
        let ring: Vec<[f64; 2]> = hull.exterior().coords().map(|Coord { x, y }| [*x, *y]).collect();
        // The ends of a row of places are the first and the last of them in order; a ring has three corners and its end.
        Some(if ring.len() < 4 { Self::between(first, last) } else { Self::Polygon([ring]) })
    }

    fn between(first: [f64; 2], last: [f64; 2]) -> Self {
        if first == last { Self::Point(first) } else { Self::LineString([first, last]) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(lat_e7: i64, lon_e7: i64) -> Position {
        Position::new(lat_e7, lon_e7).unwrap()
    }

    fn around(places: &[(i64, i64)], sight: Sight) -> Option<Hull> {
        Hull::around(places.iter().map(|(lat, lon)| at(*lat, *lon)), sight)
    }

    /// Twice the area to the left of the way from `a` by `b` to `c`.
    fn left(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
        (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    }

    #[test]
    fn few_places_are_a_point_or_a_line() {
        assert_eq!(around(&[], Sight::Exact), None);
        let one = around(&[(10_000_000, 20_000_000), (10_000_000, 20_000_000)], Sight::Exact);
        assert_eq!(one, Some(Hull::Point([2.0, 1.0])));
        let row: Vec<_> = [3, 1, 2, 4].map(|step| (step * 10_000_000, step * 20_000_000)).into();
        let line = Some(Hull::LineString([[2.0, 1.0], [8.0, 4.0]]));
        assert_eq!(around(&row, Sight::Exact), line);
        assert_eq!(
            around(&row[..3], Sight::Exact),
            Some(Hull::LineString([[2.0, 1.0], [6.0, 3.0]]))
        );
    }

    #[test]
    fn coarse_sight_is_shown_whole_cells() {
        let ring = vec![[0.01, 0.0], [0.01, 0.01], [0.0, 0.01], [0.0, 0.0], [0.01, 0.0]];
        let cell = around(&[(12_345, 54_321), (2, 3)], Sight::Coarse);
        assert_eq!(cell, Some(Hull::Polygon([ring])));
    }

    proptest! {
        /// Every place lies inside or on the ring, and every corner of the ring is one of the places.
        #[test]
        fn holds_every_place_and_nothing_that_it_need_not(
            places in prop::collection::vec((-40_i64..40, -40_i64..40), 1..60),
        ) {
            let points: Vec<[f64; 2]> =
                places.iter().map(|(lat, lon)| [at(*lat, *lon).lon(), at(*lat, *lon).lat()]).collect();
            match around(&places, Sight::Exact).unwrap() {
                Hull::Point(point) => prop_assert!(points.iter().all(|other| *other == point)),
                Hull::LineString([first, last]) => {
                    prop_assert!(points.contains(&first) && points.contains(&last));
                    for point in points {
                        prop_assert!(left(first, last, point).abs() < 1e-18);
                        prop_assert!(first <= point && point <= last);
                    }
                }
                Hull::Polygon([ring]) => {
                    prop_assert_eq!(ring.first(), ring.last());
                    for side in ring.windows(2) {
                        prop_assert!(points.contains(&side[0]));
                        for point in &points {
                            prop_assert!(left(side[0], side[1], *point) > -1e-18);
                        }
                    }
                }
            }
        }
    }
}
