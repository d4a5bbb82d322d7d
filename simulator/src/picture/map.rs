//! Presses over the zones: as dots while they can be told apart, as the density of squares beyond that.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use geo::{Centroid, Polygon};
use pipeline::ZoneIndex;
use protocol::Position;

use super::ink::{Ink, thousands};
use super::{Frame, Subject};
use crate::place::Bounds;

/// Presses that are still drawn one by one.
const DOTS_MAX: usize = 4_000;
/// Side of a square of the density map, in pixels.
const SQUARE: f64 = 7.0;
/// From few to many.
const COLOURS: [&str; 7] =
    ["#fde6cf", "#fbcf9f", "#f7b06b", "#ef8c43", "#dd6526", "#b84314", "#842c0c"];
/// Length of a degree of latitude, in kilometres.
const KM_PER_DEGREE: f64 = 111.2;

/// From places to the page: degrees of longitude are shortened by the latitude, so that the map is true to scale.
struct Projection {
    west: f64,
    north: f64,
    left: f64,
    top: f64,
    pixels_per_lon: f64,
    pixels_per_lat: f64,
}

impl Projection {
    fn of(bounds: Bounds, frame: Frame) -> Self {
        let degrees = |e7: i64| i32::try_from(e7).map_or(0.0, f64::from) / 1e7;
        let (south, north) = (degrees(bounds.south), degrees(bounds.north));
        let (west, east) = (degrees(bounds.west), degrees(bounds.east));
        let shrink = libm::cos(((south + north) / 2.0).to_radians());
        let (width, height) = ((east - west) * shrink, north - south);
        let pixels_per_lat = (frame.width() / width).min(frame.height() / height);
        Self {
            west,
            north,
            left: frame.right - width * pixels_per_lat,
            top: frame.top,
            pixels_per_lon: pixels_per_lat * shrink,
            pixels_per_lat,
        }
    }

    fn at(&self, lon: f64, lat: f64) -> (f64, f64) {
        let x = self.left + (lon - self.west) * self.pixels_per_lon;
        (x, self.top + (self.north - lat) * self.pixels_per_lat)
    }

    fn place(&self, position: &Position) -> (f64, f64) {
        self.at(position.lon(), position.lat())
    }

    fn pixels_per_km(&self) -> f64 {
        self.pixels_per_lat / KM_PER_DEGREE
    }
}

pub(super) fn draw(ink: &mut Ink, subject: &Subject<'_>, frame: Frame) {
    let zones = subject.scenario.zones();
    let leaves: Vec<ZoneIndex> = zones.leaves().collect();
    let bounds = leaves.iter().filter_map(|zone| Bounds::of(zones, *zone));
    let Some(bounds) = bounds.reduce(Bounds::around) else { return };
    let projection = Projection::of(bounds, frame);
    let outlines: Vec<String> = leaves
        .iter()
        .map(|zone| zones.polygons(*zone).iter().map(|at| outline(at, &projection)).collect())
        .collect();
    ink.text(frame.left - 20.0, frame.top + 18.0, "caption", "Where they come from");
    outlines.iter().for_each(|outline| ink.path(outline, "zone"));
    ink.clip("city", &outlines.concat());
    let dotted = subject.timeline.len() <= DOTS_MAX;
    let most = if dotted { None } else { Some(draw_squares(ink, subject, &projection)) };
    ink.close();
    outlines.iter().for_each(|outline| ink.path(outline, "border"));
    if dotted {
        draw_dots(ink, subject, &projection);
    }
    for zone in &leaves {
        name(ink, subject, &projection, *zone);
    }
    legend(ink, &projection, most, frame);
}

fn outline(polygon: &Polygon, projection: &Projection) -> String {
    let mut commands = String::new();
    for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
        for (place, coord) in ring.coords().enumerate() {
            let (x, y) = projection.at(coord.x, coord.y);
            let command = if place == 0 { 'M' } else { 'L' };
            write!(commands, "{command}{x:.1} {y:.1}").ok();
        }
        commands.push('Z');
    }
    commands
}

fn draw_dots(ink: &mut Ink, subject: &Subject<'_>, projection: &Projection) {
    let mut dots = String::new();
    for press in subject.timeline {
        let (x, y) = projection.place(&press.position);
        write!(dots, "M{x:.1} {y:.1}h0").ok();
    }
    ink.path(&dots, "dots");
}

/// Draws the squares and returns the most presses in one.
fn draw_squares(ink: &mut Ink, subject: &Subject<'_>, projection: &Projection) -> u32 {
    let mut squares: BTreeMap<(i32, i32), u32> = BTreeMap::new();
    for press in subject.timeline {
        let (x, y) = projection.place(&press.position);
        *squares.entry((square(x), square(y))).or_insert(0) += 1;
    }
    let most = squares.values().copied().max().unwrap_or(1);
    for ((column, row), count) in squares {
        let (x, y) = (f64::from(column) * SQUARE, f64::from(row) * SQUARE);
        ink.tile(x, y, (SQUARE + 0.2, SQUARE + 0.2), colour(count, most));
    }
    most
}

#[expect(clippy::cast_possible_truncation, reason = "a page has few squares, and `as` saturates")]
fn square(pixels: f64) -> i32 {
    libm::floor(pixels / SQUARE) as i32
}

fn colour(count: u32, most: u32) -> &'static str {
    let shades = u32::try_from(COLOURS.len()).unwrap_or(1);
    let shade = (count.saturating_sub(1)) * shades / most.max(1);
    usize::try_from(shade).ok().and_then(|shade| COLOURS.get(shade)).copied().unwrap_or("#842c0c")
}

fn name(ink: &mut Ink, subject: &Subject<'_>, projection: &Projection, zone: ZoneIndex) {
    let zones = subject.scenario.zones();
    let Some(centre) = zones.polygons(zone).first().and_then(Centroid::centroid) else { return };
    let presses = subject.timeline.presses().iter();
    let count = presses.filter(|press| zones.locate(&press.position) == Some(zone)).count();
    let (x, y) = projection.at(centre.x(), centre.y());
    let name = zones.get(zone).map_or("", |zone| zone.name.trim_start_matches("Polsek "));
    ink.text(x, y, "place middle halo", name);
    ink.text(x, y + 21.0, "count middle halo", &format!("{} presses", thousands(count)));
}

/// The scale bar, and what the colours mean.
fn legend(ink: &mut Ink, projection: &Projection, most: Option<u32>, frame: Frame) {
    let (left, bottom) = (frame.left - 20.0, frame.bottom);
    let length = 2.0 * projection.pixels_per_km();
    ink.line(left, bottom, left + length, bottom, "base");
    ink.line(left, bottom - 5.0, left, bottom + 5.0, "base");
    ink.line(left + length, bottom - 5.0, left + length, bottom + 5.0, "base");
    ink.text(left + length / 2.0, bottom - 9.0, "axis middle", "2 km");
    let Some(most) = most else {
        ink.text(left, bottom - 40.0, "axis", "one dot, one press");
        return;
    };
    let metres = SQUARE / projection.pixels_per_km() * 1_000.0;
    let top = bottom - 84.0;
    ink.text(left, top - 12.0, "axis", &format!("presses in {metres:.0} m square"));
    let mut x = left;
    for shade in COLOURS {
        ink.tile(x, top, (22.0, 14.0), shade);
        x += 22.0;
    }
    ink.text(left, top + 32.0, "axis", "1");
    ink.text(x, top + 32.0, "axis end", &thousands(most));
}
