//! One alert from the press to its end, through the real gateway and its commands: shown by `gateway feed`, taken up by one
//! operator and refused to another, assigned, resolved, reopened. A feed that loses its connection, and a sender who walks
//! away.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where its setup fails"
)]

#[path = "press/operator.rs"]
mod operator;
#[path = "answering/reader.rs"]
mod reader;
#[path = "press/site.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod site;

use device::Options;
use operator::{Operator, ROOT};
use protocol::{Algorithm, Kind, Message, Position, Progress};
use reader::{Reader, Relay};
use serde_json::{Value, json};
use site::{PATIENCE, Site};

/// An operator whose token the gateway knows.
async fn operator<'a>(site: &'a Site, name: &str, role: &str) -> Operator<'a> {
    let operator = Operator::add(site, name, role);
    operator.wait(&["live"], |_| true).await;
    operator
}

/// A first press of a device of its own in klojen; the alert's id.
async fn press(site: &Site, number: u8) -> String {
    press_at(site, number, Position::new(-79_770_000, 1_126_300_000)).await
}

/// The same, elsewhere.
async fn press_at(site: &Site, number: u8, place: Option<Position>) -> String {
    let mut sender = site.enrolled(number, Algorithm::EdDsa);
    let signed = sender.press(place);
    let receipt = site.client(&Options::default()).send(&signed).await.unwrap().receipt;
    receipt.alert.unwrap().to_string()
}

fn is_act(event: &Value, act: &str) -> bool {
    event["data"]["act"] == act
}

#[tokio::test]
async fn an_alert_is_answered_by_one_and_everybody_sees_by_whom() {
    let site = Site::serve().await;
    let siti = operator(&site, "siti", "operator").await;
    let hadi = operator(&site, "hadi", "supervisor").await;
    let rina = operator(&site, "rina", "read-only").await;
    let url = format!("http://{}", site.ready("operator_addr"));
    let feed = ["feed", "--url", &url, "--token", &siti.token, "--from-start", "--json", "--ack"];
    let mut feed = Reader::start(site.command(&feed));
    let alert = press(&site, 1).await;
    let raised = feed.until(|event| event["data"]["kind"] == "raise").await;
    assert_eq!((&raised["event"], &raised["data"]["alert_id"]), (&json!("alert"), &json!(alert)));

    // The first digits of what was shown are enough.
    feed.type_line(&format!("ack {}", &alert[..8]));
    let taken = feed.until(|event| is_act(event, "acknowledge")).await;
    assert_eq!(taken["data"]["actor"], json!({"operator": "siti"}));
    let said = hadi.ctl(&["ack", &alert]).unwrap_err();
    assert!(said.contains("siti has answered already at 2"), "{said}");
    let said = rina.ctl(&["ack", &alert]).unwrap_err();
    assert!(said.contains("this role may not"), "{said}");

    hadi.ctl(&["assign", &alert, "patrol 7"]).unwrap();
    feed.until(|event| is_act(event, "assign")).await;
    let shown = hadi.wait(&["alert", &alert], |shown| shown["answer"] == "assigned").await;
    assert_eq!(
        (&shown["answered_by"], &shown["assigned_to"]),
        (&json!("hadi"), &json!("patrol 7"))
    );
    assert_eq!(shown["decisions"].as_array().unwrap().len(), 2);

    siti.ctl(&["resolve", &alert, "genuine", "--reason", "taken home"]).unwrap();
    let resolved = feed.until(|event| is_act(event, "resolve")).await;
    assert_eq!(resolved["data"]["reason"], "taken home");
    let said = hadi.ctl(&["resolve", &alert, "prank"]).unwrap_err();
    assert!(said.contains("siti has resolved it at 2") && said.contains("reopen"), "{said}");
    let open = |zones: &Value, count: u64| {
        let mut zones = zones["zones"].as_array().unwrap().iter();
        zones.any(|zone| zone["id"] == "polsek-klojen" && zone["open_alerts"] == count)
    };
    hadi.wait(&["zones"], |zones| open(zones, 0)).await;

    hadi.ctl(&["reopen", &alert, "--reason", "they came back"]).unwrap();
    feed.until(|event| is_act(event, "reopen")).await;
    let ids = |found: &Value| found["alerts"][0]["alert_id"].clone();
    hadi.wait(&["alerts", "--answer", "waiting"], |found| ids(found) == alert.as_str()).await;
    hadi.wait(&["zones"], |zones| open(zones, 1)).await;
    assert!(feed.interrupt().await.success());
}

