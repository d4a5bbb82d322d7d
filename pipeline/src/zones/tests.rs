use geo::Intersects;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

pub(super) fn position(lat: f64, lon: f64) -> Position {
    #[expect(clippy::cast_possible_truncation, reason = "degrees on the globe fit")]
    let e7 = |degrees: f64| (degrees * 1e7).round() as i64;
    Position::new(e7(lat), e7(lon)).unwrap()
}

fn feature(properties: Value, geometry: Value) -> Value {
    json!({"type": "Feature", "properties": properties, "geometry": geometry})
}

pub(super) fn zone(id: &str, parent: Option<&str>, geometry: Value) -> Value {
    let mut properties = json!({"id": id, "name": id, "level": "polsek"});
    if let Some(parent) = parent {
        properties["parent"] = json!(parent);
    }
    feature(properties, geometry)
}

pub(super) fn polygon(rings: &[&[(f64, f64)]]) -> Value {
    let rings: Vec<Vec<[f64; 2]>> =
        rings.iter().map(|ring| ring.iter().map(|(x, y)| [*x, *y]).collect()).collect();
    json!({"type": "Polygon", "coordinates": rings})
}

pub(super) fn rectangle(west: f64, south: f64, east: f64, north: f64) -> Vec<(f64, f64)> {
    vec![(west, south), (east, south), (east, north), (west, north), (west, south)]
}

