//! The resends of a client, against a gateway that drops, delays, refuses, restarts and rejects on command.
//!
//! Time is the runtime's own and stands still while anything can happen, so a second is exact and costs nothing.

use std::net::UdpSocket;
use std::time::Duration;

use crate::stub::{Identity, Reply, Stub, client_of, receipt, refusal};
use device::{
    AttemptError, Client, Delivered, ExchangeError, Key, Options, Policy, SendError, Signed, Signer,
};
use protocol::{Algorithm, Counters, DeviceId, Message, Nonce, Realm, Reason, Receipt, Status};
use tokio::time::{sleep, timeout};

const RECEIVED: Status = Status::Received;

#[tokio::test(start_paused = true)]
async fn silence_is_met_with_the_same_bytes_over_a_fresh_connection_after_a_second() {
    let identity = Identity::new();
    let stub = Stub::start(&identity, [Reply::Silence, Reply::Receipt(receipt(RECEIVED))]);
    let client = stub.client(&identity, &Options::default(), Policy::default());
    let signed = press(1);
    let mut sending = std::pin::pin!(client.send(&signed));

    assert!(timeout(Duration::from_millis(999), &mut sending).await.is_err());
    assert_eq!(stub.heard().len(), 1, "before the second has passed");
    let delivered = sending.await.unwrap();

    assert_eq!((delivered.attempts, delivered.receipt.status), (2, RECEIVED));
    let heard = stub.heard();
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|heard| heard.bytes == signed.bytes()[..]));
    assert_ne!(heard[0].connection, heard[1].connection);
    assert_ne!(heard[0].from, heard[1].from, "a fresh socket, so that a dead path is left behind");
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_is_late_on_the_first_connection_still_wins() {
    let identity = Identity::new();
    let late = Reply::Late(Duration::from_millis(1_500), receipt(RECEIVED));
    let stub = Stub::start(&identity, [late]);
    let client = stub.client(&identity, &Options::default(), Policy::default());

    let delivered = client.send(&press(1)).await.unwrap();

    assert_eq!((delivered.attempts, delivered.receipt.status), (2, RECEIVED));
}

