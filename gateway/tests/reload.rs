//! What changes, or breaks, while the real `gateway` serves: zones, policy and routing, a damaged index.
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
use protocol::{Algorithm, Position, Status};
use site::Site;

const ZONES: &str = include_str!("../../config/zones/malang.geojson");

#[tokio::test]
async fn a_reload_that_loses_a_zone_is_not_taken() {
    let site = Site::prepare("zones.file = \"zones.geojson\"\n");
    fs::write(site.path("zones.geojson"), ZONES).unwrap();
    let site = site.start_serving().await;
    let mut feed = site.feed("polsek-klojen").await;
    let renamed = ZONES.replace("\"polsek-klojen\"", "\"polsek-baru\"");
    assert_ne!(renamed, ZONES);
    fs::write(site.path("zones.geojson"), renamed).unwrap();
    site.hang_up();
    site.logged("zones were not reloaded: this one is gone").await;
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    let press = sender.press(Position::new(-79_770_000, 1_126_300_000));
    let client = site.client(&Options::default());
    assert_eq!(client.send(&press).await.unwrap().receipt.status, Status::Received);
    assert_eq!(feed.next().await["zone"], "polsek-klojen");
}

#[tokio::test]
async fn a_changed_policy_is_taken_whole_or_not_at_all() {
    let site = Site::prepare("policy.file = \"policy.toml\"\npolicy.poll_interval = \"10ms\"\n");
    fs::write(site.path("policy.toml"), "").unwrap();
    let site = site.start_serving().await;
    fs::write(site.path("policy.toml"), "[strikes]\nblock_at = 0\nwindow = \"5d\"\n").unwrap();
    site.logged("the policy was not reloaded; the old one stays").await;
    assert!(!site.log().contains("policy changed"), "nothing of it is taken: {}", site.log());
    fs::write(site.path("policy.toml"), "[strikes]\nblock_at = 4\n").unwrap();
    site.logged("strikes.block_at: 3 -> 4").await;
    site.hang_up();
    site.logged("policy read again; nothing changed").await;
}

#[tokio::test]
async fn a_changed_routing_is_taken_whole_or_not_at_all() {
    let site = Site::prepare("routing.file = \"routing.toml\"\nrouting.poll_interval = \"10ms\"\n");
    fs::write(site.path("routing.toml"), "").unwrap();
    let site = site.start_serving().await;
    let rule = "[[escalation.rule]]\nzone = \"polsek-klojn\"\nafter = \"20s\"\n";
    fs::write(site.path("routing.toml"), format!("border_m = 50\n{rule}")).unwrap();
    site.logged("the routing was not reloaded; the old one stays").await;
    site.logged("did you mean polsek-klojen?").await;
    assert!(!site.log().contains("routing changed"), "nothing of it is taken: {}", site.log());
    fs::write(site.path("routing.toml"), "border_m = 50\n").unwrap();
    site.logged("border_m: 100 -> 50").await;
    site.hang_up();
    site.logged("routing read again; nothing changed").await;
}

#[tokio::test]
async fn a_damaged_index_ends_the_gateway_and_is_built_again() {
    let mut site = Site::prepare("search.batch_wait = \"1ms\"\n").start_serving().await;
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    let first = sender.press(None);
    let client = site.client(&Options::default());
    assert_eq!(client.send(&first).await.unwrap().receipt.status, Status::Received);
    // The table's root is said to lie behind the end of the file, as after a torn write.
    let damage = rusqlite::Connection::open(site.ready("search")).unwrap();
    damage.pragma_update(None, "writable_schema", true).unwrap();
    damage.execute("UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'entries'", []).unwrap();
    damage.execute_batch("PRAGMA schema_version = 4711").unwrap();
    drop(damage);
    let second = sender.press(None);
    let (sending, pressed) = (client.clone(), second.clone());
    let sending = tokio::spawn(async move { sending.send(&pressed).await });
    let ended = site.ended().await;
    // The gateway may have ended before it answered.
    sending.abort();
    assert_eq!(ended.code(), Some(1), "{}", site.log());
    assert!(site.log().contains("the next start builds it again"), "{}", site.log());

    site.start().await;
    let client = site.client(&Options::default());
    assert_eq!(client.send(&first).await.unwrap().receipt.status, Status::Duplicate);
    let late = client.send(&second).await.unwrap().receipt.status;
    assert!(matches!(late, Status::Received | Status::Duplicate), "{late:?}");
}
