//! How presses reach the gateway: each over a connection of its own, as phones do, or many over a few warm ones, as
//! relays do.
//!
//! Both give one attempt at a time: send these bytes, return the receipt. When to try again is the driver's business.
//! A handful of UDP sockets carries all connections, so that tens of thousands of them need few file descriptors; through a
//! network each has its own.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use device::{ExchangeError, Options, SetupError, Trust};
use protocol::{Receipt, Status, UnixMillis};
use quinn::{ClientConfig, ConnectError, Connection, ConnectionError, Endpoint};
use tokio::sync::Mutex;

use crate::ledger::Ledger;

/// Sockets that connections are spread over.
const ENDPOINTS: usize = 4;
/// A connection that stays is silent at times; without this the gateway would let it go.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Room for what arrives while the driver is busy, in bytes; the system may grant less.
const SOCKET_BUFFER: usize = 4 << 20;
/// Tickets kept for 0-RTT: one for each of the presses of a city would be a device's each; these stand for them.
const SESSIONS_MAX: usize = 1 << 16;

/// How presses are spread over connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each press over its own new connection.
    PerPress,
    /// This many connections stay open, each with many presses in flight.
    Relay(usize),
}

/// Text that names no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected per-press or relay:K with K from 1 to 4096")]
pub struct ModeError;

impl Mode {
    /// Whether connections stay open between presses.
    #[must_use]
    pub fn is_warm(self) -> bool {
        self != Self::PerPress
    }
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        if text == "per-press" {
            return Ok(Self::PerPress);
        }
        let relays = text.strip_prefix("relay:").and_then(|relays| relays.parse().ok());
        relays.filter(|relays| (1..=4_096).contains(relays)).map(Self::Relay).ok_or(ModeError)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerPress => f.write_str("per-press"),
            Self::Relay(relays) => write!(f, "relay:{relays}"),
        }
    }
}

/// Where the gateway is and how to trust it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its address.
    pub address: SocketAddr,
    /// The name that its certificate must carry.
    pub name: String,
    /// The certificates that its own must descend from, or be.
    pub trust: Trust,
    /// Whether messages may travel in the first packet.
    pub zero_rtt: bool,
    /// Whether each connection has a socket of its own, as a phone has: a network tells phones apart by it.
    pub own_sockets: bool,
    /// Whether the target answers with bytes that mean nothing: a bare echo, which bounds what any gateway can do.
    pub bare: bool,
}

/// The tool's own end could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The TLS library refused the settings.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The system refused a socket.
    #[error("cannot open a UDP socket: {0}")]
    Socket(#[from] io::Error),
}

