//! `cargo xtask demo`: an earthquake under Malang, pressed for real against a gateway started for the purpose.
//!
//! Every press is signed, sent over its own QUIC connection, made durable, receipted and read back from the feed. The
//! demo succeeds only if not one is missing; how fast it went is printed and judged, but a slow machine is no failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Deserialize;

use crate::clock::Stopwatch;
use crate::process::{self, Running};
use crate::stage::{Gateway, Programs, Site};

/// What `demo` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// All 60,000 presses, in real time: about eight minutes.
    #[arg(long)]
    full: bool,
    /// Where the report goes.
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    out: PathBuf,
    /// Use the programs of `cargo build` instead of `cargo build --release`: built sooner, slower to answer.
    #[arg(long)]
    debug_build: bool,
    /// How many presses, in place of 12,000 (or, with --full, 60,000).
    #[arg(long, value_name = "N")]
    presses: Option<u32>,
    /// How many times faster than the city, in place of 4 (or, with --full, 1).
    #[arg(long, value_name = "X")]
    speed: Option<f64>,
    /// Keep the gateway's data (journal, index, keys) in DIR/site to look at.
    #[arg(long)]
    keep: bool,
}

impl Options {
    /// A quake of a few hundred presses with the debug build: what the tests run.
    pub(crate) fn short(out: PathBuf) -> Self {
        let (presses, speed) = (Some(300), Some(40.0));
        Self { full: false, out, debug_build: true, presses, speed, keep: false }
    }

    fn presses(&self) -> u32 {
        self.presses.unwrap_or(if self.full { 60_000 } else { 12_000 })
    }

    fn speed(&self) -> f64 {
        self.speed.unwrap_or(if self.full { 1.0 } else { 4.0 })
    }
}

/// The scenario that is replayed, and the seed that fixes every press of it.
const SCENARIO: &str = "quake-malang";
const SEED: &str = "20260101";
/// The zone above all others: its subscribers see every alert.
pub(crate) const ROOT_ZONE: &str = "polres-malang-kota";
/// The SLO that the report is judged by.
const SLO: &str = "config/slo/demo.toml";
/// The longest a replay may take before something hangs: the full quake is eight minutes.
const REPLAY_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Runs the demo and turns its result into the exit code.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let lost = run(options)?;
    if lost.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nNot every press arrived: {}.", lost.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Runs the demo. What is returned names everything that was lost; empty is good.
pub(crate) fn run(options: &Options) -> Result<Vec<String>> {
    let watch = Stopwatch::start();
    println!("[1/5] Building the gateway, the simulated city and the load test.");
    let programs = Programs::build(!options.debug_build)?;
    let out = std::path::absolute(&options.out)?;
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let temporary = tempfile::Builder::new().prefix("kentongan-demo-").tempdir()?;
    let folder = temporary.path();

    let site = Site::prepare(&programs, folder)?;
    let population = enrol(&programs, &site, folder, options)?;
    let token = site.subscriber(ROOT_ZONE)?;
    let (server, load) = split(&process::cores());
    let gateway = site.serve(&server)?;
    println!(
        "[3/5] A gateway serves in {}: presses at {}, the feed at {}.",
        folder.display(),
        gateway.ready.alert_addr,
        gateway.ready.operator_addr
    );
    let replayed = replay(&programs, &gateway, &population, &token, &load, &out, options);
    println!("[5/5] Stopping the gateway: it drains, then ends.");
    let stopped = gateway.stop();
    fs::copy(site.log_file(), out.join("gateway.log")).context("cannot keep the gateway's log")?;
    if options.keep {
        keep(temporary, &out)?;
    }
    replayed?;
    stopped?;
    let lost = judge(&out)?;
    println!(
        "\nDone in {:.0} s. The pictures: {}",
        watch.elapsed().as_secs_f64(),
        out.join("report.html").display()
    );
    Ok(lost)
}

/// Half of the cores for the gateway's side, the rest for the load; on a single core neither is bound.
pub(crate) fn split(cores: &[usize]) -> (Vec<usize>, Vec<usize>) {
    match cores {
        [first, rest @ ..] if !rest.is_empty() => (vec![*first], rest.to_vec()),
        _ => (Vec::new(), Vec::new()),
    }
}

/// Makes the people of the city with their keys, and has the gateway know their devices.
fn enrol(programs: &Programs, site: &Site, folder: &Path, options: &Options) -> Result<PathBuf> {
    println!("[2/5] Making the city's devices from seed {SEED} and enrolling them.");
    let population = folder.join("population");
    let path = population.display().to_string();
    let presses = options.presses().to_string();
    programs.output(
        "simulator",
        &[
            "population",
            "--scenario",
            SCENARIO,
            "--seed",
            SEED,
            "--presses",
            &presses,
            "--out",
            &path,
        ],
    )?;
    let devices = population.join("devices.csv").display().to_string();
    let said = site.gateway(&["device", "import", &devices])?;
    print!("{said}");
    Ok(population)
}

