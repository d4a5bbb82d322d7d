//! Which zones are near: the same as plain geometry says, wherever it is asked.

use geo::{Distance, Euclidean, LineString, MapCoords, Point};
use proptest::prelude::*;
use serde_json::Value;

use super::tests::{polygon, position, read, rectangle, star, stars, zone};
use super::*;
use crate::admission::{EARTH_M, Spot};

fn near(zones: &Zones, lat: f64, lon: f64, reach_m: u32) -> Vec<String> {
    let near = zones.near(&position(lat, lon), reach_m);
    near.into_iter().map(|zone| zones.id(zone).to_string()).collect()
}

/// A district of two quarters, one with a market in it, beside a district that is not divided.
fn city() -> Zones {
    read(&[
        zone("city", None, Value::Null),
        zone("old", Some("city"), polygon(&[&rectangle(112.60, -8.0, 112.64, -7.95)])),
        zone("old-west", Some("old"), polygon(&[&rectangle(112.60, -8.0, 112.62, -7.95)])),
        zone("old-east", Some("old"), polygon(&[&rectangle(112.62, -8.0, 112.64, -7.95)])),
        zone("market", Some("old-east"), polygon(&[&rectangle(112.63, -7.98, 112.632, -7.978)])),
        zone("new", Some("city"), polygon(&[&rectangle(112.64, -8.0, 112.66, -7.95)])),
    ])
    .unwrap()
}

#[test]
fn across_a_border_are_the_lowest_zones_and_never_the_own_or_those_above() {
    let zones = city();
    // A thousandth of a degree of longitude is 110 m here.
    assert_eq!(near(&zones, -7.96, 112.61, 500), [""; 0]);
    assert_eq!(near(&zones, -7.96, 112.6195, 100), ["old-east"]);
    assert_eq!(near(&zones, -7.96, 112.6205, 100), ["old-west"]);
    assert_eq!(near(&zones, -7.96, 112.6395, 100), ["new"], "a neighbour that is not divided");
    assert_eq!(near(&zones, -7.96, 112.6405, 100), ["old-east"], "and from there");
    assert_eq!(near(&zones, -7.979, 112.6295, 100), ["market"], "below the own");
    assert_eq!(near(&zones, -7.979, 112.6305, 100), [""; 0], "the one above is asked in its turn");
    assert_eq!(near(&zones, -7.96, 112.62, 0), ["old-west"], "on the line itself");
}

#[test]
fn the_nearest_come_first_and_distances_are_on_the_ground() {
    let zones = city();
    assert_eq!(near(&zones, -7.96, 112.615, 5_000), ["old-east", "market", "new"]);
    let north = |metres: f64| -7.95 + (metres / EARTH_M).to_degrees();
    assert_eq!(near(&zones, north(99.9), 112.61, 100), ["old-west"], "outside every zone");
    assert_eq!(near(&zones, north(100.1), 112.61, 100), [""; 0]);
    let east =
        |metres: f64| 112.66 + (metres / EARTH_M / (-7.96_f64).to_radians().cos()).to_degrees();
    assert_eq!(near(&zones, -7.96, east(1_999.0), 2_000), ["new"]);
    assert_eq!(near(&zones, -7.96, east(2_001.0), 2_000), [""; 0]);
    let (here, there) = (position(-7.96, 112.66), position(-7.96, east(1_999.0)));
    assert!(Spot::of(&here).is_within(Spot::of(&there), 2_000), "as others measure it");
}

#[test]
fn borders_are_near_across_the_date_line_and_at_the_poles() {
    let zones = read(&[
        zone("sea", None, Value::Null),
        zone("west", Some("sea"), polygon(&[&rectangle(179.0, -17.0, 180.0, -16.0)])),
        zone("east", Some("sea"), polygon(&[&rectangle(-180.0, -17.0, -179.0, -16.0)])),
        zone("pole", Some("sea"), polygon(&[&rectangle(-90.0, 89.0, 90.0, 90.0)])),
    ]);
    let zones = zones.unwrap();
    assert_eq!(near(&zones, -16.5, 179.9995, 100), ["east"]);
    assert_eq!(near(&zones, -16.5, -179.9995, 100), ["west"]);
    assert_eq!(near(&zones, 88.9995, 3.0, 100), ["pole"]);
}

