//! One press, from a device to a command centre, through the real `gateway` process: receipts, feed, refusals, zones.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

#[path = "press/followers.rs"]
mod followers;
#[path = "press/site.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod site;
#[path = "press/strangers.rs"]
mod strangers;

use bytes::Bytes;
use device::{Delivered, Options, Signed, exchange};
use protocol::{
    Algorithm, Category, Envelope, Kind, Message, Nonce, Position, Reason, SIGNED_LEN_MAX, Status,
};
use serde_json::{Value, json};
use site::{Sender, Site};

const ROOT: &str = "polres-malang-kota";

#[tokio::test]
async fn a_press_is_received_and_reaches_its_command_centre() {
    let site = Site::serve().await;
    let mut feed = site.feed(ROOT).await;
    let client = site.client(&Options::default());
    for (number, algorithm) in [(1, Algorithm::Es256), (2, Algorithm::EdDsa)] {
        let mut sender = site.enrolled(number, algorithm);
        let counters = sender.next_counters();
        let signed = sender.sign(&Message {
            category: Some(Category::Fire),
            position: klojen(),
            note: Some("di lantai dua"),
            silent: true,
            ..Message::raise(counters, Nonce([7; 8]))
        });

        let Delivered { receipt, .. } = client.send(&signed).await.unwrap();

        assert_eq!((receipt.status, receipt.reason), (Status::Received, None));
        assert_eq!(receipt.alert, Some(signed.id().alert()));
        assert_eq!(receipt.counters, Some(counters));
        let event = feed.next().await;
        assert_eq!(event["alert_id"], json!(signed.id().to_string()));
        assert_eq!(event["device_id"], json!(sender.id.to_string()));
        assert_eq!((&event["kind"], &event["category"]), (&json!("raise"), &json!("fire")));
        assert_eq!(event["zone"], json!("polsek-klojen"));
        assert_eq!(event["flags"], json!(["silent"]));
        assert_eq!(
            (&event["position"]["lat"], &event["position"]["lon"]),
            (&json!(-7.977), &json!(112.63))
        );
        assert_eq!(event["note"], json!("di lantai dua"));
        let received_at = event["received_at"].as_str().unwrap();
        assert!(received_at.len() == 24 && received_at.ends_with('Z'), "{received_at}");
    }
}

#[tokio::test]
async fn a_resend_is_a_duplicate_with_the_same_id_also_after_a_restart() {
    let mut site = Site::serve().await;
    let mut sender = site.enrolled(1, Algorithm::Es256);
    let first = sender.press(klojen());
    let client = site.client(&Options::default());
    let received = client.send(&first).await.unwrap().receipt;
    let again = client.send(&first).await.unwrap().receipt;
    assert_eq!((received.status, again.status), (Status::Received, Status::Duplicate));
    assert_eq!((again.alert, again.counters), (received.alert, received.counters));
    client.close().await;

    let stopped = site.stop().await;
    assert!(stopped.success(), "{stopped:?}: {}", site.log());
    site.start().await;

    let client = site.client(&Options::default());
    let later = client.send(&first).await.unwrap().receipt;
    assert_eq!((later.status, later.alert), (Status::Duplicate, received.alert));
    let last = sender.press(klojen());
    assert_eq!(client.send(&last).await.unwrap().receipt.status, Status::Received);
    let ids = site.feed(ROOT).await.until(&last).await;
    assert_eq!(ids, [first.id().to_string(), last.id().to_string()]);
}

#[tokio::test]
async fn a_resumed_connection_brings_its_press_in_the_first_packet() {
    let site = Site::serve().await;
    let mut sender = site.enrolled(1, Algorithm::Es256);
    deliver(&site, &[sender.press(klojen())]).await;
    for (zero_rtt, statuses) in [(true, [true, false]), (false, [false, false])] {
        let client = site.client(&Options { zero_rtt, ..Options::default() });
        client.prepare().await.unwrap();
        client.close().await;
        // The second goes over the connection that the first has opened.
        for early in statuses {
            let delivered = client.send(&sender.press(klojen())).await.unwrap();
            assert_eq!((delivered.receipt.status, delivered.zero_rtt), (Status::Received, early));
        }
    }
}

