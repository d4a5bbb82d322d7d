//! How alerts are answered: who takes them up, who is paged next where nobody does, and what those who answer are told of
//! whoever pressed.
//!
//! What waits for an answer, the drills and the postures are a fold over the journal: [`Answering::journaled`] takes each
//! journaled message and [`Answering::apply`] each decision, in order, both while the desk lives and when it is told the
//! past. When an alert climbs is worked out from that, from the routing and from where somebody listens; it is never
//! stored, so a restart, another routing or a clock that jumps can make no step happen twice.

mod attendance;
mod motion;
mod open;
mod prepared;

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::{Category, Kind, Position};

use self::attendance::Attendance;
pub(crate) use self::motion::Tidings;
use self::motion::Tracks;
use self::open::{Open, OpenAlerts};
use self::prepared::Prepared;
use crate::policy::{HORIZON_MAX, Motion};
use crate::{
    Act, Actor, Agencies, Decision, Disposition, Posture, Record, Routing, Rule, Span, Time,
    ZoneId, ZoneIndex, Zones,
};

/// The clock was set back if it shows a time so long before one that it showed already.
const SET_BACK_MIN: Span = Span::from_secs(1);

/// How far an alert is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    /// Nobody answered yet, or it was reopened.
    #[default]
    Waiting,
    /// Somebody answers it: they said so, or gave a verdict while nobody had.
    Acknowledged {
        /// Who.
        by: Arc<str>,
        /// When.
        at: Time,
    },
    /// Somebody was sent.
    Assigned {
        /// Who sent them.
        by: Arc<str>,
        /// Who was sent, in the operator's words.
        to: Arc<str>,
        /// When.
        at: Time,
    },
    /// It is over.
    Resolved {
        /// Who said so.
        by: Arc<str>,
        /// When.
        at: Time,
    },
}

/// What waits for an answer, and all by which it is routed and climbs.
#[derive(Debug)]
pub(crate) struct Answering {
    routing: Arc<Routing>,
    attendance: Attendance,
    prepared: Prepared,
    open: OpenAlerts,
    tracks: Tracks,
    /// Something has changed by which deadlines are worked out.
    stale: bool,
    /// The latest moment that was told, by the clock as it was last set.
    latest: Time,
}

/// An alert's next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Climb {
    pub(crate) at: Time,
    pub(crate) rule: Rule,
    /// Nothing: everybody.
    pub(crate) to: Option<ZoneId>,
}

impl Answering {
    pub(crate) fn new(open_max: usize, motion: &Motion) -> Self {
        let mut tracks = Tracks::new(open_max);
        tracks.set(motion);
        Self {
            tracks,
            routing: Arc::default(),
            attendance: Attendance::default(),
            prepared: Prepared::default(),
            open: OpenAlerts::new(open_max),
            stale: false,
            latest: Time(0),
        }
    }

    /// Alerts are routed and climb by these rules from here on.
    pub(crate) fn set_routing(&mut self, routing: Arc<Routing>) {
        self.routing = routing;
        self.stale = true;
    }

    /// It is told by these numbers from here on who moves and who has gone quiet.
    pub(crate) fn set_motion(&mut self, motion: &Motion) {
        self.tracks.set(motion);
    }

    /// The zones were changed.
    pub(crate) fn rezone(&mut self) {
        self.stale = true;
    }

    /// Who listens has changed.
    pub(crate) fn attend(&mut self, listening: Option<Arc<BTreeSet<ZoneId>>>, now: Time) {
        self.stale |= self.attendance.set(listening, now);
    }

    /// The index knows what a zone is prepared for.
    pub(crate) fn prepare(&mut self, zone: &ZoneId, drill: Option<Time>, posture: Option<Posture>) {
        self.prepared.set(zone, drill, posture);
        self.stale = true;
    }

    /// Who answers a raise of this category in `zone`.
    pub(crate) fn agencies(&self, zones: &Zones, zone: ZoneIndex, category: Category) -> Agencies {
        self.routing.agencies(zones, zone, category, self.prepared.posture(zones, zone))
    }

    /// How far from a raise's place a zone may lie that is paged too, in metres.
    pub(crate) fn reach_m(&self, place: &Position) -> u32 {
        self.routing.reach_m(place)
    }

