//! `cargo xtask bench`: the numbers that this house promises itself, each beside its bound, as one table.
//!
//! Stages alone come from the criterion benches of `benches/`, whose names state their bound. The wire is measured with
//! a gateway bound to one core and the load on the others; where the bound is a bare QUIC echo, it is measured in the
//! same run. One run on shared cores moves by a tenth; read the ratios, not the digits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;
use tempfile::TempDir;

use crate::clock::Stopwatch;
use crate::demo::split;
use crate::stage::{Gateway, Programs, Site};
use crate::table::{Row, Table};
use crate::{cargo, criterion, process, root};

mod abuse;
mod audience;
mod hooks;

/// What `bench` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Only this part (several with commas).
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Write the table to docs/performance.md too.
    #[arg(long)]
    write: bool,
    /// How long each throughput is measured, in seconds.
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
}

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Every stage alone.
    Stages,
    /// A new connection for every alert.
    Cold,
    /// Sixty-four relays with many alerts in flight.
    Warm,
    /// Ten thousand idle connections.
    Idle,
    /// A million devices enrolled.
    Import,
    /// First presses through a flood of junk.
    Flood,
    /// First presses while repeats come at more than can be taken.
    Overload,
    /// Five hundred alerts a second to a hundred subscribers.
    Audience,
    /// Five thousand idle feeds.
    Feeds,
    /// A subscriber far behind, and a hundred that take nothing.
    Behind,
    /// Ten webhooks whose targets are dead.
    Hooks,
    /// A quake of sixty thousand presses, to a subscriber of incidents.
    Incidents,
}

/// The longest one measurement may take.
const LIMIT: Duration = Duration::from_secs(20 * 60);
const SEED: u64 = 20_260_101;

/// What an alert over a warm connection costs beside QUIC: package, bench, and the whole name in it.
const STAGES: [(&str, &str, &str); 8] = [
    ("benches", "wire", "read/envelope and message (bound: a twentieth of a signature check)"),
    ("benches", "wire", "cover/to be signed (bound: coset)"),
    ("benches", "wire", "identify/message id (bound: SHA-256 of two blocks)"),
    ("benches", "wire", "identify/receipt"),
    (
        "benches",
        "verify",
        "verify Ed25519/strict by bytes, key from 32 bytes: what the intake does",
    ),
    ("benches", "desk", "desk/presses, 64 to a sync (bound: 500k/s)"),
    ("gateway", "log", "log, 64 records a commit/journal"),
    ("gateway", "feed", "feed/encode an event"),
];

