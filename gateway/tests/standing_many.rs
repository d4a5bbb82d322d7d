//! Many devices with a standing each: the gateway starts, knows them all, and how long that took and what it takes in
//! memory is printed, not judged.
//! `STANDING_DEVICES=2000000 cargo test --release -p gateway --test standing_many -- --nocapture` measures two million.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use device::Key;
use gateway::clock;
use gateway::config::JournalConfig;
use gateway::journal::Journal;
use gateway::search::Index;
use pipeline::{
    Act, Actor, Cursor, Decision, Entry, Span, Standing, Strike, Time, Verdict, ZoneId,
};
use protocol::{AlertId, Algorithm, DeviceId};

#[path = "press/site.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod site;

use site::Site;

/// Devices where the environment asks for no other number.
const COUNT: u32 = 2_000;
/// Decisions in one commit.
const AT_ONCE: usize = 8_192;

fn count() -> u32 {
    std::env::var("STANDING_DEVICES").map_or(COUNT, |count| count.parse().unwrap())
}

fn device(number: u32) -> DeviceId {
    let id = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    DeviceId(id.to_be_bytes())
}

/// An owner with two devices, a batch with ten thousand.
fn enrol(data: &Path) {
    let public = Key::generate(Algorithm::Es256).unwrap().public_hex();
    let mut csv = String::from("device_id,alg,public_key,label,owner,batch\n");
    for number in 0..count() {
        let (owner, batch) = (number / 2, number / 10_000);
        csv += &format!("{},es256,{public},,Owner {owner},batch-{batch}\n", device(number));
    }
    fs::write(data.join("devices.csv"), csv).unwrap();
}

/// A verdict of prank on a press of each device, two of its three strikes.
fn decision(number: u32, now: Time) -> Decision {
    let alert = AlertId(device(number).0);
    let strikes = [2, 1].map(|days| Strike { at: now - Span::from_secs(days * 86_400), alert });
    let cursor = Cursor(u64::from(number) + 1);
    Decision {
        cursor,
        decided_at: now - Span::from_secs(86_400),
        actor: Actor::Operator(Arc::from("siti")),
        act: Act::Verdict(Verdict::Prank),
        device: Some(device(number)),
        alert: Some((alert, cursor)),
        zone: ZoneId::new("polsek-klojen"),
        reason: None,
        evidence: vec![],
        standing: Some(Standing { strikes: strikes.into(), ..Standing::default() }),
        raise: None,
        place: None,
    }
}

fn judge(data: &Path) {
    let now = clock::now();
    let mut journal = Journal::open(&data.join("journal.db"), &JournalConfig::default()).unwrap();
    let mut index = Index::open(&data.join("search.db"), Cursor(0)).unwrap();
    let mut entries = vec![];
    for number in 0..count() {
        entries.push(Entry::from(decision(number, now)));
        if entries.len() == AT_ONCE || number + 1 == count() {
            journal.append(&entries).unwrap();
            index.add(&entries).unwrap();
            entries.clear();
        }
    }
}

fn resident(pid: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn every_standing_is_known_after_a_start() {
    let mut site = Site::prepare("");
    site.start().await;
    let empty = resident(site.pid());
    assert!(site.stop().await.success());
    let data = site.path("data");
    enrol(&data);
    let _report = site.run(&["device", "import", "data/devices.csv"]);
    fs::remove_file(data.join("journal.db")).unwrap();
    fs::remove_file(data.join("search.db")).unwrap();
    judge(&data);
    let started = clock::monotonic();
    site.start().await;
    let seconds = started.elapsed().as_secs_f64();
    let each = resident(site.pid()).saturating_sub(empty) / u64::from(count());
    println!("{} devices: serving after {seconds:.1} s, {each} bytes each in all", count());
}
