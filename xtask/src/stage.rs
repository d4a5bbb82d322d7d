//! A gateway as a user would start it: the built programs, a temporary folder, free ports, a ready file, SIGTERM.
//!
//! Everything runs through the command lines that docs/operations.md describes; nothing is linked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::check::CARGO_LIMIT;
use crate::process::{self, Running};
use crate::{cargo, root};

/// How long a gateway may take from its start until it serves, on a slow and busy machine.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to drain after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long one command line of ours may take: an import, a key, a subscriber, a press.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// The programs of this house, built.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Builds the gateway, the device, the simulator and the load test, with what cargo says shown.
    pub(crate) fn build(release: bool) -> Result<Self> {
        let mut build = cargo();
        build.args(["build", "--locked"]);
        if release {
            build.args([
                "--release",
                "-p",
                "gateway",
                "-p",
                "device",
                "-p",
                "simulator",
                "-p",
                "loadtest",
            ]);
        } else {
            // The whole workspace, as the tests build it: another choice of packages is another choice of features, and
            // would compile the dependencies once more.
            build.arg("--workspace");
        }
        process::run("cargo build", &mut build, CARGO_LIMIT)?;
        Ok(Self { folder: target_folder()?.join(if release { "release" } else { "debug" }) })
    }

    /// Where the program of this name lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A command that runs the program of this name.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        command.current_dir(root());
        command
    }

    /// Runs a program to its end and returns what it wrote, or an error with all of it.
    pub(crate) fn output(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let what = format!("{name} {}", arguments.join(" "));
        let mut command = self.command(name);
        process::capture(&what, command.args(arguments), COMMAND_LIMIT)?.success(&what)
    }
}

/// Cargo's folder for what it builds, wherever the user has put it.
pub(crate) fn target_folder() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
    let text = process::capture("cargo metadata", &mut metadata, CARGO_LIMIT)?
        .success("cargo metadata")?;
    let metadata: Metadata = serde_json::from_str(&text)?;
    Ok(metadata.target_directory)
}

/// What a gateway writes into its ready file once it serves.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ready {
    /// The process.
    pub(crate) pid: u32,
    /// Where presses arrive, over QUIC.
    pub(crate) alert_addr: String,
    /// Where the feed is read, over HTTP.
    pub(crate) operator_addr: String,
    /// Path of the journal.
    pub(crate) journal: String,
    /// Path of the search index.
    pub(crate) search: String,
    /// Path of the certificate that senders have to trust.
    pub(crate) cert: String,
    /// The deployment's name, in hex.
    pub(crate) realm: String,
}

/// A folder with a configuration in which a gateway can be started, stopped and started again.
#[derive(Debug)]
pub(crate) struct Site {
    programs: Programs,
    folder: PathBuf,
    config: PathBuf,
}

impl Site {
    /// Writes a configuration with free ports on the loopback address and its data in `folder`, and has it checked.
    pub(crate) fn prepare(programs: &Programs, folder: &Path) -> Result<Self> {
        Self::prepare_with(programs, folder, "")
    }

    /// The same with more lines of configuration.
    pub(crate) fn prepare_with(programs: &Programs, folder: &Path, lines: &str) -> Result<Self> {
        let config = folder.join("gateway.toml");
        let data = folder.join("data");
        let text = format!(
            "data_dir = {:?}\n\n[alert]\nlisten = \"127.0.0.1:0\"\n\n[operator]\nlisten = \"127.0.0.1:0\"\n{lines}",
            data.display().to_string()
        );
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let site = Self { programs: programs.clone(), folder: folder.to_owned(), config };
        site.gateway(&["config", "check"])?;
        Ok(site)
    }

    /// Runs a command of the gateway's command line with this configuration and returns what it wrote.
    pub(crate) fn gateway(&self, arguments: &[&str]) -> Result<String> {
        let config = self.config.display().to_string();
        let with_config = [arguments, &["--config", &config]].concat();
        self.programs.output("gateway", &with_config)
    }

