//! The command: what it writes, what it answers, and its exit codes.

#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn simulator(dir: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(arguments.split_whitespace())
        .current_dir(dir)
        .output()
        .unwrap()
}

fn answer(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn population_and_timeline_go_together() {
    let dir = tempfile::tempdir().unwrap();
    let city = "--scenario quake-malang --seed 4 --json";
    let output = simulator(dir.path(), &format!("population {city} --devices 40 --out people"));
    let population = answer(&output);
    assert_eq!((&population["devices"], &population["presses"]), (&40.into(), &20.into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TEST KEYS"));

    let own = simulator(
        dir.path(),
        &format!("timeline {city} --devices 40 --out own.csv --picture own.svg"),
    );
    let read =
        simulator(dir.path(), &format!("timeline {city} --population people --out read.csv"));
    assert_eq!(answer(&own), answer(&read));
    assert_eq!(answer(&own)["presses"], 20);
    let csv = fs::read(dir.path().join("own.csv")).unwrap();
    assert_eq!(csv, fs::read(dir.path().join("read.csv")).unwrap());
    let picture = fs::read_to_string(dir.path().join("own.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("A felt earthquake in Malang") && picture.contains("Kedungkandang"));
}

#[test]
fn mistakes_are_named_and_end_with_their_code() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("wrong.toml"), "colour = 1\n").unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for (arguments, code, told) in [
        ("population --scenario nowhere --seed 1 --out x", 2, "no scenario \"nowhere\""),
        ("population --scenario wrong.toml --seed 1 --out x", 2, "colour: is not a key"),
        (
            "population --scenario quiet-day --seed 1 --devices 3 --presses 4 --out x",
            2,
            "4 presses",
        ),
        ("population --scenario quiet-day --out x", 2, "--seed"),
        ("timeline --scenario quiet-day --seed 1 --population no --out x", 2, "population.json"),
        ("population --scenario warm-relays --seed 1 --devices 1 --out file", 1, "file"),
    ] {
        let output = simulator(dir.path(), arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        assert!(stderr.contains(told), "{arguments}: {stderr}");
    }
    let output = simulator(
        dir.path(),
        "population --scenario warm-relays --seed 1 --devices 1 --presses 1 --out relays",
    );
    assert_eq!(output.status.code(), Some(0));
    let other = "timeline --scenario quiet-day --seed 1 --population relays --out x";
    let output = simulator(dir.path(), other);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("made for warm-relays"));
}

#[test]
fn policies_are_tried_listed_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let month = "policy --seed 3 --days 3 --sweep strikes=2..3";
    let output = simulator(dir.path(), &format!("{month} --out tried"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines.first().unwrap().contains("after 3rd"), "{table}");
    assert!(lines.get(2).unwrap().starts_with("  strikes 2 "), "{table}");
    assert!(lines.get(3).unwrap().starts_with("* strikes 3 "), "{table}");

    let json = answer(&simulator(dir.path(), &format!("{month} --json")));
    let written = fs::read_to_string(dir.path().join("tried/policy.json")).unwrap();
    assert_eq!(json, serde_json::from_str::<serde_json::Value>(&written).unwrap());
    assert_eq!(json["settings"][1]["as_it_is"], true);
    assert_eq!(json["settings"][0]["values"]["strikes"], "2");
    assert_eq!(json["settings"][0]["differences"][0], "strikes.block_at: 3 -> 2");
    let picture = fs::read_to_string(dir.path().join("tried/policy.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert_eq!(picture.matches("class=\"ring\"").count(), 1);
    assert!(picture.contains("strikes 3 (as it is)"), "{picture}");
}

#[test]
fn policies_that_cannot_be_tried_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("wrong.toml"), "[strikes]\nblock_at = 0\n[press]\nwindow = \"2d\"\n")
        .unwrap();
    for (arguments, told) in [
        ("--policy wrong.toml", &["strikes.block_at", "press.window"][..]),
        ("--policy nowhere.toml", &["nowhere.toml"]),
        ("--sweep strikes=0..9", &["strikes=0: ", "strikes=9: "]),
        ("--sweep strikes", &["has no values"]),
        ("--scenario quiet-day", &["has no [callers]"]),
        ("--days 0", &["0 days"]),
    ] {
        let output = simulator(dir.path(), &format!("policy --seed 1 {arguments}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(told.iter().all(|told| stderr.contains(told)), "{arguments}: {stderr}");
    }
}
