//! What incidents come to, worked out slowly from all that was journaled.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::{Act, Actor, Decision, Disposition, Entry, Record};
use protocol::{Kind, Label};
use serde_json::{Value, json};

use super::super::hull::Hull;
use crate::feed::Audience;
use crate::feed::access::Viewer;
use crate::feed::text::time_text;

/// An alert, as one reader sees it.
struct Alert<'a> {
    raise: &'a Record,
    press: bool,
    state: &'static str,
    cancelled: bool,
    climbed: Vec<Option<String>>,
}

/// The summaries of all that happened that this viewer may see.
pub(super) fn summaries<'a>(
    entries: impl Iterator<Item = &'a Entry> + Clone,
    viewer: &Viewer,
) -> BTreeMap<String, Value> {
    let mut incidents: BTreeMap<String, Vec<Alert<'_>>> = BTreeMap::new();
    for entry in entries.clone() {
        let Entry::Message(raise) = entry else { continue };
        if raise.kind != Kind::Raise {
            continue;
        }
        let about = |entry: &&Entry| match entry {
            Entry::Message(record) => record.kind == Kind::Cancel && record.alert == raise.alert,
            Entry::Decision(decision) => {
                decision.raise.as_ref().is_some_and(|of| of.message_id == raise.message_id)
            }
        };
        let about: Vec<&Entry> = entries.clone().filter(about).collect();
        let seen = |entry: &Entry| match entry {
            Entry::Decision(Decision { act: Act::Escalate { .. }, .. }) => {
                viewer.sees(&Audience::of(entry))
            }
            _ => false,
        };
        if viewer.sees(&Audience::of(entry)) || about.iter().any(|entry| seen(entry)) {
            let incident = raise.incident.unwrap().to_string();
            incidents.entry(incident).or_default().push(alert(raise, &about));
        }
    }
    incidents.into_iter().map(|(id, alerts)| (id.clone(), summary(&id, &alerts, viewer))).collect()
}

fn alert<'a>(raise: &'a Record, about: &[&Entry]) -> Alert<'a> {
    let press = !matches!(raise.disposition, Disposition::Held | Disposition::Joined);
    let (state, climbed) = ("waiting", vec![]);
    let mut alert = Alert { raise, press, state, cancelled: false, climbed };
    for entry in about {
        let Entry::Decision(decision) = entry else {
            alert.cancelled = true;
            continue;
        };
        match (&decision.act, &decision.actor) {
            (Act::Promote, _) => alert.press = true,
            (Act::Escalate { to }, _) => {
                alert.climbed.push(to.as_ref().map(ToString::to_string));
            }
            (Act::Acknowledge, Actor::Operator(_)) => alert.state = "acknowledged",
            (Act::Verdict(_), _) if alert.state == "waiting" => alert.state = "acknowledged",
            (Act::Assign { .. }, _) => alert.state = "assigned",
            (Act::Resolve(_), _) => alert.state = "resolved",
            (Act::Reopen, _) => alert.state = "waiting",
            _ => {}
        }
    }
    alert
}

fn summary(id: &str, alerts: &[Alert<'_>], viewer: &Viewer) -> Value {
    let presses: Vec<_> = alerts.iter().filter(|alert| alert.press).collect();
    let counted = |is: &dyn Fn(&Alert<'_>) -> bool| presses.iter().filter(|one| is(one)).count();
    let states = ["waiting", "acknowledged", "assigned", "resolved"];
    let of = |state: &str| counted(&|alert| alert.state == state);
    let mut categories = BTreeMap::new();
    presses.iter().for_each(|alert| {
        *categories.entry(alert.raise.category.name()).or_insert(0) += 1;
    });
    let others = |disposition| {
        let is = move |alert: &&Alert<'_>| !alert.press && alert.raise.disposition == disposition;
        alerts.iter().filter(is)
    };
    let labelled = |label| alerts.iter().any(|alert| alert.raise.labels.contains(label));
    let no_repeat =
        |alert: &&Alert<'_>| alert.press || alert.raise.disposition != Disposition::Joined;
    let latest = alerts.iter().rfind(no_repeat).or(alerts.last()).unwrap().raise;
    let climbed: Vec<_> = alerts.iter().flat_map(|alert| &alert.climbed).collect();
    // Of each alert the last zone.
    let last = |alert: &Alert<'_>| alert.climbed.iter().flatten().next_back().cloned();
    let zones: BTreeSet<_> = alerts.iter().filter_map(last).collect();
    let agencies: BTreeSet<_> =
        alerts.iter().flat_map(|alert| alert.raise.agencies.iter()).collect();
    let mut data = json!({
        "incident_id": id,
        "state": states.iter().find(|state| of(state) > 0).unwrap_or(&"held"),
        "states": states.iter().map(|state| (*state, of(state))).collect::<BTreeMap<_, _>>(),
        "count": presses.len(),
        "repeats": others(Disposition::Joined).count(),
        "held": others(Disposition::Held).count(),
        "cancelled": counted(&|alert| alert.cancelled),
        "categories": categories,
        "silent": labelled(Label::Silent),
        "drill": labelled(Label::Drill),
        "first_at": time_text(alerts[0].raise.received_at),
        "latest_at": time_text(latest.received_at),
        "zones": alerts.iter().map(|alert| alert.raise.zone.to_string()).collect::<BTreeSet<_>>(),
        "agencies": agencies.iter().map(|agency| agency.name()).collect::<Vec<_>>(),
        "latest_alert_id": latest.message_id.alert().to_string(),
    });
    let places = presses.iter().filter_map(|alert| alert.raise.site);
    if let Some(hull) = Hull::around(places, viewer.sight()) {
        data["hull"] = serde_json::to_value(hull).unwrap();
    }
    if climbed.iter().any(|to| to.is_none()) {
        data["escalated_to"] = "all".into();
    } else if !zones.is_empty() {
        data["escalated_to"] = zones.into_iter().collect();
    }
    data
}
