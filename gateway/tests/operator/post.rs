//! A command post: the operators' interface over files with a known past, and a desk that says what the test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway::config::{FeedConfig, JournalConfig};
use gateway::desk::Undecided;
use gateway::feed::{Attendance, Feed, FeedParts, Heads};
use gateway::journal::Journal;
use gateway::operator::{ApiParts, Decider, Deciding, OperatorParts, serve};
use gateway::registry::{
    DeviceKey, Enrolment, Limits, Operator, Role, Sight, Store, Subscriber, SubscriberId,
    TokenHash, load,
};
use gateway::search::Index;
use pipeline::{
    Act, Actor, Agencies, Carrier, Cursor, Decision, DecisionAnswer, Disposition, Entry, Record,
    Request, Standing, Strike, Time, Verdict, ZoneId, Zones,
};
use protocol::{
    AlertId, Algorithm, Category, Counters, DeviceId, Kind, Label, Labels, Message, MessageId,
    Nonce, Position,
};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The post's clock, which stands still: 2026-03-01T00:00:00Z.
pub(crate) const NOW: Time = Time(1_772_323_200_000_000);

/// Longer than anything here takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the desk says next, and what it was asked.
#[derive(Default)]
pub(crate) struct FakeDesk {
    pub(crate) says: Mutex<Option<Result<DecisionAnswer, Undecided>>>,
    pub(crate) asked: Mutex<Vec<Request>>,
}

impl Decider for FakeDesk {
    fn decide(&self, request: Request) -> Deciding<'_> {
        self.asked.lock().unwrap().push(request);
        let answer = self.says.lock().unwrap().clone().unwrap_or(Err(Undecided::Stopping));
        Box::pin(async move { answer })
    }
}

/// The served interface.
pub(crate) struct Post {
    _dir: tempfile::TempDir,
    pub(crate) desk: Arc<FakeDesk>,
    address: SocketAddr,
    http: reqwest::Client,
    _shutdown: watch::Sender<bool>,
}

/// Alerts 1 to 12 in turn in west-1, west-2 and east, of three devices; 4 held, 5 joined 4, an update of 1 at 13, a
/// cancel of 2 at 14, a verdict of prank on 3 at 15, the promotion of 4 at 16.
fn past() -> Vec<Entry> {
    let mut entries: Vec<Entry> = (1..=12).map(|cursor| Entry::Message(raise(cursor))).collect();
    let follow = |cursor, kind, of: u64| {
        let alert = Some(alert(of));
        let disposition = Disposition::Follows;
        Entry::Message(Record { kind, alert, disposition, incident: None, ..raise(cursor) })
    };
    entries.push(follow(13, Kind::Update, 1));
    entries.push(follow(14, Kind::Cancel, 2));
    let judged = raise(3);
    let verdict = Decision {
        cursor: Cursor(15),
        decided_at: Time(NOW.0 - 1_000_000),
        actor: Actor::Operator("siti".into()),
        act: Act::Verdict(Verdict::Prank),
        device: Some(judged.device),
        alert: Some((alert(3), Cursor(3))),
        zone: judged.zone,
        reason: Some("laughed".into()),
        evidence: vec![],
        standing: Some(Standing {
            strikes: vec![Strike { at: NOW, alert: alert(3) }],
            blocked_until: Some(Time(NOW.0 + 1)),
            ..Standing::default()
        }),
        raise: None,
        place: None,
    };
    let promotion = Decision {
        cursor: Cursor(16),
        actor: Actor::Rule(pipeline::Rule::Corroboration),
        act: Act::Promote,
        device: Some(raise(4).device),
        alert: Some((alert(4), Cursor(4))),
        zone: raise(4).zone,
        reason: None,
        standing: None,
        ..verdict.clone()
    };
    entries.push(verdict.into());
    entries.push(promotion.into());
    entries
}

/// At `cursor`, a minute after the line before it: siti decides `act` about the raise at `on`.
pub(crate) fn decided(cursor: u64, on: u64, act: Act) -> Entry {
    let raise = raise(on);
    Entry::Decision(Decision {
        cursor: Cursor(cursor),
        decided_at: Time(NOW.0 - 3_600_000_000 + cursor * 60_000_000),
        actor: Actor::Operator("siti".into()),
        act,
        device: Some(raise.device),
        alert: Some((alert(on), Cursor(on))),
        zone: raise.zone,
        reason: None,
        evidence: vec![],
        standing: None,
        raise: None,
        place: None,
    })
}

