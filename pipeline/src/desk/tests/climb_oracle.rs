//! What waits for an answer by the journal alone, and for how long: the slow obvious way.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use protocol::{AlertId, Kind};

use super::town::*;
use crate::*;

const DEEP: &str = r#"{"type":"FeatureCollection","features":[
  {"type":"Feature","properties":{"id":"province","name":"Province","level":"polda"},"geometry":null},
  {"type":"Feature","properties":{"id":"city","name":"City","level":"polres","parent":"province"},"geometry":null},
  {"type":"Feature","properties":{"id":"east","name":"East","level":"polsek","parent":"city"},
   "geometry":{"type":"Polygon","coordinates":[[[10,0],[11,0],[11,1],[10,1],[10,0]]]}},
  {"type":"Feature","properties":{"id":"west","name":"West","level":"polsek","parent":"city"},
   "geometry":{"type":"Polygon","coordinates":[[[9,0],[10,0],[10,1],[9,1],[9,0]]]}},
  {"type":"Feature","properties":{"id":"far","name":"Far","level":"polres","parent":"province"},
   "geometry":{"type":"Polygon","coordinates":[[[20,0],[21,0],[21,1],[20,1],[20,0]]]}}]}"#;
pub(super) const ZONES: [&str; 5] = ["province", "city", "east", "west", "far"];
pub(super) const GRACE: Span = Span::from_secs(10);

pub(super) fn parent(zone: &str) -> Option<&'static str> {
    match zone {
        "east" | "west" => Some("city"),
        "city" | "far" => Some("province"),
        _ => None,
    }
}

/// The zone and those above it.
pub(super) fn upwards(zone: &str) -> Vec<&str> {
    let above = parent(zone).map(upwards).unwrap_or_default();
    [vec![zone], above].concat()
}

pub(super) fn deep() -> Arc<Zones> {
    static READ: LazyLock<Arc<Zones>> =
        LazyLock::new(|| Arc::new(Zones::from_geojson(DEEP).expect("the zones above are valid")));
    Arc::clone(&READ)
}

/// What the oracle says by hand in [`deadline`].
pub(super) fn routing() -> Routing {
    let posture = Case { posture: Some(Posture::Contingency), ..Case::default() };
    let far = Case { zone: Some(ZoneId::new("far")), ..Case::default() };
    let deadlines = vec![
        DeadlineRule { case: posture, after: 20 * SECOND },
        DeadlineRule { case: far, after: 90 * SECOND },
    ];
    Routing { deadlines, unattended_after: GRACE, ..Routing::default() }
}

pub(super) fn deadline(lines: &[Entry], zone: &str) -> Span {
    let set = |zone: &str| {
        lines.iter().rev().find_map(|line| match line {
            Entry::Decision(Decision { act: Act::Posture(posture), zone: set, .. })
                if set.as_str() == zone =>
            {
                Some(*posture)
            }
            _ => None,
        })
    };
    match upwards(zone).into_iter().find_map(set) {
        Some(Posture::Contingency) => 20 * SECOND,
        _ if zone == "far" => 90 * SECOND,
        _ => MINUTE,
    }
}

/// An alert that waits.
#[derive(Debug, Clone)]
pub(super) struct Waits {
    pub(super) step: Option<ZoneId>,
    /// The line with which it began to wait there.
    pub(super) line: usize,
    /// Everywhere that it waited since it was raised or reopened.
    steps: Vec<Option<ZoneId>>,
}

impl Waits {
    fn at(step: &ZoneId, line: usize) -> Self {
        Self { step: Some(step.clone()), line, steps: vec![Some(step.clone())] }
    }
}

/// What waits by these lines.
pub(super) fn waiting(lines: &[Entry]) -> BTreeMap<AlertId, Waits> {
    let mut open = BTreeMap::new();
    for (line, entry) in lines.iter().enumerate() {
        let decision = match entry {
            Entry::Message(raise) => {
                if raise.kind == Kind::Raise && raise.disposition == Disposition::Paged {
                    let first = raise.also.first().unwrap_or(&raise.zone);
                    open.insert(raise.message_id.alert(), Waits::at(first, line));
                }
                continue;
            }
            Entry::Decision(decision) => decision,
        };
        let Some((alert, _)) = decision.alert else { continue };
        let raise = decision.raise.as_ref();
        match (&decision.act, &decision.actor) {
            (Act::Acknowledge | Act::Assign { .. } | Act::Resolve(_), _)
            | (Act::Verdict(_), Actor::Operator(_)) => drop(open.remove(&alert)),
            (Act::Reopen, _) => drop(open.insert(alert, Waits::at(&raise.unwrap().zone, line))),
            // One that was reopened before it was promoted goes on from where it is.
            (Act::Promote, _) if answer_of(&lines[..line], alert) == Answer::Waiting => {
                let raise = raise.unwrap();
                let first = raise.also.first().unwrap_or(&raise.zone);
                open.entry(alert).or_insert_with(|| Waits::at(first, line));
            }
            (Act::Escalate { to }, _) => {
                let waits = open.get_mut(&alert).expect("what nobody waits for does not climb");
                assert!(
                    !waits.steps.contains(to),
                    "each step once: {to:?} after {:?}",
                    waits.steps
                );
                waits.steps.push(to.clone());
                (waits.step, waits.line) = (to.clone(), line);
            }
            _ => {}
        }
    }
    open
}
