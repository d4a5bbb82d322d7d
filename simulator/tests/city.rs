//! The same seed gives the same city, and the city has the shape that its scenario says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Algorithm, Method};
use sha2::{Digest, Sha256};
use simulator::{Connection, Overrides, Population, Profile, Scenario, Seed, Shape, Timeline};

fn sized(name: &str, devices: u32, presses: u32) -> Scenario {
    let size = Overrides { devices: Some(devices), presses: Some(presses) };
    Scenario::load(name).unwrap().resized(size).unwrap()
}

fn city(scenario: &Scenario, seed: u64) -> (Population, Timeline) {
    let population = Population::generate(scenario, Seed(seed));
    let timeline = Timeline::generate(scenario, &population, Seed(seed));
    (population, timeline)
}

fn sha256_of(path: &std::path::Path) -> String {
    hex::encode(Sha256::digest(std::fs::read(path).unwrap()))
}

/// The bytes are a promise: a change here changes every run that was ever recorded under a seed.
#[test]
fn same_seed_gives_the_same_bytes_on_every_machine() {
    let golden = [
        ("quake-malang", "3016b526d19b2095441acb2cfa62848dc69c8eb8a1ed2e7ee6cda1ac048d7503"),
        ("quiet-day", "3ff16c5f7c52b9871e29ad65525ff93ea082f6a656ce48798dc0dc04f570faf2"),
        ("warm-relays", "29b35a2cc501f1191a2a6766c84b494bf93881d8265fbc788b32763c3133180d"),
    ];
    for (name, sha256) in golden {
        let (_, timeline) = city(&sized(name, 500, 250), 7);
        assert_eq!(timeline.sha256(), sha256, "{name}");
        let (_, other) = city(&sized(name, 500, 250), 8);
        assert_ne!(other.sha256(), sha256, "{name}: another seed is another city");
    }
}

#[test]
fn population_files_have_the_same_bytes_on_every_machine() {
    let dir = tempfile::tempdir().unwrap();
    let (population, _) = city(&sized("quake-malang", 50, 25), 7);
    let summary = population.write(dir.path()).unwrap();
    assert_eq!(
        summary.devices_sha256,
        "235972154c46224955cb0c6b957be3109d5eeba39313d1de55f76864c0899010"
    );
    assert_eq!(summary.devices_sha256, sha256_of(&dir.path().join("devices.csv")));
    assert_eq!(summary.keys_sha256, sha256_of(&dir.path().join("keys.csv")));
}

#[test]
fn timeline_file_is_what_its_header_says() {
    let (_, timeline) = city(&sized("warm-relays", 100, 3), 7);
    let csv = timeline.to_csv();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header.len(), 12);
    for (row, press) in reader.records().zip(&timeline) {
        let row = row.unwrap();
        let field = |name: &str| &row[header.iter().position(|column| column == name).unwrap()];
        assert_eq!(field("offset_us").parse(), Ok(press.offset_us));
        assert_eq!(field("device_index").parse(), Ok(press.device_index));
        assert_eq!(field("device_id").parse(), Ok(press.device));
        assert_eq!(field("kind"), "raise");
        assert_eq!(field("category"), press.category.name());
        assert_eq!(field("lat_e7").parse(), Ok(press.position.lat_e7()));
        assert_eq!(field("lon_e7").parse(), Ok(press.position.lon_e7()));
        assert_eq!(field("radius_m").parse(), Ok(press.position.radius_m));
        assert_eq!(field("method"), "fixed_site");
        assert_eq!(field("age_s"), "0");
        assert_eq!(field("silent"), "0");
        let Connection::Relay(relay) = press.connection else { unreachable!() };
        assert_eq!(field("connection"), format!("relay-{relay}"));
    }
}

#[test]
fn people_live_where_the_census_counted_them_and_inside_their_zone() {
    let scenario = sized("quake-malang", 20_000, 10_000);
    let (population, _) = city(&scenario, 3);
    let zones = scenario.zones();
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for device in population.devices() {
        let zone = zones.locate(&device.place).map(|zone| zones.id(zone));
        assert_eq!(zone.as_ref(), Some(&device.zone));
        *counts.entry(device.zone.as_str()).or_default() += 1.0;
    }
    for (zone, people) in [
        ("polsek-blimbing", 182_331.0),
        ("polsek-klojen", 94_112.0),
        ("polsek-kedungkandang", 207_428.0),
        ("polsek-sukun", 196_300.0),
        ("polsek-lowokwaru", 163_639.0),
    ] {
        let expected = 20_000.0 * people / 843_810.0;
        assert!((counts[zone] / expected - 1.0).abs() < 0.05, "{zone}: {}", counts[zone]);
    }
    let ids: BTreeSet<_> = population.devices().iter().map(|device| device.id).collect();
    assert_eq!(ids.len(), 20_000, "no id twice");
    assert_eq!(population.buttons(), 400);
}

