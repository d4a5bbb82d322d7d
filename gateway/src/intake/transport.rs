//! QUIC as this gateway speaks it: the socket, TLS and the windows, trimmed to messages of a kilobyte.
//!
//! The libraries' defaults are made for downloads: at 4,096 streams an idle connection costs 366 KiB and a handshake
//! twice the time. Here a phone needs one stream and a relay 128.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use protocol::SIGNED_LEN_MAX;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use quinn_proto::{ConnectionIdGenerator, RandomConnectionIdGenerator};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::version::TLS13;
use rustls::{CipherSuite, ServerConfig as TlsConfig};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{AlertConfig, StrangersConfig};

/// The application protocol (RFC 7301) that devices speak over QUIC.
const ALPN: &[u8] = b"alert/1";
/// QUIC version 1 (RFC 9000); the drafts that quinn also offers are not spoken.
const QUIC_V1: u32 = 1;
/// One ticket a connection: a device that resumes gets its next one with it, and each costs a signature's tenth.
const TICKETS_PER_CONNECTION: usize = 1;
/// A stream carries one message; the window leaves room to see that a message is too long.
const STREAM_WINDOW: u32 = 2_400;
const _: () = assert!(STREAM_WINDOW as usize == 2 * SIGNED_LEN_MAX, "twice the longest message");
/// Bytes of all streams of a connection that may lie unread: 16 whole messages.
pub(super) const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// The same for a connection that has earned many streams.
pub(super) const CONNECTION_WINDOW_EARNED: u32 = 128 * STREAM_WINDOW;
/// Unacknowledged bytes that the gateway keeps for a connection: receipts are 60 bytes.
const SEND_WINDOW: u64 = 32 * 1024;
/// Handshake bytes out of order that are kept: a client's first flight is two packets.
const CRYPTO_BUFFER: usize = 16 * 1024;
/// Bytes of first packets kept for one handshake that waits to be accepted.
const INCOMING_BUFFER: u64 = 16 * 1024;
/// The same for all handshakes together.
const INCOMING_BUFFER_TOTAL: u64 = 32 * 1024 * 1024;
/// First packets that the endpoint may hold besides those that wait for their turn: what comes between two looks.
const INCOMING_FRESH: usize = 1_024;
/// A connection id is random in all of its bytes. Three of the library's own eight are, and the one that a Retry names is
/// not held against those in use: of 2,450 phones that were asked for their address while 10,000 connections stood, four
/// were then taken for somebody else's packets and heard nothing.
const CONNECTION_ID_LEN: usize = 8;

/// Why the intake cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Certificate and key do not make a TLS server: check that they belong together.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// No cipher suite that QUIC can start with is available.
    #[error("TLS has no cipher suite for QUIC's first packets")]
    NoInitialSuite(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// The idle timeout is longer than QUIC can say.
    #[error("idle timeout is longer than QUIC can state")]
    IdleTimeout(#[from] quinn::VarIntBoundsExceeded),
    /// The address is taken, not ours, or not permitted.
    #[error("{address} cannot be bound: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A UDP socket at `address` with buffers for a surge, as far as the system grants them.
///
/// # Errors
/// If the address cannot be bound.
pub fn bind(config: &AlertConfig) -> Result<std::net::UdpSocket, TransportError> {
    let address = config.listen;
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_recv_buffer_size(config.receive_buffer)?;
        socket.set_send_buffer_size(config.send_buffer)?;
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        let granted = socket.recv_buffer_size()?;
        if granted < config.receive_buffer {
            tracing::warn!(
                granted,
                wanted = config.receive_buffer,
                "the system grants a smaller receive buffer; raise net.core.rmem_max"
            );
        }
        Ok(socket.into())
    };
    open().map_err(|source| TransportError::Bind { address, source })
}

/// What the endpoint speaks.
#[must_use]
pub fn endpoint_config() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.supported_versions(vec![QUIC_V1]).cid_generator(connection_ids);
    config
}

fn connection_ids() -> Box<dyn ConnectionIdGenerator> {
    Box::new(RandomConnectionIdGenerator::new(CONNECTION_ID_LEN))
}

/// What the endpoint offers to devices.
///
/// # Errors
/// If certificate and key do not belong together, or a bound cannot be stated in QUIC.
pub fn server_config(
    config: &AlertConfig,
    strangers: &StrangersConfig,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TransportError> {
    let mut tls = TlsConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.send_tls13_tickets = TICKETS_PER_CONNECTION;
    if config.tickets_max > 0 {
        tls.session_storage = ServerSessionMemoryCache::new(config.tickets_max);
    } else {
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
    }
    // QUIC allows all or nothing (RFC 9001 section 4.6.1).
    tls.max_early_data_size = if config.zero_rtt { u32::MAX } else { 0 };
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    server
        .max_incoming(strangers.waiting_max + INCOMING_FRESH)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL)
        .transport_config(Arc::new(transport(config)?));
    Ok(server)
}

fn transport(config: &AlertConfig) -> Result<TransportConfig, TransportError> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(config.streams_initial.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        .crypto_buffer_size(CRYPTO_BUFFER)
        .datagram_receive_buffer_size(None)
        .mtu_discovery_config(None)
        .keep_alive_interval(None)
        .max_idle_timeout(Some(IdleTimeout::try_from(config.idle_timeout)?));
    Ok(transport)
}

/// TLS by ring, with AES-128 first: SHA-384 is a fifth of a handshake.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_connection_id_is_given_twice() {
        // With 24 random bits a dozen of as many would meet, with 64 one in 10^11.
        let mut generator = connection_ids();
        let ids: HashSet<_> = (0..20_000).map(|_| generator.generate_cid()).collect();
        assert_eq!(ids.len(), 20_000);
    }
}
