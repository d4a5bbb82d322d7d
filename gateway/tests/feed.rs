//! The feed over HTTP, as its subscribers see it: a real journal, a real socket, records made by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where its setup fails"
)]

#[path = "feed/city.rs"]
mod city;
#[path = "feed/incidents.rs"]
mod incidents;

use std::time::Duration;

use city::{City, Client, HOUR, ZONES};
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use gateway::config::FeedConfig;
use gateway::registry::{Limits, Sight};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A step in the life of a city, a gateway and one subscriber.
#[derive(Debug, Clone)]
enum Step {
    /// Alerts in these zones are received.
    Alerts(Vec<usize>),
    /// The subscriber reads up to so many events.
    Read(usize),
    /// Its connection breaks; it resumes with the last id that it saw, in this format.
    Reconnect(&'static str),
    /// The gateway is stopped and started again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(0..ZONES.len(), 1..40).prop_map(Step::Alerts),
        3 => (1_usize..60).prop_map(Step::Read),
        2 => prop::sample::select(&["json", "geojson", "cap"]).prop_map(Step::Reconnect),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..16)
}

/// Zones that a token may be for, and those of [`ZONES`] that it covers.
const GRANTS: [(&[&str], &[&str]); 4] = [
    (&["town"], &["town", "west", "west-1", "west-2", "east"]),
    (&["west"], &["west", "west-1", "west-2"]),
    (&["west-2", "east"], &["west-2", "east"]),
    (&["east"], &["east"]),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens, a subscriber is given each event of its zones once, in order, and no other: across the border
    /// of ring and journal, across broken connections at any place, across formats, and across restarts.
    #[test]
    fn every_entitled_event_comes_once_and_in_order(
        steps in steps(),
        ring_bytes in 0_usize..30_000,
        from_start: bool,
        granted in 0..GRANTS.len(),
    ) {
        let (zones, covered) = GRANTS[granted];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut city = City::start(FeedConfig { ring_bytes, ..FeedConfig::default() }).await;
            city.grant("token", zones, HOUR);
            city.alerts(&["east", "west-1"]);
            let mut client = city.connect(if from_start { "?from=start" } else { "" }, "").await;
            let mut expected = if from_start { city.covered(0, covered) } else { vec![] };
            let mut seen = vec![];
            for step in steps {
                match step {
                    Step::Alerts(alerts) => {
                        let before = city.last();
                        city.alerts(&alerts.iter().map(|zone| ZONES[*zone]).collect::<Vec<_>>());
                        expected.extend(city.covered(before, covered));
                    }
                    Step::Read(count) => {
                        for _ in 0..count.min(expected.len() - seen.len()) {
                            seen.push(client.event().await);
                        }
                    }
                    Step::Reconnect(format) => {
                        let query = format!("?format={format}");
                        client = city.connect(&query, &client.last_id).await;
                    }
                    Step::Restart => {
                        city = city.restart().await;
                        client = city.connect("", &client.last_id).await;
                    }
                }
            }
            // One more alert: whatever came twice would come before it.
            let before = city.last();
            city.alerts(&[covered[0]]);
            expected.extend(city.covered(before, covered));
            while seen.len() < expected.len() {
                seen.push(client.event().await);
            }
            assert_eq!(seen, expected);
        });
    }
}

#[tokio::test]
async fn stream_opens_at_once_and_its_first_id_resumes_without_a_gap() {
    let mut city = City::start(FeedConfig::default()).await;
    city.grant("token", &["town"], HOUR);
    city.alerts(&["east"]);
    let client = city.connect("", "").await;
    let id = client.last_id.clone();
    assert_eq!(id.len(), 32);
    drop(client);
    city.alerts(&["west"]);
    let mut resumed = city.connect("", &id).await;
    assert_eq!(resumed.event().await, 2);
    let mut by_query = city.connect(&format!("?after={id}"), "").await;
    assert_eq!(by_query.event().await, 2);
}

#[tokio::test]
async fn keep_alive_moves_the_id_on_and_tells_nothing_of_other_zones() {
    let keepalive_interval = Duration::from_millis(1);
    let mut city = City::start(FeedConfig { keepalive_interval, ..FeedConfig::default() }).await;
    city.grant("token", &["east"], HOUR);
    let mut client = city.connect("", "").await;
    city.alerts(&["west", "west", "east"]);
    assert_eq!(client.event().await, 3);
    let mut ids = vec![client.last_id.clone()];
    for _ in 0..5 {
        let block = client.block().await.unwrap();
        assert!(block.starts_with(": keep-alive\nid: "), "{block}");
        assert!(!ids.contains(&client.last_id), "two ids alike tell that nothing happened");
        ids.push(client.last_id.clone());
    }
    city.alerts(&["west", "east"]);
    for id in &ids {
        assert_eq!(city.connect("", id).await.event().await, 5);
    }
}

