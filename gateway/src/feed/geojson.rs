//! An event's data as a `Feature` of GeoJSON (RFC 7946): its place as geometry, everything that it says as properties.

use serde::Serialize;

use super::place::Place;

/// A thing that maps can show.
#[derive(Serialize)]
#[serde(tag = "type", rename = "Feature")]
pub(crate) struct Feature<'a, G: Serialize, T: Serialize> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    geometry: Option<G>,
    properties: &'a T,
}

/// Where it is: a place.
#[derive(Serialize)]
#[serde(tag = "type", content = "coordinates")]
pub(crate) enum Geometry {
    Point([f64; 2]),
    /// One ring.
    Polygon([[[f64; 2]; 5]; 1]),
}

impl<'a, T: Serialize> Feature<'a, Geometry, T> {
    /// What `properties` say, at `place` or in its cell.
    pub(crate) fn at(place: Option<&Place>, properties: &'a T) -> Self {
        let geometry = place.map(|place| match place.cell() {
            Some(cell) => Geometry::Polygon([cell]),
            None => Geometry::Point(place.lon_lat()),
        });
        Self::new(geometry, properties)
    }
}

impl<'a, G: Serialize, T: Serialize> Feature<'a, G, T> {
    /// What `properties` say, shown by `geometry`; what has no place is a feature without one (section 3.2).
    pub(super) fn new(geometry: Option<G>, properties: &'a T) -> Self {
        Self { id: None, geometry, properties }
    }

    /// The same, by a name of its own (section 3.2).
    pub(crate) fn named(self, id: &'a str) -> Self {
        Self { id: Some(id), ..self }
    }
}
