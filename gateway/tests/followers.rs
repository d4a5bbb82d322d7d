//! A shard with a stand-in for desk and journal: who follows an alert hears of each step when it is synced, and not before.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use device::{Key, Options, Signed, Signer, Statuses, Trust, exchange_and_follow};
use gateway::config::Config;
use gateway::hints::Hints;
use gateway::identity::Identity;
use gateway::intake::{Followers, Proven, Receipts, Shard, ShardParts, Strangers};
use gateway::registry::{Device, DeviceKey, Registry};
use pipeline::{
    Act, Actor, Agencies, Arrival, Carrier, Cursor, Decision, DeviceIndex, Disposition, Enrolment,
    Entry, Record, Time, Verdict, ZoneId,
};
use protocol::{
    Algorithm, Category, Counters, DeviceId, Labels, Message, Nonce, Progress, Receipt, Status,
    UnixMillis,
};
use quinn::{Connection, VarInt};
use tokio::sync::{mpsc, watch};

const ID: DeviceId = DeviceId([1; 16]);
/// Far longer than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running shard, whose desk receives every raise.
struct House {
    _folder: tempfile::TempDir,
    shard: Shard,
    followers: Arc<Followers>,
    stop: watch::Sender<bool>,
    signer: Signer,
    trust: Trust,
    heard: mpsc::UnboundedReceiver<Arrival>,
    sequence: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_reaches_those_who_wait_and_the_last_ends_their_stream() {
    let mut house = House::open();
    let (first, second) = (house.connect().await, house.connect().await);
    let press = house.press();
    let mut waiting = [house.follow(&first, &press).await, house.follow(&second, &press).await];
    let other = house.press();
    let mut others = house.follow(&first, &other).await;
    let (raise, other) = (house.heard(&press).await, house.heard(&other).await);

    house.followers.tell(&[decision(&other, &Act::Resolve(Verdict::Prank))]);
    assert_eq!(next(&mut others).await, Some(Progress::Resolved));
    let steps = [
        (Act::Acknowledge, Progress::Acknowledged),
        (Act::Assign { to: "patrol 7".into() }, Progress::Assigned),
        (Act::Resolve(Verdict::Genuine), Progress::Resolved),
    ];
    for (act, progress) in steps {
        house.followers.tell(&[decision(&raise, &act)]);
        for statuses in &mut waiting {
            assert_eq!(next(statuses).await, Some(progress));
        }
    }
    for statuses in &mut waiting {
        assert_eq!(next(statuses).await, None);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_early_or_goes_costs_nothing_and_the_connection_goes_on() {
    let mut house = House::open();
    let (connection, gone) = (house.connect().await, house.connect().await);
    let press = house.press();
    drop(house.follow(&connection, &press).await);
    let raise = house.heard(&press).await;
    let _never_read = house.follow(&gone, &press).await;
    gone.close(VarInt::from_u32(0), b"");
    house.followers.tell(&[decision(&raise, &Act::Acknowledge)]);

    let mut again = house.follow(&connection, &press).await;
    assert_eq!(next(&mut again).await, Some(Progress::Acknowledged));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_stops_ends_what_is_followed() {
    let mut house = House::open();
    let connection = house.connect().await;
    let press = house.press();
    let mut statuses = house.follow(&connection, &press).await;
    house.close().await;
    let end = tokio::time::timeout(PATIENCE, statuses.next()).await.unwrap();
    assert!(matches!(end, Ok(None) | Err(_)), "{end:?}");
}

impl House {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        config.alert.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let identity = Identity::open(&config).unwrap();
        let key = Key::from_secret(Algorithm::EdDsa, &[3; 32]).unwrap();
        let followers = Arc::new(Followers::new(config.alert.followers_max));
        let (stop, stopping) = watch::channel(false);
        let (lane, proven) = mpsc::channel(8);
        let (answers, receipts) = mpsc::unbounded_channel();
        let (hear, heard) = mpsc::unbounded_channel();
        tokio::spawn(receive_all(proven, answers, hear));
        let trust = Trust::from_pem_file(&identity.certificate_path).unwrap();
        let shard = Shard::spawn(ShardParts {
            realm: identity.realm,
            config: config.alert.clone(),
            socket: gateway::intake::bind(&config.alert).unwrap(),
            server: gateway::intake::server_config(
                &config.alert,
                &config.strangers,
                identity.certificate_chain,
                identity.private_key,
            )
            .unwrap(),
            registry: enrolled(&key),
            hints: Arc::new(Hints::default()),
            strangers: Arc::new(Strangers::new(&config.strangers, [7; 16])),
            strangers_config: config.strangers.clone(),
            lanes: config.lanes.clone(),
            lane,
            receipts,
            followers: Arc::clone(&followers),
            stopping,
            drain_timeout: PATIENCE,
        });
        let signer = Signer::new(identity.realm, ID, key);
        let shard = shard.unwrap();
        Self { _folder: folder, shard, followers, stop, signer, trust, heard, sequence: 0 }
    }

    async fn connect(&self) -> Connection {
        let config = device::client_config(&self.trust, &Options::default()).unwrap();
        let endpoint = device::bind(self.shard.address).unwrap();
        let connecting = endpoint.connect_with(config, self.shard.address, "127.0.0.1").unwrap();
        connecting.await.unwrap()
    }

    fn press(&mut self) -> Signed {
        self.sequence += 1;
        let message = Message::raise(Counters::new(1, self.sequence), Nonce([5; 8]));
        self.signer.sign(&message).unwrap()
    }

    /// Presses and has the receipt; what follows it is read later.
    async fn follow(&self, connection: &Connection, press: &Signed) -> Statuses {
        let followed = exchange_and_follow(connection, press.bytes().clone()).await.unwrap();
        assert_eq!(followed.0.status, Status::Received);
        followed.1
    }

    /// The arrival of this press, as the desk hears it.
    async fn heard(&mut self, press: &Signed) -> Arrival {
        loop {
            let arrival = self.heard.recv().await.unwrap();
            if arrival.message_id == press.id() {
                return arrival;
            }
        }
    }

    async fn close(self) {
        self.stop.send_replace(true);
        let closed = tokio::task::spawn_blocking(move || self.shard.join());
        tokio::time::timeout(PATIENCE, closed).await.unwrap().unwrap();
    }
}

/// The next item, or the end.
async fn next(statuses: &mut Statuses) -> Option<Progress> {
    let next = tokio::time::timeout(PATIENCE, statuses.next()).await;
    next.unwrap().unwrap().map(|item| item.progress)
}

/// A desk that receives whatever is proven, copies too.
async fn receive_all(
    mut proven: mpsc::Receiver<Proven>,
    answers: mpsc::UnboundedSender<Receipts>,
    hear: mpsc::UnboundedSender<Arrival>,
) {
    while let Some(Proven { arrivals, .. }) = proven.recv().await {
        let receipt = |arrival: &Arrival| Receipt {
            alert: arrival.alert_id(),
            ..Receipt::new(Status::Received, UnixMillis(0))
        };
        answers.send(arrivals.iter().map(|it| (it.ticket, receipt(it))).collect()).unwrap();
        // A test that has heard enough has ended.
        arrivals.into_iter().for_each(|arrival| drop(hear.send(arrival)));
    }
}

fn enrolled(key: &Key) -> Arc<Registry> {
    let registry = Registry::default();
    let device = Device {
        index: DeviceIndex(0),
        key: DeviceKey::parse(Algorithm::EdDsa, key.public()).unwrap(),
        revoked: false,
        site: None,
        enrolment: Enrolment::default(),
    };
    registry.put(ID, &device);
    Arc::new(registry)
}

/// What an operator decides about this raise, as it is told after the sync.
fn decision(arrival: &Arrival, act: &Act) -> Entry {
    let raise = Record {
        cursor: Cursor(1),
        received_at: arrival.received_at,
        device: arrival.device,
        message_id: arrival.message_id,
        alert: arrival.alert_id(),
        kind: arrival.kind,
        counters: arrival.counters,
        category: Category::default(),
        zone: ZoneId::new("west"),
        also: vec![],
        agencies: Agencies::ALL,
        labels: Labels::NONE,
        carrier: Carrier::Quic,
        disposition: Disposition::Paged,
        joins: None,
        incident: arrival.alert_id(),
        raised_at: None,
        site: None,
        signed: arrival.signed.clone(),
    };
    Entry::from(Decision {
        cursor: Cursor(2),
        decided_at: Time(raise.received_at.0 + 1),
        actor: Actor::Operator("siti".into()),
        act: act.clone(),
        device: Some(raise.device),
        alert: raise.alert.map(|alert| (alert, raise.cursor)),
        zone: raise.zone.clone(),
        reason: None,
        evidence: vec![],
        standing: None,
        raise: Some(Arc::new(raise)),
        place: None,
    })
}