#[tokio::test]
async fn expiry_and_removal_end_an_open_stream_before_the_next_event() {
    let mut city = City::start(FeedConfig::default()).await;
    for (end, last_words, problem) in [
        (City::expire as fn(&City), ": token expired", "expired-token"),
        (City::remove_all, ": unknown token", "unknown-token"),
    ] {
        city.grant("token", &["town"], HOUR);
        let mut client = city.connect("", "").await;
        city.alerts(&["east"]);
        client.event().await;
        end(&city);
        city.alerts(&["east"]);
        assert_eq!(client.block().await.as_deref(), Some(last_words));
        assert_eq!(client.block().await, None);
        let (status, body) = city.refusal("", &[("authorization", "Bearer token")]).await;
        assert_eq!((status, body["type"].as_str()), (401, Some(&*urn(problem))));
    }
}

#[tokio::test]
async fn zones_drawn_anew_change_what_an_open_stream_may_see() {
    let mut city = City::start(FeedConfig::default()).await;
    city.grant("token", &["west"], HOUR);
    let mut client = city.connect("", "").await;
    city.alerts(&["east", "west"]);
    assert_eq!(client.event().await, 2);
    city.move_east_below_west();
    city.alerts(&["town", "east"]);
    assert_eq!(client.event().await, 4);
}

/// A parser that shares nothing with this repository reads the same: events, their names and their ids.
#[tokio::test]
async fn independent_client_reads_events_and_resumes() {
    let config = FeedConfig { keepalive_interval: Duration::from_millis(1), ..Default::default() };
    let mut city = City::start(config).await;
    city.grant("token", &["town"], HOUR);
    city.alerts(&["east", "west", "town"]);
    let token = ("authorization", "Bearer token");
    let mut last_id = String::new();
    for expected in 1..=3 {
        let headers = [token, ("last-event-id", last_id.as_str())];
        let response = city.get("/v1/feed?from=start", &headers).await;
        let mut events = response.bytes_stream().eventsource();
        let event = events.next().await.unwrap().unwrap();
        assert_eq!(event.event, "alert");
        let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(data["alert_id"], format!("{expected:016x}{:016x}", 0));
        last_id = event.id;
    }
}