#[tokio::test]
async fn what_is_set_for_a_zone_is_shown_and_outlives_a_restart() {
    let mut site = Site::serve().await;
    let hadi = operator(&site, "hadi", "supervisor").await;
    let reason = ["--reason", "match day"];
    hadi.ctl(&[&["posture", "polsek-klojen", "special"], &reason[..]].concat()).unwrap();
    hadi.ctl(&[&["drill", "polsek-klojen", "--for", "2h"], &reason[..]].concat()).unwrap();
    let said = hadi.ctl(&[&["drill", ROOT, "--for", "300d"], &reason[..]].concat()).unwrap_err();
    assert!(said.contains("a drill may last"), "{said}");
    let set = |zones: &Value| {
        let mut zones = zones["zones"].as_array().unwrap().iter();
        let klojen = zones.find(|zone| zone["id"] == "polsek-klojen").unwrap();
        klojen["posture"] == "special" && klojen["drill_until"].is_string()
    };
    hadi.wait(&["zones"], set).await;
    let token = hadi.token;
    assert!(site.stop().await.success());
    site.start().await;
    Operator { site: &site, token, ca: None }.wait(&["zones"], set).await;
}

#[tokio::test]
async fn feed_goes_on_behind_what_it_printed_whenever_its_connection_is_lost() {
    let mut site = Site::serve().await;
    let token = operator(&site, "siti", "operator").await.token;
    let relay = Relay::start(site.ready("operator_addr")).await;
    let url = format!("http://{}", relay.address);
    let feed = ["feed", "--url", &url, "--token", &token, "--from-start", "--json"];
    let mut feed = Reader::start(site.command(&feed));
    let mut expected = vec![];
    for number in 1..=3 {
        expected.push(press(&site, number).await);
        let last = expected.last().cloned();
        feed.until(|event| event["data"]["alert_id"].as_str() == last.as_deref()).await;
        // Lost in the middle, with a press that nobody is told of.
        relay.cut();
        expected.push(press(&site, 10 + number).await);
    }
    assert!(site.stop().await.success());
    site.start().await;
    relay.lead_to(site.ready("operator_addr"));
    expected.push(press(&site, 20).await);
    let last = expected.last().cloned();
    feed.until(|event| event["data"]["alert_id"].as_str() == last.as_deref()).await;
    let raises = feed.seen().iter().filter(|event| event["data"]["kind"] == "raise");
    let printed: Vec<_> = raises.map(|event| event["data"]["alert_id"].as_str().unwrap()).collect();
    assert_eq!(printed, expected);
    assert!(feed.interrupt().await.success());
}

