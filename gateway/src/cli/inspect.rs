//! `config check`, `zones check` and `policy check`: say everything that is wrong, or what is in effect.

use std::io::Write;

use geo::ChamberlainDuquetteArea;
use pipeline::policy::Policy;
use pipeline::{ZoneIndex, Zones};

use super::Failure;
use crate::config::Config;
use crate::{identity, policy, zones};

/// The values were checked when they were read; here is checked what the files behind them hold.
pub(super) fn check_config(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let certificate = identity::check_certificate(&config.alert).map_err(|error| error.to_string());
    let operator =
        identity::operator_certificate(&config.operator).map_err(|error| error.to_string());
    let zones = zones::load(&config.zones).map_err(|error| error.to_string());
    let policy = policy::load(&config.policy).map_err(|error| error.to_string());
    let problems = [certificate.err(), operator.err(), zones.err(), policy.err()];
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    if !problems.is_empty() {
        return Err(Failure::Usage(problems.join("\n")));
    }
    Ok(write!(out, "ok\n\n{}", config.to_toml())?)
}

/// What is in effect, and what of it is not as it comes with the program.
pub(super) fn check_policy(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let policy = policy::load(&config.policy)?;
    let differences = Policy::default().differences(&policy);
    let noun = if differences.len() == 1 { "value" } else { "values" };
    writeln!(out, "ok, {} {noun} other than the default", differences.len())?;
    differences.iter().try_for_each(|difference| Ok(writeln!(out, "{difference}")?))
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
