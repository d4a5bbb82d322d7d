//! Where a message goes: the zone that it is for, the zones paged beside it, and who is to answer.

use protocol::{Category, Kind, Label, Labels, MessageId, Position};

use super::memory::Raised;
use super::{Arrival, Desk, Named};
use crate::admission::Judgement;
use crate::{Agencies, Time, ZoneId, ZoneIndex};

/// Where a message goes, and what is remarked about it.
pub(super) struct Route {
    pub(super) raised: Raised,
    pub(super) labels: Labels,
}

impl Desk {
    /// Where an arrival goes.
    ///
    /// Updates and cancels go where their raise went, so that whoever saw the press sees what becomes of it.
    pub(super) fn route(
        &self,
        arrival: &Arrival,
        named: &Named,
        mut labels: Labels,
        now: Time,
    ) -> Route {
        match (arrival.position, arrival.site) {
            (Some(_), _) => {}
            (None, Some(_)) => labels.insert(Label::EnrolledSite),
            (None, None) => labels.insert(Label::NoPosition),
        }
        let place = arrival.position.or(arrival.site);
        let found = place.as_ref().and_then(|place: &Position| self.zones.locate(place));
        let index = found.unwrap_or(self.zones.root());
        let raised = match (arrival.kind, named) {
            (_, Named::Own(raised)) => raised.clone(),
            (kind, _) => {
                if matches!(kind, Kind::Update | Kind::Cancel) {
                    labels.insert(Label::AlertUnknown);
                }
                if place.is_some() && found.is_none() {
                    labels.insert(Label::OutsideZones);
                }
                let (also, agencies) = match kind {
                    Kind::Raise => self.asked(arrival, place.as_ref(), found, now),
                    _ => (Box::default(), Agencies::ALL),
                };
                let zone = self.zones.id(index);
                let category = arrival.category.unwrap_or_default();
                Raised { zone, also, agencies, category, received_at: arrival.received_at }
            }
        };
        if labels.contains(Label::Exercise) {
            let zone = self.zones.find(raised.zone.as_str()).unwrap_or(self.zones.root());
            if self.answering.is_drill(&self.zones, zone, arrival.received_at) {
                labels.insert(Label::Drill);
            }
        }
        Route { raised, labels }
    }

    /// The zones that are paged for a raise beside its own, above where nobody listens and across a near border; the
    /// neighbours that are told, if it is in no zone; and who is to answer: whom its own zone asks, and whom those across
    /// the border would, had it been there.
    fn asked(
        &self,
        arrival: &Arrival,
        place: Option<&Position>,
        found: Option<ZoneIndex>,
        now: Time,
    ) -> (Box<[ZoneId]>, Agencies) {
        let zone = found.unwrap_or(self.zones.root());
        let near = |place| self.zones.near(place, self.answering.reach_m(place));
        let near = place.map(near).unwrap_or_default();
        let above = self.answering.stand_in(&self.zones, zone, now);
        let outside = place.filter(|_| found.is_none()).into_iter();
        let told = outside.flat_map(|place| self.answering.neighbours(place)).cloned();
        let beside = near.iter().map(|zone| self.zones.id(*zone));
        let mut also: Vec<ZoneId> = above.into_iter().chain(beside).collect();
        for neighbour in told {
            // A neighbour may have several areas, which may overlap.
            if !also.contains(&neighbour) {
                also.push(neighbour);
            }
        }
        let category = arrival.category.unwrap_or(Category::Unspecified);
        let agencies = |zone| self.answering.agencies(&self.zones, zone, category);
        let asked = near.iter().fold(agencies(zone), |all, zone| all.union(agencies(*zone)));
        (also.into(), asked)
    }

    /// When the raise was received that an update or cancel belongs to, or that a raise joined.
    pub(super) fn raised_at(
        &self,
        arrival: &Arrival,
        named: &Named,
        judgement: &Judgement,
    ) -> Option<Time> {
        match (arrival.kind, named) {
            (Kind::Update | Kind::Cancel, Named::Own(raised)) => Some(raised.received_at),
            (Kind::Raise, _) => {
                let joined = self.memory.get(&MessageId(judgement.joins?.0))?;
                Some(joined.raised.received_at)
            }
            _ => None,
        }
    }
}