#[tokio::test]
async fn what_proves_nothing_is_refused_with_its_reason_and_stored_nowhere() {
    let site = Site::serve().await;
    let mut feed = site.feed(ROOT).await;
    let (mut sender, mut stranger) =
        (site.enrolled(1, Algorithm::Es256), site.sender(9, Algorithm::Es256));
    // Enrolled with one algorithm, signing with the other under the same id.
    let mut enrolled = site.enrolled(2, Algorithm::Es256);
    let mut other_algorithm = site.sender(2, Algorithm::EdDsa);
    let firsts = [sender.press(klojen()), enrolled.press(klojen())];
    deliver(&site, &firsts).await;
    let good = sender.press(klojen()).bytes().to_vec();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases = [
        ("unknown device", stranger.press(klojen()).bytes().to_vec(), Reason::Unproven),
        ("wrong algorithm", other_algorithm.press(klojen()).bytes().to_vec(), Reason::Unproven),
        ("bad signature", flipped(good.len() - 1), Reason::Unproven),
        ("changed message", flipped(good.len() - 70), Reason::Unproven),
        ("empty", vec![], Reason::Malformed),
        ("cut off", good[..good.len() - 1].to_vec(), Reason::Malformed),
        ("followed", [&good[..], &[0]].concat(), Reason::Malformed),
        ("too long", vec![0; SIGNED_LEN_MAX + 1], Reason::TooLarge),
        ("indefinite length", indefinite(&good), Reason::NonCanonical),
        ("version 2", sender.sign_bytes(&version_2(&sender)).to_vec(), Reason::UnsupportedVersion),
        ("kind 9", sender.sign_bytes(&kind_9(&sender)).to_vec(), Reason::UnknownKind),
    ];
    for (case, bytes, reason) in cases {
        let answer = status_of(&site, &Bytes::from(bytes)).await;
        assert_eq!(answer, (Status::Refused, Some(reason)), "{case}");
    }

    // The good press was never sent whole; it is new, and nothing stands between it and the first.
    let last = protocol_signed(&site, &good);
    assert_eq!(status_of(&site, &Bytes::from(good)).await, (Status::Received, None));
    let [first, second] = firsts.map(|first| first.id().to_string());
    for stored in [first, second, last] {
        assert_eq!(feed.next().await["message_id"], json!(stored));
    }
}

#[tokio::test]
async fn a_revoked_device_is_refused_and_an_enrolment_in_time_is_not() {
    let site = Site::serve().await;
    let client = site.client(&Options::default());
    let mut sender = site.sender(1, Algorithm::EdDsa);
    let press = sender.press(klojen());
    let sending = tokio::spawn({
        let (client, press) = (client.clone(), press.clone());
        async move { client.send(&press).await }
    });
    // The press is ahead of its device's enrolment; its resends make up for it.
    let connection = site.connection().await;
    let ahead = exchange(&connection, press.bytes().clone()).await.unwrap();
    assert_eq!(ahead.reason, Some(Reason::Unproven));
    site.enrol(&sender);
    assert_eq!(sending.await.unwrap().unwrap().receipt.status, Status::Received);

    let _revoked: Value = site.run(&["device", "revoke", &sender.id.to_string()]);
    let refused = async {
        loop {
            let receipt =
                exchange(&connection, sender.press(klojen()).bytes().clone()).await.unwrap();
            if receipt.status == Status::Refused {
                return receipt;
            }
            assert_eq!(receipt.status, Status::Received);
        }
    };
    let receipt = tokio::time::timeout(site::PATIENCE, refused).await.unwrap();
    assert_eq!(receipt.reason, Some(Reason::Revoked));
    // Only who proves to be the device is told so.
    let mut forged = sender.press(klojen()).bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let receipt = exchange(&connection, Bytes::from(forged)).await.unwrap();
    assert_eq!(receipt.reason, Some(Reason::Unproven));
}

#[tokio::test]
async fn a_press_without_a_usable_place_goes_to_the_root_zone() {
    let site = Site::serve().await;
    let mut feed = site.feed(ROOT).await;
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    let first = sender.press(klojen());
    deliver(&site, std::slice::from_ref(&first)).await;
    assert_eq!(feed.next().await["zone"], json!("polsek-klojen"));
    let off_the_globe = off_the_globe(&mut sender);
    let cases = [
        (off_the_globe, json!(["position_dropped", "no_position"])),
        (sender.press(Position::new(0, 0)).bytes().clone(), json!(["outside_zones"])),
        (sender.press(None).bytes().clone(), json!(["no_position"])),
    ];
    for (signed, flags) in cases {
        assert_eq!(status_of(&site, &signed).await, (Status::Received, None));
        let event = feed.next().await;
        assert_eq!((&event["zone"], &event["flags"]), (&json!(ROOT), &flags));
    }
}

