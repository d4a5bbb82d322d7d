//! Command line of `loadtest`: reads what was typed, does it, and ends with the exit code of the contract.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use device::Trust;
use loadtest::audience::Audience;
use loadtest::city::City;
use loadtest::cli::{
    Cli, Command, FeedsArgs, FloodArgs, IdleArgs, RunArgs, SaturateArgs, UsageError, typed, url,
};
use loadtest::clock;
use loadtest::feeds::Behaviour;
use loadtest::flood::{self, Kind, proofs::Claim};
use loadtest::network::files;
use loadtest::report::json::{Bound, Run};
use loadtest::report::{self, table};
use loadtest::resources::{Process, allow_files, pin};
use loadtest::run::{RunError, Setup};
use loadtest::saturate::{Saturation, saturate};
use loadtest::slo::Slo;
use loadtest::subscriber::Source;
use loadtest::{feeds, idle, run, watch};
use serde_json::json;
use simulator::network::Network;

/// Something is wrong with what was typed.
const USAGE: u8 = 2;
/// Presses a second that a closed loop may get through at most; so many are signed ahead.
const COLD_PER_S_MAX: f64 = 8_000.0;
const WARM_PER_S_MAX: f64 = 50_000.0;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let done = match cli.command {
        Command::Run(args) => replay(&args),
        Command::Saturate(args) => find_the_most(&args),
        Command::Feeds(args) => read_feeds(&args),
        Command::Idle(args) => weigh_idle(&args),
        Command::Flood(args) => throw(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("loadtest: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<RunError>().map_or(USAGE, RunError::exit_code)
}

fn replay(args: &RunArgs) -> anyhow::Result<u8> {
    let slo = Slo::load(&args.slo).with_context(|| format!("--slo {}", args.slo.display()))?;
    positive("speed", args.speed)?;
    let target = args.target.target(args.zero_rtt, false)?;
    std::fs::create_dir_all(&args.report)
        .with_context(|| format!("--report {}", args.report.display()))?;
    say("loadtest: signing the presses ahead");
    let mut city = City::prepare(&args.city, args.speed, clock::date())?;
    let spoiled = city.plan.corrupt(args.corrupt, args.city.seed).context("--corrupt")?;
    let mode = args.connections.unwrap_or(city.mode);
    say(&format!(
        "loadtest: {} presses of {} over {mode}, {spoiled} of them spoiled",
        city.plan.presses().len(),
        city.scenario
    ));
    let network = args.network.as_deref().map(Network::load);
    let network = network.transpose().context("--network")?;
    if let Some(network) = &network {
        allow_files(files(network)).context("--network")?;
        say(&format!("loadtest: through {}", network.title()));
    }
    let audience = args.audience.as_deref().zip(args.zones.as_deref());
    let audience = audience.map(|(members, zones)| Audience::read(members, zones));
    let audience = audience.transpose().context("--audience")?;
    bind_to_processor(args.target.cpu)?;
    let setup = Setup {
        target,
        mode,
        source: Source { operator: url(&args.operator), token: args.token.clone() },
        audience,
        probes: city.probes,
        network,
        gateway: args.target.pid.map(Process),
        metrics: args.metrics.as_deref().map(url),
        slo,
        run: Run {
            label: args.label.clone(),
            seed: args.city.seed,
            scenario: city.scenario,
            timeline_sha256: city.timeline_sha256,
            speed: args.speed,
            commit: commit(),
            connections: mode.to_string(),
            zero_rtt: args.zero_rtt,
            command: typed(std::env::args()),
            slo_file: args.slo.display().to_string(),
            ..Run::default()
        },
        folder: args.report.clone(),
    };
    let finished = runtime()?.block_on(run::run(city.plan, setup))?;
    let source = report::Source {
        report: &finished.report,
        recording: &finished.recording,
        outcomes: &finished.outcomes,
        map: &city.map,
        clock: &finished.clock,
    };
    report::write(&args.report, source)?;
    print(&table::text(&finished.report))?;
    print(&format!("  {}\n", args.report.join("report.html").display()))?;
    Ok(finished.report.verdict.exit_code())
}

fn find_the_most(args: &SaturateArgs) -> anyhow::Result<u8> {
    let target = args.target.target(false, args.bare)?;
    let bound = args.bound_target()?;
    if let Some(rate) = args.rate {
        positive("--rate", rate)?;
    }
    let per_s = if args.mode().is_warm() { WARM_PER_S_MAX } else { COLD_PER_S_MAX };
    let per_s = args.rate.map_or(per_s, |rate| rate.min(per_s));
    let enough = whole(per_s * args.duration.as_secs_f64());
    let presses = args.city.presses.unwrap_or(enough);
    say(&format!(
        "loadtest: signing {presses} presses ahead; this is a closed loop, it judges nothing"
    ));
    let plan = Arc::new(City::crowd(&args.city, presses, args.updates, clock::date())?);
    bind_to_processor(args.target.cpu)?;
    let source = args.operator.as_deref().map(url).zip(args.token.clone());
    let source = source.map(|(operator, token)| Source { operator, token });
    let saturation = |target, pid: Option<u32>, source| Saturation {
        target,
        mode: args.mode(),
        in_flight: args.in_flight(),
        duration: args.duration,
        rate: args.rate,
        process: pid.map(Process),
        source,
    };
    let runtime = runtime()?;
    let bound = match bound {
        Some(target) => {
            let saturation = saturation(target, args.bound_pid, None);
            Some(runtime.block_on(saturate(Arc::clone(&plan), saturation))?)
        }
        None => None,
    };
    let found = saturation(target, args.target.pid, source);
    let found = runtime.block_on(saturate(plan, found))?;
    let bounds: Vec<_> = bound
        .iter()
        .filter_map(|bound| {
            Bound::of("bare echo, per s", found.receipts_per_s, bound.receipts_per_s)
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({
        "schema_version": 1, "command": typed(std::env::args()), "commit": commit(),
        "found": found, "bare": bound, "bounds": bounds,
    }))?;
    print(&format!("{text}\n"))?;
    if let Some(path) = &args.out {
        std::fs::write(path, text + "\n").with_context(|| format!("--out {}", path.display()))?;
    }
    Ok(u8::from(!found.balanced || found.receipts.missing > 0))
}

fn weigh_idle(args: &IdleArgs) -> anyhow::Result<u8> {
    let process = args.target.pid.map(Process);
    let process = process.ok_or(UsageError::Missing("--pid: whose memory is to be read?"))?;
    let target = args.target.target(false, false)?;
    bind_to_processor(args.target.cpu)?;
    let cost = runtime()?.block_on(idle::idle(target, args.connections, process))?;
    print(&format!("{}\n", serde_json::to_string_pretty(&cost)?))?;
    Ok(u8::from(cost.open < cost.planned))
}

fn read_feeds(args: &FeedsArgs) -> anyhow::Result<u8> {
    bind_to_processor(args.cpu)?;
    let source = Source { operator: url(&args.operator), token: args.token.clone() };
    let process = args.pid.map(Process);
    let found = runtime()?.block_on(async {
        match args.behaviour {
            Behaviour::Idle => feeds::idle(source, args.feeds, process, args.duration).await,
            Behaviour::Stall => feeds::stall(source, args.feeds, process, args.duration).await,
            Behaviour::Drain => feeds::drain(source, args.events, args.duration).await,
            Behaviour::Watch => watch::watch(source, args.duration).await,
        }
    });
    let found = found.map_err(RunError::from)?;
    let text = serde_json::to_string_pretty(&json!({
        "schema_version": 1, "command": typed(std::env::args()), "commit": commit(),
        "found": found,
    }))?;
    print(&format!("{text}\n"))?;
    if let Some(path) = &args.out {
        std::fs::write(path, text + "\n").with_context(|| format!("--out {}", path.display()))?;
    }
    Ok(u8::from(found.open < found.planned))
}

fn throw(args: &FloodArgs) -> anyhow::Result<u8> {
    let flood = args.flood()?;
    bind_to_processor(args.cpu)?;
    let (found, kept) = if flood.kind == Kind::BadSignatures {
        let ca = args.ca.as_deref().ok_or(UsageError::Missing("--ca: whom to trust?"))?;
        let trust = Trust::from_pem_file(ca).map_err(UsageError::from)?;
        let name = flood.target.ip().to_string();
        let claim = Claim { trust, name, device: args.device_id, algorithm: args.alg };
        let proofs = runtime()?.block_on(flood::proofs::flood(flood, claim, args.linger))?;
        (json!({ "proofs": proofs }), proofs.accepted == 0)
    } else {
        let tally = flood::wire::flood(&flood, args.linger)?;
        (json!(tally), tally.within_bounds)
    };
    let text = serde_json::to_string_pretty(&json!({
        "schema_version": 1, "command": typed(std::env::args()), "commit": commit(),
        "flood": flood, "planned": flood.planned(), "found": found,
    }))?;
    print(&format!("{text}\n"))?;
    if let Some(path) = &args.out {
        std::fs::write(path, text + "\n").with_context(|| format!("--out {}", path.display()))?;
    }
    Ok(u8::from(!kept))
}

fn bind_to_processor(cpu: Option<usize>) -> anyhow::Result<()> {
    cpu.map_or(Ok(()), |cpu| pin(cpu).with_context(|| format!("--cpu {cpu}")))
}

/// One thread for all connections. It looks for what has arrived, and for what the pacing thread hands over, more often
/// than is usual: a handshake is long work, and sixty of them in a row would make the next press late.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().event_interval(8).global_queue_interval(2).build()?)
}

fn positive(option: &'static str, value: f64) -> Result<(), UsageError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(UsageError::Number { option, value: value.to_string(), expected: "a number above 0" })
}

/// The commit that this program was built from, where the build said so or the sources still lie where they were.
fn commit() -> Option<String> {
    if let Some(commit) = option_env!("KENTONGAN_COMMIT") {
        return Some(commit.to_owned());
    }
    let git = ["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"];
    let output = std::process::Command::new("git").args(git).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success()).then(|| text.trim().to_owned())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, as a count of presses may"
)]
fn whole(value: f64) -> u32 {
    value as u32
}

fn print(text: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}

/// A line for whoever watches; one that cannot be written is nobody's loss.
fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
