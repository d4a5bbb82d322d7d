//! What an idle connection costs the gateway: opens many, lets them be, and looks at its memory.
//!
//! Connections share a handful of sockets, so ten thousand of them need no more file descriptors than one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use quinn::Connection;
use serde::Serialize;

use crate::connections::{AttemptError, Connections, Target};
use crate::ledger::Ledger;
use crate::resources::Process;
use crate::run::RunError;

/// Handshakes under way at any time: enough to keep the gateway busy, few enough that none times out.
const HANDSHAKES: usize = 64;
/// How long the connections are let be before the memory is read.
const REST: Duration = Duration::from_secs(2);

/// What idle connections cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Connections asked for.
    pub planned: usize,
    /// Connections that were open when the memory was read.
    pub open: usize,
    /// Why the others were not, if any were not: the last reason.
    pub failure: Option<String>,
    /// The gateway's memory before, in bytes.
    pub rss_bytes_before: Option<u64>,
    /// The gateway's memory with all of them open, in bytes.
    pub rss_bytes_after: Option<u64>,
    /// The difference by the number of open connections, in bytes.
    pub rss_bytes_each: Option<u64>,
}

/// Opens `planned` connections to `target` and reads the memory of `process`. Must run inside a tokio runtime.
///
/// # Errors
/// When the first connection cannot be opened.
pub async fn idle(target: Target, planned: usize, process: Process) -> Result<Cost, RunError> {
    let ledger = Arc::new(Ledger::new(std::iter::empty()));
    let connections = Connections::open_idle(target, ledger)?;
    // The first brings up what the gateway needs once, whoever connects; it is not counted.
    let first = connections.connect(0).await?;
    let rss_bytes_before = process.rss_bytes();
    let opened: Vec<Result<Connection, AttemptError>> = stream::iter(0..planned)
        .map(|turn| connections.connect(turn))
        .buffer_unordered(HANDSHAKES)
        .collect()
        .await;
    tokio::time::sleep(REST).await;
    let rss_bytes_after = process.rss_bytes();
    let is_open = |connection: &&Connection| connection.close_reason().is_none();
    let open = opened.iter().flatten().filter(is_open).count();
    let refused =
        opened.iter().filter_map(|outcome| outcome.as_ref().err().map(ToString::to_string));
    let lost = opened.iter().flatten().filter_map(|connection| connection.close_reason());
    let failure = refused.chain(lost.map(|reason| reason.to_string())).last();
    let grown =
        rss_bytes_after.zip(rss_bytes_before).map(|(after, before)| after.saturating_sub(before));
    let each = |grown: u64| grown.checked_div(u64::try_from(open).ok()?);
    drop(first);
    Ok(Cost {
        planned,
        open,
        failure,
        rss_bytes_before,
        rss_bytes_after,
        rss_bytes_each: grown.and_then(each),
    })
}
