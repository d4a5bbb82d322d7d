//! `config check` and `zones check`: say everything that is wrong, or what is in effect.

use std::io::Write;

use geo::ChamberlainDuquetteArea;
use pipeline::{ZoneIndex, Zones};

use super::Failure;
use crate::config::Config;

pub(super) fn check_config(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    Ok(write!(out, "ok\n\n{}", config.to_toml())?)
}

pub(super) fn check_zones(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let zones = load_zones(config)?;
    writeln!(out, "ok, {} zones", zones.len())?;
    print_zone(&zones, zones.root(), 0, out)
}

/// The zones that `config` names.
pub(super) fn load_zones(config: &Config) -> Result<Zones, Failure> {
    let name = config
        .zones
        .file
        .as_ref()
        .map_or("embedded zones".into(), |file| file.display().to_string());
    let text = config.zones.text().map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    Zones::from_geojson(&text).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
        let noun = if lines.len() == 1 { "problem" } else { "problems" };
        Failure::Usage(format!("{name}: {} {noun}{}", lines.len(), lines.concat()))
    })
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
