//! `cargo xtask check`: what can be said about the source without running it. Every failure is collected and printed.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process;
use crate::tally::{Outcome, Tally};
use crate::{cargo, imports, links, root};

/// The longest a single cargo command may take, from cold on two slow cores.
pub(crate) const CARGO_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Runs every check, then says how many failed.
pub(crate) fn main() -> Result<ExitCode> {
    let mut tally = Tally::default();
    all(&mut tally);
    println!("\n{tally}");
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds the outcome of every check to `tally`.
pub(crate) fn all(tally: &mut Tally) {
    tally.step("check: formatting", || passes(cargo().args(["fmt", "--all", "--check"])));
    tally.step("check: import rules", imports::prove);
    tally.step("check: links between documents", || links::check(&root()));
    tally.step("check: licences and advisories", deny);
    tally.step("check: lints", || {
        let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
        passes(cargo().args(clippy))
    });
    tally.step("check: documentation", || {
        let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"];
        passes(cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"))
    });
}

/// `cargo deny` as far as this machine allows: advisories need the network, the rest does not.
fn deny() -> Result<Outcome> {
    ensure!(root().join("deny.toml").is_file(), "deny.toml is missing");
    if !process::on_path("cargo-deny") {
        println!("not installed, skipped: cargo install cargo-deny");
        return Ok(Outcome::Passed(0));
    }
    passes(cargo().args(["deny", "--log-level", "error", "check"]))
}

fn passes(command: &mut Command) -> Result<Outcome> {
    let name = command
        .get_args()
        .next()
        .map_or_else(String::new, |argument| format!("cargo {}", argument.to_string_lossy()));
    process::run(&name, command, CARGO_LIMIT)?;
    Ok(Outcome::Passed(1))
}
