//! Places within zones: drawn evenly over a zone's area, and errors of measurement around them.
//!
//! A place is drawn in the rectangle around the zone until it falls inside, by the gateway's own look-up: what is drawn
//! for a zone is routed to it.

use std::collections::BTreeMap;

use geo::BoundingRect;
use pipeline::{ZoneIndex, Zones};
use protocol::Position;

use crate::random::Stream;

/// Draws before a zone is given up as too thin; its first corner stands in. Zones fill half of their rectangle or so.
const DRAWS_MAX: u32 = 100_000;
/// 1e-7 degrees of latitude in a metre.
const E7_PER_METRE: f64 = 89.832;

/// Draws places. Rectangles are worked out once for each zone.
pub(crate) struct Places<'a> {
    zones: &'a Zones,
    bounds: BTreeMap<ZoneIndex, Bounds>,
}

/// A rectangle in 1e-7 degrees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) south: i64,
    pub(crate) west: i64,
    pub(crate) north: i64,
    pub(crate) east: i64,
}

impl Bounds {
    /// The rectangle around everything that is drawn for a zone.
    pub(crate) fn of(zones: &Zones, zone: ZoneIndex) -> Option<Self> {
        let rects = zones.polygons(zone).iter().filter_map(BoundingRect::bounding_rect);
        rects
            .map(|rect| Self {
                south: e7(rect.min().y),
                west: e7(rect.min().x),
                north: e7(rect.max().y),
                east: e7(rect.max().x),
            })
            .reduce(Self::around)
    }

    /// The rectangle around both.
    pub(crate) fn around(self, other: Self) -> Self {
        Self {
            south: self.south.min(other.south),
            west: self.west.min(other.west),
            north: self.north.max(other.north),
            east: self.east.max(other.east),
        }
    }

    fn draw(self, stream: &mut Stream) -> Option<Position> {
        let mut between = |least: i64, most: i64| {
            let width = most.abs_diff(least) + 1;
            least.saturating_add_unsigned(stream.below(width))
        };
        let lat_e7 = between(self.south, self.north);
        Position::new(lat_e7, between(self.west, self.east))
    }
}

impl<'a> Places<'a> {
    pub(crate) fn new(zones: &'a Zones) -> Self {
        Self { zones, bounds: BTreeMap::new() }
    }

    /// Somewhere in the zone.
    pub(crate) fn within(&mut self, zone: ZoneIndex, stream: &mut Stream) -> Position {
        let bounds = *self.bounds.entry(zone).or_insert_with(|| {
            let nowhere = Bounds { south: 0, west: 0, north: 0, east: 0 };
            Bounds::of(self.zones, zone).unwrap_or(nowhere)
        });
        let mut last = None;
        for _ in 0..DRAWS_MAX {
            last = bounds.draw(stream);
            if last.is_some_and(|place| self.zones.locate(&place) == Some(zone)) {
                break;
            }
        }
        last.or_else(|| Position::new(0, 0)).unwrap_or_else(|| unreachable!("0, 0 is on the globe"))
    }

    /// A place as it is measured: evenly within `radius_m` of the truth. An error that would lead out of the zone does
    /// not occur, so that every press is routed to the zone of its device.
    pub(crate) fn measured(
        &self,
        truth: Position,
        zone: ZoneIndex,
        radius_m: f64,
        stream: &mut Stream,
    ) -> Position {
        let distance = radius_m * libm::sqrt(stream.unit()) * E7_PER_METRE;
        let angle = core::f64::consts::TAU * stream.unit();
        let shrink = libm::cos(truth.lat().to_radians());
        let lat_e7 = i64::from(truth.lat_e7()) + whole(distance * libm::sin(angle));
        let lon_e7 = i64::from(truth.lon_e7()) + whole(distance * libm::cos(angle) / shrink);
        Position::new(lat_e7, lon_e7)
            .filter(|place| self.zones.locate(place) == Some(zone))
            .unwrap_or(truth)
    }
}

fn e7(degrees: f64) -> i64 {
    whole(degrees * 1e7)
}

#[expect(clippy::cast_possible_truncation, reason = "places on the globe fit, and `as` saturates")]
fn whole(number: f64) -> i64 {
    libm::round(number) as i64
}
