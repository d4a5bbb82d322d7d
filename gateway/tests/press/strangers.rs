//! Strangers at the door of a real gateway: what they are answered, and that phones get in beside them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use device::{Options, exchange};
use protocol::{Algorithm, Reason, Status};
use quinn::{Connection, ConnectionError};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::site::{PATIENCE, Sender, Site};

/// The type of a packet with a long header, RFC 9000 section 17.2. The bit above may be greased (RFC 9287).
const TYPE_BITS: u8 = 0x30;
const INITIAL: u8 = 0x00;
const RETRY: u8 = 0x30;
/// Errors of the application by which the gateway ends connections.
const BAD_PROOFS: u32 = 1;
const UNPROVEN: u32 = 3;

#[tokio::test]
async fn three_quarters_of_the_handshakes_are_kept_for_those_who_prove_their_address() {
    let site = Site::serve_with(
        "strangers.handshakes_max = 4\nstrangers.handshake_timeout = \"1m\"\n\
         alert.idle_timeout = \"2m\"\n",
    )
    .await;
    let mut answers = vec![];
    for (number, packet) in first_packets(&site, 12).await.iter().enumerate() {
        let from = [127, 0, 1, u8::try_from(number).unwrap()].into();
        answers.push(first_answer(&site, from, packet).await);
    }
    assert_eq!(answers[0], INITIAL, "the first gets a handshake");
    assert_eq!(answers[1..], [RETRY; 11], "the others are asked for their address");
    site.metric("gateway_handshakes_under_way{validated=\"no\"}", |held| held == 1.0).await;
    let mut sender = site.enrolled(1, Algorithm::Es256);
    for _ in 0..3 {
        let client = site.client(&Options::default());
        let receipt = client.send(&sender.press(None)).await.unwrap().receipt;
        assert_eq!(receipt.status, Status::Received);
    }
    let entered = "gateway_incoming_total{step=\"accept\",validated=\"yes\"}";
    site.metric(entered, |entered| entered >= 3.0).await;
}

#[tokio::test]
async fn an_address_that_failed_often_is_asked_for_itself_and_no_other_is() {
    let site = Site::serve().await;
    let mut device = known(&site, Algorithm::Es256).await;
    let (bad, packets) = (forged(&mut device), first_packets(&site, 3).await);
    let (abuser, neighbour) = ([127, 0, 2, 1].into(), [127, 0, 2, 2].into());
    assert_eq!(first_answer(&site, abuser, &packets[0]).await, INITIAL);
    for _ in 0..4 {
        let connection = connection_from(&site, abuser).await;
        for _ in 0..3 {
            let receipt = exchange(&connection, bad.clone()).await.unwrap();
            assert_eq!(receipt.reason, Some(Reason::Unproven));
        }
    }
    assert_eq!(first_answer(&site, abuser, &packets[1]).await, RETRY);
    assert_eq!(first_answer(&site, neighbour, &packets[2]).await, INITIAL);
    // Neither the device that the messages claimed to be nor the address has lost its service.
    for from in [abuser, neighbour] {
        let connection = connection_from(&site, from).await;
        let receipt = exchange(&connection, device.press(None).bytes().clone()).await.unwrap();
        assert_eq!(receipt.status, Status::Received);
    }
}

