//! schemathesis against the operators' interface, with nothing to go by but the description that the gateway serves.
//!
//! It makes requests that fit the description and requests that do not, follows the description's links, and holds every
//! answer against it. It learns few ids by itself, so it runs with the ids of an alert and a device too.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process;
use crate::tally::Outcome;

/// The longest that one run may take; it needs a tenth of that.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// Requests for each operation and phase; a hundred and fifty found nothing more and took five times as long.
const EXAMPLES: &str = "20";

/// Every run tries the same; another seed may find what this one does not.
const SEED: &str = "20260301";

/// An alert and a device that are there.
pub(super) struct Known<'a> {
    /// The id of an alert.
    pub(super) alert: &'a str,
    /// The id of a device.
    pub(super) device: &'a str,
}

impl Known<'_> {
    /// Sends these ids wherever the description asks for one.
    fn settings(&self) -> String {
        let Self { alert, device } = self;
        format!(
            "[[operations]]\n\
             include-operation-id = [\"showAlert\", \"giveVerdict\"]\n\
             parameters = {{ \"path.id\" = \"{alert}\" }}\n\n\
             [[operations]]\n\
             include-operation-id = [\"showDevice\", \"blockDevice\", \"unblockDevice\", \"appealForDevice\"]\n\
             parameters = {{ \"path.id\" = \"{device}\" }}\n"
        )
    }
}

/// Runs it with `token` against the operator's address, every phase and every check.
pub(super) fn run(
    python: &Path,
    operator_addr: &str,
    token: &str,
    known: Option<&Known<'_>>,
) -> Result<Outcome> {
    // It leaves files in the folder that it runs in.
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("schemathesis.toml");
    fs::write(&settings, known.map(Known::settings).unwrap_or_default())?;
    let mut fuzz = Command::new(python.with_file_name("schemathesis"));
    fuzz.current_dir(folder.path()).arg("--config-file").arg(&settings).arg("run");
    fuzz.arg(format!("http://{operator_addr}/v1/openapi.json"));
    fuzz.args(["--header", &format!("Authorization: Bearer {token}")]);
    fuzz.args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"]);
    fuzz.args(["--max-examples", EXAMPLES, "--seed", SEED, "--generation-database", "none"]);
    fuzz.args(["--continue-on-failure", "--request-timeout", "10", "--no-color"]);
    // Whether a run is slow is no question of a test.
    fuzz.args(["--suppress-health-check", "all"]);
    let said =
        process::capture("schemathesis", &mut fuzz, RUN_LIMIT)?.success("schemathesis run")?;
    let counts = said.lines().find(|line| line.contains(" generated, "));
    ensure!(counts.is_some_and(|line| line.contains(" passed")), "nothing was tried:\n{said}");
    println!("schemathesis: {}", counts.unwrap_or_default().trim());
    Ok(Outcome::Passed(1))
}
