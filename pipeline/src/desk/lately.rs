//! How alerts are answered by the journal's newest lines, which the index may not hold yet.
//!
//! What is known here wins over what the index says, so that of two operators at once the second is told who was first.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use protocol::AlertId;

use crate::{Act, Actor, Answer, Cursor, Decision};

#[derive(Debug, Default)]
pub(super) struct Lately {
    by_alert: HashMap<AlertId, Told, BuildHasherDefault<DefaultHasher>>,
}

/// What the lines tell of an alert.
#[derive(Debug)]
struct Told {
    /// The line that tells it: when the index holds that, it knows as much.
    cursor: Cursor,
    answer: Answer,
    /// It was told by a verdict, which answers an alert only if nobody had.
    by_verdict: bool,
}

impl Lately {
    /// How the alert is answered, where the index says `indexed`.
    pub(super) fn answer(&self, alert: AlertId, indexed: &Answer) -> Answer {
        match self.by_alert.get(&alert) {
            Some(told) if !told.by_verdict || *indexed == Answer::Waiting => told.answer.clone(),
            _ => indexed.clone(),
        }
    }

    /// A decision was journaled; the alert that it answers.
    pub(super) fn note(&mut self, decision: &Decision) -> Option<AlertId> {
        let (alert, _) = decision.alert?;
        let (answer, by_verdict) = answer_of(decision)?;
        let told = Told { cursor: decision.cursor, answer, by_verdict };
        match self.by_alert.entry(alert) {
            Entry::Vacant(vacant) => drop(vacant.insert(told)),
            Entry::Occupied(mut known) => {
                let waits = known.get().answer == Answer::Waiting;
                if !by_verdict || waits {
                    // Whatever the index says, it says it of what lies before.
                    known.insert(Told { by_verdict: false, ..told });
                }
            }
        }
        Some(alert)
    }

    /// The index holds the line at `cursor`, which told of `alert`.
    pub(super) fn forget(&mut self, alert: AlertId, cursor: Cursor) {
        if self.by_alert.get(&alert).is_some_and(|told| told.cursor == cursor) {
            self.by_alert.remove(&alert);
        }
    }
}

/// What a decision makes of its alert's answer, and whether only if nobody has answered.
fn answer_of(decision: &Decision) -> Option<(Answer, bool)> {
    let Actor::Operator(name) = &decision.actor else { return None };
    let (by, at) = (Arc::clone(name), decision.decided_at);
    match &decision.act {
        Act::Acknowledge => Some((Answer::Acknowledged { by, at }, false)),
        Act::Verdict(_) => Some((Answer::Acknowledged { by, at }, true)),
        Act::Assign { to } => Some((Answer::Assigned { by, to: Arc::clone(to), at }, false)),
        Act::Resolve(_) => Some((Answer::Resolved { by, at }, false)),
        Act::Reopen => Some((Answer::Waiting, false)),
        _ => None,
    }
}
