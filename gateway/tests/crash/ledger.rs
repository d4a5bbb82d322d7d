//! What was sent, what was promised about it, and whether the gateway kept it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use device::Signed;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use gateway::journal::Reader;
use pipeline::{Cursor, Entry};
use protocol::{MessageId, Receipt, Status};

use crate::house::{House, PATIENCE, Ready};

/// Every press, in order of its first sending. Shared by the senders of one thread.
#[derive(Default)]
pub(crate) struct Ledger {
    presses: RefCell<Vec<Press>>,
}

struct Press {
    signed: Signed,
    /// Copies that were sent.
    sent: u32,
    /// A sender waits for its receipt.
    in_flight: bool,
    /// It was promised to be on disk.
    promised: bool,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Presses that exist.
    pub(crate) fn len(&self) -> usize {
        self.presses.borrow().len()
    }

    /// Presses that were promised to be on disk.
    pub(crate) fn settled(&self) -> usize {
        self.presses.borrow().iter().filter(|press| press.promised).count()
    }

    /// Adds a press and says where.
    pub(crate) fn add(&self, signed: Signed) -> usize {
        let press = Press { signed, sent: 0, in_flight: false, promised: false };
        self.presses.borrow_mut().push(press);
        self.len() - 1
    }

    /// A press without a receipt that nobody waits for, the oldest first.
    pub(crate) fn open(&self) -> Option<usize> {
        let presses = self.presses.borrow();
        presses.iter().position(|press| !press.promised && !press.in_flight)
    }

    /// Notes that a copy goes out, and gives its bytes.
    pub(crate) fn send(&self, index: usize) -> Signed {
        let press = &mut self.presses.borrow_mut()[index];
        press.sent += 1;
        press.in_flight = true;
        press.signed.clone()
    }

    /// Notes that no receipt will come for the copy that went out last.
    pub(crate) fn give_up(&self, index: usize) {
        self.presses.borrow_mut()[index].in_flight = false;
    }

    /// Notes a receipt and checks that it says what it must.
    pub(crate) fn receive(&self, index: usize, receipt: &Receipt) {
        let press = &mut self.presses.borrow_mut()[index];
        press.in_flight = false;
        let id = press.signed.id();
        if !receipt.status.is_durable() {
            return;
        }
        assert_eq!(receipt.alert, Some(id.alert()), "receipt for another alert");
        match (press.promised, press.sent) {
            (true, _) => assert_eq!(receipt.status, Status::Duplicate, "{id} is two alerts"),
            (false, 1) => assert_eq!(receipt.status, Status::Received, "{id} is known unsent"),
            (false, _) => {}
        }
        press.promised = true;
    }

    /// Ends every wait: the gateway is gone.
    pub(crate) fn forget_in_flight(&self) {
        self.presses.borrow_mut().iter_mut().for_each(|press| press.in_flight = false);
    }

    /// How many promised presses are not in the journal.
    pub(crate) fn missing(&self, ready: &Ready) -> usize {
        let journaled = journaled(ready);
        let presses = self.presses.borrow();
        let promised = presses.iter().filter(|press| press.promised);
        promised.filter(|press| !journaled.contains_key(&press.signed.id())).count()
    }

    /// Everything promised is in the journal, once, byte for byte; nothing is there that was not sent.
    pub(crate) fn assert_kept(&self, ready: &Ready, after: u32) {
        let journaled = journaled(ready);
        let presses = self.presses.borrow();
        let sent: HashMap<_, _> =
            presses.iter().map(|press| (press.signed.id(), &press.signed)).collect();
        for press in presses.iter().filter(|press| press.promised) {
            let id = press.signed.id();
            assert!(journaled.contains_key(&id), "{id} was promised and lost at kill {after}");
        }
        for (id, signed) in &journaled {
            assert_eq!(Some(signed), sent.get(id).map(|signed| signed.bytes()), "{id}");
        }
    }

    /// Everything in the journal comes out of the feed, once, in the same order.
    pub(crate) async fn assert_fed(&self, house: &House, ready: &Ready) {
        let expected: Vec<_> = records(ready).iter().map(|(id, _)| id.to_string()).collect();
        let url = format!("http://{}/v1/feed?from=start", ready.operator_addr);
        let request = reqwest::Client::new().get(url).bearer_auth(&house.token);
        let response = request.send().await.unwrap().error_for_status().unwrap();
        let mut events = response.bytes_stream().eventsource();
        let mut fed = vec![];
        while fed.len() < expected.len() {
            let event = tokio::time::timeout(PATIENCE, events.next()).await;
            let event = event.unwrap_or_else(|_| {
                panic!("the feed stands still after {} of {} events", fed.len(), expected.len())
            });
            let event = event.unwrap().unwrap();
            if event.event == "alert" {
                let alert: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                fed.push(alert["alert_id"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(fed, expected);
    }
}

/// The records of the journal, in order. Raises only: nothing else is sent here.
fn records(ready: &Ready) -> Vec<(MessageId, bytes::Bytes)> {
    let mut reader = Reader::open(&ready.journal).unwrap();
    let entries = reader.read_after(Cursor(0), usize::MAX).unwrap();
    let records: Vec<_> = entries
        .iter()
        .filter_map(Entry::message)
        .map(|record| (record.message_id, record.signed.clone()))
        .collect();
    let ids: HashSet<_> = records.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), records.len(), "an alert is in the journal twice");
    records
}

fn journaled(ready: &Ready) -> HashMap<MessageId, bytes::Bytes> {
    records(ready).into_iter().collect()
}
