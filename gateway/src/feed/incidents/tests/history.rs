//! Random histories of a town, as lines of a journal.

use std::sync::Arc;

use pipeline::{
    Act, Actor, Agencies, Agency, Cursor, Decision, Disposition, Entry, Record, Rule, Verdict,
    ZoneId,
};
use proptest::prelude::*;
use protocol::{AlertId, Category, Kind, Label, Labels, Position};

use crate::feed::testing::record;

const ZONES: [&str; 5] = ["town", "west", "west-1", "west-2", "east"];

/// What a line tells; alerts by the number of their raise, from 0, as far as there are so many.
#[derive(Debug, Clone)]
pub(super) enum Line {
    Raise(Raise),
    Update(usize),
    Heartbeat,
    Cancel(usize),
    Promote(usize),
    Acknowledge(usize),
    Assign(usize),
    Resolve(usize),
    Reopen(usize),
    Verdict(usize),
    Moving(usize),
    Escalate(usize, Option<usize>),
}

#[derive(Debug, Clone)]
pub(super) struct Raise {
    /// Joins the incident of this raise.
    of: usize,
    zone: usize,
    also: Option<usize>,
    fire: bool,
    disposition: Disposition,
    place: Option<(i64, i64)>,
    labels: (bool, bool),
}

impl Line {
    /// A press in the incident that this earlier press began, or an incident of its own.
    pub(super) fn raise(of: usize) -> Self {
        let labels = (false, false);
        let (zone, also, fire, place) = (4, None, false, None);
        let disposition = Disposition::Paged;
        Self::Raise(Raise { of, zone, also, fire, disposition, place, labels })
    }
}

fn raise() -> impl Strategy<Value = Raise> {
    let disposition = prop_oneof![
        6 => Just(Disposition::Paged),
        1 => Just(Disposition::Joined),
        1 => Just(Disposition::Held),
        1 => Just(Disposition::Noticed),
    ];
    let also = prop::option::weighted(0.2, 0..ZONES.len());
    let place = prop::option::weighted(0.8, (-9_i64..9, -9_i64..9));
    (0..12_usize, 0..ZONES.len(), also, any::<bool>(), disposition, place, any::<(bool, bool)>())
        .prop_map(|(of, zone, also, fire, disposition, place, labels)| Raise {
            of,
            zone,
            also,
            fire,
            disposition,
            place,
            labels,
        })
}

/// Lines that come at once.
pub(super) fn lines() -> impl Strategy<Value = Vec<Line>> {
    let alert = || 0..8_usize;
    let line = prop_oneof![
        8 => raise().prop_map(Line::Raise),
        1 => alert().prop_map(Line::Update),
        1 => Just(Line::Heartbeat),
        1 => alert().prop_map(Line::Cancel),
        1 => alert().prop_map(Line::Promote),
        1 => alert().prop_map(Line::Acknowledge),
        1 => alert().prop_map(Line::Assign),
        1 => alert().prop_map(Line::Resolve),
        1 => alert().prop_map(Line::Reopen),
        1 => alert().prop_map(Line::Verdict),
        1 => alert().prop_map(Line::Moving),
        2 => (alert(), prop::option::of(0..ZONES.len()))
            .prop_map(|(alert, to)| Line::Escalate(alert, to)),
    ];
    prop::collection::vec(line, 1..6)
}

/// Writes lines, one behind the other. A line about an alert that is not there is none.
pub(super) fn writer() -> impl FnMut(Line) -> Option<Entry> {
    let mut cursor = 0;
    let mut raises: Vec<Arc<Record>> = vec![];
    move |line| {
        let entry = entry(line, cursor + 1, &raises)?;
        cursor += 1;
        if let Entry::Message(record) = &entry
            && record.kind == Kind::Raise
        {
            raises.push(Arc::new(record.clone()));
        }
        Some(entry)
    }
}

fn entry(line: Line, cursor: u64, raises: &[Arc<Record>]) -> Option<Entry> {
    let operator = || Actor::Operator(Arc::from("siti"));
    let follows = |alert: usize, kind| {
        let alert = raises.get(alert)?.alert;
        let disposition = Disposition::Follows;
        let record = Record { kind, alert, disposition, incident: None, ..record(cursor, "town") };
        Some(Entry::Message(record))
    };
    let decided = |alert: usize, actor, act| {
        let raise = raises.get(alert)?;
        let (evidence, zone) = (vec![], raise.zone.clone());
        Some(Entry::Decision(Decision {
            cursor: Cursor(cursor),
            actor,
            act,
            alert: Some((raise.message_id.alert(), raise.cursor)),
            zone,
            evidence,
            standing: None,
            raise: Some(Arc::clone(raise)),
            ..crate::journal::testing::decision(cursor, 1)
        }))
    };
    let car = Arc::from("car 12");
    match line {
        Line::Raise(raise) => Some(Entry::Message(raised(&raise, cursor, raises))),
        Line::Update(alert) => follows(alert, Kind::Update),
        Line::Cancel(alert) => follows(alert, Kind::Cancel),
        Line::Heartbeat => {
            let kind = Kind::Heartbeat;
            let beat = Record { kind, alert: None, incident: None, ..record(cursor, "town") };
            Some(Entry::Message(beat))
        }
        Line::Promote(alert) => decided(alert, Actor::Rule(Rule::Corroboration), Act::Promote),
        Line::Acknowledge(alert) => decided(alert, operator(), Act::Acknowledge),
        Line::Assign(alert) => decided(alert, operator(), Act::Assign { to: car }),
        Line::Resolve(alert) => decided(alert, operator(), Act::Resolve(Verdict::Genuine)),
        Line::Reopen(alert) => decided(alert, operator(), Act::Reopen),
        Line::Verdict(alert) => decided(alert, operator(), Act::Verdict(Verdict::Genuine)),
        Line::Moving(alert) => {
            decided(alert, Actor::Rule(Rule::Motion), Act::Moving { seen: Cursor(1) })
        }
        Line::Escalate(alert, to) => {
            let to = to.map(|zone| ZoneId::new(ZONES[zone]));
            decided(alert, Actor::Rule(Rule::Deadline), Act::Escalate { to })
        }
    }
}

fn raised(raise: &Raise, cursor: u64, raises: &[Arc<Record>]) -> Record {
    let own = record(cursor, ZONES[raise.zone]);
    let incident: Option<AlertId> = raises.get(raise.of).and_then(|first| first.incident);
    let label = |on: bool, label| if on { Labels::NONE.with(label) } else { Labels::NONE };
    Record {
        incident: incident.or(own.incident),
        also: raise.also.map(|zone| ZoneId::new(ZONES[zone])).into_iter().collect(),
        agencies: Agencies::NONE.with(if raise.fire { Agency::Fire } else { Agency::Police }),
        category: if raise.fire { Category::Fire } else { Category::Crime },
        disposition: raise.disposition,
        labels: match raise.labels {
            (true, true) => Labels::NONE.with(Label::Silent).with(Label::Drill),
            (silent, _) => label(silent, Label::Silent),
        },
        site: raise.place.and_then(|(lat, lon)| Position::new(lat * 60_000, lon * 60_000)),
        ..own
    }
}
