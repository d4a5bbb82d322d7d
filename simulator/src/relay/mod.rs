//! Networks between real sockets: a relay that takes what phones send, and delivers what their network lets through.
//!
//! [`UdpRelay`] and [`TcpRelay`] listen where phones send and forward to the gateway; what becomes of a packet, and when,
//! is decided in [`network`](crate::network), of which they are the sockets and the clock. They stand behind the feature
//! `relay`, so that the simulator itself needs no runtime. Both run as tasks of the tokio runtime that opens them, and end
//! when they are dropped. Timers of the runtime tick once a millisecond, so a packet comes up to that much late.

mod clock;
mod counts;
mod held;
mod table;
mod tcp;
mod udp;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

pub use counts::{Mappings, Packets, StreamBytes, TcpCounts, UdpCounts};
pub use tcp::TcpRelay;
pub use udp::UdpRelay;

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The system refused the address that phones send to. Choose another.
    #[error("cannot listen on {addr}: {error}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// Addresses that phones share lie in 127.0.0.0/8, from where only this machine is reached.
    #[error(
        "network \"{network}\" has addresses of its own, and from them {upstream} cannot be reached; forward to 127.0.0.1"
    )]
    Addresses {
        /// The network.
        network: String,
        /// Where the gateway is.
        upstream: SocketAddr,
    },
}

/// Any free port of this machine, of the family of `upstream`.
fn loopback(upstream: SocketAddr) -> SocketAddr {
    match upstream {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    }
}
