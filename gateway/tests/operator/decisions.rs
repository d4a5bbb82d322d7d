//! Verdicts, blocks and appeals: what reaches the desk, and how its answer is told.

use gateway::desk::Undecided;
use pipeline::{
    About, Cursor, DecisionAnswer, DecisionRefusal, Demand, DeviceIndex, Reach, Request, Scope,
    Span, Standing, Time, Verdict, ZoneId,
};
use reqwest::Method;
use serde_json::json;

use super::post::{NOW, Post, alert, device};

fn decided() -> DecisionAnswer {
    let standing = Standing { probation_until: Some(Time(NOW.0 + 1)), ..Standing::default() };
    DecisionAnswer {
        cursor: Cursor(17),
        decided_at: NOW,
        device: Some(device(1)),
        standing: Some(standing),
        promoted: true,
    }
}

#[tokio::test]
async fn verdict_reaches_the_desk_with_its_actor_and_reach() {
    let post = Post::start().await;
    post.desk_says(Ok(decided()));
    let path = format!("/v1/alerts/{}/verdict", alert(1));
    let body = json!({"verdict": "genuine", "reason": "they were there"});
    let (status, answer) = post.post(&path, "siti", &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["promoted"], &answer["standing"]["state"]),
        (&true.into(), &"probation".into())
    );
    let (status, _) = post.post(&path, "hadi", &json!({"verdict": "test"})).await;
    assert_eq!(status, 200);
    let asked = post.desk.asked.lock().unwrap();
    let expected = |actor: &str, reach, verdict, reason: Option<&str>| Request {
        actor: actor.into(),
        reach,
        scope: Scope::ALL,
        demand: Demand::Verdict { alert: alert(1), verdict },
        reason: reason.map(Into::into),
    };
    let west = Reach::Zones([ZoneId::new("west")].into());
    assert_eq!(asked[0], expected("siti", west, Verdict::Genuine, Some("they were there")));
    assert_eq!(asked[1], expected("hadi", Reach::Everywhere, Verdict::Test, None));
}

#[tokio::test]
async fn block_lasts_a_day_at_most_unless_a_supervisor_gives_it() {
    let post = Post::start().await;
    post.desk_says(Ok(decided()));
    let path = format!("/v1/devices/{}/block", device(1));
    let block = |duration_s: u64| json!({"duration_s": duration_s, "reason": "rings for fun"});
    assert_eq!(post.post(&path, "siti", &block(86_400)).await.0, 200);
    let (status, problem) = post.post(&path, "siti", &block(86_401)).await;
    assert_eq!((status, &problem["type"]), (403, &"urn:kentongan:problem:role".into()));
    assert_eq!(post.post(&path, "hadi", &block(86_401)).await.0, 200);
    let whole = json!({"duration_s": 60.0, "reason": "rings for fun"});
    assert_eq!(post.post(&path, "siti", &whole).await.0, 200);
    let half = json!({"duration_s": 60.5, "reason": "rings for fun"});
    assert_eq!(post.post(&path, "siti", &half).await.0, 422);
    assert_eq!(post.post(&path, "hadi", &block(0)).await.0, 422);
    assert_eq!(post.post(&path, "hadi", &block(u64::MAX)).await.0, 422);
    let asked = post.desk.asked.lock().unwrap();
    let about = About { device: device(1), index: DeviceIndex(1), zone: ZoneId::new("west-1") };
    assert_eq!(asked.len(), 3);
    let until = NOW + Span::from_secs(86_400);
    assert_eq!(asked[0].demand, Demand::Block { about, until });
}

#[tokio::test]
async fn unblock_and_appeal_need_a_reason_and_a_device_within_reach() {
    let post = Post::start().await;
    post.desk_says(Ok(decided()));
    let why = json!({"reason": "the owner came by"});
    for act in ["unblock", "appeal"] {
        let path = |device: &str| format!("/v1/devices/{device}/{act}");
        assert_eq!(post.post(&path(&device(1).to_string()), "siti", &why).await.0, 200);
        assert_eq!(post.post(&path(&device(1).to_string()), "siti", &json!({})).await.0, 422);
        assert_eq!(post.post(&path(&device(3).to_string()), "siti", &why).await.0, 403);
        assert_eq!(post.post(&path(&"ee".repeat(16)), "siti", &why).await.0, 404);
    }
    assert_eq!(post.desk.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn every_refusal_of_the_desk_is_told_in_its_own_way() {
    let post = Post::start().await;
    let path = format!("/v1/alerts/{}/verdict", alert(1));
    for (refusal, status, name) in [
        (DecisionRefusal::UnknownAlert(alert(1)), 404, "unknown-alert"),
        (DecisionRefusal::OutOfReach(ZoneId::new("east")), 403, "out-of-reach"),
        (DecisionRefusal::NotBlocked, 409, "not-blocked"),
        (DecisionRefusal::EndsBeforeItBegins, 422, "duration"),
        (DecisionRefusal::BlockTooLong(Span::from_secs(60)), 409, "duration"),
        (DecisionRefusal::ReasonMissing, 422, "reason"),
        (DecisionRefusal::Busy, 503, "busy"),
    ] {
        post.desk_says(Err(Undecided::Refused(refusal)));
        let (found, problem) = post.post(&path, "siti", &json!({"verdict": "prank"})).await;
        assert_eq!(found, status, "{problem}");
        assert_eq!(problem["type"], format!("urn:kentongan:problem:{name}"));
    }
    post.desk_says(Err(Undecided::Stopping));
    let (status, _) = post.post(&path, "siti", &json!({"verdict": "prank"})).await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn bodies_that_are_not_understood_never_reach_the_desk() {
    let post = Post::start().await;
    let path = format!("/v1/alerts/{}/verdict", alert(1));
    let long = format!("{{\"verdict\":\"prank\",\"reason\":\"{}\"}}", "x".repeat(281));
    let huge = format!("{{\"verdict\":\"prank\",\"reason\":\"{}\"}}", "x".repeat(5_000));
    let json = "application/json";
    for (media, body, status, name) in [
        (json, "{", 400, "body"),
        (json, "", 400, "body"),
        (json, "{\"verdict\":\"guilty\"}", 422, "unfit"),
        (json, "{\"verdict\":\"prank\",\"until\":1}", 422, "unfit"),
        (json, "[]", 422, "unfit"),
        (json, &long, 422, "unfit"),
        (json, &huge, 413, "too-long"),
        ("text/plain", "{\"verdict\":\"prank\"}", 415, "media-type"),
    ] {
        let (found, problem) = post.ask(Method::POST, &path, "siti", Some((media, body))).await;
        assert_eq!(found, status, "{body:.40}");
        assert_eq!(problem["type"], format!("urn:kentongan:problem:{name}"), "{body:.40}");
    }
    assert!(post.desk.asked.lock().unwrap().is_empty());
}