fn replay(
    programs: &Programs,
    gateway: &Gateway,
    population: &Path,
    token: &str,
    cores: &[usize],
    out: &Path,
    options: &Options,
) -> Result<()> {
    println!(
        "[4/5] The earth shakes: {} presses at {} times the city's speed, each over its own connection.",
        options.presses(),
        options.speed()
    );
    let ready = &gateway.ready;
    let mut load = programs.command("loadtest");
    load.args(["run", "--scenario", SCENARIO, "--seed", SEED, "--slo", SLO]);
    load.args(["--presses", &options.presses().to_string()]);
    load.args(["--speed", &options.speed().to_string()]);
    load.arg("--population").arg(population).arg("--report").arg(out);
    load.args(["--gateway", &ready.alert_addr, "--ca", &ready.cert, "--realm", &ready.realm]);
    load.args(["--operator", &ready.operator_addr, "--token", token]);
    load.args(["--pid", &ready.pid.to_string()]);
    load.args(["--metrics", &format!("http://{}/metrics", ready.operator_addr)]);
    let running = process::bound_to(cores, || Running::start("loadtest run", &mut load))?;
    let status = running.wait(REPLAY_LIMIT)?;
    // 1 and 3 are judgements of speed and of the machine; the report says which, and the counts decide.
    let judged = matches!(status.code(), Some(0 | 1 | 3));
    ensure!(judged, "the load test could not do its work ({status})");
    Ok(())
}

fn keep(temporary: tempfile::TempDir, out: &Path) -> Result<()> {
    let site = out.join("site");
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    let folder = temporary.keep();
    let mut copy = std::process::Command::new("cp");
    copy.arg("-a").arg(&folder).arg(&site);
    process::run("cp", &mut copy, Duration::from_secs(120))?;
    fs::remove_dir_all(&folder)?;
    println!("      The gateway's data: {}", site.join("data").display());
    Ok(())
}

/// What the demo reads of a report. What was not measured is null there and proves nothing here.
#[derive(Debug, Deserialize)]
struct Report {
    verdict: String,
    #[serde(default)]
    reasons: Vec<String>,
    offered: Offered,
    receipts: Receipts,
    feed: Feed,
    conservation: Conservation,
}

#[derive(Debug, Deserialize)]
struct Offered {
    planned: Option<u64>,
    sent: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Receipts {
    received: Option<u64>,
    missing: Option<u64>,
    refused: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Feed {
    delivered: Option<u64>,
    missing: Option<u64>,
    unexpected: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Conservation {
    balanced: Option<bool>,
}

/// Reads the report that the load test left and names everything in it that is not whole.
fn judge(out: &Path) -> Result<Vec<String>> {
    let path = out.join("report.json");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let report: Report = serde_json::from_str(&text).context("report.json changed its form")?;
    for file in ["report.html", "latency.hlog", "gateway.log"] {
        ensure!(out.join(file).is_file(), "{file} was not written");
    }
    if report.verdict != "pass" {
        println!("The load test's verdict is {}: {}", report.verdict, report.reasons.join("; "));
    }
    Ok(lost(&report))
}

fn lost(report: &Report) -> Vec<String> {
    let sent = report.offered.sent;
    let expectations = [
        ("presses sent", sent, report.offered.planned),
        ("receipts that say received", report.receipts.received, sent),
        ("receipts missing", report.receipts.missing, Some(0)),
        ("presses refused", report.receipts.refused, Some(0)),
        ("feed events", report.feed.delivered, sent),
        ("feed events missing", report.feed.missing, Some(0)),
        ("feed events of no press", report.feed.unexpected, Some(0)),
    ];
    let mut lost: Vec<String> = expectations
        .into_iter()
        .filter(|(_, found, wanted)| found.is_none() || found != wanted)
        .map(|(what, found, wanted)| format!("{what}: {found:?}, not {wanted:?}"))
        .collect();
    if sent == Some(0) {
        lost.push("nothing was sent".to_owned());
    }
    if report.conservation.balanced != Some(true) {
        lost.push("the counts do not balance".to_owned());
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(received: u64, delivered: u64) -> Report {
        let text = format!(
            r#"{{"verdict":"pass","reasons":[],"offered":{{"planned":10,"sent":10}},
            "receipts":{{"received":{received},"missing":0,"refused":0}},
            "feed":{{"delivered":{delivered},"missing":0,"unexpected":0}},"conservation":{{"balanced":true}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn is_content_when_every_press_has_receipt_and_event() {
        assert_eq!(lost(&report(10, 10)), Vec::<String>::new());
    }

    #[test]
    fn names_what_is_missing() {
        assert_eq!(lost(&report(9, 10)), ["receipts that say received: Some(9), not Some(10)"]);
        assert_eq!(lost(&report(10, 9)).len(), 1);
        let mut unmeasured = report(10, 10);
        unmeasured.feed.missing = None;
        assert_eq!(lost(&unmeasured).len(), 1);
    }

    #[test]
    fn gives_the_gateway_a_core_of_its_own_only_where_there_are_two() {
        assert_eq!(split(&[3]), (vec![], vec![]));
        assert_eq!(split(&[2, 5, 7]), (vec![2], vec![5, 7]));
    }
}
