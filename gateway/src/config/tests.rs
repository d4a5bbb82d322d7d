//! What a configuration accepts, and that everything wrong with one is said at once.

use super::*;

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    Config::read(text, [])
}

fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_shipped_file_states_every_key_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/gateway.toml");
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(read(&text).unwrap(), Config::default());
    for (section, key, value) in Config::default().values() {
        let line = match value {
            Some(value) => format!("\n{key} = {value}\n"),
            None => format!("\n# {key} = "),
        };
        let of_section = match section {
            "" => text.split("\n[").next(),
            _ => text.split("\n[").find(|part| part.starts_with(&format!("{section}]"))),
        };
        assert!(of_section.unwrap().contains(&line), "[{section}] lacks {line:?}");
    }
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let text = "drain_timeout = \"90s\"\nrealm = \"000102030405060708090a0b0c0d0e0f\"\n[feed]\nring_bytes = \"65KiB\"";
    let config = read(text).unwrap();
    assert_eq!(config.drain_timeout, Duration::from_secs(90));
    assert_eq!(config.feed.ring_bytes, 65 * 1024);
    assert_eq!(read(&config.to_toml()).unwrap(), config);
}

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    let text = r#"
realm = "abc"
drain_timeout = 10
color = "red"
[alert]
listen = "localhost"
shards = 2
zero_rtt = "yes"
idle_timout = "15s"
receive_buffer = "8MB"
certificate = "/does/not/exist.pem"
ring_bytes = "1MiB"
[operator]
listen = 8480
[lights]
on = true
"#;
    let found = problems(text);
    let expected = [
        "line 2: realm: \"abc\" is not 32 hexadecimal digits",
        "line 3: drain_timeout: \"10\" has no unit; write \"10ms\" or \"10s\" or \"10m\" (default \"10s\")",
        "line 4: color: is not known; known here: alert, data_dir, desk,",
        "line 6: alert.listen: \"localhost\" is not an IP address and port; write one like \"0.0.0.0:4433\"",
        "line 7: alert.shards: 2 is refused: steering by connection id is not built yet",
        "line 8: alert.zero_rtt: expected true or false, found the text \"yes\" (default true)",
        "line 9: alert.idle_timout: is not known; did you mean idle_timeout?",
        "line 10: alert.receive_buffer: \"8MB\" is not a size; write one like",
        "line 11: alert.certificate: cannot read \"/does/not/exist.pem\"",
        "line 12: alert.ring_bytes: is not known; it belongs in section [feed]",
        "line 14: operator.listen: expected an address in quotes, found the number 8480",
        "line 15: lights: is not known; known here:",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nshould start with\n{expected}");
    }
}

#[test]
fn values_out_of_range_are_refused_with_the_range_in_their_unit() {
    let text = "[alert]\nidle_timeout = \"1h\"\nsend_buffer = \"1KiB\"\nstreams_initial = 0\nconnections_max = -1";
    assert_eq!(
        problems(text),
        [
            "line 2: alert.idle_timeout: \"1h\" is out of range; write \"1s\" to \"10m\" (default \"15s\")",
            "line 3: alert.send_buffer: \"1KiB\" is out of range; write \"64KiB\" to \"256MiB\" (default \"4MiB\")",
            "line 4: alert.streams_initial: 0 is out of range; write 1 to 1024 (default 8)",
            "line 5: alert.connections_max: is not a whole number that fits here (default 20000)",
        ]
    );
}

#[test]
fn a_section_that_is_a_value_and_a_text_that_is_no_toml_are_problems() {
    assert_eq!(
        problems("alert = 3"),
        ["line 1: alert: is a section; write [alert] and its keys below"]
    );
    let found = problems("data_dir = \"d\"\n[alert]\nshards = = 2\n[feed\nring = 1");
    assert!(found.iter().any(|problem| problem.starts_with("line 3: ")), "{found:#?}");
    assert!(found.iter().any(|problem| problem.starts_with("line 4: ")), "{found:#?}");
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = format!(
        "[alert]\ncertificate = {manifest:?}\nstreams_initial = 200\n[strangers]\nbudget = 19"
    );
    let expected = [
        "alert.private_key: is missing; alert.certificate needs its key",
        "alert.streams_earned: is less than alert.streams_initial; write at least as many",
        "strangers.budget: is less than strangers.failed_proof_cost: the first mistake of one phone would cost all \
         phones behind its address their priority; write more",
    ];
    assert_eq!(problems(&text), expected);
}

