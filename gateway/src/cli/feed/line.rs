//! An event as a line for people, or for a program.
//!
//! `time zone category place who alert state`, and of an incident `time zones categories place presses incident state`,
//! where a place is the first corner of what lies around its presses. What is not known is a dash, and no text breaks out
//! of its line.

use serde_json::Value;

use super::events::Event;

/// The event as one JSON value.
pub(super) fn json(event: &Event) -> String {
    serde_json::json!({ "id": event.id, "event": event.name, "data": data(event) }).to_string()
}

/// The event in words.
pub(super) fn words(event: &Event) -> String {
    let data = data(event);
    let fields = match &*event.name {
        "alert" | "held" => alert(event, &data),
        "decision" | "escalation" | "moving" | "quiet" | "notice" => decision(event, &data),
        "incident" => incident(&data),
        name => vec![plain(name), data.to_string()],
    };
    fields.join(" ")
}

/// Data that is no JSON is text.
fn data(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap_or_else(|_| event.data.clone().into())
}

fn alert(event: &Event, data: &Value) -> Vec<String> {
    let is = |name: &str| data.get(name).and_then(Value::as_bool).unwrap_or_default();
    let mut state = vec![text(data, "kind")];
    if event.name == "held" {
        state.push("held".to_owned());
    }
    if is("page") {
        state.push("page".to_owned());
    }
    if is("promoted") {
        state.push("promoted".to_owned());
    }
    if is("silent") {
        state.push("SILENT".to_owned());
    }
    if is("drill") {
        state.push("DRILL".to_owned());
    }
    if data.get("joins").is_some() {
        state.push(format!("joins={}", text(data, "joins")));
    }
    if data.get("note").is_some() {
        state.push(format!("note={}", text(data, "note")));
    }
    let mut fields = vec![
        text(data, "received_at"),
        text(data, "zone"),
        text(data, "category"),
        place(data.get("position")),
        text(data, "device_id"),
        text(data, "alert_id"),
    ];
    fields.append(&mut state);
    fields
}

fn decision(event: &Event, data: &Value) -> Vec<String> {
    let actor = data.get("actor").unwrap_or(&Value::Null);
    let who = match (actor.get("operator"), actor.get("rule")) {
        (Some(name), _) => plain(name.as_str().unwrap_or_default()).replace(' ', "_"),
        (None, Some(rule)) => format!("rule:{}", plain(rule.as_str().unwrap_or_default())),
        (None, None) => "-".to_owned(),
    };
    let act = data.get("act").and_then(Value::as_str).unwrap_or(&event.name);
    let mut fields = vec![
        text(data, "decided_at"),
        text(data, "zone"),
        text(data, "category"),
        place(data.get("position")),
        who,
        text(data, "alert_id"),
        plain(act),
    ];
    for name in ["verdict", "to", "posture", "until", "device_id", "alerts", "reason"] {
        if let Some(value) = data.get(name).filter(|value| !value.is_null()) {
            fields.push(format!("{name}={}", shown(value)));
        }
    }
    if let Some(paged) = data.get("paged_zones").filter(|_| act == "escalate") {
        fields.push(format!("paged={}", shown(paged)));
    }
    fields
}

fn incident(data: &Value) -> Vec<String> {
    let is = |name: &str| data.get(name).and_then(Value::as_bool).unwrap_or_default();
    let categories = data.get("categories").and_then(Value::as_object);
    let categories =
        categories.into_iter().flatten().map(|(name, count)| format!("{name}:{count}"));
    let mut fields = vec![
        text(data, "latest_at"),
        text(data, "zones"),
        some(categories.collect::<Vec<_>>().join(",")),
        corner(data.get("hull")),
        text(data, "count"),
        text(data, "incident_id"),
        text(data, "state"),
    ];
    if is("silent") {
        fields.push("SILENT".to_owned());
    }
    if is("drill") {
        fields.push("DRILL".to_owned());
    }
    for name in ["held", "cancelled", "escalated_to"] {
        if let Some(value) = data.get(name).filter(|value| !value.is_null() && **value != 0) {
            fields.push(format!("{name}={}", shown(value)));
        }
    }
    if is("partial") {
        fields.push("partial".to_owned());
    }
    fields
}

