//! Zones: the tree of areas that alerts are routed to, and which of them a position lies in.
//!
//! A zones file is GeoJSON: one feature for each zone, with the properties `id`, `name`, `level` and, except on the one
//! root, `parent`; it may have a `risk`. A zone that has zones below it may go without a geometry; it then is all of them
//! together. Reading either yields [`Zones`] that cannot be wrong or every problem of the file.
//!
//! A position belongs to the lowest zone that is drawn around it. An outline belongs to the zones on both of its sides;
//! between zones of one depth the lexicographically first id is taken, so that every gateway answers alike. Zones that
//! are near without holding it are told too; how near is in metres on the ground.

mod border;
mod check;
mod cover;
mod grid;
mod parse;
mod problem;

use std::fmt;
use std::sync::Arc;

use geo::coordinate_position::{CoordPos, CoordinatePosition};
use geo::{BoundingRect, Coord, MultiPolygon, Polygon, Rect};
use protocol::Position;

use crate::Risk;
use border::Borders;
use cover::Cover;
use parse::{Area, Draft};
pub use problem::{ZoneFault, ZonePlace, ZoneProblem};

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

/// Zones that are told to be near, the nearest first: more than meet in any town, and few enough for every record.
const NEAR_MAX: usize = 16;

/// Outlines of a zone and of one below it that are drawn along the same line are no further apart, in metres.
const SAME_LINE_M: f64 = 1.0;

/// A zone's place in its [`Zones`]; means nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneIndex(pub u16);

/// One area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// Its name for people.
    pub name: String,
    /// `polsek`, `polres`, `polda` or another word for its rank.
    pub level: String,
    /// The zone above it; nothing for the root.
    pub parent: Option<ZoneIndex>,
    /// How dangerous it is.
    pub risk: Risk,
}

/// Every zone, and which of them a position lies in.
#[derive(Debug, Clone)]
pub struct Zones {
    zones: Vec<Zone>,
    /// What is drawn, by zone; empty where a zone is only the zones below it.
    drawn: Vec<Drawn>,
    /// Sorted by id.
    by_id: Vec<ZoneIndex>,
    /// The deepest first, zones of one depth in order of their ids.
    by_preference: Vec<ZoneIndex>,
    root: ZoneIndex,
    cover: Cover,
    borders: Borders,
}

/// A zone's area, with what the exact test wants to know first.
#[derive(Debug, Clone)]
struct Drawn {
    area: MultiPolygon,
    bounds: Vec<Option<Rect>>,
}

impl Zones {
    /// Reads zones from GeoJSON text.
    ///
    /// # Errors
    /// Every problem of the file at once: those of the file as a whole first, then by feature.
    pub fn from_geojson(text: &str) -> Result<Self, Vec<ZoneProblem>> {
        let mut problems = Vec::new();
        let drafts = parse::read(text, &mut problems);
        check::check(&drafts, &mut problems);
        if problems.is_empty() {
            Ok(Self::build(drafts))
        } else {
            problems.sort_by_key(|problem| match problem.place {
                ZonePlace::File => None,
                ZonePlace::Feature { number, .. } => Some(number),
            });
            Err(problems)
        }
    }

    /// The zone above all others.
    #[must_use]
    pub fn root(&self) -> ZoneIndex {
        self.root
    }

    /// The lowest zone that holds this position; nothing if it lies outside all of them.
    ///
    /// An outline is part of its zone. Between zones of one depth the lexicographically first id is taken.
    #[must_use]
    pub fn locate(&self, position: &Position) -> Option<ZoneIndex> {
        let holds = |zone| self.drawn(zone).is_some_and(|drawn| drawn.holds(position));
        let candidates = self.cover.candidates(position);
        candidates
            .iter()
            .find(|candidate| candidate.certain || holds(candidate.zone))
            .map(|candidate| candidate.zone)
    }

    /// The other zones whose outline comes within `reach_m` metres of this position, the nearest first.
    ///
    /// Neither the zone that holds the position nor those above it: they are asked in their turn. Where a zone below
    /// another is as near, it stands for both. A position outside every zone counts as held by the root.
    #[must_use]
    pub fn near(&self, position: &Position, reach_m: u32) -> Vec<ZoneIndex> {
        let mut near = self.borders.near(position, reach_m);
        if near.is_empty() {
            return Vec::new();
        }
        let here = self.locate(position).unwrap_or(self.root);
        near.retain(|(zone, _)| !self.is_within(here, *zone));
        let stands_for = |(zone, metres): &(ZoneIndex, f64), (above, far): &(ZoneIndex, f64)| {
            zone != above && *metres <= far + SAME_LINE_M && self.is_within(*zone, *above)
        };
        let mut lowest: Vec<_> =
            near.iter().filter(|above| !near.iter().any(|zone| stands_for(zone, above))).collect();
        lowest.sort_by(|(one, metres), (other, further)| {
            metres.total_cmp(further).then_with(|| self.id(*one).cmp(&self.id(*other)))
        });
        lowest.into_iter().map(|(zone, _)| *zone).take(NEAR_MAX).collect()
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
    pub fn find(&self, id: &str) -> Option<ZoneIndex> {
        let id_of = |index: &ZoneIndex| self.get(*index).map_or("", |zone| zone.id.as_str());
        let place = self.by_id.binary_search_by(|index| id_of(index).cmp(id)).ok()?;
        self.by_id.get(place).copied()
    }

    /// Whether `zone` is `ancestor` or lies below it.
    #[must_use]
    pub fn is_within(&self, zone: ZoneIndex, ancestor: ZoneIndex) -> bool {
        self.upwards(zone).any(|above| above == ancestor)
    }

    /// `zone`, the zone above it, and so on to the root.
    pub fn upwards(&self, zone: ZoneIndex) -> impl Iterator<Item = ZoneIndex> {
        std::iter::successors(self.get(zone).map(|_| zone), |index| {
            self.get(*index).and_then(|zone| zone.parent)
        })
    }

    /// Every zone, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (ZoneIndex, &Zone)> {
        (0..).map(ZoneIndex).zip(&self.zones)
    }