/// At `cursor`: siti sets something for a zone.
pub(crate) fn prepared(cursor: u64, zone: &str, act: Act) -> Entry {
    let Entry::Decision(decision) = decided(cursor, 1, act) else { unreachable!() };
    Entry::Decision(Decision { device: None, alert: None, zone: ZoneId::new(zone), ..decision })
}

/// An update at `cursor` of the alert at `on`, from this place.
pub(crate) fn moved(cursor: u64, on: u64, place: Option<Position>) -> Entry {
    let raise = raise(cursor);
    let message = Message { position: place, ..Message::raise(raise.counters, Nonce([5; 8])) };
    let signed = protocol::assemble(Algorithm::EdDsa, &raise.device, &message.encode(), &[0; 64]);
    let labels = place.map_or(Labels::NONE.with(Label::NoPosition), |_| Labels::NONE);
    Entry::Message(Record {
        kind: Kind::Update,
        alert: Some(alert(on)),
        disposition: Disposition::Follows,
        incident: None,
        labels,
        signed: signed.into(),
        ..raise
    })
}

/// The alert that the message at `cursor` opened.
pub(crate) fn alert(cursor: u64) -> AlertId {
    MessageId((u128::from(cursor) << 64 | 0x8000).to_be_bytes()).alert()
}

/// The device that pressed at `cursor`.
pub(crate) fn device(cursor: u64) -> DeviceId {
    DeviceId([u8::try_from(cursor % 3).unwrap() + 1; 16])
}

fn raise(cursor: u64) -> Record {
    let device = device(cursor);
    let counters = Counters::new(1, u32::try_from(cursor).unwrap());
    let message = Message {
        position: Position::new(-79_666_200, 1_126_326_000),
        note: Some("lantai 2"),
        ..Message::raise(counters, Nonce([5; 8]))
    };
    let signed = protocol::assemble(Algorithm::EdDsa, &device, &message.encode(), &[0; 64]);
    Record {
        cursor: Cursor(cursor),
        received_at: Time(NOW.0 - 3_600_000_000 + cursor * 60_000_000),
        device,
        message_id: MessageId(alert(cursor).0),
        alert: Some(alert(cursor)),
        kind: Kind::Raise,
        counters,
        category: if cursor == 7 { Category::Fire } else { Category::Unspecified },
        zone: ZoneId::new(["east", "west-1", "west-2"][usize::try_from(cursor % 3).unwrap()]),
        labels: Labels::NONE,
        carrier: Carrier::Quic,
        disposition: match cursor {
            4 => Disposition::Held,
            5 => Disposition::Joined,
            _ => Disposition::Paged,
        },
        also: vec![],
        agencies: Agencies::ALL,
        incident: Some(alert(cursor)),
        raised_at: None,
        joins: (cursor == 5).then(|| alert(4)),
        site: None,
        signed: signed.into(),
    }
}

fn fill_registry(folder: &std::path::Path) {
    let mut store = Store::open(folder).unwrap();
    for id in 1..=4 {
        let enrolment = Enrolment {
            id: DeviceId([id; 16]),
            key: DeviceKey::EdDsa([id; 32]),
            label: Some("gate"),
            owner: Some("Ibu Sari"),
            batch: Some("2026-01"),
            site: None,
            vouched: id == 1,
        };
        store.add(&enrolment, Time(NOW.0 - 86_400_000_000)).unwrap();
    }
    let day = Time(NOW.0 + 86_400_000_000);
    for (name, role, zones, expires_at) in [
        ("siti", Role::Operator, &["west"][..], day),
        ("hadi", Role::Supervisor, &["town"], day),
        ("rina", Role::ReadOnly, &["town"], day),
        ("agus", Role::Sre, &[], day),
        ("lost", Role::Operator, &["north"], day),
        ("late", Role::Supervisor, &["town"], NOW),
        ("fina", Role::Operator, &["town"], day),
        ("koko", Role::Supervisor, &["town"], day),
    ] {
        let zones = zones.iter().copied().map(ZoneId::new).collect();
        let limits = match name {
            "fina" => {
                Limits { categories: [Category::Fire].into_iter().collect(), ..Limits::default() }
            }
            "koko" => Limits { sight: Sight::Coarse, ..Limits::default() },
            _ => Limits::default(),
        };
        let operator = Operator { name: name.into(), role, zones, limits, expires_at };
        store.add_operator(&operator, TokenHash::of(name), Time(0)).unwrap();
    }
    let zones = vec![ZoneId::new("town")];
    let subscriber =
        Subscriber { id: SubscriberId([1; 16]), zones, limits: Limits::default(), expires_at: day };
    store.add_subscriber(&subscriber, TokenHash::of("centre"), Time(0)).unwrap();
}

