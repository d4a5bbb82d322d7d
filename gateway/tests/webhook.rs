//! A webhook's story through the real `gateway`: added while it runs, killed while its target fails, refused, asked again,
//! removed. The target believes only what its secret proves.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where its setup fails"
)]

#[path = "press/operator.rs"]
mod operator;
#[path = "press/site.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod site;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use device::Options;
use operator::{Operator, ROOT};
use protocol::{AlertId, Algorithm, Kind, Message, MessageId, Position};
use ring::hmac;
use serde_json::Value;
use site::{PATIENCE, Sender, Site};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

#[tokio::test]
async fn webhook_is_sent_every_press_whatever_happens_to_gateway_and_target() {
    let site = Site::prepare("webhook.retry_min = \"10ms\"\nwebhook.retry_max = \"20ms\"\n");
    let mut site = site.start_serving().await;
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    press(&site, &mut sender).await;
    let mut target = Target::start().await;
    let url = format!("http://{}/alerts", target.address);
    let add = ["webhook", "add", "--url", &url, "--zone", ROOT, "--allow-private"];
    let added = site.run(&add);
    let id = added["id"].as_str().unwrap().to_owned();
    target.secret = added["secret"].as_str().unwrap().to_owned();

    // What came before it is not its own; what comes is, signed.
    let first = press(&site, &mut sender).await;
    let (_, event) = target.request().await;
    assert_eq!(event["type"], "alert");
    assert_eq!(event["data"]["message_id"], first);

    // A press that the target does not take survives the gateway's death.
    target.status.store(500, Ordering::SeqCst);
    let second = press(&site, &mut sender).await;
    let (name, event) = target.request().await;
    assert_eq!(event["data"]["message_id"], second);
    kill(&mut site).await;
    target.status.store(204, Ordering::SeqCst);
    while target.requests.try_recv().is_ok() {}
    site.start().await;
    let (again, event) = target.request().await;
    assert_eq!((&again, &event["data"]["message_id"]), (&name, &Value::from(second)));

    // One that it refuses is put aside for whoever asks.
    target.status.store(400, Ordering::SeqCst);
    let third = press(&site, &mut sender).await;
    site.metric("gateway_webhook_dead_letters_total{cause=\"rejected\"}", |dead| dead == 1.0).await;
    let dead = site.run(&["webhook", "dead", &id]);
    assert_eq!((&dead[0]["cause"], &dead[0]["attempts"]), (&"rejected".into(), &3.into()));
    let listed = site.run(&["webhook", "list"]);
    assert_eq!((&listed[0]["url"], &listed[0]["dead_letters"]), (&url.into(), &1.into()));
    while target.requests.try_recv().is_ok() {}
    target.status.store(200, Ordering::SeqCst);
    assert!(site.command(&["webhook", "retry", &id]).output().unwrap().status.success());
    let (name, event) = target.request().await;
    assert_eq!(
        (&dead[0]["webhook_id"], &event["data"]["message_id"]),
        (&name.into(), &third.into())
    );

    assert!(site.command(&["webhook", "remove", &id]).output().unwrap().status.success());
    site.metric("gateway_webhook_targets", |served| served == 0.0).await;
    assert!(!site.log().contains(&target.address.to_string()), "a log names no address");
}

#[tokio::test]
async fn address_inside_is_refused_when_it_is_added_or_when_it_is_reached() {
    let site = Site::prepare("webhook.attempts_max = 1\n").start_serving().await;
    let mut target = Target::start().await;
    let add = |url: &str| {
        let add = ["webhook", "add", "--url", url, "--zone", ROOT, "--json"];
        site.command(&add).output().unwrap()
    };
    let plain = add(&format!("http://{}/", target.address));
    assert_eq!(plain.status.code(), Some(2));
    assert!(String::from_utf8(plain.stderr).unwrap().contains("--allow-private"));
    assert!(add(&format!("https://{}/", target.address)).status.success());
    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    press(&site, &mut sender).await;
    site.metric("gateway_webhook_dead_letters_total{cause=\"private\"}", |dead| dead == 1.0).await;
    assert!(target.requests.try_recv().is_err());
}

