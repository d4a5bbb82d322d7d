//! The journal and its index as a run needs them: every line that was appended, in memory, found again by its id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pipeline::{Act, Answer, Cursor, DeviceIndex, Disposition, Entry, Found, Recollected, Record};
use protocol::{AlertId, DeviceId, MessageId};
use sha2::{Digest, Sha256};

#[derive(Debug, Default)]
pub(crate) struct Disk {
    messages: BTreeMap<MessageId, Arc<Record>>,
    promoted: BTreeSet<AlertId>,
    devices: BTreeMap<DeviceId, DeviceIndex>,
    last: Cursor,
    digest: Sha256,
}

impl Disk {
    /// The registry's number of a device.
    pub(crate) fn enrol(&mut self, id: DeviceId, index: DeviceIndex) {
        self.devices.insert(id, index);
    }

    pub(crate) fn append(&mut self, entry: &Entry) {
        debug_assert_eq!(entry.cursor(), self.last.next(), "the journal has no gaps");
        self.last = entry.cursor();
        self.digest.update(line(entry));
        match entry {
            Entry::Message(record) => {
                self.messages.insert(record.message_id, Arc::new(record.clone()));
            }
            Entry::Decision(decision) => {
                let promoted = decision.alert.filter(|_| decision.act == Act::Promote);
                self.promoted.extend(promoted.map(|(alert, _)| alert));
            }
        }
    }

    pub(crate) fn last(&self) -> Cursor {
        self.last
    }

    pub(crate) fn find(&self, id: MessageId) -> Option<Found> {
        self.messages.get(&id).map(|record| Found {
            cursor: record.cursor,
            device: record.device,
            zone: record.zone.clone(),
            held: record.disposition == Disposition::Held && !self.promoted.contains(&id.alert()),
            received_at: record.received_at,
            agencies: record.agencies,
            category: record.category,
            also: record.also.clone(),
        })
    }

    pub(crate) fn recollect(&self, alert: AlertId) -> Option<Recollected> {
        self.messages.get(&MessageId(alert.0)).map(|raise| Recollected {
            raise: Arc::clone(raise),
            device_index: self.devices.get(&raise.device).copied(),
            promoted: self.promoted.contains(&alert),
            answer: Answer::Waiting,
        })
    }

    /// Names everything that was decided, and in which order.
    pub(crate) fn sha256(self) -> String {
        hex::encode(self.digest.finalize())
    }
}

/// What a line decides, as bytes for the digest.
fn line(entry: &Entry) -> Vec<u8> {
    let mut bytes = entry.at().0.to_be_bytes().to_vec();
    match entry {
        Entry::Message(record) => {
            bytes.extend(record.message_id.0);
            bytes.extend([0, record.disposition as u8]);
            bytes.extend(record.joins.map_or([0; 16], |alert| alert.0));
        }
        Entry::Decision(decision) => {
            bytes.extend(decision.device.map_or([0; 16], |device| device.0));
            bytes.extend([1, decision.act.stored()]);
            bytes.extend(decision.alert.map_or([0; 16], |(alert, _)| alert.0));
        }
    }
    bytes
}
