//! A prankster's story through the real `gateway`: a verdict blocks, the next press is held and its sender is told whom to
//! call, a restart forgets nothing, neighbours make the gateway page it after all, a genuine verdict repairs.
//!
//! Here one strike blocks: three presses of their own would take as long as two windows of a press. That it takes three by
//! default is shown in `pipeline`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

#[path = "press/site.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod site;

use std::fs;

use device::Options;
use protocol::{Algorithm, Kind, Message, Nonce, Position, Receipt, Status};
use serde_json::{Value, json};
use site::{PATIENCE, Sender, Site};

const ROOT: &str = "polres-malang-kota";

/// A device of a known owner and batch that needs no probation.
fn enrolled(site: &Site, number: u8, owner: &str, batch: &str) -> Sender {
    let sender = site.sender(number, Algorithm::EdDsa);
    site.enrol_as(&sender, &["--vouched", "--owner", owner, "--batch", batch]);
    sender
}

async fn press(site: &Site, sender: &mut Sender) -> Receipt {
    let counters = sender.next_counters();
    let nonce = Nonce([counters.sequence.0.to_be_bytes()[3]; 8]);
    let position = Position::new(-79_770_000, 1_126_300_000);
    let signed = sender.sign(&Message { position, ..Message::raise(counters, nonce) });
    site.client(&Options::default()).send(&signed).await.unwrap().receipt
}

fn id(receipt: &Receipt) -> String {
    receipt.alert.unwrap().to_string()
}

struct Operator {
    token: String,
}

impl Operator {
    fn new(site: &Site) -> Self {
        let add = ["operator", "add", "--name", "siti", "--role", "supervisor", "--zones", ROOT];
        let added = site.run(&add);
        Self { token: added["token"].as_str().unwrap().to_owned() }
    }

