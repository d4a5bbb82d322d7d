//! One connection: its streams are served side by side, and a relay that proves itself may open more of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quinn::{Connection, Incoming};

use super::exchange::Gate;
use super::transport::CONNECTION_WINDOW_EARNED;

/// Serves a connection from its first packet to its end.
pub(super) async fn serve(gate: Arc<Gate>, incoming: Incoming) {
    let handshake = Handshake::begin(&gate);
    // A handshake that fails is the stranger's loss; it was counted when it came.
    let Ok(connecting) = incoming.accept() else { return };
    // A server can always read before the handshake ends; whether it does is the switch's to say.
    let Ok((connection, established)) = connecting.into_0rtt() else { return };
    let settled = async {
        established.await;
        drop(handshake);
    };
    if gate.config.zero_rtt {
        serve_streams(&gate, &connection, settled).await;
    } else {
        settled.await;
        serve_streams(&gate, &connection, async {}).await;
    }
}

async fn serve_streams(
    gate: &Arc<Gate>,
    connection: &Connection,
    settled: impl Future<Output = ()>,
) {
    gate.telemetry.connections_open.increment(1.0);
    tokio::join!(streams(gate, connection), settled);
    gate.telemetry.connections_open.decrement(1.0);
}

/// A handshake under way: counted from its first packet until it is established or given up.
struct Handshake<'a>(&'a Gate);

impl<'a> Handshake<'a> {
    fn begin(gate: &'a Gate) -> Self {
        gate.handshakes.fetch_add(1, Ordering::Relaxed);
        Self(gate)
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn streams(gate: &Arc<Gate>, connection: &Connection) {
    let proven = Arc::new(AtomicU32::new(0));
    while let Ok((send, receive)) = connection.accept_bi().await {
        let (gate, connection) = (Arc::clone(gate), connection.clone());
        let proven = Arc::clone(&proven);
        tokio::spawn(async move {
            if gate.serve(send, receive).await {
                let so_far = proven.fetch_add(1, Ordering::Relaxed) + 1;
                if so_far == gate.config.streams_earned_after {
                    earn_streams(&connection, gate.config.streams_earned);
                }
            }
        });
    }
}

/// Lets a connection open more streams, and have as many messages unread.
pub fn earn_streams(connection: &Connection, streams: u32) {
    connection.set_receive_window(CONNECTION_WINDOW_EARNED.into());
    connection.set_max_concurrent_bi_streams(streams.into());
}
