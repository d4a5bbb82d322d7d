//! What became of every press, held against the truth.
//!
//! The tally reads the journal, like everybody else: what was paged, held, promoted, blocked. It keeps its own account of
//! which device is blocked, so that a press held from a device in good standing would be seen.

use std::collections::BTreeMap;

use pipeline::{
    Act, Actor, Decision, Disposition, Entry, Policy, Record, Rule, Span, Time, Verdict,
};
use protocol::{AlertId, DeviceId, Kind, Label, Status};

use super::trial::Trial;
use crate::month::Month;
use crate::scenario::Caller;

/// The strike from which on pages are counted apart.
const STRIKES_COUNTED: u32 = 3;

#[derive(Debug)]
pub(crate) struct Tally<'a> {
    month: &'a Month,
    press_window: Span,
    block_at: usize,
    /// Every raise, by the press that it belongs to.
    raises: BTreeMap<AlertId, usize>,
    fates: Vec<Fate>,
    devices: BTreeMap<DeviceId, Account>,
    /// The numbers that no single press has; the others are summed up at the end.
    trial: Trial,
}

/// An operator will say this of an alert, so long from now.
pub(crate) type Intention = (AlertId, Span, Verdict);

/// What became of a press: of its first raise.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    alert: Option<AlertId>,
    disposition: Option<Disposition>,
    /// The device raised so shortly before that this would have joined.
    again: bool,
    promoted_at: Option<Time>,
    after_third_strike: bool,
    on_probation: bool,
    blocked: bool,
    judged: bool,
}

