//! A place as an event states it: as it was sent, or as the cell that it lies in.
//!
//! A cell is a hundredth of a degree wide and high: some eleven hundred metres, a quarter and not a house. It says where
//! to look at a map, and of nobody where they are.

use protocol::Position;
use serde::Serialize;

use crate::registry::Sight;

/// Width and height of a cell, in units of 1e-7 degrees.
const CELL_E7: i32 = 100_000;
/// From the centre of a cell to its corners, at the equator, where it is longest: 0.005 degrees each way, rounded up.
const CELL_RADIUS_M: u32 = 790;

/// Where, and who says so.
#[derive(Serialize)]
pub(crate) struct Place {
    lat: f64,
    lon: f64,
    radius_m: u32,
    method: &'static str,
    age_s: u32,
    source: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    coarse: bool,
}

impl Place {
    /// The place that `source` states, as it is shown to this sight.
    pub(super) fn new(position: &Position, source: &'static str, sight: Sight) -> Self {
        let exact = Self {
            lat: position.lat(),
            lon: position.lon(),
            radius_m: position.radius_m,
            method: position.method.name(),
            age_s: position.age_s,
            source,
            coarse: false,
        };
        match sight {
            Sight::Exact => exact,
            Sight::Coarse => Self {
                lat: centre(position.lat_e7()),
                lon: centre(position.lon_e7()),
                radius_m: exact.radius_m.max(CELL_RADIUS_M),
                coarse: true,
                ..exact
            },
        }
    }

    /// Longitude and latitude, in the order of GeoJSON (RFC 7946 section 3.1.1).
    pub(crate) fn lon_lat(&self) -> [f64; 2] {
        [self.lon, self.lat]
    }

    /// How far from there it may be.
    pub(super) fn radius_m(&self) -> u32 {
        self.radius_m
    }

    /// The corners of the cell, against the clock and closed (RFC 7946 section 3.1.6); nothing where the place is exact.
    pub(super) fn cell(&self) -> Option<[[f64; 2]; 5]> {
        let half = f64::from(CELL_E7 / 2) / 1e7;
        let corner = |east: f64, north: f64| {
            // Written with as many digits as places have.
            let round = |degrees: f64| (degrees * 1e7).round() / 1e7;
            [round(self.lon + east * half), round(self.lat + north * half)]
        };
        self.coarse.then(|| {
            let first = corner(-1.0, -1.0);
            [first, corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0), first]
        })
    }
}

/// The middle of the cell that a coordinate lies in.
fn centre(e7: i32) -> f64 {
    let west = i64::from(e7.div_euclid(CELL_E7)) * i64::from(CELL_E7);
    let middle = west + i64::from(CELL_E7 / 2);
    // Coordinates have nine digits at most, which are exact here.
    (middle as f64) / 1e7
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coarse(lat_e7: i64, lon_e7: i64) -> serde_json::Value {
        let position = Position::new(lat_e7, lon_e7).unwrap();
        serde_json::to_value(Place::new(&position, "message", Sight::Coarse)).unwrap()
    }

    #[test]
    fn cell_says_its_centre_and_how_far_it_reaches() {
        let expected = serde_json::json!({"lat": -7.965, "lon": 112.635, "radius_m": 790,
            "method": "unknown", "age_s": 0, "source": "message", "coarse": true});
        assert_eq!(coarse(-79_666_200, 1_126_326_000), expected);
        let position = Position::new(-79_666_200, 1_126_326_000).unwrap();
        let cell = Place::new(&position, "message", Sight::Coarse).cell().unwrap();
        let expected =
            [[112.63, -7.97], [112.64, -7.97], [112.64, -7.96], [112.63, -7.96], [112.63, -7.97]];
        assert_eq!(cell, expected);
        assert_eq!(Place::new(&position, "message", Sight::Exact).cell(), None);
    }

    proptest! {
        /// Whoever sees cells cannot tell two places in one cell apart.
        #[test]
        fn places_of_one_cell_look_alike(
            lat in -9_000..9_000_i32,
            lon in -18_000..18_000_i32,
            inside in prop::array::uniform4(0..CELL_E7),
        ) {
            let [lat_1, lon_1, lat_2, lon_2] = inside;
            let (lat, lon) = (lat * CELL_E7, lon * CELL_E7);
            let at = |lat_in, lon_in| coarse(i64::from(lat + lat_in), i64::from(lon + lon_in));
            prop_assert_eq!(at(lat_1, lon_1), at(lat_2, lon_2));
        }
    }
}