#[test]
fn operators_are_served_without_tls_on_the_loopback_address_alone() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = |listen: &str, rest: &str| format!("[operator]\nlisten = \"{listen}\"\n{rest}");
    let pair = format!("certificate = {manifest:?}\nprivate_key = {manifest:?}");
    for good in ["127.0.0.1:0", "[::1]:8480", "127.9.9.9:1"] {
        assert!(read(&text(good, "")).is_ok(), "{good}");
    }
    for open in ["0.0.0.0:8480", "[::]:8480", "192.0.2.1:8480"] {
        let found = problems(&text(open, ""));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("operator.certificate: is missing; without it tokens"));
        assert!(read(&text(open, &pair)).is_ok(), "{open}");
    }
    let half = problems(&text("0.0.0.0:1", &format!("certificate = {manifest:?}")));
    assert_eq!(half, ["operator.private_key: is missing; operator.certificate needs its key"]);
}

#[test]
fn the_environment_wins_over_the_file_and_is_checked_alike() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let file = "data_dir = \"a\"\n[alert]\nshards = 1";
    let config = Config::read(
        file,
        [
            variable("KENTONGAN_DATA_DIR", "b"),
            variable("KENTONGAN_ALERT_LISTEN", "127.0.0.1:0"),
            variable("KENTONGAN_ALERT_CONNECTIONS_MAX", "12"),
            variable("KENTONGAN_RULE_PRESS_WINDOW", "5m"),
            variable("HOME", "/"),
        ],
    )
    .unwrap();
    assert_eq!(config.data_dir, Path::new("b"));
    assert_eq!(config.alert.listen.port(), 0);
    assert_eq!(config.alert.connections_max, 12);

    let found = Config::read(
        "[alert]\nshards = 9",
        [variable("KENTONGAN_ALERT_SHARDS", "many"), variable("KENTONGAN_ALERT_LISEN", "x")],
    )
    .unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("line 2: alert.shards: 9 is refused"), "{found:#?}");
    assert_eq!(
        found[1],
        "environment variable KENTONGAN_ALERT_LISEN: is not known; did you mean KENTONGAN_ALERT_LISTEN?"
    );
    assert!(found[2].starts_with("environment variable KENTONGAN_ALERT_SHARDS: alert.shards: "));
}

#[test]
fn a_file_that_is_not_there_is_a_problem_of_that_file() {
    let path = Path::new("/does/not/exist.toml");
    let problems = Config::load(Some(path)).unwrap_err();
    assert_eq!(problems.file.as_deref(), Some(path));
    assert!(
        problems.to_string().starts_with("/does/not/exist.toml: 1 problem\n  cannot be read: ")
    );
}

#[test]
fn every_wrong_threshold_for_strangers_is_named() {
    let text = "[strangers]\nhandshakes_max = 3\nhandshake_timeout = \"2m\"\nretries_per_s = 0\nbad_proofs_max = 0\n\
                table_cells = 60000\ndevice_window = \"10\"";
    assert_eq!(
        problems(text),
        [
            "line 2: strangers.handshakes_max: 3 is out of range; write 4 to 65536 (default 512)",
            "line 3: strangers.handshake_timeout: \"2m\" is out of range; write \"100ms\" to \"1m\" (default \"5s\")",
            "line 4: strangers.retries_per_s: 0 is out of range; write 1 to 1000000 (default 10000)",
            "line 5: strangers.bad_proofs_max: 0 is out of range; write 1 to 1000 (default 3)",
            "line 6: strangers.table_cells: 60000 is not a power of two from 1024 to 65536 (default 65536)",
            "line 7: strangers.device_window: \"10\" has no unit; write \"10ms\" or \"10s\" or \"10m\" (default \"10m\")",
        ]
    );
}