    /// The zones that have none below them, in the order of the file.
    pub fn leaves(&self) -> impl Iterator<Item = ZoneIndex> {
        let has_children = |index| self.zones.iter().any(|zone: &Zone| zone.parent == Some(index));
        self.iter().map(|(index, _)| index).filter(move |index| !has_children(*index))
    }

    /// How many zones there are; at least one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.zones.len()
    }

    /// Never: a file without zones is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// What is drawn for this zone, in degrees, longitude first; nothing if it is only the zones below it.
    #[must_use]
    pub fn polygons(&self, zone: ZoneIndex) -> &[Polygon] {
        self.drawn(zone).map_or(&[], |drawn| &drawn.area.0)
    }

    /// How many cells the index has. For reports and benches.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cover.len()
    }

    fn drawn(&self, zone: ZoneIndex) -> Option<&Drawn> {
        self.drawn.get(usize::from(zone.0))
    }

    /// Makes zones of drafts in which no problem was found.
    fn build(drafts: Vec<Draft>) -> Self {
        let numbers = check::numbers(&drafts);
        let index_of = |id: &str| {
            numbers.get(id).and_then(|number| u16::try_from(*number).ok()).map(ZoneIndex)
        };
        let parents: Vec<Option<ZoneIndex>> =
            drafts.iter().map(|draft| draft.parent.as_deref().and_then(index_of)).collect();
        let by_id: Vec<ZoneIndex> = numbers.keys().filter_map(|id| index_of(id)).collect();
        let mut zones = Self {
            zones: Vec::with_capacity(drafts.len()),
            drawn: Vec::with_capacity(drafts.len()),
            by_preference: by_id.clone(),
            by_id,
            root: ZoneIndex(0),
            cover: Cover::empty(),
            borders: Borders::default(),
        };
        for (draft, parent) in drafts.into_iter().zip(parents) {
            let id = ZoneId::new(draft.id.as_deref().unwrap_or_default());
            let Draft { name, level, risk, area, .. } = draft;
            zones.zones.push(Zone { id, name, level, parent, risk });
            zones.drawn.push(Drawn::new(area));
        }
        let root = zones.iter().find(|(_, zone)| zone.parent.is_none()).map(|(index, _)| index);
        zones.root = root.unwrap_or(ZoneIndex(0));
        let depth = |index: &ZoneIndex| zones.upwards(*index).count();
        let mut by_preference = zones.by_id.clone();
        by_preference.sort_by_key(|index| std::cmp::Reverse(depth(index)));
        zones.by_preference = by_preference;
        let drawn = |index: &ZoneIndex| zones.drawn(*index).map(|drawn| (*index, &drawn.area));
        let areas: Vec<_> = zones.by_preference.iter().filter_map(drawn).collect();
        let (cover, borders) = (Cover::new(&areas), Borders::new(&areas));
        Self { cover, borders, ..zones }
    }
}

impl Drawn {
    fn new(area: Area) -> Self {
        let area = match area {
            Area::Drawn(area) => area,
            Area::Absent | Area::Unreadable => MultiPolygon::new(Vec::new()),
        };
        let bounds = area.iter().map(BoundingRect::bounding_rect).collect();
        Self { area, bounds }
    }

    /// Whether the position lies inside or on the outline. Exact: geo's orientation test is.
    fn holds(&self, position: &Position) -> bool {
        let place = Coord { x: position.lon(), y: position.lat() };
        self.area.iter().zip(&self.bounds).any(|(polygon, bounds)| {
            bounds.is_some_and(|bounds| is_in(place, bounds))
                && polygon.coordinate_position(&place) != CoordPos::Outside
        })
    }
}

fn is_in(place: Coord, bounds: Rect) -> bool {
    let (min, max) = (bounds.min(), bounds.max());
    (min.x..=max.x).contains(&place.x) && (min.y..=max.y).contains(&place.y)
}

#[cfg(test)]
mod near_tests;
#[cfg(test)]
mod tests;