    /// Who is told of a raise at `place`, which is outside every zone.
    pub(crate) fn neighbours(&self, place: &Position) -> impl Iterator<Item = &ZoneId> {
        let hearing = self.routing.neighbours.iter().filter(|it| it.hears_of(place));
        hearing.map(|neighbour| &neighbour.zone)
    }

    /// Whether an exercise flag counts in `zone` at `at`.
    pub(crate) fn is_drill(&self, zones: &Zones, zone: ZoneIndex, at: Time) -> bool {
        self.prepared.is_drill(zones, zone, at)
    }

    /// The zone that is paged beside `zone`, because nobody has listened there for too long.
    pub(crate) fn stand_in(&self, zones: &Zones, zone: ZoneIndex, now: Time) -> Option<ZoneId> {
        let left = self.attendance.left(zones.get(zone).map(|zone| &zone.id)?)?;
        let since = left.min(now);
        (now.since(since) >= self.routing.unattended_after)
            .then(|| self.attended_above(zones, zone))?
    }

    /// A message was journaled, and says `place`: if people are paged for it, it waits for an answer.
    pub(crate) fn journaled(&mut self, record: &Record, place: Option<Position>, zones: &Zones) {
        self.latest = self.latest.max(record.received_at);
        if record.kind != Kind::Raise || record.joins.is_some() {
            return self.tracks.note(record, place);
        }
        let raise = Arc::new(record.clone());
        self.tracks.begin(Arc::clone(&raise), place);
        if record.disposition != Disposition::Paged {
            return;
        }
        let step = first_step(&raise, zones);
        self.begin(raise, Some(step), record.received_at, zones);
    }

    /// Takes a decision. `raise`: of the alert that it is about, where that is known; `answer`: how far that alert is
    /// answered, as far as is known.
    pub(crate) fn apply(
        &mut self,
        decision: &Decision,
        raise: Option<Arc<Record>>,
        answer: &Answer,
        zones: &Zones,
    ) {
        let waiting = *answer == Answer::Waiting;
        let at = decision.decided_at;
        self.latest = self.latest.max(at);
        self.apply_motion(decision, answer);
        let known = decision.alert.is_some_and(|(_, cursor)| self.open.get(cursor).is_some());
        match (&decision.act, raise) {
            (Act::Acknowledge | Act::Assign { .. } | Act::Resolve(_), _) => self.close(decision),
            (Act::Verdict(_), _) if matches!(decision.actor, Actor::Operator(_)) => {
                self.close(decision);
            }
            (Act::Escalate { to }, Some(raise)) if waiting => {
                self.begin(raise, to.clone(), at, zones);
            }
            // One that waits already, because a notice spoke of it, goes on from there: no step is taken twice.
            (Act::Promote, Some(raise)) if waiting && !known => {
                let step = first_step(&raise, zones);
                self.begin(raise, Some(step), at, zones);
            }
            (Act::Notice(_), Some(raise)) if waiting && !known => {
                self.begin(raise, Some(decision.zone.clone()), at, zones);
            }
            (Act::Reopen, Some(raise)) => {
                let step = raise.zone.clone();
                self.begin(raise, Some(step), at, zones);
            }
            (Act::Drill { until }, _) => self.prepared.set(&decision.zone, Some(*until), None),
            (Act::Posture(posture), _) => self.prepare(&decision.zone, None, Some(*posture)),
            _ => {}
        }
    }

    /// What a decision says about whoever pressed.
    fn apply_motion(&mut self, decision: &Decision, answer: &Answer) {
        let Some((_, cursor)) = decision.alert else { return };
        match (&decision.act, &decision.raise) {
            (Act::Moving { .. }, _) => {
                self.tracks.told_moving(cursor, decision.decided_at, decision.place);
            }
            (Act::Quiet { .. }, _) => self.tracks.told_quiet(cursor),
            (Act::Resolve(_), _) => self.tracks.set_over(cursor, true),
            (Act::Reopen, _) => self.tracks.set_over(cursor, false),
            (Act::Promote, Some(raise)) => {
                self.tracks.page(raise, matches!(answer, Answer::Resolved { .. }));
            }
            _ => {}
        }
    }

