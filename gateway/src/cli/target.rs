//! Which gateway a command asks, and as whom.

use std::fs;
use std::path::PathBuf;

use axum::http::Uri;
use clap::Args;

use super::Failure;
use super::client::Client;
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The gateway's operator address, such as <https://gateway.example:8480>; without it the configured one, on this
    /// machine
    #[arg(long, global = true, visible_alias = "url", value_name = "URL")]
    operator: Option<Uri>,
    /// The token; other users of this machine can see arguments, so prefer a file
    #[arg(long, global = true, conflicts_with = "token_file", allow_hyphen_values = true)]
    token: Option<String>,
    /// A file that holds the token
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM of the certificate to trust, or of its authority; without it, whom the system trusts
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Target {
    /// A client for it.
    ///
    /// # Errors
    /// If there is no token, or no address.
    pub(super) fn client(self, config: &Config) -> Result<Client, Failure> {
        let Self { operator, token, token_file, ca } = self;
        let token = match (token, token_file) {
            (Some(token), _) => token,
            (None, Some(file)) => fs::read_to_string(&file)
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?,
            (None, None) => return Err(Failure::Usage("write --token or --token-file".to_owned())),
        };
        let operator = match operator {
            Some(operator) => operator,
            None => configured(config)?,
        };
        Ok(Client { operator, token: token.trim().to_owned(), ca })
    }
}

/// The configured address, as it is reached from this machine.
fn configured(config: &Config) -> Result<Uri, Failure> {
    let scheme = if config.operator.certificate.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", config.operator.listen);
    address
        .parse()
        .map_err(|_| Failure::Usage(format!("{address} is no address; write --operator")))
}