pub(super) fn read(features: &[Value]) -> Result<Zones, Vec<String>> {
    let text = json!({"type": "FeatureCollection", "features": features}).to_string();
    Zones::from_geojson(&text)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn problems(features: &[Value]) -> Vec<String> {
    read(features).unwrap_err()
}

/// Two squares side by side under a root without a drawing; the eastern one has a hole.
fn town() -> Zones {
    let hole = rectangle(112.625, -7.975, 112.635, -7.965);
    read(&[
        zone("town", None, Value::Null),
        zone("west", Some("town"), polygon(&[&rectangle(112.60, -8.0, 112.62, -7.95)])),
        zone("east", Some("town"), polygon(&[&rectangle(112.62, -8.0, 112.64, -7.95), &hole])),
    ])
    .unwrap()
}

fn located(zones: &Zones, lat: f64, lon: f64) -> Option<&str> {
    zones.locate(&position(lat, lon)).map(|index| zones.get(index).unwrap().id.as_str())
}

#[test]
fn finds_the_zone_around_a_position_and_nothing_outside() {
    let zones = town();
    assert_eq!(located(&zones, -7.96, 112.61), Some("west"));
    assert_eq!(located(&zones, -7.96, 112.638), Some("east"));
    assert_eq!(located(&zones, -7.97, 112.63), None, "in the hole");
    assert_eq!(located(&zones, -7.94, 112.61), None);
    assert_eq!(located(&zones, 51.5, 0.0), None);
    assert_eq!(located(&zones, 90.0, 180.0), None);
}

#[test]
fn outline_belongs_to_both_sides_and_the_first_id_wins() {
    let zones = town();
    assert_eq!(located(&zones, -7.97, 112.62), Some("east"), "shared by east and west");
    assert_eq!(located(&zones, -7.97, 112.6), Some("west"));
    assert_eq!(located(&zones, -7.97, 112.600_000_1), Some("west"));
    assert_eq!(located(&zones, -7.97, 112.599_999_9), None);
    assert_eq!(located(&zones, -8.0, 112.6), Some("west"), "a corner");
    assert_eq!(located(&zones, -7.97, 112.625), Some("east"), "the outline of a hole");
    assert_eq!(located(&zones, -7.97, 112.625_000_1), None);
}

#[test]
fn lowest_zone_wins_whatever_the_order_of_the_file() {
    let zones = read(&[
        zone("a-inner", Some("z-outer"), polygon(&[&rectangle(112.61, -7.98, 112.63, -7.96)])),
        zone("z-outer", None, polygon(&[&rectangle(112.60, -8.0, 112.64, -7.95)])),
    ])
    .unwrap();
    assert_eq!(located(&zones, -7.97, 112.62), Some("a-inner"));
    assert_eq!(located(&zones, -7.99, 112.62), Some("z-outer"));
    assert_eq!(zones.root(), zones.find("z-outer").unwrap());
}

#[test]
fn tree_is_answered_from_leaf_to_root() {
    let zones = town();
    let [town, west, east] = ["town", "west", "east"].map(|id| zones.find(id).unwrap());
    assert_eq!(zones.len(), 3);
    assert!(zones.is_within(west, town) && zones.is_within(west, west));
    assert!(!zones.is_within(west, east) && !zones.is_within(town, west));
    assert!(!zones.is_within(ZoneIndex(9), ZoneIndex(9)), "not a zone");
    assert_eq!(zones.upwards(east).collect::<Vec<_>>(), [east, town]);
    assert_eq!(zones.leaves().collect::<Vec<_>>(), [west, east]);
    assert_eq!(zones.find("nowhere"), None);
    assert!(zones.polygons(town).is_empty());
    assert_eq!(zones.polygons(east)[0].interiors().len(), 1);
}

#[test]
fn risk_is_medium_unless_the_file_says_otherwise_in_a_word_that_is_known() {
    let of = |risk: Value| {
        let mut feature = zone("a", None, polygon(&[&rectangle(0.0, 0.0, 1.0, 1.0)]));
        feature["properties"]["risk"] = risk;
        read(&[feature]).map(|zones| zones.get(zones.root()).unwrap().risk)
    };
    assert_eq!(of(Value::Null), Ok(Risk::Medium));
    for risk in Risk::ALL {
        assert_eq!(of(json!(risk.name())), Ok(*risk));
    }
    for wrong in [json!("High"), json!("extreme"), json!(3)] {
        let problems = of(wrong).unwrap_err();
        assert_eq!(problems, ["feature 0 (a): property \"risk\" must be low, medium or high"]);
    }
}

#[test]
fn very_small_and_very_large_zones_are_covered() {
    let zones = read(&[
        zone("world", None, polygon(&[&rectangle(-40.0, -80.0, 120.0, 80.0)])),
        zone("dot", Some("world"), polygon(&[&rectangle(112.6, -7.9, 112.600_001, -7.899_999)])),
    ])
    .unwrap();
    assert_eq!(located(&zones, -7.899_999_5, 112.600_000_5), Some("dot"));
    assert_eq!(located(&zones, -7.899_998_5, 112.600_000_5), Some("world"));
    assert_eq!(located(&zones, 79.999_999_9, -39.999_999_9), Some("world"));
    assert_eq!(located(&zones, 80.000_000_1, 0.0), None);
}

#[test]
fn reports_every_problem_at_once_with_its_feature_and_remedy() {
    let open = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
    let bow = [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)];
    let wide = rectangle(-179.0, 0.0, 179.0, 1.0);
    let listed = problems(&[
        zone("root", None, Value::Null),
        feature(json!({"id": "no name", "level": 7}), polygon(&[&rectangle(0.0, 0.0, 1.0, 1.0)])),
        zone("open", Some("root"), polygon(&[&open])),
        zone("open", Some("nobody"), polygon(&[&open[..3]])),
        zone("bow", Some("root"), polygon(&[&bow])),
        zone("swapped", Some("root"), polygon(&[&rectangle(-7.9, 112.6, -7.8, 112.7)])),
        zone("wide", Some("root"), polygon(&[&wide])),
        zone("bare", Some("root"), Value::Null),
        zone("point", Some("root"), json!({"type": "Point", "coordinates": [0, 0]})),
        zone("egg", Some("hen"), Value::Null),
        zone("hen", Some("egg"), Value::Null),
        json!(12),
    ]);
    let expected = [
        "zones file: has more than one root (root, feature 1, feature 11): \
         give all of them but one a parent",
        "feature 1: property \"id\" must be at most 64 of the characters a-z A-Z 0-9 - _ and .",
        "feature 1: has no property \"name\": add it",
        "feature 1: property \"level\" is not text: put it in quotes",
        "feature 2 (open): polygon 0 ring 0 is not closed: repeat its first point at the end",
        "feature 3 (open): polygon 0 ring 0 has fewer than 4 points: a triangle has 4, the first \
         repeated at the end",
        "feature 3 (open): polygon 0 ring 0 is not closed: repeat its first point at the end",
        "feature 3 (open): has the id of feature 2: give every zone its own id",
        "feature 3 (open): names the parent \"nobody\", which is not in the file: add it or \
         correct the name",
        "feature 4 (bow): polygon at index 0 is invalid: exterior ring has a self-intersection: \
         redraw it so that rings are simple and holes lie inside",
        "feature 5 (swapped): polygon 0 ring 0 point 0 [-7.9, 112.6] is off the globe: write \
         longitude (-180 to 180), then latitude (-90 to 90), in degrees",
        "feature 6 (wide): polygon 0 ring 0 crosses the antimeridian: split the zone there \
         (RFC 7946 section 3.1.9)",
        "feature 7 (bare): has no zones below it and no geometry, so nothing could ever lie in \
         it: draw a Polygon or MultiPolygon",
        "feature 8 (point): geometry is a Point: use a Polygon or a MultiPolygon",
        "feature 9 (egg): is its own ancestor (egg -> hen -> egg): correct one of these parents",
        "feature 11: is not a GeoJSON Feature: give it \"type\": \"Feature\"",
        "feature 11: has no property \"id\": add it",
    ];
    for line in expected {
        assert!(listed.iter().any(|problem| problem == line), "not reported: {line}\n{listed:#?}");
    }
    let cycles = listed.iter().filter(|problem| problem.contains("its own ancestor")).count();
    assert_eq!(cycles, 1, "a cycle is told once");
}

