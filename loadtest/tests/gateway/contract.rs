//! Runs against the real gateway: what the two programs promise each other.

use super::real::Gateway;
use serde_json::Value;

const SLO: &str = "receipt_max = \"60s\"\nmissing = 0\nrefused = 0\nfeed_missing = 0\nfeed_duplicates = 0\nfeed_unexpected = 0\n";

#[test]
fn the_gateway_refuses_exactly_the_spoiled_presses_of_an_earthquake_and_shows_all_others() {
    let gateway = Gateway::start("quake-malang", 2_000, 1_000, 5);
    std::fs::write(gateway.at("slo.toml"), SLO).unwrap();
    let mut load = gateway.loadtest("quake-malang", 5);
    load.args(["--speed", "50", "--corrupt", "0.05", "--slo"]).arg(gateway.at("slo.toml"));
    let output = load.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report = std::fs::read_to_string(gateway.at("report/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let count = |path: &str| {
        report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {report:#}"))
    };
    assert_eq!(count("/receipts/refused_by_reason/unproven"), 50);
    assert_eq!(count("/feed/delivered"), 950);
    assert!(count("/gateway/rss_bytes_max") > 0);
    assert_eq!(report.pointer("/conservation/balanced"), Some(&Value::Bool(true)), "{report:#}");
}

#[test]
fn a_wrong_realm_and_a_wrong_address_are_said_before_any_load() {
    let gateway = Gateway::start("quake-malang", 10, 10, 5);
    std::fs::write(gateway.at("slo.toml"), SLO).unwrap();
    let ends_with = |option: &str, value: &str| {
        let mut load = gateway.loadtest("quake-malang", 5);
        let arguments: Vec<_> = load.get_args().map(ToOwned::to_owned).collect();
        let place = arguments.iter().position(|argument| argument == option).unwrap();
        load = std::process::Command::new(load.get_program());
        load.args(&arguments[..=place]).arg(value).args(&arguments[place + 2..]);
        load.arg("--slo").arg(gateway.at("slo.toml"));
        let output = load.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = ends_with("--realm", "00000000000000000000000000000000");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("does not accept device"), "{said}");
    let (code, said) = ends_with("--operator", "127.0.0.1:1");
    assert_eq!(code, Some(4), "{said}");
    let (code, said) = ends_with("--token", "stranger");
    assert_eq!(code, Some(2), "{said}");
    assert!(!gateway.at("report/report.json").exists());
}

#[test]
fn every_press_crosses_a_slow_network_and_is_received_and_shown_once() {
    let gateway = Gateway::start("first-presses", 100, 100, 5);
    std::fs::write(gateway.at("slo.toml"), SLO).unwrap();
    let through = |network: &str| {
        let mut load = gateway.loadtest("first-presses", 5);
        load.args(["--network", network, "--slo"]).arg(gateway.at("slo.toml"));
        load.output().unwrap()
    };
    let unknown = through("5g");
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(2), "{said}");
    assert!(said.contains("no network \"5g\""), "{said}");
    let output = through("edge");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report = std::fs::read_to_string(gateway.at("report/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let count = |path: &str| {
        report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {report:#}"))
    };
    assert_eq!((count("/feed/delivered"), count("/receipts/missing")), (100, 0));
    assert_eq!(report.pointer("/network/name"), Some(&Value::from("edge")));
    // Two round trips of 840 ms, less what jitter may take away.
    assert!(count("/latency_us/receipt/p50") >= 1_500_000);
    assert!(count("/network/quic/mappings/opened") >= 100);
}
