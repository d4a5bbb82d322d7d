//! GeoJSON (RFC 7946) text to drafts of zones: the first pass over a zones file.
//!
//! It is given text and yields one draft for each feature and every problem of shape: properties that are absent or
//! unfit, coordinates that are not rings of points on the globe. It knows nothing of the tree and does not judge whether
//! rings cross. Members that it does not know are passed over, as the RFC asks.

use geo::{Coord, LineString, MultiPolygon, Polygon};
use serde_json::{Map, Value};

use crate::Risk;

use super::problem::{ZoneFault, ZonePlace, ZoneProblem};

/// Longest id, in bytes.
const ID_LEN_MAX: usize = 64;
/// Longest name and level, in bytes.
const NAME_LEN_MAX: usize = 200;
/// Problems that are listed for one feature's coordinates; a file in another projection has one for each point.
const POINT_PROBLEMS_MAX: usize = 8;
/// Points of the shortest ring: a triangle, its first point repeated at the end.
const RING_LEN_MIN: usize = 4;

/// A feature as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) number: usize,
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) level: String,
    pub(super) parent: Option<String>,
    pub(super) risk: Risk,
    pub(super) area: Area,
}

/// The geometry of a feature.
#[derive(Debug)]
pub(super) enum Area {
    /// `null` or absent.
    Absent,
    /// There is one, and its problems are listed.
    Unreadable,
    /// Closed rings of points on the globe, otherwise unchecked.
    Drawn(MultiPolygon),
}

impl Draft {
    pub(super) fn place(&self) -> ZonePlace {
        ZonePlace::Feature { number: self.number, id: self.id.clone() }
    }
}

/// Reads every feature. Problems of the file as a whole leave no drafts.
pub(super) fn read(text: &str, problems: &mut Vec<ZoneProblem>) -> Vec<Draft> {
    match features(text) {
        Ok(features) => features
            .iter()
            .enumerate()
            .map(|(number, feature)| Reader { number, id: None, problems }.feature(feature))
            .collect(),
        Err(fault) => {
            problems.push(ZoneProblem { place: ZonePlace::File, fault });
            Vec::new()
        }
    }
}

fn features(text: &str) -> Result<Vec<Value>, ZoneFault> {
    let file: Value =
        serde_json::from_str(text).map_err(|error| ZoneFault::NotJson(error.to_string()))?;
    if file.get("type").and_then(Value::as_str) != Some("FeatureCollection") {
        return Err(ZoneFault::NotFeatureCollection);
    }
    match file.get("features") {
        Some(Value::Array(features)) if features.is_empty() => Err(ZoneFault::Empty),
        Some(Value::Array(features)) if features.len() > usize::from(u16::MAX) => {
            Err(ZoneFault::TooMany(features.len()))
        }
        Some(Value::Array(features)) => Ok(features.clone()),
        _ => Err(ZoneFault::NotFeatureCollection),
    }
}

/// Reads one feature and collects what is wrong with it.
struct Reader<'a> {
    number: usize,
    id: Option<String>,
    problems: &'a mut Vec<ZoneProblem>,
}

