//! Many who listen: a hundred command centres in twenty zones, thousands of idle feeds, one that is a million events
//! behind, and a hundred that take nothing.
//!
//! Who should see what is worked out by the load test from the timeline and the zones. Where something must not disturb
//! the others, they are measured alone and beside it, on one gateway, one after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::abuse::read;
use super::{Bench, Ground, LIMIT, number};
use crate::process::{self, Running};
use crate::table::Row;

/// The zones are so many columns and rows over the city.
const COLUMNS: u32 = 5;
const ROWS: u32 = 4;
/// West, south, east and north of Kota Malang, in degrees, and a little more.
const CITY: [f64; 4] = [112.57, -8.06, 112.70, -7.90];
/// Nobody but the zone itself is paged, and nothing climbs while it is measured.
const ROUTING: &str = "border_m = 0\nradius_m_max = 0\n\n[escalation]\ndeadline = \"1h\"\nunattended_after = \"10m\"\n";
/// The zone above them.
pub(super) const ROOT: &str = "city";
/// Subscribers of each zone.
pub(super) const EACH: u32 = 5;
/// `steady-phones` presses 300 times a second; so much faster, 500 times.
const SPEED: f64 = 5.0 / 3.0;
/// Presses of a measurement that is compared with another: twelve seconds at 500 a second.
pub(super) const COMPARED: &str = "6000";
/// How much worse the others may fare beside whoever disturbs them.
pub(super) const WORSE_MAX: f64 = 1.25;
/// Feeds that want nothing but to be open.
const IDLE_FEEDS: u32 = 5_000;
/// Events that a subscriber is behind, and how long the relays take to make them at the least rate that is promised.
const BEHIND: u64 = 1_000_000;
const BEHIND_S: u64 = 60;
/// Between two looks at how far the index is.
const INDEX_PAUSE: Duration = Duration::from_millis(500);
/// Feeds that take nothing.
pub(super) const STALLED: u32 = 100;
/// Scenario of the quake.
const QUAKE: &str = "quake-malang";
/// Scenario of everything that is compared.
pub(super) const PHONES: &str = "steady-phones";

