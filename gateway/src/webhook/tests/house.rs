//! A journal, the room of webhooks in virtual time, and targets that answer as they are told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use pipeline::{Cursor, Entry, Record, Routing, Time, ZoneId};
use protocol::{Algorithm, Counters, Message, Nonce, Position};
use rustls::RootCertStore;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{JournalConfig, WebhookConfig};
use crate::feed::Attendance;
use crate::feed::Format;
use crate::feed::testing::{record, town};
use crate::journal::Journal;
use crate::registry::{Limits, Webhook, WebhookId, WebhookSecret};
use crate::webhook::{
    DeadLetter, Ledger, Resolve, WebhookParts, Webhooks, resolve_with_the_machine, trust,
};

/// Longer than anything here takes: a test that waits so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const CURSOR_KEY: [u8; 16] = [7; 16];

/// A gateway as far as webhooks know it. Its clock moves only by the waits between attempts.
pub(super) struct House {
    folder: Arc<tempfile::TempDir>,
    pub(super) config: WebhookConfig,
    journal: Journal,
    last: u64,
    synced: watch::Sender<Cursor>,
    webhooks: watch::Sender<Vec<Arc<Webhook>>>,
    routing: watch::Sender<Arc<Routing>>,
    clock: Arc<AtomicU64>,
    pub(super) waits: Arc<Mutex<Vec<Duration>>>,
    pub(super) roots: RootCertStore,
    pub(super) resolve: Resolve,
    pub(super) attendance: Arc<Attendance>,
    room: Option<JoinHandle<()>>,
}

impl House {
    pub(super) fn new(config: WebhookConfig) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let path = folder.path().join("journal.db");
        Self {
            journal: Journal::open(&path, &JournalConfig::default()).unwrap(),
            folder,
            config,
            last: 0,
            synced: watch::Sender::new(Cursor(0)),
            webhooks: watch::Sender::new(vec![]),
            routing: watch::Sender::default(),
            clock: Arc::new(AtomicU64::new(1_772_000_000_000_000)),
            waits: Arc::default(),
            roots: RootCertStore::empty(),
            resolve: resolve_with_the_machine(),
            attendance: Attendance::new(),
            room: None,
        }
    }

    /// Starts the room; what ran before is killed in the middle of things.
    pub(super) async fn start(&mut self) {
        self.kill().await;
        let (clock, waits) = (Arc::clone(&self.clock), Arc::clone(&self.waits));
        let now = Arc::clone(&self.clock);
        let room = Webhooks::open(WebhookParts {
            data_dir: self.folder.path().to_owned(),
            journal: self.folder.path().join("journal.db"),
            cursor_key: CURSOR_KEY,
            zones: Arc::new(ArcSwap::from_pointee(town())),
            webhooks: self.webhooks.subscribe(),
            routing: self.routing.subscribe(),
            synced: self.synced.subscribe(),
            config: self.config.clone(),
            tls: trust(self.roots.clone()),
            resolve: Arc::clone(&self.resolve),
            attendance: Arc::clone(&self.attendance),
            now: Arc::new(move || Time(now.load(Ordering::Relaxed))),
            pause: Arc::new(move |wait| {
                let micros = u64::try_from(wait.as_micros()).unwrap();
                clock.fetch_add(micros, Ordering::Relaxed);
                waits.lock().unwrap().push(wait);
                Box::pin(tokio::task::yield_now())
            }),
        });
        self.room = Some(tokio::spawn(room.unwrap().run()));
    }

    pub(super) async fn kill(&mut self) {
        if let Some(room) = self.room.take() {
            room.abort();
            assert!(room.await.unwrap_err().is_cancelled());
        }
    }

    /// Alerts in these zones: journaled and synced.
    pub(super) fn alerts(&mut self, zones: &[&str]) {
        let places = self.last + 1..;
        self.journal(places.zip(zones).map(|(at, zone)| record(at, zone).into()).collect());
    }

    /// An alert with a place and a note: journaled and synced.
    pub(super) fn telling(&mut self, note: &str) -> Record {
        let message = Message {
            position: Position::new(-79_666_200, 1_126_326_000),
            note: Some(note),
            ..Message::raise(Counters::new(1, 1), Nonce([5; 8]))
        };
        let plain = record(self.last + 1, "east");
        let signed =
            protocol::assemble(Algorithm::EdDsa, &plain.device, &message.encode(), &[0; 64]);
        let record = Record { signed: signed.into(), ..plain };
        self.journal(vec![record.clone().into()]);
        record
    }

    /// Lines behind those that there are: journaled and synced.
    pub(super) fn journal(&mut self, entries: Vec<Entry>) {
        self.journal.append(&entries).unwrap();
        self.last = entries.last().unwrap().cursor().0;
        self.synced.send_replace(Cursor(self.last));
    }

    /// A webhook for these zones, known from now on.
    pub(super) fn add(&self, number: u8, url: &str, zones: &[&str]) -> WebhookId {
        let webhook = webhook(number, url, zones);
        let id = webhook.id;
        self.webhooks.send_modify(|webhooks| webhooks.push(Arc::new(webhook)));
        id
    }

    /// Replaces every webhook by what `change` makes of it, or removes it.
    pub(super) fn change(&self, change: impl Fn(Webhook) -> Option<Webhook>) {
        self.webhooks.send_modify(|webhooks| {
            let changed = webhooks.iter().filter_map(|webhook| change((**webhook).clone()));
            *webhooks = changed.map(Arc::new).collect();
        });
    }

    /// Nothing happens for so long.
    pub(super) fn pass(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap();
        self.clock.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::open_reader(self.folder.path()).unwrap().unwrap()
    }

    /// The dead letters once there are so many, by cursor and cause.
    pub(super) async fn dead(&self, id: WebhookId, count: usize) -> Vec<(u64, String)> {
        let found = self.until(|ledger| {
            let dead = ledger.dead(id).unwrap();
            (dead.len() == count && dead.iter().all(|letter| !letter.due)).then_some(dead)
        });
        let shown = |letter: DeadLetter| (letter.cursor.0, letter.cause);
        found.await.into_iter().map(shown).collect()
    }

    /// What `look` sees in the ledger, once it sees something.
    pub(super) async fn until<T>(&self, look: impl Fn(&Ledger) -> Option<T>) -> T {
        let ledger = self.ledger();
        let seen = async {
            loop {
                if let Some(seen) = look(&ledger) {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap()
    }
}

pub(in crate::webhook) fn webhook(number: u8, url: &str, zones: &[&str]) -> Webhook {
    Webhook {
        id: WebhookId([number; 16]),
        url: Arc::from(url),
        allow_private: true,
        secret: WebhookSecret([number; 32]),
        zones: zones.iter().copied().map(ZoneId::new).collect(),
        limits: Limits::default(),
        format: Format::Json,
        attends: false,
        after: Cursor(0),
        retries: 0,
        created_at: Time(0),
    }
}

/// What a target does with a request that it has read.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Sends this and closes.
    Say(String),
    /// Sends this, and reads the next request from the same connection.
    Keep(String),
    /// Sends this, and resets the connection.
    Reset(String),
    /// Sends this and then as much as is taken.
    Endless(String),
    /// Says nothing until the other side has gone.
    Silence,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self::Say(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"))
    }

    /// 204, and the connection stays.
    pub(super) fn kept() -> Self {
        Self::Keep("HTTP/1.1 204 X\r\n\r\n".to_owned())
    }
}

/// A request as a target read it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    head: String,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| *known == name).unwrap().1
    }

    /// The cursor of the alert that it is about.
    pub(super) fn cursor(&self) -> u64 {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["type"], "alert");
        let message_id = body["data"]["message_id"].as_str().unwrap();
        u64::from_str_radix(&message_id[..16], 16).unwrap()
    }
}

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Whatever is dropped from here on is reset, not closed.
    fn reset(&self);
}

