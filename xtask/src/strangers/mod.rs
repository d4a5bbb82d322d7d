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
const CONFIG: &str = "\n[strangers]\nbudget = 10000\n";

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
    tally.step("stranger lxml: the feed is valid CAP", || scene.cap(&python));
    tally.step("stranger curl: an operator", || scene.operate(&python));
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
    tally.step("stranger promtool", || scene.metrics());
    tally.step("strangers: drain", || {
        scene.gateway.stop()?;
        Ok(Outcome::Passed(1))
    });
}

/// The golden files, checked by libraries that are not ours.
fn reads_ours(python: &Path, script: &str) -> Result<Outcome> {
    let mut check = Command::new(python);
    check.current_dir(root()).arg(Path::new("strangers").join(script));
    check.args(["check", "protocol/tests/golden"]);
    let said = process::capture(script, &mut check, STRANGER_LIMIT)?;
    print!("{}", said.success(script)?);
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
    /// An alert of that device, once there is one.
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
        let site = Site::prepare_with(programs, folder.path(), CONFIG)?;
        let enrolling = Enrolling { programs, site: &site, folder: folder.path() };
        let devices = enrolling.one_of_each("new", &[])?;
        let on_feed = enrolling.one_of_each("on-feed", &["--vouched"])?;
        let judged = enrolling.one_of_each("judged", &["--vouched"])?;
        let judged = judged.into_iter().next().context("no device")?;
        let token = site.subscriber(ROOT_ZONE)?;
        let tokens = Tokens::make(&site)?;
        let gateway = site.serve(&[])?;
        let alert = None;
        Ok(Self { gateway, token, tokens, devices, on_feed, judged, alert, folder })
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
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--no-buffer", "--fail", "--max-time", "3"]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        let address = &self.gateway.ready.operator_addr;
        curl.arg(format!("http://{address}/v1/feed?from=start&format=cap"));
        let feed = process::capture("curl", &mut curl, STRANGER_LIMIT)?;
        let file = self.folder.path().join("feed.cap");
        fs::write(&file, feed.stdout)?;
        let mut stranger = Command::new(python);
        stranger.current_dir(root()).arg("strangers/cap.py").arg(&file);
        print!("{}", process::capture("cap.py", &mut stranger, STRANGER_LIMIT)?.success("cap.py")?);
        Ok(Outcome::Passed(1))
    }

    /// Reads the feed from its beginning for a moment; the stream has no end, so curl's time limit is the good one.
    fn curl(&self) -> Result<Outcome> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--no-buffer", "--fail", "--max-time", "3"]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        curl.arg(format!("http://{}/v1/feed?from=start", self.gateway.ready.operator_addr));
        let captured = process::capture("curl", &mut curl, STRANGER_LIMIT)?;
        ensure!(captured.stdout.contains("event: alert"), "no alert in the feed: {captured:?}");
        ensure!(captured.stdout.contains("\nid: ") || captured.stdout.contains("id:"), "no cursor");
        Ok(Outcome::Passed(1))
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
