//! The command line: what can be asked of this tool, and what each mistake is called.
//!
//! Mistakes that can be seen before anything is sent end with exit code 2, a target that cannot be reached with 4.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use device::{Trust, TrustError};
use protocol::{Algorithm, DeviceId, Realm};

use crate::connections::{Mode, Target};
use crate::feeds::Behaviour;
use crate::flood::{FIRST_ADDRESS, Flood, FloodError, Kind};

/// Open-loop load for a Kentongan gateway: presses are sent when a person would press, whatever happened to earlier
/// ones, and every one of them is accounted for.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replay a scenario's presses when they are due and judge the gateway by its objectives.
    Run(Box<RunArgs>),
    /// Find the highest throughput with a closed loop of waiting workers (no verdict).
    Saturate(Box<SaturateArgs>),
    /// Open feeds and leave them idle, stall them, or read one from the beginning (no verdict).
    Feeds(FeedsArgs),
    /// Open connections, leave them idle, and report the gateway's memory for each.
    Idle(IdleArgs),
    /// Throw a known amount of junk at a gateway on this machine, and hold its replies against their bound.
    Flood(FloodArgs),
}

/// The gateway under load.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// Alert address, host:port (`alert_addr` in the gateway's ready file).
    #[arg(long, value_name = "HOST:PORT")]
    pub gateway: String,
    /// Certificate to trust, PEM (`cert` in the ready file).
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
    /// The gateway's process, to measure its processor time and memory.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Bind this tool to one processor.
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
}

/// Whose presses are sent.
#[derive(Debug, Clone, Args)]
pub struct CityArgs {
    /// Scenario: a name that comes with the program, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: String,
    /// Seed of the scenario's random choices.
    #[arg(long, value_name = "N")]
    pub seed: u64,
    /// The population that `simulator population` wrote, whose devices are enrolled.
    #[arg(long, value_name = "PATH")]
    pub population: PathBuf,
    /// The deployment that signatures count in, 32 hexadecimal digits (`realm` in the ready file).
    #[arg(long, value_name = "HEX")]
    pub realm: Realm,
    /// At most so many presses, spread evenly over the timeline; for a closed loop, how many there are to send.
    #[arg(long, value_name = "N")]
    pub presses: Option<u32>,
}

/// Options of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The gateway.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The presses.
    #[command(flatten)]
    pub city: CityArgs,
    /// Operator address, host:port or URL (`operator_addr` in the ready file).
    #[arg(long, value_name = "URL")]
    pub operator: String,
    /// A subscriber's token that covers every zone.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub token: String,
    /// The objectives, a TOML file (config/slo).
    #[arg(long, value_name = "FILE")]
    pub slo: PathBuf,
    /// Where to write report.json, report.html and latency.hlog.
    #[arg(long, value_name = "DIR")]
    pub report: PathBuf,
    /// Play the timeline this many times faster than the city presses.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub speed: f64,
    /// Spoil this share (0 to 1) of the signatures; exactly those must come back refused.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub corrupt: f64,
    /// How presses are spread over connections: per-press or relay:K.
    #[arg(
        long,
        value_name = "MODE",
        help = "How presses are spread over connections: per-press or relay:K [default: the scenario's]"
    )]
    pub connections: Option<Mode>,
    /// Put a mobile network in front of the gateway: 4g, crowded-cell, edge, rural-2g, udp-blocked, cgnat, or the path of a
    /// network file. Each connection is then a phone with a socket of its own.
    #[arg(long, value_name = "NAME|FILE")]
    pub network: Option<String>,
    /// Resume connections and send in the first packet where a ticket allows it.
    #[arg(long)]
    pub zero_rtt: bool,
    /// The gateway's metrics page, to balance against its own counters.
    #[arg(long, value_name = "URL")]
    pub metrics: Option<String>,
    /// More subscribers, a line each: a token, a blank, its zones with commas. Who should see what is worked out from
    /// --zones; the gateway's routing must page no border (`border_m = 0`).
    #[arg(long, value_name = "FILE", requires = "zones")]
    pub audience: Option<PathBuf>,
    /// The zones that the gateway goes by, GeoJSON.
    #[arg(long, value_name = "FILE", requires = "audience")]
    pub zones: Option<PathBuf>,
    /// A name for the report.
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
}

