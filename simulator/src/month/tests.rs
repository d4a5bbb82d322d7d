//! The month has the shares that its file states, and the same presses from the same seed.

use super::*;

fn month(days: u32, seed: u64) -> Month {
    let scenario = Scenario::load("prank-month").unwrap();
    Month::generate(&scenario, days, Seed(seed)).unwrap()
}

#[test]
fn shares_are_those_of_the_file() {
    let month = month(60, 1);
    let all = f64::from(u32::try_from(month.len()).unwrap());
    for (caller, wanted, off_max) in [
        (Caller::Genuine, 0.01, 0.3),
        (Caller::Prank, 0.98, 0.01),
        (Caller::Accidental, 0.004, 0.3),
        (Caller::Silent, 0.006, 0.3),
    ] {
        let share = f64::from(u32::try_from(month.count(caller)).unwrap()) / all;
        assert!((share / wanted - 1.0).abs() < off_max, "{}: {share}", caller.name());
    }
    assert!(month.presses.is_sorted_by_key(|press| press.at));
}

#[test]
fn nobody_presses_before_they_are_enrolled_and_only_pranksters_play_pranks() {
    let month = month(20, 2);
    for press in &month.presses {
        match press.who {
            Who::Device(device) => {
                assert!(month.people.enrolled_at(device) <= press.at);
                assert_ne!(press.caller, Caller::Prank);
            }
            Who::Prankster(number) => {
                assert!(month.people.enrolled_at(month.pranksters[number].device) < START);
            }
        }
    }
}

#[test]
fn households_share_an_owner_and_batches_add_up_to_the_fleet() {
    let people = month(1, 3).people;
    let shared = (0..20_000).filter(|pair| {
        let owner = |device| people.enrolment(DeviceIndex(device)).owner;
        owner(2 * pair) == owner(2 * pair + 1)
    });
    assert!((5_600..6_400).contains(&shared.count()));
    let fleet = people.fleet();
    let sum: u32 = fleet.batches.iter().map(|batch| batch.devices).sum();
    assert_eq!((sum, fleet.devices), (120_000, 120_000));
    let last = people.enrolment(DeviceIndex(119_999)).batch.unwrap();
    assert!(fleet.batch(last).is_some());
}

#[test]
fn a_month_needs_callers_a_day_and_days() {
    let generate = |name: &str, days| {
        Month::generate(&Scenario::load(name).unwrap(), days, Seed(1)).map(|month| month.len())
    };
    let quiet = "quiet-day".to_owned();
    assert_eq!(generate("quiet-day", 1), Err(MonthError::NoCallers(quiet)));
    assert_eq!(generate("prank-month", 0), Err(MonthError::Days(0)));
    let text = include_str!("../../../config/scenarios/prank-month.toml");
    let wrong = text
        .replace("genuine = 0.01", "genuine = 0.5")
        .replace("devices = 300", "devices = 60_001")
        .replace("judged = 0.9", "judged = 9");
    let problems = Scenario::parse("test", &wrong).unwrap_err().to_string();
    for told in [
        "callers.genuine: and the shares of all other callers must be 1 together",
        "callers.pranksters.devices: is more than half of all devices",
        "operators.judged: must be a number from 0 to 1",
    ] {
        assert!(problems.contains(told), "{problems}");
    }
}