#[tokio::test(start_paused = true)]
async fn duplicate_and_held_settle_a_press_too() {
    for status in [Status::Duplicate, Status::Held] {
        let identity = Identity::new();
        let stub = Stub::start(&identity, [Reply::ReceiptThenOpen(receipt(status))]);
        let client = stub.client(&identity, &Options::default(), Policy::default());

        let delivered = client.send(&press(1)).await.unwrap();

        assert_eq!((delivered.attempts, delivered.receipt.status), (1, status));
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_stream_or_connection_does_the_press_goes_on() {
    let identity = Identity::new();
    let bad_news = [
        (Reply::Reset, ExchangeError::Reset(7)),
        (Reply::Bytes(b""), ExchangeError::NoReceipt),
        (Reply::Bytes(b"\xa1\x01"), ExchangeError::Receipt(protocol::ReceiptError::Malformed)),
    ];
    for (reply, expected) in bad_news {
        let stub = Stub::start(&identity, vec![reply.clone(); 9]);
        let client = stub.client(&identity, &Options::default(), until(Duration::from_secs(3)));
        let error = client.send(&press(1)).await.unwrap_err();
        let SendError::NoReceipt { failure: Some(AttemptError::Exchange(failure)), .. } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(failure, expected);
    }

    let replies =
        [Reply::Reset, Reply::Close, Reply::Bytes(b"junk"), Reply::Receipt(receipt(RECEIVED))];
    let stub = Stub::start(&identity, replies);
    let client = stub.client(&identity, &Options::default(), Policy::default());
    let signed = press(1);
    let delivered = client.send(&signed).await.unwrap();
    assert_eq!((delivered.attempts, delivered.receipt.status), (4, RECEIVED));
    assert!(stub.heard().iter().all(|heard| heard.bytes == signed.bytes()[..]));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_refusal_ends_the_press_at_once() {
    let identity = Identity::new();
    let stub = Stub::start(&identity, [refusal(Reason::Revoked)]);
    let client = stub.client(&identity, &Options::default(), Policy::default());

    let error = client.send(&press(1)).await.unwrap_err();

    let SendError::Refused { receipt, attempts: 1 } = error else { panic!("{error:?}") };
    assert_eq!(receipt.reason, Some(Reason::Revoked));
    assert_eq!(stub.heard().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_may_pass_is_tried_again_on_the_same_connection() {
    let identity = Identity::new();
    let unproven = || refusal(Reason::Unproven);
    let replies = [unproven(), unproven(), Reply::Receipt(receipt(RECEIVED))];
    let stub = Stub::start(&identity, replies);
    let client = stub.client(&identity, &Options::default(), Policy::default());

    let delivered = client.send(&press(1)).await.unwrap();

    assert_eq!(delivered.attempts, 3);
    assert!(stub.heard().iter().all(|heard| heard.connection == 0));
}

#[tokio::test(start_paused = true)]
async fn patience_with_missing_proof_can_be_bounded() {
    let identity = Identity::new();
    let stub = Stub::start(&identity, vec![refusal(Reason::Unproven); 9]);
    let policy = Policy { unproven_max: Some(3), ..Policy::default() };
    let client = stub.client(&identity, &Options::default(), policy);

    let error = client.send(&press(1)).await.unwrap_err();

    assert!(matches!(error, SendError::Refused { attempts: 3, .. }), "{error:?}");
    assert_eq!(stub.heard().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_asks_for_patience_gets_it() {
    let identity = Identity::new();
    let Reply::Receipt(stopping) = refusal(Reason::Stopping) else { unreachable!() };
    let stopping = Receipt { retry_after_ms: Some(5_000), ..stopping };
    let replies = [Reply::Receipt(stopping), Reply::Receipt(receipt(RECEIVED))];
    let stub = Stub::start(&identity, replies);
    let client = stub.client(&identity, &Options::default(), Policy::default());
    let signed = press(1);
    let mut sending = std::pin::pin!(client.send(&signed));

    assert!(timeout(Duration::from_millis(4_999), &mut sending).await.is_err());
    assert_eq!(stub.heard().len(), 1);
    let delivered = sending.await.unwrap();

    assert_eq!(delivered.attempts, 2);
    let heard = stub.heard();
    assert_ne!(heard[0].connection, heard[1].connection, "a gateway that stops takes no more here");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_gateway_is_found_again() {
    let identity = Identity::new();
    let stub = Stub::start(&identity, []);
    let address = stub.address();
    let client = stub.client(&identity, &Options::default(), Policy::default());
    let signed = press(1);
    let mut sending = std::pin::pin!(client.send(&signed));
    assert!(timeout(Duration::from_millis(500), &mut sending).await.is_err());
    let before = stub.heard();
    stub.stop().await;

    let stub = Stub::start_at(&identity, address, [Reply::Receipt(receipt(RECEIVED))]);
    let delivered = sending.await.unwrap();

    assert_eq!(delivered.receipt.status, RECEIVED);
    assert_eq!((before[0].bytes.as_slice(), before.len()), (&signed.bytes()[..], 1));
    assert_eq!(stub.heard()[0].bytes, signed.bytes()[..]);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_connection_carries_the_press_in_its_first_packet() {
    let identity = Identity::new();
    for zero_rtt in [true, false] {
        let stub = Stub::start(&identity, vec![Reply::Receipt(receipt(RECEIVED)); 2]);
        let options = Options { zero_rtt, ..Options::default() };
        let client = stub.client(&identity, &options, Policy::default());

        client.prepare().await.unwrap();
        let warm = delivered(&client, &press(1)).await;
        client.close().await;
        let resumed = delivered(&client, &press(2)).await;

        assert_eq!((warm.zero_rtt, resumed.zero_rtt), (false, zero_rtt));
        let early: Vec<_> = stub.heard().iter().map(|heard| heard.early).collect();
        // A busy stub looks only after the handshake and then cannot tell that the press came early.
        assert!(!early[0] && (zero_rtt || !early[1]), "{early:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn early_data_that_is_not_taken_is_sent_again_on_the_same_connection() {
    let identity = Identity::new();
    let stub = Stub::start(&identity, [Reply::Receipt(receipt(RECEIVED))]);
    let address = stub.address();
    let client = stub.client(&identity, &Options::default(), Policy::default());
    client.prepare().await.unwrap();
    delivered(&client, &press(1)).await;
    client.close().await;
    stub.stop().await;

    let stub = Stub::start_at(&identity, address, [Reply::Receipt(receipt(RECEIVED))]);
    let signed = press(2);
    let second = delivered(&client, &signed).await;

    assert_eq!((second.attempts, second.zero_rtt), (1, false));
    let heard = stub.heard();
    assert_eq!((heard.len(), heard[0].early), (1, false));
    assert_eq!(heard[0].bytes, signed.bytes()[..]);
}

#[tokio::test(start_paused = true)]
async fn a_warm_connection_is_used_again_and_a_closed_one_is_not() {
    let identity = Identity::new();
    let stub = Stub::start(&identity, vec![Reply::Receipt(receipt(RECEIVED)); 3]);
    let client = stub.client(&identity, &Options::default(), Policy::default());
    client.prepare().await.unwrap();

    delivered(&client, &press(1)).await;
    delivered(&client, &press(2)).await;
    // Longer than either side keeps a silent connection.
    sleep(Duration::from_secs(60)).await;
    delivered(&client, &press(3)).await;

    let connections: Vec<_> = stub.heard().iter().map(|heard| heard.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn silence_to_the_end_is_told_apart_from_an_unreachable_gateway() {
    let identity = Identity::new();
    let stub = Stub::start(&identity, []);
    let client = stub.client(&identity, &Options::default(), until(Duration::from_secs(30)));
    let signed = press(1);
    let error = client.send(&signed).await.unwrap_err();
    assert!(matches!(error, SendError::NoReceipt { .. }), "{error:?}");
    let heard = stub.heard();
    assert!(heard.len() >= 4, "{}", heard.len());
    assert!(heard.iter().all(|heard| heard.bytes == signed.bytes()[..]));

    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    let client = client_of(address, &identity, &Options::default(), until(Duration::from_secs(30)));
    let error = client.send(&press(1)).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable { attempts: 4.., .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_with_another_certificate_hears_nothing() {
    let stub = Stub::start(&Identity::new(), [Reply::Receipt(receipt(RECEIVED))]);
    let policy = until(Duration::from_secs(5));
    let client = stub.client(&Identity::new(), &Options::default(), policy);

    let error = client.send(&press(1)).await.unwrap_err();

    let SendError::Unreachable { failure: Some(AttemptError::Handshake(_)), .. } = error else {
        panic!("{error:?}")
    };
    assert!(stub.heard().is_empty());
}

async fn delivered(client: &std::sync::Arc<Client>, signed: &Signed) -> Delivered {
    client.send(signed).await.unwrap()
}

fn until(deadline: Duration) -> Policy {
    Policy { deadline: Some(deadline), ..Policy::default() }
}

pub(crate) fn press(sequence: u32) -> Signed {
    let key = Key::from_secret(Algorithm::Es256, &[1; 32]).unwrap();
    let message = Message::raise(Counters::new(1, sequence), Nonce([2; 8]));
    Signer::new(Realm([3; 16]), DeviceId([4; 16]), key).sign(&message).unwrap()
}
