//! Routing from its file: every key with its bounds, the rules in their order, and what can be said of them together.
//!
//! What is read fits the zones it was read for. A rule that can never count is refused: whoever wrote it believes that
//! somebody is asked.

use protocol::Category;
use toml::de::DeTable;

use super::names::{Answering, One, OneOf, Several, ZoneName};
use super::{AgencyRule, Case, DeadlineRule, Neighbour, Posture, Risk, Routing};
use crate::policy::Lasting;
use crate::settings::{Any, Between, Codec, Count, Place, Problem, Reader, Table};
use crate::{Agencies, Span, Zones};

/// Every variable with this prefix is routing's: `KENTONGAN_ROUTE_ESCALATION_DEADLINE` is `deadline` of section
/// `escalation`.
pub const ROUTING_VARIABLE_PREFIX: &str = "KENTONGAN_ROUTE_";

/// More is no border but another district.
const BORDER_M_MAX: u32 = 2_000;
/// A position that is known no better than this is one of a city, and pages nobody more precisely.
const RADIUS_M_MAX: u32 = 5_000;
/// Nobody reads an alert and answers it in less.
const DEADLINE_MIN: Span = Span::from_secs(5);
/// Whoever waits for help does not wait longer for the next to be asked.
const DEADLINE_MAX: Span = Span::from_secs(3_600);
/// A client that is away for longer does not just reconnect.
const UNATTENDED_AFTER_MAX: Span = Span::from_secs(600);
/// Rules of one list: they are gone through for every press.
const RULES_MAX: usize = 256;
/// Neighbours: each that a press is told to stands in its line.
const NEIGHBOURS_MAX: usize = 16;

impl Routing {
    /// The routing that TOML `text` and `variables` state, for these zones.
    ///
    /// # Errors
    /// Every problem at once, in the order of lines.
    pub fn read(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        zones: &Zones,
    ) -> Result<Self, Vec<Problem>> {
        let (table, syntax) = DeTable::parse_recoverable(text);
        let mut reader = Reader::new(text, table.get_ref(), ROUTING_VARIABLE_PREFIX, variables);
        syntax.iter().for_each(|error| reader.add_syntax(error));
        let default = Self::default();
        let border = Between(0, BORDER_M_MAX);
        let deadline = Between(DEADLINE_MIN, DEADLINE_MAX);
        let unattended = Between(Span(0), UNATTENDED_AFTER_MAX);
        let routing = Self {
            border_m: reader.field::<Count<u32>>("", "border_m", default.border_m, &border),
            radius_m_max: reader.field::<Count<u32>>(
                "",
                "radius_m_max",
                default.radius_m_max,
                &Between(0, RADIUS_M_MAX),
            ),
            deadline: reader.field::<Lasting>(
                "escalation",
                "deadline",
                default.deadline,
                &deadline,
            ),
            unattended_after: reader.field::<Lasting>(
                "escalation",
                "unattended_after",
                default.unattended_after,
                &unattended,
            ),
            deadlines: reader.tables("escalation", "rule", default.deadlines, |table| {
                DeadlineRule::read(table, zones)
            }),
            agencies: reader.field::<Answering>("agencies", "default", default.agencies, &Any),
            agency_rules: reader.tables("agencies", "rule", default.agency_rules, |table| {
                AgencyRule::read(table, zones)
            }),
            neighbours: reader.tables("", "neighbour", default.neighbours, Neighbour::read),
        };
        let mut problems = reader.finish();
        routing.check_together(zones, &mut problems);
        if problems.is_empty() { Ok(routing) } else { Err(problems) }
    }