impl Bench<'_> {
    /// Five hundred alerts a second to a hundred subscribers of twenty zones, and to one alone.
    pub(super) fn audience(&self) -> Result<Vec<Row>> {
        let ground = self.heard_ground(&[(PHONES, &[])])?;
        let one = self.members(&ground, 0, 1)?;
        let one = self.hear(&ground, &one, COMPARED)?;
        let hundred = self.members(&ground, EACH, 0)?;
        let hundred = self.hear(&ground, &hundred, "18000")?;
        ground.close()?;
        let astray = |found: &Value| -> Result<f64> {
            Ok(number(found, "/audience/missing")? + number(found, "/audience/strange")?)
        };
        Ok(vec![
            ms("one subscriber at 500/s, beyond the receipt, p99", &one, "beyond_receipt_us")?
                .at_most(20.0),
            ms(
                "100 subscribers in 20 zones at 500/s, to the last entitled, p99",
                &hundred,
                "last_us",
            )?
            .at_most(250.0),
            Row::new("the same, not seen or seen by others", astray(&hundred)?, "events")
                .at_most(0.0),
        ])
    }

    /// Memory of one idle feed.
    pub(super) fn idle_feeds(&self) -> Result<Vec<Row>> {
        let ground = self.heard_ground(&[])?;
        let mut feeds = self.feeds(&ground, "idle");
        feeds.args(["--feeds", &IDLE_FEEDS.to_string()]);
        let found = ground.measure("loadtest feeds idle", &mut feeds)?;
        ground.close()?;
        let each = number(&found, "/found/rss_bytes_each")? / 1024.0;
        Ok(vec![
            Row::new("idle feed, of 5,000", each, "KiB").at_most(48.0),
            Row::new("idle feeds, open", number(&found, "/found/open")?, "feeds")
                .at_least(IDLE_FEEDS.into()),
        ])
    }

    /// One subscriber is a million events behind, and a hundred take nothing: how fast that one comes, and what the
    /// others notice.
    pub(super) fn behind(&self) -> Result<Vec<Row>> {
        let scenarios: [(&str, &[&str]); 2] = [(PHONES, &[]), ("warm-relays", &[])];
        let ground = self.heard_ground(&scenarios)?;
        let members = self.members(&ground, EACH, 0)?;
        let mut fill = self.closed_loop(&ground, "warm-relays")?;
        fill.args(["--mode", "warm", "--duration", &format!("{BEHIND_S}s")]);
        ground.measure("loadtest saturate", &mut fill)?;
        indexed(&ground)?;
        // What the disk still owes for a million alerts is not the others' doing either.
        self.hear(&ground, &members, COMPARED)?;
        let alone = self.hear(&ground, &members, COMPARED)?;
        let mut stall = self.feeds(&ground, "stall");
        stall.args(["--feeds", &STALLED.to_string(), "--duration", "20s"]).stdout(Stdio::null());
        let stalled = self.beside("loadtest feeds stall", &ground, &mut stall)?;
        let beside_stalled = self.hear(&ground, &members, COMPARED)?;
        stalled.wait(LIMIT)?;
        let out = ground.folder.path().join("drain.json");
        let mut drain = process::yielding(&self.feeds(&ground, "drain"));
        drain.args(["--events", &BEHIND.to_string()]).arg("--out").arg(&out).stdout(Stdio::null());
        let draining = self.beside("loadtest feeds drain", &ground, &mut drain)?;
        let beside_drain = self.hear(&ground, &members, COMPARED)?;
        draining.wait(LIMIT)?;
        let drained = read(&out)?;
        ground.close()?;
        let p99 = |found: &Value| number(found, "/audience/last_us/p99");
        let base = p99(&alone)?;
        Ok(vec![
            ms("others alone, to the last entitled, p99", &alone, "last_us")?,
            Row::new("others beside 100 stalled feeds, p99", p99(&beside_stalled)? / base, "x")
                .at_most(WORSE_MAX),
            Row::new("others beside one catching up, p99", p99(&beside_drain)? / base, "x")
                .at_most(WORSE_MAX),
            Row::new(
                "a million behind, catching up",
                number(&drained, "/found/events_per_s")?,
                "events/s",
            )
            .at_least(30_000.0),
        ])
    }

    /// A quake of sixty thousand presses within eight minutes, as it happens, to a subscriber of incidents.
    pub(super) fn quake_of_incidents(&self) -> Result<Vec<Row>> {
        let ground = self.heard_ground(&[(QUAKE, &[])])?;
        let out = ground.folder.path().join("watch.json");
        let mut watch = self.feeds(&ground, "watch");
        watch.args(["--duration", "30s"]).arg("--out").arg(&out).stdout(Stdio::null());
        let watching = self.beside("loadtest feeds watch", &ground, &mut watch)?;
        let report = self.replay(&ground, QUAKE, "config/slo/demo.toml", 1.0, &[])?;
        watching.wait(LIMIT)?;
        let found = read(&out)?;
        ground.close()?;
        let shown = |what: &str| number(&found, &format!("/found/shown/{what}"));
        let received = number(&report, "/receipts/received")?;
        Ok(vec![
            Row::new(
                "quake of 60,000, incidents told, busiest second",
                shown("events_busiest_s")?,
                "events/s",
            )
            .at_most(2_000.0),
            Row::new("the same, in all", shown("events")?, "events"),
            Row::new("the same, incidents", shown("incidents")?, "incidents"),
            Row::new(
                "the same, presses received and not counted",
                received - shown("presses")?,
                "presses",
            )
            .at_most(0.0),
        ])
    }

    /// A gateway over twenty zones with room for thousands of feeds.
    pub(super) fn heard_ground(&self, scenarios: &[(&str, &[&str])]) -> Result<Ground> {
        let folder = tempfile::Builder::new().prefix("kentongan-bench-").tempdir()?;
        let zones = folder.path().join("zones.geojson");
        fs::write(&zones, grid().to_string())?;
        let routing = folder.path().join("routing.toml");
        fs::write(&routing, ROUTING)?;
        // Tokens are made while it serves, and count a moment later.
        let lines = format!(
            "\n[registry]\npoll_interval = \"20ms\"\n\n[feed]\nsubscribers_max = 6000\n\n[zones]\nfile = {:?}\n\n[routing]\nfile = {:?}\n",
            zones.display().to_string(),
            routing.display().to_string()
        );
        self.ground_in(folder, ROOT, &lines, scenarios)
    }

    /// A file of subscribers: so many of each zone, and so many of the root.
    pub(super) fn members(&self, ground: &Ground, each: u32, of_root: u32) -> Result<PathBuf> {
        let mut lines = String::new();
        let zones = (0..COLUMNS * ROWS).flat_map(|zone| (0..each).map(move |_| zone_id(zone)));
        for zone in zones.chain((0..of_root).map(|_| ROOT.to_owned())) {
            lines.push_str(&format!("{} {zone}\n", ground.site.subscriber(&zone)?));
        }
        let path = ground.folder.path().join(format!("audience-{each}-{of_root}.txt"));
        fs::write(&path, lines)?;
        Ok(path)
    }

    /// Presses five hundred times a second while these listen; the report.
    pub(super) fn hear(&self, ground: &Ground, members: &Path, presses: &str) -> Result<Value> {
        let zones = ground.folder.path().join("zones.geojson").display().to_string();
        let members = members.display().to_string();
        let more = ["--presses", presses, "--audience", &members, "--zones", &zones];
        let report = self.replay(ground, PHONES, "config/slo/demo.toml", SPEED, &more)?;
        ensure!(report.pointer("/audience").is_some(), "nobody listened");
        Ok(report)
    }

    pub(super) fn feeds(&self, ground: &Ground, behaviour: &str) -> Command {
        let mut feeds = self.programs.command("loadtest");
        let ready = &ground.gateway.ready;
        feeds.args(["feeds", "--behaviour", behaviour, "--token", &ground.token]);
        feeds.args(["--operator", &ready.operator_addr, "--pid", &ready.pid.to_string()]);
        feeds
    }

    pub(super) fn beside(
        &self,
        name: &str,
        ground: &Ground,
        command: &mut Command,
    ) -> Result<Running> {
        process::bound_to(&ground.load_cores, || Running::start(name, command))
    }
}