/// Why one attempt brought no receipt.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The system refused a socket for it.
    #[error("cannot open a UDP socket: {0}")]
    Socket(#[from] io::Error),
    /// The address or the name cannot be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No connection came about, or it was lost.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The connection stood and brought no receipt.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// The client's end of all connections of a run.
#[derive(Debug)]
pub struct Connections {
    target: Target,
    config: ClientConfig,
    endpoints: Vec<Endpoint>,
    relays: Vec<Mutex<Option<Connection>>>,
    ledger: Arc<Ledger>,
}

impl Connections {
    /// Opens the sockets; connects nothing. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a socket or the TLS library the settings.
    pub fn open(target: Target, mode: Mode, ledger: Arc<Ledger>) -> Result<Self, OpenError> {
        let relays = match mode {
            Mode::PerPress => 0,
            Mode::Relay(relays) => relays,
        };
        let keep_alive = (relays > 0).then_some(KEEP_ALIVE);
        Self::open_with(target, relays, keep_alive, ledger)
    }

    /// As [`open`](Self::open), for connections that are opened to stay and do nothing.
    ///
    /// # Errors
    /// When the system refuses a socket or the TLS library the settings.
    pub fn open_idle(target: Target, ledger: Arc<Ledger>) -> Result<Self, OpenError> {
        Self::open_with(target, 0, Some(KEEP_ALIVE), ledger)
    }

    fn open_with(
        target: Target,
        relays: usize,
        keep_alive: Option<Duration>,
        ledger: Arc<Ledger>,
    ) -> Result<Self, OpenError> {
        let options = Options {
            zero_rtt: target.zero_rtt,
            sessions_max: if target.zero_rtt { SESSIONS_MAX } else { 0 },
            keep_alive,
            ..Options::default()
        };
        let config = device::client_config(&target.trust, &options)?;
        let endpoints =
            (0..ENDPOINTS).map(|_| endpoint(target.address)).collect::<Result<_, _>>()?;
        let relays = (0..relays).map(|_| Mutex::new(None)).collect();
        Ok(Self { target, config, endpoints, relays, ledger })
    }

    /// Connects every relay, so that the first press finds them warm. Does nothing without relays.
    ///
    /// # Errors
    /// When one cannot be connected.
    pub async fn warm(&self) -> Result<(), AttemptError> {
        for place in 0..self.relays.len() {
            self.relay(place).await?;
        }
        Ok(())
    }

    /// Sends `signed` once and returns its receipt. `turn` spreads presses, and the attempts of one press, over
    /// sockets and relays. It waits as long as the connection lives; the caller has the patience.
    ///
    /// # Errors
    /// When no connection comes about, or it brings no receipt.
    pub async fn attempt(&self, turn: usize, signed: Bytes) -> Result<Receipt, AttemptError> {
        let outcome = if self.relays.is_empty() {
            self.over_its_own(turn, signed).await
        } else {
            self.over_a_relay(turn % self.relays.len(), signed).await
        };
        if outcome.is_err() {
            self.ledger.connect_failed();
        }
        outcome
    }

    /// A new connection, with its handshake done.
    ///
    /// # Errors
    /// When none comes about.
    pub async fn connect(&self, turn: usize) -> Result<Connection, AttemptError> {
        let connection = self.connecting(turn)?.await?;
        self.ledger.connected();
        Ok(connection)
    }

    async fn over_its_own(&self, turn: usize, signed: Bytes) -> Result<Receipt, AttemptError> {
        let connecting = self.connecting(turn)?;
        let connection = if self.target.zero_rtt {
            match connecting.into_0rtt() {
                Ok((connection, _)) => connection,
                Err(connecting) => connecting.await?,
            }
        } else {
            connecting.await?
        };
        self.ledger.connected();
        let receipt = self.exchange(&connection, signed).await?;
        connection.close(0_u32.into(), &[]);
        Ok(receipt)
    }

    async fn exchange(
        &self,
        connection: &Connection,
        signed: Bytes,
    ) -> Result<Receipt, ExchangeError> {
        if self.target.bare {
            bare_exchange(connection, signed).await
        } else {
            device::exchange_early(connection, signed).await
        }
    }

    async fn over_a_relay(&self, place: usize, signed: Bytes) -> Result<Receipt, AttemptError> {
        let connection = self.relay(place).await?;
        Ok(self.exchange(&connection, signed).await?)
    }

    /// The relay at `place`, connected again if it was lost.
    async fn relay(&self, place: usize) -> Result<Connection, AttemptError> {
        let Some(slot) = self.relays.get(place) else { return self.connect(place).await };
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|relay| relay.close_reason().is_none()) {
            return Ok(connection.clone());
        }
        let connection = self.connect(place).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    fn connecting(&self, turn: usize) -> Result<quinn::Connecting, AttemptError> {
        let own = self.target.own_sockets.then(|| endpoint(self.target.address)).transpose()?;
        let place = turn % self.endpoints.len().max(1);
        let shared = self.endpoints.get(place);
        let endpoint = own.as_ref().or(shared).ok_or(ConnectError::EndpointStopping)?;
        // A socket of its own outlives its handle here: it lasts as long as its connection.
        Ok(endpoint.connect_with(self.config.clone(), self.target.address, &self.target.name)?)
    }
}

/// Sends the bytes and takes whatever comes back for a receipt.
async fn bare_exchange(connection: &Connection, signed: Bytes) -> Result<Receipt, ExchangeError> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_chunk(signed).await?;
    send.finish()?;
    while receive.read_chunk(usize::MAX, true).await?.is_some() {}
    Ok(Receipt::new(Status::Received, UnixMillis(0)))
}

/// A socket with room for a burst.
fn endpoint(remote: SocketAddr) -> io::Result<Endpoint> {
    let local = match remote {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(local)?;
    // The system's own limit may be lower; what it grants is used.
    for set in [
        rustix::net::sockopt::set_socket_recv_buffer_size,
        rustix::net::sockopt::set_socket_send_buffer_size,
    ] {
        set(&socket, SOCKET_BUFFER)?;
    }
    device::endpoint(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_back_as_they_are_written() {
        for mode in [Mode::PerPress, Mode::Relay(64)] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for text in ["relay", "relay:0", "relay:-1", "relay:5000", "perpress"] {
            assert_eq!(text.parse::<Mode>(), Err(ModeError), "{text}");
        }
    }
}
