//! Asks, before any load, whether there is anything to load: does the gateway answer, is its certificate trusted, are
//! the devices enrolled, is the token good?
//!
//! A probe must not raise an alert. It is a heartbeat, as a button sends it, with counters at zero: a gateway that does
//! not know the device or the realm refuses the proof, one that does keeps a heartbeat or calls it stale. Neither shows
//! anything on the feed, and no later message of the device looks older for it.

use std::time::Duration;

use bytes::Bytes;
use device::{SignError, Signer};
use protocol::{Counters, DeviceId, Kind, Message, Reason, Status};
use quinn::ConnectionError;

use crate::connections::{AttemptError, Connections};
use crate::subscriber::{self, FeedError, Source};

/// How long the gateway may take to answer before it counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no point in starting.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody answers: is the gateway running, is the address its alert address?
    #[error("the gateway does not answer: {0}")]
    Unreachable(String),
    /// The gateway's certificate does not descend from the one that was given: pass the ready file's `cert` as `--ca`.
    #[error("the gateway's certificate is not trusted by --ca: {0}")]
    Certificate(String),
    /// The gateway does not know the device, or the realm is another one: import the population first.
    #[error(
        "the gateway does not accept device {0}: import the population's CSV (gateway device import), and pass the \
         gateway's realm as --realm"
    )]
    NotEnrolled(DeviceId),
    /// The answer makes no sense for this probe.
    #[error("the gateway gave an unexpected answer to the probe: {0}")]
    Unexpected(String),
    /// The feed cannot be read.
    #[error(transparent)]
    Feed(#[from] FeedError),
}

impl ProbeError {
    /// 4 when the target cannot be reached, 2 when it was described wrongly.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable(_) | Self::Certificate(_) | Self::Unexpected(_) => 4,
            Self::Feed(FeedError::Token(_)) | Self::NotEnrolled(_) => 2,
            Self::Feed(_) => 4,
        }
    }
}

/// A signed heartbeat that raises nothing.
///
/// # Errors
/// When the system has no randomness for the signature.
pub fn harmless(signer: &Signer) -> Result<Bytes, SignError> {
    let heartbeat = Message::new(Kind::Heartbeat, Counters::new(0, 0));
    Ok(signer.sign(&heartbeat)?.bytes().clone())
}

/// Asks the gateway about one device, with a message from [`harmless`].
///
/// # Errors
/// See [`ProbeError`].
pub async fn device(
    connections: &Connections,
    device: DeviceId,
    harmless: Bytes,
) -> Result<(), ProbeError> {
    let attempt = tokio::time::timeout(PATIENCE, connections.attempt(0, harmless)).await;
    let receipt = match attempt {
        Err(_) => return Err(ProbeError::Unreachable(format!("no answer in {PATIENCE:?}"))),
        Ok(Err(error)) => return Err(classify(&error)),
        Ok(Ok(receipt)) => receipt,
    };
    match (receipt.status, receipt.reason) {
        (Status::Refused, Some(Reason::Unproven | Reason::Revoked)) => {
            Err(ProbeError::NotEnrolled(device))
        }
        (Status::Refused, Some(Reason::Stale)) => Ok(()),
        (Status::Refused, reason) => {
            let reason = reason.map_or("no reason", Reason::name);
            Err(ProbeError::Unexpected(format!("refused, {reason}")))
        }
        (Status::Received | Status::Duplicate | Status::Held, _) => Ok(()),
    }
}

/// Asks the operator address whether it would give this subscriber a feed.
///
/// # Errors
/// See [`ProbeError`].
pub async fn feed(source: &Source) -> Result<(), ProbeError> {
    let answer = tokio::time::timeout(PATIENCE, subscriber::probe(source)).await;
    answer.map_err(|_| ProbeError::Unreachable("no feed in time".to_owned()))?.map_err(Into::into)
}

/// TLS alerts about certificates travel as QUIC crypto errors (RFC 9001 section 4.8: 0x100 plus the alert).
fn classify(error: &AttemptError) -> ProbeError {
    let certificate = match error {
        AttemptError::Connection(ConnectionError::TransportError(error)) => {
            // RFC 8446 section 6: 42 to 46, 48 and 51 are about the certificate or its signature.
            matches!(u64::from(error.code), 0x12a..=0x12e | 0x130 | 0x133)
        }
        _ => false,
    };
    if certificate {
        ProbeError::Certificate(error.to_string())
    } else {
        ProbeError::Unreachable(error.to_string())
    }
}
