//! Word back to the sender: what a real gateway tells behind a receipt, and when it ends the stream.
//!
//! What operators decide stands in the journal before the gateway starts; how a decision reaches those who wait already
//! is shown with the shard alone (`gateway/tests/followers.rs`).

use bytes::Bytes;
use device::{Signed, Statuses, exchange_and_follow};
use pipeline::{Act, Actor, Cursor, Decision, Entry, Record, Time, Verdict};
use protocol::{Algorithm, Kind, Message, Progress, Receipt, Status};
use quinn::Connection;

use crate::site::{self, Site};
use crate::{deliver, klojen};

async fn follow(site: &Site, signed: &Bytes) -> (Receipt, Statuses) {
    exchange_and_follow(&site.connection().await, signed.clone()).await.unwrap()
}

/// Presses, and leaves the stream open.
async fn kept_open(connection: &Connection, press: &Signed) -> Statuses {
    let (receipt, statuses) = exchange_and_follow(connection, press.bytes().clone()).await.unwrap();
    assert_eq!((receipt.status, receipt.reason), (Status::Received, None));
    statuses
}

/// Waits for the next item, or the end.
async fn next(statuses: &mut Statuses) -> Option<Progress> {
    let next = tokio::time::timeout(site::PATIENCE, statuses.next()).await;
    next.unwrap().unwrap().map(|item| item.progress)
}

/// Writes into the journal, while nobody serves, what an operator decides about its first line.
fn decide(site: &Site, acts: &[Act]) {
    let path = site.path("data/journal.db");
    let config = gateway::config::JournalConfig::default();
    let mut reader = gateway::journal::Reader::open(&path).unwrap();
    let entries = reader.read_after(Cursor(0), usize::MAX).unwrap();
    let raise = entries.iter().find_map(|entry| match entry {
        Entry::Message(record) if record.kind == Kind::Raise => Some(record.clone()),
        _ => None,
    });
    let mut journal = gateway::journal::Journal::open(&path, &config).unwrap();
    let after = journal.last().0 + 1;
    let lines =
        (after..).zip(acts).map(|(at, act)| decision(Cursor(at), act, raise.as_ref().unwrap()));
    let lines: Vec<Entry> = lines.map(Entry::from).collect();
    journal.append(&lines).unwrap();
}

fn decision(cursor: Cursor, act: &Act, raise: &Record) -> Decision {
    Decision {
        cursor,
        decided_at: Time(raise.received_at.0 + cursor.0),
        actor: Actor::Operator("siti".into()),
        act: act.clone(),
        device: Some(raise.device),
        alert: raise.alert.map(|alert| (alert, raise.cursor)),
        zone: raise.zone.clone(),
        reason: None,
        evidence: vec![],
        standing: None,
        raise: Some(std::sync::Arc::new(raise.clone())),
        place: None,
    }
}

#[tokio::test]
async fn a_sender_that_asks_again_hears_how_far_the_alert_is_answered() {
    let mut site = Site::serve().await;
    let mut sender = site.enrolled(1, Algorithm::Es256);
    let press = sender.press(klojen());
    deliver(&site, std::slice::from_ref(&press)).await;

    assert!(site.stop().await.success());
    decide(&site, &[Act::Acknowledge]);
    site.start().await;
    let (receipt, mut statuses) = follow(&site, press.bytes()).await;
    assert_eq!(receipt.status, Status::Duplicate);
    let item = statuses.next().await.unwrap().unwrap();
    assert_eq!((item.progress, Some(item.alert)), (Progress::Acknowledged, receipt.alert));
    site.metric("gateway_alert_followers", |followers| followers == 1.0).await;
    // A client that follows does not hold up a drain.
    assert!(site.stop().await.success(), "{}", site.log());

    decide(&site, &[Act::Assign { to: "patrol 7".into() }, Act::Resolve(Verdict::Genuine)]);
    site.start().await;
    let (_, mut statuses) = follow(&site, press.bytes()).await;
    assert_eq!(next(&mut statuses).await, Some(Progress::Resolved));
    assert_eq!(next(&mut statuses).await, None);
}

#[tokio::test]
async fn streams_that_nobody_stops_are_bounded_and_cost_no_press() {
    let site = Site::serve_with("alert.followers_max = 3\n").await;
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    deliver(&site, &[sender.press(klojen())]).await;
    // That client has its receipt and wants nothing more.
    site.metric("gateway_alert_followers", |followers| followers == 0.0).await;
    let connection = site.connection().await;
    let mut kept = vec![];
    for _ in 0..40 {
        kept.push(kept_open(&connection, &sender.press(klojen())).await);
    }
    // The fourth found no room.
    assert_eq!(next(&mut kept[3]).await, None);
    site.metric("gateway_alert_followers", |followers| followers == 3.0).await;
    drop(kept);
    site.metric("gateway_alert_followers", |followers| followers == 0.0).await;
}

#[tokio::test]
async fn the_oldest_stream_of_a_connection_gives_way() {
    let site = Site::serve().await;
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    deliver(&site, &[sender.press(klojen())]).await;
    let connection = site.connection().await;
    let mut kept = vec![];
    for _ in 0..6 {
        kept.push(kept_open(&connection, &sender.press(klojen())).await);
    }
    assert_eq!([next(&mut kept[0]).await, next(&mut kept[1]).await], [None, None]);
    site.metric("gateway_alert_followers", |followers| followers == 4.0).await;
}

#[tokio::test]
async fn only_the_receipt_of_a_raise_is_followed() {
    let site = Site::serve().await;
    let mut sender = site.enrolled(1, Algorithm::Es256);
    let press = sender.press(klojen());
    deliver(&site, std::slice::from_ref(&press)).await;
    let (_, _following) = follow(&site, press.bytes()).await;
    for kind in [Kind::Update, Kind::Cancel, Kind::Heartbeat] {
        let alert = (kind != Kind::Heartbeat).then(|| press.id().alert());
        let message = Message { alert, ..Message::new(kind, sender.next_counters()) };
        let (receipt, mut statuses) = follow(&site, sender.sign(&message).bytes()).await;
        assert_eq!(
            (receipt.status, next(&mut statuses).await),
            (Status::Received, None),
            "{kind:?}"
        );
    }
}
