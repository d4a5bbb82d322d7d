//! The operators' interface over HTTP: who is answered, with what, and how a refusal says why.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

mod answers;
mod decisions;
mod limits;
mod post;
mod questions;

use post::Post;
use reqwest::Method;
use serde_json::Value;

#[tokio::test]
async fn every_described_operation_is_served_and_asks_for_a_token() {
    let post = Post::start().await;
    let (status, described) = post.get("/v1/openapi.json", "").await;
    assert_eq!((status, &described["openapi"]), (200, &"3.1.0".into()));
    let id = "00".repeat(16);
    for (path, operations) in described["paths"].as_object().unwrap() {
        let path = path.replace("{id}", &id);
        for (method, operation) in operations.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let (status, problem) = post.ask(method, &path, "", None).await;
            if operation["security"] == serde_json::json!([]) {
                assert_eq!(status, 200, "{path}");
            } else {
                assert_eq!(status, 401, "{path}");
                assert_eq!(problem["type"], "urn:kentongan:problem:no-token");
            }
        }
        let (status, problem) = post.ask(Method::DELETE, &path, "hadi", None).await;
        assert_eq!((status, &problem["status"]), (405, &405.into()), "{path}");
    }
}

#[tokio::test]
async fn tokens_that_do_not_count_are_told_why() {
    let post = Post::start().await;
    for (token, status, name) in [
        ("", 401, "no-token"),
        ("mistyped", 401, "unknown-token"),
        ("late", 401, "expired-token"),
        ("centre", 403, "feed-only"),
        ("agus", 403, "role"),
        ("lost", 403, "no-zone"),
    ] {
        for path in ["/v1/alerts", "/v1/audit", &format!("/v1/devices/{}", post::device(1))] {
            let response = post.send(Method::GET, path, token, None).await;
            assert_eq!(response.status().as_u16(), status, "{token} {path}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["type"], format!("urn:kentongan:problem:{name}"), "{token} {path}");
            assert!(problem["detail"].as_str().unwrap().len() > 20);
        }
    }
}

#[tokio::test]
async fn roles_see_and_do_just_what_is_theirs() {
    let post = Post::start().await;
    let device = format!("/v1/devices/{}", post::device(1));
    for (token, owner) in [("siti", None), ("rina", None), ("hadi", Some("Ibu Sari"))] {
        let (status, shown) = post.get(&device, token).await;
        assert_eq!(status, 200, "{token}: {shown}");
        assert_eq!(shown.get("owner").and_then(Value::as_str), owner, "{token}");
        assert_eq!(post.get("/v1/live", token).await.0, 200);
    }
    assert_eq!(post.get("/v1/live", "agus").await.0, 200);
    let verdict = serde_json::json!({"verdict": "prank"});
    let path = format!("/v1/alerts/{}/verdict", post::alert(1));
    for token in ["rina", "agus", "centre"] {
        assert_eq!(post.post(&path, token, &verdict).await.0, 403, "{token}");
    }
    assert!(post.desk.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn operators_read_the_feed_of_their_zones_and_an_sre_does_not() {
    let post = Post::start().await;
    let open = async |token| post.send(Method::GET, "/v1/feed", token, None).await.status();
    assert_eq!(open("siti").await, 200);
    assert_eq!(open("agus").await, 403);
    assert_eq!(open("late").await, 401);
}

#[tokio::test]
async fn counters_are_shown_as_json() {
    let post = Post::start().await;
    let (status, live) = post.get("/v1/live", "agus").await;
    assert_eq!((status, &live["at"]), (200, &"2026-03-01T00:00:00.000Z".into()));
    let samples = &live["metrics"]["gateway_receipts_total"];
    assert_eq!(*samples, serde_json::json!([{"labels": {"status": "received"}, "value": 3.0}]));
}
