//! The strangers: programs that share no code with this repository. Python clients made from docs/protocol.md alone,
//! `curl` on the feed and as an operator, schemathesis on the operators' interface, `sqlite3` on the files, each against a
//! real gateway.

mod fuzz;
mod operator;
mod queries;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::check::CARGO_LIMIT;
use crate::demo::ROOT_ZONE;
use crate::stage::{Gateway, Programs, Site};
use crate::tally::{Outcome, Tally};
use crate::test::passed;
use crate::{cargo, process, root, setup};
use fuzz::Known;
use operator::{Operator, Others, Tokens};

/// The longest one stranger may take.
const STRANGER_LIMIT: Duration = Duration::from_secs(120);
/// How long what was pressed or decided may take until the index shows it, on a slow and busy machine.
const INDEX_LIMIT: Duration = Duration::from_secs(30);

/// The strangers fail on purpose, often, and all from one address: it would lose its priority, and with it 0-RTT.
const BUDGET: &str = "\n[strangers]\nbudget = 10000\n";
/// Nobody waits a minute for somebody to have gone quiet.
const POLICY: &str = "[motion]\nquiet_after = \"5s\"\n";
/// How long a feed is read that has no end.
const FEED_S: &str = "3";
/// Events that stand on the feed after all that is done here.
const EVENTS: &str = "alert,held,decision,moving,quiet,incident";

/// Runs every stranger and adds each to `tally`.
pub(crate) fn all(tally: &mut Tally, programs: &Programs) {
    let mut python = None;
    tally.step("strangers: python", || {
        python = Some(setup::python(
            &root().join("strangers/requirements.txt"),
            &root().join("strangers/files.txt"),
        )?);
        Ok(Outcome::Passed(0))
    });
    if let Some(python) = &python {
        tally.step("stranger pycose: reads our messages", || reads_ours(python, "messages.py"));
        tally.step("stranger pycose: opens our seals", || reads_ours(python, "sealed.py"));
        tally.step("stranger pycose: we read its messages", || we_read(python));
    }
    let mut scene = None;
    tally.step("strangers: a gateway", || {
        scene = Some(Scene::open(programs)?);
        Ok(Outcome::Passed(1))
    });
    let (Some(python), Some(mut scene)) = (python, scene) else { return };
    // On the feed a press is expected with no flag: its device is vouched for, and has pressed nothing before.
    for (device, on_feed) in scene.devices.iter().zip(&scene.on_feed) {
        for (what, device, arguments) in [
            ("presses", device, ["press_quic.py", "--category", "4"].as_slice()),
            ("every case", device, &["press_quic.py", "--case", "all"]),
            ("the feed", on_feed, &["feed.py"]),
        ] {
            let name = format!("stranger aioquic, {}: {what}", device.algorithm);
            tally.step(&name, || scene.run(&python, device, arguments));
        }
    }
    tally.step("stranger curl", || scene.curl());
    tally.step("stranger curl: an operator", || scene.operate(&python));
    tally.step("stranger aioquic: a walk in a drill", || scene.walk(&python));
    tally.step("stranger sqlite3", || queries::all(&scene.gateway.ready));
    let Tokens { supervisor, reader, limited, .. } = &scene.tokens;
    for (who, token, known) in [
        ("a supervisor", supervisor, false),
        ("a supervisor who knows ids", supervisor, true),
        ("a reader who knows ids", reader, true),
        ("somebody limited who knows ids", limited, true),
    ] {
        let name = format!("stranger schemathesis: {who}");
        tally.step(&name, || scene.fuzz(&python, token, known));
    }
    // After the strangers of above nearly everything stands on the feed that can.
    tally.step("stranger lxml: the feed is valid CAP", || scene.cap(&python));
    tally.step("stranger jsonschema: the feed's events", || scene.schema(&python));
    tally.step("stranger promtool", || scene.metrics());
    tally.step("strangers: drain", || {
        scene.gateway.stop()?;
        Ok(Outcome::Passed(1))
    });
}

/// The golden files, checked by libraries that are not ours.
fn reads_ours(python: &Path, script: &str) -> Result<Outcome> {
    check(python, script, &["check", "protocol/tests/golden"])
}

/// Runs a Python program of `strangers/` that asks no gateway, and shows what it said.
fn check(python: &Path, script: &str, arguments: &[&str]) -> Result<Outcome> {
    let mut check = Command::new(python);
    check.current_dir(root()).arg(Path::new("strangers").join(script)).args(arguments);
    print!("{}", process::capture(script, &mut check, STRANGER_LIMIT)?.success(script)?);
    Ok(Outcome::Passed(1))
}

