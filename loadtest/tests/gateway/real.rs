//! The real gateway, started on free ports with an enrolled population, for tests that need more than a fake.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use simulator::{Overrides, Population, Scenario, Seed};
use tempfile::TempDir;

/// How long the gateway may take to start, in looks at its ready file.
const LOOKS_MAX: u32 = 600;
const LOOK: Duration = Duration::from_millis(50);
/// The zone above all others.
const ROOT_ZONE: &str = "polres-malang-kota";

/// A gateway that is killed when the test ends.
pub(crate) struct Gateway {
    child: Child,
    folder: TempDir,
    ready: Value,
    token: String,
    /// One gateway at a time: two that share the processors would measure each other.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Gateway {
    /// A gateway that knows `devices` devices of `scenario`, whose timeline has `presses` presses.
    pub(crate) fn start(scenario: &str, devices: u32, presses: u32, seed: u64) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let size = Overrides { devices: Some(devices), presses: Some(presses) };
        let scenario = Scenario::load(scenario).unwrap().resized(size).unwrap();
        Population::generate(&scenario, Seed(seed)).write(&at("population")).unwrap();
        let config = format!(
            "data_dir = {:?}\n[alert]\nlisten = \"127.0.0.1:0\"\n[operator]\nlisten = \"127.0.0.1:0\"\n",
            at("data")
        );
        std::fs::write(at("gateway.toml"), config).unwrap();
        let devices = at("population").join("devices.csv");
        answer(command(&at("gateway.toml")).args(["device", "import"]).arg(devices));
        let token = ["subscriber", "add", "--zones", ROOT_ZONE, "--expires", "1d", "--json"];
        let token: Value =
            serde_json::from_str(&answer(command(&at("gateway.toml")).args(token))).unwrap();
        let log = std::fs::File::create(at("gateway.log")).unwrap();
        let mut serve = command(&at("gateway.toml"));
        serve.args(["serve", "--ready-file"]).arg(at("ready.json"));
        let child = serve.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let token = token["token"].as_str().unwrap().to_owned();
        let mut gateway = Self { child, folder, ready: Value::Null, token, _alone: alone };
        gateway.ready = gateway.wait_until_ready();
        gateway
    }

    /// A file or folder of this test.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `loadtest run` against this gateway, without its objectives.
    pub(crate) fn loadtest(&self, scenario: &str, seed: u64) -> Command {
        let text = |field: &str| self.ready[field].as_str().unwrap();
        let mut command = loadtest();
        command.args(["run", "--scenario", scenario, "--seed", &seed.to_string()]);
        command.arg("--population").arg(self.at("population"));
        command.args([
            "--gateway",
            text("alert_addr"),
            "--ca",
            text("cert"),
            "--realm",
            text("realm"),
        ]);
        command.args(["--operator", text("operator_addr"), "--token", &self.token]);
        command.args(["--metrics", &format!("{}/metrics", text("operator_addr"))]);
        command.args(["--pid", &self.ready["pid"].to_string()]);
        command.arg("--report").arg(self.at("report"));
        command
    }

    /// `loadtest flood` at this gateway, without its amount.
    pub(crate) fn flood(&self, kind: &str) -> Command {
        let text = |field: &str| self.ready[field].as_str().unwrap();
        let mut command = loadtest();
        command.args(["flood", "--kind", kind, "--gateway", text("alert_addr")]);
        if kind == "bad-signatures" {
            command.args(["--ca", text("cert")]);
        }
        command
    }

    /// Stops or continues the gateway.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn wait_until_ready(&mut self) -> Value {
        for _ in 0..LOOKS_MAX {
            if let Ok(bytes) = std::fs::read(self.at("ready.json")) {
                return serde_json::from_slice(&bytes).unwrap();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the gateway ended: {ended:?}\n{}", self.log());
            thread::sleep(LOOK);
        }
        panic!("the gateway is not ready:\n{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.at("gateway.log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too. A child that is gone already is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program under test.
pub(crate) fn loadtest() -> Command {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(binary());
    command.arg("--config").arg(config);
    command
}

fn answer(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?} failed: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The gateway's binary. This crate never links the gateway, so cargo does not build it for these tests.
fn binary() -> PathBuf {
    let mut places: Vec<_> =
        std::env::var_os("GATEWAY_BIN").map(PathBuf::from).into_iter().collect();
    let own = Path::new(env!("CARGO_BIN_EXE_loadtest"));
    places.push(own.with_file_name("gateway"));
    let found = places.iter().find(|place| place.is_file());
    found.cloned().unwrap_or_else(|| {
        panic!("no gateway binary in {places:?}: run `cargo build --workspace` first, or set GATEWAY_BIN")
    })
}
