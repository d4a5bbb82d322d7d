//! Settings that have a file of their own and can change while the gateway serves: the policy and the routing. Each is
//! read whole or not at all, from the file that the configuration names or from what comes with this program.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use pipeline::policy::Policy;
use pipeline::settings::Problem;
use pipeline::{Routing, Zones};

use crate::config;

/// What can be read from a file of settings.
pub trait Settings: Sized {
    /// What log, errors and metrics call it.
    const NAME: &'static str;
    /// The gauge of how often it has changed.
    const GENERATION: &'static str;
    /// What comes with this program.
    const EMBEDDED: &'static str;
    /// What it must fit.
    type Basis;

    /// The value that `text` and `variables` state.
    ///
    /// # Errors
    /// Every problem at once.
    fn read(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        basis: &Self::Basis,
    ) -> Result<Self, Vec<Problem>>;

    /// Every key whose value differs, with the value here and in `new`.
    fn differences(&self, new: &Self) -> Vec<String>;
}

impl Settings for Policy {
    const NAME: &'static str = "policy";
    const GENERATION: &'static str = "gateway_policy_generation";
    const EMBEDDED: &'static str = include_str!("../../config/policy.toml");
    type Basis = ();

    fn read(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        (): &(),
    ) -> Result<Self, Vec<Problem>> {
        Self::read(text, variables)
    }

    fn differences(&self, new: &Self) -> Vec<String> {
        self.differences(new)
    }
}

impl Settings for Routing {
    const NAME: &'static str = "routing";
    const GENERATION: &'static str = "gateway_routing_generation";
    const EMBEDDED: &'static str = include_str!("../../config/routing.toml");
    type Basis = Zones;

    fn read(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        zones: &Zones,
    ) -> Result<Self, Vec<Problem>> {
        Self::read(text, variables, zones)
    }

    fn differences(&self, new: &Self) -> Vec<String> {
        self.differences(new)
    }
}

/// Why there are no settings. The text names the file and every problem of it.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{what} {file}: {source}")]
    Unread {
        /// Which settings.
        what: &'static str,
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file states nothing that could be in force.
    #[error("{what} {file}: {}", listed(problems))]
    Problems {
        /// Which settings.
        what: &'static str,
        /// The file.
        file: String,
        /// Every problem of it.
        problems: Vec<Problem>,
    },
}

/// The text of `file`, or what comes with this program.
///
/// # Errors
/// If the file cannot be read.
pub fn text<S: Settings>(file: Option<&Path>) -> Result<Cow<'static, str>, SettingsError> {
    let Some(path) = file else { return Ok(Cow::Borrowed(S::EMBEDDED)) };
    let unread = |source| SettingsError::Unread { what: S::NAME, file: name(file), source };
    std::fs::read_to_string(path).map(Cow::Owned).map_err(unread)
}

/// The settings in `file`, or what comes with this program, with the process's environment over them.
///
/// # Errors
/// If the file cannot be read, or every problem that it has.
pub fn load<S: Settings>(file: Option<&Path>, basis: &S::Basis) -> Result<S, SettingsError> {
    parse(&text::<S>(file)?, file, basis)
}

/// What comes with this program, whatever the environment says.
///
/// # Errors
/// If it does not fit `basis`.
pub fn embedded<S: Settings>(basis: &S::Basis) -> Result<S, SettingsError> {
    S::read(S::EMBEDDED, [], basis).map_err(|problems| wrong::<S>(None, problems))
}

/// The settings that `text` of `file` states, with the process's environment over them.
///
/// # Errors
/// Every problem that it has.
pub fn parse<S: Settings>(
    text: &str,
    file: Option<&Path>,
    basis: &S::Basis,
) -> Result<S, SettingsError> {
    S::read(text, config::variables(), basis).map_err(|problems| wrong::<S>(file, problems))
}

fn wrong<S: Settings>(file: Option<&Path>, problems: Vec<Problem>) -> SettingsError {
    SettingsError::Problems { what: S::NAME, file: name(file), problems }
}

fn name(file: Option<&Path>) -> String {
    file.map_or_else(|| "embedded".to_owned(), |file| file.display().to_string())
}

fn listed(problems: &[Problem]) -> String {
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    let lines: Vec<_> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    format!("{} {noun}{}", lines.len(), lines.concat())
}