/// Options of `feeds`.
#[derive(Debug, Clone, Args)]
pub struct FeedsArgs {
    /// Operator address, host:port or URL (`operator_addr` in the ready file).
    #[arg(long, value_name = "URL")]
    pub operator: String,
    /// A subscriber's token.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub token: String,
    /// What is done with them.
    #[arg(long, value_enum)]
    pub behaviour: Behaviour,
    /// How many; `drain` and `watch` open one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub feeds: usize,
    /// How long idle and stalled ones are kept; how long `drain` waits for another event, and `watch`
    /// for another change.
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// `drain` ends after so many events; by default when no more come.
    #[arg(long, value_name = "N")]
    pub events: Option<u64>,
    /// The gateway's process, to measure its memory.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Bind this tool to one processor.
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Where to write what was found, as JSON; standard output gets it too.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How a closed loop connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Warmth {
    /// A new connection for each alert.
    Cold,
    /// A few connections that stay, with many alerts in flight.
    Warm,
}

/// Options of `saturate`.
#[derive(Debug, Clone, Args)]
pub struct SaturateArgs {
    /// The gateway.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The presses; their instants are not used.
    #[command(flatten)]
    pub city: CityArgs,
    /// New connections, or warm ones.
    #[arg(long, value_enum)]
    pub mode: Warmth,
    /// How long.
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Warm connections.
    #[arg(long, value_name = "K", default_value_t = 64)]
    pub relays: usize,
    /// Presses in flight; by default 64 cold and 16 for each warm connection.
    #[arg(long, value_name = "N")]
    pub in_flight: Option<usize>,
    /// No more than so many sends a second, for a load of a known size; by default as fast as receipts come.
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Of what a device sends after its first press, this share are updates of it, from 0 to 1; the feed is not read then.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, conflicts_with = "operator")]
    pub updates: f64,
    /// Operator address; with it and a token, the feed is read too.
    #[arg(long, value_name = "URL", requires = "token")]
    pub operator: Option<String>,
    /// A subscriber's token that covers every zone.
    #[arg(long, value_name = "TOKEN", requires = "operator", allow_hyphen_values = true)]
    pub token: Option<String>,
    /// The target is a bare echo; its answers are not read as receipts.
    #[arg(long)]
    pub bare: bool,
    /// A bare echo to measure first, as the bound of this run.
    #[arg(long, value_name = "HOST:PORT", requires = "bound_ca")]
    pub bound_gateway: Option<String>,
    /// The bare echo's certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "bound_gateway")]
    pub bound_ca: Option<PathBuf>,
    /// The bare echo's process.
    #[arg(long, value_name = "PID")]
    pub bound_pid: Option<u32>,
    /// Where to write what was found, as JSON; standard output gets it too.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `idle`.
#[derive(Debug, Clone, Args)]
pub struct IdleArgs {
    /// The gateway; its process must be given.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub connections: usize,
}

