//! A real gateway process in a folder of its own, its enrolled devices, and readers of its feed.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use device::{Client, Key, Options, Policy, Signed, Signer, Trust};
use eventsource_stream::Eventsource;
use futures_util::{Stream, StreamExt};
use protocol::{Algorithm, Counters, DeviceId, Message, Nonce, Position, Realm};
use quinn::{ClientConfig, Connection, Endpoint};
use serde_json::Value;

/// How long a test waits for what must happen before it calls it missing. Far longer than a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration, and the gateway that serves from it.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    serving: Option<Serving>,
}

/// A gateway process and what it said when it was ready.
struct Serving {
    process: Child,
    ready: Value,
}

/// A device: its key, and counters that go up by one with each press.
pub(crate) struct Sender {
    pub(crate) id: DeviceId,
    signer: Signer,
    sequence: u32,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell of anything else.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Site {
    /// A gateway that serves on ports of the system's choice.
    pub(crate) async fn serve() -> Self {
        Self::serve_with("").await
    }

    /// The same with more lines in its configuration.
    pub(crate) async fn serve_with(lines: &str) -> Self {
        Self::prepare(lines).start_serving().await
    }

    /// A folder with a configuration that holds these lines too, and no gateway yet.
    pub(crate) fn prepare(lines: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), serving: None };
        let config = "data_dir = \"data\"\n\
            alert.listen = \"127.0.0.1:0\"\n\
            operator.listen = \"127.0.0.1:0\"\n\
            registry.poll_interval = \"20ms\"\n";
        fs::write(site.path("gateway.toml"), format!("{config}{lines}")).unwrap();
        site
    }

    pub(crate) async fn start_serving(mut self) -> Self {
        self.start().await;
        self
    }

    /// Starts the gateway and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let ready_file = self.path("ready.json");
        drop(fs::remove_file(&ready_file));
        let log = fs::File::create(self.path("gateway.log")).unwrap();
        let process = self
            .command(&["serve", "--ready-file", "ready.json"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut serving = Serving { process, ready: Value::Null };
        let ready = async {
            loop {
                if let Ok(text) = fs::read(&ready_file) {
                    // It is written atomically, so what is there is whole.
                    return serde_json::from_slice(&text).unwrap();
                }
                let ended = serving.process.try_wait().unwrap();
                assert!(ended.is_none(), "{ended:?}: {}", self.log());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        serving.ready = tokio::time::timeout(PATIENCE, ready).await.unwrap();
        self.serving = Some(serving);
    }

    /// Asks the gateway to stop and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        let mut serving = self.serving.take().unwrap();
        let id = rustix::process::Pid::from_child(&serving.process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        tokio::task::spawn_blocking(move || serving.process.wait().unwrap()).await.unwrap()
    }

    /// Kills the gateway and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        let mut serving = self.serving.take().unwrap();
        serving.process.kill().unwrap();
        tokio::task::spawn_blocking(move || serving.process.wait().unwrap()).await.unwrap();
    }

    /// Waits until the gateway has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut serving = self.serving.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || serving.process.wait().unwrap());
        tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap()
    }

    /// Asks the gateway to read its files again.
    pub(crate) fn hang_up(&self) {
        let id = rustix::process::Pid::from_child(&self.serving.as_ref().unwrap().process);
        rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    }

    /// Waits until the gateway has logged this.
    pub(crate) async fn logged(&self, text: &str) {
        let logged = async {
            while !self.log().contains(text) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, logged).await;
        assert!(waited.is_ok(), "not logged: {text}\n{}", self.log());
    }

    /// What the gateway wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("gateway.log")).unwrap()
    }

    /// The gateway's process.
    pub(crate) fn pid(&self) -> u64 {
        self.serving.as_ref().unwrap().ready["pid"].as_u64().unwrap()
    }

    /// A field of the ready file.
    pub(crate) fn ready(&self, field: &str) -> &str {
        self.serving.as_ref().unwrap().ready[field].as_str().unwrap()
    }

    pub(crate) fn realm(&self) -> Realm {
        self.ready("realm").parse().unwrap()
    }

    /// Runs a command to its end and gives back the JSON that it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A device that is enrolled.
    pub(crate) fn enrolled(&self, number: u8, algorithm: Algorithm) -> Sender {
        let sender = self.sender(number, algorithm);
        self.enrol(&sender);
        sender
    }

    /// A device that nobody has enrolled.
    pub(crate) fn sender(&self, number: u8, algorithm: Algorithm) -> Sender {
        let (id, key) = (DeviceId([number; 16]), Key::from_secret(algorithm, &[number; 32]));
        let signer = Signer::new(self.realm(), id, key.unwrap());
        Sender { id, signer, sequence: 0 }
    }

    pub(crate) fn enrol(&self, sender: &Sender) {
        self.enrol_as(sender, &["--vouched"]);
    }

    /// Enrols a device with these options of `device add`.
    pub(crate) fn enrol_as(&self, sender: &Sender, options: &[&str]) {
        let key = sender.signer.key();
        let (id, public) = (sender.id.to_string(), key.public_hex());
        let add = ["device", "add", "--device-id", &id, "--alg", key.algorithm().name()];
        self.run(&[&add[..], &["--public-key", &public], options].concat());
    }

    /// A client that never gives up before the test does.
    pub(crate) fn client(&self, options: &Options) -> Arc<Client> {
        let server = self.ready("alert_addr").parse().unwrap();
        let policy = Policy { deadline: Some(PATIENCE), ..Policy::default() };
        Arc::new(Client::new(server, &self.trust(), options, policy).unwrap())
    }

    /// A bare connection, for messages that a client would not send.
    pub(crate) async fn connection(&self) -> Connection {
        let address: SocketAddr = self.ready("alert_addr").parse().unwrap();
        self.connection_on(device::bind(address).unwrap()).await
    }

    /// The same from an address of the caller's choice.
    pub(crate) async fn connection_on(&self, endpoint: Endpoint) -> Connection {
        let address = self.ready("alert_addr").parse().unwrap();
        endpoint.connect_with(self.client_config(), address, "127.0.0.1").unwrap().await.unwrap()
    }

    /// How a phone connects.
    pub(crate) fn client_config(&self) -> ClientConfig {
        device::client_config(&self.trust(), &Options::default()).unwrap()
    }

    /// Waits until this metric, with its labels as the page shows them, has a value that will do.
    pub(crate) async fn metric(&self, series: &str, will_do: impl Fn(f64) -> bool) {
        let url = format!("http://{}/metrics", self.ready("operator_addr"));
        let mut page = String::new();
        let shown = async {
            loop {
                page = reqwest::get(&url).await.unwrap().text().await.unwrap();
                let found = page.lines().filter_map(|line| line.rsplit_once(' '));
                let value = found.clone().find(|(name, _)| *name == series);
                if value.is_some_and(|(_, value)| will_do(value.parse().unwrap())) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let shown = tokio::time::timeout(PATIENCE, shown).await;
        assert!(shown.is_ok(), "{series} never will do: {page}");
    }

    /// Every event of these zones, whatever its kind, from the beginning.
    pub(crate) async fn events(&self, zones: &str) -> Events {
        Events { feed: self.feed(zones).await }
    }

    /// The feed of these zones, from its beginning.
    pub(crate) async fn feed(&self, zones: &str) -> Feed {
        let token = self.run(&["subscriber", "add", "--zones", zones, "--expires", "1h"]);
        let url = format!("http://{}/v1/feed?from=start", self.ready("operator_addr"));
        let request = reqwest::Client::new().get(url).bearer_auth(token["token"].as_str().unwrap());
        // The gateway learns of a token a moment after it was made.
        let open = async {
            loop {
                let response = request.try_clone().unwrap().send().await.unwrap();
                if response.status() != 401 {
                    return response.error_for_status().unwrap();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let response = tokio::time::timeout(PATIENCE, open).await.unwrap();
        let events = response.bytes_stream().eventsource().map(|event| event.unwrap());
        Feed { events: Box::pin(events) }
    }

    fn trust(&self) -> Trust {
        Trust::from_pem_file(Path::new(&self.folder.path().join(self.ready("cert")))).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of the gateway, run in its folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.current_dir(self.folder.path()).args(arguments).args(["--config", "gateway.toml"]);
        // A test's own, and no setting of a gateway.
        command.env_remove("KENTONGAN_SEED");
        command
    }
}

impl Sender {
    /// A press at this place.
    pub(crate) fn press(&mut self, at: Option<Position>) -> Signed {
        let nonce = Nonce([self.id.0[0]; 8]);
        let counters = self.next_counters();
        self.sign(&Message { position: at, ..Message::raise(counters, nonce) })
    }

    /// The counters of the last message.
    pub(crate) fn counters(&self) -> Counters {
        Counters::new(1, self.sequence)
    }

    pub(crate) fn next_counters(&mut self) -> Counters {
        self.sequence += 1;
        self.counters()
    }

    pub(crate) fn sign(&self, message: &Message<'_>) -> Signed {
        self.signer.sign(message).unwrap()
    }

    /// Message bytes that the library would not make, signed as they are.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Bytes {
        let (key, realm) = (self.signer.key(), self.signer.realm());
        let covered = protocol::to_be_signed(key.algorithm(), &self.id, realm, message);
        let signature = key.sign(&covered).unwrap();
        protocol::assemble(key.algorithm(), &self.id, message, &signature).into()
    }
}

/// Events of one subscriber, in order.
pub(crate) struct Feed {
    events: std::pin::Pin<Box<dyn Stream<Item = eventsource_stream::Event>>>,
}

impl Feed {
    /// The next alert. That whoever pressed is somewhere else by then, as many are here, is passed over.
    pub(crate) async fn next(&mut self) -> Value {
        let mut event = self.event().await;
        while event.event == "moving" {
            event = self.event().await;
        }
        assert_eq!(event.event, "alert");
        assert!(!event.id.is_empty());
        serde_json::from_str(&event.data).unwrap()
    }

    async fn event(&mut self) -> eventsource_stream::Event {
        tokio::time::timeout(PATIENCE, self.events.next()).await.unwrap().unwrap()
    }

    /// The message ids of the next alerts, up to and with `last`.
    pub(crate) async fn until(&mut self, last: &Signed) -> Vec<String> {
        let mut ids = vec![];
        while ids.last() != Some(&last.id().to_string()) {
            ids.push(self.next().await["message_id"].as_str().unwrap().to_owned());
        }
        ids
    }
}

/// Events of one subscriber with their kinds, in order.
pub(crate) struct Events {
    feed: Feed,
}

impl Events {
    /// The first event that is `wanted`, and those before it.
    pub(crate) async fn until(
        &mut self,
        wanted: impl Fn(&str, &Value) -> bool,
    ) -> (Vec<(String, Value)>, Value) {
        let mut before = vec![];
        loop {
            let next = tokio::time::timeout(PATIENCE, self.feed.events.next()).await;
            let event = next.unwrap().unwrap();
            let data: Value = serde_json::from_str(&event.data).unwrap();
            if wanted(&event.event, &data) {
                return (before, data);
            }
            before.push((event.event, data));
        }
    }
}
