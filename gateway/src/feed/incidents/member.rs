//! One raise of an incident, as far as summaries need it: some eighty bytes.
//!
//! It is given the lines of the journal about that raise, in order, and keeps what they come to. It keeps the place that
//! the raise stated: where an incident is was decided by that, and who moves afterwards is on the feed of alerts.

use pipeline::{Act, Actor, Agencies, Cursor, Decision, Disposition, Record, Time};
use protocol::{AlertId, Category, Label, Position};

use super::super::message::decode;
use crate::search::AnswerState;

/// A raise, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// The alert that it opened.
    pub(super) alert: AlertId,
    /// The latest line that changed anything here.
    pub(super) changed: Cursor,
    /// When it was received.
    pub(super) at: Time,
    /// Where, as far as the raise or the enrolment of its device tells.
    pub(super) place: Option<Position>,
    /// What help is needed.
    pub(super) category: Category,
    /// Who is to answer.
    pub(super) agencies: Agencies,
    /// What it counts as.
    pub(super) part: Part,
    /// How far it is answered.
    pub(super) answer: AnswerState,
    /// Whether it is to be answered discreetly.
    pub(super) silent: bool,
    /// Whether it belongs to a drill.
    pub(super) drill: bool,
    /// Whether its sender took it back.
    pub(super) cancelled: bool,
    /// Whether everybody who is entitled was paged in the end.
    pub(super) climbed_to_all: bool,
    /// Its audience among those of its incident.
    pub(super) audience: u32,
}

/// What a raise counts as in its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A press of its own.
    Press,
    /// The same device once more while its press is open.
    Repeat,
    /// Nobody is paged for it, unless it is promoted.
    Held,
}

impl Member {
    /// A raise whose line has just been read.
    pub(super) fn new(record: &Record, audience: u32) -> Self {
        let part = match record.disposition {
            Disposition::Joined => Part::Repeat,
            Disposition::Held => Part::Held,
            Disposition::Follows | Disposition::Paged | Disposition::Noticed => Part::Press,
        };
        Self {
            alert: record.message_id.alert(),
            changed: record.cursor,
            at: record.received_at,
            place: decode(record).and_then(|message| message.position).or(record.site),
            category: record.category,
            agencies: record.agencies,
            part,
            answer: AnswerState::Waiting,
            silent: record.labels.contains(Label::Silent),
            drill: record.labels.contains(Label::Drill),
            cancelled: false,
            climbed_to_all: false,
            audience,
        }
    }

    /// Takes what was decided about it. Whether that changed anything; whom a step of an escalation pages beside those who
    /// see it already, is its audience's.
    pub(super) fn decide(&mut self, decision: &Decision) -> bool {
        let before = (self.part, self.answer, self.climbed_to_all);
        match (&decision.act, &decision.actor) {
            (Act::Promote, _) => self.part = Part::Press,
            (Act::Escalate { to: None }, _) => self.climbed_to_all = true,
            (act, Actor::Operator(_)) => self.answer = answered(self.answer, act),
            _ => {}
        }
        before != (self.part, self.answer, self.climbed_to_all)
    }
}

/// What a person's act makes of an answer. A verdict on an alert that nobody answers answers it.
fn answered(before: AnswerState, act: &Act) -> AnswerState {
    match act {
        Act::Acknowledge => AnswerState::Acknowledged,
        Act::Verdict(_) if before == AnswerState::Waiting => AnswerState::Acknowledged,
        Act::Assign { .. } => AnswerState::Assigned,
        Act::Resolve(_) => AnswerState::Resolved,
        Act::Reopen => AnswerState::Waiting,
        _ => before,
    }
}
