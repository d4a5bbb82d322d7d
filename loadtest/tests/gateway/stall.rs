//! The real gateway, stopped for three seconds under load: the latency that counts must show it, and the naive one
//! beside it is there to show why.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use super::real::Gateway;
use rustix::process::Signal;
use serde_json::Value;

/// A steady 200 presses a second for twenty seconds: a hundredth of the rate of `warm-relays`.
const PRESSES: u32 = 4_000;
const SPEED: &str = "0.01";
/// The gateway is stopped when so many were sent.
const SENT_BEFORE: u64 = 1_000;
const STALL: Duration = Duration::from_secs(3);
/// Limits that only a broken run misses, however busy the machine is.
const SLO: &str = "receipt_max = \"60s\"\nmissing = 0\nfeed_missing = 0\nfeed_duplicates = 0\nfeed_unexpected = 0\n";

#[test]
fn a_gateway_that_stalls_shows_in_the_corrected_latency_and_not_in_the_naive_one() {
    let gateway = Gateway::start("warm-relays", 500, PRESSES, 3);
    std::fs::write(gateway.at("slo.toml"), SLO).unwrap();
    let mut load = gateway.loadtest("warm-relays", 3);
    load.args(["--speed", SPEED, "--connections", "per-press", "--slo"])
        .arg(gateway.at("slo.toml"));
    let mut load = load.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = wait_until_sent(&mut load, SENT_BEFORE);
    gateway.signal(Signal::STOP);
    thread::sleep(STALL);
    gateway.signal(Signal::CONT);
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    let status = load.wait().unwrap();
    assert!(status.success(), "{status}: {rest:#?}");

    let report = std::fs::read_to_string(gateway.at("report/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let us = |path: &str| {
        report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {report:#}"))
    };
    // 600 of 4,000 presses fell into the stall, so one in a hundred waited for nearly all of it.
    let corrected = us("/latency_us/receipt/p99");
    assert!(corrected > 2_500_000, "corrected p99 is {corrected} us");
    let naive = us("/latency_us/receipt_naive/p99");
    assert!(naive < corrected / 2, "naive p99 is {naive} us, corrected {corrected} us");
    assert!(us("/latency_us/feed/p99") > 2_500_000);
    // A stall costs time and resends, and no press.
    assert!(us("/offered/resends") > 0);
    assert_eq!(us("/receipts/received") + us("/receipts/duplicate"), u64::from(PRESSES));
    assert_eq!(us("/feed/delivered"), u64::from(PRESSES));
    assert_eq!(report.pointer("/conservation/balanced"), Some(&Value::Bool(true)), "{report:#}");
}

/// Reads the progress lines until so many presses were sent; returns what follows.
fn wait_until_sent(
    load: &mut Child,
    sent: u64,
) -> impl Iterator<Item = std::io::Result<String>> + use<> {
    let mut lines = BufReader::new(load.stderr.take().unwrap()).lines();
    let mut before = Vec::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let count =
            words.iter().position(|word| *word == "sent").and_then(|place| words.get(place + 1));
        if count.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count >= sent) {
            return lines;
        }
        before.push(line);
    }
    panic!("the load ended early: {before:#?}");
}
