//! What the policy decides by itself: blocks by strikes and their end, promotions, notices, probation, and who is paged
//! next where nobody answers. And how any decision becomes a line of the journal.

use std::sync::Arc;

use protocol::{AlertId, DeviceId};

use super::receipts::Line;
use super::{Desk, Output};
use crate::admission::{Findings, Sender, Telling};
use crate::answer::Tidings;
use crate::{
    Act, Actor, Answer, Cursor, Decision, DeviceIndex, Enrolment, Entry, Record, Rule, Time,
    Verdict, ZoneId,
};

/// Blocks whose end is journaled at one time; the rest at the next.
const ENDED_AT_ONCE: usize = 256;

/// Steps of alerts that are journaled at one time; the rest at the next.
const CLIMBED_AT_ONCE: usize = 256;

/// Alerts of which it is told at one time that they move or have gone quiet; the rest at the next.
const TOLD_AT_ONCE: usize = 256;

impl Desk {
    /// Does what is due: what a start found undone or another policy asks for, and the end of blocks.
    pub(super) fn catch_up(&mut self, now: Time) {
        if std::mem::take(&mut self.resuming) {
            self.finish(now);
            for cursor in self.admission.confirmed() {
                self.promote_pending(cursor, now);
            }
            while let Some(telling) = self.admission.untold() {
                self.tell(telling, now);
            }
        }
        for _ in 0..ENDED_AT_ONCE {
            let Some((until, index, device)) = self.admission.next_end() else { break };
            if until > now {
                break;
            }
            let mut standing = self.admission.standing(index);
            standing.expire(&self.policy());
            let decision = Decision {
                device: Some(device),
                standing: Some(standing),
                ..Decision::of(Actor::Rule(Rule::Expiry), Act::Expire, self.root(), now)
            };
            self.conclude(decision, Some(index));
        }
        self.climb(now);
        self.tell_motions(now);
    }

    /// Pages more people for alerts that nobody has answered in time.
    fn climb(&mut self, now: Time) {
        self.answering.follow(now, &self.zones);
        for _ in 0..CLIMBED_AT_ONCE {
            let Some((raise, climb)) = self.answering.due(now, &self.zones) else { break };
            let act = Act::Escalate { to: climb.to };
            let decision = Decision::about(Actor::Rule(climb.rule), act, &raise, now);
            self.conclude(decision, None);
        }
    }

    /// Tells who moves, and who has gone quiet.
    pub(super) fn tell_motions(&mut self, now: Time) {
        for _ in 0..TOLD_AT_ONCE {
            let Some(Tidings { raise, rule, act, place }) = self.answering.tidings(now) else {
                break;
            };
            let about = Decision::about(Actor::Rule(rule), act, &raise, now);
            self.conclude(Decision { place, ..about }, None);
        }
    }

    /// What follows from a message that was just journaled.
    pub(super) fn follow(
        &mut self,
        findings: Findings,
        sender: &Sender,
        device: DeviceId,
        zone: &ZoneId,
        now: Time,
    ) {
        for cursor in findings.confirmed {
            self.promote_pending(cursor, now);
        }
        if let Some(telling) = findings.notice {
            self.tell(telling, now);
        }
        if let Some((rule, span, evidence)) = findings.probation {
            let until = now + span;
            let mut standing = self.admission.standing(sender.device);
            standing.probation_until = standing.probation_until.max(Some(until));
            let actor = Actor::Rule(rule);
            let decision = Decision {
                device: Some(device),
                evidence,
                standing: Some(standing),
                ..Decision::of(actor, Act::Probation { until }, zone.clone(), now)
            };
            self.conclude(decision, Some(sender.device));
        }
    }

    /// What a verdict means for the device's block: a prank may lead to one, anything else may undo one.
    pub(super) fn rule_on_block(
        &mut self,
        raise: &Record,
        index: DeviceIndex,
        verdict: Verdict,
        now: Time,
    ) {
        let policy = self.policy();
        let mut standing = self.admission.standing(index);
        let window = policy.strikes.window;
        let evidence = standing.counting(window, now).map(|strike| strike.alert).collect();
        let act = if verdict == Verdict::Prank {
            if !standing.earns_block(&policy, raise.received_at, now) {
                return;
            }
            standing.climb(&policy, now);
            Act::Block { until: standing.blocked_until.unwrap_or(now) }
        } else {
            let undone = verdict == Verdict::Genuine || !standing.rests_on_strikes(&policy);
            if !undone || !standing.is_blocked_by_rule(now) {
                return;
            }
            standing.undo_block();
            Act::Unblock
        };
        let decision = Decision {
            device: Some(raise.device),
            alert: Some((raise.message_id.alert(), raise.cursor)),
            evidence,
            standing: Some(standing),
            ..Decision::of(Actor::Rule(Rule::Strikes), act, raise.zone.clone(), now)
        };
        self.conclude(decision, Some(index));
    }

