//! What can be wrong with a zones file, each with its place and its remedy.
//!
//! A problem is a value that names where it is and what to do. A file is read to its end whatever it holds, so that
//! whoever mends it sees the whole list.

use std::fmt;

/// Where in the file a problem lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ZonePlace {
    /// The file as a whole.
    File,
    /// One feature.
    Feature {
        /// Counted from 0, in the order of the file.
        number: usize,
        /// Its `id` property, if it has a readable one.
        id: Option<String>,
    },
}

impl fmt::Display for ZonePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("zones file"),
            Self::Feature { number, id: None } => write!(f, "feature {number}"),
            Self::Feature { number, id: Some(id) } => write!(f, "feature {number} ({id})"),
        }
    }
}

/// What is wrong. The text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZoneFault {
    /// The text is not JSON.
    #[error("is not JSON ({0}): write a GeoJSON FeatureCollection")]
    NotJson(String),
    /// JSON, but not a FeatureCollection.
    #[error(
        "is not a GeoJSON FeatureCollection: give it \"type\": \"FeatureCollection\" and \"features\": [...]"
    )]
    NotFeatureCollection,
    /// There are no features.
    #[error("has no features: write at least one zone")]
    Empty,
    /// More zones than an index can hold.
    #[error("has {0} features, more than 65535: split it")]
    TooMany(usize),
    /// An element of `features` is not a Feature.
    #[error("is not a GeoJSON Feature: give it \"type\": \"Feature\"")]
    NotFeature,
    /// A property that every zone needs is absent.
    #[error("has no property \"{0}\": add it")]
    Missing(&'static str),
    /// A property is of the wrong type, empty, too long, or holds characters that lists and tables cannot carry.
    #[error("property \"{property}\" {remedy}")]
    Property {
        /// Its name.
        property: &'static str,
        /// What it must be.
        remedy: &'static str,
    },
    /// Two features have one id.
    #[error("has the id of feature {0}: give every zone its own id")]
    DuplicateId(usize),
    /// A zone names a parent that is not in the file.
    #[error("names the parent \"{0}\", which is not in the file: add it or correct the name")]
    UnknownParent(String),
    /// A zone is its own ancestor.
    #[error("is its own ancestor ({0}): correct one of these parents")]
    Cycle(String),
    /// No zone is without a parent.
    #[error("has no root: leave \"parent\" out of exactly one zone")]
    NoRoot,
    /// More than one zone is without a parent.
    #[error("has more than one root ({0}): give all of them but one a parent")]
    ManyRoots(String),
    /// A zone with nothing below it has no area.
    #[error(
        "has no zones below it and no geometry, so nothing could ever lie in it: draw a Polygon or MultiPolygon"
    )]
    NoArea,
    /// A geometry that is not an area, or not a geometry.
    #[error("geometry {0}: use a Polygon or a MultiPolygon")]
    NotArea(String),
    /// Something in the coordinates is not of the shape that it must have.
    #[error("{place} {remedy}")]
    Shape {
        /// Polygon, ring and point, counted from 0.
        place: String,
        /// What it must be.
        remedy: &'static str,
    },
    /// A coordinate that is not on the globe.
    #[error(
        "{place} [{lon}, {lat}] is off the globe: write longitude (-180 to 180), then latitude (-90 to 90), in degrees"
    )]
    OffGlobe {
        /// Polygon, ring and point, counted from 0.
        place: String,
        /// First number, as text.
        lon: String,
        /// Second number, as text.
        lat: String,
    },
    /// An edge that goes more than half around the world.
    #[error("{0} crosses the antimeridian: split the zone there (RFC 7946 section 3.1.9)")]
    Antimeridian(String),
    /// Rings that cross themselves or each other.
    #[error("{0}: redraw it so that rings are simple and holes lie inside")]
    Invalid(String),
}

/// One thing wrong with a zones file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct ZoneProblem {
    /// Where.
    pub place: ZonePlace,
    /// What, and what to do.
    pub fault: ZoneFault,
}