#[tokio::test]
async fn neighbour_is_posted_presses_outside_every_zone_and_what_follows() {
    let site = Site::prepare("routing.file = \"routing.toml\"\n");
    let routing = "[[neighbour]]\nname = \"batu\"\narea = [112.0, -8.2, 112.5, -7.5]\n[[neighbour]]\nname = \"sea\"\n";
    std::fs::write(site.path("routing.toml"), routing).unwrap();
    let site = site.start_serving().await;
    site.metric("gateway_webhook_neighbours_missing", |missing| missing == 2.0).await;
    let (mut batu, mut sea) = (Target::start().await, Target::start().await);
    for (name, target) in [("batu", &mut batu), ("sea", &mut sea)] {
        let url = format!("http://{}/", target.address);
        let add = ["webhook", "add", "--url", &url, "--neighbour", name, "--allow-private"];
        target.secret = site.run(&add)["secret"].as_str().unwrap().to_owned();
        let checked = site.command(&["routing", "check"]).output().unwrap().stdout;
        let told_nothing =
            String::from_utf8(checked).unwrap().contains("neighbour sea is told nothing");
        assert_eq!(told_nothing, name == "batu");
    }
    let nobody = ["webhook", "add", "--url", "https://a.example/", "--neighbour", "kediri"];
    let refused = site.command(&nobody).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("it names batu, sea"));
    site.metric("gateway_webhook_neighbours_missing", |missing| missing == 0.0).await;

    let mut sender = site.enrolled(1, Algorithm::EdDsa);
    press_at(&site, &mut sender, Position::new(-79_770_000, 1_126_300_000)).await;
    press(&site, &mut sender).await;
    let mut other = site.enrolled(2, Algorithm::EdDsa);
    let in_batu = press_at(&site, &mut other, Position::new(-78_700_000, 1_124_900_000)).await;
    let counters = other.next_counters();
    let update = other
        .sign(&Message { alert: Some(AlertId(in_batu.0)), ..Message::new(Kind::Update, counters) });
    site.client(&Options::default()).send(&update).await.unwrap();
    let mut third = site.enrolled(3, Algorithm::EdDsa);
    let at_sea = press_at(&site, &mut third, Position::new(-90_000_000, 1_126_300_000)).await;
    for target in [&mut batu, &mut sea] {
        let (_, raise) = target.request().await;
        let data = &raise["data"];
        assert_eq!(
            (&data["kind"], &data["message_id"]),
            (&"raise".into(), &in_batu.to_string().into())
        );
        assert_eq!((&data["zone"], &data["page"]), (&ROOT.into(), &true.into()));
        let told = serde_json::json!([ROOT, "neighbour:batu", "neighbour:sea"]);
        assert_eq!(data["paged_zones"], told);
        assert!(data["flags"].as_array().unwrap().contains(&"outside_zones".into()));
        let (_, update) = target.request().await;
        let data = &update["data"];
        assert_eq!(
            (&data["kind"], &data["alert_id"]),
            (&"update".into(), &in_batu.to_string().into())
        );
    }
    let (_, raise) = sea.request().await;
    assert_eq!(raise["data"]["message_id"], at_sea.to_string());
    let siti = Operator::add(&site, "siti", "operator");
    siti.wait(&["ack", &at_sea.to_string()], |_| true).await;
    siti.ctl(&["ack", &in_batu.to_string()]).unwrap();
    // The press at sea is nothing to batu: the next that it hears is the answer to its own.
    let (_, answer) = batu.request().await;
    assert_eq!(
        (&answer["type"], &answer["data"]["act"]),
        (&"decision".into(), &"acknowledge".into())
    );
    assert_eq!(answer["data"]["alert_id"], in_batu.to_string());
}

/// A press that was received; its message id.
async fn press(site: &Site, sender: &mut Sender) -> String {
    press_at(site, sender, None).await.to_string()
}

async fn press_at(site: &Site, sender: &mut Sender, place: Option<Position>) -> MessageId {
    let signed = sender.press(place);
    site.client(&Options::default()).send(&signed).await.unwrap();
    signed.id()
}

/// Ends the gateway as a power cut would.
async fn kill(site: &mut Site) {
    let id = i32::try_from(site.pid()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    site.ended().await;
}

/// A service on a free port that answers every request with the same status.
struct Target {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    secret: String,
    requests: mpsc::UnboundedReceiver<(String, String)>,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(204));
        let answer = Arc::clone(&status);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read(&mut stream).await else { continue };
                // Sent first: whoever waits for the request decides about the next answer, not about this one.
                let status = answer.load(Ordering::SeqCst);
                drop(sender.send(request));
                let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                drop(stream.write_all(text.as_bytes()).await);
            }
        });
        Self { address, status, secret: String::new(), requests }
    }

    /// The name and the body of the next request, which is signed with the secret.
    async fn request(&mut self) -> (String, Value) {
        let (head, body) =
            tokio::time::timeout(PATIENCE, self.requests.recv()).await.unwrap().unwrap();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(known, _)| *known == name).unwrap().1
        };
        let key = STANDARD.decode(self.secret.strip_prefix("whsec_").unwrap()).unwrap();
        let (name, at) = (header("webhook-id"), header("webhook-timestamp"));
        let signature = STANDARD.decode(&header("webhook-signature")["v1,".len()..]).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::verify(&key, format!("{name}.{at}.{body}").as_bytes(), &signature).unwrap();
        (name.to_owned(), serde_json::from_str(&body).unwrap())
    }
}

/// The head and the body of one request; nothing if the other side goes.
async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut read = vec![];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == len.parse::<usize>().unwrap() {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&buffer[..count]);
    }
}
