//! A gateway that does as it is told: it answers each message with the next of a list of replies, and remembers what it
//! heard. It checks nothing and links nothing of the real one.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use device::{ALPN, Client, Options, Policy, Trust};
use protocol::{AlertId, Progress, Reason, Receipt, Status, StatusItem, UnixMillis};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream, ServerConfig, VarInt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Notify;

/// Time that a receiver has before its connection is lost, on the clock of the test.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// What becomes of one message.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// This receipt, and the stream ends.
    Receipt(Receipt),
    /// This receipt, and the stream stays open.
    ReceiptThenOpen(Receipt),
    /// This receipt, an item for each step, and what becomes of the stream.
    Steps(Receipt, &'static [Progress], After),
    /// This receipt after a while.
    Late(Duration, Receipt),
    /// Nothing, ever.
    Silence,
    /// These bytes, and the stream ends.
    Bytes(&'static [u8]),
    /// The stream is given up.
    Reset,
    /// The connection is closed.
    Close,
}

/// What becomes of a stream behind its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It ends.
    End,
    /// It stays open.
    Open,
    /// Its connection is closed when the receiver has had time to read.
    Lost,
}

/// One message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Which connection of this gateway brought it, from 0.
    pub(crate) connection: usize,
    /// Where from: another port is another socket.
    pub(crate) from: SocketAddr,
    /// Whether it came before the handshake had ended.
    pub(crate) early: bool,
    pub(crate) bytes: Vec<u8>,
}

/// A gateway that runs until it is dropped.
pub(crate) struct Stub {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    heard: Mutex<Vec<Heard>>,
    news: Notify,
}

/// A certificate for 127.0.0.1 and its key.
pub(crate) struct Identity(CertifiedKey<rcgen::KeyPair>);

impl Identity {
    pub(crate) fn new() -> Self {
        Self(generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.cert.pem()
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::from_pem(self.pem().as_bytes(), "the stub's certificate").unwrap()
    }

    /// A server's settings with tickets of its own: after a restart, early data is not taken.
    fn server_config(&self) -> ServerConfig {
        let chain = vec![CertificateDer::from(self.0.cert.der().to_vec())];
        let key = PrivateKeyDer::try_from(self.0.signing_key.serialize_der()).unwrap();
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.max_early_data_size = u32::MAX;
        ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()))
    }
}

impl Stub {
    /// Starts on a free port; messages beyond `replies` meet silence.
    pub(crate) fn start(identity: &Identity, replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start_at(identity, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), replies)
    }

    pub(crate) fn start_at(
        identity: &Identity,
        address: SocketAddr,
        replies: impl IntoIterator<Item = Reply>,
    ) -> Self {
        let endpoint = Endpoint::server(identity.server_config(), address).unwrap();
        let shared = Arc::new(Shared::default());
        shared.replies.lock().unwrap().extend(replies);
        tokio::spawn(accept(endpoint.clone(), shared.clone()));
        Self { endpoint, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// What was heard so far, in order.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// More replies, for messages to come.
    pub(crate) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.replies.lock().unwrap().extend(replies);
    }

    /// Waits until `count` messages were heard.
    pub(crate) async fn hear(&self, count: usize) -> Vec<Heard> {
        loop {
            let news = self.shared.news.notified();
            let heard = self.heard();
            if heard.len() >= count {
                return heard;
            }
            news.await;
        }
    }

    /// Stops and frees the port, as a process that ends does.
    pub(crate) async fn stop(self) {
        let address = self.address();
        self.endpoint.close(VarInt::from_u32(0), b"");
        self.endpoint.wait_idle().await;
        drop(self.endpoint);
        // The endpoint's own tasks hold the socket until they have had their turn.
        let turns = async {
            while UdpSocket::bind(address).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), turns).await.unwrap();
    }

    pub(crate) fn client(
        &self,
        identity: &Identity,
        options: &Options,
        policy: Policy,
    ) -> Arc<Client> {
        client_of(self.address(), identity, options, policy)
    }
}

pub(crate) fn client_of(
    address: SocketAddr,
    identity: &Identity,
    options: &Options,
    policy: Policy,
) -> Arc<Client> {
    let server = address.to_string().parse().unwrap();
    Arc::new(Client::new(server, &identity.trust(), options, policy).unwrap())
}

pub(crate) fn receipt(status: Status) -> Receipt {
    Receipt::new(status, UnixMillis(0))
}

pub(crate) fn refusal(reason: Reason) -> Reply {
    Reply::Receipt(Receipt::refused(reason, UnixMillis(0)))
}

fn item(progress: &Progress) -> Vec<u8> {
    let (alert, gateway_clock) = (AlertId([1; 16]), UnixMillis(7));
    StatusItem { progress: *progress, alert, gateway_clock }.encode()
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    let mut count = 0;
    while let Some(incoming) = endpoint.accept().await {
        let Ok((connection, _)) = incoming.accept().unwrap().into_0rtt() else { unreachable!() };
        tokio::spawn(serve(connection, count, shared.clone()));
        count += 1;
    }
}

async fn serve(connection: Connection, index: usize, shared: Arc<Shared>) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        tokio::spawn(answer(connection.clone(), index, shared.clone(), send, receive));
    }
}

async fn answer(
    connection: Connection,
    index: usize,
    shared: Arc<Shared>,
    mut send: SendStream,
    mut receive: RecvStream,
) {
    let early = receive.is_0rtt();
    let Ok(bytes) = receive.read_to_end(2_000).await else { return };
    // The reply is settled before anyone can learn that the message was heard.
    let reply = shared.replies.lock().unwrap().pop_front().unwrap_or(Reply::Silence);
    let from = connection.remote_address();
    shared.heard.lock().unwrap().push(Heard { connection: index, from, early, bytes });
    shared.news.notify_waiters();
    let (bytes, end) = match reply {
        Reply::Receipt(receipt) => (receipt.encode(), true),
        Reply::ReceiptThenOpen(receipt) => (receipt.encode(), false),
        Reply::Steps(receipt, steps, after) => {
            let bytes =
                [vec![receipt.encode()], steps.iter().map(item).collect()].concat().concat();
            if after == After::Lost {
                send.write_all(&bytes).await.unwrap();
                tokio::time::sleep(LOST_AFTER).await;
                return connection.close(VarInt::from_u32(7), b"");
            }
            (bytes, after == After::End)
        }
        Reply::Late(wait, receipt) => {
            tokio::time::sleep(wait).await;
            (receipt.encode(), true)
        }
        Reply::Silence => (vec![], false),
        Reply::Bytes(bytes) => (bytes.to_vec(), true),
        Reply::Reset => return send.reset(VarInt::from_u32(7)).unwrap(),
        Reply::Close => return connection.close(VarInt::from_u32(7), b""),
    };
    // The sender may be gone by now, which is its right.
    if send.write_all(&bytes).await.is_ok() && end {
        drop(send.finish());
    }
    drop(send.stopped().await);
}
