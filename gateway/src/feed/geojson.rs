//! An event's data as a `Feature` of GeoJSON (RFC 7946): its place as geometry, everything that it says as properties.

use serde::Serialize;

use super::place::Place;

/// A thing that maps can show.
#[derive(Serialize)]
#[serde(tag = "type", rename = "Feature")]
pub(crate) struct Feature<'a, T: Serialize, G: Serialize = Geometry> {
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

impl<'a, T: Serialize> Feature<'a, T> {
    /// What `properties` say, at `place` or in its cell.
    pub(crate) fn new(place: Option<&Place>, properties: &'a T) -> Self {
        let geometry = place.map(|place| match place.cell() {
            Some(cell) => Geometry::Polygon([cell]),
            None => Geometry::Point(place.lon_lat()),
        });
        Self::over(geometry, properties)
    }
}

impl<'a, T: Serialize, G: Serialize> Feature<'a, T, G> {
    /// What `properties` say, over `geometry`; what has no place is a feature without one (section 3.2).
    pub(crate) fn over(geometry: Option<G>, properties: &'a T) -> Self {
        Self { id: None, geometry, properties }
    }

    /// The same, by a name of its own (section 3.2).
    pub(crate) fn named(self, id: &'a str) -> Self {
        Self { id: Some(id), ..self }
    }
}
