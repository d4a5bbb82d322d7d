//! Every incident that is kept, with its members: a fold over the journal's lines, from some line on.
//!
//! It is given the lines in order and says of each whether it changed an incident, and for whom. It decides nothing: which
//! incident an alert belongs to stands in its line. It is bounded in members, of all incidents together; the incident that
//! has not changed for the longest time leaves first, whole. What is decided about an alert whose incident has left, or lies
//! before the first line, brings that alert back and marks the incident as partial: its numbers are a part of the truth.

use std::collections::{BTreeMap, HashMap};

use pipeline::{Act, Cursor, Decision, Entry, Record};
use protocol::{AlertId, Kind};

use super::super::audience::Audience;
use super::member::Member;

/// Incidents and their members.
#[derive(Debug)]
pub(super) struct Ledger {
    members_max: usize,
    members: usize,
    incidents: HashMap<AlertId, Incident>,
    /// Each incident by the line that changed it last.
    by_latest: BTreeMap<Cursor, AlertId>,
    /// Where each alert is: in which incident, and which of its members it is.
    alerts: HashMap<AlertId, (AlertId, usize)>,
    /// Incidents that changed last here or before may be missing.
    floor: Cursor,
    /// The last line that was folded.
    tip: Cursor,
}

/// Alerts that belong together.
#[derive(Debug)]
pub(super) struct Incident {
    /// In the order in which they were met.
    members: Vec<Member>,
    /// Those who may see members; few, and neighbours are often alike.
    audiences: Vec<Audience>,
    latest: Cursor,
    partial: bool,
}

/// What a line did to an incident.
#[derive(Debug)]
pub(super) enum Change {
    /// It says something else from here on, to those who may see this member.
    Told { incident: AlertId, cursor: Cursor, audience: Audience },
    /// It is kept no more.
    Left { incident: AlertId },
}

impl Incident {
    /// Its members that `sees` is told of, by their audiences.
    pub(super) fn seen(
        &self,
        sees: impl Fn(&Audience) -> bool,
    ) -> impl Iterator<Item = (&Member, &Audience)> {
        let seen: Vec<bool> = self.audiences.iter().map(sees).collect();
        self.members.iter().filter_map(move |member| {
            let index = member.audience as usize;
            let audience = self.audiences.get(index)?;
            seen.get(index).copied().unwrap_or_default().then_some((member, audience))
        })
    }

    /// Whether members of it are missing here.
    pub(super) fn is_partial(&self) -> bool {
        self.partial
    }