#[test]
fn however_many_are_near_a_bounded_number_is_told() {
    let mut features = vec![zone("town", None, Value::Null)];
    for number in 0..40 {
        let west = 112.0 + 0.001 * f64::from(number);
        let ring = rectangle(west, -8.0, west + 0.001, -7.99);
        features.push(zone(&format!("strip-{number}"), Some("town"), polygon(&[&ring])));
    }
    let zones = read(&features).unwrap();
    let told = near(&zones, -7.995, 112.0205, 7_000);
    assert_eq!(told.len(), NEAR_MAX);
    assert_eq!(told[..3], ["strip-19", "strip-21", "strip-18"]);
}

/// How far each zone's outline is, by geo on a plane of metres, without an index.
fn distances(zones: &Zones, position: &Position) -> Vec<(ZoneIndex, f64)> {
    let degree = 1_f64.to_radians() * EARTH_M;
    let shrunk = degree * position.lat().to_radians().cos();
    let flat = |ring: &LineString| {
        let metres = ring.map_coords(|place| Coord {
            x: (place.x - position.lon()) * shrunk,
            y: (place.y - position.lat()) * degree,
        });
        Euclidean.distance(&Point::new(0.0, 0.0), &metres)
    };
    let of_zone = |zone| {
        let polygons = zones.polygons(zone).iter();
        let rings = polygons.flat_map(|one| std::iter::once(one.exterior()).chain(one.interiors()));
        rings.map(flat).min_by(f64::total_cmp).map(|metres| (zone, metres))
    };
    zones.iter().filter_map(|(zone, _)| of_zone(zone)).collect()
}

/// What `near` must say: the rule, tried on every zone.
fn oracle(zones: &Zones, position: &Position, reach_m: u32) -> Vec<ZoneIndex> {
    let here = zones.locate(position).unwrap_or(zones.root());
    let mut within: Vec<_> = distances(zones, position)
        .into_iter()
        .filter(|(zone, metres)| *metres <= f64::from(reach_m) && !zones.is_within(here, *zone))
        .collect();
    let all = within.clone();
    within.retain(|(zone, metres)| {
        let mut below =
            all.iter().filter(|(other, _)| other != zone && zones.is_within(*other, *zone));
        !below.any(|(_, other)| *other <= metres + 1.0)
    });
    within.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    within.into_iter().map(|(zone, _)| zone).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn near_says_what_plain_geometry_says(
        stars in stars(),
        parents in prop::collection::vec(0..9_usize, 9),
        anywhere in prop::collection::vec((111.4..113.6_f64, -9.1..-6.9_f64, 0..30_000_u32), 100),
        beside in prop::collection::vec(
            (0..99_usize, 0..99_usize, 0.0..1.0_f64, -300_000..300_000_i64, 0..7_000_u32), 300
        ),
    ) {
        let mut features = vec![zone("root", None, Value::Null)];
        for (number, (lon, lat, radii)) in stars.iter().enumerate() {
            let parent = match parents[number] % (number + 1) {
                0 => "root".to_owned(),
                other => format!("zone-{}", other - 1),
            };
            let ring = star(*lon, *lat, radii);
            features.push(zone(&format!("zone-{number}"), Some(&parent), polygon(&[&ring])));
        }
        let zones = read(&features).unwrap();
        let anywhere = anywhere.into_iter().map(|(lon, lat, reach)| (position(lat, lon), reach));
        let beside = beside.into_iter().map(|(zone, edge, along, off_e7, reach)| {
            let index = ZoneIndex(u16::try_from(1 + zone % stars.len()).unwrap());
            let edges: Vec<_> = zones.polygons(index)[0].exterior().lines().collect();
            let edge = edges[edge % edges.len()];
            let place = edge.start + edge.delta() * along;
            let off = off_e7 as f64 / 1e7;
            (position(place.y + off, place.x - off), reach)
        });
        for (position, reach) in anywhere.chain(beside) {
            // What lies within a thousandth of a millimetre of the reach may fall on either side.
            let close = |(_, metres): &(_, f64)| (metres - f64::from(reach)).abs() < 1e-6;
            if !distances(&zones, &position).iter().any(close) {
                prop_assert_eq!(zones.near(&position, reach), oracle(&zones, &position, reach));
            }
        }
    }
}
