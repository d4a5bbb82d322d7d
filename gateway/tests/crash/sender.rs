//! Devices that press, and press again until there is a receipt.

use std::time::Duration;

use device::{Options, Signer, Trust, bind, client_config, exchange};
use futures_util::future::join_all;
use protocol::{Category, Counters, Kind, Message, Nonce, Position};
use quinn::{Connection, Endpoint};

use crate::house::{House, Ready};
use crate::ledger::Ledger;

/// Messages under way at one time: fewer than a connection may have from the first.
const LANES: usize = 6;
/// A receipt that has not come by then does not come.
const RECEIPT_WAIT: Duration = Duration::from_secs(30);
/// A gateway that was silent for so long is dead. A killed one cannot say so.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// A connection and the endpoint that drives it.
struct Line {
    _endpoint: Endpoint,
    connection: Connection,
}

/// Connects; nothing if the gateway is gone.
async fn connect(ready: &Ready) -> Option<Line> {
    let trust = Trust::from_pem_file(&ready.cert).unwrap();
    let options =
        Options { keep_alive: Some(SIGN_OF_LIFE), idle_timeout: SILENCE_MAX, ..Options::default() };
    let config = client_config(&trust, &options).unwrap();
    let endpoint = bind(ready.alert_addr).unwrap();
    let connecting = endpoint.connect_with(config, ready.alert_addr, "localhost").unwrap();
    let connection = connecting.await.ok()?;
    Some(Line { _endpoint: endpoint, connection })
}

/// Signs the press that is `number`-th of all.
fn sign(devices: &[Signer], number: usize) -> device::Signed {
    let number = u32::try_from(number).unwrap();
    let signer = &devices[number as usize % devices.len()];
    let message = Message {
        kind: Kind::Raise,
        counters: Counters::new(1, number + 1),
        alert: None,
        category: Some(Category::Disaster),
        position: Position::new(-79_777_000, 1_126_340_000),
        device_clock: None,
        battery: None,
        silent: false,
        exercise: false,
        note: None,
        nonce: Some(Nonce(u64::from(number).to_be_bytes())),
        firmware: None,
    };
    signer.sign(&message).unwrap()
}

/// Sends one copy and notes what comes of it; false if the line is dead.
async fn send(line: &Line, ledger: &Ledger, index: usize) -> bool {
    let signed = ledger.send(index);
    let receipt = exchange(&line.connection, signed.bytes().clone());
    match tokio::time::timeout(RECEIPT_WAIT, receipt).await {
        Ok(Ok(receipt)) => {
            ledger.receive(index, &receipt);
            true
        }
        Ok(Err(_)) | Err(_) => {
            ledger.give_up(index);
            false
        }
    }
}

/// Presses and resends for ever, whether or not anybody answers.
pub(crate) async fn load(house: &House, ready: &Ready, ledger: &Ledger) {
    ledger.forget_in_flight();
    if let Some(line) = connect(ready).await {
        let lane = async || {
            loop {
                let index = ledger
                    .open()
                    .unwrap_or_else(|| ledger.add(sign(house.devices(), ledger.len())));
                if !send(&line, ledger, index).await {
                    return;
                }
            }
        };
        join_all((0..LANES).map(|_| lane())).await;
    }
    std::future::pending().await
}

/// Presses `count` times, once each, and waits for what comes of it.
pub(crate) async fn press(devices: &[Signer], ready: &Ready, ledger: &Ledger, count: usize) {
    let until = ledger.len() + count;
    let Some(line) = connect(ready).await else { return };
    let lane = async || {
        while ledger.len() < until {
            let index = ledger.add(sign(devices, ledger.len()));
            send(&line, ledger, index).await;
        }
    };
    join_all((0..LANES).map(|_| lane())).await;
}

/// Resends until every press has a receipt.
pub(crate) async fn settle(house: &House, ready: &Ready, ledger: &Ledger) {
    ledger.forget_in_flight();
    let line = connect(ready).await.unwrap();
    let lane = async || {
        while let Some(index) = ledger.open() {
            assert!(send(&line, ledger, index).await, "no receipt: {}", house.log());
        }
    };
    join_all((0..LANES).map(|_| lane())).await;
    assert_eq!(ledger.settled(), ledger.len());
}

/// Sends copies of up to `count` presses that are settled, spread over all; each must be a duplicate.
pub(crate) async fn resend_settled(house: &House, ready: &Ready, ledger: &Ledger, count: usize) {
    let line = connect(ready).await.unwrap();
    let step = ledger.len().div_ceil(count).max(1);
    for index in (0..ledger.len()).step_by(step) {
        assert!(send(&line, ledger, index).await, "no receipt: {}", house.log());
    }
}
