//! What operators do, from the command line to the disk: a real gateway with TLS on its operators' address, a device that
//! presses, and `gateway ctl`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where its setup fails"
)]

#[path = "press/operator.rs"]
mod operator;
#[path = "press/site.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod site;

use std::fs;

use device::{Delivered, Options};
use operator::{Operator, ROOT};
use protocol::{Algorithm, Message, Nonce, Position, Status};
use serde_json::Value;
use site::{Sender, Site};

/// A gateway with a certificate of its own for operators.
async fn serve() -> Site {
    let site = Site::prepare(
        "operator.certificate = \"operator.pem\"\noperator.private_key = \"operator.key\"\n",
    );
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::write(site.path("operator.pem"), made.cert.pem()).unwrap();
    fs::write(site.path("operator.key"), made.signing_key.serialize_pem()).unwrap();
    site.start_serving().await
}

/// An operator who believes that certificate.
fn operator<'a>(site: &'a Site, name: &str, role: &str) -> Operator<'a> {
    Operator { ca: Some("operator.pem"), ..Operator::add(site, name, role) }
}

async fn press(site: &Site, sender: &mut Sender) -> (String, Status) {
    let counters = sender.next_counters();
    let signed = sender.sign(&Message {
        position: Position::new(-79_770_000, 1_126_300_000),
        ..Message::raise(counters, Nonce([counters.sequence.0.to_be_bytes()[3]; 8]))
    });
    let client = site.client(&Options::default());
    let Delivered { receipt, .. } = client.send(&signed).await.unwrap();
    (receipt.alert.unwrap().to_string(), receipt.status)
}

#[tokio::test]
async fn operators_judge_block_and_unblock_from_the_command_line() {
    let site = serve().await;
    let hadi = operator(&site, "hadi", "supervisor");
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    let device = sender.id.to_string();
    let (alert, status) = press(&site, &mut sender).await;
    assert_eq!(status, Status::Received);

    let found = |answer: &Value| answer["alerts"][0]["alert_id"] == alert.as_str();
    let alerts = hadi.wait(&["alerts", "--zone", ROOT], found).await;
    assert_eq!(alerts["alerts"][0]["state"], "paged");
    let judged = hadi.ctl(&["verdict", &alert, "prank", "--reason", "laughed"]).unwrap();
    assert_eq!(judged["standing"]["strikes"][0]["alert_id"], alert.as_str());

    let blocked = hadi.ctl(&["block", &device, "--for", "1h", "--reason", "again"]).unwrap();
    assert_eq!(blocked["standing"]["state"], "blocked");
    let (held, status) = press(&site, &mut sender).await;
    assert_eq!(status, Status::Held);
    let found = |answer: &Value| answer["alerts"][0]["alert_id"] == held.as_str();
    hadi.wait(&["alerts", "--state", "held", "--device", &device], found).await;

    hadi.ctl(&["appeal", &device, "--reason", "the owner came by"]).unwrap();
    let lifted = hadi.ctl(&["unblock", &device, "--reason", "believed"]).unwrap();
    assert_ne!(lifted["standing"]["state"], "blocked");
    let acts = |answer: &Value| -> Vec<String> {
        let decisions = answer["decisions"].as_array().unwrap().iter();
        decisions.map(|it| it["act"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["unblock", "appeal", "block", "verdict"];
    hadi.wait(&["audit", "--device", &device, "--by", "hadi"], |answer| acts(answer) == all).await;
    let shown = hadi.wait(&["alert", &alert], |answer| answer["verdict"] == "prank").await;
    assert_eq!(shown["decisions"][0]["reason"], "laughed");
    let counted = hadi.ctl(&["live"]).unwrap();
    assert!(counted["metrics"]["gateway_receipts_total"].is_array(), "{counted}");
}

#[tokio::test]
async fn what_is_refused_is_said_with_what_to_do() {
    let site = serve().await;
    let rina = operator(&site, "rina", "read-only");
    rina.wait(&["alerts"], |answer| answer["alerts"].is_array()).await;
    let id = "ab".repeat(16);
    let said = rina.ctl(&["verdict", &id, "prank"]).unwrap_err();
    assert!(said.contains("this role may not"), "{said}");
    let said = rina.ctl(&["alert", &id]).unwrap_err();
    assert!(said.contains("unknown alert") && said.contains("look for it"), "{said}");
    let said = rina.ctl(&["alerts", "--limit", "1000"]).unwrap_err();
    assert!(said.contains("write 1 to 200"), "{said}");
    // The gateway's other certificate is not the operators'.
    let wrong = Operator { ca: Some(site.ready("cert")), ..rina }.output(&["alerts"]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    let nobody = Operator { token: "mistyped".to_owned(), ..operator(&site, "nobody", "sre") };
    let said = nobody.ctl(&["live"]).unwrap_err();
    assert!(said.contains("unknown token"), "{said}");
}
