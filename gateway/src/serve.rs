//! The serve room.

use std::path::Path;

use crate::config::Config;

/// Why the gateway does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The rooms are not joined yet.
    #[error("this gateway cannot serve")]
    Unjoined,
}

/// Serves until told to stop.
///
/// # Errors
/// If a room cannot be started.
pub fn run(_config: &Config, _ready_file: Option<&Path>) -> Result<(), ServeError> {
    Err(ServeError::Unjoined)
}
