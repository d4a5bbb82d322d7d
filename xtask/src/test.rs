//! `cargo xtask test`: everything that has to hold, from whatever is on the machine. `.ci/run` is this command.
//!
//! In order: the checks, the tools, the Rust tests, the strangers (programs in Python that know only our documents), the
//! documented queries, a processor without AVX-512, a short demo. One failure does not stop the rest.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::check::{self, CARGO_LIMIT};
use crate::stage::{Programs, target_folder};
use crate::tally::{Outcome, Tally};
use crate::{cargo, demo, emulated, process, setup, strangers};

/// The longest that all Rust tests together may take, compiling not counted.
const TESTS_LIMIT: Duration = Duration::from_secs(20 * 60);

/// What `test` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Only this part (several with commas); what it needs is set up all the same.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
}

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What `cargo xtask check` does.
    Check,
    /// The Rust tests.
    Rust,
    /// The signature tests on an emulated processor without AVX-512.
    Emulated,
    /// Programs that share no code with us, and the documented queries.
    Strangers,
    /// A short demo.
    Demo,
}

/// Runs everything and prints the counts on the last line.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let mut tally = Tally::default();
    tally.step("setup: programs", setup::programs);
    if wanted(Part::Check) {
        check::all(&mut tally);
    }
    if wanted(Part::Rust) {
        rust_tests(&mut tally);
    }
    if wanted(Part::Emulated) {
        tally.step("without AVX-512", emulated::verify);
    }
    if wanted(Part::Strangers) || wanted(Part::Demo) {
        let programs = programs(&mut tally);
        if let (Some(programs), true) = (&programs, wanted(Part::Strangers)) {
            strangers::all(&mut tally, programs);
        }
        if programs.is_some() && wanted(Part::Demo) {
            tally.step("short demo", short_demo);
        }
    }
    println!("\n{tally}");
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn programs(tally: &mut Tally) -> Option<Programs> {
    let mut programs = None;
    tally.step("build: programs", || {
        programs = Some(Programs::build(false)?);
        Ok(Outcome::Passed(0))
    });
    programs
}

/// Builds every test, then runs them, each counted by what its own harness says.
fn rust_tests(tally: &mut Tally) {
    tally.step("build: tests", || {
        // The programs too: tests of one package start programs of another.
        process::run(
            "cargo build",
            cargo().args(["build", "--workspace", "--locked"]),
            CARGO_LIMIT,
        )?;
        let build = ["test", "--workspace", "--locked", "--no-run", "--quiet"];
        process::run("cargo test --no-run", cargo().args(build), CARGO_LIMIT)?;
        Ok(Outcome::Passed(0))
    });
    let mut counts = Counts::default();
    tally.step("rust tests", || {
        let mut tests = cargo();
        tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        let status =
            process::stream("cargo test", &mut tests, TESTS_LIMIT, |line| counts.read(line))?;
        // Tests that failed are counted below, one by one; this is for what ended without saying so.
        ensure!(status.success() || counts.failed > 0, "cargo test failed ({status})");
        ensure!(counts.passed > 0, "no test ran");
        Ok(Outcome::Passed(0))
    });
    tally.pass(counts.passed);
    if counts.failed > 0 {
        tally.fail(counts.failed, format!("rust tests: {}", counts.names.join(", ")));
    }
    for _ in 0..counts.ignored {
        tally.skip("a rust test is marked ignored".to_owned());
    }
}

/// What the test harnesses reported.
#[derive(Debug, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
    names: Vec<String>,
}

impl Counts {
    /// Takes one line of output into account.
    fn read(&mut self, line: &str) {
        if let Some(name) =
            line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
        {
            self.names.push(name.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']).map(str::trim) {
            let Some((count, what)) = part.split_once(' ') else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// How many tests one harness says that it passed, when it failed none.
pub(crate) fn passed(said: &str) -> Option<u64> {
    let mut counts = Counts::default();
    said.lines().for_each(|line| counts.read(line));
    (counts.failed == 0).then_some(counts.passed)
}

fn short_demo() -> Result<Outcome> {
    let lost = demo::run(&demo::Options::short(target_folder()?.join("demo-short")))?;
    ensure!(lost.is_empty(), "{}", lost.join(", "));
    Ok(Outcome::Passed(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_the_harness_says() {
        let mut counts = Counts::default();
        counts.read("test desk::refuses_nothing ... FAILED");
        counts.read("test result: FAILED. 5 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.02s");
        counts.read("test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (12, 1, 2));
        assert_eq!(counts.names, ["desk::refuses_nothing"]);
    }
}
