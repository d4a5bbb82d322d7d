//! A bare QUIC server with the intake's own socket, TLS and windows: the bound that the intake is measured against.
//!
//! It reads each stream to its end and answers with as many bytes as a receipt has. It verifies nothing, stores nothing
//! and proves nothing; what it costs is what QUIC costs.

use std::path::Path;
use std::sync::Arc;

use protocol::SIGNED_LEN_MAX;
use quinn::{Endpoint, Incoming, TokioRuntime};
use tokio::runtime;

use crate::config::Config;
use crate::identity::Identity;
use crate::intake::{TransportError, bind, earn_streams, endpoint_config, server_config};
use crate::ready::{Ready, ReadyError};

/// As long as a receipt.
const REPLY: [u8; 40] = [0; 40];

/// Why the bare server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BareEchoError {
    /// The data directory.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// Socket or TLS.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The runtime or the endpoint.
    #[error("the bare server cannot start: {0}")]
    Start(#[from] std::io::Error),
    /// The ready file.
    #[error(transparent)]
    Ready(#[from] ReadyError),
}

/// Serves until the process is killed.
///
/// # Errors
/// If it cannot start.
pub fn run(config: &Config, ready_file: Option<&Path>) -> Result<(), BareEchoError> {
    let identity = Identity::open(config)?;
    let ready = Ready::of(config, &identity);
    let socket = bind(&config.alert)?;
    let address = socket.local_addr()?;
    let server = server_config(
        &config.alert,
        &config.strangers,
        identity.certificate_chain,
        identity.private_key,
    )?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let earned = (config.alert.streams_earned, config.alert.streams_earned_after);
    runtime.block_on(async {
        let endpoint =
            Endpoint::new(endpoint_config(), Some(server), socket, Arc::new(TokioRuntime))?;
        Ready { alert_addr: address, ..ready }.write(ready_file)?;
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(serve(incoming, earned));
        }
        Ok(())
    })
}

async fn serve(incoming: Incoming, (earned, earned_after): (u32, u32)) {
    let Ok(connection) = incoming.await else { return };
    let mut served = 0;
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        served += 1;
        if served == earned_after {
            earn_streams(&connection, earned);
        }
        tokio::spawn(async move {
            if receive.read_to_end(SIGNED_LEN_MAX).await.is_ok()
                && send.write_all(&REPLY).await.is_ok()
            {
                // The client that went away is not measured.
                send.finish().ok();
            }
        });
    }
}
