//! Reads the policy that the configuration names, whole or not at all.

use std::borrow::Cow;
use std::io;

use pipeline::policy::Policy;
use pipeline::settings::Problem;

use crate::config::PolicyConfig;

/// The policy that comes with this program: every key with its default.
const EMBEDDED: &str = include_str!("../../config/policy.toml");

/// Why there is no policy. The text names the file and every problem of it.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("policy {name}: {source}")]
    Unread {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file states no policy that could be in force.
    #[error("policy {name}: {}", listed(problems))]
    Problems {
        /// The file.
        name: String,
        /// Every problem of it.
        problems: Vec<Problem>,
    },
}

/// The text of the policy that `config` names.
///
/// # Errors
/// If the file cannot be read.
pub fn text(config: &PolicyConfig) -> Result<Cow<'static, str>, PolicyError> {
    let Some(file) = &config.file else { return Ok(Cow::Borrowed(EMBEDDED)) };
    let text = std::fs::read_to_string(file);
    text.map(Cow::Owned).map_err(|source| PolicyError::Unread { name: name(config), source })
}

/// The policy that `config` names, with the process's environment over it.
///
/// # Errors
/// If the file cannot be read, or every problem that it has.
pub fn load(config: &PolicyConfig) -> Result<Policy, PolicyError> {
    parse(&text(config)?, config)
}

/// The policy that `text` of the file that `config` names states, with the process's environment over it.
///
/// # Errors
/// Every problem that it has.
pub fn parse(text: &str, config: &PolicyConfig) -> Result<Policy, PolicyError> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        // A value that is not text is kept as far as it is, so that its key's check refuses it.
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    Policy::read(text, variables)
        .map_err(|problems| PolicyError::Problems { name: name(config), problems })
}

fn name(config: &PolicyConfig) -> String {
    config.file.as_ref().map_or_else(|| "embedded".to_owned(), |file| file.display().to_string())
}

fn listed(problems: &[Problem]) -> String {
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    let lines: Vec<_> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    format!("{} {noun}{}", lines.len(), lines.concat())
}
