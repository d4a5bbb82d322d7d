//! Policies on a month of pranks: the same seed comes to the same, and the default policy keeps what it promises.

#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::sync::Arc;

use pipeline::Policy;
use simulator::{Caller, Month, Scenario, Seed, Sweep, Trial};

const SCENARIO: &str = include_str!("../../config/scenarios/prank-month.toml");

fn month(days: u32, seed: u64) -> Month {
    Month::generate(&Scenario::load("prank-month").unwrap(), days, Seed(seed)).unwrap()
}

/// A month with other words in its scenario.
fn other_month(days: u32, replaced: &[(&str, &str)]) -> Month {
    let text = replaced.iter().fold(SCENARIO.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    Month::generate(&Scenario::parse("other", &text).unwrap(), days, Seed(1)).unwrap()
}

fn trial(month: &Month, toml: &str) -> Trial {
    month.try_policy(&Arc::new(Policy::read(toml, []).unwrap()))
}

/// Every line that the desk journaled is a promise: a change here changes what a seed means.
#[test]
fn same_seed_comes_to_the_same_on_every_machine() {
    let tried = trial(&month(5, 7), "");
    assert_eq!(
        tried.journal_sha256,
        "f1bf3db65a6604f2532c6c05d1344f02d875f1f34bb4cf964207bdef931e9c83"
    );
    assert_eq!(tried, trial(&month(5, 7), ""));
    assert_ne!(tried.journal_sha256, trial(&month(5, 8), "").journal_sha256);
}

#[test]
fn default_policy_spares_nine_in_ten_pages_and_holds_nobody_in_good_standing() {
    for seed in 1..=3 {
        let month = month(30, seed);
        assert!(month.count(Caller::Prank) * 100 >= month.len() * 98 - 100);
        let tried = trial(&month, "");
        assert!(tried.avoided_after_third_strike_permille() >= 900, "seed {seed}: {tried:#?}");
        assert_eq!(tried.genuine_good_held, 0, "seed {seed}: {tried:#?}");
    }
}

/// Promise 6: messages in = received + duplicate + held + refused. Promise 2: a copy makes no alert of its own.
#[test]
fn every_message_is_answered_once_and_every_press_has_one_fate() {
    let tried = trial(&month(10, 4), "");
    let answered = tried.received + tried.duplicate + tried.held + tried.refused;
    assert_eq!(answered, tried.messages, "{tried:#?}");
    assert!(tried.duplicate > 0 && tried.held > 0 && tried.verdicts > 0, "{tried:#?}");
    assert_eq!(usize::try_from(tried.presses).unwrap(), month(10, 4).len());
    assert!(tried.prank_pages + tried.prank_pages_avoided <= tried.pranks);
}

#[test]
fn stricter_policies_spare_more() {
    let month = month(15, 5);
    let settings = Sweep::parse("strikes=1..6").unwrap().settings("").unwrap();
    let comparison = month.compare(settings);
    let spared: Vec<u32> = comparison.rows().map(|(_, trial)| trial.avoided_permille()).collect();
    assert!(spared.is_sorted_by(|stricter, laxer| stricter > laxer), "{spared:?}");
    assert!(comparison.rows().all(|(_, trial)| trial.genuine_good_held == 0));
}

/// Whoever is blocked by mistake waits until others confirm them, or an operator does.
#[test]
fn wrong_verdicts_show_as_wrong_blocks_and_as_waiting() {
    let month = other_month(
        30,
        &[
            ("wrong_prank = 0.02", "wrong_prank = 0.5"),
            ("genuine = 0.01", "genuine = 0.2"),
            ("prank = 0.98", "prank = 0.79"),
            ("by_pranksters = 0.2", "by_pranksters = 1"),
        ],
    );
    let tried = trial(&month, "");
    assert!(tried.wrong_blocks > 0, "{tried:#?}");
    assert!(tried.genuine_delayed > 0 && tried.genuine_held > 0, "{tried:#?}");
    assert!(tried.genuine_delay_max_s >= tried.genuine_delay_median_s);
    assert_eq!(tried.genuine_good_held, 0, "{tried:#?}");
}

#[test]
fn nobody_is_held_where_nobody_plays_pranks() {
    let month = other_month(
        10,
        &[
            ("\nprank = 0.98", "\nprank = 0.0"),
            ("silent = 0.006", "silent = 0.92"),
            ("accidental = 0.004", "accidental = 0.07"),
        ],
    );
    let tried = trial(&month, "");
    assert_eq!((tried.held, tried.blocks, tried.pranks), (0, 0, 0), "{tried:#?}");
    assert_eq!(tried.genuine_held + tried.genuine_delayed, 0);
}