/// Options of `flood`.
#[derive(Debug, Clone, Args)]
pub struct FloodArgs {
    /// Alert address; a flood goes only to 127.0.0.0/8.
    #[arg(long, value_name = "HOST:PORT")]
    pub gateway: SocketAddr,
    /// What is thrown.
    #[arg(long, value_enum)]
    pub kind: Kind,
    /// Packets, or messages, a second.
    #[arg(long, value_name = "N")]
    pub rate: u32,
    /// How long.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Loopback addresses that it comes from, each with a socket of its own.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub addresses: u32,
    /// The first of them.
    #[arg(long, value_name = "IP", default_value_t = FIRST_ADDRESS)]
    pub from: Ipv4Addr,
    /// Seed of the random choices.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How long to wait for the last replies.
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = humantime::parse_duration)]
    pub linger: Duration,
    /// For bad signatures: the certificate to trust, PEM (`cert` in the ready file).
    #[arg(long, value_name = "FILE", required_if_eq("kind", "bad-signatures"))]
    pub ca: Option<PathBuf>,
    /// For bad signatures: the device that they claim to be; one that is enrolled for --alg has them checked.
    #[arg(long, value_name = "HEX", default_value = "00000000000000000000000000000000")]
    pub device_id: DeviceId,
    /// For bad signatures: es256 or eddsa.
    #[arg(long, default_value = "es256", value_parser = algorithm)]
    pub alg: Algorithm,
    /// Bind this tool to one processor.
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Where to write what was found, as JSON; standard output gets it too.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What is wrong with what was typed.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The host has no address.
    #[error("--gateway {0}: expected host:port with a host that has an address")]
    Address(String),
    /// The certificate cannot be used.
    #[error("--ca: {0}")]
    Trust(#[from] TrustError),
    /// A number that makes no sense.
    #[error("--{option} {value}: {expected}")]
    Number {
        /// The option.
        option: &'static str,
        /// What it was given.
        value: String,
        /// What it needs.
        expected: &'static str,
    },
    /// Something is missing.
    #[error("{0}")]
    Missing(&'static str),
}

impl TargetArgs {
    /// The target, with its name looked up and its certificate read.
    ///
    /// # Errors
    /// When the host has no address or the certificate cannot be used.
    pub fn target(&self, zero_rtt: bool, bare: bool) -> Result<Target, UsageError> {
        target(&self.gateway, &self.ca, zero_rtt, bare)
    }
}

impl FloodArgs {
    /// The flood, within its bounds.
    ///
    /// # Errors
    /// When it would go to another machine, or pass a bound.
    pub fn flood(&self) -> Result<Flood, FloodError> {
        let Self { kind, gateway: target, rate, duration, addresses, from, seed, .. } = *self;
        let flood = Flood { kind, target, rate, duration, addresses, from, seed };
        flood.check().map(|()| flood)
    }
}

impl SaturateArgs {
    /// The bare echo that bounds this run, if one was named.
    ///
    /// # Errors
    /// When the host has no address or the certificate cannot be used.
    pub fn bound_target(&self) -> Result<Option<Target>, UsageError> {
        let (Some(gateway), Some(ca)) = (&self.bound_gateway, &self.bound_ca) else {
            return Ok(None);
        };
        target(gateway, ca, false, true).map(Some)
    }

    /// How presses are spread over connections.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.mode {
            Warmth::Cold => Mode::PerPress,
            Warmth::Warm => Mode::Relay(self.relays.max(1)),
        }
    }

    /// Presses in flight at any time.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let usual = match self.mode {
            Warmth::Cold => 64,
            Warmth::Warm => self.relays.max(1) * 16,
        };
        self.in_flight.unwrap_or(usual).max(1)
    }
}

fn algorithm(name: &str) -> Result<Algorithm, &'static str> {
    Algorithm::from_name(name).ok_or("expected es256 or eddsa")
}

fn target(
    gateway: &str,
    ca: &std::path::Path,
    zero_rtt: bool,
    bare: bool,
) -> Result<Target, UsageError> {
    let unknown = || UsageError::Address(gateway.to_owned());
    let address: SocketAddr =
        gateway.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(unknown)?;
    let (host, _) = gateway.rsplit_once(':').ok_or_else(unknown)?;
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let trust = Trust::from_pem_file(ca)?;
    Ok(Target { address, name, trust, zero_rtt, own_sockets: false, bare })
}

/// `http://` in front of an address that has no scheme.
#[must_use]
pub fn url(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("http://{text}") }
}

/// What was typed, as one can type it again; tokens are left out.
#[must_use]
pub fn typed(arguments: impl Iterator<Item = String>) -> String {
    let mut words = Vec::new();
    let mut secret = false;
    for word in arguments {
        if secret {
            words.push("TOKEN".to_owned());
        } else if word.starts_with("--token=") {
            words.push("--token=TOKEN".to_owned());
        } else {
            words.push(quoted(&word));
        }
        secret = word == "--token";
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_token_may_begin_like_an_option() {
        let line = "loadtest run --gateway 127.0.0.1:1 --ca c --scenario s --seed 1 --population p --realm \
                    00000000000000000000000000000000 --operator o --token -3cret --slo s --report r";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Run(args) = cli.command else { panic!("{cli:?}") };
        assert_eq!(args.token, "-3cret");
    }

    #[test]
    fn what_was_typed_can_be_typed_again_but_holds_no_token() {
        let words = ["loadtest", "run", "--label", "a b", "--token", "s3cret", "--token=s3cret"];
        let text = typed(words.into_iter().map(str::to_owned));
        assert_eq!(text, "loadtest run --label 'a b' --token TOKEN --token=TOKEN");
    }

    #[test]
    fn names_the_host_that_a_certificate_must_carry() {
        for (gateway, ok) in [("nowhere", false), ("127.0.0.1:x", false)] {
            let missing = std::path::Path::new("/nowhere");
            let error = target(gateway, missing, false, false).unwrap_err();
            assert_eq!(matches!(error, UsageError::Trust(_)), ok, "{error}");
        }
        let error = target("[::1]:4433", std::path::Path::new("/nowhere"), false, false);
        assert!(matches!(error, Err(UsageError::Trust(_))));
        assert_eq!(url("127.0.0.1:80"), "http://127.0.0.1:80");
    }
}
