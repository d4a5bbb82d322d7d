//! Alerts that are answered, zones that are prepared, tracks: what reaches the desk, who is refused, and what is shown.

use std::sync::Arc;

use gateway::desk::Undecided;
use pipeline::{
    Act, Cursor, DecisionAnswer, DecisionRefusal, Demand, Posture, Span, Time, Verdict, ZoneId,
};
use protocol::Position;
use reqwest::Method;
use serde_json::{Value, json};

use super::post::{NOW, Post, alert, decided, moved, prepared};

fn done() -> DecisionAnswer {
    let (cursor, decided_at) = (Cursor(17), NOW);
    DecisionAnswer { cursor, decided_at, device: None, standing: None, promoted: false }
}

#[tokio::test]
async fn every_answer_reaches_the_desk_as_it_was_asked() {
    let post = Post::start().await;
    post.desk_says(Ok(done()));
    let alert = alert(1);
    let (patrol, west) = (Arc::from("patrol 7"), ZoneId::new("west"));
    let an_hour = Time(NOW.0 + 3_600_000_000);
    let of_alert = |act: &str| format!("/v1/alerts/{alert}/{act}");
    for (path, body, demand, reason) in [
        (of_alert("acknowledge"), json!({}), Demand::Acknowledge { alert }, None),
        (
            of_alert("acknowledge"),
            json!({"reason": "on it"}),
            Demand::Acknowledge { alert },
            Some("on it"),
        ),
        (
            of_alert("assign"),
            json!({"to": " patrol 7 "}),
            Demand::Assign { alert, to: patrol },
            None,
        ),
        (
            of_alert("resolve"),
            json!({"verdict": "genuine", "reason": "taken home"}),
            Demand::Resolve { alert, verdict: Verdict::Genuine },
            Some("taken home"),
        ),
        (
            of_alert("reopen"),
            json!({"reason": "they came back"}),
            Demand::Reopen { alert },
            Some("they came back"),
        ),
        (
            "/v1/zones/west/drill".to_owned(),
            json!({"duration_s": 3600, "reason": "school drill"}),
            Demand::Drill { zone: west.clone(), until: an_hour },
            Some("school drill"),
        ),
        (
            "/v1/zones/west/drill".to_owned(),
            json!({"duration_s": 0, "reason": "over"}),
            Demand::Drill { zone: west.clone(), until: NOW },
            Some("over"),
        ),
        (
            "/v1/zones/west/posture".to_owned(),
            json!({"posture": "special", "reason": "match day"}),
            Demand::Posture { zone: west, posture: Posture::Special },
            Some("match day"),
        ),
    ] {
        let (status, answer) = post.post(&path, "siti", &body).await;
        assert_eq!(status, 200, "{path} {answer}");
        assert_eq!(answer["decided_at"], "2026-03-01T00:00:00.000Z");
        let asked = post.desk.asked.lock().unwrap().pop().unwrap();
        assert_eq!((asked.demand, asked.reason.as_deref()), (demand, reason), "{path}");
        assert_eq!(&*asked.actor, "siti");
    }
    let (status, _) = post.ask(Method::POST, &of_alert("acknowledge"), "siti", None).await;
    assert_eq!(status, 200, "an empty body says all there is to say");
}

#[tokio::test]
async fn whoever_comes_second_is_told_who_was_first_and_when() {
    let post = Post::start().await;
    let path = format!("/v1/alerts/{}/acknowledge", alert(1));
    let by: Arc<str> = Arc::from("hadi");
    let at = Time(NOW.0 - 1_500_000);
    for (refusal, name) in [
        (DecisionRefusal::AnsweredAlready { by: Arc::clone(&by), at }, "answered"),
        (DecisionRefusal::Resolved { by, at }, "resolved"),
    ] {
        post.desk_says(Err(Undecided::Refused(refusal)));
        let (status, problem) = post.post(&path, "siti", &json!({})).await;
        assert_eq!((status, &problem["by"]), (409, &"hadi".into()), "{problem}");
        assert_eq!(problem["type"], format!("urn:kentongan:problem:{name}"));
        assert_eq!(problem["at"], "2026-02-28T23:59:58.500Z");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("hadi has ") && detail.contains("23:59:58"), "{detail}");
    }
    for (refusal, status, name) in [
        (DecisionRefusal::NotResolved, 409, "not-resolved"),
        (DecisionRefusal::Joined(alert(4)), 409, "joined"),
        (DecisionRefusal::UnknownZone(ZoneId::new("west")), 404, "unknown-zone"),
        (DecisionRefusal::DrillTooLong(Span::from_secs(9)), 409, "duration"),
        (DecisionRefusal::NameLen(90), 422, "assignee"),
    ] {
        let joined = matches!(refusal, DecisionRefusal::Joined(_));
        post.desk_says(Err(Undecided::Refused(refusal)));
        let (found, problem) = post.post(&path, "siti", &json!({})).await;
        assert_eq!(found, status, "{problem}");
        assert_eq!(problem["type"], format!("urn:kentongan:problem:{name}"));
        let other = problem.get("alert_id").and_then(Value::as_str);
        assert_eq!(other, joined.then(|| alert(4).to_string()).as_deref());
    }
}

