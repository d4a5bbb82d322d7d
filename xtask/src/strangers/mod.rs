//! The strangers: programs that share no code with this repository. Python clients made from docs/protocol.md alone,
//! `curl` on the feed, operators with `curl` and schemathesis, `sqlite3` on the files, each against a real gateway.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::check::CARGO_LIMIT;
use crate::demo::ROOT_ZONE;
use crate::stage::{Gateway, Programs, Site};
use crate::tally::{Outcome, Tally};
use crate::test::passed;
use crate::{cargo, process, root, setup};

mod operators;
mod queries;

use operators::Operators;

/// The longest one stranger may take.
const STRANGER_LIMIT: Duration = Duration::from_secs(120);

/// The strangers fail on purpose, often, and all from one address: it would lose its priority, and with it 0-RTT.
const CONFIG: &str = "\n[strangers]\nbudget = 10000\n";

/// Runs every stranger and adds each to `tally`.
pub(crate) fn all(tally: &mut Tally, programs: &Programs) {
    let mut python = None;
    tally.step("strangers: python", || {
        python = Some(setup::python(&root().join("strangers/requirements.txt"))?);
        Ok(Outcome::Passed(0))
    });
    if let Some(python) = &python {
        tally.step("stranger pycose: reads our messages", || reads_ours(python));
        tally.step("stranger pycose: we read its messages", || we_read(python));
    }
    let mut scene = None;
    tally.step("strangers: a gateway", || {
        scene = Some(Scene::open(programs)?);
        Ok(Outcome::Passed(1))
    });
    let (Some(python), Some(scene)) = (python, scene) else { return };
    for device in &scene.devices {
        let steps: &[(&str, &[&str])] = match device.part {
            Part::Presses => &[
                ("presses", &["press_quic.py", "--category", "4"]),
                ("every case", &["press_quic.py", "--case", "all"]),
            ],
            Part::Reads => &[("the feed", &["feed.py"])],
        };
        for (what, arguments) in steps {
            let name = format!("stranger aioquic, {}: {what}", device.algorithm);
            tally.step(&name, || scene.run(&python, device, arguments));
        }
    }
    tally.step("stranger curl", || scene.curl());
    // The explorer lifts blocks that it finds, and the queries look for one.
    tally.step("stranger schemathesis", || scene.operators.explore(&scene.gateway, &python));
    if let [judged, blocked, ..] = scene.devices.as_slice() {
        let judge = || scene.operators.judge(&scene.gateway, &judged.id, &blocked.id);
        tally.step("stranger curl: an operator judges", judge);
    }
    tally.step("stranger sqlite3", || queries::all(&scene.gateway.ready));
    tally.step("stranger promtool", || scene.metrics());
    tally.step("strangers: drain", || {
        scene.gateway.stop()?;
        Ok(Outcome::Passed(1))
    });
}

/// The golden files, checked by libraries that are not ours.
fn reads_ours(python: &Path) -> Result<Outcome> {
    let mut check = Command::new(python);
    check.current_dir(root()).args(["strangers/messages.py", "check", "protocol/tests/golden"]);
    let said = process::capture("messages.py check", &mut check, STRANGER_LIMIT)?;
    print!("{}", said.success("messages.py check")?);
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

/// A gateway with devices of each algorithm, a subscriber and operators.
struct Scene {
    gateway: Gateway,
    token: String,
    operators: Operators,
    devices: Vec<Enrolled>,
    // The folder goes last: the gateway writes into it until it stops.
    _folder: TempDir,
}

/// What a device is for. One that was through every case is over its quota, and its alerts say so.
#[derive(Clone, Copy)]
enum Part {
    Presses,
    Reads,
}

struct Enrolled {
    part: Part,
    algorithm: &'static str,
    id: String,
    key: PathBuf,
}

impl Scene {
    fn open(programs: &Programs) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("kentongan-strangers-").tempdir()?;
        let site = Site::prepare_with(programs, folder.path(), CONFIG)?;
        let devices = enrol(programs, &site, folder.path())?;
        let token = site.subscriber(ROOT_ZONE)?;
        let operators = Operators::enrol(&site)?;
        let gateway = site.serve(&[])?;
        Ok(Self { gateway, token, operators, devices, _folder: folder })
    }

    /// Runs a Python program of `strangers/` as this device and subscriber.
    fn run(&self, python: &Path, device: &Enrolled, arguments: &[&str]) -> Result<Outcome> {
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
        let captured = process::capture(script, &mut stranger, STRANGER_LIMIT)?;
        print!("{}", captured.success(script)?);
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
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "10"]);
        curl.arg(format!("http://{}/metrics", self.gateway.ready.operator_addr));
        let text = process::capture("curl", &mut curl, STRANGER_LIMIT)?.success("curl metrics")?;
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
}

/// Makes keys of each algorithm and enrols them; somebody vouches for them.
fn enrol(programs: &Programs, site: &Site, folder: &Path) -> Result<Vec<Enrolled>> {
    let mut rows = String::from("device_id,alg,public_key\n");
    let mut devices = Vec::new();
    for (part, algorithm, id) in [
        (Part::Presses, "es256", "5e5256000000000000000000000000e5"),
        (Part::Presses, "eddsa", "edd5a0000000000000000000000000ed"),
        (Part::Reads, "es256", "5e5256000000000000000000000001e5"),
        (Part::Reads, "eddsa", "edd5a0000000000000000000000001ed"),
    ] {
        let key = folder.join(format!("{id}.pem"));
        let path = key.display().to_string();
        programs.output("device", &["keygen", "--alg", algorithm, "--out", &path])?;
        rows += &programs.output("device", &["public", "--key", &path, "--device-id", id])?;
        devices.push(Enrolled { part, algorithm, id: id.to_owned(), key });
    }
    let file = folder.join("devices.csv");
    fs::write(&file, rows).with_context(|| format!("cannot write {}", file.display()))?;
    site.gateway(&["device", "import", "--vouched", &file.display().to_string()])?;
    Ok(devices)
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
