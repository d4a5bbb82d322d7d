//! Webhooks against targets that fail in every way that targets do, in virtual time.

mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pipeline::{Decision, ZoneId};
use rcgen::{CertificateParams, KeyPair};
use ring::hmac;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

pub(super) use self::house::webhook;
use self::house::{Answer, House, PATIENCE, Target};
use super::backoff::backoff;
use crate::config::WebhookConfig;
use crate::feed::Format;
use crate::journal::testing::decision;
use crate::registry::{Limits, Sight, Webhook};
use crate::webhook::Ledger;

fn config() -> WebhookConfig {
    WebhookConfig::default()
}

#[tokio::test]
async fn what_is_for_a_webhook_comes_in_order_and_signed() {
    let mut house = House::new(config());
    let mut target = Target::start([]).await;
    house.add(1, &target.url(), &["west"]);
    house.start().await;
    house.alerts(&["west-1", "east", "west", "town", "west-2"]);
    let mut ids = vec![];
    for cursor in [1, 3, 5] {
        let request = target.request().await;
        assert_eq!(request.cursor(), cursor);
        assert_eq!(request.header("content-type"), "application/json");
        let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
        assert_eq!(at, "1772000000");
        let signed = format!("{id}.{at}.{}", request.body);
        let signature = request.header("webhook-signature").strip_prefix("v1,").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let signature = STANDARD.decode(signature).unwrap();
        hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
        ids.push(id.to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn events_are_written_as_the_webhook_asks() {
    let mut house = House::new(config());
    let mut target = Target::start([]).await;
    house.add(1, &target.url(), &["town"]);
    house.change(|webhook| Some(Webhook { format: Format::Geojson, ..webhook }));
    house.start().await;
    house.alerts(&["east"]);
    let body: serde_json::Value = serde_json::from_str(&target.request().await.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["type"]), (&"alert".into(), &"Feature".into()));
    assert_eq!(body["data"]["properties"]["zone"], "east");
}

#[tokio::test]
async fn cap_is_posted_as_it_is_with_the_sight_of_the_webhook_and_without_decisions() {
    let mut house = House::new(config());
    let mut target = Target::start([]).await;
    let id = house.add(1, &target.url(), &["town"]);
    house.change(|webhook| Some(Webhook { format: Format::Cap, ..webhook }));
    house.start().await;
    let journaled = house.telling("lantai 2");
    let decided = Decision { raise: Some(Arc::new(journaled)), ..decision(2, 1) };
    house.journal(vec![decided.into()]);
    let exact = target.request().await;
    assert_eq!(exact.header("content-type"), "application/cap+xml");
    assert!(exact.body.starts_with("<?xml"), "{}", exact.body);
    assert!(exact.body.contains("lantai 2") && exact.body.contains("<circle>-7.96662,112.6326"));
    let coarse = Limits { sight: Sight::Coarse, ..Limits::default() };
    house.change(|webhook| Some(Webhook { limits: coarse, ..webhook }));
    house.telling("lantai 2");
    let coarse = target.request().await;
    assert!(
        coarse.body.contains("<polygon>") && !coarse.body.contains("lantai"),
        "{}",
        coarse.body
    );
    let passed = |ledger: &Ledger| {
        ledger.progress(id).unwrap().filter(|progress| progress.cursor.0 == 3).map(|_| ())
    };
    house.until(passed).await;
}

#[tokio::test]
async fn killed_room_goes_on_where_the_ledger_says_and_leaves_nothing_out() {
    let mut house = House::new(config());
    let mut target = Target::start([]).await;
    house.add(1, &target.url(), &["town"]);
    let mut seen = vec![];
    for round in 0..12 {
        house.start().await;
        house.alerts(&["east", "west"]);
        // Killed after none, one or two of them: perhaps between an answer and its place on disk.
        seen.extend(target.cursors(round % 3).await);
    }
    house.start().await;
    house.alerts(&["east"]);
    while seen.last() != Some(&25) {
        seen.push(target.request().await.cursor());
    }
    let mut last = 0;
    for cursor in &seen {
        assert!(*cursor <= last + 1, "{seen:?}");
        last = last.max(*cursor);
    }
}

#[tokio::test]
async fn failed_event_is_tried_again_before_the_next_and_later_each_time() {
    let mut house = House::new(config());
    let answers = [500, 503, 502, 200].map(Answer::status);
    let mut target = Target::start(answers).await;
    house.add(1, &target.url(), &["town"]);
    house.alerts(&["east", "west"]);
    house.start().await;
    let mut ids = vec![];
    for _ in 0..4 {
        let request = target.request().await;
        assert_eq!(request.cursor(), 1);
        ids.push(request.header("webhook-id").to_owned());
    }
    assert_eq!(target.cursors(1).await, [2]);
    ids.dedup();
    assert_eq!(ids.len(), 1, "a copy is known by its id");
    let seed = u64::from_be_bytes([1; 8]) ^ 1;
    let expected: Vec<_> = (1..4).map(|at| backoff(&config(), at, seed, None)).collect();
    assert_eq!(*house.waits.lock().unwrap(), expected);
}

#[tokio::test]
async fn target_that_asks_for_time_gets_it() {
    let mut house = House::new(config());
    let busy = |status: u16, after: &str| {
        Answer::Say(format!(
            "HTTP/1.1 {status} X\r\nretry-after: {after}\r\ncontent-length: 0\r\n\r\n"
        ))
    };
    let answers = [busy(429, "90"), busy(503, "4000000"), busy(500, "90")];
    let mut target = Target::start(answers).await;
    house.add(1, &target.url(), &["town"]);
    house.alerts(&["east"]);
    house.start().await;
    assert_eq!(target.cursors(4).await, [1; 4]);
    let waits = house.waits.lock().unwrap().clone();
    assert_eq!(waits[..2], [Duration::from_secs(90), config().retry_after_max]);
    assert!(waits[2] <= Duration::from_secs(4), "{waits:?}");
}

#[tokio::test]
async fn redirection_is_not_followed() {
    let mut house = House::new(WebhookConfig { attempts_max: 2, ..config() });
    let mut elsewhere = Target::start([]).await;
    let redirect =
        format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let redirect = Answer::Say(redirect);
    let mut target = Target::start([redirect.clone(), redirect]).await;
    let id = house.add(1, &target.url(), &["town"]);
    house.alerts(&["east", "west"]);
    house.start().await;
    assert_eq!(target.cursors(3).await, [1, 1, 2]);
    assert_eq!(house.dead(id, 1).await, [(1, "redirected".to_owned())]);
    assert!(elsewhere.saw_nothing());
}

#[tokio::test]
async fn target_that_lies_costs_a_bounded_amount() {
    let mut house = House::new(WebhookConfig { attempts_max: 1, ..config() });
    let endless_head = Answer::Endless("HTTP/1.1 200 OK\r\nx: ".to_owned());
    let endless_body = Answer::Endless("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned());
    let cut_off = Answer::Say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_owned());
    let garbage = Answer::Say("no such thing\r\n\r\n".to_owned());
    let closed = Answer::Say(String::new());
    let two_lengths =
        Answer::Say("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".into());
    let many_heads = Answer::Say(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1_000)));
    let too_much = Answer::Say("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabc".to_owned());
    let answers =
        [endless_body, cut_off, too_much, endless_head, garbage, closed, two_lengths, many_heads];
    let mut target = Target::start(answers).await;
    let id = house.add(1, &target.url(), &["town"]);
    house.alerts(&["east"; 9]);
    house.start().await;
    assert_eq!(target.cursors(9).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let expected: Vec<_> = (4..=8).map(|cursor| (cursor, "broken".to_owned())).collect();
    assert_eq!(house.dead(id, 5).await, expected);
}

#[tokio::test]
async fn answer_that_is_reset_counts_or_the_event_comes_again() {
    let mut house = House::new(config());
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
    let mut target = Target::start([Answer::Reset(ok), Answer::Reset(String::new())]).await;
    house.add(1, &target.url(), &["town"]);
    house.alerts(&["east", "west"]);
    house.start().await;
    let mut seen = target.cursors(3).await;
    if seen != [1, 2, 2] {
        // The answer was lost with the connection.
        seen.extend(target.cursors(1).await);
        assert_eq!(seen, [1, 1, 1, 2]);
    }
}

#[tokio::test]
async fn connection_is_kept_between_events_for_as_long_as_both_sides_want_it() {
    let mut house = House::new(config());
    let answers = [Answer::kept(), Answer::kept(), Answer::kept(), Answer::status(204)];
    let mut target = Target::start(answers).await;
    house.add(1, &target.url(), &["town"]);
    house.start().await;
    for cursor in 1..=3 {
        house.alerts(&["east"]);
        assert_eq!((target.cursors(1).await, target.connections()), (vec![cursor], 1));
    }
    // The target closes after this one: what follows is no failure.
    house.alerts(&["east", "east"]);
    assert_eq!(target.cursors(2).await, [4, 5]);
    assert_eq!((target.connections(), house.waits.lock().unwrap().len()), (2, 0));
}

#[tokio::test]
async fn connection_that_lay_idle_is_not_trusted() {
    let mut house = House::new(config());
    let mut target = Target::start([Answer::kept(), Answer::kept()]).await;
    let id = house.add(1, &target.url(), &["town"]);
    house.start().await;
    house.alerts(&["east"]);
    assert_eq!(target.cursors(1).await, [1]);
    let passed = |ledger: &Ledger| {
        ledger.progress(id).unwrap().filter(|progress| progress.cursor.0 == 1).map(|_| ())
    };
    house.until(passed).await;
    house.pass(Duration::from_secs(15));
    house.alerts(&["east"]);
    assert_eq!((target.cursors(1).await, target.connections()), (vec![2], 2));
}

#[tokio::test]
async fn name_is_looked_up_for_every_connection_and_every_answer_is_checked() {
    let mut house = House::new(WebhookConfig { attempts_max: 2, ..config() });
    let mut target = Target::start([]).await;
    let looks = Arc::new(AtomicUsize::new(0));
    let (counted, ours) = (Arc::clone(&looks), target.address);
    house.resolve = Arc::new(move |host, port| {
        assert_eq!((host, port), ("dispatch.example", 443));
        // At first it seems to lead nowhere, and then to us.
        let found = if counted.fetch_add(1, Ordering::Relaxed) == 0 { vec![] } else { vec![ours] };
        Box::pin(async move { Ok(found) })
    });
    let id = house.add(1, "https://dispatch.example/", &["town"]);
    house.change(|webhook| Some(Webhook { allow_private: false, ..webhook }));
    house.alerts(&["east"]);
    house.start().await;
    assert_eq!(house.dead(id, 1).await, [(1, "private".to_owned())]);
    assert_eq!(looks.load(Ordering::Relaxed), 2);
    assert_eq!((target.connections(), target.saw_nothing()), (0, true));
}

#[tokio::test]
async fn webhook_attends_its_zones_as_long_as_it_delivers() {
    let mut house = House::new(config());
    let mut target = Target::start([Answer::status(500), Answer::Silence]).await;
    house.add(1, &target.url(), &["west"]);
    house.change(|webhook| Some(Webhook { attends: true, ..webhook }));
    let mut other = Target::start([]).await;
    house.add(2, &other.url(), &["town"]);
    let mut attended = house.attendance.watch();
    let mut attends = async |zone: &str| {
        let zone = (!zone.is_empty()).then(|| ZoneId::new(zone));
        let seen = attended.wait_for(|zones| zones.as_ref().is_some_and(|it| it.iter().eq(&zone)));
        drop(tokio::time::timeout(PATIENCE, seen).await.unwrap().unwrap());
    };
    house.start().await;
    attends("west").await;
    house.alerts(&["west"]);
    attends("").await;
    assert_eq!(target.cursors(2).await, [1, 1]);
    house.kill().await;
    house.start().await;
    assert_eq!(target.cursors(1).await, [1]);
    attends("west").await;
    assert!(!other.saw_nothing());
}

#[tokio::test]
async fn dead_webhooks_cost_nobody_else_anything() {
    let mut house = House::new(config());
    let mut silent = Target::start((0..10).map(|_| Answer::Silence)).await;
    let mut target = Target::start([]).await;
    for number in 1..=10 {
        house.add(number, &silent.url(), &["town"]);
    }
    house.add(11, &target.url(), &["town"]);
    house.start().await;
    house.alerts(&["east"]);
    silent.cursors(10).await;
    for cursor in 2..=200 {
        house.alerts(&["west"]);
        assert_eq!(target.request().await.cursor(), cursor - 1);
    }
    assert!(silent.saw_nothing(), "ten attempts are under way and no more");
}

#[tokio::test]
async fn silent_target_is_given_up_after_its_time() {
    let request_timeout = Duration::from_millis(10);
    let mut house = House::new(WebhookConfig { request_timeout, attempts_max: 2, ..config() });
    let mut target = Target::start([Answer::Silence, Answer::Silence]).await;
    let id = house.add(1, &target.url(), &["town"]);
    house.alerts(&["east"]);
    house.start().await;
    let dead = house.dead(id, 1).await;
    assert_eq!(dead, [(1, "timeout".to_owned())]);
    assert!(!target.saw_nothing());
}

#[tokio::test]
async fn refused_event_becomes_a_dead_letter_and_comes_back_when_somebody_asks() {
    let mut house = House::new(config());
    let mut target = Target::start([400, 404, 410].map(Answer::status)).await;
    let id = house.add(1, &target.url(), &["town"]);
    house.alerts(&["east", "west"]);
    house.start().await;
    assert_eq!(target.cursors(4).await, [1, 1, 1, 2]);
    assert_eq!(house.dead(id, 1).await, [(1, "rejected".to_owned())]);
    let retry = |webhook: Webhook| Some(Webhook { retries: webhook.retries + 1, ..webhook });
    target.answer_next(Answer::status(500));
    house.change(retry);
    assert_eq!(target.cursors(1).await, [1]);
    assert_eq!(house.dead(id, 1).await, [(1, "server".to_owned())]);
    house.change(retry);
    assert_eq!(target.cursors(1).await, [1]);
    assert_eq!(house.dead(id, 0).await, []);
}

#[tokio::test]
async fn event_that_fails_for_too_long_is_given_up_whatever_the_attempts() {
    let age_max = Duration::from_secs(20);
    let mut house = House::new(WebhookConfig { age_max, attempts_max: 1_000, ..config() });
    let mut target = Target::start((0..1_000).map(|_| Answer::status(500))).await;
    let id = house.add(1, &target.url(), &["town"]);
    house.alerts(&["east"]);
    house.start().await;
    assert_eq!(house.dead(id, 1).await, [(1, "server".to_owned())]);
    let waited: Duration = house.waits.lock().unwrap().iter().sum();
    assert!((age_max..age_max * 3).contains(&waited), "{waited:?}");
    assert!(!target.saw_nothing());
}

#[tokio::test]
async fn address_that_is_not_public_is_not_connected_to() {
    let mut house = House::new(WebhookConfig { attempts_max: 1, ..config() });
    let mut target = Target::start([]).await;
    let urls = [format!("https://{}/", target.address), format!("http://{}/", target.address)];
    let ids = [(1, &urls[0]), (2, &urls[1])].map(|(number, url)| house.add(number, url, &["town"]));
    house.change(|webhook| Some(Webhook { allow_private: false, ..webhook }));
    house.alerts(&["east"]);
    house.start().await;
    assert_eq!(house.dead(ids[0], 1).await, [(1, "private".to_owned())]);
    assert_eq!(house.dead(ids[1], 1).await, [(1, "garbled".to_owned())]);
    assert!(target.saw_nothing());
}

#[tokio::test]
async fn webhook_is_served_from_its_adding_to_its_removal() {
    let mut house = House::new(config());
    let mut target = Target::start([]).await;
    house.start().await;
    house.alerts(&["east"; 3]);
    let id = house.add(1, &target.url(), &["town"]);
    assert_eq!(target.cursors(3).await, [1, 2, 3]);
    house.change(|_| None);
    house.until(|ledger| ledger.progress(id).unwrap().is_none().then_some(())).await;
    house.alerts(&["east"]);
    let other = Target::start([]).await;
    house.add(2, &other.url(), &["town"]);
    let mut other = other;
    assert_eq!(other.cursors(4).await, [1, 2, 3, 4]);
    assert!(target.saw_nothing());
}

#[tokio::test]
async fn certificate_must_be_vouched_for_and_be_for_that_name() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let chain = vec![certificate.der().clone()];
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(server));
    let mut target = Target::start_with([], Some(tls)).await;
    let mut house = House::new(WebhookConfig { attempts_max: 1, ..config() });
    let url = format!("https://localhost:{}/", target.address.port());
    let id = house.add(1, &url, &["town"]);
    house.alerts(&["east"]);
    house.start().await;
    assert_eq!(house.dead(id, 1).await, [(1, "tls".to_owned())]);
    assert!(target.saw_nothing());
    house.roots.add(chain.into_iter().next().unwrap()).unwrap();
    house.start().await;
    house.alerts(&["west"]);
    assert_eq!(target.cursors(1).await, [2]);
    // Believed, but for another name.
    let other = house.add(2, &format!("https://{}/", target.address), &["town"]);
    house.change(|webhook| Some(webhook).filter(|webhook| webhook.id == other));
    let dead = [(1, "tls".to_owned()), (2, "tls".to_owned())];
    assert_eq!(house.dead(other, 2).await, dead);
    assert!(target.saw_nothing());
}
