//! An event's data as a `Feature` of GeoJSON (RFC 7946): its place as geometry, everything that it says as properties.

use serde::Serialize;

use super::event::Place;

/// A thing that maps can show.
#[derive(Serialize)]
#[serde(tag = "type", rename = "Feature")]
pub(super) struct Feature<'a, T: Serialize> {
    geometry: Option<Geometry>,
    properties: &'a T,
}

/// Where it is.
#[derive(Serialize)]
#[serde(tag = "type", content = "coordinates")]
enum Geometry {
    Point([f64; 2]),
}

impl<'a, T: Serialize> Feature<'a, T> {
    /// What `properties` say, at `place`; what has no place is a feature without geometry (section 3.2).
    pub(super) fn new(place: Option<&Place>, properties: &'a T) -> Self {
        Self { geometry: place.map(|place| Geometry::Point(place.lon_lat())), properties }
    }
}
