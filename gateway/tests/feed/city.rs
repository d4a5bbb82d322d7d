//! A journal, a served feed and its clients.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway::config::{FeedConfig, JournalConfig};
use gateway::feed::{Attendance, Feed, FeedParts, Heads};
use gateway::journal::{Journal, JournalError};
use gateway::operator::{ApiParts, OperatorParts, serve};
use gateway::registry::{Limits, Subscriber, SubscriberId, Subscribers, TokenHash};
use pipeline::{Agencies, Carrier, Cursor, Entry, Record, Time, ZoneId, Zones};
use protocol::{
    AlertId, Algorithm, Category, Counters, DeviceId, Kind, Labels, Message, MessageId, Nonce,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Zones of the town in which alerts happen, the root among them: alerts outside every zone carry it.
pub(crate) const ZONES: [&str; 5] = ["town", "west", "west-1", "west-2", "east"];

/// An hour of the city's clock, in microseconds.
pub(crate) const HOUR: u64 = 3_600_000_000;

const CURSOR_KEY: [u8; 16] = [7; 16];

/// Longer than anything here takes: a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway's journal and operator side.
pub(crate) struct City {
    dir: Arc<tempfile::TempDir>,
    config: FeedConfig,
    journal: Journal,
    /// The zone of each record, in order of cursors from 1.
    history: Vec<&'static str>,
    heads: Arc<Heads>,
    feed: Arc<Feed>,
    subscribers: Arc<Subscribers>,
    grants: Mutex<HashMap<String, Subscriber>>,
    clock: Arc<AtomicU64>,
    failure: watch::Sender<Option<Arc<JournalError>>>,
    address: SocketAddr,
    http: reqwest::Client,
    server: JoinHandle<()>,
    shutdown: watch::Sender<bool>,
}

impl City {
    /// A new city with an empty journal.
    pub(crate) async fn start(config: FeedConfig) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::open(dir, config, vec![]).await
    }

    async fn open(
        dir: Arc<tempfile::TempDir>,
        config: FeedConfig,
        history: Vec<&'static str>,
    ) -> Self {
        let path: PathBuf = dir.path().join("journal.db");
        let journal = Journal::open(&path, &JournalConfig::default()).unwrap();
        assert_eq!(journal.last(), Cursor(history.len() as u64));
        let heads = Heads::new(&config, journal.last());
        let subscribers = Arc::new(Subscribers::default());
        let clock = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&clock);
        let feed = Feed::new(FeedParts {
            heads: Arc::clone(&heads),
            journal: path,
            cursor_key: CURSOR_KEY,
            zones: Arc::new(ArcSwap::from_pointee(town("town"))),
            attendance: Attendance::new(),
            subscribers: Arc::clone(&subscribers),
            operators: Arc::default(),
            config: config.clone(),
            now: Arc::new(move || Time(now.load(Ordering::Relaxed))),
        });
        let (failure, journal_failure) = watch::channel(None);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, closing) = watch::channel(false);
        let operator = serve(OperatorParts {
            listener,
            tls: None,
            feed: Arc::clone(&feed),
            api: Self::api(dir.path()),
            journal_failure,
            closing,
        });
        let running = Arc::clone(&feed);
        let server = tokio::spawn(async move {
            tokio::select! {
                () = operator => {}
                () = running.run() => {}
            }
        });
        Self {
            dir,
            config,
            journal,
            history,
            heads,
            feed,
            subscribers,
            grants: Mutex::new(HashMap::new()),
            clock,
            failure,
            address,
            http: reqwest::Client::new(),
            server,
            shutdown,
        }
    }

    /// The operators' interface of a city that has none.
    fn api(folder: &std::path::Path) -> ApiParts {
        ApiParts {
            search: folder.join("search.db"),
            journal: folder.join("journal.db"),
            data_dir: folder.to_owned(),
            registry: Arc::default(),
            operators: Arc::default(),
            subscribers: Arc::default(),
            zones: Arc::new(ArcSwap::from_pointee(town("town"))),
            cursor_key: CURSOR_KEY,
            decider: Arc::new(gateway::desk::decisions(1).0),
            metrics: Arc::new(|| "metrics_total 1\n".to_owned()),
            now: Arc::new(|| Time(0)),
        }
    }

    /// Stops the gateway in order.
    pub(crate) async fn stop(self) {
        self.shutdown.send_replace(true);
        self.server.await.unwrap();
    }

    /// The same city after a stop in the middle of things and a new start.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, config, journal, history, grants, server, .. } = self;
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        drop(journal);
        let city = Self::open(dir, config, history).await;
        *city.grants.lock().unwrap() = grants.into_inner().unwrap();
        city.load_grants();
        city
    }

    /// Lets `token` see `zones` until `expires_at` of the city's clock, which stands at 0.
    pub(crate) fn grant(&self, token: &str, zones: &[&str], expires_at: u64) {
        self.grant_limited(token, zones, Limits::default(), expires_at);
    }

    /// The same, within limits.
    pub(crate) fn grant_limited(
        &self,
        token: &str,
        zones: &[&str],
        limits: Limits,
        expires_at: u64,
    ) {
        self.clock.store(0, Ordering::Relaxed);
        let subscriber = Subscriber {
            id: SubscriberId([1; 16]),
            zones: zones.iter().copied().map(ZoneId::new).collect(),
            limits,
            expires_at: Time(expires_at),
        };
        self.grants.lock().unwrap().insert(token.to_owned(), subscriber);
        self.load_grants();
    }

    fn load_grants(&self) {
        let grants = self.grants.lock().unwrap();
        self.subscribers
            .replace(grants.iter().map(|(token, of)| (TokenHash::of(token), of.clone())));
    }

    /// Waits until these zones, and no others, have a stream of their own.
    pub(crate) async fn attended(&self, zones: &[&str]) {
        let expected = zones.iter().copied().map(ZoneId::new).collect();
        let mut attended = self.feed.attended();
        let is = attended.wait_for(|attended| attended.as_deref() == Some(&expected));
        tokio::time::timeout(PATIENCE, is).await.unwrap().unwrap();
    }

    /// Lets an hour pass.
    pub(crate) fn expire(&self) {
        self.clock.store(HOUR, Ordering::Relaxed);
    }

    /// Removes every subscriber.
    pub(crate) fn remove_all(&self) {
        self.subscribers.replace([]);
    }

    /// Draws the zones anew: `east` lies below `west`.
    pub(crate) fn move_east_below_west(&self) {
        self.feed.set_zones(Arc::new(town("west")));
    }

    /// Lets the journal fail.
    pub(crate) fn fail_journal(&self) {
        let error = JournalError::InUse { path: "journal.db".into() };
        self.failure.send_replace(Some(Arc::new(error)));
    }

    /// Alerts in these zones: journaled, synced and pushed.
    pub(crate) fn alerts(&mut self, zones: &[&'static str]) {
        let first = self.last() + 1;
        self.write((first..).zip(zones).map(|(at, zone)| record(at, zone)).collect(), zones);
    }

    /// An alert in this zone, of the incident that the alert at `of` began, or of its own.
    pub(crate) fn alert_of(&mut self, zone: &'static str, of: Option<u64>) {
        let record = record(self.last() + 1, zone);
        let incident = of.map_or(record.incident, |of| self::record(of, zone).incident);
        self.write(vec![Record { incident, ..record }], &[zone]);
    }

    fn write(&mut self, records: Vec<Record>, zones: &[&'static str]) {
        let entries: Vec<Entry> = records.into_iter().map(Entry::from).collect();
        self.journal.append(&entries).unwrap();
        self.history.extend(zones);
        self.heads.push(entries);
    }

    /// The last cursor.
    pub(crate) fn last(&self) -> u64 {
        self.history.len() as u64
    }

    /// Cursors behind `after` of alerts in these zones.
    pub(crate) fn covered(&self, after: u64, zones: &[&str]) -> Vec<u64> {
        (1..)
            .zip(&self.history)
            .filter(|(at, zone)| *at > after && zones.contains(zone))
            .map(|(at, _)| at)
            .collect()
    }

    /// A subscriber with the token `token` whose stream is open.
    pub(crate) async fn connect(&self, query: &str, last_event_id: &str) -> Client {
        let mut headers = vec![("authorization", "Bearer token")];
        if !last_event_id.is_empty() {
            headers.push(("last-event-id", last_event_id));
        }
        let response = self.get(&format!("/v1/feed{query}"), &headers).await;
        assert_eq!(response.status(), 200);
        let mut client = Client::new(response);
        let opening = client.block().await.unwrap();
        assert!(opening.starts_with(": kentongan"), "{opening}");
        client
    }

    /// The stream that is opened as soon as there is a place: the server notices a moment later that a client has gone.
    pub(crate) async fn once_free(&self, headers: &[(&str, &str)]) -> Client {
        let asked = async {
            loop {
                let response = self.get("/v1/feed", headers).await;
                if response.status() != 503 {
                    return response;
                }
                tokio::task::yield_now().await;
            }
        };
        let response = tokio::time::timeout(PATIENCE, asked).await.unwrap();
        assert_eq!(response.status(), 200);
        Client::new(response)
    }

    /// A refused request's status and problem.
    pub(crate) async fn refusal(
        &self,
        query: &str,
        headers: &[(&str, &str)],
    ) -> (u16, serde_json::Value) {
        let response = self.get(&format!("/v1/feed{query}"), headers).await;
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// A request's response.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = self.http.get(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        tokio::time::timeout(PATIENCE, request.send()).await.unwrap().unwrap()
    }

    /// A bare connection with a small receive buffer.
    pub(crate) async fn raw(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        socket.connect(self.address).await.unwrap()
    }
}

/// A client that reads a stream by hand.
pub(crate) struct Client {
    response: reqwest::Response,
    buffer: String,
    /// The last id that the stream set.
    pub(crate) last_id: String,
    /// Length of the last block.
    pub(crate) block_bytes: usize,
}

impl Client {
    /// A client of this stream.
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self { response, buffer: String::new(), last_id: String::new(), block_bytes: 0 }
    }

    /// The next block, without its blank line; nothing at the stream's orderly end.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                self.block_bytes = block.len();
                let block = block.trim_end().to_owned();
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                    id.clone_into(&mut self.last_id);
                }
                return Some(block);
            }
            let chunk =
                tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap().unwrap();
            let Some(chunk) = chunk else {
                assert_eq!(self.buffer, "");
                return None;
            };
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The cursor of the next event.
    pub(crate) async fn event(&mut self) -> u64 {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if let Some(cursor) = cursor_of(&block) {
                return cursor;
            }
        }
    }
}

