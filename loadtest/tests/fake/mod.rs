//! A gateway of a hundred lines: takes presses over QUIC, answers, and shows them on a feed. It knows which bytes are
//! good, so it needs no cryptography of its own, and it can be told to misbehave.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use device::Trust;
use protocol::{AlertId, Envelope, Realm, Reason, Receipt, Status, UnixMillis};
use quinn::crypto::rustls::QuicServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// The only token that the fake takes.
pub(crate) const TOKEN: &str = "fake-token";
/// The deployment that the fake stands for.
pub(crate) const REALM: Realm = Realm([7; 16]);

/// What the fake does wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Every so many presses, the first copy is taken and its receipt lost.
    pub(crate) lose_receipt_every: Option<usize>,
    /// Every so many presses, the feed shows the event twice.
    pub(crate) show_twice_every: Option<usize>,
    /// Every so many presses, the feed does not show the event.
    pub(crate) hide_every: Option<usize>,
}

/// A fake that runs until it is dropped with its runtime.
pub(crate) struct Fake {
    /// Where it takes presses.
    pub(crate) alerts: SocketAddr,
    /// Where its feed is, as a URL.
    pub(crate) operator: String,
    /// What trusts its certificate.
    pub(crate) trust: Trust,
}

struct State {
    good: HashSet<Bytes>,
    faults: Faults,
    seen: Mutex<Vec<AlertId>>,
    feed: broadcast::Sender<String>,
}

impl Fake {
    /// Starts a fake that takes exactly the bytes in `good`.
    pub(crate) async fn start(good: HashSet<Bytes>, faults: Faults) -> Self {
        let (feed, _) = broadcast::channel(100_000);
        let state = Arc::new(State { good, faults, seen: Mutex::default(), feed });
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let trust = Trust::from_pem(certified.cert.pem().as_bytes(), "fake").unwrap();
        let endpoint = endpoint(&certified);
        let alerts = endpoint.local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operator = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(take_presses(endpoint, Arc::clone(&state)));
        tokio::spawn(show_feed(listener, state));
        Self { alerts, operator, trust }
    }
}

fn endpoint(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> quinn::Endpoint {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    tls.alpn_protocols = vec![device::ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap()
}

async fn take_presses(endpoint: quinn::Endpoint, state: Arc<State>) {
    while let Some(incoming) = endpoint.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let Ok(connection) = incoming.await else { return };
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    let Ok(signed) = receive.read_to_end(2_000).await else { return };
                    if let Some(receipt) = state.take(signed.into()) {
                        send.write_all(&receipt.encode()).await.unwrap_or_default();
                        send.finish().unwrap_or_default();
                    }
                    // Without a receipt the stream stays open and silent until the client has had enough.
                    let _either_way = send.stopped().await;
                });
            }
        });
    }
}

impl State {
    fn take(&self, signed: Bytes) -> Option<Receipt> {
        if !self.good.contains(&signed) {
            return Some(Receipt::refused(Reason::Unproven, UnixMillis(0)));
        }
        let alert = Envelope::parse(&signed).unwrap().message_id(&REALM).alert();
        let mut seen = self.seen.lock().unwrap();
        let answer = |status| Receipt { alert: Some(alert), ..Receipt::new(status, UnixMillis(0)) };
        if seen.contains(&alert) {
            return Some(answer(Status::Duplicate));
        }
        seen.push(alert);
        let due =
            |every: Option<usize>| every.is_some_and(|every| seen.len().is_multiple_of(every));
        let id = seen.len();
        let event = format!(
            "id: {id}\nevent: alert\ndata: {{\"alert_id\":\"{alert}\",\"kind\":\"raise\"}}\n\n"
        );
        let times = match (due(self.faults.hide_every), due(self.faults.show_twice_every)) {
            (true, _) => 0,
            (false, twice) => 1 + usize::from(twice),
        };
        for _ in 0..times {
            // Nobody may be listening yet.
            drop(self.feed.send(event.clone()));
        }
        (!due(self.faults.lose_receipt_every)).then(|| answer(Status::Received))
    }
}

async fn show_feed(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let events = state.feed.subscribe();
            show(stream, events).await.unwrap_or_default();
        });
    }
}

async fn show(
    mut stream: TcpStream,
    mut events: broadcast::Receiver<String>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).to_lowercase();
    if !request.contains(&format!("bearer {TOKEN}")) {
        return stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    }
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: fake\n\n";
    stream.write_all(head.as_bytes()).await?;
    while let Ok(event) = events.recv().await {
        stream.write_all(event.as_bytes()).await?;
    }
    Ok(())
}
