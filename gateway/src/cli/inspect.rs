//! `config check`, `zones check`, `policy check` and `routing check`: say everything that is wrong, or what is in effect.

use std::io::Write;
use std::path::Path;

use geo::ChamberlainDuquetteArea;
use pipeline::policy::Policy;
use pipeline::{Routing, ZoneIndex, Zones};

use super::Failure;
use crate::config::Config;
use crate::registry::{REGISTRY_FILE, Store};
use crate::settings::{self, Settings};
use crate::webhook::unheard;
use crate::{identity, zones};

/// The values were checked when they were read; here is checked what the files behind them hold.
pub(super) fn check_config(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let certificate = identity::check_certificate(&config.alert).map_err(|error| error.to_string());
    let operator =
        identity::operator_certificate(&config.operator).map_err(|error| error.to_string());
    let zones = zones::load(&config.zones).map_err(|error| error.to_string());
    let policy = settings::load::<Policy>(config.policy.file.as_deref(), &());
    let policy = policy.map_err(|error| error.to_string());
    // Whether routing fits the zones shows once there are zones.
    let routing = zones.as_ref().ok().map(|zones| {
        let routing = settings::load::<Routing>(config.routing.file.as_deref(), zones);
        routing.map_err(|error| error.to_string())
    });
    let routing = routing.and_then(Result::err);
    let problems = [certificate.err(), operator.err(), zones.err(), policy.err(), routing];
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    if !problems.is_empty() {
        return Err(Failure::Usage(problems.join("\n")));
    }
    Ok(write!(out, "ok\n\n{}", config.to_toml())?)
}

/// What is in effect, and what of it is not as it comes with the program.
pub(super) fn check_policy(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    check_settings::<Policy>(config.policy.file.as_deref(), &(), out).map(drop)
}

/// What is in effect, and what of it is not as it comes with the program.
pub(super) fn check_routing(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let zones = zones::load(&config.zones)?;
    let routing = check_settings::<Routing>(config.routing.file.as_deref(), &zones, out)?;
    // Where there is no registry, this is not the gateway's machine, and nothing is known of its webhooks.
    if !config.data_dir.join(REGISTRY_FILE).exists() {
        return Ok(());
    }
    let webhooks = Store::open_reader(&config.data_dir)?.webhooks()?;
    for neighbour in unheard(&routing, &webhooks) {
        let name = neighbour.name();
        writeln!(
            out,
            "neighbour {name} is told nothing: `gateway webhook add --neighbour {name}` makes its webhook"
        )?;
    }
    Ok(())
}

fn check_settings<S: Settings>(
    file: Option<&Path>,
    basis: &S::Basis,
    out: &mut impl Write,
) -> Result<S, Failure> {
    let in_effect: S = settings::load(file, basis)?;
    let embedded = settings::embedded::<S>(basis)?;
    let differences = embedded.differences(&in_effect);
    let noun = if differences.len() == 1 { "value" } else { "values" };
    writeln!(out, "ok, {} {noun} other than the default", differences.len())?;
    for difference in differences {
        writeln!(out, "{difference}")?;
    }
    Ok(in_effect)
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
