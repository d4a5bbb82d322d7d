//! What operators decide: verdicts and the strikes they make, blocks, and what undoes both.
//!
//! Every decision is a line of the journal, changes what is known when it is appended, and is told to whoever asked for
//! it when it is synced. What follows from one stands right behind it; if power fails in between, the operator had no
//! answer, asks again, and what is missing follows then: no step is taken twice.

use std::sync::Arc;

use protocol::AlertId;

use super::{
    About, DecisionAnswer, DecisionRefusal, Demand, Desk, Output, Recollected, Request, Ticket,
};
use crate::{Act, Actor, Decision, Disposition, Standing, Time, Verdict, ZoneId};

impl Desk {
    /// An operator asks for a decision.
    pub(super) fn demanded(&mut self, ticket: Ticket, request: Request, now: Time) {
        let decided = match (request.check(), &request.demand) {
            (Err(refusal), _) => Err(refusal),
            (Ok(()), _) if self.is_busy() => Err(DecisionRefusal::Busy),
            (Ok(()), Demand::Block { about, until }) => self.block(&request, about, *until, now),
            (Ok(()), Demand::Unblock(about)) => self.unblock(&request, about, now),
            (Ok(()), Demand::Appeal(about)) => self.appeal(&request, about, now),
            (Ok(()), Demand::Drill { zone, until }) => self.drill(&request, zone, *until, now),
            (Ok(()), Demand::Posture { zone, posture }) => {
                self.prepare(&request, zone, Act::Posture(*posture), now)
            }
            (
                Ok(()),
                Demand::Verdict { alert, .. }
                | Demand::Acknowledge { alert }
                | Demand::Assign { alert, .. }
                | Demand::Resolve { alert, .. }
                | Demand::Reopen { alert },
            ) => {
                return self.recollect(*alert, ticket, request);
            }
        };
        self.answer(ticket, decided);
    }

    /// A raise was read: whoever asked about it goes on, in the order in which they came.
    pub(super) fn recollected(&mut self, alert: AlertId, found: Option<&Recollected>, now: Time) {
        let waiting = self.recollecting.remove(&alert).unwrap_or_default();
        self.recollecting_len -= waiting.len();
        for (ticket, request) in waiting {
            let found = found.filter(|found| found.raise.disposition != Disposition::Follows);
            let decided = match found {
                Some(found) => self.decide_alert(&request, found, now),
                None => Err(DecisionRefusal::UnknownAlert(alert)),
            };
            self.answer(ticket, decided);
        }
    }

    fn is_busy(&self) -> bool {
        self.recollecting_len + self.receipts.operators() >= self.config.decisions_max
    }

    fn recollect(&mut self, alert: AlertId, ticket: Ticket, request: Request) {
        let waiting = self.recollecting.entry(alert).or_default();
        waiting.push((ticket, request));
        self.recollecting_len += 1;
        if waiting.len() == 1 {
            let cursor = self.memory.get(&protocol::MessageId(alert.0)).map(|raise| raise.cursor);
            self.outputs.push_back(Output::Recollect { alert, cursor });
        }
    }

    /// Answers at once if nothing was decided, otherwise when the last line of it is synced.
    fn answer(&mut self, ticket: Ticket, decided: Result<DecisionAnswer, DecisionRefusal>) {
        match decided {
            Ok(answer) => self.receipts.wait_last(ticket, answer),
            Err(refusal) => self.outputs.push_back(Output::Decided(ticket, Err(refusal))),
        }
    }