#[tokio::test]
async fn incidents_are_shown_as_they_are_through_kills() {
    let mut site = Site::serve().await;
    let sukun = site.run(&["subscriber", "add", "--zones", "polsek-sukun", "--expires", "1h"]);
    let sukun = sukun["token"].as_str().unwrap();
    // Both tokens count from the same moment.
    let token = operator(&site, "siti", "operator").await.token;
    let relay = Relay::start(site.ready("operator_addr")).await;
    let url = format!("http://{}", relay.address);
    let mut feed = incidents(&site, &url, &token);
    let mut elsewhere = incidents(&site, &url, sukun);
    // Two are near each other, and a third is told while nobody listens.
    let first = press(&site, 1).await;
    press(&site, 2).await;
    let is = |event: &Value, count: u64, states: Value| {
        let data = &event["data"];
        assert_eq!((&event["event"], &data["incident_id"]), (&json!("incident"), &json!(first)));
        data["count"] == count
            && states
                .as_object()
                .unwrap()
                .iter()
                .all(|(state, number)| data["states"][state] == *number)
    };
    feed.until(|event| is(event, 2, json!({"waiting": 2}))).await;
    relay.cut();
    press(&site, 3).await;
    site.kill().await;
    site.start().await;
    relay.lead_to(site.ready("operator_addr"));
    feed.until(|event| is(event, 3, json!({"waiting": 3}))).await;
    let siti = Operator { site: &site, token: token.clone(), ca: None };
    siti.ctl(&["ack", &first]).unwrap();
    let answered = feed.until(|event| is(event, 3, json!({"acknowledged": 1}))).await;
    assert_eq!(
        (&answered["data"]["state"], &answered["data"]["zones"]),
        (&json!("waiting"), &json!(["polsek-klojen"]))
    );
    site.kill().await;
    site.start().await;
    relay.lead_to(site.ready("operator_addr"));
    let siti = Operator { site: &site, token, ca: None };
    siti.ctl(&["resolve", &first, "genuine"]).unwrap();
    feed.until(|event| is(event, 3, json!({"resolved": 1, "acknowledged": 0}))).await;
    // Another zone is shown its own, and nothing of these.
    let other = press_at(&site, 4, Position::new(-79_954_000, 1_126_123_000)).await;
    let own = elsewhere.until(|_| true).await;
    assert_eq!((&own["data"]["incident_id"], &own["data"]["count"]), (&json!(other), &json!(1)));
    assert_eq!(own["data"]["state"], json!("waiting"));
    siti.ctl(&["ack", &other]).unwrap();
    let answered = elsewhere.until(|event| event["data"]["state"] == "acknowledged").await;
    assert_eq!(answered["data"]["incident_id"], json!(other));
    assert!(feed.interrupt().await.success() && elsewhere.interrupt().await.success());
}

#[tokio::test]
async fn feed_that_is_refused_says_why_and_ends() {
    let site = Site::serve().await;
    let url = format!("http://{}", site.ready("operator_addr"));
    let feed = ["feed", "--url", &url, "--token", "mistyped"];
    let output = site.command(&feed).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("unknown token"), "{said}");
}

#[tokio::test]
async fn sender_who_keeps_the_stream_open_hears_what_becomes_of_the_alert() {
    let site = Site::serve().await;
    let siti = operator(&site, "siti", "operator").await;
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    let signed = sender.press(Position::new(-79_770_000, 1_126_300_000));
    let client = site.client(&Options::default());
    let (delivered, mut following) = client.follow(&signed).await.unwrap();
    let alert = delivered.receipt.alert.unwrap();
    let id = alert.to_string();
    for (arguments, progress) in [
        (&["ack", &id][..], Progress::Acknowledged),
        (&["assign", &id, "patrol 7"], Progress::Assigned),
        (&["resolve", &id, "genuine"], Progress::Resolved),
    ] {
        siti.wait(arguments, |_| true).await;
        let told = tokio::time::timeout(PATIENCE, following.next()).await.unwrap().unwrap();
        let told = told.unwrap();
        assert_eq!((told.progress, told.alert), (progress, alert));
    }
    assert_eq!(following.next().await.unwrap(), None, "it is over");
}

#[tokio::test]
async fn alert_that_nobody_answers_pages_the_zone_above() {
    let site = Site::prepare("routing.file = \"routing.toml\"\n");
    // The shortest that there is.
    std::fs::write(site.path("routing.toml"), "[escalation]\ndeadline = \"5s\"\n").unwrap();
    let site = site.start_serving().await;
    let siti = operator(&site, "siti", "operator").await;
    let url = format!("http://{}", site.ready("operator_addr"));
    let mut feed =
        Reader::start(site.command(&["feed", "--url", &url, "--token", &siti.token, "--json"]));
    let alert = press(&site, 1).await;
    let climbed = feed.until(|event| event["event"] == "escalation").await;
    assert_eq!(climbed["data"]["alert_id"], json!(alert));
    assert_eq!(climbed["data"]["paged_zones"], json!([ROOT]));
    assert_eq!(climbed["data"]["actor"], json!({"rule": "deadline"}));
    siti.ctl(&["ack", &alert]).unwrap();
    feed.until(|event| is_act(event, "acknowledge")).await;
    assert!(feed.interrupt().await.success());
}