impl Reader<'_> {
    fn problem(&mut self, fault: ZoneFault) {
        let place = ZonePlace::Feature { number: self.number, id: self.id.clone() };
        self.problems.push(ZoneProblem { place, fault });
    }

    fn feature(mut self, feature: &Value) -> Draft {
        if feature.get("type").and_then(Value::as_str) != Some("Feature") {
            self.problem(ZoneFault::NotFeature);
        }
        let empty = Map::new();
        let properties = feature.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        self.id = self.id(properties);
        let name = self.text(properties, "name").unwrap_or_default();
        let level = self.text(properties, "level").unwrap_or_default();
        let parent = match properties.get("parent") {
            None | Some(Value::Null) => None,
            Some(_) => self.text(properties, "parent"),
        };
        let area = match feature.get("geometry") {
            None | Some(Value::Null) => Area::Absent,
            Some(geometry) => self.area(geometry).map_or(Area::Unreadable, Area::Drawn),
        };
        let risk = self.risk(properties);
        Draft { number: self.number, id: self.id, name, level, parent, risk, area }
    }

    fn id(&mut self, properties: &Map<String, Value>) -> Option<String> {
        let id = self.text(properties, "id")?;
        let fits = id.len() <= ID_LEN_MAX
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if fits {
            return Some(id);
        }
        self.problem(ZoneFault::Property {
            property: "id",
            remedy: "must be at most 64 of the characters a-z A-Z 0-9 - _ and .",
        });
        None
    }

    /// Like most, unless the file says otherwise.
    fn risk(&mut self, properties: &Map<String, Value>) -> Risk {
        let stated = match properties.get("risk") {
            None | Some(Value::Null) => return Risk::default(),
            Some(stated) => stated.as_str().and_then(Risk::from_name),
        };
        stated.unwrap_or_else(|| {
            let remedy = "must be low, medium or high";
            self.problem(ZoneFault::Property { property: "risk", remedy });
            Risk::default()
        })
    }

    fn text(&mut self, properties: &Map<String, Value>, property: &'static str) -> Option<String> {
        let fault = match properties.get(property) {
            None | Some(Value::Null) => ZoneFault::Missing(property),
            Some(Value::String(text)) if text.trim().is_empty() => {
                ZoneFault::Property { property, remedy: "is empty: write some text" }
            }
            Some(Value::String(text)) if text.len() > NAME_LEN_MAX => {
                ZoneFault::Property { property, remedy: "is longer than 200 bytes: shorten it" }
            }
            Some(Value::String(text)) => return Some(text.clone()),
            Some(_) => ZoneFault::Property { property, remedy: "is not text: put it in quotes" },
        };
        self.problem(fault);
        None
    }

    fn area(&mut self, geometry: &Value) -> Option<MultiPolygon> {
        let coordinates = geometry.get("coordinates");
        let polygons = match (geometry.get("type").and_then(Value::as_str), coordinates) {
            (Some("Polygon"), Some(polygon)) => vec![polygon],
            (Some("MultiPolygon"), Some(Value::Array(polygons))) => polygons.iter().collect(),
            (Some("Polygon" | "MultiPolygon"), _) => {
                self.problem(ZoneFault::NotArea("has no coordinates".to_owned()));
                return None;
            }
            (Some(other), _) => {
                self.problem(ZoneFault::NotArea(format!("is a {other}")));
                return None;
            }
            (None, _) => {
                self.problem(ZoneFault::NotArea("has no type".to_owned()));
                return None;
            }
        };
        if polygons.is_empty() {
            self.problem(ZoneFault::NotArea("is empty".to_owned()));
            return None;
        }
        let read = polygons.iter().enumerate().map(|(index, polygon)| self.polygon(index, polygon));
        // Every polygon is read before any of them may fail, so that all problems are listed.
        read.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>().map(MultiPolygon::new)
    }

    fn polygon(&mut self, index: usize, polygon: &Value) -> Option<Polygon> {
        let Some(rings) = polygon.as_array().filter(|rings| !rings.is_empty()) else {
            let place = format!("polygon {index}");
            self.problem(ZoneFault::Shape { place, remedy: "must be a list of rings" });
            return None;
        };
        let rings = rings.iter().enumerate();
        let rings: Vec<_> = rings
            .map(|(ring, points)| self.ring(&format!("polygon {index} ring {ring}"), points))
            .collect();
        let mut rings = rings.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
        let exterior = rings.next()?;
        Some(Polygon::new(exterior, rings.collect()))
    }

    fn ring(&mut self, place: &str, points: &Value) -> Option<LineString> {
        let Some(points) = points.as_array() else {
            let place = place.to_owned();
            self.problem(ZoneFault::Shape { place, remedy: "must be a list of points" });
            return None;
        };
        let mut faults = Vec::new();
        let mut coords: Vec<Coord> = Vec::with_capacity(points.len());
        for (index, point) in points.iter().enumerate() {
            match read_point(&format!("{place} point {index}"), point) {
                Ok(coord) => coords.push(coord),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            faults.extend(ring_faults(place, &coords));
        }
        let sound = faults.is_empty();
        faults.into_iter().take(POINT_PROBLEMS_MAX).for_each(|fault| self.problem(fault));
        sound.then(|| LineString::new(coords))
    }
}

fn read_point(place: &str, point: &Value) -> Result<Coord, ZoneFault> {
    let numbers = point.as_array().map(Vec::as_slice).unwrap_or_default();
    let (Some(lon), Some(lat)) =
        (numbers.first().and_then(Value::as_f64), numbers.get(1).and_then(Value::as_f64))
    else {
        let remedy = "must be [longitude, latitude]";
        return Err(ZoneFault::Shape { place: place.to_owned(), remedy });
    };
    if !(-180.0..=180.0).contains(&lon) || !(-90.0..=90.0).contains(&lat) {
        let (lon, lat) = (lon.to_string(), lat.to_string());
        return Err(ZoneFault::OffGlobe { place: place.to_owned(), lon, lat });
    }
    Ok(Coord { x: lon, y: lat })
}

fn ring_faults(place: &str, coords: &[Coord]) -> Vec<ZoneFault> {
    let mut faults = Vec::new();
    let mut shape = |remedy| faults.push(ZoneFault::Shape { place: place.to_owned(), remedy });
    if coords.len() < RING_LEN_MIN {
        shape("has fewer than 4 points: a triangle has 4, the first repeated at the end");
    }
    if coords.first() != coords.last() {
        shape("is not closed: repeat its first point at the end");
    }
    let wraps = |pair: &[Coord]| matches!(pair, [from, to] if (from.x - to.x).abs() > 180.0);
    if coords.windows(2).any(wraps) {
        faults.push(ZoneFault::Antimeridian(place.to_owned()));
    }
    faults
}
