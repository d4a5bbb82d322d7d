//! First presses while something else wants the same core: junk from strangers, or more repeats than can be taken.
//!
//! The load test judges by its own objectives (config/slo); here its report is read and put into the table.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bench, Ground, LIMIT, SEED, number};
use crate::demo::split;
use crate::process::{self, Running};
use crate::table::Row;

/// How long strangers throw junk: as long as the scenario `steady-phones` lasts, and a little more at both ends.
const FLOOD_S: u64 = 64;
/// First packets of handshakes that never go on, a second; and datagrams of random bytes.
const INITIALS_PER_S: u32 = 3_000;
const GARBAGE_PER_S: u32 = 20_000;
/// Addresses that the junk comes from.
const ADDRESSES: u32 = 4_000;
/// How long the scenario `first-presses` lasts at `--speed 1`.
const FIRST_PRESSES_S: f64 = 126.0;
/// What must not become of a first press.
const ALL: [&str; 3] = ["refused", "held", "missing"];
/// First presses under overload, as a share of what the gateway can take of them alone.
const OVERLOAD_SHARE: f64 = 0.6;
/// Repeats and updates, as a multiple of what it can take of alerts over warm connections alone.
const OVERLOAD_TIMES: f64 = 3.0;
/// Of what relays send after first presses, so much are updates; the others are repeats.
const OVERLOAD_UPDATES: &str = "0.5";
/// Messages that relays have in flight under overload: all streams that 64 of them earn.
const OVERLOAD_IN_FLIGHT: &str = "8192";
/// Devices behind the relays: their first presses are through in a second.
const OVERLOAD_DEVICES: &str = "2000";
/// How long first presses are offered, and how long relays send, around it.
const OVERLOAD_S: f64 = 60.0;
const RELAYS_S: u64 = 85;
/// Processes that do nothing on the gateway's core. One core of load cannot offer what three times the whole capacity of
/// another comes to; with two of these beside it the gateway has a third of its core, and it can.
const NEIGHBOURS: usize = 2;

