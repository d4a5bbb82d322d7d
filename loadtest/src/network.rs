//! The network that presses cross: a relay in this process, between the tool's connections and the gateway.
//!
//! Only presses cross it. Probes and the feed go straight to the gateway: they ask whether the run is set up well, and what
//! a command centre sees, which is on no mobile network.

use serde::Serialize;
use simulator::Seed;
use simulator::network::Network;
use simulator::relay::{RelayError, UdpCounts, UdpRelay};

use crate::connections::Target;

/// Files that a run needs besides the sockets of phones, on both sides of the relay.
const OTHER_FILES: u64 = 256;
/// Connections that are open beside those that the relay still knows.
const PHONES: u64 = 2_048;

/// A network that is being crossed.
#[derive(Debug)]
pub struct Crossing {
    name: String,
    title: String,
    seed: u64,
    quic: UdpRelay,
}

/// What a network did, by carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crossed {
    /// Its name, or the name of its file.
    pub name: String,
    /// What it is.
    pub title: String,
    /// Of its random choices: the run's own.
    pub seed: u64,
    /// What became of QUIC's packets.
    pub quic: UdpCounts,
}

impl Crossing {
    /// Opens the network in front of `target`, which from here on is the network's near side. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a socket, or the gateway cannot be reached from the network's addresses.
    pub async fn open(
        network: &Network,
        seed: u64,
        target: &mut Target,
    ) -> Result<Self, RelayError> {
        let quic = UdpRelay::open(target.address, network, Seed(seed)).await?;
        target.address = quic.addr();
        target.own_sockets = true;
        let (name, title) = (network.name().to_owned(), network.title().to_owned());
        Ok(Self { name, title, seed, quic })
    }

    /// Ends it.
    #[must_use]
    pub fn close(self) -> Crossed {
        let Self { name, title, seed, quic } = self;
        Crossed { name, title, seed, quic: quic.stop() }
    }
}

/// How many files a run through `network` may need.
#[must_use]
pub fn files(network: &Network) -> u64 {
    let mappings = u64::try_from(network.nat().mappings).unwrap_or(u64::MAX);
    mappings.saturating_add(PHONES + OTHER_FILES)
}
