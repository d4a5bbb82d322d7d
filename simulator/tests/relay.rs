//! Relays over loopback: what phones send arrives or is accounted for, and comes from where the network says.

#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pipeline::Time;
use simulator::Seed;
use simulator::network::{Fate, Flow, FlowNumber, Network, Rebinding, Way};
use simulator::relay::{Packets, RelayError, TcpRelay, UdpRelay};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Long after a machine under load would have done it.
const PATIENCE: Duration = Duration::from_secs(30);
const SEED: Seed = Seed(7);
/// Packets on their way at one time. On a busy machine all of them, and their copies, arrive in one burst; a socket that
/// nobody has given more room holds two hundred.
const HELD_MAX: u64 = 64;

fn network(text: &str) -> Network {
    Network::parse("test", text).unwrap()
}

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn relay(gateway: &UdpSocket, network: &Network) -> UdpRelay {
    UdpRelay::open(gateway.local_addr().unwrap(), network, SEED).await.unwrap()
}

/// Waits until `is_so`, letting the relay work meanwhile.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 2_048];
    let received = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (len, from) = received.unwrap().unwrap();
    buffer.truncate(len);
    (buffer, from)
}

/// Sends one packet and answers it; where the gateway sees the phone.
async fn exchange(phone: &UdpSocket, relay: &UdpRelay, gateway: &UdpSocket) -> SocketAddr {
    phone.send_to(b"help", relay.addr()).await.unwrap();
    let (message, from) = receive(gateway).await;
    assert_eq!(message, b"help");
    gateway.send_to(b"coming", from).await.unwrap();
    assert_eq!(receive(phone).await, (b"coming".to_vec(), relay.addr()));
    from
}

#[tokio::test]
async fn a_clear_network_hands_on_everything_both_ways() {
    let (gateway, phone) = (socket().await, socket().await);
    let relay = relay(&gateway, &Network::default()).await;
    let from = exchange(&phone, &relay, &gateway).await;
    for _ in 0..50 {
        assert_eq!(exchange(&phone, &relay, &gateway).await, from);
    }
    let counts = relay.stop();
    assert!(counts.is_settled(), "{counts:?}");
    assert_eq!((counts.up.delivered, counts.down.delivered, counts.mappings.opened), (51, 51, 1));
}

#[tokio::test]
async fn packets_meet_the_fates_that_the_model_says_and_all_are_accounted_for() {
    let text = "[up]\ndelay = \"3ms\"\njitter = \"1ms\"\nbad_enter = 0.1\nbad_leave = 0.3\nloss_bad = 0.9\n\
                duplicate = 0.2\nreorder = 0.2\nreorder_by = \"2ms\"\nmtu = 1280\n";
    let network = network(text);
    let mut model = Flow::new(Arc::new(network.clone()), SEED, FlowNumber(0));
    let (gateway, phone) = (socket().await, socket().await);
    let relay = relay(&gateway, &network).await;
    let gateway_addr = gateway.local_addr().unwrap();
    // The gateway reads meanwhile: what a full socket drops, nobody can account for.
    let reading = tokio::spawn(async move {
        let mut received = 0_u64;
        loop {
            match receive(&gateway).await.0.as_slice() {
                b"end" => return received,
                message => assert_eq!(message, [7; 40]),
            }
            received += 1;
        }
    });
    let (mut lost, mut copies, mut delivered, mut too_large) = (0, 0, 0, 0);
    for place in 0..400_usize {
        let len = if place % 20 == 0 { 1_260 } else { 40 };
        // Neither loss nor copies depend on when a packet is sent.
        match model.pass(Way::Up, len, Time(0)) {
            Fate::Delivered(delivery) => {
                delivered += 1;
                copies += u64::from(delivery.copy_at.is_some());
            }
            Fate::Lost => lost += 1,
            Fate::TooLarge => too_large += 1,
            Fate::QueueFull => unreachable!("the line has no rate"),
        }
        phone.send_to(&vec![7; len], relay.addr()).await.unwrap();
        let is_next = |up: Packets| up.taken == place as u64 + 1 && up.held < HELD_MAX;
        until(|| is_next(relay.counts().up)).await;
    }
    until(|| relay.counts().is_settled() && relay.counts().up.duplicated == copies).await;
    let up = relay.stop().up;
    socket().await.send_to(b"end", gateway_addr).await.unwrap();
    assert_eq!(reading.await.unwrap(), delivered + copies);
    assert_eq!((up.delivered, up.lost, up.too_large), (delivered, lost, too_large));
    assert!(lost > 0 && copies > 0 && up.reordered > 0 && too_large == 20);
}

