//! A place as whole metres in space, so that being near is one comparison of integers, alike on every machine, at the
//! poles and across the date line. Its debug text holds no place.

use core::fmt;

use protocol::Position;

/// Mean radius of the earth (IUGG), in metres.
pub(crate) const EARTH_M: f64 = 6_371_008.8;

/// A point on the globe: metres from its centre, along three axes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot([i32; 3]);

/// A cube of space. What lies within a cube's edge of a spot lies in the cubes around the spot's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cell([i32; 3]);

impl Spot {
    /// The spot of a position.
    pub(crate) fn of(position: &Position) -> Self {
        let radians = |e7: i32| f64::from(e7) * 1e-7_f64.to_radians();
        let (lat, lon) = (radians(position.lat_e7()), radians(position.lon_e7()));
        // libm, not the platform's: the last bit of a sine may decide.
        let ring = libm::cos(lat);
        let axes = [ring * libm::cos(lon), ring * libm::sin(lon), libm::sin(lat)];
        #[expect(clippy::cast_possible_truncation, reason = "the earth's radius fits by far")]
        Self(axes.map(|axis| libm::round(axis * EARTH_M) as i32))
    }

    /// Whether `other` is at most `reach_m` away.
    pub(crate) fn is_within(self, other: Self, reach_m: u32) -> bool {
        let squares =
            self.0.iter().zip(other.0).map(|(a, b)| (i64::from(*a) - i64::from(b)).pow(2));
        squares.sum::<i64>() <= i64::from(reach_m).pow(2)
    }

    /// The cube with edges of `edge_m` that it lies in.
    pub(crate) fn cell(self, edge_m: u32) -> Cell {
        let edge = i32::try_from(edge_m).unwrap_or(i32::MAX).max(1);
        Cell(self.0.map(|axis| axis.div_euclid(edge)))
    }
}

impl Cell {
    /// This cube and the 26 around it.
    pub(crate) fn around(self) -> impl Iterator<Item = Self> {
        let [x, y, z] = self.0;
        let each = |centre: i32| centre - 1..=centre + 1;
        each(x).flat_map(move |x| each(y).flat_map(move |y| each(z).map(move |z| Self([x, y, z]))))
    }
}

impl fmt::Debug for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spot").finish_non_exhaustive()
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spot(lat_e7: i64, lon_e7: i64) -> Spot {
        Spot::of(&Position::new(lat_e7, lon_e7).unwrap())
    }

    #[test]
    fn reach_is_in_metres_wherever_it_is_measured() {
        // A thousandth of a degree of latitude is 111 m.
        for lat in [0, -79_666_200, 600_000_000, -899_000_000] {
            let here = spot(lat, 1_126_326_000);
            assert!(here.is_within(spot(lat + 10_000, 1_126_326_000), 112));
            assert!(!here.is_within(spot(lat + 10_000, 1_126_326_000), 109));
        }
        assert!(spot(0, 1_800_000_000).is_within(spot(0, -1_799_990_000), 112), "the date line");
        assert!(spot(900_000_000, 0).is_within(spot(900_000_000, 1_700_000_000), 1), "the pole");
        assert!(!format!("{:?}", spot(-79_666_200, 1_126_326_000)).contains('6'));
    }

    proptest! {
        #[test]
        fn what_is_within_reach_lies_in_the_cells_around(
            lat in -900_000_000_i64..=900_000_000, lon in -1_800_000_000_i64..=1_800_000_000,
            north in -20_000_i64..20_000, east in -20_000_i64..20_000, reach in 10_u32..3_000
        ) {
            let here = spot(lat, lon);
            let there = spot(
                (lat + north).clamp(-900_000_000, 900_000_000),
                (lon + east).clamp(-1_800_000_000, 1_800_000_000),
            );
            let around = here.cell(reach).around().any(|cell| cell == there.cell(reach));
            prop_assert!(around || !here.is_within(there, reach));
        }
    }
}