/// Measures, prints the table, and writes it if asked.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let mut table = Table::default();
    if wanted(Part::Stages) {
        let mut bench = cargo();
        process::run("cargo bench", bench.args(["bench", "-p", "benches"]), LIMIT)?;
        table.extend(criterion::rows()?);
    }
    let programs = Programs::build(true)?;
    let bench = Bench { programs: &programs, seconds: options.seconds };
    if wanted(Part::Cold) {
        table.extend(bench.cold("Ed25519", "warm-relays", 0.85)?);
        table.extend(bench.cold("ES256", "quake-malang", 0.75)?);
    }
    if wanted(Part::Warm) {
        table.extend(bench.warm()?);
    }
    if wanted(Part::Idle) {
        table.extend(bench.idle()?);
    }
    if wanted(Part::Import) {
        table.extend(bench.import()?);
    }
    if wanted(Part::Flood) {
        table.extend(bench.flood()?);
    }
    if wanted(Part::Overload) {
        table.extend(bench.overload()?);
    }
    if wanted(Part::Audience) {
        table.extend(bench.audience()?);
    }
    if wanted(Part::Feeds) {
        table.extend(bench.idle_feeds()?);
    }
    if wanted(Part::Behind) {
        table.extend(bench.behind()?);
    }
    if wanted(Part::Hooks) {
        table.extend(bench.dead_webhooks()?);
    }
    if wanted(Part::Incidents) {
        table.extend(bench.quake_of_incidents()?);
    }
    println!("\n{table}");
    if options.write {
        let path = root().join("docs/performance.md");
        fs::write(&path, table.page()).with_context(|| format!("{}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(if table.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Bench<'a> {
    programs: &'a Programs,
    seconds: u64,
}

/// A gateway under measurement, with populations enrolled and the bare echo beside it.
struct Ground {
    site: Site,
    gateway: Gateway,
    echo: Gateway,
    token: String,
    populations: Vec<Population>,
    load_cores: Vec<usize>,
    // The folder goes last: the gateways write into it until they stop.
    folder: TempDir,
}

/// The devices of one scenario. Each has a seed of its own, or two scenarios would have the same devices.
struct Population {
    scenario: String,
    seed: String,
    folder: PathBuf,
}

impl Bench<'_> {
    /// Throughput with a new connection per alert, as a share of a bare echo with the same settings.
    fn cold(&self, algorithm: &str, scenario: &str, share: f64) -> Result<Vec<Row>> {
        let ground = self.ground(&[(scenario, &[])])?;
        let found = self.saturate(&ground, scenario, &["--mode", "cold"], false)?;
        let measured = number(&found, "/found/receipts_per_s")?;
        let bound = number(&found, "/bare/receipts_per_s")?;
        ground.close()?;
        Ok(vec![
            Row::new(format!("new connection per alert, {algorithm}"), measured, "alerts/s")
                .beside("bare QUIC echo", bound, share),
        ])
    }

    /// Throughput over warm relays, with the feed read to its end, beside what its stages come to one by one.
    fn warm(&self) -> Result<Vec<Row>> {
        let stages = stages()?;
        let ground = self.ground(&[("warm-relays", &[])])?;
        let found = self.saturate(&ground, "warm-relays", &["--mode", "warm"], true)?;
        let sum = stages + number(&found, "/bare/server_cpu_us")?;
        let receipts = number(&found, "/found/receipts_per_s")?;
        let events = number(&found, "/found/events_per_s")?;
        let cpu = number(&found, "/found/server_cpu_us")?;
        ensure!(found.pointer("/found/balanced") == Some(&Value::Bool(true)), "alerts disappeared");
        ground.close()?;
        Ok(vec![
            Row::new("64 warm relays, receipted", receipts, "alerts/s").at_least(18_000.0),
            Row::new("64 warm relays, fed", events, "alerts/s").at_least(18_000.0),
            Row::new("64 warm relays, receipted", receipts, "alerts/s").beside(
                "the sum of its stages",
                1e6 / sum,
                0.70,
            ),
            Row::new("64 warm relays, gateway", cpu, "us of one core per alert"),
        ])
    }

    /// Memory of one idle connection.
    fn idle(&self) -> Result<Vec<Row>> {
        let ground = self.ground(&[("warm-relays", &[])])?;
        let ready = &ground.gateway.ready;
        let mut idle = self.programs.command("loadtest");
        idle.args(["idle", "--connections", "10000", "--gateway", &ready.alert_addr]);
        idle.args(["--ca", &ready.cert, "--pid", &ready.pid.to_string()]);
        let found = ground.measure("loadtest idle", &mut idle)?;
        let each = number(&found, "/rss_bytes_each")? / 1024.0;
        ground.close()?;
        Ok(vec![Row::new("idle connection, of 10,000", each, "KiB").at_most(32.0)])
    }

    /// How long a million devices take to enrol.
    fn import(&self) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir()?;
        let site = Site::prepare(self.programs, folder.path())?;
        let people = folder.path().join("population");
        let seed = SEED.to_string();
        self.populate("warm-relays", &seed, &people, &["--devices", "1000000"])?;
        let devices = people.join("devices.csv").display().to_string();
        let watch = Stopwatch::start();
        site.gateway(&["device", "import", &devices])?;
        let took = watch.elapsed().as_secs_f64();
        Ok(vec![Row::new("import of 1,000,000 devices", took, "s").at_most(60.0)])
    }

    /// A gateway that knows the populations of these scenarios, each with more options of `simulator population`.
    fn ground(&self, scenarios: &[(&str, &[&str])]) -> Result<Ground> {
        let folder = tempfile::Builder::new().prefix("kentongan-bench-").tempdir()?;
        self.ground_in(folder, crate::demo::ROOT_ZONE, "", scenarios)
    }

    /// The same in a folder, with more lines of configuration and another zone above all others.
    fn ground_in(
        &self,
        folder: TempDir,
        root: &str,
        lines: &str,
        scenarios: &[(&str, &[&str])],
    ) -> Result<Ground> {
        let (server, load_cores) = split(&process::cores());
        let echo_folder = folder.path().join("echo");
        fs::create_dir(&echo_folder)?;
        let site = Site::prepare_with(self.programs, folder.path(), lines)?;
        let mut populations = vec![];
        for ((scenario, more), seed) in scenarios.iter().zip(SEED..) {
            let (seed, folder) = (seed.to_string(), folder.path().join(scenario));
            self.populate(scenario, &seed, &folder, more)?;
            let devices = folder.join("devices.csv").display().to_string();
            // Known people: their first presses are not on probation.
            site.gateway(&["device", "import", "--vouched", &devices])?;
            populations.push(Population { scenario: (*scenario).to_owned(), seed, folder });
        }
        let token = site.subscriber(root)?;
        let echo = Site::prepare(self.programs, &echo_folder)?.bare_echo(&server)?;
        let gateway = site.serve(&server)?;
        Ok(Ground { site, gateway, echo, token, populations, load_cores, folder })
    }

    fn populate(&self, scenario: &str, seed: &str, folder: &Path, more: &[&str]) -> Result<()> {
        let out = folder.display().to_string();
        let arguments = ["population", "--scenario", scenario, "--seed", seed, "--out", &out];
        self.programs.output("simulator", &[&arguments, more].concat()).map(drop)
    }

    /// Runs a closed loop to its end.
    fn saturate(&self, ground: &Ground, scenario: &str, more: &[&str], fed: bool) -> Result<Value> {
        let mut load = self.closed_loop(ground, scenario)?;
        load.args(more).args(["--duration", &format!("{}s", self.seconds)]);
        let echo = &ground.echo.ready;
        load.args(["--bound-gateway", &echo.alert_addr, "--bound-ca", &echo.cert]);
        load.args(["--bound-pid", &echo.pid.to_string()]);
        if fed {
            let operator = &ground.gateway.ready.operator_addr;
            load.args(["--operator", operator, "--token", &ground.token]);
        }
        ground.measure("loadtest saturate", &mut load)
    }

    fn closed_loop(&self, ground: &Ground, scenario: &str) -> Result<Command> {
        let mut load = self.programs.command("loadtest");
        ground.aim(scenario, load.arg("saturate"))?;
        Ok(load)
    }
}

