//! The zones that travel with the gateway: a tree without gaps or overlaps, near enough to the real city.

#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::collections::BTreeMap;

use geo::{Area, Coord, Polygon};
use pipeline::{Risk, Zones};
use protocol::Position;
use serde_json::json;

const FILE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/zones/malang.geojson"));
/// Real boundaries, where the checkout has them. They are not part of the repository.
const REAL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/malang_kecamatan.geojson");
const POLSEK: [(&str, &str); 5] = [
    ("polsek-blimbing", "Blimbing"),
    ("polsek-klojen", "Klojen"),
    ("polsek-kedungkandang", "Kedungkandang"),
    ("polsek-sukun", "Sukun"),
    ("polsek-lowokwaru", "Lowokwaru"),
];

fn zones() -> Zones {
    Zones::from_geojson(FILE).unwrap()
}

/// Knuth's MMIX generator: enough to scatter points, the same ones on every machine.
struct Scatter(u64);

impl Scatter {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % bound).unwrap()
    }

    /// Somewhere in the rectangle around the city.
    fn position(&mut self) -> Position {
        Position::new(-80_550_000 + self.below(1_500_000), 1_125_600_000 + self.below(1_400_000))
            .unwrap()
    }
}

#[test]
fn five_polsek_stand_under_one_polres() {
    let zones = zones();
    let root = zones.get(zones.root()).unwrap();
    assert_eq!((root.id.as_str(), root.level.as_str()), ("polres-malang-kota", "polres"));
    assert_eq!(zones.len(), 6);
    let leaves: Vec<String> = zones.leaves().map(|leaf| zones.id(leaf).to_string()).collect();
    assert_eq!(leaves, POLSEK.map(|(id, _)| id.to_owned()));
    for leaf in zones.leaves() {
        assert!(zones.is_within(leaf, zones.root()));
        assert_eq!(zones.get(leaf).unwrap().level, "polsek");
    }
    let risk = |id| zones.get(zones.find(id).unwrap()).unwrap().risk;
    assert_eq!(risk("polsek-klojen"), Risk::High);
    assert_eq!(risk("polsek-kedungkandang"), Risk::Low);
    assert_eq!(risk("polsek-blimbing"), Risk::Medium, "where the file says nothing");
}

#[test]
fn neighbours_share_their_edges_so_that_one_outline_is_left() {
    let zones = zones();
    let rings = zones.leaves().flat_map(|leaf| zones.polygons(leaf).iter().map(Polygon::exterior));
    // Rings run anticlockwise, so an edge between neighbours is walked once in each direction.
    let edges: BTreeMap<Corner, Vec<Corner>> = rings
        .flat_map(|ring| ring.lines())
        .map(|edge| (corner(edge.start), corner(edge.end)))
        .fold(BTreeMap::new(), |mut edges, (from, to)| {
            edges.entry(from).or_insert_with(Vec::new).push(to);
            edges
        });
    let is_outer = |from: Corner, to: &Corner| !edges.get(to).is_some_and(|to| to.contains(&from));
    let mut outer: BTreeMap<Corner, Corner> = BTreeMap::new();
    for (from, to) in edges.iter().flat_map(|(from, all)| all.iter().map(move |to| (*from, to))) {
        if is_outer(from, to) {
            assert_eq!(outer.insert(from, *to), None, "outlines meet at {from:?}");
        }
    }
    let (first, mut at) = outer.pop_first().unwrap();
    let mut outline = vec![first, at];
    while at != first {
        at = outer.remove(&at).unwrap();
        outline.push(at);
    }
    assert!(outer.is_empty(), "a gap inside, or a second piece");

    let city = Zones::from_geojson(&as_zone(&outline)).unwrap();
    let sum: f64 = zones.leaves().map(|leaf| zones.polygons(leaf)[0].unsigned_area()).sum();
    let whole = city.polygons(city.root())[0].unsigned_area();
    assert!((whole / sum - 1.0).abs() < 1e-9, "zones overlap");
    let mut scatter = Scatter(1);
    for _ in 0..100_000 {
        let position = scatter.position();
        assert_eq!(zones.locate(&position).is_some(), city.locate(&position).is_some());
    }
}

