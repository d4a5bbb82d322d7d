//! The build uses AVX-512 where the processor has it. Here the tests that check signatures run on an emulated processor
//! that has not, so that nobody finds out in production that the choice is not made at run time.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::check::CARGO_LIMIT;
use crate::tally::Outcome;
use crate::test::passed;
use crate::{cargo, process};

/// The emulator. Its own code generator knows no AVX-512, whatever this machine has.
const EMULATOR: &str = "qemu-x86_64-static";
/// The processor it plays: AVX2, no AVX-512.
const PROCESSOR: &str = "Haswell";
/// Emulation is some ten times slower.
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// The package whose unit tests check signatures the way the intake does, and the part of their names to run.
const PACKAGE: &str = "gateway";
const TESTS: &str = "verify";

/// Runs the signature tests of the gateway under the emulator; at least one has to run.
pub(crate) fn verify() -> Result<Outcome> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(Outcome::Passed(0));
    }
    if !process::on_path(EMULATOR) {
        return Ok(Outcome::Skipped(format!("{EMULATOR} is missing (qemu-user-static)")));
    }
    let mut emulator = Command::new(EMULATOR);
    emulator.args(["-cpu", PROCESSOR]).arg(unit_tests()?).args([TESTS, "--test-threads", "1"]);
    // The emulator names the features it lacks at each start; what counts is what the tests say.
    let captured = process::capture(EMULATOR, &mut emulator, LIMIT)?;
    let said = captured.success(EMULATOR)?;
    let passed = passed(&said).with_context(|| format!("no test result in: {said}"))?;
    ensure!(passed > 0, "no test has {TESTS:?} in its name");
    println!("{passed} signature tests passed on an emulated {PROCESSOR}");
    Ok(Outcome::Passed(passed))
}

/// The program that holds the package's unit tests. The whole workspace is named so that it is the one the tests built.
fn unit_tests() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["test", "--workspace", "--lib", "--no-run", "--locked", "--quiet"]);
    build.args(["--message-format", "json"]);
    let text = process::capture("cargo test --no-run", &mut build, CARGO_LIMIT)?
        .success("cargo test --no-run")?;
    text.lines()
        .filter_map(|line| serde_json::from_str::<Built>(line).ok())
        .find(|built| built.target.name == PACKAGE)
        .and_then(|built| built.executable)
        .with_context(|| format!("cargo built no unit tests of {PACKAGE}"))
}

/// What cargo says of something it built.
#[derive(Deserialize)]
struct Built {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}