/// The text, or a dash if it is empty.
fn some(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Latitude and longitude of the first corner of a geometry of GeoJSON.
fn corner(geometry: Option<&Value>) -> String {
    let mut at = geometry.and_then(|geometry| geometry.get("coordinates"));
    while let Some(first) = at.and_then(|at| at.get(0)).filter(|first| first.is_array()) {
        at = Some(first);
    }
    let number = |index: usize| at?.get(index)?.as_f64();
    match (number(1), number(0)) {
        (Some(lat), Some(lon)) => format!("{lat:.5},{lon:.5}"),
        _ => "-".to_owned(),
    }
}

/// Latitude, longitude and how exact they are; a dash where none is known.
fn place(position: Option<&Value>) -> String {
    let number = |name: &str| position?.get(name)?.as_f64();
    match (number("lat"), number("lon"), number("radius_m")) {
        (Some(lat), Some(lon), Some(radius)) => format!("{lat:.5},{lon:.5}~{radius:.0}m"),
        (Some(lat), Some(lon), None) => format!("{lat:.5},{lon:.5}"),
        _ => "-".to_owned(),
    }
}

fn text(data: &Value, name: &str) -> String {
    data.get(name).map_or_else(|| "-".to_owned(), shown)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Array(many) => many.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Text on one line: what could move the cursor of a terminal stays escaped.
fn plain(text: &str) -> String {
    if text.chars().any(char::is_control) { Value::from(text).to_string() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(name: &str, data: &Value) -> Event {
        Event { id: Some("7f".to_owned()), name: name.to_owned(), data: data.to_string() }
    }

    #[test]
    fn raise_has_its_time_zone_place_sender_and_state_on_one_line() {
        let raise = json!({"received_at": "2026-03-01T18:30:00.000Z", "zone": "klojen", "category": "fire",
            "position": {"lat": -7.96662, "lon": 112.6326, "radius_m": 12}, "device_id": "ab", "alert_id": "cd",
            "kind": "raise", "page": true, "silent": true, "note": "lantai\n\u{1b}[2J"});
        assert_eq!(
            words(&event("alert", &raise)),
            "2026-03-01T18:30:00.000Z klojen fire -7.96662,112.63260~12m ab cd raise page SILENT \
             note=\"lantai\\n\\u001b[2J\""
        );
        let held = json!({"received_at": "t", "zone": "z", "position": null, "kind": "raise", "page": false});
        assert_eq!(words(&event("held", &held)), "t z - - - - raise held");
    }

    #[test]
    fn decision_says_who_did_what() {
        let assigned = json!({"decided_at": "t", "zone": "z", "actor": {"operator": "Ibu Siti"}, "alert_id": "cd",
            "act": "assign", "to": "patrol 7"});
        assert_eq!(words(&event("decision", &assigned)), "t z - - Ibu_Siti cd assign to=patrol 7");
        let climbed = json!({"decided_at": "t", "zone": "z", "actor": {"rule": "deadline"}, "alert_id": "cd",
            "act": "escalate", "paged_zones": ["polres"]});
        assert_eq!(
            words(&event("escalation", &climbed)),
            "t z - - rule:deadline cd escalate paged=polres"
        );
        let quiet = json!({"decided_at": "t", "zone": "z", "actor": {"rule": "silence"}, "alert_id": "cd",
            "act": "quiet", "position": {"lat": -7.96662, "lon": 112.6326, "radius_m": 12}});
        assert_eq!(
            words(&event("quiet", &quiet)),
            "t z - -7.96662,112.63260~12m rule:silence cd quiet"
        );
        let notice =
            json!({"decided_at": "t", "zone": "z", "actor": {"rule": "surge"}, "alerts": 41});
        assert_eq!(words(&event("notice", &notice)), "t z - - rule:surge - notice alerts=41");
    }

    #[test]
    fn incident_has_its_presses_and_state_on_one_line() {
        let incident = json!({"incident_id": "cd", "state": "waiting", "states": {"waiting": 3}, "count": 3,
            "categories": {"fire": 2, "traffic": 1}, "zones": ["klojen", "sukun"], "latest_at": "t", "held": 0,
            "hull": {"type": "Polygon", "coordinates": [[[112.6326, -7.96662], [112.64, -7.97]]]},
            "silent": true, "escalated_to": ["polres"], "partial": true});
        assert_eq!(
            words(&event("incident", &incident)),
            "t klojen,sukun fire:2,traffic:1 -7.96662,112.63260 3 cd waiting SILENT escalated_to=polres partial"
        );
        assert_eq!(words(&event("incident", &json!({"count": 1}))), "- - - - 1 - -");
    }

    #[test]
    fn what_is_not_known_is_shown_whole_and_json_names_its_event() {
        assert_eq!(words(&event("gap", &json!({"after": 1}))), "gap {\"after\":1}");
        let shown: Value = serde_json::from_str(&json(&event("alert", &json!({"a": 1})))).unwrap();
        assert_eq!(shown, json!({"id": "7f", "event": "alert", "data": {"a": 1}}));
    }
}
