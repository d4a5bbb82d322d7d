//! What an incident comes to for one reader: one JSON object, whole, so that the latest one replaces all before.
//!
//! It is made of the members that the reader may see and of nothing else: numbers, area, times and state are theirs. Presses
//! count; what a device sends again while its press is open, and what nobody is paged for, is counted apart.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::{Agencies, Time};
use protocol::AlertId;
use serde::Serialize;

use super::super::audience::Audience;
use super::super::geojson::Feature;
use super::super::message::AgencyNames;
use super::super::shape::Format;
use super::super::text::{ascii, hex, rfc3339};
use super::hull::Hull;
use super::ledger::Incident;
use super::member::{Member, Part};
use crate::registry::Sight;
use crate::search::AnswerState;

/// The JSON of an incident. Names are part of the contract with subscribers; names may be added.
#[derive(Serialize)]
struct IncidentData<'a> {
    incident_id: &'a str,
    /// The least answered of its presses; `held` where it has none.
    state: &'a str,
    states: BTreeMap<&'static str, u32>,
    count: u32,
    repeats: u32,
    held: u32,
    cancelled: u32,
    categories: BTreeMap<&'static str, u32>,
    silent: bool,
    drill: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hull: Option<&'a Hull>,
    first_at: &'a str,
    latest_at: &'a str,
    zones: BTreeSet<&'a str>,
    agencies: AgencyNames,
    latest_alert_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    escalated_to: Option<Climbed<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

/// How far its alerts have climbed: to these zones, or to `"all"` who are entitled.
#[derive(Serialize)]
#[serde(untagged)]
enum Climbed<'a> {
    Zones(BTreeSet<&'a str>),
    All(&'static str),
}

/// What the members come to.
#[derive(Default)]
struct Sum<'a> {
    states: [u32; AnswerState::ALL.len()],
    count: u32,
    repeats: u32,
    held: u32,
    cancelled: u32,
    categories: BTreeMap<&'static str, u32>,
    silent: bool,
    drill: bool,
    zones: BTreeSet<&'a str>,
    agencies: Agencies,
    first_at: Option<Time>,
    /// The latest press; what is sent again while it is open is later, and the same.
    latest: Option<(bool, Time, AlertId)>,
    climbed: BTreeSet<&'a str>,
    climbed_to_all: bool,
}

impl<'a> Sum<'a> {
    fn add(&mut self, member: &Member, audience: &'a Audience) {
        match member.part {
            Part::Press => {
                self.count += 1;
                for (of, number) in AnswerState::ALL.iter().zip(&mut self.states) {
                    *number += u32::from(*of == member.answer);
                }
                *self.categories.entry(member.category.name()).or_default() += 1;
                self.cancelled += u32::from(member.cancelled);
            }
            Part::Repeat => self.repeats += 1,
            Part::Held => self.held += 1,
        }
        self.silent |= member.silent;
        self.drill |= member.drill;
        self.zones.insert(audience.zone().as_str());
        self.agencies = self.agencies.union(member.agencies);
        self.first_at = Some(self.first_at.map_or(member.at, |first| first.min(member.at)));
        let latest = (member.part != Part::Repeat, member.at, member.alert);
        self.latest = self.latest.max(Some(latest));
        self.climbed.extend(audience.climbed_to().map(pipeline::ZoneId::as_str));
        self.climbed_to_all |= member.climbed_to_all;
    }

    fn state(&self) -> &'static str {
        let mut states = AnswerState::ALL.iter().zip(&self.states);
        states.find(|(_, number)| **number > 0).map_or("held", |(state, _)| state.name())
    }

    fn climbed(self) -> Option<Climbed<'a>> {
        match (self.climbed_to_all, self.climbed.is_empty()) {
            (true, _) => Some(Climbed::All("all")),
            (false, false) => Some(Climbed::Zones(self.climbed)),
            (false, true) => None,
        }
    }
}

/// Appends name and data of the event that shows those members of an incident which `sees` is told of. Whether there is
/// any.
pub(super) fn write(
    (id, incident): (AlertId, &Incident),
    sees: impl Fn(&Audience) -> bool,
    (format, sight): (Format, Sight),
    out: &mut Vec<u8>,
) -> serde_json::Result<bool> {
    let mut sum = Sum::default();
    let mut places = vec![];
    for (member, audience) in incident.seen(sees) {
        sum.add(member, audience);
        places.extend(member.place.filter(|_| member.part == Part::Press));
    }
    let (Some(first_at), Some((_, latest_at, latest))) = (sum.first_at, sum.latest) else {
        return Ok(false);
    };
    let hull = Hull::around(places.into_iter(), sight);
    let (incident_id, latest_id) = (hex(id.as_bytes()), hex(latest.as_bytes()));
    let (first_at, latest_at) = (rfc3339(first_at), rfc3339(latest_at));
    let names = AnswerState::ALL.map(AnswerState::name);
    let data = IncidentData {
        incident_id: ascii(&incident_id),
        state: sum.state(),
        states: names.into_iter().zip(sum.states).collect(),
        count: sum.count,
        repeats: sum.repeats,
        held: sum.held,
        cancelled: sum.cancelled,
        categories: std::mem::take(&mut sum.categories),
        silent: sum.silent,
        drill: sum.drill,
        hull: hull.as_ref().filter(|_| format != Format::Geojson),
        first_at: ascii(&first_at),
        latest_at: ascii(&latest_at),
        zones: std::mem::take(&mut sum.zones),
        agencies: AgencyNames(sum.agencies),
        latest_alert_id: ascii(&latest_id),
        escalated_to: sum.climbed(),
        partial: incident.is_partial(),
    };
    out.extend_from_slice(b"event: incident\ndata: ");
    match format {
        Format::Geojson => {
            serde_json::to_writer(&mut *out, &Feature::over(hull.as_ref(), &data))?;
        }
        Format::Json | Format::Cap => serde_json::to_writer(&mut *out, &data)?,
    }
    out.extend_from_slice(b"\n\n");
    Ok(true)
}
