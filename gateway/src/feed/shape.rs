//! What the events of a stream look like: which view of the city, written in which format, with places how exact.
//!
//! Streams of one shape share every encoded byte; each shape that somebody listens to is encoded once. A shape never
//! decides which events a stream has: that is the token's, and cursors mean the same in every shape.

use serde::Deserialize;

use crate::registry::Sight;

/// What a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Every alert and every decision.
    #[default]
    Alerts,
    /// What incidents they come to.
    Incidents,
}

/// How an event's data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object, flat.
    #[default]
    Json,
    /// A `Feature` of GeoJSON (RFC 7946) with the same object as its properties.
    Geojson,
    /// A document of the Common Alerting Protocol (CAP 1.2) for each alert; of decisions only for who moves
    /// or has gone quiet, and nothing for notices.
    Cap,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Json, Self::Geojson, Self::Cap];

    /// The format with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The name that queries and metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Geojson => "geojson",
            Self::Cap => "cap",
        }
    }
}

/// One way to encode the journal's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// What is shown.
    pub view: View,
    /// How it is written.
    pub format: Format,
    /// How exactly places are shown.
    pub sight: Sight,
}
