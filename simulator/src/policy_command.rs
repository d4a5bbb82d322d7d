//! `simulator policy`: tries policies on a month, prints what each comes to, and draws it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use simulator::{Comparison, Month, Scenario, Seed, Sweep};

use crate::Failure;

/// What `simulator policy` is told.
#[derive(Args)]
pub(crate) struct PolicyArguments {
    /// prank-month, or the path of a scenario file that states its callers.
    #[arg(long, value_name = "NAME|FILE", default_value = "prank-month")]
    scenario: String,
    /// Names the month: the same seed has the same people, presses and verdicts.
    #[arg(long)]
    seed: u64,
    /// How many days it has.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Policies to try: "strikes=1..6,window=30d..90d:30d", or any key of the policy, "press.window=5m|10m|20m".
    #[arg(long, value_name = "KEY=VALUES,...", default_value = "")]
    sweep: String,
    /// The policy that the sweep varies, TOML; without it the one that comes with the gateway.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Also write policy.json and policy.svg into this directory; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// What there is to say on standard output.
pub(crate) fn try_policies(arguments: &PolicyArguments) -> Result<String, Failure> {
    let scenario = Scenario::load(&arguments.scenario).map_err(Failure::usage)?;
    let sweep = Sweep::parse(&arguments.sweep).map_err(Failure::usage)?;
    let text = match &arguments.policy {
        Some(path) => fs::read_to_string(path)
            .with_context(|| path.display().to_string())
            .map_err(Failure::usage)?,
        None => String::new(),
    };
    let settings = sweep.settings(&text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::usage(anyhow!("{}", lines.join("\n")))
    })?;
    let month = Month::generate(&scenario, arguments.days, Seed(arguments.seed));
    let month = month.map_err(Failure::usage)?;
    let comparison = month.compare(settings);
    let json = serde_json::to_string_pretty(&comparison.json()).map_err(Failure::machine)?;
    if let Some(dir) = &arguments.out {
        write(dir, &json, &comparison).map_err(Failure::machine)?;
    }
    Ok(if arguments.json { format!("{json}\n") } else { comparison.table() })
}

fn write(dir: &Path, json: &str, comparison: &Comparison<'_>) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    for (name, text) in [("policy.json", format!("{json}\n")), ("policy.svg", comparison.picture())]
    {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