impl Post {
    /// A post with that past. Names of operators are their tokens: siti is an operator of west, hadi a supervisor, rina
    /// reads and agus is an sre, all of the whole town; so are fina, an operator of fires only, and koko, a supervisor
    /// who sees places as cells; lost has a zone that is not drawn, late an expired token; centre
    /// is a subscriber.
    pub(crate) async fn start() -> Self {
        Self::after(vec![]).await
    }

    /// The same, and these lines behind that past.
    pub(crate) async fn after(more: Vec<Entry>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (journal, search) = (dir.path().join("journal.db"), dir.path().join("search.db"));
        let entries = [past(), more].concat();
        let end = entries.last().unwrap().cursor();
        let mut written = Journal::open(&journal, &JournalConfig::default()).unwrap();
        written.append(&entries).unwrap();
        drop(written);
        Index::open(&search, end).unwrap().add(&entries).unwrap();
        fill_registry(dir.path());
        let loaded = load(dir.path()).unwrap();
        let zones = Arc::new(ArcSwap::from_pointee(town()));
        let feed = Feed::new(FeedParts {
            heads: Heads::new(&FeedConfig::default(), end),
            journal: journal.clone(),
            cursor_key: [7; 16],
            zones: Arc::clone(&zones),
            attendance: Attendance::new(),
            subscribers: Arc::clone(&loaded.subscribers),
            operators: Arc::clone(&loaded.operators),
            config: FeedConfig::default(),
            now: Arc::new(|| NOW),
        });
        let desk = Arc::new(FakeDesk::default());
        let api = ApiParts {
            search,
            journal,
            data_dir: dir.path().to_owned(),
            registry: loaded.registry,
            operators: loaded.operators,
            subscribers: loaded.subscribers,
            zones,
            cursor_key: [7; 16],
            decider: Arc::clone(&desk) as Arc<dyn Decider>,
            metrics: Arc::new(|| "gateway_receipts_total{status=\"received\"} 3\n".to_owned()),
            now: Arc::new(|| NOW),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, closing) = watch::channel(false);
        let (_, journal_failure) = watch::channel(None);
        let tls = None;
        tokio::spawn(serve(OperatorParts { listener, tls, feed, api, journal_failure, closing }));
        let http = reqwest::Client::new();
        Self { _dir: dir, desk, address, http, _shutdown: shutdown }
    }

    /// The answer to a request with `token` (none if empty), and its body as JSON.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<(&str, &str)>,
    ) -> (u16, Value) {
        let response = self.send(method, path, token, body).await;
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    /// The same for `GET`.
    pub(crate) async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        self.ask(Method::GET, path, token, None).await
    }

    /// The same for `POST` of JSON.
    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        self.ask(Method::POST, path, token, Some(("application/json", &body))).await
    }

    /// The response itself.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<(&str, &str)>,
    ) -> Response {
        let mut request = self.http.request(method, format!("http://{}{path}", self.address));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some((media, text)) = body {
            request = request.header("content-type", media).body(text.to_owned());
        }
        tokio::time::timeout(PATIENCE, request.send()).await.unwrap().unwrap()
    }

    /// What the desk answers from here on.
    pub(crate) fn desk_says(&self, answer: Result<DecisionAnswer, Undecided>) {
        *self.desk.says.lock().unwrap() = Some(answer);
    }
}

/// A root `town` with `west` (of `west-1` and `west-2`) and `east`.
fn town() -> Zones {
    let zone = |id: &str, parent: Option<&str>| {
        let mut properties = serde_json::json!({"id": id, "name": id, "level": "polsek"});
        if let Some(parent) = parent {
            properties["parent"] = parent.into();
        }
        serde_json::json!({"type": "Feature", "properties": properties, "geometry": null})
    };
    let mut features = vec![zone("town", None), zone("west", Some("town"))];
    for (column, (id, parent)) in
        [("west-1", "west"), ("west-2", "west"), ("east", "town")].into_iter().enumerate()
    {
        let west = f64::from(u8::try_from(column).unwrap()) / 100.0;
        let east = west + 0.01;
        let ring = [[west, 0.0], [east, 0.0], [east, 0.01], [west, 0.01], [west, 0.0]];
        let mut drawn = zone(id, Some(parent));
        drawn["geometry"] = serde_json::json!({"type": "Polygon", "coordinates": [ring]});
        features.push(drawn);
    }
    let text = serde_json::json!({"type": "FeatureCollection", "features": features}).to_string();
    Zones::from_geojson(&text).unwrap()
}
