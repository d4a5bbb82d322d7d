//! Command line of `simulator`: people and presses of a city, as files, policies tried on a month of them, and a
//! mobile network between real sockets.
//!
//! Exit codes: 0 done, 1 a file could not be written, 2 usage, scenario or population.

#![expect(clippy::print_stdout, reason = "a command's answer goes to standard output")]

mod policy_command;
#[cfg(feature = "relay")]
mod relay_command;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use policy_command::PolicyArguments;
use serde_json::json;
use simulator::{Overrides, Population, Scenario, ScenarioError, Seed, Timeline};

/// A city in a file: the same people and presses from the same seed, on every machine.
#[derive(Parser)]
#[command(name = "simulator", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write devices.csv (a gateway's import), keys.csv (TEST KEYS) and population.json into a directory.
    ///
    /// The keys follow from the seed: anyone who has the seed has them.
    Population {
        #[command(flatten)]
        city: City,
        /// Directory; made if it is not there.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Write the presses, in the order in which they are due, as CSV.
    Timeline {
        #[command(flatten)]
        city: City,
        /// The CSV file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Use the population in this directory instead of making the scenario's own.
        #[arg(long, value_name = "DIR", conflicts_with_all = ["devices", "presses"])]
        population: Option<PathBuf>,
        /// Also draw presses over time and over the map, as SVG.
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
    /// Try policies on a month of pranks and say what each spares and what it costs.
    Policy(PolicyArguments),
    /// Put a mobile network between phones and a gateway: what they send is late, lost, twice, from elsewhere.
    #[cfg(feature = "relay")]
    Relay(relay_command::RelayArguments),
}

#[derive(Args)]
struct City {
    /// quiet-day, quake-malang, warm-relays, prank-month, or the path of a scenario file.
    #[arg(long, value_name = "NAME|FILE")]
    scenario: String,
    /// Names the city: the same seed has the same people, keys and presses.
    #[arg(long)]
    seed: u64,
    /// Another number of devices. Presses follow unless given, except in a steady load.
    #[arg(long)]
    devices: Option<u32>,
    /// Another number of presses. Devices follow unless given, except in a steady load.
    #[arg(long)]
    presses: Option<u32>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl City {
    fn scenario(&self) -> Result<Scenario, ScenarioError> {
        let size = Overrides { devices: self.devices, presses: self.presses };
        Scenario::load(&self.scenario)?.resized(size)
    }

    fn seed(&self) -> Seed {
        Seed(self.seed)
    }
}

/// A failure, and what the shell is told.
struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// What was asked for cannot be.
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 2, error: error.into() }
    }

    /// It could have been, but this machine did not let it.
    fn machine(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 1, error: error.into() }
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Population { city, out } => make_population(&city, &out),
        Command::Timeline { city, out, population, picture } => {
            make_timeline(&city, &out, population.as_deref(), picture.as_deref())
        }
        Command::Policy(arguments) => {
            policy_command::try_policies(&arguments).map(|answer| print!("{answer}"))
        }
        #[cfg(feature = "relay")]
        Command::Relay(arguments) => {
            relay_command::relay(&arguments).map(|answer| print!("{answer}"))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, error }) => {
            eprintln!("simulator: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn make_population(city: &City, out: &Path) -> Result<(), Failure> {
    let scenario = city.scenario().map_err(Failure::usage)?;
    let population = Population::generate(&scenario, city.seed());
    let summary = population.write(out).map_err(Failure::machine)?;
    eprintln!("simulator: {}", summary.warning);
    if city.json {
        let text = serde_json::to_string(&summary).map_err(Failure::machine)?;
        println!("{text}");
    } else {
        let simulator::Summary { devices, phones, buttons, presses, .. } = summary;
        println!("{devices} devices ({phones} phones, {buttons} buttons) for {presses} presses");
        println!("  {}", out.display());
    }
    Ok(())
}

fn make_timeline(
    city: &City,
    out: &Path,
    population: Option<&Path>,
    picture: Option<&Path>,
) -> Result<(), Failure> {
    let scenario = city.scenario().map_err(Failure::usage)?;
    let population = match population {
        Some(dir) => Population::read(dir).map_err(Failure::usage)?,
        None => Population::generate(&scenario, city.seed()),
    };
    if population.scenario() != scenario.name() {
        let (made_for, asked) = (population.scenario(), scenario.name());
        let error = anyhow::anyhow!("the population was made for {made_for}, not for {asked}");
        return Err(Failure::usage(error));
    }
    let timeline = Timeline::generate(&scenario, &population, city.seed());
    let written = |path: &Path, text: String| {
        fs::write(path, text).with_context(|| path.display().to_string()).map_err(Failure::machine)
    };
    written(out, timeline.to_csv())?;
    if let Some(path) = picture {
        written(path, timeline.picture(&scenario, &population))?;
    }
    report(city, &scenario, &timeline);
    Ok(())
}

fn report(city: &City, scenario: &Scenario, timeline: &Timeline) {
    let (presses, peak_per_s) = (timeline.len(), timeline.peak_per_s());
    let (duration_us, sha256) = (timeline.duration_us(), timeline.sha256());
    if city.json {
        let answer = json!({
            "scenario": scenario.name(),
            "seed": city.seed,
            "presses": presses,
            "duration_us": duration_us,
            "peak_per_s": peak_per_s,
            "timeline_sha256": sha256,
        });
        println!("{answer}");
    } else {
        let seconds = duration_us / 1_000_000;
        println!("{presses} presses in {seconds} s, at most {peak_per_s} in one second");
        println!("  SHA-256 {sha256}");
    }
}