#[tokio::test]
async fn what_may_not_be_decided_or_is_not_understood_never_reaches_the_desk() {
    let post = Post::start().await;
    post.desk_says(Ok(done()));
    let of_alert = |act: &str| format!("/v1/alerts/{}/{act}", alert(1));
    let drill = json!({"duration_s": 60, "reason": "drill"});
    let zone = |id: &str| format!("/v1/zones/{id}/drill");
    for (path, token, body, status) in [
        (of_alert("acknowledge"), "rina", json!({}), 403),
        (of_alert("acknowledge"), "agus", json!({}), 403),
        (of_alert("acknowledge"), "centre", json!({}), 403),
        (of_alert("acknowledge"), "siti", json!({"to": "me"}), 422),
        (of_alert("assign"), "siti", json!({}), 422),
        (of_alert("resolve"), "siti", json!({"verdict": "guilty"}), 422),
        (of_alert("resolve"), "siti", json!({}), 422),
        (of_alert("reopen"), "siti", json!({}), 422),
        (of_alert("reopen"), "siti", json!({"reason": " "}), 422),
        ("/v1/alerts/xyz/acknowledge".to_owned(), "siti", json!({}), 400),
        (zone("west"), "rina", drill.clone(), 403),
        (zone("east"), "siti", drill.clone(), 403),
        (zone("town"), "siti", drill.clone(), 403),
        (zone("atlantis"), "siti", drill, 404),
        (zone("west"), "siti", json!({"duration_s": -1, "reason": "drill"}), 422),
        (zone("west"), "siti", json!({"duration_s": 60}), 422),
        (
            "/v1/zones/west/posture".to_owned(),
            "siti",
            json!({"posture": "calm", "reason": "x"}),
            422,
        ),
    ] {
        let (found, problem) = post.post(&path, token, &body).await;
        assert_eq!(found, status, "{token} {path} {body}: {problem}");
    }
    assert!(post.desk.asked.lock().unwrap().is_empty());
}