/// Waits until all that was pressed is indexed: the indexer of a million alerts would be measured with what follows.
fn indexed(ground: &Ground) -> Result<()> {
    process::until("the index", LIMIT, || {
        let text = ground.gateway.metrics()?;
        let lag = text.lines().find_map(|line| line.strip_prefix("gateway_search_lag_records "));
        if lag.context("no gateway_search_lag_records")?.parse() == Ok(0.0) {
            return Ok(Some(()));
        }
        thread::sleep(INDEX_PAUSE);
        Ok(None)
    })
}

/// A percentile of what the audience saw, in milliseconds.
pub(super) fn ms(what: &str, report: &Value, of: &str) -> Result<Row> {
    let us = number(report, &format!("/audience/{of}/p99")).context("nobody saw anything")?;
    Ok(Row::new(what, us / 1e3, "ms"))
}

fn zone_id(zone: u32) -> String {
    format!("zone-{zone:02}")
}

/// The city cut into rectangles.
fn grid() -> Value {
    let [west, south, east, north] = CITY;
    let (width, height) = ((east - west) / f64::from(COLUMNS), (north - south) / f64::from(ROWS));
    let root = json!({"type": "Feature", "geometry": null,
        "properties": {"id": ROOT, "name": "City", "level": "polres"}});
    let cells = (0..COLUMNS * ROWS).map(|zone| {
        let (column, row) = (f64::from(zone % COLUMNS), f64::from(zone / COLUMNS));
        let (left, low) = (west + column * width, south + row * height);
        let (right, high) = (left + width, low + height);
        let ring = [[left, low], [right, low], [right, high], [left, high], [left, low]];
        json!({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"id": zone_id(zone), "name": zone_id(zone), "level": "polsek", "parent": ROOT}})
    });
    let features: Vec<_> = std::iter::once(root).chain(cells).collect();
    json!({"type": "FeatureCollection", "features": features})
}