/// Messages fresh from those libraries, read by our tests in place of the set that is kept.
fn we_read(python: &Path) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let mut make = Command::new(python);
    make.current_dir(root()).args(["strangers/messages.py", "make", "--out"]).arg(folder.path());
    let said = process::capture("messages.py make", &mut make, STRANGER_LIMIT)?;
    print!("{}", said.success("messages.py make")?);
    let mut tests = cargo();
    tests.args(["test", "--locked", "--workspace", "--test", "wire", "strangers"]);
    tests.env("STRANGERS_DIR", folder.path());
    let said = process::capture("cargo test strangers", &mut tests, CARGO_LIMIT)?;
    let passed = passed(&said.success("cargo test strangers")?);
    ensure!(passed.is_some_and(|count| count > 0), "no test reads the strangers' messages");
    Ok(Outcome::Passed(1))
}

/// A gateway with its devices, a subscriber and operators.
struct Scene {
    gateway: Gateway,
    token: String,
    tokens: Tokens,
    /// One of each algorithm, as new as can be.
    devices: Vec<Enrolled>,
    /// The same, vouched for.
    on_feed: Vec<Enrolled>,
    /// Whom operators decide about, vouched for.
    judged: Enrolled,
    /// Who walks away in a drill, vouched for.
    walker: Enrolled,
    /// An alert of whom operators decide about, once there is one.
    alert: Option<String>,
    // The folder goes last: the gateway writes into it until it stops.
    folder: TempDir,
}

struct Enrolled {
    algorithm: &'static str,
    id: String,
    key: PathBuf,
}

impl Scene {
    fn open(programs: &Programs) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("kentongan-strangers-").tempdir()?;
        let policy = folder.path().join("policy.toml");
        fs::write(&policy, POLICY)?;
        let config = format!("{BUDGET}\n[policy]\nfile = {policy:?}\n");
        let site = Site::prepare_with(programs, folder.path(), &config)?;
        let enrolling = Enrolling { programs, site: &site, folder: folder.path() };
        let devices = enrolling.one_of_each("new", &[])?;
        let on_feed = enrolling.one_of_each("on-feed", &["--vouched"])?;
        let decided = enrolling.one_of_each("decided", &["--vouched"])?;
        let [judged, walker] = decided.try_into().ok().context("not one of each")?;
        let token = site.subscriber(ROOT_ZONE)?;
        let tokens = Tokens::make(&site)?;
        let gateway = site.serve(&[])?;
        let alert = None;
        Ok(Self { gateway, token, tokens, devices, on_feed, judged, walker, alert, folder })
    }

    /// Runs a Python program of `strangers/` as this device and subscriber, and shows what it said.
    fn run(&self, python: &Path, device: &Enrolled, arguments: &[&str]) -> Result<Outcome> {
        print!("{}", self.output(python, device, arguments)?);
        Ok(Outcome::Passed(1))
    }

    /// The same; what it said.
    fn output(&self, python: &Path, device: &Enrolled, arguments: &[&str]) -> Result<String> {
        let (script, arguments) = arguments.split_first().context("no script")?;
        let ready = &self.gateway.ready;
        let mut stranger = Command::new(python);
        stranger.current_dir(root()).arg(Path::new("strangers").join(script)).args(arguments);
        stranger.args([
            "--server",
            &ready.alert_addr,
            "--ca",
            &ready.cert,
            "--realm",
            &ready.realm,
        ]);
        stranger.args(["--device-id", &device.id]).arg("--key").arg(&device.key);
        stranger.args(["--operator", &ready.operator_addr, "--token", &self.token]);
        process::capture(script, &mut stranger, STRANGER_LIMIT)?.success(script)
    }

    /// The feed in CAP, fetched by curl and checked against the schema of the standard.
    fn cap(&self, python: &Path) -> Result<Outcome> {
        let feed = self.save("feed.cap", "format=cap")?;
        check(python, "cap.py", &[&feed, "Actual", "Exercise", "Alert", "Update"])
    }

    /// The feed's events, fetched by curl and checked against the schema that docs/ holds.
    fn schema(&self, python: &Path) -> Result<Outcome> {
        let alerts = self.save("alerts.txt", "view=alerts")?;
        let features = self.save("features.txt", "format=geojson")?;
        let incidents = self.save("incidents.txt", "view=incidents")?;
        let map = self.save("map.txt", "view=incidents&format=geojson")?;
        let schema = "docs/feed.schema.json";
        let arguments = [schema, &alerts, &features, &incidents, &map, "--expects", EVENTS];
        check(python, "schema.py", &arguments)
    }

    /// Reads the feed from its beginning for a moment; the stream has no end, so curl's time limit is the good one.
    fn curl(&self) -> Result<Outcome> {
        let feed = fs::read_to_string(self.save("feed.txt", "view=alerts")?)?;
        ensure!(feed.contains("event: alert"), "no alert in the feed: {feed}");
        ensure!(feed.contains("\nid: ") || feed.starts_with("id: "), "no cursor");
        Ok(Outcome::Passed(1))
    }

    /// What curl reads of the feed, as a file.
    fn save(&self, file: &str, query: &str) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--no-buffer", "--fail", "--max-time", FEED_S]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        let address = &self.gateway.ready.operator_addr;
        curl.arg(format!("http://{address}/v1/feed?from=start&{query}"));
        let feed = process::capture("curl", &mut curl, STRANGER_LIMIT)?;
        let path = self.folder.path().join(file);
        fs::write(&path, feed.stdout)?;
        Ok(path.display().to_string())
    }

    /// The metrics after all of the above: promtool finds them well made, and each has its words.
    fn metrics(&self) -> Result<Outcome> {
        let text = self.gateway.metrics()?;
        let undescribed = undescribed(&text);
        ensure!(undescribed.is_empty(), "metrics without words: {}", undescribed.join(", "));
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("metrics.txt");
        fs::write(&file, &text)?;
        let mut promtool = Command::new("sh");
        promtool.args(["-c", "exec promtool check metrics < \"$0\""]).arg(&file);
        process::capture("promtool", &mut promtool, STRANGER_LIMIT)?.success("promtool")?;
        Ok(Outcome::Passed(1))
    }

    /// An operator's night with a device of their own, with nothing but `curl`. It is blocked in the end.
    fn operate(&mut self, python: &Path) -> Result<Outcome> {
        let device = &self.judged;
        let addr = &self.gateway.ready.operator_addr;
        let siti = Operator::new(addr, &self.tokens.supervisor);
        let alert = self.press(python, device, "received")?;
        siti.finds(&alert, &device.id)?;
        siti.judges(&alert, &device.id)?;
        siti.blocks(&device.id)?;
        let held = self.press(python, device, "held")?;
        siti.promotes(&held, &device.id)?;
        siti.unblocks(&device.id)?;
        let others = Others { tokens: &self.tokens, subscriber: &self.token };
        siti.is_refused(&alert, &device.id, &others)?;
        siti.blocks(&device.id)?;
        self.alert = Some(alert);
        Ok(Outcome::Passed(1))
    }

    /// A drill, declared with `curl`, and somebody who presses in it, walks away and falls silent.
    fn walk(&self, python: &Path) -> Result<Outcome> {
        let addr = &self.gateway.ready.operator_addr;
        Operator::new(addr, &self.tokens.supervisor).declares_drill(ROOT_ZONE)?;
        self.run(python, &self.walker, &["walk.py"])
    }

    /// Presses as this device, which has to be told this status: the alert's id.
    fn press(&self, python: &Path, device: &Enrolled, status: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Receipt {
            status: String,
            alert_id: String,
        }
        let said = self.output(python, device, &["press_quic.py", "--category", "1"])?;
        let receipt: Receipt = serde_json::from_str(&said).with_context(|| said.clone())?;
        ensure!(receipt.status == status, "expected {status}: {said}");
        Ok(receipt.alert_id)
    }

    /// The interface's description, tried by somebody who has nothing else.
    fn fuzz(&self, python: &Path, token: &str, known: bool) -> Result<Outcome> {
        let known = match (known, &self.alert) {
            (true, Some(alert)) => Some(Known { alert, device: &self.judged.id }),
            (true, None) => bail!("there is no alert of the operator's to know"),
            (false, _) => None,
        };
        fuzz::run(python, &self.gateway.ready.operator_addr, token, known.as_ref())
    }
}