    /// A verdict, once the token is known.
    async fn judge(&self, site: &Site, alert: &str, verdict: &str) -> Value {
        let url = format!("http://{}/v1/alerts/{alert}/verdict", site.ready("operator_addr"));
        let asked = async {
            loop {
                let request = reqwest::Client::new().post(&url).bearer_auth(&self.token);
                let body = json!({ "verdict": verdict, "reason": "heard on the phone" });
                let response = request.json(&body).send().await.unwrap();
                if response.status() != 401 {
                    return response.error_for_status().unwrap().json::<Value>().await.unwrap();
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap()
    }
}

impl Operator {
    /// Every decision, newest first, once one is indexed.
    async fn audit(&self, site: &Site) -> Vec<Value> {
        let url = format!("http://{}/v1/audit", site.ready("operator_addr"));
        let asked = async {
            loop {
                let request = reqwest::Client::new().get(&url).bearer_auth(&self.token);
                let answer = request.send().await.unwrap().json::<Value>().await.unwrap();
                match answer["decisions"].as_array() {
                    Some(decisions) if !decisions.is_empty() => return decisions.clone(),
                    _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap()
    }
}

#[tokio::test]
async fn a_prank_blocks_neighbours_promote_and_a_genuine_verdict_repairs() {
    let site = Site::prepare("policy.file = \"policy.toml\"\n");
    fs::write(site.path("policy.toml"), "strikes.block_at = 1\n").unwrap();
    let mut site = site.start_serving().await;
    let siti = Operator::new(&site);
    let mut prankster = enrolled(&site, 1, "Budi", "2026-01");
    let receipt = press(&site, &mut prankster).await;
    assert_eq!((receipt.status, receipt.call), (Status::Received, None));
    let judged = siti.judge(&site, &id(&receipt), "prank").await;
    assert_eq!(judged["standing"]["state"], "blocked", "{judged}");

    // Enforced at the very next message, and after a restart.
    let held = press(&site, &mut prankster).await;
    assert_eq!(held.status, Status::Held);
    assert_eq!(held.call.unwrap().as_str(), "110");
    for (counter, counted) in [
        ("decisions_total{act=\"verdict\",actor=\"operator\",verdict=\"prank\"}", 1.0),
        ("decisions_total{act=\"block\",actor=\"strikes\",verdict=\"none\"}", 1.0),
        ("journaled_messages_total{disposition=\"paged\"}", 1.0),
        ("journaled_messages_total{disposition=\"held\"}", 1.0),
    ] {
        site.metric(&format!("gateway_{counter}"), |value| value == counted).await;
    }
    assert!(site.stop().await.success());
    site.start().await;
    site.metric("gateway_desk_entries{table=\"blocks\"}", |blocks| blocks == 1.0).await;
    let held_again = press(&site, &mut prankster).await;
    assert_eq!(held_again.status, Status::Held);

    // The same owner's other device and one on probation confirm nothing; two neighbours of two batches do.
    let mut own = enrolled(&site, 2, "Budi", "2026-02");
    let mut fresh = site.sender(3, Algorithm::EdDsa);
    site.enrol_as(&fresh, &["--owner", "Dewi", "--batch", "2026-03"]);
    let mut first = enrolled(&site, 4, "Agus", "2026-01");
    let mut second = enrolled(&site, 5, "Rina", "2026-02");
    for neighbour in [&mut own, &mut fresh, &mut first, &mut second] {
        assert_eq!(press(&site, neighbour).await.status, Status::Received);
    }
    let mut feed = site.events(ROOT).await;
    let promoted = feed.until(|kind, data| kind == "alert" && data["promoted"] == json!(true));
    let (before, promoted) = promoted.await;
    assert_eq!(promoted["page"], json!(true));
    let held_ids = [id(&held), id(&held_again)].map(Value::from);
    assert!(held_ids.contains(&promoted["alert_id"]), "{promoted}");
    let shown: Vec<_> = before.iter().filter(|(kind, _)| kind == "held").collect();
    assert_eq!(shown.len(), 2, "held presses are shown to operators");
    let paged = |data: &Value| data["page"] == json!(true) && held_ids.contains(&data["alert_id"]);
    assert!(!before.iter().any(|(_, data)| paged(data)), "not paged before others confirmed it");

    let judged = siti.judge(&site, &id(&held), "genuine").await;
    assert_ne!(judged["standing"]["state"], "blocked", "{judged}");
    assert_eq!(press(&site, &mut prankster).await.status, Status::Received);
}

#[tokio::test]
async fn presses_of_one_model_alone_are_told_as_one_notice() {
    let site = Site::prepare("policy.file = \"policy.toml\"\n");
    let surge = "[surge]\npresses = 10\nfleet_share_max = 49\n";
    fs::write(site.path("policy.toml"), surge).unwrap();
    let mut site = site.start_serving().await;
    let mut senders: Vec<_> = (1..=24).map(|n| site.enrolled(n, Algorithm::EdDsa)).collect();
    // The fleet that it knows from its start on.
    assert!(site.stop().await.success());
    site.start().await;
    let siti = Operator::new(&site);
    for button in &mut senders[..11] {
        let heartbeat = Message {
            firmware: Some("SOS-1 fw 2"),
            ..Message::new(Kind::Heartbeat, button.next_counters())
        };
        let receipt = site.client(&Options::default()).send(&button.sign(&heartbeat)).await;
        assert_eq!(receipt.unwrap().receipt.status, Status::Received);
    }
    for button in &mut senders[..11] {
        assert_eq!(press(&site, button).await.status, Status::Received);
    }
    for (counter, counted) in [
        ("journaled_messages_total{disposition=\"paged\"}", 9.0),
        ("journaled_messages_total{disposition=\"noticed\"}", 2.0),
        ("decisions_total{act=\"notice\",actor=\"surge\",verdict=\"none\"}", 1.0),
    ] {
        site.metric(&format!("gateway_{counter}"), |value| value == counted).await;
    }
    let audit = siti.audit(&site).await;
    let notice = audit.iter().find(|decision| decision["act"] == "notice").unwrap();
    assert_eq!(notice["notice"], json!({"alerts": 10, "model": "SOS-1 fw 2"}));
}
