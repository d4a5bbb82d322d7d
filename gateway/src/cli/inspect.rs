//! `config check` and `zones check`: say everything that is wrong, or what is in effect.

use std::io::Write;

use geo::ChamberlainDuquetteArea;
use pipeline::{ZoneIndex, Zones};

use super::Failure;
use crate::config::Config;
use crate::zones;

pub(super) fn check_config(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    Ok(write!(out, "ok\n\n{}", config.to_toml())?)
}

pub(super) fn check_zones(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let zones = zones::load(&config.zones)?;
    writeln!(out, "ok, {} zones", zones.len())?;
    print_zone(&zones, zones.root(), 0, out)
}

fn print_zone(
    zones: &Zones,
    index: ZoneIndex,
    depth: usize,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let Some(zone) = zones.get(index) else { return Ok(()) };
    let polygons = zones.polygons(index);
    let area = |polygon: &geo::Polygon| polygon.chamberlain_duquette_unsigned_area();
    let drawn = match polygons.len() {
        0 => "not drawn".to_owned(),
        _ => format!("{:.1} km2", polygons.iter().map(area).sum::<f64>() / 1e6),
    };
    writeln!(out, "{}{} ({}, {}): {drawn}", "  ".repeat(depth), zone.id, zone.level, zone.name)?;
    let mut below = zones.iter().filter(|(_, below)| below.parent == Some(index));
    below.try_for_each(|(below, _)| print_zone(zones, below, depth + 1, out))
}
