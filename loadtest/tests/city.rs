//! A small earthquake from population to report: what a person finds in the folder afterwards.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

mod fake;

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use fake::{Fake, Faults, REALM, TOKEN};
use loadtest::city::{City, CityError};
use loadtest::cli::CityArgs;
use loadtest::connections::Target;
use loadtest::report::json::Run;
use loadtest::report::{self, table};
use loadtest::run::{Finished, Setup, run};
use loadtest::slo::Slo;
use loadtest::subscriber::Source;
use loadtest::verdict::Verdict;
use protocol::{Envelope, Kind, Message};
use simulator::{Overrides, Population, Scenario, Seed};

/// Eight minutes of earthquake in five seconds.
const SPEED: f64 = 100.0;
const PRESSES: u32 = 1_500;

fn population(folder: &Path) -> CityArgs {
    let scenario = Scenario::load("quake-malang").unwrap();
    let size = Overrides { devices: Some(2_000), presses: Some(PRESSES) };
    let population = Population::generate(&scenario.resized(size).unwrap(), Seed(7));
    population.write(folder).unwrap();
    CityArgs {
        scenario: "quake-malang".to_owned(),
        seed: 7,
        population: folder.to_owned(),
        realm: REALM,
        presses: None,
    }
}

async fn quake(folder: &Path) -> (City, Finished) {
    let args = population(&folder.join("population"));
    let mut city =
        City::prepare(&args, SPEED, UNIX_EPOCH + Duration::from_secs(1_800_000_000)).unwrap();
    let good = city.plan.presses().iter().map(|press| press.signed.clone()).collect();
    let fake =
        Fake::start(good, Faults { lose_receipt_every: Some(400), ..Faults::default() }).await;
    city.plan.corrupt(0.02, 7).unwrap();
    let setup = Setup {
        target: Target {
            address: fake.alerts,
            name: "127.0.0.1".to_owned(),
            trust: fake.trust.clone(),
            zero_rtt: false,
            own_sockets: false,
            bare: false,
        },
        mode: city.mode,
        source: Source { operator: fake.operator.clone(), token: TOKEN.to_owned() },
        probes: Vec::new(),
        audience: None,
        network: None,
        gateway: None,
        metrics: None,
        slo: Slo::parse("receipt_p99 = \"60s\"\nfeed_p99 = \"60s\"\nmissing = 0\nfeed_missing = 0")
            .unwrap(),
        run: Run {
            label: Some("a small <earthquake> & its report".to_owned()),
            scenario: city.scenario.clone(),
            seed: 7,
            speed: SPEED,
            timeline_sha256: city.timeline_sha256.clone(),
            connections: city.mode.to_string(),
            ..Run::default()
        },
        folder: folder.to_owned(),
    };
    let plan = std::mem::take(&mut city.plan);
    let finished = run(plan, setup).await.unwrap();
    (city, finished)
}

#[tokio::test]
async fn an_earthquake_leaves_a_report_that_needs_nothing_but_itself() {
    let kept = std::env::var_os("KEEP_REPORT").map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let folder = kept.as_deref().unwrap_or(temporary.path());
    let (city, finished) = quake(folder).await;
    let report = &finished.report;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.reasons);
    assert_eq!(report.corrupted.refused_unproven, u64::from(PRESSES) / 50);
    assert_eq!(report.feed.delivered, u64::from(PRESSES) - u64::from(PRESSES) / 50);

    let source = report::Source {
        report,
        recording: &finished.recording,
        outcomes: &finished.outcomes,
        map: &city.map,
        clock: &finished.clock,
    };
    report::write(folder, source).unwrap();
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    for outside in ["http://", "https://", "src=", "@import", "<script", "url("] {
        assert!(!page.contains(outside), "the page reaches out: {outside}");
    }
    for part in
        ["PASS", "Latency by percentile", "Where they pressed", "Blimbing", &city.timeline_sha256]
    {
        assert!(page.to_uppercase().contains(&part.to_uppercase()), "{part} is missing");
    }
    assert!(page.contains("a small &lt;earthquake&gt; &amp; its report"));
    let log = std::fs::read_to_string(folder.join("latency.hlog")).unwrap();
    assert!(log.lines().filter(|line| line.starts_with("Tag=receipt,")).count() >= 4);
    let table = table::text(report);
    assert!(table.contains("refused as unproven: 30") && table.ends_with("PASS\n"), "{table}");
}

#[test]
fn one_seed_gives_one_timeline_and_each_run_new_presses() {
    let folder = tempfile::tempdir().unwrap();
    let args = population(folder.path());
    let prepare =
        |seconds| City::prepare(&args, 1.0, UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    let (first, second) = (prepare(1_800_000_000), prepare(1_800_000_060));
    assert_eq!(first.timeline_sha256, second.timeline_sha256);
    assert_eq!(first.plan.presses().len(), usize::try_from(PRESSES).unwrap());
    for (one, other) in first.plan.presses().iter().zip(second.plan.presses()) {
        assert_eq!((one.intended, one.place), (other.intended, other.place));
        assert_ne!(one.alert, other.alert);
    }
}

#[test]
fn a_population_of_another_seed_or_too_small_is_refused_before_anything_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let args = population(folder.path());
    let refused = |args: &CityArgs| City::prepare(args, 1.0, UNIX_EPOCH).unwrap_err();
    let another = refused(&CityArgs { seed: 8, ..args.clone() });
    assert!(matches!(another, CityError::Another { seed: 7, .. }), "{another}");
    let more = refused(&CityArgs { presses: Some(PRESSES + 1), ..args });
    assert!(matches!(more, CityError::TooMany { .. }), "{more}");
}

#[test]
fn a_crowd_presses_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let args = population(folder.path());
    let crowd = City::crowd(&args, 5_000, 0.5, UNIX_EPOCH).unwrap();
    let turns: Vec<_> = crowd.presses().iter().map(|press| press.turn).collect();
    let expected: Vec<_> = (0..5_000).map(|number| number % 2_000).collect();
    assert_eq!(turns, expected);
    assert_eq!(crowd.alerts().len(), 5_000);
    // A first press, its repeat, an update of the first.
    let message = |number: usize| {
        let envelope = Envelope::parse(&crowd.presses()[number].signed).unwrap();
        let (message, _) = Message::decode(envelope.message).unwrap();
        (message.kind, message.alert)
    };
    let first = crowd.presses()[7].alert;
    assert_eq!(message(7), (Kind::Raise, None));
    assert_eq!(message(2_007), (Kind::Raise, None));
    assert_eq!(message(4_007), (Kind::Update, Some(first)));
    let none = City::crowd(&args, 1, 1.5, UNIX_EPOCH).unwrap_err();
    assert!(matches!(none, CityError::Updates(_)), "{none}");
}
