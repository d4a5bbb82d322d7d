//! The project's own commands: `cargo xtask check | test | demo | bench`.
//!
//! They start the programs as a user would, look at what comes out, and say so. No rule of the gateway lives here.

#![expect(clippy::print_stdout, reason = "a command line program speaks on its standard output")]

mod bench;
mod check;
mod clock;
mod criterion;
mod demo;
mod emulated;
mod imports;
mod links;
mod process;
mod setup;
mod stage;
mod strangers;
mod table;
mod tally;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Formatting, lints, the import rules, licences and advisories, documentation links.
    Check,
    /// Everything that has to hold: the checks, all tests, the strangers, a short demo.
    Test(test::Options),
    /// A felt earthquake under Malang: every press for real, and a report of what became of it.
    Demo(demo::Options),
    /// The numbers of this house, each beside its bound.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = process::watch_signals().and_then(|()| match &arguments.command {
        Task::Check => check::main(),
        Task::Test(options) => test::main(options),
        Task::Demo(options) => demo::main(options),
        Task::Bench(options) => bench::main(options),
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder that holds the workspace, wherever the command was started.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The cargo that runs this command, with an environment like the one at the user's prompt.
///
/// `cargo run` tells its program about its package in variables. Handed down, they would make build scripts that watch
/// them (ring's does) compile again what the user's own cargo had compiled, and then the other way round.
fn cargo() -> std::process::Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
