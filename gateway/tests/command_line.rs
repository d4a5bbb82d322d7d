//! The real `gateway` binary, as operators and scripts meet it: arguments in; exit code, answer and files out.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The base point of Ed25519.
const EDDSA: &str = "5866666666666666666666666666666666666666666666666666666666666666";
/// The generator of P-256, compressed.
const ES256: &str = "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";

/// A folder of its own for each test.
struct Site {
    folder: tempfile::TempDir,
}

/// What a command answered.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let [out, err] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
        Said { code: status.code(), out, err }
    }

    fn device_ids(&self) -> Vec<String> {
        let listed = self.run(&["device", "list", "--json"]).json();
        let id = |device: &Value| device["device_id"].as_str().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(id).collect()
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn csv(ids: impl Iterator<Item = u32>) -> String {
    let mut text = "device_id,alg,public_key,label,owner,batch,lat,lon\n".to_owned();
    for id in ids {
        let (alg, key) = if id % 2 == 0 { ("es256", ES256) } else { ("eddsa", EDDSA) };
        text += &format!("{id:032x},{alg},{key},Button {id},,b{},-7.9666200,112.6326321\n", id % 5);
    }
    text
}

#[test]
fn config_check_prints_ok_and_the_values_in_effect() {
    let site = Site::new();
    let file = site.file("gateway.toml", "[alert]\nidle_timeout = \"20s\"\n");
    let said = site.run(&["config", "check", "--config", &file]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out.starts_with("ok\n"), "{}", said.out);
    assert!(said.out.contains("\nidle_timeout = \"20s\"\n"), "{}", said.out);
    assert!(said.out.contains("\nshards = 1\n"), "{}", said.out);
}

#[test]
fn config_check_prints_every_problem_at_once() {
    let site = Site::new();
    let text = "realm = \"x\"\n[alert]\nshards = 2\nlisen = \"0.0.0.0:1\"\nidle_timeout = 15\n[feed]\nring_bytes = \"1kb\"\n";
    let file = site.file("gateway.toml", text);
    let said = site.run(&["config", "check", "--config", &file]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    let expected = [
        "line 1: realm: ",
        "line 3: alert.shards: ",
        "line 4: alert.lisen: ",
        "line 5: ",
        "line 7: ",
    ];
    for (line, expected) in said.err.lines().skip(1).zip(expected) {
        assert!(line.trim_start().starts_with(expected), "{}", said.err);
    }
    assert_eq!(said.err.lines().count(), 1 + expected.len(), "{}", said.err);
    let missing = site.run(&["config", "check", "--config", "no-such-file.toml"]);
    assert_eq!(missing.code, Some(2));
    // Nothing is made by looking.
    assert!(!site.data().exists());
}

#[test]
fn config_check_looks_into_the_files_that_are_named() {
    let site = Site::new();
    let zones = site.file("zones.geojson", "{}");
    let pem = site.file("certificate.pem", "no certificate");
    let text =
        format!("[alert]\ncertificate = {pem:?}\nprivate_key = {pem:?}\n[zones]\nfile = {zones:?}");
    let file = site.file("gateway.toml", &text);
    let said = site.run(&["config", "check", "--config", &file]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("certificate.pem: it holds no certificate"), "{}", said.err);
    assert!(said.err.contains("zones.geojson: "), "{}", said.err);
    let said = site.run(&["serve", "--config", &file]);
    assert_eq!(said.code, Some(2), "{}", said.err);
}

#[test]
fn wrong_arguments_and_configurations_end_every_command_with_two() {
    let site = Site::new();
    let file = site.file("gateway.toml", "colour = 1");
    for arguments in [
        vec!["fly"],
        vec!["device", "revoke", "xyz"],
        vec!["device", "add", "--alg", "rsa", "--public-key", EDDSA],
        vec!["device", "list", "--config", &file],
        vec!["serve", "--config", &file],
        vec!["device", "import", "no-such-file.csv"],
        vec!["subscriber", "add", "--zones", "polsek-klojen", "--expires", "30"],
    ] {
        let said = site.run(&arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(!said.err.is_empty() && said.out.is_empty(), "{arguments:?}");
    }
}

#[test]
fn zones_check_prints_the_tree_or_every_problem() {
    let site = Site::new();
    let said = site.run(&["zones", "check"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines[0], "ok, 6 zones");
    assert!(lines[1].starts_with("polres-malang-kota "), "{}", said.out);
    let klojen = lines.iter().find(|line| line.starts_with("  polsek-klojen ")).unwrap();
    let area = klojen.rsplit_once(": ").unwrap().1.strip_suffix(" km2").unwrap();
    // Klojen measures 8.83 km2.
    assert!((8.0..10.0).contains(&area.parse::<f64>().unwrap()), "{klojen}");

    let zones =
        site.file("zones.geojson", "{\"type\": \"FeatureCollection\", \"features\": [{}, 3]}");
    let file = site.file("gateway.toml", &format!("[zones]\nfile = {zones:?}"));
    let said = site.run(&["zones", "check", "--config", &file]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.lines().count() > 2, "{}", said.err);
}

#[test]
fn an_import_enrols_thousands_and_again_changes_nothing() {
    let site = Site::new();
    let file = site.file("devices.csv", &csv(0..5_000));
    let said = site.run(&["device", "import", &file, "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let report = said.json();
    assert_eq!((&report["rows"], &report["added"]), (&5_000.into(), &5_000.into()));
    let again = site.run(&["device", "import", &file]);
    assert_eq!(again.code, Some(0));
    assert_eq!(again.out, "5000 rows: 0 devices added, 0 updated, 5000 unchanged, 0 rows bad\n");
    let ids = site.device_ids();
    assert_eq!(ids.len(), 5_000);
    assert_eq!(ids[4_999], format!("{:032x}", 4_999));
}

#[test]
fn a_bad_row_undoes_the_import_unless_it_is_to_be_skipped() {
    let site = Site::new();
    let text =
        csv(0..10) + &format!("{:032x},eddsa,{},,,,,\n", 10, "00".repeat(32)) + "short,row\n";
    let file = site.file("devices.csv", &text);
    let said = site.run(&["device", "import", &file]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("line 12: public_key is weak"), "{}", said.err);
    assert!(said.err.contains("line 13: has 2 cells where the header has 8"), "{}", said.err);
    assert!(said.err.contains("nothing was imported"), "{}", said.err);
    assert!(said.out.starts_with("12 rows: 0 devices added"), "{}", said.out);
    assert_eq!(site.device_ids().len(), 0);

    let said = site.run(&["device", "import", &file, "--skip-bad", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let report = said.json();
    assert_eq!((&report["added"], &report["bad"]), (&10.into(), &2.into()));
    assert_eq!(report["problems"][1]["line"], 13);
    assert_eq!(site.device_ids().len(), 10);
}

#[test]
fn a_device_is_added_listed_and_revoked() {
    let site = Site::new();
    let add = [
        "device",
        "add",
        "--alg",
        "es256",
        "--public-key",
        ES256,
        "--label",
        "Gate",
        "--at",
        "-7.97,112.63",
        "--json",
    ];
    let said = site.run(&add);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let id = said.json()["device_id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    // A second one gets an id of its own.
    let other = site.run(&add).json()["device_id"].as_str().unwrap().to_owned();
    assert_ne!(id, other);

    let listed = site.run(&["device", "list", "--json"]).json();
    assert_eq!(listed[0]["device_id"], id.as_str());
    assert_eq!(listed[0]["label"], "Gate");
    assert_eq!(listed[0]["lat"], -7.97);
    assert_eq!(listed[0]["revoked_at"], Value::Null);
    let page = site.run(&["device", "list", "--json", "--after", &id, "--limit", "5"]).json();
    assert_eq!(page.as_array().unwrap().len(), 1);

    assert_eq!(site.run(&["device", "revoke", &id]).out, format!("{id} revoked\n"));
    assert_eq!(site.run(&["device", "revoke", &id]).out, format!("{id} was revoked already\n"));
    let listed = site.run(&["device", "list", "--json"]).json();
    assert!(listed[0]["revoked_at"].as_str().unwrap().ends_with('Z'));
    let unknown = site.run(&["device", "revoke", &"0".repeat(32)]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("is not enrolled"), "{}", unknown.err);

    let reused = ["device", "add", "--alg", "eddsa", "--public-key", EDDSA, "--device-id", &id];
    let said = site.run(&reused);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("another key"), "{}", said.err);
}

#[test]
fn an_empty_registry_lists_as_an_empty_array() {
    let site = Site::new();
    assert_eq!(site.run(&["device", "list", "--json"]).json(), Value::Array(vec![]));
    assert_eq!(site.run(&["subscriber", "list", "--json"]).json(), Value::Array(vec![]));
}

#[test]
fn a_token_is_printed_once_and_kept_nowhere() {
    let site = Site::new();
    let zones = "polsek-klojen,polsek-sukun";
    let said = site.run(&["subscriber", "add", "--zones", zones, "--expires", "30d", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let answer = said.json();
    let (id, token) = (answer["id"].as_str().unwrap(), answer["token"].as_str().unwrap());
    assert_eq!((id.len(), token.len()), (32, 43));
    let mut files = 0;
    for entry in fs::read_dir(site.data()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        for secret in [token.as_bytes(), &token.as_bytes()[..20]] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
    assert!(files > 0);

    let listed = site.run(&["subscriber", "list", "--json"]).json();
    assert_eq!(listed[0]["id"], id);
    assert_eq!(listed[0]["zones"], serde_json::json!(["polsek-klojen", "polsek-sukun"]));
    assert_eq!(listed[0]["expired"], false);
    assert_eq!(site.run(&["subscriber", "remove", id]).code, Some(0));
    assert_eq!(site.run(&["subscriber", "list", "--json"]).json(), Value::Array(vec![]));
    assert_eq!(site.run(&["subscriber", "remove", id]).code, Some(1));
}

#[test]
fn an_unknown_zone_is_refused_with_the_known_ones() {
    let site = Site::new();
    let said =
        site.run(&["subscriber", "add", "--zones", "polsek-klojen,atlantis", "--expires", "1d"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("there is no zone \"atlantis\""), "{}", said.err);
    assert!(said.err.contains("polsek-klojen, "), "{}", said.err);
}

#[test]
fn what_commands_make_is_for_the_owner_only() {
    let site = Site::new();
    site.run(&["device", "add", "--alg", "eddsa", "--public-key", EDDSA]);
    assert_eq!(mode_of(&site.data()), 0o700);
    let registry = site.data().join("registry.db");
    assert_eq!(mode_of(&registry), 0o600);
}

#[test]
fn the_environment_is_checked_like_the_file() {
    let site = Site::new();
    let said = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["config", "check"])
        .env("KENTONGAN_ALERT_SHARDS", "4")
        .current_dir(site.folder.path())
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(2));
    let err = String::from_utf8(said.stderr).unwrap();
    assert!(
        err.contains("environment variable KENTONGAN_ALERT_SHARDS: alert.shards: 4 is refused"),
        "{err}"
    );
}

#[test]
fn an_operator_has_a_role_a_name_and_a_token_that_is_kept_nowhere() {
    let site = Site::new();
    let add = ["operator", "add", "--name", "Ibu Siti", "--role", "supervisor", "--json"];
    let said = site.run(&[&add[..], &["--zones", "polsek-klojen"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let added = said.json();
    assert_eq!((&added["name"], &added["role"]), (&"Ibu Siti".into(), &"supervisor".into()));
    let token = added["token"].as_str().unwrap();
    for file in fs::read_dir(site.data()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
    }
    let taken = site.run(&[&add[..], &["--zones", "polsek-klojen"]].concat());
    assert_eq!(taken.code, Some(1));
    assert!(taken.err.contains("already"), "{}", taken.err);
    let listed = site.run(&["operator", "list", "--json"]).json();
    assert_eq!(listed[0]["zones"], serde_json::json!(["polsek-klojen"]));
    assert_eq!(listed[0].get("token"), None);
    assert_eq!(site.run(&["operator", "remove", "Ibu Siti"]).code, Some(0));
    assert_eq!(site.run(&["operator", "remove", "Ibu Siti"]).code, Some(1));
}

#[test]
fn an_operator_without_zones_is_refused_unless_it_sees_no_alerts() {
    let site = Site::new();
    let add = |role: &str| site.run(&["operator", "add", "--name", role, "--role", role]);
    assert_eq!(add("operator").code, Some(2));
    assert_eq!(add("sre").code, Some(0));
    assert_eq!(add("root").code, Some(2));
}

#[test]
fn a_policy_is_replayed_on_a_journal_or_refused_with_every_problem() {
    let site = Site::new();
    assert_eq!(site.run(&["device", "list"]).code, Some(0), "makes the registry");
    let journal = site.data().join("journal.db");
    let open =
        gateway::journal::Journal::open(&journal, &gateway::config::JournalConfig::default());
    // It stays open, as in a gateway that runs.
    let open = open.unwrap();
    let (journal, policy) =
        (journal.display().to_string(), site.file("new.toml", "[strikes]\nblock_at = 2\n"));
    let replay = ["policy", "replay", "--journal", &journal, "--policy", &policy];
    let said = site.run(&replay);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with(
        "nothing is recorded\npolicy: 1 value other than in force\n  strikes.block_at: 3 -> 2\n"
    ));
    let said = site.run(&[&replay[..], &["--json"]].concat());
    assert_eq!(said.json()["replayed"]["paged"], 0);
    drop(open);

    let wrong = site.file("wrong.toml", "[strikes]\nblock_at = 0\n[press]\nwindow = \"2d\"\n");
    let said = site.run(&["policy", "replay", "--journal", &journal, "--policy", &wrong]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("strikes.block_at") && said.err.contains("press.window"),
        "{}",
        said.err
    );
    let nowhere = site.folder.path().join("journal.db").display().to_string();
    let said = site.run(&["policy", "replay", "--journal", &nowhere, "--policy", &policy]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("journal.db"), "{}", said.err);
    assert!(!PathBuf::from(nowhere).exists(), "nothing is made");
}
