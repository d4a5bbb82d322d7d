//! Random histories over the wire: people press, the gateway is killed or stopped in the middle and started again, and
//! every subscriber, who resumes where it broke off, must have seen just what it is entitled to.
//!
//! Who should see what is worked out from where people pressed, never from the gateway. A seed draws each history;
//! `KENTONGAN_SEED=N cargo test -p gateway --test histories` repeats one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

#[path = "histories/listener.rs"]
mod listener;
#[path = "crash/random.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod random;
#[path = "press/site.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod site;

use std::collections::BTreeMap;
use std::time::Duration;

use device::{Options, Signed};
use listener::Listener;
use protocol::{Algorithm, Message, Nonce, Position, Status};
use random::Random;
use site::{PATIENCE, Sender, Site};
use tokio::sync::watch;

/// Gateways, each with a journal of its own.
const GATEWAYS: u64 = 4;
/// Histories of each.
const HISTORIES: u64 = 25;
/// Devices.
const DEVICES: u8 = 8;
/// The longest that a gateway lives once people press, where it does not live on.
const LIFE_MAX: Duration = Duration::from_millis(40);

/// Zones of Malang, and a place in each that is far from every border, in 1e-7 degrees.
const PLACES: [(&str, i64, i64); 5] = [
    ("polsek-blimbing", -79_475_000, 1_126_506_000),
    ("polsek-klojen", -79_735_000, 1_126_282_000),
    ("polsek-kedungkandang", -80_170_000, 1_126_535_000),
    ("polsek-sukun", -79_954_000, 1_126_123_000),
    ("polsek-lowokwaru", -79_359_000, 1_126_244_000),
];
/// What each subscriber's token is for, and the zones among [`PLACES`] that this covers.
const SUBSCRIBERS: [(&str, &[&str]); 4] = [
    ("polsek-klojen", &["polsek-klojen"]),
    ("polsek-sukun,polsek-blimbing", &["polsek-sukun", "polsek-blimbing"]),
    ("polsek-lowokwaru", &["polsek-lowokwaru"]),
    (
        "polres-malang-kota",
        &[
            "polsek-klojen",
            "polsek-sukun",
            "polsek-blimbing",
            "polsek-lowokwaru",
            "polsek-kedungkandang",
        ],
    ),
];

struct History {
    site: Site,
    random: Random,
    senders: Vec<Sender>,
    address: watch::Sender<String>,
    listeners: Vec<Listener>,
    /// Every press so far, by its alert id, and its zone.
    pressed: BTreeMap<String, &'static str>,
}

impl History {
    async fn begin(seed: u64) -> Self {
        // Without a border nobody but the zone itself is paged; borders are tried elsewhere.
        let site = Site::serve().await;
        let senders = (1..=DEVICES).map(|number| site.enrolled(number, Algorithm::EdDsa)).collect();
        let (address, _) = watch::channel(site.ready("operator_addr").to_owned());
        let mut listeners = vec![];
        for (zones, _) in SUBSCRIBERS {
            let add = ["subscriber", "add", "--zones", zones, "--expires", "1h"];
            let token = site.run(&add)["token"].as_str().unwrap().to_owned();
            listeners.push(Listener::start(token, address.subscribe()));
        }
        let pressed = BTreeMap::new();
        Self { site, random: Random::of(seed), senders, address, listeners, pressed }
    }

    /// People press, something happens to the gateway, and those without a receipt press the same again.
    async fn live(&mut self) {
        let presses = self.presses();
        if self.random.pick(3) > 0 {
            let life = self.random.below(LIFE_MAX);
            tokio::select! {
                () = send_all(&self.site, &presses) => {}
                () = tokio::time::sleep(life) => {}
            }
            if self.random.pick(2) == 0 {
                self.site.kill().await;
            } else {
                assert!(self.site.stop().await.success(), "{}", self.site.log());
            }
            self.site.start().await;
            self.address.send_replace(self.site.ready("operator_addr").to_owned());
        }
        // Whether a receipt had come is not asked: a copy more is a duplicate, and no event.
        send_all(&self.site, &presses).await;
    }

    fn presses(&mut self) -> Vec<Signed> {
        let count = 3 + self.random.pick(6);
        let mut presses = vec![];
        for _ in 0..count {
            let (zone, lat, lon) = PLACES[usize::try_from(self.random.pick(5)).unwrap()];
            let nonce = Nonce(self.random.next().to_be_bytes());
            let sender = usize::try_from(self.random.pick(u64::from(DEVICES))).unwrap();
            let sender = &mut self.senders[sender];
            let counters = sender.next_counters();
            let position = Position::new(lat, lon);
            let signed = sender.sign(&Message { position, ..Message::raise(counters, nonce) });
            self.pressed.insert(signed.id().alert().to_string(), zone);
            presses.push(signed);
        }
        presses
    }

    /// Everybody has seen what they should, and nothing else.
    async fn assert_served(&self, seed: u64, history: u64) {
        for (listener, (zones, covers)) in self.listeners.iter().zip(SUBSCRIBERS) {
            let due = self.pressed.iter().filter(|(_, zone)| covers.contains(*zone));
            let due: Vec<String> = due.map(|(alert, _)| alert.clone()).collect();
            let seen = tokio::time::timeout(PATIENCE, listener.has_seen(&due)).await;
            let what = format!("KENTONGAN_SEED={seed}, history {history}, subscriber of {zones}");
            assert!(seen.is_ok(), "{what}: of {due:?} it has {:?}", listener.raises());
            let strange: Vec<_> =
                listener.raises().into_iter().filter(|alert| !due.contains(alert)).collect();
            assert_eq!(strange, Vec::<String>::new(), "{what}");
        }
    }
}

/// Sends until every press has its receipt.
async fn send_all(site: &Site, presses: &[Signed]) {
    let client = site.client(&Options::default());
    for press in presses {
        let receipt = client.send(press).await.unwrap().receipt;
        assert!(matches!(receipt.status, Status::Received | Status::Duplicate), "{receipt:?}");
    }
}

async fn live_through(seed: u64) {
    let mut history = History::begin(seed).await;
    for number in 0..HISTORIES {
        history.live().await;
        history.assert_served(seed, number).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_sees_its_own_through_kills_and_restarts() {
    let seed = std::env::var("KENTONGAN_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = seed.map_or(0..GATEWAYS, |seed| seed..seed + 1);
    let lived: Vec<_> = seeds.map(|seed| tokio::spawn(live_through(seed))).collect();
    for history in lived {
        history.await.unwrap();
    }
}
