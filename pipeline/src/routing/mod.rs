//! Routing: which agencies an alert is put before, how long its zone has to answer, how near a border is near.
//!
//! Tables of rules: the first rule that matches counts, and where none does the default. A rule that names a zone is
//! for that zone and everything below it. It is given an alert's zone, category and the zone's posture; it knows no
//! alert and no clock. It is read from `config/routing.toml`.

mod agency;
mod names;
mod neighbour;
mod read;
mod scope;

use protocol::{Category, Position};

pub use self::agency::{Agencies, Agency};
pub use self::neighbour::{Area, Neighbour};
pub use self::read::ROUTING_VARIABLE_PREFIX;
pub use self::scope::{Categories, Scope};
use crate::record::stored;
use crate::{Span, ZoneId, ZoneIndex, Zones};

/// What a zone is prepared for; set by an operator. The numbers are the journal's and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Posture {
    /// An ordinary day.
    #[default]
    Routine = 1,
    /// A match, a march, a feast: more people, more eyes.
    Special = 2,
    /// Something has happened.
    Contingency = 3,
}

stored!(Posture {
    Routine = "routine",
    Special = "special",
    Contingency = "contingency",
});

/// How dangerous a zone is, as its file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Risk {
    /// Less than most.
    Low = 1,
    /// Like most.
    #[default]
    Medium = 2,
    /// More than most.
    High = 3,
}

stored!(Risk {
    Low = "low",
    Medium = "medium",
    High = "high",
});

/// What a rule is about; what it does not name it does not ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Case {
    /// This zone, and everything below it.
    pub zone: Option<ZoneId>,
    /// One of these categories; empty: any.
    pub categories: Vec<Category>,
    /// While the alert's zone, or the nearest above it that has one set, is in this posture.
    pub posture: Option<Posture>,
    /// Zones of this risk.
    pub risk: Option<Risk>,
}

/// How long a zone has to acknowledge an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineRule {
    /// When.
    pub case: Case,
    /// The deadline of each step.
    pub after: Span,
}

/// Who is to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgencyRule {
    /// When.
    pub case: Case,
    /// Who.
    pub agencies: Agencies,
}

/// Everything by which alerts are routed and climb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// A press so near to another zone of its depth is paged there too, in metres.
    pub border_m: u32,
    /// How much of a position's own radius is added to that, in metres at most.
    pub radius_m_max: u32,
    /// How long a zone may have no subscriber before its alerts climb at once.
    pub unattended_after: Span,
    /// The deadline where no rule says another.
    pub deadline: Span,
    /// The first that matches counts.
    pub deadlines: Vec<DeadlineRule>,
    /// Who answers where no rule says so.
    pub agencies: Agencies,
    /// The first that matches counts.
    pub agency_rules: Vec<AgencyRule>,
    /// Who is told of presses outside every zone, beside the root.
    pub neighbours: Vec<Neighbour>,
}

impl Routing {
    /// How far from this position a zone may lie that is paged too, in metres. Whoever is known to be within a
    /// kilometre of here may be on either side of a border that is half as far.
    #[must_use]
    pub fn reach_m(&self, position: &Position) -> u32 {
        self.border_m.saturating_add(position.radius_m.min(self.radius_m_max))
    }

    /// Who answers an alert of this category in `zone`.
    #[must_use]
    pub fn agencies(
        &self,
        zones: &Zones,
        zone: ZoneIndex,
        category: Category,
        posture: Posture,
    ) -> Agencies {
        let rule =
            self.agency_rules.iter().find(|rule| rule.case.matches(zones, zone, category, posture));
        rule.map_or(self.agencies, |rule| rule.agencies)
    }

    /// How long `zone` has to acknowledge an alert of this category.
    #[must_use]
    pub fn deadline(
        &self,
        zones: &Zones,
        zone: ZoneIndex,
        category: Category,
        posture: Posture,
    ) -> Span {
        let rule =
            self.deadlines.iter().find(|rule| rule.case.matches(zones, zone, category, posture));
        rule.map_or(self.deadline, |rule| rule.after)
    }
}

impl Default for Routing {
    /// Every agency, a minute to answer: what an empty file says.
    fn default() -> Self {
        Self {
            border_m: 100,
            radius_m_max: 1_000,
            unattended_after: Span::from_secs(10),
            deadline: Span::from_secs(60),
            deadlines: vec![],
            agencies: Agencies::ALL,
            agency_rules: vec![],
            neighbours: vec![],
        }
    }
}

impl Case {
    fn matches(
        &self,
        zones: &Zones,
        zone: ZoneIndex,
        category: Category,
        posture: Posture,
    ) -> bool {
        let within = |named: &ZoneId| {
            zones.find(named.as_str()).is_some_and(|named| zones.is_within(zone, named))
        };
        let risk = || zones.get(zone).map(|zone| zone.risk);
        self.zone.as_ref().is_none_or(within)
            && (self.categories.is_empty() || self.categories.contains(&category))
            && self.posture.is_none_or(|named| named == posture)
            && self.risk.is_none_or(|named| risk() == Some(named))
    }
}

#[cfg(test)]
mod tests;
