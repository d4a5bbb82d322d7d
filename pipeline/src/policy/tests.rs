//! What a policy accepts, and that nothing which could refuse a first press can be written.

use super::*;

fn read(text: &str) -> Result<Policy, Vec<Problem>> {
    Policy::read(text, [])
}

fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_shipped_file_states_every_key_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/policy.toml");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&text).unwrap(), Policy::default());
    assert_eq!(read("").unwrap(), Policy::default());
    for (section, key, value) in Policy::default().values() {
        if section != "rules" {
            let line = format!("\n{key} = {}\n", value.unwrap());
            let of_section =
                text.split("\n[").find(|part| part.starts_with(&format!("{section}]"))).unwrap();
            assert!(of_section.contains(&line), "[{section}] lacks {line:?}");
        }
    }
}

#[test]
fn every_policy_that_could_refuse_a_first_press_is_refused_with_every_problem() {
    let text = r#"
[press]
window = "0s"
[strikes]
block_at = 0
blocks = []
forgiven_by_genuine = "some"
[probation]
holds = true
[held]
emergency_number = "the police"
[rates]
raise = "0 per 10m"
update = "60"
heartbeat = "1 per 48h"
[late]
after = "0s"
[corroboration]
devices = 1
held_notice = 17
[surge]
presses = 1
fleet_share_max = 100
outside_max = 50
[incident]
slack_m = 9_999
together = ["fire medical", "fire"]
[[rules.cancelled]]
raises = 1
window = "2d"
[[rules.phantom]]
model = ""
raises = 5
window = "10m"
probation = "1d"
holds = true
"#;
    let expected = [
        "line 3: press.window: \"0s\" is out of range; write \"1s\" to \"1d\"",
        "line 5: strikes.block_at: 0 is out of range; write 1 to 8 (default 3)",
        "line 6: strikes.blocks: is empty; write how long blocks last",
        "line 7: strikes.forgiven_by_genuine: expected a number of strikes, or \"all\"",
        "line 9: probation.holds: is not known; known here: after_block, new_device",
        "line 11: held.emergency_number: \"the police\" has no digit",
        "line 13: rates.raise: lets nothing pass; write at least \"1 per 1h\"",
        "line 14: rates.update: \"60\" is not a quota; write one like \"20 per 10m\"",
        "line 15: rates.heartbeat: is over too short or too long a time; write 1s to 1d",
        "line 17: late.after: \"0s\" is out of range",
        "line 19: corroboration.devices: 1 is out of range; write 2 to 16",
        "line 20: corroboration.held_notice: 17 is out of range",
        "line 22: surge.presses: 1 is out of range; write 10 to 1000000",
        "line 23: surge.fleet_share_max: 100 is out of range; write 1 to 49",
        "line 24: surge.outside_max: 50 is out of range; write 0 to 10",
        "line 26: incident.slack_m: 9999 is out of range; write 0 to 5000 (default 300)",
        "line 27: incident.together: has a group of fewer than two",
        "line 28: rules.cancelled[1].probation: is missing (such as \"1d\")",
        "line 29: rules.cancelled[1].raises: 1 is out of range; write 2 to 10000 (such as 5)",
        "line 30: rules.cancelled[1].window: \"2d\" is out of range; write \"1s\" to \"1d\"",
        "line 32: rules.phantom[1].model: \"\" must have 1 to 32 bytes",
        "line 36: rules.phantom[1].holds: is not known; known here: model, probation, raises",
    ];
    let found = problems(text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nshould start with\n{expected}");
    }
}

#[test]
fn ladder_that_does_not_ascend_is_refused() {
    for blocks in [r#"["7d", "1d"]"#, r#"["1d", "1d"]"#] {
        let found = problems(&format!("[strikes]\nblocks = {blocks}"));
        assert!(found[0].contains("must ascend"), "{found:?}");
    }
    assert!(problems("[strikes]\nblocks = [\"1s\"]")[0].contains("out of range"));
    assert!(problems("[strikes]\nblocks = \"1d\"")[0].contains("expected a list"));
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    let memory = problems("[strikes]\nmemory = \"20d\"");
    assert!(
        memory[0].starts_with("strikes.memory: is shorter than the longest block"),
        "{memory:?}"
    );
    let batches = problems("[corroboration]\nbatches = 3");
    assert!(batches[0].starts_with("corroboration.batches: is more than"), "{batches:?}");
}

