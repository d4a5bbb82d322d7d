//! Alerts, devices and the audit: what is found, and what is kept from whom.

use reqwest::Method;
use serde_json::{Value, json};

use super::post::{Post, alert, device};

fn cursors(found: &Value) -> Vec<u64> {
    let id = |alert: &Value| {
        u64::from_str_radix(&alert["alert_id"].as_str().unwrap()[..16], 16).unwrap()
    };
    found["alerts"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn search_finds_alerts_of_ones_zones_by_each_of_its_terms() {
    let post = Post::start().await;
    let mine = device(3);
    for (query, token, expected) in [
        ("", "hadi", (1..=12).rev().collect()),
        ("", "siti", vec![11, 10, 8, 7, 5, 4, 2, 1]),
        ("?zone=west-1", "siti", vec![10, 7, 4, 1]),
        ("?zone=west", "hadi", vec![11, 10, 8, 7, 5, 4, 2, 1]),
        ("?state=promoted", "hadi", vec![4]),
        ("?state=held", "hadi", vec![]),
        ("?state=joined", "hadi", vec![5]),
        ("?category=fire", "hadi", vec![7]),
        (&format!("?device={mine}"), "hadi", vec![12, 9, 6, 3]),
        ("?since=2026-02-28T23:10:00Z", "hadi", vec![12, 11, 10]),
        ("?until=2026-02-28T23:03:00Z", "hadi", vec![2, 1]),
        ("?since=2026-03-01T06:02:00%2B07:00&until=2026-02-28T23:04:00Z", "hadi", vec![3, 2]),
    ] {
        let (status, found) = post.get(&format!("/v1/alerts{query}"), token).await;
        assert_eq!((status, cursors(&found)), (200, expected), "{query} {token}");
    }
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_copy() {
    let post = Post::start().await;
    let mut path = "/v1/alerts?limit=5".to_owned();
    let mut found = vec![];
    loop {
        let (_, page) = post.get(&path, "hadi").await;
        found.extend(cursors(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/alerts?limit=5&before={next}");
    }
    assert_eq!(found, (1..=12).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn alert_comes_with_what_its_sender_said_and_what_followed() {
    let post = Post::start().await;
    let (status, shown) = post.get(&format!("/v1/alerts/{}", alert(1)), "siti").await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(shown["position"]["lat"], -7.96662);
    assert_eq!((&shown["note"], &shown["state"]), (&"lantai 2".into(), &"paged".into()));
    assert_eq!((&shown["updates"], &shown["messages"][0]["kind"]), (&1.into(), &"update".into()));
    let (_, cancelled) = post.get(&format!("/v1/alerts/{}", alert(2)), "siti").await;
    assert_eq!(cancelled["cancelled"], true);
    let (_, held) = post.get(&format!("/v1/alerts/{}", alert(4)), "siti").await;
    assert_eq!(held["messages"][0]["joins"], alert(4).to_string());
    assert_eq!(held["decisions"][0]["act"], "promote");
    let (_, judged) = post.get(&format!("/v1/alerts/{}", alert(3)), "hadi").await;
    assert_eq!(
        (&judged["verdict"], &judged["decisions"][0]["reason"]),
        (&"prank".into(), &"laughed".into())
    );
}

#[tokio::test]
async fn alerts_come_as_geojson_where_that_is_asked_for() {
    let post = Post::start().await;
    let response = post.send(Method::GET, "/v1/alerts?format=geojson", "siti", None).await;
    assert_eq!(response.headers()["content-type"], "application/geo+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let found: Value = response.json().await.unwrap();
    assert_eq!(found["type"], "FeatureCollection");
    let feature = &found["features"][0];
    assert_eq!(feature["geometry"], json!({"type": "Point", "coordinates": [112.6326, -7.96662]}));
    assert_eq!(feature["properties"]["alert_id"], feature["id"]);
}

#[tokio::test]
async fn what_is_out_of_reach_is_refused_and_what_is_not_there_is_unknown() {
    let post = Post::start().await;
    for (path, status, name) in [
        (format!("/v1/alerts/{}", alert(3)), 403, "out-of-reach"),
        ("/v1/alerts?zone=east".to_owned(), 403, "out-of-reach"),
        ("/v1/alerts?zone=atlantis".to_owned(), 404, "unknown-zone"),
        (format!("/v1/alerts/{}", alert(99)), 404, "unknown-alert"),
        (format!("/v1/alerts/{}", alert(13)), 404, "unknown-alert"),
        ("/v1/alerts/xyz".to_owned(), 400, "id"),
        ("/v1/alerts/%ff".to_owned(), 400, "id"),
        (format!("/v1/devices/{}", device(3)), 403, "out-of-reach"),
        (format!("/v1/devices/{}", "ee".repeat(16)), 404, "unknown-device"),
        ("/v1/alerts?limit=0".to_owned(), 400, "query"),
        ("/v1/alerts?state=lost".to_owned(), 400, "query"),
        ("/v1/alerts?colour=red".to_owned(), 400, "query"),
        ("/v1/alerts?since=now".to_owned(), 400, "query"),
        (format!("/v1/alerts?before={}", "0".repeat(32)), 404, "cursor"),
        ("/v1/alerts?before=0".to_owned(), 400, "cursor"),
        ("/v1/nothing".to_owned(), 404, "not-found"),
    ] {
        let (found, problem) = post.get(&path, "siti").await;
        assert_eq!(found, status, "{path}");
        assert_eq!(problem["type"], format!("urn:kentongan:problem:{name}"), "{path}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("east"), "where it is, is for those who act there: {detail}");
    }
}

#[tokio::test]
async fn device_shows_how_it_stands_at_this_moment() {
    let post = Post::start().await;
    let (status, shown) = post.get(&format!("/v1/devices/{}", device(3)), "hadi").await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(shown["standing"]["state"], "blocked");
    assert_eq!(shown["standing"]["strikes"][0]["alert_id"], alert(3).to_string());
    assert_eq!((&shown["zone"], &shown["messages"]), (&"east".into(), &4.into()));
    let silent = "04".repeat(16);
    let (_, never) = post.get(&format!("/v1/devices/{silent}"), "hadi").await;
    assert_eq!((&never["zone"], &never["standing"]["state"]), (&"town".into(), &"good".into()));
    assert_eq!(post.get(&format!("/v1/devices/{silent}"), "siti").await.0, 403);
}

#[tokio::test]
async fn audit_says_who_decided_what_and_why_in_ones_zones() {
    let post = Post::start().await;
    let acts = |found: &Value| -> Vec<String> {
        let decisions = found["decisions"].as_array().unwrap();
        decisions.iter().map(|it| it["act"].as_str().unwrap().to_owned()).collect()
    };
    let (status, all) = post.get("/v1/audit", "hadi").await;
    assert_eq!((status, acts(&all)), (200, vec!["promote".to_owned(), "verdict".to_owned()]));
    let verdict = &all["decisions"][1];
    assert_eq!(verdict["actor"], json!({"operator": "siti"}));
    assert_eq!(verdict["reason"], "laughed");
    for (query, expected) in [
        (format!("?device={}", device(3)), vec!["verdict"]),
        (format!("?alert={}", alert(4)), vec!["promote"]),
        ("?operator=siti".to_owned(), vec!["verdict"]),
        ("?operator=nobody".to_owned(), vec![]),
        ("?until=2020-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        let (_, found) = post.get(&format!("/v1/audit{query}"), "hadi").await;
        assert_eq!(acts(&found), expected, "{query}");
    }
    assert_eq!(acts(&post.get("/v1/audit", "siti").await.1), ["promote"]);
}