impl Stream for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Stream for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

/// A server on a free port.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: mpsc::UnboundedReceiver<Request>,
    connections: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Drop for Target {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Target {
    /// A target that gives these answers, one after another, and then 204.
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start_with(answers, None).await
    }

    pub(super) async fn start_with(
        answers: impl IntoIterator<Item = Answer>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let (sender, requests) = mpsc::unbounded_channel();
        let given = Arc::clone(&answers);
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let (given, sender, tls) = (Arc::clone(&given), sender.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, &given, &sender).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, &given, &sender).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, answers, requests, connections, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/alerts", self.address)
    }

    pub(super) fn answer_next(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    pub(super) async fn request(&mut self) -> Request {
        tokio::time::timeout(PATIENCE, self.requests.recv()).await.unwrap().unwrap()
    }

    /// The cursors of the next requests.
    pub(super) async fn cursors(&mut self, count: usize) -> Vec<u64> {
        let mut cursors = vec![];
        for _ in 0..count {
            cursors.push(self.request().await.cursor());
        }
        cursors
    }

    /// Connections so far.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn saw_nothing(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

/// Reads requests and answers each. Whatever fails is the other side's choice.
async fn answer(
    mut stream: impl Stream,
    answers: &Mutex<VecDeque<Answer>>,
    requests: &mpsc::UnboundedSender<Request>,
) {
    while let Some(request) = read(&mut stream).await {
        let answer = answers.lock().unwrap().pop_front().unwrap_or_else(|| Answer::status(204));
        drop(requests.send(request));
        match answer {
            Answer::Say(text) => drop(stream.write_all(text.as_bytes()).await),
            Answer::Keep(text) => {
                drop(stream.write_all(text.as_bytes()).await);
                continue;
            }
            Answer::Reset(text) => {
                drop(stream.write_all(text.as_bytes()).await);
                stream.reset();
                return;
            }
            Answer::Endless(text) => {
                let mut sent = stream.write_all(text.as_bytes()).await;
                while sent.is_ok() {
                    sent = stream.write_all(&[b'a'; 4096]).await;
                }
            }
            Answer::Silence => drop(stream.read(&mut [0]).await),
        }
        drop(stream.shutdown().await);
        return;
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Request> {
    let mut read = vec![];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let request = Request { head: head.to_owned(), body: body.to_owned() };
            if request.body.len() == request.header("content-length").parse::<usize>().unwrap() {
                return Some(request);
            }
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&buffer[..count]);
    }
}
