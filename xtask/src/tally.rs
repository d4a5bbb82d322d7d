//! What passed and what failed, so that one failure never hides the next.

use std::fmt;

use anyhow::Result;

use crate::clock::Stopwatch;
use crate::process;

/// The outcome of one step.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It did what it should; how many single tests it stands for.
    Passed(u64),
    /// It could not run here, and why. On CI this is a failure.
    Skipped(String),
}

/// The outcomes so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failures: Vec<String>,
    failed: u64,
    skips: Vec<String>,
}

impl Tally {
    /// Does one step, says so, and remembers how it ended. After an interruption nothing more is done.
    pub(crate) fn step(&mut self, name: &str, step: impl FnOnce() -> Result<Outcome>) {
        if process::interrupted() {
            return;
        }
        println!("\n== {name}");
        let watch = Stopwatch::start();
        match step() {
            Ok(Outcome::Passed(count)) => self.passed += count,
            Ok(Outcome::Skipped(why)) => self.skip(format!("{name}: {why}")),
            Err(error) => self.fail(1, format!("{name}: {error:#}")),
        }
        println!("== {name}: {:.1} s", watch.elapsed().as_secs_f64());
    }

    /// Remembers a failure that stands for `count` tests.
    pub(crate) fn fail(&mut self, count: u64, what: String) {
        println!("FAILED {what}");
        self.failed += count;
        self.failures.push(what);
    }

    /// Remembers tests that passed.
    pub(crate) fn pass(&mut self, count: u64) {
        self.passed += count;
    }

    /// Remembers something that could not be done. Where CI runs, everything has to be done.
    pub(crate) fn skip(&mut self, what: String) {
        if on_ci() {
            self.fail(1, format!("{what} (skipped, which on CI is a failure)"));
        } else {
            println!("SKIPPED {what}");
            self.skips.push(what);
        }
    }

    /// Whether nothing failed and nobody interrupted.
    pub(crate) fn is_good(&self) -> bool {
        self.failed == 0 && !process::interrupted()
    }
}

/// The skips and failures again, one after the other, then the counts alone on the last line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skip in &self.skips {
            writeln!(f, "skipped: {skip}")?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        if process::interrupted() {
            writeln!(f, "interrupted before the end")?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Whether a continuous integration service runs this.
pub(crate) fn on_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
