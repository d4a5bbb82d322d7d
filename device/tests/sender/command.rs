//! The command as a script and a frightened person meet it: output, exit codes, and what a crash leaves behind.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use protocol::{Algorithm, Envelope, Label, Message, Method, Progress, Reason, Status};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stub::{After, Identity, Reply, Stub, receipt, refusal};

const REALM: &str = "00112233445566778899aabbccddeeff";
const DEVICE: &str = "ffeeddccbbaa99887766554433221100";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_shown_and_pressed_with() {
    for alg in ["es256", "eddsa"] {
        let desk = Desk::new([Reply::Receipt(receipt(Status::Received))], alg);
        let shown = desk.run(&["public", "--key", desk.key(), "--json"]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!((&shown["alg"], shown["public_key"].is_string()), (&json!(alg), true));

        let pressed = desk.press(&["--category", "fire", "--note", "di lantai dua", "--silent"]);

        assert_eq!(pressed.status.code(), Some(0), "{pressed:?}");
        let told: Value = serde_json::from_slice(&pressed.stdout).unwrap();
        let heard = desk.stub.heard();
        let envelope = Envelope::parse(&heard[0].bytes).unwrap();
        let id = envelope.message_id(&REALM.parse().unwrap()).alert().to_string();
        assert_eq!(
            (&told["status"], &told["alert_id"], &told["attempts"], &told["reason"]),
            (&json!("received"), &json!(id), &json!(1), &Value::Null)
        );
        assert!(told["latency_ms"].as_u64().is_some_and(|latency_ms| latency_ms > 0));
        assert_eq!(envelope.algorithm, Algorithm::from_name(alg).unwrap());
        let (message, labels) = Message::decode(envelope.message).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [Label::Silent]);
        let position = message.position.unwrap();
        assert_eq!((position.lat_e7(), position.lon_e7()), (-79_666_200, 1_126_326_000));
        assert_eq!((position.method, position.radius_m), (Method::TypedIn, 0));
        assert_eq!(message.category.unwrap().name(), "fire");
        assert_eq!(message.note, Some("di lantai dua"));
        assert!(message.device_clock.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_press_travels_in_the_first_packet() {
    for (flag, early) in [("--prepare", true), ("--no-zero-rtt", false)] {
        let desk = Desk::new([Reply::Receipt(receipt(Status::Received))], "es256");
        let pressed = desk.press(&["--prepare", flag][usize::from(early)..]);
        assert_eq!(pressed.status.code(), Some(0), "{pressed:?}");
        let told: Value = serde_json::from_slice(&pressed.stdout).unwrap();
        // That the stub saw it early proves that it was; a busy stub looks only after the handshake, which proves nothing.
        assert_eq!(told["zero_rtt"], json!(early));
        assert!(early || !desk.stub.heard()[0].early);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_press_is_told_line_by_line() {
    let steps = &[Progress::Acknowledged, Progress::Resolved];
    let followed = Reply::Steps(receipt(Status::Received), steps, After::End);
    let desk = Desk::new([followed], "eddsa");
    let pressed = desk.press(&["--follow"]);
    assert_eq!(pressed.status.code(), Some(0), "{pressed:?}");
    let told = String::from_utf8(pressed.stdout).unwrap();
    let told = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told: Vec<_> = told.map(|line| line["status"].clone()).collect();
    assert_eq!(told, ["received", "acknowledged", "resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_advance_and_no_two_presses_are_alike() {
    let desk = Desk::new(vec![Reply::Receipt(receipt(Status::Received)); 2], "eddsa");
    desk.press(&[]);
    desk.press(&[]);

    let heard = desk.stub.heard();
    let counters = heard.iter().map(|heard| {
        let message = Envelope::parse(&heard.bytes).unwrap().message;
        Message::decode(message).unwrap().0.counters
    });
    assert!(counters.is_sorted_by(|earlier, later| earlier < later));
    assert_eq!(heard.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_reason() {
    let desk = Desk::new([refusal(Reason::Revoked)], "eddsa");
    let pressed = desk.press(&[]);
    assert_eq!(pressed.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&pressed.stdout).unwrap();
    assert_eq!((&told["status"], &told["reason"]), (&json!("refused"), &json!("revoked")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_file_is_named_before_anything_is_sent() {
    let desk = Desk::new([], "es256");
    let missing = desk.dir.path().join("missing.pem");
    for (flag, value) in [("--key", missing.to_str().unwrap()), ("--ca", desk.key())] {
        let mut arguments = desk.press_arguments();
        let at = arguments.iter().position(|argument| argument == flag).unwrap();
        arguments[at + 1] = value.to_owned();
        let pressed = desk.run(&arguments);
        assert_eq!(pressed.status.code(), Some(2));
        let said = String::from_utf8(pressed.stderr).unwrap();
        assert!(said.contains(flag) && said.contains(value), "{said}");
    }
    let again = desk.run(&["keygen", "--alg", "es256", "--out", desk.key()]);
    assert_eq!(again.status.code(), Some(2));
    assert!(desk.stub.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_keeps_nothing_does_not_cost_the_press() {
    let desk = Desk::new([Reply::Receipt(receipt(Status::Received))], "eddsa");
    let nowhere = desk.dir.path().join("no/such/directory/state");
    let pressed = desk.press(&["--state", nowhere.to_str().unwrap()]);
    assert_eq!(pressed.status.code(), Some(0), "{pressed:?}");
    assert!(!pressed.stderr.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_off_the_globe_does_not_cost_the_press() {
    let desk = Desk::new([Reply::Receipt(receipt(Status::Received))], "eddsa");
    let mut arguments = desk.press_arguments();
    let at = arguments.iter().position(|argument| argument == "--at").unwrap();
    arguments[at + 1] = "91.0,181.0".to_owned();
    assert_eq!(desk.run(&arguments).status.code(), Some(0));
    let heard = desk.stub.heard();
    let message = Envelope::parse(&heard[0].bytes).unwrap().message;
    assert_eq!(Message::decode(message).unwrap().0.position, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_that_a_crash_interrupted_is_sent_again_as_the_same_press() {
    let desk = Desk::new([], "es256");
    let mut killed = desk.start(&desk.press_arguments());
    let first = desk.stub.hear(1).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    desk.stub.reply([
        Reply::Receipt(receipt(Status::Received)),
        Reply::Receipt(receipt(Status::Received)),
    ]);
    let before = desk.stub.heard().len();

    let pressed = desk.press(&[]);

    assert_eq!(pressed.status.code(), Some(0), "{pressed:?}");
    let heard = desk.stub.heard().split_off(before);
    assert_eq!(heard.len(), 2);
    let again = heard.iter().filter(|heard| heard.bytes == first[0].bytes).count();
    assert_eq!(again, 1, "the interrupted press once, and the new one");
    let settled = desk.press(&["--deadline", "100ms"]);
    assert_ne!(settled.status.code(), Some(0), "silence");
    let last = desk.stub.heard().split_off(before + 2);
    assert!(last.iter().all(|last| last.bytes != first[0].bytes), "settled presses stay settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_that_was_told_to_have_failed_is_not_sent_behind_anyones_back() {
    let desk = Desk::new([], "es256");
    let failed = desk.press(&["--deadline", "100ms"]);
    // 1 or 4: whether a busy machine shakes hands within the deadline is not the matter here.
    assert_ne!(failed.status.code(), Some(0), "{failed:?}");
    let told: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!((&told["status"], &told["latency_ms"]), (&json!("missing"), &Value::Null));
    let first = desk.stub.heard();
    desk.stub.reply([Reply::Receipt(receipt(Status::Received))]);

    assert_eq!(desk.press(&[]).status.code(), Some(0));

    let heard = desk.stub.heard().split_off(first.len());
    assert_eq!(heard.len(), 1);
    assert!(first.iter().all(|first| first.bytes != heard[0].bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_not_there_has_its_own_exit_code() {
    let desk = Desk::new([], "es256");
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut arguments = desk.press_arguments();
    let at = arguments.iter().position(|argument| argument == "--server").unwrap();
    arguments[at + 1] = nobody.local_addr().unwrap().to_string();
    arguments.extend(["--deadline".to_owned(), "100ms".to_owned()]);
    let pressed = desk.run(&arguments);
    assert_eq!(pressed.status.code(), Some(4), "{pressed:?}");
    let told: Value = serde_json::from_slice(&pressed.stdout).unwrap();
    assert_eq!(told["reason"], json!("unreachable"));
}

/// A stub, and everything that a command needs to press there.
struct Desk {
    dir: TempDir,
    stub: Stub,
    key: PathBuf,
    ca: PathBuf,
}

impl Desk {
    fn new(replies: impl IntoIterator<Item = Reply>, alg: &str) -> Self {
        let identity = Identity::new();
        let stub = Stub::start(&identity, replies);
        let dir = TempDir::new().unwrap();
        let (key, ca) = (dir.path().join("key.pem"), dir.path().join("ca.pem"));
        std::fs::write(&ca, identity.pem()).unwrap();
        let desk = Self { dir, stub, key, ca };
        let made = desk.run(&["keygen", "--alg", alg, "--out", desk.key()]);
        assert!(made.status.success(), "{made:?}");
        desk
    }

    fn key(&self) -> &str {
        self.key.to_str().unwrap()
    }

    fn press_arguments(&self) -> Vec<String> {
        let server = self.stub.address().to_string();
        let ca = self.ca.to_str().unwrap();
        [
            ["press", "--json"],
            ["--server", &server],
            ["--ca", ca],
            ["--realm", REALM],
            ["--key", self.key()],
            ["--device-id", DEVICE],
            ["--at", "-7.96662,112.6326"],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
    }

    fn press(&self, more: &[&str]) -> Output {
        let mut arguments = self.press_arguments();
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        self.run(&arguments)
    }

    fn start(&self, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_device"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(&self, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Output {
        // The stub answers on the runtime's other threads meanwhile.
        tokio::task::block_in_place(|| self.start(arguments).wait_with_output().unwrap())
    }
}