fn cursor_of(block: &str) -> Option<u64> {
    let data = block.lines().find_map(|line| line.strip_prefix("data: "))?;
    assert!(block.contains("event: alert\n"), "{block}");
    if let Some((_, id)) = data.split_once("<identifier>") {
        return u64::from_str_radix(&id[..16], 16).ok();
    }
    let mut data: serde_json::Value = serde_json::from_str(data).unwrap();
    if data["type"] == "Feature" {
        data = data["properties"].take();
    }
    Some(u64::from_str_radix(&data["message_id"].as_str().unwrap()[..16], 16).unwrap())
}

/// Id and cursor of the last event that is whole in the raw bytes of a response, cut at any place.
pub(crate) fn last_whole_event(raw: &str) -> (String, u64) {
    // Chunked transfer breaks the text with lengths; an event that holds a break is not looked at.
    let block = raw
        .rsplit("\n\n")
        .skip(1)
        .find(|block| block.starts_with("id: ") && !block.contains('\r') && block.ends_with('}'))
        .unwrap();
    (block["id: ".len()..][..32].to_owned(), cursor_of(block).unwrap())
}

/// A cursor that another deployment gave out.
pub(crate) fn foreign_cursor() -> String {
    sealed([8; 16], 1)
}

/// A cursor of this deployment, of a journal that got further than this one.
pub(crate) fn own_cursor_at_9() -> String {
    sealed(CURSOR_KEY, 9)
}

