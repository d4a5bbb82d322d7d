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
                let category = arrival.category.unwrap_or(Category::Unspecified);
                let is_raise = kind == Kind::Raise;
                Raised {
                    zone: self.zones.id(index),
                    also: if is_raise { self.also(index, now) } else { Box::default() },
                    agencies: if is_raise {
                        self.answering.agencies(&self.zones, index, category)
                    } else {
                        Agencies::ALL
                    },
                    received_at: arrival.received_at,
                }
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

    /// The zones that are paged for a raise beside its own: above, where nobody listens.
    fn also(&self, zone: ZoneIndex, now: Time) -> Box<[ZoneId]> {
        self.answering.stand_in(&self.zones, zone, now).into_iter().collect()
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
