//! Which incident a raise belongs to, and what a journaled line tells about incidents.
//!
//! Every raise has one from its first moment. A raise of an open press has that of its press, and a press that nobody is
//! paged for has the one that it would join; neither lends the incident anything, no reach, no life, no member, until the
//! press is promoted. So one device counts once, and a blocked one not at all.

use protocol::{AlertId, Kind, Position};

use super::{Arrival, Desk};
use crate::admission::{Judgement, Sender};
use crate::{Act, Decision, Disposition, Raised, Record};

impl Desk {
    /// The incident of a raise that is about to be journaled.
    pub(super) fn incident_of(
        &self,
        arrival: &Arrival,
        sender: &Sender,
        judgement: &Judgement,
    ) -> Option<AlertId> {
        if arrival.kind != Kind::Raise {
            return None;
        }
        let raised = Raised {
            alert: arrival.message_id.alert(),
            at: arrival.received_at,
            category: arrival.category.unwrap_or_default(),
            place: sender.place,
        };
        let found = judgement.incident.or_else(|| self.incidents.join(&raised));
        Some(found.unwrap_or(raised.alert))
    }

    /// A message was journaled.
    pub(super) fn note_incident(&mut self, record: &Record, place: Option<Position>) {
        if record.disposition == Disposition::Paged {
            self.incidents.forget(record.received_at);
            self.grow_incident(record, place);
        }
    }

    /// A decision was journaled: a press that is promoted is of its incident from here on, as if it had been paged.
    pub(super) fn decide_incident(&mut self, decision: &Decision) {
        if let (Act::Promote, Some(raise)) = (&decision.act, &decision.raise) {
            self.incidents.forget(decision.decided_at);
            self.grow_incident(raise, raise.stated().0);
        }
    }

    fn grow_incident(&mut self, record: &Record, place: Option<Position>) {
        let raised = Raised {
            alert: record.message_id.alert(),
            at: record.received_at,
            category: record.category,
            place,
        };
        // A line from before incidents were told has none.
        if let Some(incident) = record.incident {
            self.incidents.note(&raised, incident);
        }
    }
}
