//! Reads the zones that the configuration names, whole or not at all.

use std::io;

use pipeline::{ZoneProblem, Zones};

use crate::config::ZonesConfig;

/// Why there are no zones. The text names the file and every problem of it.
#[derive(Debug, thiserror::Error)]
pub enum ZonesError {
    /// The file cannot be read.
    #[error("{name}: {source}")]
    Unread {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no tree of zones.
    #[error("{name}: {}", listed(problems))]
    Problems {
        /// The file.
        name: String,
        /// Every problem of it.
        problems: Vec<ZoneProblem>,
    },
}

/// The zones that `config` names.
///
/// # Errors
/// If the file cannot be read, or every problem that it has.
pub fn load(config: &ZonesConfig) -> Result<Zones, ZonesError> {
    let name = || match &config.file {
        Some(file) => file.display().to_string(),
        None => "embedded zones".to_owned(),
    };
    let text = config.text().map_err(|source| ZonesError::Unread { name: name(), source })?;
    Zones::from_geojson(&text).map_err(|problems| ZonesError::Problems { name: name(), problems })
}

fn listed(problems: &[ZoneProblem]) -> String {
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    let lines: Vec<_> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    format!("{} {noun}{}", lines.len(), lines.concat())
}
