//! What a journaled message changes, and what follows from it: who is confirmed, who is put on probation, what operators
//! are to be told.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::{AlertId, Kind, Label};

use super::surge::{Census, Group, State};
use super::{Admission, Open, Raiser, Sender};
use crate::place::Spot;
use crate::{Cursor, DeviceIndex, Disposition, Grade, Notice, Record, Rule, Span};

/// What follows from a message that was noted.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Presses that others confirm from here on, by their cursors.
    pub(crate) confirmed: Vec<Cursor>,
    /// A rule that the device has met, for how long it is on probation, and by which alerts.
    pub(crate) probation: Option<(Rule, Span, Vec<AlertId>)>,
    /// What operators are to be told.
    pub(crate) notice: Option<Telling>,
}

/// A notice to operators, its rule, and the alerts that it rests on.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) rule: Rule,
    pub(crate) notice: Notice,
    pub(crate) evidence: Vec<AlertId>,
    /// The newest pending press among them.
    pub(crate) cursor: Cursor,
}

impl Admission {
    /// Takes a journaled message; what follows from it.
    pub(crate) fn note(&mut self, record: &Record, sender: &Sender) -> Findings {
        self.latest = self.latest.max(record.received_at);
        self.forget();
        if let Some(model) = sender.model {
            self.models.note(sender.device, model, record.received_at);
        }
        match record.kind {
            Kind::Raise => self.note_raise(record, sender),
            Kind::Cancel => self.note_cancel(record, sender),
            Kind::Update => self.note_update(record, sender),
            Kind::Heartbeat => Findings::default(),
        }
    }

    fn note_raise(&mut self, record: &Record, sender: &Sender) -> Findings {
        let mut findings = Findings::default();
        let alert = record.message_id.alert();
        let raiser = self.raiser(alert, sender, record.received_at);
        let open = Open {
            alert: record.joins.unwrap_or(alert),
            // A line from before incidents were told has none.
            incident: record.incident.or(record.joins).unwrap_or(alert),
        };
        match record.disposition {
            Disposition::Paged | Disposition::Noticed => {
                self.presses.begin(sender.device, open, record.received_at);
                self.note_first(record, &raiser, &mut findings);
            }
            Disposition::Joined => self.presses.note(sender.device, open, record.received_at),
            Disposition::Held | Disposition::Follows => {}
        }
        let of_surge =
            record.joins.is_some_and(|joins| self.nearby.is_noticed(sender.device, joins));
        let good = !record.labels.contains(Label::OnProbation) && !of_surge;
        if raiser.spot.is_none() {
            self.note_placeless(record, raiser, good);
        }
        match record.disposition {
            Disposition::Paged | Disposition::Joined if good => {
                let confirmed =
                    self.nearby.witness(raiser, &self.policy.corroboration, self.witnesses_max);
                findings.confirmed.extend(confirmed);
            }
            // Nobody was paged, unless the device's press was promoted before: then it is shown there.
            Disposition::Held if record.joins.is_some() => {
                self.presses.note(sender.device, open, record.received_at);
            }
            // Nobody can confirm what has no place yet; an earlier raise of the device that has one goes on waiting.
            Disposition::Held if raiser.spot.is_none() => {}
            Disposition::Held | Disposition::Noticed => {
                self.note_pending(Arc::new(record.clone()), raiser, &mut findings);
            }
            _ => {}
        }
        if !record.labels.contains(Label::Late) {
            self.note_phantom(alert, &raiser, &mut findings);
        }
        findings.confirmed.sort_unstable();
        findings.confirmed.dedup();
        findings
    }

    /// A press without a place may get one. A repeat does not wait: the press that it joins does.
    fn note_placeless(&mut self, record: &Record, raiser: Raiser, good: bool) {
        let cursor = record.cursor;
        match record.disposition {
            Disposition::Paged if good => {
                self.unplaced_witnesses.wait(cursor, raiser, (), self.witnesses_max);
            }
            Disposition::Held | Disposition::Noticed if record.joins.is_none() => {
                let record = Arc::new(record.clone());
                self.unplaced_pending.wait(cursor, raiser, record, self.pending_max);
            }
            _ => {}
        }
    }

