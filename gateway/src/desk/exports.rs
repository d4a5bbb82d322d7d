//! What the desk exports: what became of messages, who decided what, and how full its tables are.

use metrics::{Counter, Gauge, counter, gauge};
use pipeline::{Act, Actor, Decision, DeskSizes, Disposition, Entry};

/// Counters and gauges of the desk.
pub(super) struct Exports {
    messages: Vec<(Disposition, Counter)>,
    tables: [Gauge; TABLES.len()],
}

/// The desk's tables, in the order of [`lens`].
const TABLES: [&str; 16] = [
    "in_hand",
    "unindexed",
    "open_alerts",
    "tracked_alerts",
    "incidents",
    "incident_places",
    "standings",
    "blocks",
    "presses",
    "rates",
    "models",
    "witnesses",
    "pending",
    "placeless",
    "surge_presses",
    "rule_events",
];

impl Exports {
    pub(super) fn new() -> Self {
        Self {
            messages: Disposition::ALL
                .iter()
                .map(|disposition| {
                    let name = disposition.name();
                    let counter =
                        counter!("gateway_journaled_messages_total", "disposition" => name);
                    (*disposition, counter)
                })
                .collect(),
            tables: TABLES.map(|table| gauge!("gateway_desk_entries", "table" => table)),
        }
    }

    /// Counts a line that is on its way to the journal.
    pub(super) fn appended(&self, entry: &Entry) {
        match entry {
            Entry::Message(record) => {
                let mut known = self.messages.iter();
                let counted = known.find(|(disposition, _)| *disposition == record.disposition);
                counted.into_iter().for_each(|(_, counter)| counter.increment(1));
            }
            Entry::Decision(decision) => decided(decision),
        }
    }

    /// Tells how full the tables are.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub(super) fn measure(&self, sizes: &DeskSizes) {
        self.tables.iter().zip(lens(sizes)).for_each(|(gauge, len)| gauge.set(len as f64));
    }
}

/// Counts a decision. They are few, so the counter is looked up by its name.
fn decided(decision: &Decision) {
    let actor = match &decision.actor {
        Actor::Operator(_) => "operator",
        Actor::Rule(rule) => rule.name(),
    };
    let verdict = match decision.act {
        Act::Verdict(verdict) | Act::Resolve(verdict) => verdict.name(),
        _ => "none",
    };
    let act = decision.act.name();
    counter!("gateway_decisions_total", "act" => act, "actor" => actor, "verdict" => verdict)
        .increment(1);
}

/// Entries in each of [`TABLES`].
fn lens(sizes: &DeskSizes) -> [usize; TABLES.len()] {
    let DeskSizes {
        in_hand,
        unindexed,
        open_alerts,
        tracked_alerts,
        incidents,
        incident_places,
        admission,
    } = *sizes;
    [
        in_hand,
        unindexed,
        open_alerts,
        tracked_alerts,
        incidents,
        incident_places,
        admission.standings,
        admission.blocks,
        admission.presses,
        admission.rates,
        admission.models,
        admission.witnesses,
        admission.pending,
        admission.placeless,
        admission.surge_presses,
        admission.rule_events,
    ]
}