    /// Makes a subscriber for `zones` (several with commas) and returns its token.
    pub(crate) fn subscriber(&self, zones: &str) -> Result<String> {
        self.token(&["subscriber", "add", "--zones", zones, "--expires", "30d"])
    }

    /// Makes a token of this role for `zones` (several with commas), with more options, and returns it.
    pub(crate) fn operator(
        &self,
        name: &str,
        role: &str,
        zones: &str,
        more: &[&str],
    ) -> Result<String> {
        let who = ["operator", "add", "--name", name, "--role", role];
        self.token(&[who.as_slice(), &["--zones", zones], more].concat())
    }

    fn token(&self, arguments: &[&str]) -> Result<String> {
        #[derive(Deserialize)]
        struct Made {
            token: String,
        }
        let text = self.gateway(&[arguments, &["--json"]].concat())?;
        let made: Made = serde_json::from_str(&text).context("no token")?;
        Ok(made.token)
    }

    /// Starts the gateway on these processor cores (on all of them when none is named) and waits until it serves.
    pub(crate) fn serve(&self, cores: &[usize]) -> Result<Gateway> {
        self.start("serve", cores)
    }

    /// Starts the gateway's bare echo, the bound of measurements, in the same way.
    pub(crate) fn bare_echo(&self, cores: &[usize]) -> Result<Gateway> {
        self.start("bare-echo", cores)
    }

    fn start(&self, what: &str, cores: &[usize]) -> Result<Gateway> {
        let ready_file = self.folder.join("ready.json");
        if ready_file.exists() {
            fs::remove_file(&ready_file)?;
        }
        let log_file = self.log_file();
        let log = File::options().create(true).append(true).open(&log_file)?;
        let mut command = process::tied(&self.programs.path("gateway"));
        command.current_dir(&self.folder).stdin(std::process::Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        command.arg(what).arg("--config").arg(&self.config).arg("--ready-file").arg(&ready_file);
        let running = process::bound_to(cores, || Running::start(what, &mut command))?;
        let mut gateway = Starting { running, ready_file, log_file };
        gateway.wait()?;
        gateway.served()
    }

    /// What the gateway has said so far.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }
}

struct Starting {
    running: Running,
    ready_file: PathBuf,
    log_file: PathBuf,
}

impl Starting {
    /// The ready file is written atomically, so its presence is enough.
    fn wait(&mut self) -> Result<()> {
        let Self { running, ready_file, .. } = self;
        let served = process::until("the gateway to serve", READY_LIMIT, || {
            if let Some(status) = running.exited()? {
                bail!("the gateway ended before it served ({status})");
            }
            Ok(ready_file.exists().then_some(()))
        });
        served.with_context(|| self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log_file).unwrap_or_default()
    }

    fn served(self) -> Result<Gateway> {
        let text = fs::read_to_string(&self.ready_file)?;
        let ready = serde_json::from_str(&text).with_context(|| format!("ready file: {text}"))?;
        Ok(Gateway { running: self.running, ready, log_file: self.log_file })
    }
}

/// A gateway that serves. It is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Gateway {
    running: Running,
    /// Where it serves and what it wrote for others to use.
    pub(crate) ready: Ready,
    log_file: PathBuf,
}

impl Gateway {
    /// Its metrics as they stand, in Prometheus' text.
    pub(crate) fn metrics(&self) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "10"]);
        curl.arg(format!("http://{}/metrics", self.ready.operator_addr));
        process::capture("curl", &mut curl, COMMAND_LIMIT)?.success("curl metrics")
    }

    /// Stops it the orderly way; it has to drain and end with success.
    pub(crate) fn stop(self) -> Result<ExitStatus> {
        let status = self.running.terminate(STOP_LIMIT)?;
        if !status.success() {
            let log = fs::read_to_string(&self.log_file).unwrap_or_default();
            bail!("the gateway did not drain cleanly ({status})\n{log}");
        }
        Ok(status)
    }
}
