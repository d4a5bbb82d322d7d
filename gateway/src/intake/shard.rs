//! A shard: one thread with its socket, its endpoint and its runtime.
//!
//! There is one; more need packets to be steered by connection id, which is not built. Everything that a shard needs
//! is given to it in [`ShardParts`], so that more of them can be started side by side.

use std::io;
use std::iter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::Realm;
use quinn::{Endpoint, TokioRuntime, VarInt};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::checker::{Checker, Proven};
use super::claims::Claims;
use super::connection;
use super::door::{Door, Slots};
use super::exchange::{Gate, UnderWay};
use super::followers::Followers;
use super::lanes::lanes;
use super::peer::Peers;
use super::refusals::Refusals;
use super::strangers::Strangers;
use super::transport::endpoint_config;
use super::waiting::{Receipts, Tickets, Waiting};
use crate::config::{AlertConfig, LaneConfig, StrangersConfig};
use crate::hints::Hints;
use crate::registry::Registry;
use crate::telemetry::Intake;

/// What a shard is made of.
pub struct ShardParts {
    /// The deployment that messages must be signed for.
    pub realm: Realm,
    /// Its bounds.
    pub config: AlertConfig,
    /// Where it hears.
    pub socket: std::net::UdpSocket,
    /// How it speaks.
    pub server: quinn::ServerConfig,
    /// The devices that it believes.
    pub registry: Arc<Registry>,
    /// How devices stand, as far as a lane depends on it.
    pub hints: Arc<Hints>,
    /// What addresses have cost, everywhere.
    pub strangers: Arc<Strangers>,
    /// What they may cost.
    pub strangers_config: StrangersConfig,
    /// How many messages wait for their check.
    pub lanes: LaneConfig,
    /// The way to the desk.
    pub lane: mpsc::Sender<Proven>,
    /// The way back.
    pub receipts: mpsc::UnboundedReceiver<Receipts>,
    /// Who waits for word of an alert.
    pub followers: Arc<Followers>,
    /// Turns true when nothing more is to be taken.
    pub stopping: watch::Receiver<bool>,
    /// How long what is under way may take once it has.
    pub drain_timeout: Duration,
}

/// A running shard.
pub struct Shard {
    /// Where it hears.
    pub address: SocketAddr,
    thread: JoinHandle<()>,
}

/// Why a shard cannot start.
#[derive(Debug, thiserror::Error)]
#[error("an intake shard cannot start: {0}")]
pub struct ShardError(#[from] io::Error);

impl Shard {
    /// Starts a shard.
    ///
    /// # Errors
    /// If the system grants no thread, no runtime or no socket.
    pub fn spawn(parts: ShardParts) -> Result<Self, ShardError> {
        let address = parts.socket.local_addr()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = {
            let _inside = runtime.enter();
            let ShardParts { socket, server, .. } = &parts;
            let (socket, server) = (socket.try_clone()?, server.clone());
            Endpoint::new(endpoint_config(), Some(server), socket, Arc::new(TokioRuntime))?
        };
        let thread = thread::Builder::new()
            .name("intake-0".to_owned())
            .spawn(move || runtime.block_on(run(parts, endpoint)))?;
        Ok(Self { address, thread })
    }

    /// Waits until the shard has stopped, which it does after `stopping` turned true.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("an intake shard panicked");
        }
    }
}

async fn run(parts: ShardParts, endpoint: Endpoint) {
    let mut stopping = parts.stopping.clone();
    let (drain_timeout, connections_max) = (parts.drain_timeout, parts.config.connections_max);
    let (strangers, config) = (Arc::clone(&parts.strangers), parts.strangers_config.clone());
    let peers = Arc::new(Peers::new(Arc::clone(&strangers), config.bad_proofs_max));
    let mut door = Door::new(&config, connections_max, strangers, Arc::clone(&peers));
    let gate = open_gate(parts, peers, door.slots());
    loop {
        let admitted = tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else {
                    // A gateway that hears nobody must not look alive: whoever supervises it starts it again.
                    tracing::error!("the intake's socket failed");
                    std::process::abort();
                };
                door.answer(incoming, gate.claims.lanes.is_pressed())
            }
            () = gate.slots.freed.notified() => None,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        for admitted in admitted.into_iter().chain(iter::from_fn(|| door.next())) {
            gate.telemetry.connections.increment(1);
            tokio::spawn(connection::serve(Arc::clone(&gate), admitted));
        }
    }
    drain(gate, &endpoint, drain_timeout).await;
}

/// Starts what stands between the sockets and the desk.
fn open_gate(parts: ShardParts, peers: Arc<Peers>, slots: Arc<Slots>) -> Arc<Gate> {
    let telemetry = Arc::new(Intake::of(pipeline::Carrier::Quic));
    let (lanes, claims) = lanes(&parts.lanes);
    let waiting = Arc::new(Waiting::default());
    let checker = Checker {
        realm: parts.realm,
        telemetry: Arc::clone(&telemetry),
        lanes: claims,
        slots: Arc::clone(&slots),
        waiting: Arc::clone(&waiting),
        tickets: Tickets::of_shard(0),
        desk: parts.lane,
    };
    tokio::spawn(checker.run());
    tokio::spawn(async move { waiting.answer(parts.receipts).await });
    Arc::new(Gate {
        config: parts.config,
        claims: Claims {
            realm: parts.realm,
            refusals: Refusals::new(&parts.lanes),
            config: parts.lanes,
            registry: parts.registry,
            hints: parts.hints,
            telemetry: Arc::clone(&telemetry),
            lanes,
            stopping: parts.stopping,
        },
        telemetry,
        under_way: UnderWay::default(),
        followers: parts.followers,
        peers,
        slots,
        handshake_timeout: parts.strangers_config.handshake_timeout,
    })
}

/// Takes no new connection, sends followers away, lets every exchange end, closes.
async fn drain(gate: Arc<Gate>, endpoint: &Endpoint, drain_timeout: Duration) {
    endpoint.set_server_config(None);
    gate.followers.stop();
    if timeout(drain_timeout, gate.under_way.ended()).await.is_err() {
        tracing::warn!("exchanges were still under way when the drain timeout ended");
    }
    endpoint.close(VarInt::from_u32(0), b"stopping");
    timeout(drain_timeout, endpoint.wait_idle()).await.ok();
}
