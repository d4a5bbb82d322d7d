use super::*;

fn problems(text: &str) -> Vec<String> {
    match Scenario::parse("test", text) {
        Err(ScenarioError::Wrong { problems, .. }) => {
            problems.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn shipped_scenarios_are_loaded_by_name() {
    for name in Scenario::shipped() {
        let scenario = Scenario::load(name).unwrap();
        assert_eq!(scenario.name(), name);
    }
    let quake = Scenario::load("quake-malang").unwrap();
    assert_eq!((quake.devices(), quake.presses()), (120_000, 60_000));
    assert_eq!(quake.connections(), Connections::PerPress);
    let relays = Scenario::load("warm-relays").unwrap();
    assert_eq!(relays.presses(), 400_000);
    assert_eq!(relays.connections(), Connections::Relay { relays: 64 });
}

#[test]
fn any_other_scenario_is_loaded_by_path_and_named_after_its_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/scenarios/quiet-day.toml");
    assert_eq!(Scenario::load(path).unwrap().name(), "quiet-day");
    let error = Scenario::load("nowhere").unwrap_err().to_string();
    assert!(error.starts_with("no scenario \"nowhere\": it is not one of quiet-day"), "{error}");
}

#[test]
fn day_becomes_two_multipliers_that_give_back_its_dispersion() {
    let quiet = Scenario::load("quiet-day").unwrap();
    let Shape::Day { variance_10min, variance_60min, .. } = quiet.shape() else { unreachable!() };
    let (a, b) = (variance_10min, variance_60min);
    let (mean_10min, mean_60min) = (400.0 / 144.0, 400.0 / 24.0);
    assert!((1.0 + mean_10min * (a + b + a * b) - 1.5).abs() < 1e-9);
    assert!((1.0 + mean_60min * (b + a * (1.0 + b) / 6.0) - 2.1).abs() < 1e-9);
}

#[test]
fn reports_every_problem_at_once_with_its_path() {
    let text = r#"
        titel = "typing error"
        [population]
        devices = "many"
        buttons = 5
        [population.people]
        polsek-klojen = 1
        polsek-atlantis = 2
        [presses]
        count = 10
        colour = "red"
        [presses.onset]
        median = "70 parsecs"
        sigma = -1
        until = 8
        [categories]
        earthquake = 1
        [habits]
        silent = 1.5
        [habits.methods]
        gnss = 0
        [connections]
        mode = "pigeon"
    "#;
    let expected = [
        "categories.earthquake: is not known: use unspecified, crime, violence_at_home, medical, \
         fire, traffic, disaster, unrest, explosive",
        "categories: must give something a weight above 0",
        "connections.mode: \"pigeon\" is not known: use per_press or relay",
        "habits.methods: must give something a weight above 0",
        "habits.silent: must be a number from 0 to 1",
        "population.devices: must be a whole number from 1 to 4000000",
        "population.people.polsek-atlantis: is not known: use polsek-blimbing, polsek-klojen, \
         polsek-kedungkandang, polsek-sukun, polsek-lowokwaru",
        "presses.colour: is not a key of scenarios: correct or remove it",
        "presses.onset.median: \"70 parsecs\" is not a length of time such as \"8m\"",
        "presses.onset.sigma: must be a number from 0.01 to 4",
        "presses.onset.until: must be a length of time in quotes, such as \"8m\"",
        "titel: is not a key of scenarios: correct or remove it",
        "title: is missing",
    ];
    let mut listed = problems(text);
    listed.sort();
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(listed, expected);
}

#[test]
fn refuses_what_is_not_toml_and_what_has_no_shape() {
    assert!(problems("a = ")[0].starts_with("is not TOML"));
    let shapeless = problems("[presses]\ncount = 1\n");
    let told = "presses.onset: is missing, or stands beside another shape: have exactly one of \
                onset, day and steady";
    assert!(shapeless.contains(&told.to_owned()), "{shapeless:#?}");
}

#[test]
fn resizing_keeps_the_shares_unless_told_otherwise() {
    let quake = || Scenario::load("quake-malang").unwrap();
    let half =
        quake().resized(Overrides { devices: Some(60_000), ..Overrides::default() }).unwrap();
    assert_eq!((half.devices, half.buttons, half.presses), (60_000, 1_200, 30_000));
    let fifth = Overrides { presses: Some(12_000), ..Overrides::default() };
    let fifth = quake().resized(fifth).unwrap();
    assert_eq!((fifth.devices, fifth.buttons, fifth.presses), (24_000, 480, 12_000));
    let few = Overrides { devices: Some(100), presses: Some(100) };
    assert_eq!(quake().resized(few).unwrap().presses(), 100);
    let relays = Scenario::load("warm-relays").unwrap();
    let fewer = relays.resized(Overrides { devices: Some(64), ..Overrides::default() }).unwrap();
    assert_eq!((fewer.devices, fewer.buttons, fewer.presses), (64, 64, 400_000));
}

#[test]
fn refuses_more_presses_than_devices_that_press_once() {
    let quake = Scenario::load("quake-malang").unwrap();
    let many = Overrides { devices: Some(10), presses: Some(11) };
    let error = quake.resized(many).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "presses.count: 11 presses of 10 devices: each presses once, so have as many devices"
        ),
        "{error}"
    );
    let none = Overrides { devices: Some(0), presses: None };
    assert!(Scenario::load("quake-malang").unwrap().resized(none).is_err());
}