impl Ground {
    /// Tells the load test whom to load, and as whom.
    fn aim(&self, scenario: &str, load: &mut Command) -> Result<()> {
        let of = self.populations.iter().find(|population| population.scenario == scenario);
        let population = of.with_context(|| format!("nobody of {scenario} is enrolled"))?;
        load.args(["--scenario", scenario, "--seed", &population.seed]);
        load.arg("--population").arg(&population.folder);
        let ready = &self.gateway.ready;
        load.args(["--gateway", &ready.alert_addr, "--ca", &ready.cert]);
        load.args(["--realm", &ready.realm, "--pid", &ready.pid.to_string()]);
        Ok(())
    }

    fn measure(&self, name: &str, load: &mut Command) -> Result<Value> {
        println!("measuring: {name}");
        let said = process::bound_to(&self.load_cores, || process::capture(name, load, LIMIT))?;
        let text = said.success(name)?;
        serde_json::from_str(&text).with_context(|| format!("{name} said: {text}"))
    }

    /// The bare echo has nothing to drain and is killed with its guard.
    fn close(self) -> Result<()> {
        self.gateway.stop().map(drop)
    }
}

/// What the stages of an alert take one by one, in microseconds, without QUIC.
fn stages() -> Result<f64> {
    let mut sum = 0.0;
    for (package, bench, name) in STAGES {
        let mut alone = cargo();
        alone.args(["bench", "-p", package, "--bench", bench, "--", "--noplot"]);
        alone.args(["--warm-up-time", "1", "--measurement-time", "3", "--exact", name]);
        process::run(name, &mut alone, LIMIT)?;
        sum += criterion::microseconds(name)?;
    }
    Ok(sum)
}

fn number(found: &Value, pointer: &str) -> Result<f64> {
    found
        .pointer(pointer)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {pointer} in {found}"))
}
