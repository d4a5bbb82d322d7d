//! Whole runs against a gateway of a hundred lines: what it does wrong must be found, and what it does right not.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

mod fake;

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use device::{Key, Signer};
use fake::{Fake, Faults, REALM, TOKEN};
use loadtest::clock::Moment;
use loadtest::connections::{Mode, Target};
use loadtest::plan::{Plan, Press};
use loadtest::probe::{self, ProbeError};
use loadtest::report::json::{Report, Run, text};
use loadtest::run::{RunError, Setup, run};
use loadtest::slo::Slo;
use loadtest::subscriber::{FeedError, Source};
use loadtest::verdict::Verdict;
use protocol::{Algorithm, Counters, DeviceId, Message, Nonce};
use simulator::network::Network;

/// Limits that only a broken run misses, however busy the machine is.
const SLO: &str = "receipt_max = \"60s\"\nfeed_max = \"60s\"\nmissing = 0\nrefused = 0\n\
                   feed_missing = 0\nfeed_duplicates = 0\nfeed_unexpected = 0";
const DEVICE: DeviceId = DeviceId([3; 16]);

fn key() -> Key {
    Key::from_secret(Algorithm::EdDsa, &[5; 32]).unwrap()
}

/// `presses` presses, one every two milliseconds.
fn plan(presses: u32) -> Plan {
    let signer = Signer::new(REALM, DEVICE, key());
    let press = |number: u32| {
        let nonce = Nonce(u64::from(number).to_be_bytes());
        let signed = signer.sign(&Message::raise(Counters::new(1, number), nonce)).unwrap();
        Press {
            intended: Moment::after_start(Duration::from_millis(u64::from(number) * 2)),
            signed: signed.bytes().clone(),
            alert: signed.id().alert(),
            corrupted: false,
            turn: number,
            place: None,
        }
    };
    Plan::new((0..presses).map(press).collect())
}

fn good(plan: &Plan) -> HashSet<Bytes> {
    plan.presses().iter().map(|press| press.signed.clone()).collect()
}

fn setup(fake: &Fake, mode: Mode, folder: &tempfile::TempDir) -> Setup {
    Setup {
        target: Target {
            address: fake.alerts,
            name: "127.0.0.1".to_owned(),
            trust: fake.trust.clone(),
            zero_rtt: false,
            own_sockets: false,
            bare: false,
        },
        mode,
        source: Source { operator: fake.operator.clone(), token: TOKEN.to_owned() },
        probes: Vec::new(),
        audience: None,
        network: None,
        gateway: None,
        metrics: None,
        slo: Slo::parse(SLO).unwrap(),
        run: Run { scenario: "fake".to_owned(), speed: 1.0, ..Run::default() },
        folder: folder.path().to_owned(),
    }
}

async fn report(faults: Faults, mode: Mode, corrupt: f64) -> Report {
    report_through(None, faults, mode, corrupt).await
}

async fn report_through(
    network: Option<Network>,
    faults: Faults,
    mode: Mode,
    corrupt: f64,
) -> Report {
    let mut plan = plan(200);
    let fake = Fake::start(good(&plan), faults).await;
    plan.corrupt(corrupt, 9).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup { network, ..setup(&fake, mode, &folder) };
    run(plan, setup).await.unwrap().report
}

#[tokio::test]
async fn a_gateway_that_does_everything_right_passes_over_new_and_over_warm_connections() {
    for (mode, connections) in [(Mode::PerPress, 200), (Mode::Relay(4), 4)] {
        let report = report(Faults::default(), mode, 0.0).await;
        assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.reasons);
        assert_eq!((report.offered.sent, report.receipts.missing), (200, 0));
        assert_eq!((report.feed.delivered, report.feed.unexpected), (200, 0));
        assert_eq!(report.latency_us.receipt.count, 200);
        assert!(report.offered.new_connections >= connections, "{:?}", report.offered);
        assert!(report.conservation.balanced);
    }
}

#[tokio::test]
async fn spoiled_signatures_come_back_refused_and_exactly_those() {
    let report = report(Faults::default(), Mode::PerPress, 0.1).await;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.reasons);
    assert_eq!(report.receipts.refused_by_reason.get("unproven"), Some(&20));
    assert_eq!((report.corrupted.sent, report.corrupted.refused_unproven), (20, 20));
    assert_eq!((report.feed.expected, report.feed.delivered), (180, 180));
}

#[tokio::test]
async fn a_lost_receipt_is_made_good_by_the_resend() {
    let faults = Faults { lose_receipt_every: Some(50), ..Faults::default() };
    let report = report(faults, Mode::PerPress, 0.0).await;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.reasons);
    assert_eq!(report.receipts.missing, 0);
    assert!(report.receipts.duplicate >= 4, "{:?}", report.receipts);
    assert!(report.offered.resends >= 4, "{:?}", report.offered);
    assert!(report.latency_us.receipt.max >= Some(1_000_000), "{:?}", report.latency_us);
}

#[tokio::test]
async fn an_event_too_many_and_an_event_too_few_fail_the_run() {
    let twice = Faults { show_twice_every: Some(100), ..Faults::default() };
    let twice = report(twice, Mode::Relay(2), 0.0).await;
    assert_eq!((twice.verdict, twice.feed.duplicates), (Verdict::Fail, 2));
    let hidden = Faults { hide_every: Some(100), ..Faults::default() };
    let hidden = report(hidden, Mode::Relay(2), 0.0).await;
    assert_eq!((hidden.verdict, hidden.feed.missing), (Verdict::Fail, 2));
    assert!(!hidden.conservation.balanced);
}

