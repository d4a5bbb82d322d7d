//! Command line of `device`: make a key, show its public half, press.

mod cli;
mod clock;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
