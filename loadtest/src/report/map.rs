//! The map as inline SVG: zones as outlines, presses as dots. A dot stands for a cell of a grid, so that a million
//! presses make no longer a page than a thousand.

use std::collections::BTreeMap;

use crate::report::chart::{add, escape};
use crate::report::{Map, Place};

/// Columns of the grid.
const COLUMNS: f64 = 110.0;
/// Width of the paper.
const WIDTH: f64 = 560.0;

/// The map: zones as outlines, presses as dots whose area is their number.
#[must_use]
pub fn map(map: &Map) -> Option<String> {
    let frame = Frame::around(map)?;
    let (width, height) = (WIDTH, frame.height);
    let mut svg = format!(
        "<svg class=\"map\" viewBox=\"0 0 {width} {height:.0}\" role=\"img\" aria-label=\"map of the presses over the zones\">"
    );
    for zone in &map.zones {
        let mut path = String::new();
        for ring in &zone.rings {
            for (place, point) in ring.iter().enumerate() {
                let (x, y) = frame.at(*point);
                let command = if place == 0 { 'M' } else { 'L' };
                add(&mut path, format_args!("{command}{x:.1} {y:.1}"));
            }
            path.push('Z');
        }
        let name = escape(&zone.name);
        add(
            &mut svg,
            format_args!("<path class=\"zone\" d=\"{path}\"><title>{name}</title></path>"),
        );
    }
    let cell = WIDTH / COLUMNS;
    let cells = count_cells(map, &frame, cell);
    let most = cells.iter().map(|(_, count)| *count).max().unwrap_or(1);
    for ((column, row), count) in cells {
        let (x, y) = ((f64::from(column) + 0.5) * cell, (f64::from(row) + 0.5) * cell);
        let radius = (f64::from(count) / f64::from(most)).sqrt() * cell * 0.72;
        let radius = radius.max(0.9);
        add(
            &mut svg,
            format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.2}\"><title>{count}</title></circle>"
            ),
        );
    }
    for zone in &map.zones {
        let Some((x, y)) = zone.rings.first().and_then(|ring| frame.middle(ring)) else { continue };
        let name = escape(&zone.name);
        add(
            &mut svg,
            format_args!(
                "<text class=\"zone-name\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{name}</text>"
            ),
        );
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// Presses by cell of the map's grid, in reading order.
fn count_cells(map: &Map, frame: &Frame, cell: f64) -> Vec<((u32, u32), u32)> {
    let mut cells = BTreeMap::new();
    for place in &map.presses {
        let (x, y) = frame.at(*place);
        let key = (whole(x / cell), whole(y / cell));
        *cells.entry(key).or_insert(0_u32) += 1;
    }
    cells.into_iter().collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cell of a small, positive grid"
)]
fn whole(value: f64) -> u32 {
    value.max(0.0) as u32
}

/// The paper that the map is drawn on.
struct Frame {
    west: f64,
    north: f64,
    per_lon: f64,
    per_lat: f64,
    height: f64,
}

impl Frame {
    /// A frame around the zones, or around the presses where there are none.
    fn around(map: &Map) -> Option<Self> {
        let zones = map.zones.iter().flat_map(|zone| zone.rings.iter().flatten());
        let presses = map.presses.iter().filter(|_| map.zones.is_empty());
        let mut places = zones.chain(presses);
        let first = places.next()?;
        let (mut low, mut high) = (*first, *first);
        for place in places {
            low = Place { lat: low.lat.min(place.lat), lon: low.lon.min(place.lon) };
            high = Place { lat: high.lat.max(place.lat), lon: high.lon.max(place.lon) };
        }
        let narrowing = ((low.lat + high.lat) / 2.0).to_radians().cos();
        let margin = (high.lon - low.lon).max(1e-4) * 0.02;
        let per_lon = WIDTH / (high.lon - low.lon + 2.0 * margin).max(1e-4);
        let per_lat = per_lon / narrowing.max(0.05);
        let height = ((high.lat - low.lat + 2.0 * margin) * per_lat).clamp(80.0, 2_000.0);
        Some(Self { west: low.lon - margin, north: high.lat + margin, per_lon, per_lat, height })
    }

    fn at(&self, place: Place) -> (f64, f64) {
        ((place.lon - self.west) * self.per_lon, (self.north - place.lat) * self.per_lat)
    }

    /// The middle of a ring's corners: good enough to write its name.
    fn middle(&self, ring: &[Place]) -> Option<(f64, f64)> {
        let count = u32::try_from(ring.len()).ok().filter(|count| *count > 0)?;
        let sum = ring
            .iter()
            .map(|place| self.at(*place))
            .fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
        Some((sum.0 / f64::from(count), sum.1 / f64::from(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Outline;

    #[test]
    fn the_map_draws_zones_presses_and_nothing_where_there_is_nothing() {
        assert_eq!(map(&Map::default()), None);
        let at = |lat, lon| Place { lat, lon };
        let ring = vec![at(-8.0, 112.0), at(-8.0, 112.2), at(-7.9, 112.2), at(-8.0, 112.0)];
        let zones = vec![Outline { name: "Klojen".to_owned(), rings: vec![ring] }];
        let presses = vec![at(-7.95, 112.1), at(-7.95, 112.1)];
        let svg = map(&Map { presses, zones }).unwrap();
        assert!(svg.contains("Klojen") && svg.contains("<title>2</title>"), "{svg}");
    }
}