    /// The first place that an update brings to a press without one is the press's, as if it had been raised there. Of
    /// a device on probation it makes no witness.
    fn note_update(&mut self, record: &Record, sender: &Sender) -> Findings {
        let mut findings = Findings::default();
        let (Some(alert), Some(place)) = (record.alert, &sender.place) else { return findings };
        let (device, spot) = (sender.device, Some(Spot::of(place)));
        if let Some((raiser, raise)) = self.unplaced_pending.take(device, alert) {
            // A newer press of the device may have a place already.
            if !self.nearby.has_newer(device, raise.cursor) {
                self.note_pending(raise, Raiser { spot, ..raiser }, &mut findings);
            }
        } else if !record.labels.contains(Label::OnProbation)
            && let Some((raiser, ())) = self.unplaced_witnesses.take(device, alert)
        {
            let (policy, len_max) = (&self.policy.corroboration, self.witnesses_max);
            findings.confirmed = self.nearby.witness(Raiser { spot, ..raiser }, policy, len_max);
        }
        findings
    }

    /// A first press counts for the surge of its kind, and against the surges of all others.
    fn note_first(&mut self, record: &Record, raiser: &Raiser, findings: &mut Findings) {
        if record.labels.contains(Label::Late) {
            return;
        }
        let (batch, model) = (raiser.enrolment.batch, raiser.model);
        self.surges.note(self.latest, batch, model, self.witnesses_max);
        if self.nearby.noticed() > 0 {
            let told = self.surges.names().filter_map(|name| name.group(&self.census()));
            findings.confirmed.extend(self.confirmed_surges(told));
        }
    }

    /// A press that was not paged waits for others to confirm it, and may be one of several.
    fn note_pending(&mut self, record: Arc<Record>, raiser: Raiser, findings: &mut Findings) {
        let policy = Arc::clone(&self.policy);
        let corroboration = &policy.corroboration;
        let (cursor, disposition) = (record.cursor, record.disposition);
        self.nearby.pend(record, raiser, corroboration, self.pending_max);
        if self.nearby.is_confirmed(cursor, corroboration) {
            findings.confirmed.push(cursor);
        } else {
            findings.notice = self.notice_of(cursor);
        }
        if disposition == Disposition::Noticed {
            let census = Census {
                fleet: &self.fleet,
                models: &self.models,
                at: self.latest,
                models_window: policy.models_window(),
            };
            self.surges.goes_on(&raiser, self.latest, &census);
        }
    }

    /// What operators are to be told because of the pending press at `cursor`.
    fn notice_of(&self, cursor: Cursor) -> Option<Telling> {
        let pending = self.nearby.get(cursor)?;
        if pending.is_noticed() {
            return self.surge_notice(&pending.raiser);
        }
        let together = self.nearby.held_together(cursor, &self.policy.corroboration);
        if together.is_empty() {
            return None;
        }
        let alerts: Vec<_> = together.iter().map(|held| held.record.message_id.alert()).collect();
        let count = u32::try_from(alerts.len()).unwrap_or(u32::MAX);
        let notice = Notice { alerts: count, batch: None, model: None };
        Some(Telling { rule: Rule::HeldTogether, notice, evidence: alerts, cursor })
    }

    fn note_phantom(&mut self, alert: AlertId, raiser: &Raiser, findings: &mut Findings) {
        let Some(model) = raiser.model.and_then(|model| self.models.name(model)) else { return };
        let rules = self.policy.rules.phantom.iter();
        let mut rules =
            rules.filter(|rule| model.as_str().starts_with(rule.model.as_str())).peekable();
        if rules.peek().is_none() {
            return;
        }
        self.phantom.note(raiser.device, alert, self.latest, self.witnesses_max);
        let met = rules.find(|rule| {
            self.phantom.reaches(raiser.device, rule.raises, rule.window, self.latest)
        });
        if let Some(rule) = met.filter(|_| self.may_be_put_on_probation(raiser.device)) {
            let evidence = self.phantom.evidence(raiser.device);
            findings.probation = Some((Rule::Phantom, rule.probation, evidence));
        }
    }

