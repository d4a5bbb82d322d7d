//! The command line: reads arguments, prints answers, and says by its exit code how it went.
//!
//! Exit codes: 0 done, 1 not done, 2 the arguments or the configuration are wrong. Answers go to standard output, and
//! with `--json` they are exactly one JSON value; everything else, logs too, goes to standard error.

mod client;
mod ctl;
mod device;
mod feed;
mod inspect;
mod limits;
mod operator;
mod replay;
mod subscriber;
mod target;
mod token;
mod webhook;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use pipeline::Time;
use ring::rand::{SecureRandom, SystemRandom};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigProblems};
use crate::identity::IdentityError;
use crate::registry::{Store, StoreError};
use crate::serve::{self, ServeError};
use crate::settings::SettingsError;
use crate::zones::ZonesError;
use crate::{bare_echo, clock, files};

/// Takes panic alerts, makes them durable, and puts them before the people who answer.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Configuration file, TOML; without it every key has its default
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where journal, registry and keys are kept, instead of `data_dir` of the configuration
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the zones
    #[command(subcommand)]
    Zones(ZonesCommand),
    /// Look at the policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Look at the routing
    #[command(subcommand)]
    Routing(RoutingCommand),
    /// Receive alerts until told to stop (SIGTERM, SIGINT)
    Serve {
        /// Write a JSON file with addresses and paths there once alerts are received
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Answer every stream with 40 bytes, verifying and storing nothing: the bound for measurements
    #[command(hide = true)]
    BareEcho {
        /// Write a JSON file with the address there once it answers
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Search, answer, judge and block over a gateway's operator address
    Ctl(ctl::CtlArguments),
    /// Enrol and revoke devices, also while a gateway runs
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Print alerts and decisions as they happen, until told to stop (SIGINT, SIGTERM)
    Feed(feed::FeedArguments),
    /// Let people look and decide, each with a role and zones, also while a gateway runs
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Let command centres read the feed, also while a gateway runs
    #[command(subcommand)]
    Subscriber(subscriber::SubscriberCommand),
    /// Have events posted to other services, also while a gateway runs
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every problem, or "ok" and the values in effect
    Check,
}

#[derive(Debug, Subcommand)]
enum ZonesCommand {
    /// Print every problem, or the tree of zones
    Check,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Print every problem, or what is not as it comes with the program
    Check,
    /// Print what another policy would have done to the recorded past, naming each real alert that would have waited
    ///
    /// Messages and what operators decided are read from the journal; the rules decide anew. Nothing is written.
    Replay(replay::ReplayArguments),
}

#[derive(Debug, Subcommand)]
enum RoutingCommand {
    /// Print every problem, or what is not as it comes with the program
    Check,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Exit code 2.
    #[error(transparent)]
    Config(#[from] ConfigProblems),
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 1.
    #[error("{0}")]
    Refused(String),
    /// Exit code 1.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Exit code 1.
    #[error(transparent)]
    Zones(#[from] ZonesError),
    /// Exit code 2.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    BareEcho(#[from] bare_echo::BareEchoError),
    /// Exit code 1.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Usage(_)
            | Self::Zones(_)
            | Self::Settings(_)
            | Self::Serve(
                ServeError::Reload(_) | ServeError::Identity(IdentityError::Pem { .. }),
            ) => 2,
            Self::Refused(_)
            | Self::Store(_)
            | Self::Serve(_)
            | Self::BareEcho(_)
            | Self::Output(_) => 1,
        }
    }
}

/// Does what the process's arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = io::stdout().lock();
    let done = run(arguments, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the answer has seen enough of it.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::FAILURE
        }
        Err(failure) => {
            // Nobody is left to tell if this fails too.
            drop(writeln!(io::stderr(), "{failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let mut config = Config::load(arguments.global.config.as_deref())?;
    if let Some(data_dir) = arguments.global.data_dir {
        config.data_dir = data_dir;
    }
    log_to_stderr(&config.log);
    match arguments.command {
        Command::Config(ConfigCommand::Check) => inspect::check_config(&config, out),
        Command::Zones(ZonesCommand::Check) => inspect::check_zones(&config, out),
        Command::Policy(PolicyCommand::Check) => inspect::check_policy(&config, out),
        Command::Policy(PolicyCommand::Replay(arguments)) => replay::run(arguments, &config, out),
        Command::Routing(RoutingCommand::Check) => inspect::check_routing(&config, out),
        Command::Serve { ready_file } => Ok(serve::run(&config, ready_file.as_deref())?),
        Command::BareEcho { ready_file } => Ok(bare_echo::run(&config, ready_file.as_deref())?),
        Command::Ctl(arguments) => ctl::run(arguments, &config, out),
        Command::Feed(arguments) => feed::run(arguments, &config, out),
        Command::Device(command) => device::run(command, &config, out),
        Command::Operator(command) => operator::run(command, &config, out),
        Command::Subscriber(command) => subscriber::run(command, &config, out),
        Command::Webhook(command) => webhook::run(command, &config, out),
    }
}

fn log_to_stderr(filter: &str) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .finish();
    // In one process only the first can win; commands run once.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// The registry that `config` names, in a data directory that is made if it is not there.
fn open_store(config: &Config) -> Result<Store, Failure> {
    let folder: &Path = &config.data_dir;
    files::create_private_folder(folder)
        .map_err(|error| Failure::Refused(format!("cannot make {}: {error}", folder.display())))?;
    Ok(Store::open(folder)?)
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Failure::Refused("the system has no random numbers".to_owned())),
    }
}

/// RFC 3339 in UTC with milliseconds.
fn text_of(time: Time) -> String {
    let time = UNIX_EPOCH + Duration::from_micros(time.0);
    humantime::format_rfc3339_millis(time).to_string()
}

fn now() -> Time {
    clock::now()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_are_written_with_milliseconds() {
        assert_eq!(text_of(Time(1_700_000_000_123_456)), "2023-11-14T22:13:20.123Z");
    }
}