impl Bench<'_> {
    /// Three hundred first presses a second through a flood of junk from thousands of addresses.
    pub(super) fn flood(&self) -> Result<Vec<Row>> {
        let ground = self.ground(&[("steady-phones", &[])])?;
        let initials = self.junk(&ground, "initials", INITIALS_PER_S)?;
        let garbage = self.junk(&ground, "garbage", GARBAGE_PER_S)?;
        let report = self.replay(&ground, "steady-phones", "config/slo/flood.toml", 1.0, &[])?;
        for flood in [initials, garbage] {
            let status = flood.wait(LIMIT)?;
            ensure!(status.success(), "a flood was answered with more than it may be ({status})");
        }
        ground.close()?;
        Ok(vec![
            latency("300 first presses/s in a flood, receipt p99", &report, "p99", 250.0)?,
            latency("300 first presses/s in a flood, receipt p99.9", &report, "p999", 1_000.0)?,
            lost("300 first presses/s in a flood, refused or lost", &report, "/receipts", &ALL)?,
        ])
    }

    /// First presses at a share of what is possible of them alone, while relays send a multiple of what is possible.
    pub(super) fn overload(&self) -> Result<Vec<Row>> {
        let (server, _) = split(&process::cores());
        let neighbours = process::bound_to(&server, || {
            (0..NEIGHBOURS).map(|_| Running::start("neighbour", &mut idler())).collect()
        });
        let neighbours: Vec<Running> = neighbours?;
        let (cold, warm) = (self.alone("cold")?, self.alone("warm")?);
        // A gateway that has not seen these presses.
        let ground = self.crowd()?;
        let mut relays = self.closed_loop(&ground, "warm-relays")?;
        relays.args(["--mode", "warm", "--in-flight", OVERLOAD_IN_FLIGHT]);
        relays.args(["--rate", &format!("{:.0}", warm * OVERLOAD_TIMES)]);
        relays.args(["--updates", OVERLOAD_UPDATES, "--duration", &format!("{RELAYS_S}s")]);
        let found = ground.folder.path().join("relays.json");
        relays.arg("--out").arg(&found).stdout(Stdio::null());
        let relays = process::bound_to(&ground.load_cores, || {
            Running::start("loadtest saturate", &mut relays)
        })?;
        let rate = cold * OVERLOAD_SHARE;
        let presses = format!("{:.0}", rate * OVERLOAD_S);
        let speed = FIRST_PRESSES_S / OVERLOAD_S;
        let slo = "config/slo/overload.toml";
        let more = ["--presses", presses.as_str()];
        let report = self.replay(&ground, "first-presses", slo, speed, &more)?;
        relays.wait(LIMIT)?;
        let relays = read(&found)?;
        ground.close()?;
        drop(neighbours);
        let pressed = number(&report, "/offered/sent")? / OVERLOAD_S;
        let answered = number(&relays, "/found/receipt_us/count")?;
        let answered = answered / number(&relays, "/found/duration_s")?;
        Ok(vec![
            Row::new("first presses under overload, sent", pressed, "1/s").beside(
                "new connections alone",
                cold,
                // The press that is due at the very end makes no difference.
                OVERLOAD_SHARE * 0.99,
            ),
            Row::new("relays under overload, allowed to send", warm * OVERLOAD_TIMES, "1/s"),
            Row::new("relays under overload, answered", answered, "1/s"),
            Row::new("relays, refused", number(&relays, "/found/receipts/refused")?, "messages"),
            lost("relays, without an answer", &relays, "/found/receipts", &["missing"])?,
            latency("first presses under overload, receipt p99", &report, "p99", 1_000.0)?,
            lost("first presses under overload, refused or lost", &report, "/receipts", &ALL)?,
        ])
    }

    /// What a gateway can take alone, in a second.
    fn alone(&self, mode: &str) -> Result<f64> {
        let ground = self.crowd()?;
        let scenario = if mode == "cold" { "first-presses" } else { "warm-relays" };
        let alone = self.saturate(&ground, scenario, &["--mode", mode], false)?;
        ground.close()?;
        number(&alone, "/found/receipts_per_s")
    }

    /// Phones, and a few devices behind relays.
    fn crowd(&self) -> Result<Ground> {
        self.ground(&[("first-presses", &[]), ("warm-relays", &["--devices", OVERLOAD_DEVICES])])
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
    pub(super) fn replay(
        &self,
        ground: &Ground,
        scenario: &str,
        slo: &str,
        speed: f64,
        more: &[&str],
    ) -> Result<Value> {
        let report = ground.folder.path().join(format!("report-{scenario}"));
        let mut load = self.programs.command("loadtest");
        ground.aim(scenario, load.arg("run"))?;
        load.args(more)
            .args(["--slo", slo, "--speed", &format!("{speed:.3}"), "--report"])
            .arg(&report);
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

pub(super) fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
}

/// A percentile of the receipts' latency, in milliseconds.
fn latency(what: &str, report: &Value, percentile: &str, at_most_ms: f64) -> Result<Row> {
    let us = number(report, &format!("/latency_us/receipt/{percentile}"))?;
    Ok(Row::new(what, us / 1e3, "ms").at_most(at_most_ms))
}

/// How many became one of these things.
fn lost(what: &str, found: &Value, receipts: &str, outcomes: &[&str]) -> Result<Row> {
    let counts = outcomes.iter().map(|outcome| number(found, &format!("{receipts}/{outcome}")));
    Ok(Row::new(what, counts.sum::<Result<f64>>()?, "messages").at_most(0.0))
}

/// A process that only takes time.
fn idler() -> Command {
    let mut idler = process::tied(Path::new("sh"));
    idler.args(["-c", "while :; do :; done"]);
    idler
}