/// What is known of a device.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    strikes: u32,
    blocked_until: Option<Time>,
    raised_at: Option<Time>,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(month: &'a Month, policy: &Policy) -> Self {
        Self {
            month,
            press_window: policy.press.window,
            block_at: policy.strikes.block_at.into(),
            raises: BTreeMap::new(),
            fates: vec![Fate::default(); month.presses.len()],
            devices: BTreeMap::new(),
            trial: Trial::default(),
        }
    }

    /// A message was sent.
    pub(crate) fn sent(&mut self) {
        self.trial.messages += 1;
    }

    /// A raise of a press is about to arrive.
    pub(crate) fn raised(&mut self, press: usize, alert: AlertId) {
        self.raises.insert(alert, press);
        if let Some(fate) = self.fates.get_mut(press) {
            fate.alert.get_or_insert(alert);
        }
    }

    /// A message was answered.
    pub(crate) fn answered(&mut self, status: Status) {
        let count = match status {
            Status::Received => &mut self.trial.received,
            Status::Duplicate => &mut self.trial.duplicate,
            Status::Held => &mut self.trial.held,
            Status::Refused => &mut self.trial.refused,
        };
        *count += 1;
    }

    /// An operator was answered.
    pub(crate) fn decided(&mut self, is_decided: bool) {
        self.trial.verdicts += u32::from(is_decided);
    }

    /// What became of the press that this raise began.
    pub(crate) fn disposition(&self, alert: AlertId) -> Option<Disposition> {
        self.fates.get(*self.raises.get(&alert)?)?.disposition
    }

    /// A line of the journal, and what an operator will do because of it.
    pub(crate) fn note(&mut self, entry: &Entry) -> Option<Intention> {
        match entry {
            Entry::Message(record) if record.kind == Kind::Raise => self.note_raise(record),
            Entry::Message(_) => None,
            Entry::Decision(decision) => self.note_decision(decision),
        }
    }

    fn note_raise(&mut self, record: &Record) -> Option<Intention> {
        let account = self.devices.entry(record.device).or_default();
        let before = account.raised_at.replace(record.received_at);
        let is_paged = record.disposition == Disposition::Paged;
        self.trial.pages += u32::from(is_paged);
        let alert = record.message_id.alert();
        let fate = self.fates.get_mut(*self.raises.get(&alert)?)?;
        if fate.alert != Some(alert) {
            return None;
        }
        fate.disposition = Some(record.disposition);
        fate.again = before.is_some_and(|at| record.received_at.since(at) < self.press_window);
        fate.blocked = account.blocked_until.is_some_and(|until| until > record.received_at);
        fate.after_third_strike = account.strikes >= STRIKES_COUNTED;
        fate.on_probation = record.labels.contains(Label::OnProbation);
        self.intend(alert, is_paged)
    }

    fn note_decision(&mut self, decision: &Decision) -> Option<Intention> {
        if let (Some(device), Some(standing)) = (decision.device, &decision.standing) {
            self.devices.entry(device).or_default().blocked_until = standing.blocked_until;
        }
        match (&decision.act, &decision.actor, decision.alert) {
            (Act::Verdict(Verdict::Prank), ..) => {
                self.devices.entry(decision.device?).or_default().strikes += 1;
            }
            (Act::Block { .. }, Actor::Rule(Rule::Strikes), _) => {
                let pranks = decision.evidence.iter().filter(|alert| self.is_prank(alert)).count();
                self.trial.blocks += 1;
                self.trial.wrong_blocks += u32::from(pranks < self.block_at);
            }
            (Act::Probation { .. }, ..) => self.trial.probations += 1,
            (Act::Notice(_), ..) => self.trial.notices += 1,
            (Act::Promote, _, Some((alert, _))) => {
                self.trial.pages += 1;
                let fate = self.fates.get_mut(*self.raises.get(&alert)?)?;
                fate.promoted_at.get_or_insert(decision.decided_at);
                return self.intend(alert, true);
            }
            _ => {}
        }
        None
    }

    /// An operator gets round to an alert once, if at all. What joined is judged with the press that it joined.
    fn intend(&mut self, alert: AlertId, is_paged: bool) -> Option<Intention> {
        let number = *self.raises.get(&alert)?;
        let judging = self.month.presses.get(number)?.judging;
        let fate = self.fates.get_mut(number)?;
        let joined = fate.disposition == Some(Disposition::Joined);
        let wanted = if is_paged { judging.if_paged } else { judging.if_held };
        if joined || fate.judged || !wanted {
            return None;
        }
        let verdict = judging.verdict?;
        fate.judged = true;
        Some((alert, judging.after, verdict))
    }

    fn is_prank(&self, alert: &AlertId) -> bool {
        let press = self.raises.get(alert).and_then(|number| self.month.presses.get(*number));
        press.is_some_and(|press| press.caller == Caller::Prank)
    }

    /// The sum of it all.
    pub(crate) fn trial(mut self, journal_sha256: String) -> Trial {
        self.trial.journal_sha256 = journal_sha256;
        self.trial.presses = u32::try_from(self.fates.len()).unwrap_or(u32::MAX);
        let mut delays_s = vec![];
        for (press, fate) in self.month.presses.iter().zip(&self.fates) {
            self.trial.on_probation += u32::from(fate.on_probation);
            match press.caller {
                Caller::Prank => self.trial.add_prank(fate),
                Caller::Genuine => {
                    self.trial.add_genuine(fate);
                    let promoted_at = fate.promoted_at.filter(|_| fate.is_unpaged());
                    delays_s.extend(promoted_at.map(|at| at.since(press.at).0 / 1_000_000));
                }
                Caller::Accidental | Caller::Silent => {}
            }
        }
        delays_s.sort_unstable();
        let median = delays_s.len().saturating_sub(1) / 2;
        self.trial.genuine_delay_median_s = delays_s.get(median).copied().unwrap_or(0);
        self.trial.genuine_delay_max_s = delays_s.last().copied().unwrap_or(0);
        self.trial
    }
}

impl Trial {
    fn add_prank(&mut self, fate: &Fate) {
        let (paged, avoided) = (u32::from(fate.is_paged()), u32::from(fate.is_avoided()));
        self.pranks += 1;
        self.prank_pages += paged;
        self.prank_pages_avoided += avoided;
        if fate.after_third_strike {
            self.prank_pages_after_third_strike += paged;
            self.prank_pages_avoided_after_third_strike += avoided;
        }
    }

    fn add_genuine(&mut self, fate: &Fate) {
        let (unpaged, promoted) = (fate.is_unpaged(), fate.promoted_at.is_some());
        self.genuine += 1;
        self.genuine_joined += u32::from(fate.disposition == Some(Disposition::Joined));
        self.genuine_held += u32::from(unpaged && !promoted);
        self.genuine_delayed += u32::from(unpaged && promoted);
        self.genuine_good_held += u32::from(unpaged && !fate.blocked);
        self.genuine_on_probation += u32::from(fate.on_probation);
    }
}

impl Fate {
    fn is_unpaged(&self) -> bool {
        matches!(self.disposition, Some(Disposition::Held | Disposition::Noticed))
    }

    fn is_paged(&self) -> bool {
        self.disposition == Some(Disposition::Paged) || self.promoted_at.is_some()
    }

    fn is_avoided(&self) -> bool {
        self.is_unpaged() && self.promoted_at.is_none() && !self.again
    }
}