/// Somebody who has pressed, and goes on telling where they are.
struct Walker {
    sender: site::Sender,
    alert: protocol::AlertId,
}

impl Walker {
    const LAT_E7: i64 = -79_770_000;
    /// Of latitude, in 1e-7 degrees.
    const METRE_E7: i64 = 90;

    async fn press(site: &Site, number: u8) -> Self {
        let mut sender = site.enrolled(number, Algorithm::EdDsa);
        let signed = sender.press(Position::new(Self::LAT_E7, 1_126_300_000));
        let receipt = site.client(&Options::default()).send(&signed).await.unwrap().receipt;
        Self { sender, alert: receipt.alert.unwrap() }
    }

    async fn walk(&mut self, site: &Site, metres: i64) {
        let position = Position::new(Self::LAT_E7 + metres * Self::METRE_E7, 1_126_300_000);
        let counters = self.sender.next_counters();
        let update =
            Message { alert: Some(self.alert), position, ..Message::new(Kind::Update, counters) };
        let signed = self.sender.sign(&update);
        site.client(&Options::default()).send(&signed).await.unwrap();
    }

    fn is(&self, event: &Value, name: &str) -> bool {
        event["event"] == name && event["data"]["alert_id"] == json!(self.alert.to_string())
    }
}

#[tokio::test]
async fn whoever_walks_away_and_falls_silent_is_told_of_once_through_kills() {
    let mut site = Site::prepare("policy.file = \"policy.toml\"\n");
    // The shortest that there is.
    std::fs::write(site.path("policy.toml"), "[motion]\nquiet_after = \"5s\"\n").unwrap();
    site = site.start_serving().await;
    let token = operator(&site, "siti", "operator").await.token;
    let mut first = Walker::press(&site, 1).await;
    first.walk(&site, 30).await;
    first.walk(&site, 300).await;
    let mut feed = Reader::start(from_start(&site, &token));
    let moving = feed.until(|event| first.is(event, "moving")).await;
    assert_eq!(moving["data"]["actor"], json!({"rule": "motion"}));
    assert_eq!(moving["data"]["position"]["lat"], json!(-7.974_3));
    site.kill().await;
    site.start().await;
    let mut feed = Reader::start(from_start(&site, &token));
    let quiet = feed.until(|event| first.is(event, "quiet")).await;
    assert_eq!(quiet["data"]["actor"], json!({"rule": "silence"}));
    assert_eq!(quiet["data"]["position"], moving["data"]["position"]);
    let operator = Operator { site: &site, token: token.clone(), ca: None };
    let alert = first.alert.to_string();
    let quiet = |shown: &Value| shown["motion"]["quiet_since"].is_string();
    let shown = operator.wait(&["alert", &alert], quiet).await;
    assert_eq!(shown["motion"]["moved_at"], moving["data"]["decided_at"]);

    // Whatever would be told again is told before the next one is quiet.
    site.kill().await;
    site.start().await;
    let mut second = Walker::press(&site, 2).await;
    second.walk(&site, 0).await;
    let mut feed = Reader::start(from_start(&site, &token));
    feed.until(|event| second.is(event, "quiet")).await;
    let told = feed.seen().iter().filter_map(|event| event["event"].as_str());
    let told: Vec<_> = told.filter(|name| matches!(*name, "moving" | "quiet")).collect();
    assert_eq!(told, ["moving", "quiet", "quiet"]);

    first.walk(&site, 310).await;
    let operator = Operator { site: &site, token, ca: None };
    operator.wait(&["alert", &alert], |shown| shown["motion"]["quiet_since"].is_null()).await;
}

/// `gateway feed` from the beginning.
fn from_start(site: &Site, token: &str) -> std::process::Command {
    let url = format!("http://{}", site.ready("operator_addr"));
    site.command(&["feed", "--url", &url, "--token", token, "--from-start", "--json"])
}

/// `gateway feed` of incidents, by way of this address.
fn incidents(site: &Site, url: &str, token: &str) -> Reader {
    let feed = ["feed", "--view", "incidents", "--url", url, "--token", token];
    Reader::start(site.command(&[&feed[..], &["--from-start", "--json"]].concat()))
}