#[tokio::test]
async fn says_before_any_load_what_is_wrong_with_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(HashSet::new(), Faults::default()).await;
    let stranger = probe::harmless(&Signer::new(REALM, DEVICE, key())).unwrap();

    let mut unenrolled = setup(&fake, Mode::PerPress, &folder);
    unenrolled.probes = vec![(DEVICE, stranger.clone())];
    let error = run(plan(1), unenrolled).await.unwrap_err();
    assert!(matches!(error, RunError::Probe(ProbeError::NotEnrolled(DEVICE))), "{error}");
    assert_eq!(error.exit_code(), 2);

    let mut token = setup(&fake, Mode::PerPress, &folder);
    token.source.token = "another".to_owned();
    let error = run(plan(1), token).await.unwrap_err();
    assert!(matches!(error, RunError::Probe(ProbeError::Feed(FeedError::Token(_)))), "{error}");
    assert_eq!(error.exit_code(), 2);

    let other = Fake::start(HashSet::new(), Faults::default()).await;
    let mut certificate = setup(&fake, Mode::PerPress, &folder);
    certificate.target.trust = other.trust.clone();
    certificate.probes = vec![(DEVICE, stranger)];
    let error = run(plan(1), certificate).await.unwrap_err();
    assert!(matches!(error, RunError::Probe(ProbeError::Certificate(_))), "{error}");
    assert_eq!(error.exit_code(), 4);

    let mut nobody = setup(&fake, Mode::PerPress, &folder);
    nobody.source.operator = "http://127.0.0.1:1".to_owned();
    let error = run(plan(1), nobody).await.unwrap_err();
    assert!(
        matches!(error, RunError::Probe(ProbeError::Feed(FeedError::Unreachable(_)))),
        "{error}"
    );
    assert_eq!(error.exit_code(), 4);
}

#[tokio::test]
async fn presses_cross_a_network_that_loses_and_delays_and_each_is_received_once() {
    let text = "title = \"Rough\"\n[up]\ndelay = \"20ms\"\njitter = \"5ms\"\nloss_good = 0.03\nduplicate = 0.05\n\
                [down]\ndelay = \"20ms\"\nloss_good = 0.03\n";
    let network = Network::parse("rough", text).unwrap();
    let report = report_through(Some(network), Faults::default(), Mode::PerPress, 0.0).await;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.reasons);
    let crossed = report.network.clone().unwrap();
    assert_eq!((crossed.name.as_str(), crossed.title.as_str()), ("rough", "Rough"));
    let (up, down, mappings) = (crossed.quic.up, crossed.quic.down, crossed.quic.mappings);
    // A phone each, and each has a connection of its own.
    assert!(mappings.opened >= 200, "{mappings:?}");
    assert!(up.lost > 0 && down.lost > 0 && up.duplicated > 0, "{crossed:?}");
    assert!(up.is_balanced() && down.is_balanced(), "{crossed:?}");
    // A handshake and a receipt are two round trips.
    assert!(report.latency_us.receipt.p50.unwrap() >= 70_000, "{:?}", report.latency_us.receipt);
    assert!(report.warnings.iter().any(|doubt| doubt.warning.contains("network rough")));
    let table = loadtest::report::table::text(&report);
    assert!(table.contains("network  Rough, seed"), "{table}");
}

#[tokio::test]
async fn the_report_has_every_field_that_outside_programs_rely_on() {
    let report = report(Faults::default(), Mode::PerPress, 0.5).await;
    let json: serde_json::Value = serde_json::from_str(&text(&report).unwrap()).unwrap();
    let fields = [
        "/schema_version",
        "/verdict",
        "/reasons",
        "/run/seed",
        "/run/scenario",
        "/run/timeline_sha256",
        "/run/duration_s",
        "/run/speed",
        "/run/commit",
        "/machine/cpu",
        "/machine/cores",
        "/machine/kernel",
        "/machine/fsync_us/p50",
        "/machine/fsync_us/p99",
        "/offered/planned",
        "/offered/sent",
        "/offered/peak_per_s",
        "/offered/new_connections",
        "/receipts/received",
        "/receipts/duplicate",
        "/receipts/held",
        "/receipts/refused",
        "/receipts/missing",
        "/receipts/refused_by_reason/unproven",
        "/feed/expected",
        "/feed/delivered",
        "/feed/duplicates",
        "/feed/missing",
        "/feed/unexpected",
        "/latency_us/receipt/count",
        "/latency_us/receipt/p50",
        "/latency_us/feed/p90",
        "/latency_us/feed/p99",
        "/latency_us/receipt_naive/p999",
        "/latency_us/receipt_naive/max",
        "/generator/lag_us/p99",
        "/generator/lag_us/max",
        "/generator/cpu_s",
        "/gateway/cpu_s",
        "/gateway/rss_bytes_max",
        "/conservation/balanced",
        "/slo/0/name",
        "/slo/0/limit",
        "/slo/0/measured",
        "/slo/0/ok",
        "/bounds/0/name",
        "/bounds/0/measured",
        "/bounds/0/bound",
        "/bounds/0/ratio",
        "/warnings",
    ];
    for field in fields {
        assert!(json.pointer(field).is_some(), "{field} is missing in {json:#}");
    }
    for unmeasured in ["/gateway/cpu_s", "/gateway/rss_bytes_max"] {
        assert!(json.pointer(unmeasured).unwrap().is_null(), "{unmeasured}");
    }
    assert!(json.pointer("/latency_us/feed/p99").unwrap().is_u64());
}