    fn promote_pending(&mut self, cursor: Cursor, now: Time) {
        let Some(pending) = self.admission.pending(cursor) else { return };
        let device = pending.raiser.device;
        let actor = Actor::Rule(Rule::Corroboration);
        let decision = Decision {
            evidence: pending.evidence(),
            ..Decision::about(actor, Act::Promote, &pending.record, now)
        };
        self.conclude(decision, Some(device));
    }

    fn tell(&mut self, telling: Telling, now: Time) {
        let Telling { rule, notice, evidence, cursor } = telling;
        let Some(pending) = self.admission.pending(cursor) else { return };
        let alert = pending.record.message_id.alert();
        let zone = if rule == Rule::Surge { self.root() } else { pending.record.zone.clone() };
        let decision = Decision {
            alert: Some((alert, cursor)),
            evidence,
            ..Decision::of(Actor::Rule(rule), Act::Notice(notice), zone, now)
        };
        self.conclude(decision, None);
    }

    /// Lets a journaled decision count, about an alert that is answered as far as the index says by `indexed`.
    pub(super) fn count(
        &mut self,
        decision: &Decision,
        device: Option<DeviceIndex>,
        indexed: &Answer,
    ) {
        self.memory.decide(decision, self.config.remembered_max);
        let raise = decision.raise.clone().or_else(|| self.noticed(decision));
        let answer = decision.alert.map(|(alert, _)| self.memory.answer(alert, indexed));
        self.admission.apply(decision, device);
        self.decide_incident(decision);
        self.answering.apply(decision, raise, &answer.unwrap_or_default(), &self.zones);
    }

    /// The raise that a surge's notice stands at.
    fn noticed(&self, decision: &Decision) -> Option<Arc<Record>> {
        let of_surge = decision.actor == Actor::Rule(Rule::Surge);
        let (_, cursor) = decision.alert.filter(|_| of_surge)?;
        Some(Arc::clone(&self.admission.pending(cursor)?.record))
    }

    /// Appends a decision, and lets it count.
    pub(super) fn conclude(
        &mut self,
        mut decision: Decision,
        device: Option<DeviceIndex>,
    ) -> Cursor {
        let cursor = self.journaled.next();
        decision.cursor = cursor;
        self.journaled = cursor;
        self.receipts.wait(cursor, Line::Nobody);
        self.count(&decision, device, &Answer::Waiting);
        let changes = decision.standing.is_some() || decision.promotes().is_some();
        let decided_at = decision.decided_at;
        self.outputs.push_back(Output::Append(Entry::Decision(decision)));
        if let Some(device) = device.filter(|_| changes) {
            let hint = self.admission.hint(device, Enrolment::default(), decided_at);
            self.outputs.push_back(Output::Hint(device, hint));
        }
        cursor
    }
}

impl Decision {
    /// A decision about nothing yet; its cursor is set when it is appended.
    pub(super) fn of(actor: Actor, act: Act, zone: ZoneId, decided_at: Time) -> Self {
        Self {
            cursor: Cursor::default(),
            decided_at,
            actor,
            act,
            device: None,
            alert: None,
            zone,
            reason: None,
            evidence: vec![],
            standing: None,
            raise: None,
            place: None,
        }
    }

    /// A decision about an alert.
    pub(super) fn about(actor: Actor, act: Act, raise: &Arc<Record>, decided_at: Time) -> Self {
        Self {
            device: Some(raise.device),
            alert: Some((raise.message_id.alert(), raise.cursor)),
            raise: Some(Arc::clone(raise)),
            ..Self::of(actor, act, raise.zone.clone(), decided_at)
        }
    }

    /// The alert that is paged because of it.
    pub(super) fn promotes(&self) -> Option<AlertId> {
        self.alert.filter(|_| self.act == Act::Promote).map(|(alert, _)| alert)
    }
}