    /// Every key whose value differs, with the value here and in `new`.
    #[must_use]
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let pairs = self.values().into_iter().zip(new.values());
        let changed = pairs.filter(|((_, old), (_, new))| old != new);
        changed.map(|((path, old), (_, new))| format!("{path}: {old} -> {new}")).collect()
    }

    pub(super) fn values(&self) -> Vec<(&'static str, String)> {
        let deadlines = self.deadlines.iter().map(DeadlineRule::show);
        let agencies = self.agency_rules.iter().map(AgencyRule::show);
        let list = |rules: Vec<String>| format!("[{}]", rules.join(", "));
        vec![
            ("border_m", self.border_m.to_string()),
            ("radius_m_max", self.radius_m_max.to_string()),
            ("escalation.deadline", shown::<Lasting>(&self.deadline)),
            ("escalation.unattended_after", shown::<Lasting>(&self.unattended_after)),
            ("escalation.rule", list(deadlines.collect())),
            ("agencies.default", shown::<Answering>(&self.agencies)),
            ("agencies.rule", list(agencies.collect())),
            ("neighbour", list(self.neighbours.iter().map(Neighbour::show).collect())),
        ]
    }

    /// What no key can be blamed for alone. A list in which something is wrong is not blamed again.
    fn check_together(&self, zones: &Zones, problems: &mut Vec<Problem>) {
        let deadlines: Vec<&Case> = self.deadlines.iter().map(|rule| &rule.case).collect();
        let agencies: Vec<&Case> = self.agency_rules.iter().map(|rule| &rule.case).collect();
        for (path, cases) in [("escalation.rule", deadlines), ("agencies.rule", agencies)] {
            if problems.iter().all(|problem| !problem.path.starts_with(path)) {
                problems.extend(check_list(path, &cases, zones));
            }
        }
        if self.neighbours.len() > NEIGHBOURS_MAX {
            let what = format!("has {}; write {NEIGHBOURS_MAX} at most", self.neighbours.len());
            problems.push(Problem { place: Place::Whole, path: "neighbour".to_owned(), what });
        }
    }
}

fn check_list(path: &str, cases: &[&Case], zones: &Zones) -> Vec<Problem> {
    let problem = |path: String, what: String| Problem { place: Place::Whole, path, what };
    if cases.len() > RULES_MAX {
        let what = format!("has {} rules; write {RULES_MAX} at most", cases.len());
        return vec![problem(path.to_owned(), what)];
    }
    let numbered = || (1_usize..).zip(cases);
    let hidden = numbered().filter_map(|(number, case)| {
        let mut before = numbered().take_while(|(other, _)| *other < number);
        let (first, _) = before.find(|(_, other)| other.holds_all_of(case, zones))?;
        let what = format!(
            "can never count, because {path}[{first}] comes first and is about all of it; put the narrower rule first"
        );
        Some(problem(format!("{path}[{number}]"), what))
    });
    hidden.collect()
}

impl DeadlineRule {
    fn read(table: &mut Table<'_, '_>, zones: &Zones) -> Self {
        let after = Between(DEADLINE_MIN, DEADLINE_MAX);
        Self {
            case: Case::read(table, zones),
            after: table.field::<Lasting>("after", Span::from_secs(30), &after),
        }
    }

    fn show(&self) -> String {
        self.case.show(&format!("after = {}", shown::<Lasting>(&self.after)))
    }
}

impl AgencyRule {
    fn read(table: &mut Table<'_, '_>, zones: &Zones) -> Self {
        Self {
            case: Case::read(table, zones),
            agencies: table.field::<Answering>("agencies", Agencies::ALL, &Any),
        }
    }

    fn show(&self) -> String {
        self.case.show(&format!("agencies = {}", shown::<Answering>(&self.agencies)))
    }
}

impl Case {
    fn read(table: &mut Table<'_, '_>, zones: &Zones) -> Self {
        Self {
            zone: table.optional::<ZoneName>("zone", &OneOf(zones)),
            categories: table.optional::<Several<Category>>("categories", &Any).unwrap_or_default(),
            posture: table.optional::<One<Posture>>("posture", &Any),
            risk: table.optional::<One<Risk>>("risk", &Any),
        }
    }

    /// Whether there is no alert that `other` is about and this is not.
    fn holds_all_of(&self, other: &Self, zones: &Zones) -> bool {
        let zone = |case: &Self| case.zone.as_ref().and_then(|zone| zones.find(zone.as_str()));
        let (mine, others) = (zone(self), zone(other));
        mine.is_none_or(|mine| others.is_some_and(|other| zones.is_within(other, mine)))
            && (self.categories.is_empty()
                || !other.categories.is_empty()
                    && other.categories.iter().all(|one| self.categories.contains(one)))
            && (self.posture.is_none() || self.posture == other.posture)
            && (self.risk.is_none() || self.risk == other.risk)
    }

    /// The rule as it would be written in one line, ending with what it says.
    fn show(&self, said: &str) -> String {
        let categories = Some(&self.categories).filter(|list| !list.is_empty());
        let parts = [
            self.zone.as_ref().map(|zone| format!("zone = {}", shown::<ZoneName>(zone))),
            categories.map(|list| format!("categories = {}", shown::<Several<Category>>(list))),
            self.posture.map(|posture| format!("posture = {}", shown::<One<Posture>>(&posture))),
            self.risk.map(|risk| format!("risk = {}", shown::<One<Risk>>(&risk))),
            Some(said.to_owned()),
        ];
        format!("{{ {} }}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

fn shown<C: Codec>(value: &C::Value) -> String {
    C::show(value).unwrap_or_default()
}