#[test]
fn refuses_files_that_hold_no_zones() {
    for (text, told) in [
        ("", "zones file: is not JSON"),
        ("[]", "zones file: is not a GeoJSON FeatureCollection"),
        (r#"{"type": "FeatureCollection"}"#, "zones file: is not a GeoJSON FeatureCollection"),
        (r#"{"type": "FeatureCollection", "features": []}"#, "zones file: has no features"),
    ] {
        let problems = Zones::from_geojson(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}");
        assert!(problems[0].to_string().starts_with(told), "{}", problems[0]);
    }
    let egg = zone("egg", Some("egg"), Value::Null);
    assert!(problems(&[egg])[0].starts_with("zones file: has no root"));
}

#[test]
fn refuses_holes_outside_and_parts_that_overlap() {
    let big = rectangle(0.0, 0.0, 1.0, 1.0);
    let stray = polygon(&[&big, &rectangle(2.0, 2.0, 3.0, 3.0)]);
    assert!(problems(&[zone("a", None, stray)])[0].contains("is not contained within"));
    let ring = json!([[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]);
    let twice = json!({"type": "MultiPolygon", "coordinates": [ring, ring]});
    assert!(problems(&[zone("a", None, twice)])[0].contains("overlap"));
}

#[test]
fn can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Zones>();
}

/// What `locate` must say: the same rule, tried on every zone without an index.
fn oracle(zones: &Zones, position: &Position) -> Option<ZoneIndex> {
    let place = Coord { x: position.lon(), y: position.lat() };
    let drawn_around =
        |index: &ZoneIndex| zones.polygons(*index).iter().any(|polygon| polygon.intersects(&place));
    zones.iter().map(|(index, _)| index).filter(drawn_around).min_by_key(|index| {
        let depth = zones.upwards(*index).count();
        (std::cmp::Reverse(depth), zones.get(*index).unwrap().id.clone())
    })
}

/// A star around a centre: simple whatever the radii are.
pub(super) fn star(lon: f64, lat: f64, radii: &[f64]) -> Vec<(f64, f64)> {
    let step = std::f64::consts::TAU / radii.len() as f64;
    let mut ring: Vec<(f64, f64)> = radii
        .iter()
        .enumerate()
        .map(|(corner, radius)| {
            let angle = step * corner as f64;
            (lon + radius * angle.cos(), lat + radius * angle.sin())
        })
        .collect();
    ring.push(ring[0]);
    ring
}

pub(super) fn stars() -> impl Strategy<Value = Vec<(f64, f64, Vec<f64>)>> {
    // Sizes from 100 m to 50 km, so that every resolution is met.
    let radii = (-3.0..-0.3_f64).prop_flat_map(|log_size| {
        let size = 10_f64.powf(log_size);
        prop::collection::vec(0.1 * size..size, 3..12)
    });
    prop::collection::vec((112.0..113.0_f64, -8.5..-7.5_f64, radii), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn locate_says_what_plain_geometry_says(
        stars in stars(),
        anywhere in prop::collection::vec((111.4..113.6_f64, -9.1..-6.9_f64), 200),
        near in prop::collection::vec((0..99_usize, 0..99_usize, 0.0..1.0_f64, -30..30_i64), 400),
    ) {
        let features: Vec<Value> = stars
            .iter()
            .enumerate()
            .map(|(number, (lon, lat, radii))| {
                let id = format!("zone-{}", 9 - number);
                let parent = (number > 0).then(|| format!("zone-{}", 10 - number));
                zone(&id, parent.as_deref(), polygon(&[&star(*lon, *lat, radii)]))
            })
            .collect();
        let zones = read(&features).unwrap();
        for (lon, lat) in anywhere {
            let position = position(lat, lon);
            prop_assert_eq!(zones.locate(&position), oracle(&zones, &position));
        }
        for (zone, edge, along, off_e7) in near {
            let polygons = zones.polygons(ZoneIndex(u16::try_from(zone % zones.len()).unwrap()));
            let edges: Vec<_> = polygons[0].exterior().lines().collect();
            let edge = edges[edge % edges.len()];
            let place = edge.start + edge.delta() * along;
            let off = off_e7 as f64 / 1e7;
            let position = position(place.y + off, place.x - off);
            prop_assert_eq!(zones.locate(&position), oracle(&zones, &position));
        }
    }

    #[test]
    fn scribbled_rings_are_read_or_refused_but_never_panic(
        rings in prop::collection::vec(prop::collection::vec((-5..5_i8, -5..5_i8), 0..9), 0..4),
    ) {
        let rings: Vec<Vec<(f64, f64)>> = rings
            .iter()
            .map(|ring| {
                let closed = ring.iter().chain(ring.first());
                closed.map(|(x, y)| (f64::from(*x), f64::from(*y))).collect()
            })
            .collect();
        let rings: Vec<&[(f64, f64)]> = rings.iter().map(Vec::as_slice).collect();
        let outcome = read(&[zone("scribble", None, polygon(&rings))]);
        if let Err(problems) = outcome {
            prop_assert!(!problems.is_empty());
        }
    }
}
