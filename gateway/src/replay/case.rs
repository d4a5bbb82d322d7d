//! One raise in both pasts, and what makes the difference.

use pipeline::{Act, Cursor, Decision, Disposition, Rule, Span, Time, Verdict, ZoneId};
use protocol::AlertId;

/// Shorter waits than this make no difference: a message waited at the desk for moments that are not recorded, and does
/// not wait here.
const NOTICED_MIN: Span = Span::from_secs(1);

/// A raise in both pasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// When it was received.
    pub at: Time,
    /// Where it was routed to.
    pub zone: ZoneId,
    /// Its line in the journal.
    pub cursor: Cursor,
    /// What operators last found it to be, or the press that it joined.
    pub verdict: Option<Verdict>,
    /// What became of it.
    pub old: Course,
    /// What would have. Nothing if it would not have been taken, which is never so for a raise.
    pub new: Option<Course>,
}

/// What becomes of a raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// Its line of the journal.
    pub cursor: Cursor,
    /// What is decided at once.
    pub disposition: Disposition,
    /// The open alert that it joins.
    pub joins: Option<AlertId>,
    /// When it is paged after all.
    pub promoted_at: Option<Time>,
}

/// How a raise would have fared otherwise, as seen by whoever answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was paged or shown, and never would have been.
    Held,
    /// It would have been so much later.
    Delayed(Span),
    /// It was paged, and would have been shown on an open alert.
    Joined,
    /// It was shown on an open alert, and would have been paged.
    Paged,
    /// It would have been paged or shown so much sooner.
    Sooner(Span),
    /// It was never paged nor shown, and would have been.
    Released,
}

/// What was decided in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Raises paged at once.
    pub paged: u64,
    /// Raises shown on an open alert.
    pub joined: u64,
    /// Raises held.
    pub held: u64,
    /// Raises told by a notice.
    pub noticed: u64,
    /// Raises paged after all.
    pub promoted: u64,
    /// Blocks by strikes.
    pub blocks: u64,
    /// Times that a rule put a device on probation.
    pub probations: u64,
    /// Notices to operators.
    pub notices: u64,
}

impl Course {
    /// When people see it; nothing if nobody is told.
    fn shown_at(&self, received_at: Time) -> Option<Time> {
        match self.disposition {
            Disposition::Paged | Disposition::Joined => Some(received_at),
            _ => self.promoted_at,
        }
    }

    /// Whether people are paged for it, at once or later.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.disposition == Disposition::Paged || self.promoted_at.is_some()
    }
}

impl Case {
    /// What makes the difference, if anything does.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        let new = self.new?;
        let shown = (self.old.shown_at(self.at), new.shown_at(self.at));
        match shown {
            (Some(_), None) => Some(Change::Held),
            (None, Some(_)) => Some(Change::Released),
            (Some(old), Some(new)) if new > old + NOTICED_MIN => {
                Some(Change::Delayed(new.since(old)))
            }
            (Some(old), Some(new)) if old > new + NOTICED_MIN => {
                Some(Change::Sooner(old.since(new)))
            }
            _ => match (self.old.is_page(), new.is_page()) {
                (true, false) if shown.0.is_some() => Some(Change::Joined),
                (false, true) => Some(Change::Paged),
                _ => None,
            },
        }
    }

    /// Whether somebody may have needed help: an operator said so, or nobody ever said what it was.
    #[must_use]
    pub fn may_be_real(&self) -> bool {
        matches!(self.verdict, None | Some(Verdict::Genuine))
    }
}

impl Sums {
    /// Counts a raise.
    pub(super) fn raise(&mut self, disposition: Disposition) {
        match disposition {
            Disposition::Paged => self.paged += 1,
            Disposition::Joined => self.joined += 1,
            Disposition::Held => self.held += 1,
            Disposition::Noticed => self.noticed += 1,
            Disposition::Follows => {}
        }
    }

    /// Counts a decision.
    pub(super) fn decision(&mut self, decision: &Decision) {
        let by_rule = matches!(&decision.actor, pipeline::Actor::Rule(Rule::Strikes));
        match &decision.act {
            Act::Promote => self.promoted += 1,
            Act::Block { .. } if by_rule => self.blocks += 1,
            Act::Probation { .. } => self.probations += 1,
            Act::Notice(_) => self.notices += 1,
            _ => {}
        }
    }

    /// Names and numbers, in the order in which they are told.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 8] {
        let Self { paged, joined, held, noticed, promoted, blocks, probations, notices } = *self;
        [
            ("paged", paged),
            ("joined", joined),
            ("held", held),
            ("noticed", noticed),
            ("promoted", promoted),
            ("blocks", blocks),
            ("probations", probations),
            ("notices", notices),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Time = Time(1_800_000_000_000_000);

    fn change(old: (Disposition, Option<u64>), new: (Disposition, Option<u64>)) -> Option<Change> {
        let course = |(disposition, promoted_after_s): (Disposition, Option<u64>)| Course {
            cursor: Cursor(1),
            disposition,
            joins: None,
            promoted_at: promoted_after_s.map(|after| AT + Span::from_secs(after)),
        };
        let (zone, verdict) = (ZoneId::new("polsek-klojen"), None);
        let (old, new) = (course(old), Some(course(new)));
        Case { at: AT, zone, cursor: Cursor(1), verdict, old, new }.change()
    }

    #[test]
    fn what_people_see_makes_the_difference() {
        use Disposition::{Held, Joined, Noticed, Paged};
        let seconds = |s| Span::from_secs(s);
        for (old, new, expected) in [
            ((Paged, None), (Paged, None), None),
            ((Paged, None), (Held, None), Some(Change::Held)),
            ((Joined, None), (Held, None), Some(Change::Held)),
            ((Paged, None), (Noticed, Some(90)), Some(Change::Delayed(seconds(90)))),
            ((Held, Some(10)), (Held, Some(70)), Some(Change::Delayed(seconds(60)))),
            ((Held, Some(70)), (Held, Some(70)), None),
            ((Held, Some(70)), (Held, Some(71)), None),
            ((Held, Some(70)), (Paged, None), Some(Change::Sooner(seconds(70)))),
            ((Held, None), (Noticed, None), None),
            ((Held, None), (Held, Some(5)), Some(Change::Released)),
            ((Held, None), (Joined, None), Some(Change::Released)),
            ((Paged, None), (Joined, None), Some(Change::Joined)),
            ((Joined, None), (Paged, None), Some(Change::Paged)),
        ] {
            assert_eq!(change(old, new), expected, "{old:?} {new:?}");
        }
    }
}