    /// Notes what an alert was, and what follows from it.
    pub(super) fn judge_alert(
        &mut self,
        request: &Request,
        found: &Recollected,
        verdict: Verdict,
        now: Time,
    ) -> DecisionAnswer {
        let raise = &found.raise;
        let policy = self.policy();
        // All raises of one press are one strike at most.
        let press = raise.joins.unwrap_or(raise.message_id.alert());
        let standing = found.device_index.map(|index| {
            let mut standing = self.admission.standing(index);
            standing.judged(verdict, press, &policy, now);
            standing
        });
        let actor = request.operator();
        let decision = Decision {
            reason: request.reason.clone(),
            standing,
            ..Decision::about(actor, Act::Verdict(verdict), raise, now)
        };
        let cursor = self.conclude(decision, found.device_index);
        let promoted = self.follow_verdict(request, found, verdict, now);
        let standing = found.device_index.map(|index| self.admission.standing(index));
        DecisionAnswer { cursor, decided_at: now, device: Some(raise.device), standing, promoted }
    }

    /// What a verdict leads to; whether a held alert is paged because of it. Done twice it is the same as once.
    pub(super) fn follow_verdict(
        &mut self,
        request: &Request,
        found: &Recollected,
        verdict: Verdict,
        now: Time,
    ) -> bool {
        if let Some(index) = found.device_index {
            self.rule_on_block(&found.raise, index, verdict, now);
        }
        verdict == Verdict::Genuine && self.promote_found(request, found, now)
    }

    /// Pages an alert that was found genuine, if nobody was paged for it yet.
    fn promote_found(&mut self, request: &Request, found: &Recollected, now: Time) -> bool {
        let raise = &found.raise;
        let alert = raise.message_id.alert();
        let unpaged = matches!(raise.disposition, Disposition::Held | Disposition::Noticed);
        let promoted = found.promoted || self.memory.is_promoted(alert);
        if !unpaged || promoted || raise.joins.is_some() {
            return false;
        }
        let decision = Decision {
            reason: request.reason.clone(),
            ..Decision::about(request.operator(), Act::Promote, raise, now)
        };
        self.conclude(decision, found.device_index);
        true
    }

    fn block(
        &mut self,
        request: &Request,
        about: &About,
        until: Time,
        now: Time,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        self.reaches(request, &about.zone)?;
        let longest = self.policy().strikes.operator_block_max;
        if until <= now {
            return Err(DecisionRefusal::EndsBeforeItBegins);
        }
        if until.since(now) > longest {
            return Err(DecisionRefusal::BlockTooLong(longest));
        }
        let mut standing = self.admission.standing(about.index);
        standing.blocked_until = Some(until);
        standing.blocked_by_rule = false;
        Ok(self.ordered(request, about, Act::Block { until }, Some(standing), now))
    }

    fn unblock(
        &mut self,
        request: &Request,
        about: &About,
        now: Time,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        self.reaches(request, &about.zone)?;
        let mut standing = self.admission.standing(about.index);
        if !standing.is_blocked(now) {
            return Err(DecisionRefusal::NotBlocked);
        }
        standing.unblock();
        Ok(self.ordered(request, about, Act::Unblock, Some(standing), now))
    }

    fn appeal(
        &mut self,
        request: &Request,
        about: &About,
        now: Time,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        self.reaches(request, &about.zone)?;
        Ok(self.ordered(request, about, Act::Appeal, None, now))
    }

    /// Journals what an operator decided about a device.
    fn ordered(
        &mut self,
        request: &Request,
        about: &About,
        act: Act,
        standing: Option<Standing>,
        now: Time,
    ) -> DecisionAnswer {
        let decision = Decision {
            device: Some(about.device),
            reason: request.reason.clone(),
            standing,
            ..Decision::of(request.operator(), act, about.zone.clone(), now)
        };
        let cursor = self.conclude(decision, Some(about.index));
        let standing = Some(self.admission.standing(about.index));
        DecisionAnswer {
            cursor,
            decided_at: now,
            device: Some(about.device),
            standing,
            promoted: false,
        }
    }

    pub(super) fn reaches(&self, request: &Request, zone: &ZoneId) -> Result<(), DecisionRefusal> {
        if request.reach.covers(zone, &self.zones) {
            return Ok(());
        }
        Err(DecisionRefusal::OutOfReach(zone.clone()))
    }
}

impl Request {
    pub(super) fn operator(&self) -> Actor {
        Actor::Operator(Arc::clone(&self.actor))
    }
}
