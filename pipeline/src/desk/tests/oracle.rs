//! What the journal says, worked out from its first line for every question, as slowly and obviously as possible.

use std::collections::BTreeMap;

use protocol::{AlertId, Kind, Label, MessageId};

use super::town::*;
use crate::*;

/// Where raises and updates were sent, in metres; those that are missing had no place.
pub(super) type Places = BTreeMap<MessageId, i64>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Raise,
    Update,
    Heartbeat,
    Backlog,
}

/// What the journal says, read from its start for every question.
pub(super) struct Past<'a> {
    lines: &'a [Entry],
    town: &'a Town,
}

impl<'a> Past<'a> {
    pub(super) fn of(town: &'a Town) -> Self {
        Self { lines: &town.journal, town }
    }

    /// Without the line at `cursor` and what follows.
    pub(super) fn before(town: &'a Town, cursor: Cursor) -> Self {
        let len = town.journal.partition_point(|entry| entry.cursor() < cursor);
        Self { lines: &town.journal[..len], town }
    }

    pub(super) fn messages(&self, device: u32) -> impl DoubleEndedIterator<Item = &'a Record> {
        let messages = self.lines.iter().filter_map(Entry::message);
        messages.filter(move |record| index_of(record.device) == device)
    }

    pub(super) fn raises(&self, device: u32) -> impl DoubleEndedIterator<Item = &'a Record> {
        self.messages(device).filter(|record| record.kind == Kind::Raise)
    }

    pub(super) fn decisions(&self) -> impl Iterator<Item = &'a Decision> {
        self.lines.iter().filter_map(|entry| match entry {
            Entry::Decision(decision) => Some(decision),
            Entry::Message(_) => None,
        })
    }

    /// Held presses that were not shown on a promoted one, in order.
    pub(super) fn held(&self) -> impl Iterator<Item = &'a Record> {
        let messages = self.lines.iter().filter_map(Entry::message);
        messages.filter(|r| r.disposition == Disposition::Held && r.joins.is_none())
    }

    pub(super) fn is_promoted(&self, alert: AlertId) -> bool {
        self.decisions().any(|decision| decision.promotes() == Some(alert))
    }

    pub(super) fn was_told(&self, device: protocol::DeviceId) -> bool {
        let told = self.decisions().filter(|decision| matches!(decision.act, Act::Notice(_)));
        let alerts: Vec<_> = told.flat_map(|decision| decision.evidence.clone()).collect();
        self.held().any(|r| r.device == device && alerts.contains(&r.message_id.alert()))
    }

    pub(super) fn open(&self, device: u32, at: Time) -> Option<AlertId> {
        let id = device_id(device);
        let mut press: Option<(AlertId, Time)> = None;
        for line in self.lines {
            match line {
                Entry::Message(r) if r.device == id && r.kind == Kind::Raise => {
                    match (r.disposition, r.joins) {
                        (Disposition::Paged, _) => {
                            press = Some((r.message_id.alert(), r.received_at))
                        }
                        (_, Some(alert)) => press = Some((alert, r.received_at)),
                        _ => {}
                    }
                }
                Entry::Decision(d) if d.device == Some(id) => match &d.act {
                    Act::Block { .. } => press = None,
                    Act::Promote => {
                        let raise = d.raise.as_ref().unwrap();
                        if press.is_none_or(|(_, last)| raise.received_at >= last) {
                            press = Some((raise.message_id.alert(), raise.received_at));
                        }
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        press.filter(|(_, last)| at.since(*last) < 10 * MINUTE).map(|(alert, _)| alert)
    }

    /// By what was decided alone, never by what a line says about the standing.
    pub(super) fn standing(&self, device: u32) -> Standing {
        let hour = Span::from_secs(3_600);
        let mut standing = Standing::default();
        let about = self.decisions().filter(|d| d.device == Some(device_id(device)));
        for decision in about {
            let by_rule = matches!(decision.actor, Actor::Rule(_));
            match &decision.act {
                Act::Verdict(verdict) => {
                    let (alert, _) = decision.alert.unwrap();
                    let raise = self.raises(device).find(|r| r.message_id.alert() == alert);
                    let press = raise.unwrap().joins.unwrap_or(alert);
                    let known = standing.strikes.iter().any(|strike| strike.alert == press);
                    match verdict {
                        Verdict::Prank if known => {}
                        Verdict::Prank => {
                            standing.strikes.push(Strike { at: decision.decided_at, alert: press });
                            while standing.strikes.len() > STRIKES_MAX {
                                standing.strikes.remove(0);
                            }
                        }
                        Verdict::Genuine => standing.strikes.clear(),
                        _ => standing.strikes.retain(|strike| strike.alert != press),
                    }
                }
                Act::Block { until } => {
                    if by_rule {
                        let long_ago = |at| decision.decided_at.since(at) >= 3 * DAY;
                        if standing.blocked_at.is_none_or(long_ago) {
                            standing.blocks = 0;
                        }
                        let own =
                            decision.decided_at + if standing.blocks == 0 { 2 * hour } else { DAY };
                        let theirs = standing.blocked_until.filter(|_| !standing.blocked_by_rule);
                        standing.blocked_by_rule = theirs.is_none_or(|theirs| theirs <= own);
                        standing.blocks += 1;
                        standing.blocked_at = Some(decision.decided_at);
                        let until = standing.blocked_until.map_or(own, |old| old.max(own));
                        assert_eq!(decision.act, Act::Block { until });
                    } else {
                        standing.blocked_by_rule = false;
                    }
                    standing.blocked_until = Some(*until);
                }
                Act::Unblock => {
                    if by_rule {
                        standing.blocks -= 1;
                        standing.blocked_at = standing.blocked_at.filter(|_| standing.blocks > 0);
                    }
                    (standing.blocked_until, standing.blocked_by_rule) = (None, false);
                }
                Act::Expire => {
                    let probation = standing.blocked_until.unwrap() + 3 * hour;
                    standing.probation_until = standing.probation_until.max(Some(probation));
                    (standing.blocked_until, standing.blocked_by_rule) = (None, false);
                }
                Act::Probation { until } => {
                    standing.probation_until = standing.probation_until.max(Some(*until));
                }
                _ => {}
            }
        }
        standing
    }

    pub(super) fn grade(&self, device: u32, at: Time) -> Grade {
        let standing = self.standing(device);
        let is_new = device >= 6 && at.since(START) < Span::from_secs(3_600);
        if standing.blocked_until.is_some_and(|until| until > at) {
            Grade::Blocked
        } else if is_new || standing.probation_until.is_some_and(|until| until > at) {
            Grade::Probation
        } else {
            Grade::Good
        }
    }

    /// The bucket of the class, filled and emptied from the beginning.
    pub(super) fn is_over(&self, device: u32, class: Class, at: Time) -> bool {
        let burst = match class {
            Class::Raise => 3,
            Class::Update | Class::Backlog => 2,
            Class::Heartbeat => 1,
        };
        let each = 30 * MINUTE.0 / burst;
        let mut free_at = 0;
        for record in self.messages(device) {
            let late = record.labels.contains(Label::Late);
            let counts = match class {
                Class::Raise => record.kind == Kind::Raise && !late,
                Class::Backlog => record.kind != Kind::Raise && late,
                Class::Heartbeat => record.kind == Kind::Heartbeat && !late,
                Class::Update => matches!(record.kind, Kind::Update | Kind::Cancel) && !late,
            };
            if counts && !record.labels.contains(Label::OverQuota) {
                free_at = record.received_at.0.max(free_at) + each;
            }
        }
        at.0 + each * (burst - 1) < free_at
    }

    /// Whether a cancel would be the second first press that is taken back within an hour.
    pub(super) fn cancel_leads_to_probation(
        &self,
        device: u32,
        kind: Kind,
        alert: Option<AlertId>,
        late: bool,
        at: Time,
    ) -> bool {
        let mut taken_back: Vec<(AlertId, Time)> = vec![];
        for (place, line) in self.lines.iter().enumerate() {
            let Entry::Message(r) = line else { continue };
            let own = r.device == device_id(device) && r.kind == Kind::Cancel;
            let before = Past { lines: &self.lines[..place], town: self.town };
            if own
                && !r.labels.contains(Label::Late)
                && r.alert == before.open(device, r.received_at)
                && taken_back.last().is_none_or(|(last, _)| Some(*last) != r.alert)
            {
                taken_back.extend(r.alert.map(|alert| (alert, r.received_at)));
            }
        }
        let open = self.open(device, at);
        if kind != Kind::Cancel || late || alert.is_none() || alert != open {
            return false;
        }
        // What is older than the window is forgotten, also as the one that came last.
        taken_back.retain(|(_, then)| at.since(*then) < Span::from_secs(3_600));
        if taken_back.last().is_none_or(|(last, _)| Some(*last) != alert) {
            taken_back.extend(alert.map(|alert| (alert, at)));
        }
        let standing = self.standing(device);
        let good = standing.blocked_until.is_none_or(|until| until <= at)
            && standing.probation_until.is_none_or(|until| until <= at);
        taken_back.len() >= 2 && good
    }

    pub(super) fn is_confirmed(&self, raise: &Record, places: &Places) -> bool {
        let owner = |record: &Record| self.town.enrolment(index_of(record.device)).owner;
        let (mut owners, mut batches) = (vec![], vec![]);
        for other in self.lines.iter().filter_map(Entry::message) {
            let counts = matches!(other.disposition, Disposition::Paged | Disposition::Joined)
                && !other.labels.contains(Label::OnProbation)
                && owner(other) != owner(raise)
                && self.is_near(raise.message_id.alert(), other.message_id.alert(), places);
            if counts {
                owners.push(owner(other));
                batches.push(self.town.enrolment(index_of(other.device)).batch);
            }
        }
        owners.sort_unstable();
        owners.dedup();
        batches.sort_unstable();
        batches.dedup();
        owners.len() >= 2 && batches.len() >= 2
    }

    /// Where each raise is that has a place: its own, or the first that an update brought while it still mattered.
    pub(super) fn placed(&self, places: &Places) -> BTreeMap<AlertId, i64> {
        let mut placed = BTreeMap::new();
        // Raises without a place that wait for one, in order: those that were not paged, and witnesses.
        let (mut unpaged, mut witnesses): (Vec<&Record>, Vec<&Record>) = (vec![], vec![]);
        for line in self.lines {
            match line {
                Entry::Message(r) if r.kind == Kind::Raise => {
                    let good = !r.labels.contains(Label::OnProbation);
                    match (places.get(&r.message_id), r.disposition, r.joins) {
                        (Some(metres), ..) => drop(placed.insert(r.message_id.alert(), *metres)),
                        (None, Disposition::Held, None) => keep_four(&mut unpaged, r),
                        (None, Disposition::Paged, _) if good => keep_four(&mut witnesses, r),
                        _ => {}
                    }
                }
                Entry::Message(r) if r.kind == Kind::Update => {
                    let Some(metres) = places.get(&r.message_id) else { continue };
                    let lasts = |raise: &&Record| {
                        r.alert == Some(raise.message_id.alert())
                            && raise.device == r.device
                            && r.received_at.since(raise.received_at) <= 10 * MINUTE
                    };
                    if let Some(raise) = unpaged.iter().copied().find(lasts) {
                        unpaged.retain(|other| other.cursor != raise.cursor);
                        if !self.has_newer(raise, r, &placed) {
                            placed.insert(raise.message_id.alert(), *metres);
                        }
                    } else if let Some(raise) = witnesses.iter().copied().find(lasts)
                        && !r.labels.contains(Label::OnProbation)
                    {
                        witnesses.retain(|other| other.cursor != raise.cursor);
                        placed.insert(raise.message_id.alert(), *metres);
                    }
                }
                Entry::Decision(d) => match &d.act {
                    Act::Block { .. } => witnesses.retain(|raise| Some(raise.device) != d.device),
                    Act::Promote => {
                        unpaged.retain(|raise| d.promotes() != Some(raise.message_id.alert()))
                    }
                    _ => {}
                },
                Entry::Message(_) => {}
            }
        }
        placed
    }

    /// Whether a newer held press of the device waits at a place of its own when `update` comes.
    fn has_newer(&self, raise: &Record, update: &Record, placed: &BTreeMap<AlertId, i64>) -> bool {
        let len = self.lines.partition_point(|entry| entry.cursor() < update.cursor);
        let before = Past { lines: &self.lines[..len], town: self.town };
        self.held().any(|held| {
            let alert = held.message_id.alert();
            held.device == raise.device
                && held.cursor > raise.cursor
                && update.received_at.since(held.received_at) <= 10 * MINUTE
                && placed.contains_key(&alert)
                && !before.is_promoted(alert)
        })
    }

    pub(super) fn is_near(&self, a: AlertId, b: AlertId, places: &Places) -> bool {
        let raise = |alert: AlertId| {
            let messages = self.lines.iter().filter_map(Entry::message);
            messages
                .clone()
                .find(|r| r.kind == Kind::Raise && r.message_id.alert() == alert)
                .unwrap()
        };
        let apart = raise(a).received_at.0.abs_diff(raise(b).received_at.0);
        let placed = self.placed(places);
        let (Some(a), Some(b)) = (placed.get(&a), placed.get(&b)) else { return false };
        (a - b).abs() <= 500 && apart <= 10 * MINUTE.0
    }
}

/// Of each device the newest four wait.
fn keep_four<'a>(waiting: &mut Vec<&'a Record>, raise: &'a Record) {
    waiting.push(raise);
    let own = |other: &&Record| other.device == raise.device;
    if waiting.iter().copied().filter(|other| own(other)).count() > 4 {
        let oldest = waiting.iter().position(own).expect("more than four are its own");
        waiting.remove(oldest);
    }
}