/// Where devices are enrolled.
struct Enrolling<'a> {
    programs: &'a Programs,
    site: &'a Site,
    folder: &'a Path,
}

impl Enrolling<'_> {
    /// Makes a key of each algorithm and enrols it; `name` tells its files from others.
    fn one_of_each(&self, name: &str, options: &[&str]) -> Result<Vec<Enrolled>> {
        let mut rows = String::from("device_id,alg,public_key\n");
        let mut devices = Vec::new();
        for algorithm in ["es256", "eddsa"] {
            let key = self.folder.join(format!("{name}-{algorithm}.pem"));
            let path = key.display().to_string();
            let row =
                self.programs.output("device", &["keygen", "--alg", algorithm, "--out", &path])?;
            let (id, _) = row.split_once(',').context("keygen prints no row")?;
            devices.push(Enrolled { algorithm, id: id.to_owned(), key });
            rows += &row;
        }
        let file = self.folder.join(format!("{name}.csv"));
        fs::write(&file, rows).with_context(|| format!("cannot write {}", file.display()))?;
        let file = file.display().to_string();
        self.site.gateway(&[&["device", "import", &file], options].concat())?;
        Ok(devices)
    }
}

/// Metrics that have a type and no help.
fn undescribed(text: &str) -> Vec<&str> {
    let named = |line: &'static str| {
        text.lines()
            .filter_map(move |other| other.strip_prefix(line))
            .filter_map(|rest| rest.split_whitespace().next())
    };
    let helped: Vec<_> = named("# HELP ").collect();
    named("# TYPE ").filter(|name| !helped.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_metrics_without_words() {
        let text = "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n# TYPE b gauge\nb 2\n";
        assert_eq!(undescribed(text), ["b"]);
    }
}