#[tokio::test]
async fn a_connection_ends_after_three_bad_proofs_in_a_row() {
    let site = Site::serve().await;
    let mut device = known(&site, Algorithm::EdDsa).await;
    let bad = forged(&mut device);
    let connection = site.connection().await;
    for good_between in [true, true, false] {
        for _ in 0..2 {
            assert_eq!(status(&connection, &bad).await, Status::Refused);
        }
        if good_between {
            let press = device.press(None);
            assert_eq!(status(&connection, press.bytes()).await, Status::Received);
        }
    }
    assert_eq!(connection.close_reason(), None, "a relay with two unknown buttons goes on");
    assert_eq!(status(&connection, &bad).await, Status::Refused, "the refusal is told");
    assert_eq!(ending(&connection).await, BAD_PROOFS);
    site.metric("gateway_connections_ended_total{cause=\"bad_proofs\"}", |ended| ended == 1.0)
        .await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_gives_its_place_back() {
    let site = Site::serve_with("strangers.handshake_timeout = \"100ms\"\n").await;
    let packets = first_packets(&site, 1).await;
    assert_eq!(first_answer(&site, [127, 0, 0, 1].into(), &packets[0]).await, INITIAL);
    let ended = "gateway_connections_ended_total{cause=\"slow_handshake\"}";
    site.metric(ended, |ended| ended == 1.0).await;
    site.metric("gateway_handshakes_under_way{validated=\"no\"}", |held| held == 0.0).await;
}

#[tokio::test]
async fn a_connection_that_proves_nothing_makes_room_for_a_phone() {
    let site = Site::serve_with("alert.connections_max = 2\n").await;
    let mut device = site.enrolled(1, Algorithm::Es256);
    let (older, newer) = (site.connection().await, site.connection().await);
    let client = site.client(&Options::default());
    let receipt = client.send(&device.press(None)).await.unwrap().receipt;
    assert_eq!(receipt.status, Status::Received);
    assert_eq!(ending(&older).await, UNPROVEN);
    assert_eq!(newer.close_reason(), None);
    // The phone has proven itself, so the next one does not cost it its connection.
    let other = site.client(&Options::default());
    let receipt = other.send(&device.press(None)).await.unwrap().receipt;
    assert_eq!(receipt.status, Status::Received);
    assert_eq!(ending(&newer).await, UNPROVEN);
}

#[tokio::test]
async fn honest_phones_get_in_while_strangers_flood_from_their_address() {
    let site = Site::serve_with("strangers.handshakes_max = 16\nstrangers.budget = 20\n").await;
    let mut phones: Vec<_> =
        (1..=30).map(|number| site.enrolled(number, Algorithm::EdDsa)).collect();
    let packets = first_packets(&site, 600).await;
    let gateway: SocketAddr = site.ready("alert_addr").parse().unwrap();
    let flooder = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut junk = packets.chunks(packets.len() / phones.len());
    for phone in &mut phones {
        for packet in junk.next().unwrap() {
            flooder.send_to(packet, gateway).await.unwrap();
        }
        let client = site.client(&Options::default());
        let receipt = client.send(&phone.press(None)).await.unwrap().receipt;
        assert_eq!((receipt.status, receipt.reason), (Status::Received, None));
    }
    let asked = "gateway_incoming_total{step=\"retry\",validated=\"no\"}";
    site.metric(asked, |asked| asked > 300.0).await;
}

/// First packets of so many connections, none of which goes on: they are caught on their way to nobody.
async fn first_packets(site: &Site, count: usize) -> Vec<Vec<u8>> {
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    let config = site.client_config();
    let endpoint = device::bind(address).unwrap();
    let (mut seen, mut packets) = (BTreeSet::new(), vec![]);
    while packets.len() < count {
        let _connecting = endpoint.connect_with(config.clone(), address, "127.0.0.1").unwrap();
        loop {
            let mut packet = vec![0; 2_000];
            let len = timeout(PATIENCE, nobody.recv(&mut packet)).await.unwrap().unwrap();
            packet.truncate(len);
            // The first with a connection id is the one that asks; what else comes says that its sender gave up.
            let id_len = usize::from(packet[5]);
            if seen.insert(packet[6..6 + id_len].to_vec()) {
                packets.push(packet);
                break;
            }
        }
    }
    packets
}

/// The type of the first packet that comes back to `from`.
async fn first_answer(site: &Site, from: IpAddr, packet: &[u8]) -> u8 {
    let gateway: SocketAddr = site.ready("alert_addr").parse().unwrap();
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.send_to(packet, gateway).await.unwrap();
    let mut answer = [0; 2_000];
    let len = timeout(PATIENCE, socket.recv(&mut answer)).await.unwrap().unwrap();
    assert!(len <= 3 * packet.len());
    assert!(answer[0] >= 0x80 && answer[1..5] == [0, 0, 0, 1], "QUIC, version 1");
    answer[0] & TYPE_BITS
}

async fn connection_from(site: &Site, from: IpAddr) -> Connection {
    let socket = std::net::UdpSocket::bind((from, 0)).unwrap();
    site.connection_on(device::endpoint(socket).unwrap()).await
}

/// A device that the gateway knows by now: it has received a press.
async fn known(site: &Site, algorithm: Algorithm) -> Sender {
    let mut device = site.enrolled(1, algorithm);
    let client = site.client(&Options::default());
    let receipt = client.send(&device.press(None)).await.unwrap().receipt;
    assert_eq!(receipt.status, Status::Received);
    device
}

/// A message of this device with a signature that is not its own.
fn forged(device: &mut Sender) -> Bytes {
    let mut bytes = device.press(None).bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes.into()
}

async fn status(connection: &Connection, signed: &Bytes) -> Status {
    exchange(connection, signed.clone()).await.unwrap().status
}

/// The code by which the gateway ended a connection.
async fn ending(connection: &Connection) -> u32 {
    let reason = timeout(PATIENCE, connection.closed()).await.unwrap();
    let ConnectionError::ApplicationClosed(close) = &reason else { return u32::MAX };
    u32::try_from(close.error_code.into_inner()).unwrap()
}
