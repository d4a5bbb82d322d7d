//! `policy replay`: what another policy would have done to the recorded past.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline::policy::Policy;

use super::Failure;
use crate::config::Config;
use crate::journal::Reader;
use crate::registry::{self, REGISTRY_FILE};
use crate::replay::{Sources, replay};
use crate::{settings, zones};

#[derive(Debug, clap::Args)]
pub(super) struct ReplayArguments {
    /// The journal, with registry.db beside it; a gateway may be writing it
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// The policy to try, TOML
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    arguments: ReplayArguments,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let ReplayArguments { journal, policy, json } = arguments;
    let policy: Policy = settings::load(Some(&policy), &())?;
    let in_force: Policy = settings::load(config.policy.file.as_deref(), &())?;
    let differences = in_force.differences(&policy);
    let zones = Arc::new(zones::load(&config.zones)?);
    let folder = journal.parent().unwrap_or(Path::new("."));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let mut reader = Reader::open(&journal).map_err(|error| refused(&error))?;
    if !folder.join(REGISTRY_FILE).exists() {
        let told = format!(
            "no {REGISTRY_FILE} in {}: whose devices they are is unknown",
            folder.display()
        );
        return Err(Failure::Refused(told));
    }
    let registry = registry::read(folder)?;
    let sources = Sources { journal: &mut reader, registry: &registry, zones };
    let replay = replay(sources, Arc::new(policy)).map_err(|error| refused(&error))?;
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&replay.json(&differences))?)?);
    }
    Ok(replay.tell(&differences, out)?)
}