#[tokio::test]
async fn rebinding_changes_where_the_gateway_sees_a_phone() {
    let (gateway, phone) = (socket().await, socket().await);
    let relay = relay(&gateway, &Network::default()).await;
    let first = exchange(&phone, &relay, &gateway).await;
    relay.rebind(Rebinding::Port);
    // What the gateway sends to where the phone was finds nobody.
    gateway.send_to(b"late", first).await.unwrap();
    let second = exchange(&phone, &relay, &gateway).await;
    assert_eq!(first.ip(), second.ip());
    assert_ne!(first.port(), second.port());
    relay.rebind(Rebinding::Address);
    let third = exchange(&phone, &relay, &gateway).await;
    assert_ne!(third.ip(), second.ip());
    assert!(third.ip().is_loopback());
    relay.rebind(Rebinding::Address);
    assert_ne!(exchange(&phone, &relay, &gateway).await.ip(), third.ip());
    let counts = relay.stop();
    assert_eq!((counts.mappings.opened, counts.mappings.rebound), (1, 3));
    assert_eq!((counts.up.delivered, counts.down.taken), (4, 4));
}

#[tokio::test]
async fn a_mapping_that_nobody_uses_ends_and_the_next_packet_opens_another() {
    let (gateway, phone) = (socket().await, socket().await);
    let network = network("[nat]\ntimeout_single = \"2ms\"\ntimeout = \"2ms\"\n");
    let relay = relay(&gateway, &network).await;
    for turn in 1..=3 {
        phone.send_to(b"help", relay.addr()).await.unwrap();
        until(|| relay.counts().mappings.expired == turn).await;
    }
    let mappings = relay.stop().mappings;
    assert_eq!((mappings.opened, mappings.open), (3, 0));
}

#[tokio::test]
async fn a_full_table_lets_the_oldest_go() {
    let (gateway, phones) = (socket().await, [socket().await, socket().await, socket().await]);
    let relay = relay(&gateway, &network("[nat]\nmappings = 2\n")).await;
    for phone in &phones {
        exchange(phone, &relay, &gateway).await;
    }
    let mappings = relay.stop().mappings;
    assert_eq!((mappings.opened, mappings.evicted, mappings.open), (3, 1, 2));
}

#[tokio::test]
async fn many_phones_share_the_addresses_of_a_carrier() {
    let gateway = socket().await;
    let relay = relay(&gateway, &network("[nat]\naddresses = 3\n")).await;
    // A phone that is gone may leave its port to the next, which then is the same phone.
    let (mut phones, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let phone = socket().await;
        seen.push(exchange(&phone, &relay, &gateway).await);
        phones.push(phone);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 12);
    let mut addresses: Vec<IpAddr> = seen.iter().map(SocketAddr::ip).collect();
    addresses.dedup();
    assert_eq!(addresses.len(), 3);
}

#[tokio::test]
async fn addresses_of_a_carrier_reach_this_machine_alone() {
    let far = "192.0.2.1:4433".parse().unwrap();
    let refused = UdpRelay::open(far, &Network::load("cgnat").unwrap(), SEED).await.unwrap_err();
    assert!(matches!(refused, RelayError::Addresses { .. }), "{refused}");
}

#[tokio::test]
async fn what_is_blocked_reaches_nobody_and_is_counted() {
    let (gateway, phone) = (socket().await, socket().await);
    let relay = relay(&gateway, &network("[udp]\nblocked = true\n")).await;
    phone.send_to(b"help", relay.addr()).await.unwrap();
    until(|| relay.counts().up.blocked == 1).await;
    assert_eq!(relay.counts().mappings.opened, 0);
    relay.block(false);
    let from = exchange(&phone, &relay, &gateway).await;
    relay.block(true);
    gateway.send_to(b"anybody?", from).await.unwrap();
    until(|| relay.counts().down.blocked == 1).await;
    assert!(relay.stop().is_settled());
}

