//! The ready file: how a script learns that the gateway serves, and where.
//!
//! It is written whole and then renamed, so whoever sees it sees all of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fs, io, process};

use serde::Serialize;

use crate::config::Config;
use crate::identity::Identity;

/// The journal's file in the data directory.
pub const JOURNAL_FILE: &str = "journal.db";
/// The index's file in the data directory.
pub const SEARCH_FILE: &str = "search.db";

/// What a script needs to know of a gateway that serves.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    /// Its process.
    pub pid: u32,
    /// Where devices are heard (UDP).
    pub alert_addr: SocketAddr,
    /// Where operators and subscribers are served (TCP).
    pub operator_addr: SocketAddr,
    /// The journal's file.
    pub journal: PathBuf,
    /// The index's file.
    pub search: PathBuf,
    /// The certificate that devices must trust, PEM.
    pub cert: PathBuf,
    /// The deployment, in hexadecimal.
    pub realm: String,
}

/// The ready file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("ready file {path} cannot be written: {source}")]
pub struct ReadyError {
    path: PathBuf,
    source: io::Error,
}

impl Ready {
    /// What is known before anything is bound; the addresses are those of the configuration.
    #[must_use]
    pub fn of(config: &Config, identity: &Identity) -> Self {
        Self {
            pid: process::id(),
            alert_addr: config.alert.listen,
            operator_addr: config.operator.listen,
            journal: absolute(&config.data_dir.join(JOURNAL_FILE)),
            search: absolute(&config.data_dir.join(SEARCH_FILE)),
            cert: absolute(&identity.certificate_path),
            realm: identity.realm.to_string(),
        }
    }

    /// Writes the file, if one is wanted.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: Option<&Path>) -> Result<(), ReadyError> {
        let Some(path) = path else { return Ok(()) };
        let temporary = path.with_extension(format!("{}.tmp", process::id()));
        serde_json::to_vec_pretty(self)
            .map_err(io::Error::from)
            .and_then(|json| fs::write(&temporary, json))
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(|source| ReadyError { path: path.to_owned(), source })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