#[tokio::test]
async fn a_token_for_one_zone_never_sees_anothers_alert() {
    let site = Site::serve().await;
    let (mut klojen_feed, mut root_feed) =
        (site.feed("polsek-klojen").await, site.feed(ROOT).await);
    let mut sender = site.enrolled(1, Algorithm::Es256);
    let presses = [blimbing(), None, klojen(), blimbing(), klojen()].map(|at| sender.press(at));
    deliver(&site, &presses).await;
    let id = |index: usize| presses[index].id().to_string();
    assert_eq!(root_feed.until(&presses[4]).await, [id(0), id(1), id(2), id(3), id(4)]);
    assert_eq!(klojen_feed.until(&presses[4]).await, [id(2), id(4)]);
}

#[tokio::test]
async fn an_update_and_a_cancel_follow_their_alert() {
    let site = Site::serve().await;
    let mut feed = site.feed(ROOT).await;
    let (mut sender, mut other) =
        (site.enrolled(1, Algorithm::Es256), site.enrolled(2, Algorithm::EdDsa));
    let client = site.client(&Options::default());
    let (alert, others) = (sender.press(klojen()), other.press(klojen()));
    deliver(&site, &[alert.clone(), others]).await;
    for kind in [Kind::Update, Kind::Cancel] {
        let message = Message {
            alert: Some(alert.id().alert()),
            ..Message::new(kind, sender.next_counters())
        };
        let receipt = client.send(&sender.sign(&message)).await.unwrap().receipt;
        assert_eq!((receipt.status, receipt.alert), (Status::Received, Some(alert.id().alert())));
    }
    let id = alert.id().to_string();
    assert_eq!(feed.next().await["message_id"], json!(id));
    assert_eq!(feed.next().await["device_id"], json!(other.id.to_string()));
    for kind in ["update", "cancel"] {
        let event = feed.next().await;
        assert_eq!((&event["kind"], &event["alert_id"]), (&json!(kind), &json!(id)));
    }
    let foreign = Message {
        alert: Some(alert.id().alert()),
        ..Message::new(Kind::Cancel, other.next_counters())
    };
    let refused = status_of(&site, other.sign(&foreign).bytes()).await;
    assert_eq!(refused, (Status::Refused, Some(Reason::ForeignAlert)));
}

fn klojen() -> Option<Position> {
    Position::new(-79_770_000, 1_126_300_000)
}

fn blimbing() -> Option<Position> {
    Position::new(-79_390_000, 1_126_500_000)
}

/// Sends the presses one after another; each is received, also if its device is known only after a moment.
async fn deliver(site: &Site, presses: &[Signed]) {
    let client = site.client(&Options::default());
    for press in presses {
        assert_eq!(client.send(press).await.unwrap().receipt.status, Status::Received);
    }
}

/// What the gateway says to these bytes, over a connection of their own.
async fn status_of(site: &Site, signed: &Bytes) -> (Status, Option<Reason>) {
    let connection = site.connection().await;
    let receipt = exchange(&connection, signed.clone()).await.unwrap();
    (receipt.status, receipt.reason)
}

fn protocol_signed(site: &Site, signed: &[u8]) -> String {
    Envelope::parse(signed).unwrap().message_id(&site.realm()).to_string()
}

/// The same message with its outermost array's length left open.
fn indefinite(signed: &[u8]) -> Vec<u8> {
    let mut bytes = signed.to_vec();
    assert_eq!(bytes[1], 0x84);
    bytes[1] = 0x9f;
    bytes.push(0xff);
    bytes
}

/// A raise's first bytes are a map's head, then 1: version, 2: kind.
fn altered(sender: &Sender, at: usize, expected: u8, value: u8) -> Vec<u8> {
    let mut message = Message::raise(sender.counters(), Nonce([1; 8])).encode();
    assert_eq!(message[at], expected);
    message[at] = value;
    message
}

fn version_2(sender: &Sender) -> Vec<u8> {
    altered(sender, 2, 1, 2)
}

fn kind_9(sender: &Sender) -> Vec<u8> {
    altered(sender, 4, 1, 9)
}

/// A press whose latitude is the first one north of the pole.
fn off_the_globe(sender: &mut Sender) -> Bytes {
    let pole = Position::new(i64::from(Position::LAT_E7_MAX), 0);
    let counters = sender.next_counters();
    let mut message =
        Message { position: pole, ..Message::raise(counters, Nonce([1; 8])) }.encode();
    let latitude = [&[0x1a][..], &Position::LAT_E7_MAX.to_be_bytes()].concat();
    let at = message.windows(5).position(|window| window == latitude).unwrap();
    message[at + 4] += 1;
    sender.sign_bytes(&message)
}