#[test]
fn categories_that_go_together_are_written_as_groups_of_names() {
    let policy = read("[incident]\ntogether = [\"fire traffic\", \"crime unrest\"]").unwrap();
    let texts = policy.incident.show().into_iter().find(|(_, key, _)| *key == "together");
    assert_eq!(texts.unwrap().2.unwrap(), "[\"fire traffic\", \"crime unrest\"]");
    for (written, said) in [
        ("[\"fire flood\"]", "\"flood\" is no category"),
        ("[\"fire unspecified\"]", "\"unspecified\" is no category"),
        ("\"fire\"", "expected a list like"),
    ] {
        let found = problems(&format!("[incident]\ntogether = {written}"));
        assert!(found[0].contains(said), "{found:?}");
    }
    let window = problems("[incident]\nwindow = \"7h\"");
    assert!(window[0].starts_with("incident.window: is longer"), "{window:?}");
}

#[test]
fn the_environment_wins_and_names_of_others_are_left_alone() {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = [
        set("KENTONGAN_RULE_STRIKES_BLOCK_AT", "4"),
        set("KENTONGAN_RULE_STRIKES_BLOCKS", "2d, 9d"),
        set("KENTONGAN_ALERT_LISTEN", "0.0.0.0:1"),
    ];
    let policy = Policy::read("[strikes]\nblock_at = 2", variables).unwrap();
    assert_eq!(policy.strikes.block_at, 4);
    assert_eq!(policy.strikes.blocks, [Span::from_secs(2 * 86_400), Span::from_secs(9 * 86_400)]);
    let unknown = Policy::read("", [set("KENTONGAN_RULE_STRIKES_BLOCKAT", "4")]).unwrap_err();
    assert!(unknown[0].what.contains("KENTONGAN_RULE_STRIKES_BLOCK_AT"), "{unknown:?}");
}

#[test]
fn lists_of_rules_replace_the_default_and_a_list_must_be_one() {
    let policy = read(
        "[[rules.phantom]]\nmodel = \"SOS-1 \"\nraises = 9\nwindow = \"1m\"\nprobation = \"2d\"\n",
    );
    let rules = policy.unwrap().rules;
    assert_eq!(rules.cancelled, Rules::default().cancelled);
    assert_eq!(rules.phantom[0].model.as_str(), "SOS-1 ");
    assert_eq!(read("[rules]\ncancelled = []").unwrap().rules.cancelled, []);
    let found = problems("[rules]\ncancelled = 3\nphantom = [1]");
    assert!(found[0].contains("write [[rules.cancelled]]"), "{found:?}");
    assert!(found[1].contains("write [[rules.phantom]]"), "{found:?}");
}

#[test]
fn differences_name_each_changed_key_and_nothing_else() {
    let old = Policy::default();
    assert_eq!(old.differences(&old), Vec::<String>::new());
    let new = read("[strikes]\nblock_at = 4\nblocks = [\"2d\"]\n[rules]\ncancelled = []").unwrap();
    assert_eq!(
        old.differences(&new),
        [
            "strikes.block_at: 3 -> 4",
            "strikes.blocks: [\"1d\", \"7d\", \"30d\"] -> [\"2d\"]",
            "rules.cancelled: [{ raises = 5, window = \"1h\", probation = \"1d\" }] -> []",
        ]
    );
}

#[test]
fn horizon_holds_every_window_over_messages_and_what_was_said_of_models_before() {
    let incident = Span::from_secs(6 * 3_600 + 1_800);
    assert_eq!(Policy::default().models_window(), incident);
    assert_eq!(Policy::default().horizon(), Span(incident.0 + Span::from_secs(1_200).0));
    let short = read("[incident]\nlasts_max = \"10m\"\nwindow = \"5m\"").unwrap();
    assert_eq!(short.models_window(), Span::from_secs(3_600));
    assert_eq!(short.horizon(), Span::from_secs(80 * 60));
    let long = read("[press]\nwindow = \"1d\"").unwrap();
    assert_eq!(long.horizon(), HORIZON_MAX);
}

#[test]
fn blocks_climb_the_ladder_and_stay_on_its_last_step() {
    let policy = Policy::default();
    let days = [0, 1, 2, 3, 200].map(|before| policy.block(before).0 / 86_400_000_000);
    assert_eq!(days, [1, 7, 30, 30, 30]);
}

#[test]
fn no_device_counts_twice_in_a_surge() {
    let policy = read("[press]\nwindow = \"1m\"").unwrap();
    assert_eq!(policy.surge_window(), Span::from_secs(60));
}

#[test]
fn a_device_that_was_vouched_for_is_never_new() {
    let policy = Policy::default();
    assert_eq!(policy.new_until(Enrolment::default()), Time(0));
    let enrolled = Enrolment { trusted_from: Time(5), ..Enrolment::default() };
    assert_eq!(policy.new_until(enrolled), Time(5) + policy.probation.new_device);
}