    /// A cancel counts if it takes back the device's open press.
    fn note_cancel(&mut self, record: &Record, sender: &Sender) -> Findings {
        let mut findings = Findings::default();
        let device = sender.device;
        let open = self.presses.open(device, record.received_at, self.policy.press.window);
        let open = open.map(|open| open.alert);
        let (Some(alert), false) = (open, record.labels.contains(Label::Late)) else {
            return findings;
        };
        if record.alert != Some(alert) || self.policy.rules.cancelled.is_empty() {
            return findings;
        }
        self.cancelled.note(device, alert, self.latest, self.witnesses_max);
        let met = self
            .policy
            .rules
            .cancelled
            .iter()
            .find(|rule| self.cancelled.reaches(device, rule.raises, rule.window, self.latest));
        if let Some(rule) = met.filter(|_| self.may_be_put_on_probation(device)) {
            let evidence = self.cancelled.evidence(device);
            findings.probation = Some((Rule::Cancelled, rule.probation, evidence));
        }
        findings
    }

    /// Every pending press that is confirmed, whenever that came about.
    pub(crate) fn confirmed(&self) -> Vec<Cursor> {
        let nearby = self.nearby.confirmed(&self.policy.corroboration);
        // What operators were told may lie further back than a start reads: whatever waits is looked at.
        let noticed = self.nearby.pending().filter(|(_, pending)| pending.is_noticed());
        let waiting: BTreeSet<_> =
            noticed.flat_map(|(_, pending)| pending.raiser.groups()).collect();
        let mut confirmed: Vec<_> = nearby.chain(self.confirmed_surges(waiting)).collect();
        confirmed.sort_unstable();
        confirmed.dedup();
        confirmed
    }

    /// The presses of surges, by any of these groups, that others have joined since.
    fn confirmed_surges(&self, groups: impl IntoIterator<Item = Group>) -> Vec<Cursor> {
        let groups = groups.into_iter();
        let confirmed: Vec<Group> = groups
            .filter(|group| {
                self.surges.state(group, 0, &self.policy, &self.census()) == State::Confirmed
            })
            .collect();
        if confirmed.is_empty() {
            return vec![];
        }
        let noticed = self.nearby.pending().filter(|(_, pending)| pending.is_noticed());
        noticed
            .filter(|(_, pending)| confirmed.iter().any(|group| group.holds(&pending.raiser)))
            .map(|(cursor, _)| cursor)
            .collect()
    }

    fn surge_notice(&self, raiser: &Raiser) -> Option<Telling> {
        let kind = (raiser.enrolment.batch, raiser.model);
        let group = self.surges.surging(kind, &self.policy, &self.census())?;
        let name = group.name(&self.census())?;
        let alerts = u32::try_from(self.surges.count(&group)).unwrap_or(u32::MAX);
        if !self.surges.is_news(&name, alerts) {
            return None;
        }
        let noticed = self.nearby.newest_noticed(|other| group.holds(other));
        let cursor = noticed.first()?.cursor;
        let evidence = noticed.iter().map(|record| record.message_id.alert()).collect();
        Some(Telling { rule: Rule::Surge, notice: name.notice(alerts), evidence, cursor })
    }

    /// A notice that is due though no message led to it: at a start, where the line that follows a press was lost.
    pub(crate) fn untold(&self) -> Option<Telling> {
        self.nearby.pending().find_map(|(cursor, pending)| {
            let told = pending.is_noticed() && self.surges.is_told(&pending.raiser, &self.census());
            if told { None } else { self.notice_of(cursor) }
        })
    }

    /// Nothing is decided twice: a device that is on probation by a decision, or blocked, is left there.
    fn may_be_put_on_probation(&self, device: DeviceIndex) -> bool {
        self.standings.grade(device, self.latest).0 == Grade::Good
    }
}
