//! First presses while something else wants the same core: junk from strangers, or more repeats than can be taken.
//!
//! The load test judges by its own objectives (config/slo); here its report is read and put into the table.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bench, Ground, LIMIT, SEED, number};
use crate::process::{self, Running};
use crate::table::Row;

/// How long strangers throw junk: as long as the scenario `steady-phones` lasts, and a little more at both ends.
const FLOOD_S: u64 = 64;
/// First packets of handshakes that never go on, a second; and datagrams of random bytes.
const INITIALS_PER_S: u32 = 3_000;
const GARBAGE_PER_S: u32 = 20_000;
/// Addresses that the junk comes from.
const ADDRESSES: u32 = 4_000;
/// Presses a second that the scenario `first-presses` has at `--speed 1`.
const FIRST_PRESSES_PER_S: f64 = 1_000.0;
/// First presses under overload, as a share of what the gateway can take of them alone.
const OVERLOAD_SHARE: f64 = 0.6;
/// Messages that relays have in flight under overload: all streams that 64 of them earn.
const OVERLOAD_IN_FLIGHT: &str = "8192";

impl Bench<'_> {
    /// Three hundred first presses a second through a flood of junk from thousands of addresses.
    pub(super) fn flood(&self) -> Result<Vec<Row>> {
        let ground = self.ground(&["steady-phones"])?;
        let initials = self.junk(&ground, "initials", INITIALS_PER_S)?;
        let garbage = self.junk(&ground, "garbage", GARBAGE_PER_S)?;
        let report = self.replay(&ground, "steady-phones", "config/slo/flood.toml", 1.0)?;
        for flood in [initials, garbage] {
            let status = flood.wait(LIMIT)?;
            ensure!(status.success(), "a flood was answered with more than it may be ({status})");
        }
        ground.close()?;
        Ok(vec![
            latency("300 first presses/s in a flood, receipt p99", &report, "p99", 250.0)?,
            latency("300 first presses/s in a flood, receipt p99.9", &report, "p999", 1_000.0)?,
            lost("300 first presses/s in a flood, refused or without receipt", &report)?,
        ])
    }

    /// First presses at a share of what is possible of them alone, while relays send all that their streams allow.
    pub(super) fn overload(&self) -> Result<Vec<Row>> {
        let ground = self.ground(&["first-presses", "warm-relays"])?;
        let alone = self.saturate(&ground, "first-presses", &["--mode", "cold"], false)?;
        ground.close()?;
        let possible = number(&alone, "/found/receipts_per_s")?;
        // A gateway that has not seen these presses.
        let ground = self.ground(&["first-presses", "warm-relays"])?;
        let mut relays = self.closed_loop(&ground, "warm-relays")?;
        relays.args(["--mode", "warm", "--in-flight", OVERLOAD_IN_FLIGHT]);
        let found = ground.folder.path().join("relays.json");
        relays.args(["--duration", "75s", "--out"]).arg(&found);
        let relays = process::bound_to(&ground.load_cores, || {
            Running::start("loadtest saturate", relays.stdout(Stdio::null()))
        })?;
        let rate = possible * OVERLOAD_SHARE;
        let speed = rate / FIRST_PRESSES_PER_S;
        let report = self.replay(&ground, "first-presses", "config/slo/overload.toml", speed)?;
        relays.wait(LIMIT)?;
        let relays = read(&found)?;
        ground.close()?;
        let refused = number(&relays, "/found/receipts/refused")?;
        let taken = number(&relays, "/found/receipts_per_s")?;
        Ok(vec![
            Row::new("first presses under overload, offered", rate, "1/s"),
            latency("first presses under overload, receipt p99", &report, "p99", 1_000.0)?,
            lost("first presses under overload, refused or without receipt", &report)?,
            Row::new("relays under overload, answered", taken, "1/s"),
            Row::new("relays under overload, refused in all", refused, "messages"),
        ])
    }

    fn junk(&self, ground: &Ground, kind: &str, rate: u32) -> Result<Running> {
        let mut flood = self.programs.command("loadtest");
        flood.args(["flood", "--kind", kind, "--rate", &rate.to_string()]);
        flood.args(["--duration", &format!("{FLOOD_S}s"), "--seed", &SEED.to_string()]);
        flood.args(["--addresses", &ADDRESSES.to_string()]);
        flood.args(["--gateway", &ground.gateway.ready.alert_addr]);
        flood.stdout(Stdio::null());
        process::bound_to(&ground.load_cores, || Running::start("loadtest flood", &mut flood))
    }

    /// Replays a scenario in open loop and reads its report.
    fn replay(&self, ground: &Ground, scenario: &str, slo: &str, speed: f64) -> Result<Value> {
        let report = ground.folder.path().join(format!("report-{scenario}"));
        let mut load = self.programs.command("loadtest");
        ground.aim(scenario, load.arg("run"))?;
        load.args(["--slo", slo, "--speed", &format!("{speed:.3}"), "--report"]).arg(&report);
        load.args(["--operator", &ground.gateway.ready.operator_addr, "--token", &ground.token]);
        println!("measuring: loadtest run --scenario {scenario}");
        let name = "loadtest run";
        let status = process::bound_to(&ground.load_cores, || Running::start(name, &mut load))?;
        let status = status.wait(LIMIT)?;
        // 1 and 3 are judgements; the rows judge for themselves.
        ensure!(matches!(status.code(), Some(0 | 1 | 3)), "{name} could not run ({status})");
        read(&report.join("report.json"))
    }
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
}

/// A percentile of the receipts' latency, in milliseconds.
fn latency(what: &str, report: &Value, percentile: &str, at_most_ms: f64) -> Result<Row> {
    let us = number(report, &format!("/latency_us/receipt/{percentile}"))?;
    Ok(Row::new(what, us / 1e3, "ms").at_most(at_most_ms))
}

/// Presses that were refused, held, or had no receipt.
fn lost(what: &str, report: &Value) -> Result<Row> {
    let count = |of: &str| number(report, &format!("/receipts/{of}"));
    let lost = count("refused")? + count("held")? + count("missing")?;
    Ok(Row::new(what, lost, "presses").at_most(0.0))
}