fn urn(name: &str) -> String {
    format!("urn:kentongan:problem:{name}")
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let city = City::start(FeedConfig { subscribers_max: 1, ..FeedConfig::default() }).await;
    city.grant("token", &["town"], HOUR);
    city.grant("astray", &["atlantis"], HOUR);
    let foreign = city::foreign_cursor();
    let ahead = city::own_cursor_at_9();
    let token = ("authorization", "Bearer token");
    for (query, headers, status, problem) in [
        ("", vec![], 401, "no-token"),
        ("", vec![("authorization", "Basic dG9rZW4=")], 401, "no-token"),
        ("", vec![("authorization", "Bearer tokem")], 401, "unknown-token"),
        ("", vec![("authorization", "Bearer astray")], 403, "no-zone"),
        ("", vec![token, ("last-event-id", "17")], 400, "garbled-cursor"),
        ("", vec![token, ("last-event-id", &foreign)], 400, "foreign-cursor"),
        ("", vec![token, ("last-event-id", &ahead)], 400, "cursor-ahead"),
        ("?after=zz", vec![token], 400, "garbled-cursor"),
        ("?from=yesterday", vec![token], 400, "query"),
        ("?form=start", vec![token], 400, "query"),
    ] {
        let (answered, body) = city.refusal(query, &headers).await;
        assert_eq!((answered, body["type"].as_str()), (status, Some(&*urn(problem))), "{body}");
        assert_eq!(body["status"], status);
        assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{body}");
    }
    let client = city.connect("", "").await;
    let full = city.get("/v1/feed", &[token]).await;
    assert!(full.headers().contains_key("retry-after"));
    let (status, body) = city.refusal("", &[token]).await;
    assert_eq!((status, body["type"].as_str()), (503, Some(&*urn("full"))));
    drop(client);
    city.once_free(&[token]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_client_is_cut_off_delays_nobody_and_costs_a_bounded_amount() {
    const ALERTS: usize = 12_000;
    let write_timeout = Duration::from_millis(400);
    let config = FeedConfig {
        ring_bytes: 256 * 1024,
        write_timeout,
        subscribers_max: 2,
        ..FeedConfig::default()
    };
    let mut city = City::start(config).await;
    city.grant("token", &["town"], HOUR);
    let mut slow = city.raw().await;
    slow.write_all(b"GET /v1/feed HTTP/1.1\r\nhost: a\r\nauthorization: Bearer token\r\n\r\n")
        .await
        .unwrap();
    let mut opening = [0; 1];
    slow.read_exact(&mut opening).await.unwrap();
    let mut quick = city.connect("", "").await;
    let mut pushed_bytes = 0;
    for _ in 0..ALERTS / 500 {
        city.alerts(&["east"; 500]);
        for _ in 0..500 {
            quick.event().await;
            pushed_bytes += quick.block_bytes;
        }
    }
    // The slow client reads only when it has been given up and its place is free: what was kept for it, and the end.
    let token = ("authorization", "Bearer token");
    drop(city.once_free(&[token]).await);
    let mut kept = vec![];
    let ended = slow.read_to_end(&mut kept).await;
    assert!(ended.is_err() || !kept.ends_with(b"0\r\n\r\n"), "a cut is no orderly end");
    // The system's two buffers, ours, and a chunk on its way.
    assert!(kept.len() < 2 << 20, "{} bytes were kept", kept.len());
    assert!(pushed_bytes > kept.len() + (1 << 20), "{} of {pushed_bytes}", kept.len());
    let text = String::from_utf8_lossy(&kept).into_owned();
    let (last_id, last_seen) = city::last_whole_event(&text);
    let mut resumed = city.once_free(&[token, ("last-event-id", &last_id)]).await;
    assert_eq!(resumed.event().await, last_seen + 1);
}

#[tokio::test]
async fn stopping_delivers_what_was_pushed_and_then_ends() {
    let mut city = City::start(FeedConfig { ring_bytes: 20_000, ..FeedConfig::default() }).await;
    city.grant("token", &["town"], HOUR);
    let mut clients = [city.connect("?from=start", "").await, city.connect("", "").await];
    city.alerts(&["west"; 700]);
    let stopped = tokio::spawn(city.stop());
    for client in &mut clients {
        for cursor in 1..=700 {
            assert_eq!(client.event().await, cursor);
        }
        assert_eq!(client.block().await.as_deref(), Some(": the gateway is stopping"));
        assert_eq!(client.block().await, None);
    }
    stopped.await.unwrap();
}

#[tokio::test]
async fn health_and_metrics_are_served_and_a_failed_journal_is_told() {
    let city = City::start(FeedConfig::default()).await;
    let health = city.get("/healthz", &[]).await;
    assert_eq!((health.status().as_u16(), health.text().await.unwrap()), (200, "ok\n".to_owned()));
    assert_eq!(city.get("/metrics", &[]).await.text().await.unwrap(), "metrics_total 1\n");
    assert_eq!(city.get("/v1", &[]).await.status(), 404);
    city.fail_journal();
    let health = city.get("/healthz", &[]).await;
    assert_eq!(health.status(), 503);
    assert_eq!(health.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn stream_has_the_headers_of_server_sent_events() {
    let city = City::start(FeedConfig::default()).await;
    city.grant("token", &["town"], HOUR);
    let response = city.get("/v1/feed", &[("authorization", "bearer token")]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let mut client = Client::new(response);
    let opening = client.block().await.unwrap();
    assert!(opening.starts_with(": kentongan\nretry: 1000\nid: "), "{opening}");
}

#[tokio::test]
async fn zones_that_open_streams_are_granted_by_name_are_attended() {
    let city = City::start(FeedConfig::default()).await;
    city.grant("token", &["west", "east"], HOUR);
    let first = city.connect("", "").await;
    let second = city.connect("", "").await;
    city.attended(&["west", "east"]).await;
    drop(first);
    drop(second);
    city.attended(&[]).await;
}

#[tokio::test]
async fn limits_are_looked_at_again_at_every_read() {
    let mut city = City::start(FeedConfig::default()).await;
    city.grant("token", &["town"], HOUR);
    let mut client = city.connect("", "").await;
    city.alerts(&["east"]);
    assert_eq!(client.event().await, 1);
    let fires = [protocol::Category::Fire].into_iter().collect();
    let limits = Limits { categories: fires, ..Limits::default() };
    city.grant_limited("token", &["town"], limits, HOUR);
    city.alerts(&["east"]);
    city.stop().await;
    while let Some(block) = client.block().await {
        assert!(!block.contains("data:"), "{block}");
    }
}

#[tokio::test]
async fn coarse_token_is_shown_cells_in_every_format_and_is_closed_when_its_sight_changes() {
    let mut city = City::start(FeedConfig::default()).await;
    let coarse = Limits { sight: Sight::Coarse, ..Limits::default() };
    city.grant_limited("token", &["town"], coarse, HOUR);
    city.alerts(&["east"]);
    let mut client = city.connect("?from=start&format=geojson", "").await;
    let block = client.block().await.unwrap();
    assert!(block.contains(r#""coarse":true"#) && block.contains("Polygon"), "{block}");
    city.grant("token", &["town"], HOUR);
    city.alerts(&["east"]);
    while let Some(block) = client.block().await {
        assert!(!block.contains("data:"), "{block}");
    }
}
