//! One connection: its streams are served side by side, and a relay that proves itself may open more of them.

use std::sync::Arc;

use quinn::Connection;
use tokio::time::timeout;

use super::door::Admitted;
use super::exchange::Gate;
use super::peer::{Ending, Peer};
use super::transport::CONNECTION_WINDOW_EARNED;

/// Serves a connection from its first packet to its end.
pub(super) async fn serve(gate: Arc<Gate>, Admitted { incoming, slot, seat }: Admitted) {
    let peer = Arc::new(gate.peers.meet(incoming.remote_address().ip()));
    // A handshake that fails is the stranger's loss; it was counted when it came.
    let Ok(connecting) = incoming.accept() else { return };
    // A server can always read before the handshake ends; whether it does is the switch's to say.
    let Ok((connection, established)) = connecting.into_0rtt() else { return };
    let settled = async {
        if timeout(gate.handshake_timeout, established).await.is_err() {
            gate.peers.end(&connection, Ending::SlowHandshake);
        } else if connection.close_reason().is_none() {
            peer.established(&connection);
        }
        drop(slot);
    };
    if gate.config.zero_rtt {
        serve_streams(&gate, &connection, &peer, settled).await;
    } else {
        settled.await;
        serve_streams(&gate, &connection, &peer, async {}).await;
    }
    drop(seat);
}

async fn serve_streams(
    gate: &Arc<Gate>,
    connection: &Connection,
    peer: &Arc<Peer>,
    settled: impl Future<Output = ()>,
) {
    gate.telemetry.connections_open.increment(1.0);
    tokio::join!(streams(gate, connection, peer), settled);
    gate.telemetry.connections_open.decrement(1.0);
}

async fn streams(gate: &Arc<Gate>, connection: &Connection, peer: &Arc<Peer>) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        if peer.is_spent() {
            gate.peers.end(connection, Ending::BadProofs);
            return;
        }
        let (gate, connection, peer) = (Arc::clone(gate), connection.clone(), Arc::clone(peer));
        peer.opened();
        tokio::spawn(async move {
            gate.serve(&peer, &connection, send, receive).await;
            peer.served();
            if peer.is_spent() && connection.close_reason().is_none() {
                gate.peers.end(&connection, Ending::BadProofs);
            }
        });
    }
}

/// Lets a connection open more streams, and have as many messages unread.
pub fn earn_streams(connection: &Connection, streams: u32) {
    connection.set_receive_window(CONNECTION_WINDOW_EARNED.into());
    connection.set_max_concurrent_bi_streams(streams.into());
}