#[test]
fn presses_lie_in_the_zone_of_their_device_and_buttons_do_not_move() {
    let scenario = sized("quake-malang", 8_000, 4_000);
    let (population, timeline) = city(&scenario, 5);
    let zones = scenario.zones();
    assert_eq!(timeline.len(), 4_000);
    let mut moved = 0;
    for press in &timeline {
        let device = &population.devices()[press.device_index as usize];
        assert_eq!(device.id, press.device);
        assert_eq!(
            zones.locate(&press.position).map(|zone| zones.id(zone)).as_ref(),
            Some(&device.zone)
        );
        let at_home = (press.position.lat_e7(), press.position.lon_e7())
            == (device.place.lat_e7(), device.place.lon_e7());
        moved += u32::from(!at_home);
        assert_eq!(press.position.method == Method::FixedSite, device.profile == Profile::Button);
        assert!(at_home || device.profile == Profile::Phone);
    }
    assert!(moved > 3_500, "phones measure with an error: {moved}");
}

#[test]
fn quake_presses_come_once_per_device_lognormally_and_in_order() {
    let scenario = sized("quake-malang", 24_000, 12_000);
    let (_, timeline) = city(&scenario, 11);
    let presses = timeline.presses();
    assert!(presses.is_sorted_by_key(|press| press.offset_us));
    let devices: BTreeSet<u32> = presses.iter().map(|press| press.device_index).collect();
    assert_eq!(devices.len(), 12_000, "each device presses once");
    assert!(timeline.duration_us() <= 480_000_000 && timeline.duration_us() > 400_000_000);
    let median_s = presses[6_000].offset_us as f64 / 1e6;
    assert!((68.0..71.5).contains(&median_s), "{median_s}");
    let logs: Vec<f64> = presses.iter().map(|press| (press.offset_us as f64 / 7e7).ln()).collect();
    let mean = logs.iter().sum::<f64>() / 12_000.0;
    let sigma = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / 12_000.0).sqrt();
    assert!((0.76..0.81).contains(&sigma), "{sigma}");
    let of_disaster = presses.iter().filter(|press| press.category.name() == "disaster").count();
    assert!((9_400..9_800).contains(&of_disaster), "{of_disaster}");
    assert!(presses.iter().all(|press| press.connection == Connection::New));
}

/// The surge that the gateway's numbers are stated for.
#[test]
fn full_quake_peaks_at_about_600_in_one_second() {
    let (_, timeline) = city(&Scenario::load("quake-malang").unwrap(), 1);
    assert_eq!(timeline.len(), 60_000);
    assert!((590..690).contains(&timeline.peak_per_s()), "{}", timeline.peak_per_s());
}

/// Numbers in windows of a day, about the day's own curve.
fn dispersion(days: &[Timeline], hours: &[f64; 24], window_s: u64) -> f64 {
    let windows = usize::try_from(86_400 / window_s).unwrap();
    let sum: f64 = hours.iter().sum();
    let (mut squares, mut total) = (0.0, 0.0);
    for day in days {
        let mut counts = vec![0.0; windows];
        for press in day {
            counts[usize::try_from(press.offset_us / (window_s * 1_000_000)).unwrap()] += 1.0;
        }
        for (window, count) in counts.iter().enumerate() {
            let hour = usize::try_from(window as u64 * window_s / 3_600).unwrap();
            let expected = day.len() as f64 * hours[hour] / sum * window_s as f64 / 3_600.0;
            squares += (count - expected).powi(2);
            total += expected;
        }
    }
    squares / total
}

#[test]
fn quiet_days_follow_the_clock_and_are_as_uneven_as_real_ones() {
    let scenario = sized("quiet-day", 2_000, 400);
    let Shape::Day { hours, .. } = scenario.shape().clone() else { unreachable!() };
    let days: Vec<Timeline> = (0..60).map(|seed| city(&scenario, seed).1).collect();
    assert!(days.iter().all(|day| day.len() == 400 && day.duration_us() < 86_400_000_000));

    let mut by_hour = [0.0; 24];
    for press in days.iter().flatten() {
        by_hour[usize::try_from(press.offset_us / 3_600_000_000).unwrap()] += 1.0 / 1_000.0;
    }
    let busiest = by_hour.iter().copied().fold(0.0, f64::max);
    let quietest = by_hour.iter().copied().fold(f64::MAX, f64::min);
    assert!((1.7..2.1).contains(&busiest), "{busiest}");
    assert!((0.28..0.42).contains(&quietest), "{quietest}");

    let of_minute = dispersion(&days, &hours, 60);
    let of_ten = dispersion(&days, &hours, 600);
    let of_hour = dispersion(&days, &hours, 3_600);
    assert!((0.95..1.12).contains(&of_minute), "{of_minute}");
    assert!((1.3..1.7).contains(&of_ten), "{of_ten}");
    assert!((1.75..2.4).contains(&of_hour), "{of_hour}");
}

#[test]
fn relays_carry_an_even_load_of_one_algorithm() {
    let scenario = sized("warm-relays", 1_000, 40_000);
    let (population, timeline) = city(&scenario, 2);
    assert!(population.devices().iter().all(|device| device.algorithm() == Algorithm::EdDsa));
    let presses = timeline.presses();
    assert!(presses.iter().zip(0..).all(|(press, number)| press.offset_us == number * 50));
    let relays: BTreeSet<u16> = presses
        .iter()
        .map(|press| match press.connection {
            Connection::Relay(relay) => relay,
            Connection::New => unreachable!(),
        })
        .collect();
    assert_eq!(relays, (0..64).collect());
    let mut of_device = BTreeMap::new();
    presses.iter().for_each(|press| *of_device.entry(press.device_index).or_insert(0) += 1);
    assert!(of_device.values().all(|count| *count == 40), "devices take turns");
}
