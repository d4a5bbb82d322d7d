//! What a desk is told of the past at a start, so that it goes on as if it had never stopped.
//!
//! Standings come from the index; the newest lines of the journal, messages and decisions, go through the same fold as
//! while the desk lived. Nothing is decided meanwhile. What a line should have led to, had power not failed, is looked
//! for once all is told, at the first thing that happens.

use std::sync::Arc;

use protocol::{DeviceId, Kind, MessageId};

use super::memory::{Raised, Remembered};
use super::{Demand, Desk, Output, Past, Reach, Recollected, Request};
use crate::admission::Sender;
use crate::{
    Act, Actor, Answer, Decision, DeviceIndex, Disposition, Enrolment, Entry, Record, Scope,
    Standing, Time, Verdict,
};

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
        self.unfinished = self.unfinished.take().and_then(|begun| begun.goes_on(&past.entry));
        match &past.entry {
            Entry::Message(record) => self.recall_message(record, &past),
            Entry::Decision(decision) => self.recall_decision(decision, &past),
        }
    }

    fn recall_message(&mut self, record: &Record, past: &Past) {
        let remembered = Remembered {
            cursor: record.cursor,
            device: past.device_index,
            raised: Raised::of(record),
            held: record.disposition == Disposition::Held,
        };
        self.memory.insert(record.message_id, remembered, self.config.remembered_max);
        let (place, model) = record.stated();
        self.answering.journaled(record, place, &self.zones);
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
        self.count(decision, past.device_index, &past.answer);
        if self.unfinished.is_none() {
            self.unfinished = Unfinished::begin(decision, past.device_index);
        }
        if let Some(device) = past.device_index {
            self.hint_of(device, past.enrolment, decision.decided_at);
        }
    }

    fn hint_of(&mut self, device: DeviceIndex, enrolment: Enrolment, at: Time) {
        let hint = self.admission.hint(device, enrolment, at);
        self.outputs.push_back(Output::Hint(device, hint));
    }
}

/// An alert that was resolved by the journal's last lines. The operator had no answer, but whoever asks again is told that
/// it is over: what its verdict leads to has to be made up for.
#[derive(Debug)]
pub(super) struct Unfinished {
    request: Request,
    found: Recollected,
    verdict: Verdict,
    judged: bool,
}

impl Unfinished {
    fn begin(decision: &Decision, device_index: Option<DeviceIndex>) -> Option<Self> {
        let (Act::Resolve(verdict), Actor::Operator(actor)) = (&decision.act, &decision.actor)
        else {
            return None;
        };
        let raise = decision.raise.clone()?;
        let (alert, verdict) = (raise.message_id.alert(), *verdict);
        let request = Request {
            actor: Arc::clone(actor),
            reach: Reach::Everywhere,
            scope: Scope::ALL,
            demand: Demand::Verdict { alert, verdict },
            reason: decision.reason.clone(),
        };
        let found = Recollected { raise, device_index, promoted: false, answer: Answer::default() };
        Some(Self { request, found, verdict, judged: false })
    }

    /// With the next line, as far as that belongs to it.
    fn goes_on(self, line: &Entry) -> Option<Self> {
        let Entry::Decision(decision) = line else { return None };
        let same = decision.alert.is_some_and(|(_, cursor)| cursor == self.found.raise.cursor);
        match decision.act {
            Act::Verdict(_) if same && !self.judged => Some(Self { judged: true, ..self }),
            Act::Block { .. } | Act::Unblock if same && self.judged => Some(self),
            _ => None,
        }
    }
}

impl Desk {
    /// Makes up for what power cut off behind an alert's end.
    pub(super) fn finish(&mut self, now: Time) {
        let Some(Unfinished { request, mut found, verdict, judged }) = self.unfinished.take()
        else {
            return;
        };
        // Whatever was told with its raise was told with its promotion. What lies further back is over, and pages nobody.
        let id = MessageId(found.raise.message_id.alert().0);
        found.promoted = self.memory.get(&id).is_none();
        if judged {
            self.follow_verdict(&request, &found, verdict, now);
        } else {
            self.judge_alert(&request, &found, verdict, now);
        }
    }
}
