//! The QUIC carrier: how a connection to a gateway is set up, and how one message travels over it.
//!
//! [`Trust`], [`client_config`], [`bind`] and `exchange` are the whole of it, free of policy, so that a load
//! generator can drive thousands of connections over few sockets with exactly what a phone uses. When to send again is
//! decided in [`client`](crate::Client).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring as provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CipherSuite, RootCertStore};

use crate::tickets::Tickets;

/// The application protocol that a gateway speaks (`docs/protocol.md`).
pub const ALPN: &[u8] = b"alert/1";
/// What a gateway sends on a stream is a receipt of at most 80 bytes and short status items.
const STREAM_RECEIVE_WINDOW: u32 = 4 * 1024;
const RECEIVE_WINDOW: u32 = 64 * 1024;
/// Room for the 128 messages that a relay may have in flight, each as long as it may be (1,200 bytes).
const SEND_WINDOW: u64 = 128 * 1_200;
/// QUIC version 1 (RFC 9000); the drafts that quinn would also offer are of no use to anyone.
const QUIC_V1: u32 = 1;

/// How connections are made. The defaults are a phone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Send the first message in the first packet when a former connection left a ticket (default: yes). A replayed
    /// copy is a duplicate, because a message's content is its identity.
    pub zero_rtt: bool,
    /// Tickets of former connections that are kept, 0 for none (default: 8). Without them there is no 0-RTT.
    pub sessions_max: usize,
    /// Sends a packet after this much silence, so that address translators keep the path open. Only a client that
    /// follows its alert wants that; [`FOLLOW_KEEP_ALIVE`](crate::FOLLOW_KEEP_ALIVE) (default: none).
    pub keep_alive: Option<Duration>,
    /// Silence after which a connection counts as lost (default: 15 s).
    pub idle_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            zero_rtt: true,
            sessions_max: 8,
            keep_alive: None,
            idle_timeout: Duration::from_secs(15),
        }
    }
}

/// The certificates that a gateway's certificate must descend from, or be.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
}

/// Why certificates cannot be trusted. The message names the file, where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is not PEM.
    #[error("{path}: {error}")]
    File {
        /// The file at fault.
        path: String,
        /// What is wrong with it.
        error: String,
    },
    /// There is no certificate: give the certificate that the gateway names as `cert` in its ready file.
    #[error("no certificate in {0}")]
    Empty(String),
    /// A certificate cannot be read.
    #[error("certificate in {path} cannot be used: {error}")]
    Certificate {
        /// The file at fault.
        path: String,
        /// What is wrong with it.
        error: String,
    },
}

/// The TLS library refused these settings; only a build without the needed cipher suites does that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot set up TLS: {0}")]
pub struct SetupError(String);

impl Trust {
    /// Trusts the certificates of a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no usable certificate.
    pub fn from_pem_file(path: &Path) -> Result<Self, TrustError> {
        let name = path.display().to_string();
        let pem = std::fs::read(path)
            .map_err(|error| TrustError::File { path: name.clone(), error: error.to_string() })?;
        Self::from_pem(&pem, &name)
    }

    /// Trusts the certificates in `pem`; `name` is what errors call it.
    ///
    /// # Errors
    /// When there is no usable certificate in it.
    pub fn from_pem(pem: &[u8], name: &str) -> Result<Self, TrustError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TrustError::File { path: name.into(), error: error.to_string() })?;
        if certificates.is_empty() {
            return Err(TrustError::Empty(name.into()));
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|error| TrustError::Certificate {
                path: name.into(),
                error: error.to_string(),
            })?;
        }
        Ok(Self { roots: Arc::new(roots) })
    }
}

/// What a connection needs, made once and cloned for each: clones share the tickets of former connections.
///
/// # Errors
/// See [`SetupError`].
pub fn client_config(trust: &Trust, options: &Options) -> Result<ClientConfig, SetupError> {
    config_with(trust, options, &Arc::new(Tickets::new(options.sessions_max)))
}

/// [`client_config`], with its tickets kept in `tickets`.
pub(crate) fn config_with(
    trust: &Trust,
    options: &Options,
    tickets: &Arc<Tickets>,
) -> Result<ClientConfig, SetupError> {
    let setup = |error: &dyn ToString| SetupError(error.to_string());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(tls_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| setup(&error))?
        .with_root_certificates(trust.roots.clone())
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = options.zero_rtt;
    tls.resumption = match options.sessions_max {
        0 => Resumption::disabled(),
        _ => Resumption::store(tickets.clone()),
    };
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| setup(&error))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config(options)));
    Ok(config)
}

/// The transport half of [`client_config`], for whoever wants to change one thing in it.
#[must_use]
pub fn transport_config(options: &Options) -> TransportConfig {
    let idle_timeout_ms = options.idle_timeout.as_millis().try_into().unwrap_or(u32::MAX);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_timeout_ms))))
        .keep_alive_interval(options.keep_alive)
        // A message fits the smallest packet, so larger ones need not be searched for.
        .mtu_discovery_config(None);
    transport
}

/// AES-128 first: the gateway saves a fifth of a handshake against SHA-384.
fn tls_provider() -> CryptoProvider {
    let mut tls = provider::default_provider();
    tls.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    tls
}

/// A socket that can reach `remote`, with a port of the system's choice. Must run inside a tokio runtime.
///
/// # Errors
/// When the system refuses the socket.
pub fn bind(remote: SocketAddr) -> io::Result<Endpoint> {
    let local = match remote.ip() {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    endpoint(UdpSocket::bind(local)?)
}

/// An endpoint on `socket`, for whoever sets the socket's buffers. Must run inside a tokio runtime.
///
/// # Errors
/// When the socket cannot be made asynchronous.
pub fn endpoint(socket: UdpSocket) -> io::Result<Endpoint> {
    let mut config = EndpointConfig::default();
    config.supported_versions(vec![QUIC_V1]);
    Endpoint::new(config, None, socket, Arc::new(quinn::TokioRuntime))
}