/// A corner in 1e-7 degrees: longitude, latitude.
type Corner = (i64, i64);

#[expect(clippy::cast_possible_truncation, reason = "degrees on the globe fit")]
fn corner(at: Coord) -> Corner {
    ((at.x * 1e7).round() as i64, (at.y * 1e7).round() as i64)
}

/// A zones file of one zone.
fn as_zone(outline: &[Corner]) -> String {
    let points: Vec<[f64; 2]> =
        outline.iter().map(|(lon, lat)| [*lon as f64 / 1e7, *lat as f64 / 1e7]).collect();
    let properties = json!({"id": "city", "name": "City", "level": "city"});
    let geometry = json!({"type": "Polygon", "coordinates": [points]});
    let city = json!({"type": "Feature", "properties": properties, "geometry": geometry});
    json!({"type": "FeatureCollection", "features": [city]}).to_string()
}

/// Where no real boundaries are at hand, known places must do.
#[test]
fn known_places_lie_in_their_polsek() {
    let zones = zones();
    for (place, lat_e7, lon_e7, polsek) in [
        ("city hall", -79_778_000, 1_126_341_000, "polsek-klojen"),
        ("Ijen boulevard", -79_700_000, 1_126_240_000, "polsek-klojen"),
        ("Brawijaya University", -79_525_000, 1_126_140_000, "polsek-lowokwaru"),
        ("Arjosari bus station", -79_330_000, 1_126_580_000, "polsek-blimbing"),
        ("Gadang market", -80_240_000, 1_126_290_000, "polsek-sukun"),
        ("Buring hills", -80_080_000, 1_126_700_000, "polsek-kedungkandang"),
    ] {
        let position = Position::new(lat_e7, lon_e7).unwrap();
        let zone = zones.locate(&position).map(|zone| zones.id(zone).to_string());
        assert_eq!(zone.as_deref(), Some(polsek), "{place}");
    }
}

#[test]
fn at_least_97_of_100_real_places_fall_in_the_right_polsek() {
    let Ok(text) = std::fs::read_to_string(REAL) else {
        println!("no real boundaries at hand: checked by the other tests of this file alone");
        return;
    };
    let real = Zones::from_geojson(&as_zones(&text)).unwrap();
    let zones = zones();
    let mut scatter = Scatter(2);
    let (mut right, mut inside) = (0_u32, 0_u32);
    while inside < 100_000 {
        let position = scatter.position();
        let Some(kecamatan) = real.locate(&position) else { continue };
        inside += 1;
        let name = &real.get(kecamatan).unwrap().name;
        let wanted = POLSEK.iter().find(|(_, kecamatan)| kecamatan == name).unwrap().0;
        right += u32::from(
            zones.locate(&position).is_some_and(|zone| zones.id(zone).as_str() == wanted),
        );
    }
    let share = f64::from(right) / f64::from(inside);
    println!("{:.2} % of {inside} real places fall in the right polsek", share * 100.0);
    assert!(share >= 0.97, "{share}");
}

/// The kecamatan as a zones file: their properties are renamed, and a root is put above them.
fn as_zones(text: &str) -> String {
    let mut file: serde_json::Value = serde_json::from_str(text).unwrap();
    let features = file.get_mut("features").unwrap().as_array_mut().unwrap();
    for feature in features.iter_mut() {
        let properties = feature.get("properties").unwrap();
        let (code, name) = (properties["kode"].clone(), properties["nama"].clone());
        feature["properties"] =
            json!({"id": code, "name": name, "level": "kecamatan", "parent": "city"});
    }
    features.push(json!({
        "type": "Feature",
        "properties": {"id": "city", "name": "City", "level": "city"},
        "geometry": null
    }));
    file.to_string()
}
