//! A gateway's folder, the devices enrolled there, and the process that is started and killed.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use device::{Key, Signer};
use protocol::{Algorithm, DeviceId, Realm};
use serde::Deserialize;
use tempfile::TempDir;

pub(crate) const REALM: Realm = Realm([0x4b; 16]);
const DEVICES: u8 = 12;
/// Longer than anything here takes: a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const ROOT_ZONE: &str = "polres-malang-kota";

/// What outlives the processes.
pub(crate) struct House {
    folder: TempDir,
    devices: Vec<Signer>,
    /// Of a subscriber to every zone.
    pub(crate) token: String,
}

/// What the ready file says, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) alert_addr: std::net::SocketAddr,
    pub(crate) operator_addr: std::net::SocketAddr,
    pub(crate) journal: PathBuf,
    pub(crate) cert: PathBuf,
}

/// A gateway that has been started.
pub(crate) struct Starting {
    child: std::process::Child,
}

/// A gateway that serves.
pub(crate) struct Gateway {
    child: std::process::Child,
    pub(crate) ready: Ready,
}

impl House {
    pub(crate) fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let devices: Vec<_> = (1..=DEVICES)
            .map(|n| {
                let key = Key::from_secret(Algorithm::EdDsa, &[n; 32]).unwrap();
                Signer::new(REALM, DeviceId([n; 16]), key)
            })
            .collect();
        let config = format!(
            "realm = \"{REALM}\"\n[alert]\nlisten = \"127.0.0.1:0\"\n[operator]\nlisten = \"127.0.0.1:0\"\n"
        );
        fs::write(folder.path().join("gateway.toml"), config).unwrap();
        let mut csv = "device_id,alg,public_key\n".to_owned();
        for signer in &devices {
            csv += &format!("{},eddsa,{}\n", signer.device(), signer.key().public_hex());
        }
        fs::write(folder.path().join("devices.csv"), csv).unwrap();
        let mut house = Self { folder, devices, token: String::new() };
        house.run(&["device", "import", "devices.csv"]);
        let added =
            house.run(&["subscriber", "add", "--zones", ROOT_ZONE, "--expires", "30d", "--json"]);
        let added: serde_json::Value = serde_json::from_str(&added).unwrap();
        house.token = added["token"].as_str().unwrap().to_owned();
        house
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn devices(&self) -> &[Signer] {
        &self.devices
    }

    /// Everything that the gateways have written to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.args(arguments).args(["--config", "gateway.toml", "--data-dir"]);
        command.arg(self.data()).current_dir(self.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a gateway and does not wait for it.
    pub(crate) fn spawn(&self, environment: &[(String, String)]) -> Starting {
        drop(fs::remove_file(self.path().join("ready")));
        let log: File =
            OpenOptions::new().append(true).create(true).open(self.path().join("log")).unwrap();
        let child = self
            .command(&["serve", "--ready-file", "ready"])
            .envs(environment.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Starting { child }
    }

    /// Starts a gateway and waits until it serves.
    pub(crate) async fn serve(&self, environment: &[(String, String)]) -> Gateway {
        let Starting { mut child } = self.spawn(environment);
        let file = self.path().join("ready");
        let ready = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Ok(text) = fs::read(&file) {
                    return serde_json::from_slice(&text).unwrap();
                }
                if let Some(status) = child.try_wait().unwrap() {
                    panic!("the gateway does not start ({status}): {}", self.log());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        let ready = ready.unwrap_or_else(|_| panic!("not ready in time: {}", self.log()));
        Gateway { child, ready }
    }
}

async fn kill(mut child: std::process::Child) {
    // SIGKILL: nothing of the process runs after it. It may also have ended by itself.
    drop(child.kill());
    child.wait().unwrap();
}

impl Starting {
    pub(crate) async fn kill(self) {
        kill(self.child).await;
    }
}

impl Gateway {
    pub(crate) async fn kill(self) {
        kill(self.child).await;
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        match ended.await {
            Ok(status) => status,
            Err(_) => {
                kill(self.child).await;
                panic!("the gateway did not end by itself");
            }
        }
    }
}
