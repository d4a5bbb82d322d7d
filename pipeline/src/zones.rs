//! Zones: the tree of areas that alerts are routed to.

use std::fmt;
use std::sync::Arc;

use protocol::Position;

/// The name of a zone, as configuration, journal and feeds use it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(Arc<str>);

impl ZoneId {
    /// A zone id of this text.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(Arc::from(id))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A zone's place in its [`Zones`]; means nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneIndex(pub u16);

/// One area.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// Its name for people.
    pub name: String,
    /// `polsek`, `polres`, `polda` or another word for its rank.
    pub level: String,
    /// The zone above it; nothing for the root.
    pub parent: Option<ZoneIndex>,
}

/// One thing wrong with a zones file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ZoneProblem(pub String);

/// Every zone, and which of them a position lies in.
#[derive(Debug, Clone)]
pub struct Zones {
    zones: Vec<Zone>,
}

impl Zones {
    /// Reads zones from GeoJSON text.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn from_geojson(_text: &str) -> Result<Self, Vec<ZoneProblem>> {
        Err(vec![])
    }

    /// The zone above all others.
    #[must_use]
    pub fn root(&self) -> ZoneIndex {
        ZoneIndex(0)
    }

    /// The lowest zone that holds this position; nothing if it lies outside all of them.
    #[must_use]
    pub fn locate(&self, _position: &Position) -> Option<ZoneIndex> {
        None
    }

    /// The zone at this place.
    #[must_use]
    pub fn get(&self, index: ZoneIndex) -> Option<&Zone> {
        self.zones.get(usize::from(index.0))
    }

    /// The id of the zone at this place.
    #[must_use]
    pub fn id(&self, index: ZoneIndex) -> ZoneId {
        self.get(index).map_or_else(|| ZoneId::new(""), |zone| zone.id.clone())
    }

    /// The zone with this id.
    #[must_use]
    pub fn find(&self, _id: &str) -> Option<ZoneIndex> {
        None
    }

    /// Whether `zone` is `ancestor` or lies below it.
    #[must_use]
    pub fn is_within(&self, _zone: ZoneIndex, _ancestor: ZoneIndex) -> bool {
        false
    }
}
