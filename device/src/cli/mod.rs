//! The commands, and what their exit codes mean.
//!
//! Standard output carries the result and nothing else, so that scripts can read it; remarks and errors go to standard
//! error. Randomness and clocks are read here and in `clock`, and handed to the library as arguments.

mod keys;
mod press;
mod words;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A device that calls for help: signs a press and sends it until there is a receipt.
#[derive(Debug, Parser)]
#[command(name = "device", version)]
#[command(after_help = "Exit codes: 0 received, 1 refused or no receipt by the deadline, \
                        2 wrong usage or files, 4 gateway cannot be reached.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a signing key, as PKCS#8 in PEM that only its owner can read
    Keygen(keys::Keygen),
    /// Show what a gateway needs to enrol a key: its algorithm and public half
    Public(keys::Public),
    /// Raise an alert and wait for its receipt
    Press(Box<press::Press>),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Refused, or no receipt by the deadline.
    Failed,
    /// Nobody answered at the given address.
    Unreachable,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::from(1),
            Outcome::Unreachable => Self::from(4),
        }
    }
}

/// Wrong usage or files.
const EXIT_USAGE: u8 = 2;

pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Keygen(keygen) => keygen.run(),
        Command::Public(public) => public.run(),
        Command::Press(press) => press.run(),
    };
    outcome.map_or_else(
        |error| {
            remark(&format!("error: {error:#}"));
            ExitCode::from(EXIT_USAGE)
        },
        ExitCode::from,
    )
}

/// The result, on standard output. A reader that has gone away changes nothing about the press.
fn say(text: &str) {
    if writeln!(io::stdout(), "{text}").is_err() {
        tracing::debug!("nobody reads standard output");
    }
}

/// Everything else, on standard error.
fn remark(text: &str) {
    if writeln!(io::stderr(), "{text}").is_err() {
        tracing::debug!("nobody reads standard error");
    }
}
