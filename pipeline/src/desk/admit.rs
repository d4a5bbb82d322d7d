//! What becomes of a message that is no copy: refused, or journaled and, if it is a raise, paged, joined, held or told
//! by a notice. A raise is never refused here (promise 3).

use std::sync::Arc;

use protocol::{Kind, Label, Labels, Reason, Status};

use super::memory::{Raised, Remembered};
use super::receipts::{Line, Waiting};
use super::route::Route;
use super::{Arrival, Desk, Named, Order, Output};
use crate::admission::{Judgement, Sender, retry_after_ms};
use crate::{Disposition, Entry, Grade, Record, Time, ZoneId};

impl Desk {
    /// Refuses what is old, foreign or too much; journals everything else.
    pub(super) fn admit(&mut self, arrival: &Arrival, named: &Named, now: Time) {
        let order = self.sent.order(arrival.device_index, arrival.counters);
        let dismissable = matches!(arrival.kind, Kind::Update | Kind::Heartbeat);
        if matches!(named, Named::Foreign) {
            return self.refuse(arrival, Reason::ForeignAlert, None, now);
        }
        if dismissable && order == Order::Past {
            return self.refuse(arrival, Reason::Stale, None, now);
        }
        let mut labels = arrival.labels;
        if self.is_late(arrival) {
            labels.insert(Label::Late);
        }
        let device = arrival.device_index;
        let charged = self.admission.charge(arrival.kind, labels, device, arrival.received_at);
        match (charged, arrival.kind) {
            (Ok(()), _) => {}
            (Err(_), Kind::Raise) => labels.insert(Label::OverQuota),
            (Err(wait), _) => {
                let wait_ms = retry_after_ms(wait, &arrival.message_id);
                return self.refuse(arrival, Reason::RateLimited, Some(wait_ms), now);
            }
        }
        if arrival.kind == Kind::Raise && matches!(order, Order::Past | Order::Gap) {
            labels.insert(Label::CountersBehind);
        }
        self.append(arrival, named, labels, now);
    }

    fn append(&mut self, arrival: &Arrival, named: &Named, labels: Labels, now: Time) {
        let Route { raised, labels } = self.route(arrival, named, labels, now);
        let sender = Sender {
            device: arrival.device_index,
            enrolment: arrival.enrolment,
            model: arrival.model,
            place: arrival.position.or(arrival.site),
        };
        let judgement = self.judge(arrival, &sender, labels);
        let labels = if judgement.on_probation { labels.with(Label::OnProbation) } else { labels };
        let cursor = self.journaled.next();
        let record = Record {
            cursor,
            received_at: arrival.received_at,
            device: arrival.device,
            message_id: arrival.message_id,
            alert: arrival.alert_id(),
            kind: arrival.kind,
            counters: arrival.counters,
            category: raised.category,
            zone: raised.zone,
            also: raised.also.into(),
            agencies: raised.agencies,
            labels,
            carrier: arrival.carrier,
            disposition: judgement.disposition,
            joins: judgement.joins,
            incident: self.incident_of(arrival, &sender, &judgement),
            raised_at: self.raised_at(arrival, named, &judgement),
            site: arrival.site.filter(|_| arrival.position.is_none()),
            signed: arrival.signed.clone(),
        };
        self.remember(&record, arrival);
        self.note_incident(&record, sender.place);
        let findings = self.admission.note(&record, &sender);
        self.answering.journaled(&record, sender.place, &self.zones);
        let (device, zone) = (record.device, record.zone.clone());
        self.outputs.push_back(Output::Append(Entry::Message(record)));
        self.follow(findings, &sender, device, &zone, now);
        self.tell_motions(now);
        self.hint(arrival);
    }

    /// What becomes of the message; only a raise becomes anything of its own.
    fn judge(&self, arrival: &Arrival, sender: &Sender, labels: Labels) -> Judgement {
        if arrival.kind == Kind::Raise {
            return self.admission.judge(sender, labels, arrival.received_at);
        }
        // An update may bring the place of a press, and whether that counts must be on its line.
        let on_probation = arrival.kind == Kind::Update
            && self.admission.is_on_probation(sender, arrival.received_at);
        Judgement { disposition: Disposition::Follows, joins: None, incident: None, on_probation }
    }

    /// Everything that the desk knows by the message's id and counters, and its receipt.
    fn remember(&mut self, record: &Record, arrival: &Arrival) {
        if record.kind == Kind::Raise {
            self.sent.restart(arrival.device_index, record.counters);
        } else {
            self.sent.advance(arrival.device_index, record.counters);
        }
        let held = record.disposition == Disposition::Held;
        let remembered = Remembered {
            cursor: record.cursor,
            device: Some(arrival.device_index),
            raised: Raised::of(record),
            held,
        };
        self.memory.insert(record.message_id, remembered, self.config.remembered_max);
        self.journaled = record.cursor;
        let waiting = if held {
            let call = self.admission.policy().held.emergency_number;
            Waiting::new(arrival, Status::Held, Some(call))
        } else {
            Waiting::new(arrival, Status::Received, None)
        };
        self.receipts.wait(record.cursor, Line::Sender(waiting));
    }

    /// Shards are told what a raise changes, and of a device that they could not know to be on probation.
    fn hint(&mut self, arrival: &Arrival) {
        let (device, enrolment) = (arrival.device_index, arrival.enrolment);
        let at = arrival.received_at;
        let is_good = || self.admission.grade(device, enrolment, at).0 == Grade::Good;
        if arrival.kind == Kind::Raise || !is_good() {
            let hint = self.admission.hint(device, enrolment, at);
            self.outputs.push_back(Output::Hint(device, hint));
        }
    }

    /// Whether the message was made long before it arrived, by its device's clock.
    fn is_late(&self, arrival: &Arrival) -> bool {
        let after = self.admission.policy().late.after;
        arrival.device_clock.is_some_and(|clock| {
            let made_at = Time(clock.0.saturating_mul(1_000));
            arrival.received_at.since(made_at) > after
        })
    }

    /// The id of the zone above all others.
    pub(super) fn root(&self) -> ZoneId {
        self.zones.id(self.zones.root())
    }

    /// The policy in force.
    pub(super) fn policy(&self) -> Arc<crate::Policy> {
        Arc::clone(self.admission.policy())
    }
}
