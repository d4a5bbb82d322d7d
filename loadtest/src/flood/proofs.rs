//! Bad signatures over real connections: the one kind of junk that needs the gateway's ear.
//!
//! Every address keeps one connection and opens the next when the gateway has had enough of it. Messages are due at
//! their instants; where one address has too many unanswered, the next is left out and counted.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use device::{Options, Trust};
use protocol::{Algorithm, Counters, DeviceId, Message, Nonce, Status};
use quinn::{Connection, Endpoint};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use super::{Flood, FloodError};
use crate::clock::{Clock, Moment};

/// Messages that wait for their answer at one time, over all addresses.
const IN_FLIGHT_MAX: usize = 4_096;

/// What became of messages with a bad signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Proofs {
    /// Messages sent.
    pub sent: u64,
    /// Messages left out, because too many were unanswered.
    pub left_out: u64,
    /// Handshakes finished.
    pub connected: u64,
    /// Handshakes that failed.
    pub connect_failed: u64,
    /// Messages answered with a refusal.
    pub refused: u64,
    /// Messages answered with anything else: each would be a hole.
    pub accepted: u64,
    /// Messages without an answer, most of them because the gateway closed the connection.
    pub unanswered: u64,
}

/// Who is to be believed, and whom the messages claim to be.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The gateway's certificate.
    pub trust: Trust,
    /// The name that it must carry.
    pub name: String,
    /// The device whose signature is forged; with one that is enrolled for `algorithm`, the gateway has to check it.
    pub device: DeviceId,
    /// The algorithm that the signature claims.
    pub algorithm: Algorithm,
}

/// An address, and its connection once it has one.
struct Source {
    endpoint: Endpoint,
    connection: Mutex<Option<Connection>>,
}

struct Sender {
    flood: Flood,
    claim: Claim,
    config: quinn::ClientConfig,
    sources: Vec<Source>,
    proofs: std::sync::Mutex<Proofs>,
}

/// Makes the flood, and waits `linger` for the last answers. Must run inside a tokio runtime.
///
/// # Errors
/// When the system refuses a socket or the TLS library the settings.
pub async fn flood(flood: Flood, claim: Claim, linger: Duration) -> Result<Proofs, FloodError> {
    let options = Options { zero_rtt: false, sessions_max: 0, ..Options::default() };
    let config = device::client_config(&claim.trust, &options)?;
    let sources = open(&flood)?;
    let mut rng = ChaCha12Rng::seed_from_u64(flood.seed);
    let proofs = std::sync::Mutex::default();
    let sender = Arc::new(Sender { flood, claim, config, sources, proofs });
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let clock = Clock::start();
    let mut under_way = JoinSet::new();
    let mut turns = (0..sender.sources.len()).cycle();
    for number in 0..flood.planned() {
        tokio::time::sleep_until(clock.deadline(Moment::after_start(flood.due(number)))).await;
        if clock.now().offset() > flood.duration {
            break;
        }
        while under_way.try_join_next().is_some() {}
        let signed = sender.forged(&mut rng, number);
        let (Some(turn), Ok(permit)) = (turns.next(), Arc::clone(&room).try_acquire_owned()) else {
            sender.note(|proofs| proofs.left_out += 1);
            continue;
        };
        let sender = Arc::clone(&sender);
        under_way.spawn(async move {
            sender.send(turn, signed).await;
            drop(permit);
        });
    }
    let all = async { while under_way.join_next().await.is_some() {} };
    // Whoever has no answer by then is left without: the numbers say how many.
    tokio::time::timeout(linger, all).await.ok();
    let proofs = *sender.proofs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let answered = proofs.refused + proofs.accepted;
    Ok(Proofs { unanswered: proofs.sent.saturating_sub(answered), ..proofs })
}

impl Sender {
    async fn send(&self, turn: usize, signed: Bytes) {
        let Some(source) = self.sources.get(turn) else { return };
        let Some(connection) = self.connection(source).await else { return };
        self.note(|proofs| proofs.sent += 1);
        if let Ok(receipt) = device::exchange(&connection, signed).await {
            self.note(|proofs| match receipt.status {
                Status::Refused => proofs.refused += 1,
                _ => proofs.accepted += 1,
            });
        }
    }

    /// The address's connection, opened again if the gateway closed it.
    async fn connection(&self, source: &Source) -> Option<Connection> {
        let mut slot = source.connection.lock().await;
        if let Some(open) = slot.as_ref().filter(|open| open.close_reason().is_none()) {
            return Some(open.clone());
        }
        let connecting = source
            .endpoint
            .connect_with(self.config.clone(), self.flood.target, &self.claim.name)
            .ok()?;
        match connecting.await {
            Ok(connection) => {
                self.note(|proofs| proofs.connected += 1);
                *slot = Some(connection.clone());
                Some(connection)
            }
            Err(_) => {
                self.note(|proofs| proofs.connect_failed += 1);
                None
            }
        }
    }

    /// A raise that its device never signed.
    fn forged(&self, rng: &mut ChaCha12Rng, number: u64) -> Bytes {
        let (mut nonce, mut signature) = ([0; 8], [0; 64]);
        rng.fill_bytes(&mut nonce);
        rng.fill_bytes(&mut signature);
        // Ed25519's S is below 2^252 and a bit (RFC 8032 section 5.1.7); a larger one is refused before any work.
        signature.iter_mut().rev().take(1).for_each(|top| *top &= 0x0f);
        let counters = Counters::new(1, u32::try_from(number).unwrap_or(u32::MAX));
        let message = Message::raise(counters, Nonce(nonce)).encode();
        protocol::assemble(self.claim.algorithm, &self.claim.device, &message, &signature).into()
    }

    fn note(&self, change: impl FnOnce(&mut Proofs)) {
        change(&mut self.proofs.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

fn open(flood: &Flood) -> Result<Vec<Source>, FloodError> {
    super::wire::allow_files(flood.addresses)?;
    let open = |address| {
        let endpoint = UdpSocket::bind((address, 0)).and_then(device::endpoint);
        let endpoint = endpoint.map_err(|source| FloodError::Socket { address, source })?;
        Ok(Source { endpoint, connection: Mutex::new(None) })
    };
    flood.sources().map(open).collect()
}