/// A gateway that answers whatever it is told, once it has been told everything.
async fn repeater() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut told = Vec::new();
                // Whoever is cut off while it talks gets no answer.
                if stream.read_to_end(&mut told).await.is_ok() {
                    drop(stream.write_all(&told).await);
                }
            });
        }
    });
    addr
}

#[tokio::test]
async fn bytes_of_a_stream_arrive_whole_and_in_order_and_half_of_it_can_end() {
    let text = "[up]\ndelay = \"1ms\"\njitter = \"1ms\"\nloss_good = 0.01\n[down]\ndelay = \"1ms\"\nrate = \"80Mbit/s\"\n";
    let relay = TcpRelay::open(repeater().await, &network(text), SEED).await.unwrap();
    let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
    let told: Vec<u8> = (0..300_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    let (mut read, mut write) = stream.split();
    let (mut heard, telling) = (Vec::new(), async {
        write.write_all(&told).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let both = async { tokio::join!(telling, read.read_to_end(&mut heard)) };
    tokio::time::timeout(PATIENCE, both).await.unwrap().1.unwrap();
    assert!(heard == told, "{} of {} bytes", heard.len(), told.len());
    until(|| relay.counts().closed == 1).await;
    let counts = relay.stop();
    assert_eq!((counts.open, counts.reset), (0, 0));
    for line in [counts.up, counts.down] {
        assert_eq!((line.taken, line.delivered), (1_200_000, 1_200_000));
    }
    assert!(counts.up.resent > 0 && counts.down.resent == 0, "{counts:?}");
}

#[tokio::test]
async fn connections_are_refused_and_cut_off_on_order() {
    let relay = TcpRelay::open(repeater().await, &Network::default(), SEED).await.unwrap();
    let mut kept = TcpStream::connect(relay.addr()).await.unwrap();
    kept.write_all(b"hold on").await.unwrap();
    until(|| relay.counts().up.delivered == 7).await;
    relay.refuse(true);
    let mut refused = TcpStream::connect(relay.addr()).await.unwrap();
    assert!(refused.read_to_end(&mut Vec::new()).await.is_err());
    relay.reset();
    assert!(kept.read_to_end(&mut Vec::new()).await.is_err());
    until(|| relay.counts().open == 0).await;
    relay.refuse(false);
    let mut taken = TcpStream::connect(relay.addr()).await.unwrap();
    taken.write_all(b"again").await.unwrap();
    taken.shutdown().await.unwrap();
    let mut heard = Vec::new();
    taken.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"again");
    let counts = relay.stop();
    assert_eq!((counts.taken, counts.refused, counts.reset), (3, 1, 1));
}

#[tokio::test]
async fn a_gateway_that_is_not_there_resets_the_phone() {
    // A listener that is dropped leaves a port on which nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let relay = TcpRelay::open(nobody, &Network::default(), SEED).await.unwrap();
    let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
    assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
    until(|| relay.counts().unreachable == 1).await;
    assert_eq!(relay.stop().open, 0);
}

#[test]
fn the_command_says_where_it_listens_and_what_it_did() {
    let run = |arguments: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_simulator"));
        command.arg("relay").args(arguments.split_whitespace()).output().unwrap()
    };
    let output = run("--profile edge --udp 127.0.0.1:9 --for 1ms");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (first, counts) = text.split_once('\n').unwrap();
    assert!(first.starts_with("udp 127.0.0.1:") && first.ends_with(" -> 127.0.0.1:9"), "{first}");
    let counts: serde_json::Value = serde_json::from_str(counts).unwrap();
    assert_eq!((&counts["network"], &counts["udp"]["up"]["taken"]), (&"edge".into(), &0.into()));
    for (arguments, told) in
        [("--network 5g --udp 127.0.0.1:9", "no network \"5g\""), ("--network 4g", "--udp")]
    {
        let output = run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(stderr.contains(told), "{arguments}: {stderr}");
    }
}