    /// Looks at the clock, and works out every deadline again if something has changed.
    pub(crate) fn follow(&mut self, now: Time, zones: &Zones) {
        if self.latest.since(now) >= SET_BACK_MIN {
            // What lies ahead would wait until the clock is there again, which can take a year.
            self.open.set_back(now);
            self.tracks.set_back(now);
            self.attendance.set_back(now);
            self.latest = now;
            self.stale = true;
        }
        self.latest = self.latest.max(now);
        self.tracks.listen(now);
        if std::mem::take(&mut self.stale) {
            let Self { open, .. } = &*self;
            let due: Vec<_> = open
                .iter()
                .map(|(cursor, open)| (cursor, self.next_climb(open, zones).map(|climb| climb.at)))
                .collect();
            self.open.reschedule(due);
        }
    }

    /// The alert whose next step is due, and which it is.
    pub(crate) fn due(&self, now: Time, zones: &Zones) -> Option<(Arc<Record>, Climb)> {
        let open = self.open.first_due(now)?;
        Some((Arc::clone(&open.raise), self.next_climb(open, zones)?))
    }

    /// What is to be told of whoever pressed, by `now`.
    pub(crate) fn tidings(&mut self, now: Time) -> Option<Tidings> {
        self.tracks.due(now)
    }

    /// When the next step is due, or something is to be told; at once if something has changed.
    pub(crate) fn next_due(&self) -> Option<Time> {
        if self.stale {
            return Some(Time(0));
        }
        self.open.next_due().into_iter().chain(self.tracks.next_due()).min()
    }

    /// Alerts that wait for an answer.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Alerts of which it is known whether whoever pressed moves.
    pub(crate) fn tracks(&self) -> usize {
        self.tracks.len()
    }

    /// The alert waits at `step` from `since` on.
    fn begin(&mut self, raise: Arc<Record>, step: Option<ZoneId>, since: Time, zones: &Zones) {
        let open = Open { raise, step, since };
        let due = self.next_climb(&open, zones).map(|climb| climb.at);
        self.open.insert(open, due);
    }

    fn close(&mut self, decision: &Decision) {
        if let Some((_, cursor)) = decision.alert {
            self.open.remove(cursor);
        }
    }

    /// Where the alert climbs next, and when: above a zone where nobody listens to the first where somebody does, above
    /// any other when its deadline is over.
    fn next_climb(&self, open: &Open, zones: &Zones) -> Option<Climb> {
        let zone = open.step.as_ref()?;
        let place = zones.find(zone.as_str());
        // A zone that is no longer drawn lies below the root.
        let above = match place {
            Some(place) => zones.get(place).and_then(|zone| zone.parent),
            None => Some(zones.root()),
        };
        let deadline = Climb {
            at: open.since + self.deadline(open, place.unwrap_or(zones.root()), zones),
            rule: Rule::Deadline,
            to: above.map(|above| zones.id(above)),
        };
        let left = self.attendance.left(zone);
        let stand_in = place.and_then(|place| self.attended_above(zones, place));
        let unattended = left.zip(stand_in).map(|(left, to)| Climb {
            at: open.since.max(left + self.routing.unattended_after),
            rule: Rule::Unattended,
            to: Some(to),
        });
        Some(unattended.filter(|climb| climb.at <= deadline.at).unwrap_or(deadline))
    }

    /// How long the alert waits at `zone`. All steps together fit into the time that a start reads again, so that none
    /// is forgotten over a restart.
    fn deadline(&self, open: &Open, zone: ZoneIndex, zones: &Zones) -> Span {
        let own = zones.find(open.raise.zone.as_str()).unwrap_or(zones.root());
        let steps = zones.upwards(own).count().max(1) as u64;
        let posture = self.prepared.posture(zones, zone);
        let stated = self.routing.deadline(zones, zone, open.raise.category, posture);
        stated.min(Span(HORIZON_MAX.0 / steps))
    }

    fn attended_above(&self, zones: &Zones, zone: ZoneIndex) -> Option<ZoneId> {
        let above = zones.upwards(zone).skip(1).filter_map(|above| zones.get(above));
        above.map(|zone| &zone.id).find(|id| self.attendance.listens(id)).cloned()
    }
}

/// Where an alert waits first: where it was raised, or above if somebody there was paged in the place of those who do
/// not listen.
fn first_step(raise: &Record, zones: &Zones) -> ZoneId {
    let own = zones.find(raise.zone.as_str());
    let is_above = |id: &&ZoneId| {
        let places = own.zip(zones.find(id.as_str()));
        places.is_some_and(|(own, above)| zones.is_within(own, above))
    };
    raise.also.iter().find(is_above).unwrap_or(&raise.zone).clone()
}