fn ids(found: &Value) -> Vec<&str> {
    let alerts = found["alerts"].as_array().unwrap().iter();
    alerts.map(|alert| alert["alert_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn alerts_show_who_answers_and_are_found_by_it() {
    let post = Post::after(vec![
        decided(17, 1, Act::Acknowledge),
        decided(18, 1, Act::Assign { to: Arc::from("patrol 7") }),
        decided(19, 2, Act::Resolve(Verdict::Test)),
        decided(20, 7, Act::Acknowledge),
        decided(21, 3, Act::Escalate { to: Some(ZoneId::new("west")) }),
        decided(22, 6, Act::Escalate { to: None }),
    ])
    .await;
    for (answer, expected) in
        // Whoever gave a verdict on the third took it up.
        [("acknowledged", vec![7, 3]), ("assigned", vec![1]), ("resolved", vec![2])]
    {
        let (status, found) = post.get(&format!("/v1/alerts?answer={answer}"), "hadi").await;
        let expected: Vec<_> = expected.into_iter().map(|it| alert(it).to_string()).collect();
        assert_eq!((status, ids(&found)), (200, expected.iter().map(String::as_str).collect()));
    }
    let (_, waiting) = post.get("/v1/alerts?answer=waiting", "hadi").await;
    assert_eq!(ids(&waiting).len(), 8);
    assert_eq!(post.get("/v1/alerts?answer=asleep", "hadi").await.0, 400);
    let (_, shown) = post.get(&format!("/v1/alerts/{}", alert(1)), "siti").await;
    for (name, value) in [
        ("answer", json!("assigned")),
        ("answered_by", json!("siti")),
        ("answered_at", json!("2026-02-28T23:18:00.000Z")),
        ("assigned_to", json!("patrol 7")),
        ("incident_id", json!(alert(1).to_string())),
        ("agencies", json!(["police", "fire", "medical", "disaster", "counter_terrorism"])),
        ("paged_zones", json!(["west-1"])),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    // East's alerts are siti's to see once they climbed to her zone, or to everybody.
    for (climbed, paged) in [(3, json!(["east", "west"])), (6, json!("all"))] {
        let (status, shown) = post.get(&format!("/v1/alerts/{}", alert(climbed)), "siti").await;
        assert_eq!((status, &shown["paged_zones"]), (200, &paged), "{shown}");
        assert_eq!(shown["decisions"][0]["act"], "escalate");
    }
    assert_eq!(post.get(&format!("/v1/alerts/{}", alert(9)), "siti").await.0, 403);
    let (_, found) = post.get("/v1/alerts?state=paged&limit=200", "siti").await;
    assert!(ids(&found).contains(&&*alert(3).to_string()));
}

#[tokio::test]
async fn zones_come_as_a_tree_with_what_holds_in_each() {
    let until = Time(NOW.0 + 60_000_000);
    let post = Post::after(vec![
        prepared(17, "west", Act::Posture(Posture::Special)),
        prepared(18, "west-2", Act::Posture(Posture::Contingency)),
        prepared(19, "west-1", Act::Drill { until }),
        prepared(20, "east", Act::Drill { until: NOW }),
        decided(21, 1, Act::Resolve(Verdict::Test)),
    ])
    .await;
    let (status, all) = post.get("/v1/zones", "hadi").await;
    assert_eq!(status, 200, "{all}");
    let zone = |id, parent: Option<&str>, posture, drill: bool, open_alerts| {
        let mut zone = json!({"id": id, "name": id, "level": "polsek", "risk": "medium",
            "posture": posture, "open_alerts": open_alerts});
        if let Some(parent) = parent {
            zone["parent"] = parent.into();
        }
        if drill {
            zone["drill_until"] = "2026-03-01T00:01:00.000Z".into();
        }
        zone
    };
    let expected = [
        zone("town", None, "routine", false, 0),
        zone("west", Some("town"), "special", false, 0),
        // Four raises: one resolved, one held until it was promoted.
        zone("west-1", Some("west"), "special", true, 3),
        // Four raises, one of which joined another.
        zone("west-2", Some("west"), "contingency", false, 3),
        zone("east", Some("town"), "routine", false, 4),
    ];
    assert_eq!(all["zones"], json!(expected));
    let (_, mine) = post.get("/v1/zones", "siti").await;
    assert_eq!(mine["zones"], json!(expected[1..4]));
    assert_eq!(post.get("/v1/zones", "agus").await.0, 403);
}

#[tokio::test]
async fn track_goes_through_every_place_in_order_and_the_last_one_stays() {
    let place = |east: i64| Position::new(-79_666_200, 1_126_326_000 + east);
    let post = Post::after(vec![
        moved(17, 1, place(10_000)),
        moved(18, 1, None),
        moved(19, 1, place(20_000)),
        moved(20, 1, None),
        decided(21, 1, Act::Moving { seen: Cursor(19) }),
        decided(22, 1, Act::Quiet { seen: Cursor(19) }),
    ])
    .await;
    let path = format!("/v1/alerts/{}/track", alert(1));
    let response = post.send(Method::GET, &path, "siti", None).await;
    assert_eq!(response.headers()["content-type"], "application/geo+json");
    let track: Value = response.json().await.unwrap();
    let at = |lon: f64| json!([lon, -7.96662]);
    let line = json!({"type": "LineString",
        "coordinates": [at(112.6326), at(112.6326), at(112.6336), at(112.6346)]});
    // The second is an update of the past, where the raise was.
    assert_eq!(track["features"][0]["geometry"], line);
    assert_eq!(track["features"].as_array().unwrap().len(), 5);
    let last = &track["features"][4]["properties"];
    assert_eq!(
        (&last["at"], &last["kind"]),
        (&"2026-02-28T23:19:00.000Z".into(), &"update".into())
    );
    assert_eq!(track["features"][1]["properties"]["kind"], "raise");
    assert!(track.get("next").is_none());
    let (_, shown) = post.get(&format!("/v1/alerts/{}", alert(1)), "siti").await;
    assert_eq!(shown["last_position"]["lon"], 112.6346);
    assert_eq!(shown["last_position"]["at"], "2026-02-28T23:19:00.000Z");
    let told =
        json!({"moved_at": "2026-02-28T23:21:00.000Z", "quiet_since": "2026-02-28T23:22:00.000Z"});
    assert_eq!(shown["motion"], told);
    assert_eq!(shown["decisions"][0]["act"], "quiet", "{shown}");
    assert_eq!(shown["decisions"][0]["position"]["lon"], 112.6346);
    let (_, alone) = post.get(&format!("/v1/alerts/{}/track", alert(7)), "siti").await;
    assert_eq!(alone["features"].as_array().unwrap().len(), 1, "one place is no line");
    for (id, token, status) in [(3, "siti", 403), (99, "siti", 404), (1, "agus", 403)] {
        let path = format!("/v1/alerts/{}/track", alert(id));
        assert_eq!(post.get(&path, token).await.0, status, "{id}");
    }
}
