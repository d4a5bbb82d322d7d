//! The other end of a connection: what it has proven, what it has cost, and when it has had its chances.
//!
//! Until its first proof a connection is a stranger's. The messages that it can bring are few by construction: it may
//! have `alert.streams_initial` open at a time, each of one message's length and `alert.message_timeout`, and it ends
//! after `strangers.bad_proofs_max` without proof, one after another. A proof in between starts the count anew, because
//! a relay forwards for buttons that it does not know, too, and a press must not be lost with it. When there are too
//! many connections, those that have proven nothing end first, the oldest of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use metrics::{Counter, counter};
use pipeline::{AddressStanding, DeviceIndex};
use quinn::{Connection, VarInt};

use super::followers::Room;
use super::strangers::{Charge, Strangers};
use crate::config::AlertConfig;
use crate::lock::lock;

/// Why the gateway ends a connection, as it tells the other end (application error codes of RFC 9000 section 20.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Too many messages without proof.
    BadProofs = 1,
    /// The handshake took too long.
    SlowHandshake = 2,
    /// There are too many connections, and this one has proven nothing for the longest time.
    Unproven = 3,
}

impl Ending {
    const NAMES: [&'static str; 3] = ["bad_proofs", "slow_handshake", "unproven"];
}

/// What a message has shown about its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It comes from this device.
    Given(DeviceIndex),
    /// Nothing: it was not understood, or its proof failed.
    Failed,
    /// Nothing: it was never there as a whole.
    Unread,
    /// Nothing for and nothing against it: it was not looked at, or its device is no longer one.
    Open,
}

/// The other end of one connection.
pub(super) struct Peer {
    address: IpAddr,
    number: u64,
    proven: AtomicU32,
    /// Messages without proof since the last one with it.
    in_a_row: AtomicU32,
    /// Streams that are served.
    open: AtomicU32,
    peers: Arc<Peers>,
}

/// Every peer of a shard that has proven nothing, by age, and what all peers have in common.
pub(super) struct Peers {
    strangers: Arc<Strangers>,
    bad_proofs_max: u32,
    next: AtomicU64,
    unproven: Mutex<BTreeMap<u64, Connection>>,
    ended: [Counter; 3],
}

impl Peers {
    pub(super) fn new(strangers: Arc<Strangers>, bad_proofs_max: u32) -> Self {
        Self {
            strangers,
            bad_proofs_max,
            next: AtomicU64::new(0),
            unproven: Mutex::default(),
            ended: Ending::NAMES
                .map(|cause| counter!("gateway_connections_ended_total", "cause" => cause)),
        }
    }

    /// Whoever is at the other end of a connection from `address`.
    pub(super) fn meet(self: &Arc<Self>, address: IpAddr) -> Peer {
        Peer {
            address,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            proven: AtomicU32::new(0),
            in_a_row: AtomicU32::new(0),
            open: AtomicU32::new(0),
            peers: Arc::clone(self),
        }
    }

    /// Ends the connection that has been open longest without any proof, if there is one.
    pub(super) fn end_oldest_unproven(&self) {
        let oldest = self.lock().pop_first();
        if let Some((_, connection)) = oldest {
            self.end(&connection, Ending::Unproven);
        }
    }

    /// Ends a connection. Receipts are told on streams; this tells nobody anything that matters.
    pub(super) fn end(&self, connection: &Connection, ending: Ending) {
        connection.close(VarInt::from_u32(ending as u32), &[]);
        let at = (ending as usize).saturating_sub(1);
        self.ended.get(at).unwrap_or(&Counter::noop()).increment(1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        lock(&self.unproven)
    }
}

impl Peer {
    /// The handshake is done: from here on the connection may be ended for one that proves something.
    pub(super) fn established(&self, connection: &Connection) {
        if self.proven.load(Ordering::Relaxed) == 0 {
            self.peers.lock().insert(self.number, connection.clone());
        }
    }

    /// Notes what a message has shown, and charges the address for what it has not. How many messages are proven, if
    /// this one is.
    pub(super) fn note(&self, proof: Proof) -> Option<u32> {
        let strangers = &self.peers.strangers;
        match proof {
            Proof::Given(device) => {
                self.in_a_row.store(0, Ordering::Relaxed);
                let before = self.proven.fetch_add(1, Ordering::Relaxed);
                if before == 0 {
                    self.peers.lock().remove(&self.number);
                }
                strangers.verified(self.address, device);
                Some(before.saturating_add(1))
            }
            Proof::Failed | Proof::Unread => {
                self.in_a_row.fetch_add(1, Ordering::Relaxed);
                let failed = proof == Proof::Failed;
                let charge = if failed { Charge::FailedProof } else { Charge::Unread };
                strangers.charge(self.address, charge);
                None
            }
            Proof::Open => None,
        }
    }

    /// Its connection has opened a stream.
    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream of its connection was served to its end.
    pub(super) fn served(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// What its connection has room for.
    pub(super) fn room(&self, config: &AlertConfig) -> Room {
        let earned = self.proven.load(Ordering::Relaxed) >= config.streams_earned_after;
        Room {
            connection: self.number,
            streams_max: if earned { config.streams_earned } else { config.streams_initial },
            open: self.open.load(Ordering::Relaxed),
        }
    }

    /// Whether it has had its chances.
    pub(super) fn is_spent(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= self.peers.bad_proofs_max
    }

    /// Whether its messages come behind those of others: its address has cost too much.
    pub(super) fn comes_last(&self) -> bool {
        self.peers.strangers.standing(self.address) == AddressStanding::Exhausted
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.peers.lock().remove(&self.number);
    }
}