fn sealed(key: [u8; 16], cursor: u64) -> String {
    let mut out = vec![];
    let codec = gateway::feed::CursorCodec::new(key);
    let entry = record(cursor, "east").into();
    gateway::feed::encode_event(&entry, gateway::feed::Shape::default(), &codec, &mut out);
    String::from_utf8(out).unwrap()["id: ".len()..][..32].to_owned()
}

fn record(cursor: u64, zone: &str) -> Record {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&cursor.to_be_bytes());
    let device = DeviceId([9; 16]);
    let counters = Counters::new(1, u32::try_from(cursor).unwrap());
    let message = Message::raise(counters, Nonce([5; 8])).encode();
    Record {
        cursor: Cursor(cursor),
        received_at: Time(1_772_000_000_000_000 + cursor),
        device,
        message_id: MessageId(id),
        alert: Some(AlertId(id)),
        kind: Kind::Raise,
        counters,
        category: Category::Unspecified,
        zone: ZoneId::new(zone),
        labels: Labels::NONE,
        carrier: Carrier::Quic,
        disposition: pipeline::Disposition::Paged,
        also: vec![],
        agencies: Agencies::ALL,
        joins: None,
        incident: Some(AlertId(id)),
        raised_at: None,
        site: protocol::Position::new(-79_666_200, 1_126_326_000),
        signed: protocol::assemble(Algorithm::EdDsa, &device, &message, &[0; 64]).into(),
    }
}

/// A root `town` with `west` (of `west-1` and `west-2`), and `east` below `above_east`.
fn town(above_east: &str) -> Zones {
    let zone = |id: &str, parent: Option<&str>, column: Option<f64>| {
        let mut properties = serde_json::json!({"id": id, "name": id, "level": "polsek"});
        if let Some(parent) = parent {
            properties["parent"] = parent.into();
        }
        let geometry = column.map(|west| {
            let east = west + 0.01;
            let ring = [[west, 0.0], [east, 0.0], [east, 0.01], [west, 0.01], [west, 0.0]];
            serde_json::json!({"type": "Polygon", "coordinates": [ring]})
        });
        serde_json::json!({"type": "Feature", "properties": properties, "geometry": geometry})
    };
    let features = [
        zone("town", None, None),
        zone("west", Some("town"), None),
        zone("west-1", Some("west"), Some(0.0)),
        zone("west-2", Some("west"), Some(0.01)),
        zone("east", Some(above_east), Some(0.02)),
    ];
    let text = serde_json::json!({"type": "FeatureCollection", "features": features}).to_string();
    Zones::from_geojson(&text).unwrap()
}
