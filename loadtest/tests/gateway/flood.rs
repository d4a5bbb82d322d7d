//! Strangers at the real gateway: what they get back, and what they cost others.

use std::process::Stdio;

use super::real::Gateway;
use serde_json::Value;

/// Limits that only a broken run misses, however busy the machine is.
const SLO: &str = "receipt_max = \"60s\"\nmissing = 0\nrefused = 0\n";

fn found(output: &std::process::Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    summary["found"].clone()
}

#[test]
fn no_stranger_gets_more_than_promised() {
    let gateway = Gateway::start("quake-malang", 10, 10, 5);
    for (kind, allowed) in [("initials", 3), ("malformed", 1), ("garbage", 1)] {
        let mut flood = gateway.flood(kind);
        flood.args(["--rate", "1000", "--duration", "2s", "--addresses", "200"]);
        let found = found(&flood.output().unwrap());
        assert_eq!(found["within_bounds"], Value::Bool(true), "{kind}: {found:#}");
        assert_eq!(found["amplification_allowed"].as_u64(), Some(allowed));
        assert!(found["sent"]["datagrams"].as_u64() > Some(0), "{kind}: {found:#}");
        if kind != "garbage" {
            assert!(found["returned"]["datagrams"].as_u64() > Some(0), "{kind}: {found:#}");
        }
    }
}

#[test]
fn no_bad_signature_is_accepted() {
    let gateway = Gateway::start("quake-malang", 10, 10, 5);
    let mut flood = gateway.flood("bad-signatures");
    flood.args(["--rate", "200", "--duration", "1s", "--addresses", "10"]);
    let proofs = found(&flood.output().unwrap())["proofs"].clone();
    assert_eq!(proofs["accepted"].as_u64(), Some(0));
    assert!(proofs["refused"].as_u64() > Some(0), "{proofs:#}");
}

#[test]
fn a_flood_at_another_machine_is_refused() {
    let mut flood = super::real::loadtest();
    flood.args(["flood", "--gateway", "192.0.2.1:4433", "--kind", "garbage"]);
    flood.args(["--rate", "1", "--duration", "1s"]);
    let output = flood.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("only to an IPv4 loopback address"), "{said}");
}

#[test]
fn every_press_is_received_while_strangers_flood() {
    let gateway = Gateway::start("quake-malang", 300, 300, 5);
    std::fs::write(gateway.at("slo.toml"), SLO).unwrap();
    let floods = [
        ("initials", "500", "400", "127.64.0.1"),
        ("garbage", "500", "100", "127.64.0.1"),
        ("malformed", "100", "50", "127.64.0.1"),
        // The address that every press comes from: a carrier's, with a flooder among the phones.
        ("initials", "200", "1", "127.0.0.1"),
        ("bad-signatures", "50", "1", "127.0.0.1"),
    ];
    let floods = floods.map(|(kind, rate, addresses, from)| {
        let mut flood = gateway.flood(kind);
        flood.args(["--rate", rate, "--duration", "10s", "--addresses", addresses, "--from", from]);
        flood.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let mut load = gateway.loadtest("quake-malang", 5);
    load.args(["--speed", "60", "--connections", "per-press", "--slo"]);
    let output = load.arg(gateway.at("slo.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report = std::fs::read_to_string(gateway.at("report/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let count = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let received = count("/receipts/received") + count("/receipts/duplicate");
    assert_eq!(received, 300, "{report:#}");
    assert_eq!(report.pointer("/conservation/balanced"), Some(&Value::Bool(true)), "{report:#}");
    for flood in floods {
        let found = found(&flood.wait_with_output().unwrap());
        let harmless = found["within_bounds"] == true || found["proofs"]["accepted"] == 0;
        assert!(harmless, "{found:#}");
    }
}
