//! What a desk is told of the past at a start, so that it goes on as if it had never stopped.
//!
//! Standings come from the index; the newest lines of the journal, messages and decisions, go through the same fold as
//! while the desk lived. Nothing is decided meanwhile. What a line should have led to, had power not failed, is looked
//! for once all is told, at the first thing that happens.

use protocol::{DeviceId, Envelope, Kind, Message, Position};

use super::memory::Remembered;
use super::{Desk, Output, Past};
use crate::admission::Sender;
use crate::{Decision, DeviceIndex, Disposition, Enrolment, Entry, Model, Record, Standing, Time};

impl Desk {
    /// The index says how a device stands.
    pub(super) fn stands(
        &mut self,
        index: DeviceIndex,
        device: DeviceId,
        standing: &Standing,
        now: Time,
    ) {
        self.resuming = true;
        self.admission.stands(index, device, standing);
        self.hint_of(index, Enrolment::default(), now);
    }

    /// The next line of the journal's tail.
    pub(super) fn recalled(&mut self, past: Past) {
        self.resuming = true;
        self.memory.begin(past.entry.cursor());
        match &past.entry {
            Entry::Message(record) => self.recall_message(record, &past),
            Entry::Decision(decision) => self.recall_decision(decision, &past),
        }
    }

    fn recall_message(&mut self, record: &Record, past: &Past) {
        let remembered = Remembered {
            cursor: record.cursor,
            device: past.device_index,
            zone: record.zone.clone(),
            held: record.disposition == Disposition::Held,
        };
        self.memory.insert(record.message_id, remembered, self.config.remembered_max);
        let (place, model) = signed(record);
        self.note_incident(record, place);
        let Some(device) = past.device_index else { return };
        match record.kind {
            Kind::Raise => self.sent.restart(device, record.counters),
            _ => self.sent.advance(device, record.counters),
        }
        let sender = Sender { device, enrolment: past.enrolment, model, place };
        // Whatever is journaled was charged if there was anything to charge, and the same is so again.
        let _charged =
            self.admission.charge(record.kind, record.labels, device, record.received_at).is_ok();
        self.admission.note(record, &sender);
        if record.kind == Kind::Raise {
            self.hint_of(device, past.enrolment, record.received_at);
        }
    }

    fn recall_decision(&mut self, decision: &Decision, past: &Past) {
        self.memory.decide(decision.cursor, decision.promotes(), self.config.remembered_max);
        self.admission.apply(decision, past.device_index);
        self.decide_incident(decision);
        if let Some(device) = past.device_index {
            self.hint_of(device, past.enrolment, decision.decided_at);
        }
    }

    fn hint_of(&mut self, device: DeviceIndex, enrolment: Enrolment, at: Time) {
        let hint = self.admission.hint(device, enrolment, at);
        self.outputs.push_back(Output::Hint(device, hint));
    }
}

/// What the signed bytes say beyond the record: where, and of which model. What they do not say any more (erased) is not
/// known any more.
pub(super) fn signed(record: &Record) -> (Option<Position>, Option<Model>) {
    let envelope = Envelope::parse(&record.signed).ok();
    let message = envelope.and_then(|envelope| Message::decode(envelope.message).ok());
    let message = message.map(|(message, _)| message);
    let position = message.and_then(|message| message.position);
    (position.or(record.site), message.and_then(|message| message.firmware).and_then(Model::new))
}