    fn audience_index(&mut self, audience: Audience) -> u32 {
        let known = self.audiences.iter().rposition(|known| *known == audience);
        let index = known.unwrap_or_else(|| {
            self.audiences.push(audience);
            self.audiences.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }
}

impl Ledger {
    /// An empty ledger of at most so many members.
    pub(super) fn new(members_max: usize) -> Self {
        Self {
            members_max,
            members: 0,
            incidents: HashMap::new(),
            by_latest: BTreeMap::new(),
            alerts: HashMap::new(),
            floor: Cursor(0),
            tip: Cursor(0),
        }
    }

    /// It begins with the line behind `after`.
    pub(super) fn begin(&mut self, after: Cursor) {
        (self.floor, self.tip) = (after, after);
    }

    /// The last line that was folded.
    pub(super) fn tip(&self) -> Cursor {
        self.tip
    }

    /// Incidents that changed last here or before may be missing.
    pub(super) fn floor(&self) -> Cursor {
        self.floor
    }

    /// Members that are kept.
    pub(super) fn members(&self) -> usize {
        self.members
    }

    /// The incident of this id, if it is kept.
    pub(super) fn incident(&self, incident: AlertId) -> Option<&Incident> {
        self.incidents.get(&incident)
    }

    /// Every incident, the one that has not changed for the longest time first.
    pub(super) fn incidents(&self) -> impl Iterator<Item = (AlertId, &Incident)> {
        self.by_latest.values().filter_map(|id| Some((*id, self.incidents.get(id)?)))
    }

    /// Takes the next line, and appends what it did.
    pub(super) fn fold(&mut self, entry: &Entry, changes: &mut Vec<Change>) {
        debug_assert!(entry.cursor() > self.tip, "lines come in order");
        self.tip = entry.cursor();
        let changed = match entry {
            Entry::Message(record) => self.fold_message(record),
            Entry::Decision(decision) => self.fold_decision(decision),
        };
        let Some((incident, audience)) = changed else { return };
        self.touch(incident, self.tip);
        changes.push(Change::Told { incident, cursor: self.tip, audience });
        while self.members > self.members_max {
            let Some((latest, oldest)) = self.by_latest.pop_first() else { break };
            self.remove(oldest);
            self.floor = self.floor.max(latest);
            changes.push(Change::Left { incident: oldest });
        }
    }

    fn fold_message(&mut self, record: &Record) -> Option<(AlertId, Audience)> {
        match record.kind {
            Kind::Raise => {
                let audience = Audience::of_alert(record);
                Some((self.add(record, audience.clone(), false)?, audience))
            }
            Kind::Cancel => {
                let (incident, index) = *self.alerts.get(&record.alert?)?;
                let kept = self.incidents.get_mut(&incident)?;
                let member = kept.members.get_mut(index).filter(|member| !member.cancelled)?;
                (member.cancelled, member.changed) = (true, record.cursor);
                Some((incident, kept.audiences.get(member.audience as usize)?.clone()))
            }
            Kind::Update | Kind::Heartbeat => None,
        }
    }

    fn fold_decision(&mut self, decision: &Decision) -> Option<(AlertId, Audience)> {
        let raise = decision.raise.as_deref().filter(|raise| raise.kind == Kind::Raise)?;
        let alert = raise.message_id.alert();
        let back = !self.alerts.contains_key(&alert);
        if back {
            if matches!(decision.act, Act::Moving { .. } | Act::Quiet { .. }) {
                return None;
            }
            self.add(raise, Audience::of_alert(raise), true)?;
        }
        let (incident, index) = *self.alerts.get(&alert)?;
        let kept = self.incidents.get_mut(&incident)?;
        let member = kept.members.get_mut(index)?;
        let mut changed = member.decide(decision) || back;
        let mut audience = kept.audiences.get(member.audience as usize)?.clone();
        if let Act::Escalate { to: Some(zone) } = &decision.act {
            audience.climb(zone);
            changed = true;
        }
        if !changed {
            return None;
        }
        let audience_index = kept.audience_index(audience.clone());
        let member = kept.members.get_mut(index)?;
        member.audience = audience_index;
        member.changed = decision.cursor;
        Some((incident, audience))
    }

    /// Adds a raise to its incident; lines from before incidents were told have none.
    fn add(&mut self, record: &Record, audience: Audience, back: bool) -> Option<AlertId> {
        let id = record.incident?;
        let alert = record.message_id.alert();
        if self.alerts.contains_key(&alert) {
            return None;
        }
        // One that begins elsewhere than with its first alert has members that lie further back.
        let incident = self.incidents.entry(id).or_insert_with(|| Incident {
            // Most incidents have one member.
            members: Vec::with_capacity(1),
            audiences: Vec::with_capacity(1),
            latest: Cursor(0),
            partial: id != alert,
        });
        incident.partial |= back;
        let index = incident.audience_index(audience);
        self.alerts.insert(alert, (id, incident.members.len()));
        incident.members.push(Member::new(record, index));
        self.members += 1;
        Some(id)
    }

    fn touch(&mut self, id: AlertId, cursor: Cursor) {
        if let Some(incident) = self.incidents.get_mut(&id) {
            self.by_latest.remove(&incident.latest);
            incident.latest = cursor;
            self.by_latest.insert(cursor, id);
        }
    }

    fn remove(&mut self, id: AlertId) {
        let Some(incident) = self.incidents.remove(&id) else { return };
        self.members -= incident.members.len();
        for member in &incident.members {
            self.alerts.remove(&member.alert);
        }
    }
}
