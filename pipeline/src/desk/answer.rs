//! How operators answer alerts, and what they prepare zones for.
//!
//! An alert of a press carries the answer for all raises of it. Of two operators at once the first is the one who
//! answers, and the second is told who that is.

use super::{DecisionAnswer, DecisionRefusal, Demand, Desk, Recollected, Request};
use crate::{Act, Answer, Decision, Span, Time, Verdict, ZoneId};

/// A drill may be declared for so long: whoever forgets to end it would make exercises of real presses.
const DRILL_MAX: Span = Span::from_secs(86_400);

impl Desk {
    /// Decides about an alert whose raise was read.
    pub(super) fn decide_alert(
        &mut self,
        request: &Request,
        found: &Recollected,
        now: Time,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        let raise = &found.raise;
        if !request.scope.admits(raise.agencies, Some(raise.category)) {
            return Err(DecisionRefusal::UnknownAlert(raise.message_id.alert()));
        }
        self.reaches_alert(request, found)?;
        if let Demand::Verdict { verdict, .. } = request.demand {
            return Ok(self.judge_alert(request, found, verdict, now));
        }
        if let Some(press) = found.raise.joins {
            return Err(DecisionRefusal::Joined(press));
        }
        let answer = self.memory.answer(found.raise.message_id.alert(), &found.answer);
        let act = match (&request.demand, answer) {
            (Demand::Reopen { .. }, Answer::Resolved { .. }) => Act::Reopen,
            (Demand::Reopen { .. }, _) => return Err(DecisionRefusal::NotResolved),
            (_, Answer::Resolved { by, at }) => return Err(DecisionRefusal::Resolved { by, at }),
            (Demand::Assign { to, .. }, _) => Act::Assign { to: to.clone() },
            (Demand::Resolve { verdict, .. }, _) => {
                return Ok(self.resolve(request, found, *verdict, now));
            }
            (_, Answer::Acknowledged { by, at } | Answer::Assigned { by, at, .. }) => {
                return Err(DecisionRefusal::AnsweredAlready { by, at });
            }
            (_, Answer::Waiting) => Act::Acknowledge,
        };
        Ok(self.answered(request, found, act, now))
    }

    /// The alert is over, and judged; the verdict and what follows from it stand behind the line that says so.
    fn resolve(
        &mut self,
        request: &Request,
        found: &Recollected,
        verdict: Verdict,
        now: Time,
    ) -> DecisionAnswer {
        let resolved = self.answered(request, found, Act::Resolve(verdict), now);
        let judged = self.judge_alert(request, found, verdict, now);
        DecisionAnswer { cursor: resolved.cursor, ..judged }
    }

    /// Journals how an alert is answered.
    fn answered(
        &mut self,
        request: &Request,
        found: &Recollected,
        act: Act,
        now: Time,
    ) -> DecisionAnswer {
        let decision = Decision {
            reason: request.reason.clone(),
            ..Decision::about(request.operator(), act, &found.raise, now)
        };
        let cursor = self.conclude(decision, found.device_index);
        let standing = found.device_index.map(|index| self.admission.standing(index));
        let device = Some(found.raise.device);
        DecisionAnswer { cursor, decided_at: now, device, standing, promoted: false }
    }

    pub(super) fn drill(
        &mut self,
        request: &Request,
        zone: &ZoneId,
        until: Time,
        now: Time,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        if until.since(now) > DRILL_MAX {
            return Err(DecisionRefusal::DrillTooLong(DRILL_MAX));
        }
        self.prepare(request, zone, Act::Drill { until }, now)
    }

    /// Journals what a zone is prepared for.
    pub(super) fn prepare(
        &mut self,
        request: &Request,
        zone: &ZoneId,
        act: Act,
        now: Time,
    ) -> Result<DecisionAnswer, DecisionRefusal> {
        if self.zones.find(zone.as_str()).is_none() {
            return Err(DecisionRefusal::UnknownZone(zone.clone()));
        }
        self.reaches(request, zone)?;
        let decision = Decision {
            reason: request.reason.clone(),
            ..Decision::of(request.operator(), act, zone.clone(), now)
        };
        let cursor = self.conclude(decision, None);
        let (device, standing) = (None, None);
        Ok(DecisionAnswer { cursor, decided_at: now, device, standing, promoted: false })
    }

    /// Whoever is paged for an alert may act on it: in its zone, and in those that were paged beside it.
    fn reaches_alert(&self, request: &Request, found: &Recollected) -> Result<(), DecisionRefusal> {
        let raise = &found.raise;
        let own = self.reaches(request, &raise.zone);
        if raise.also.iter().any(|zone| self.reaches(request, zone).is_ok()) { Ok(()) } else { own }
    }
}
