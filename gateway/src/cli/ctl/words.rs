//! Answers of the operators' interface as lines for people: one for each alert or decision, one for each field of a
//! single thing.

use std::io::{self, Write};

use serde_json::Value;

/// What stands on the line of one of many, in this order.
const ALERT: &[&str] =
    &["received_at", "alert_id", "state", "answer", "category", "zone", "verdict", "device_id"];
const ZONE: &[&str] =
    &["id", "level", "parent", "risk", "posture", "drill_until", "open_alerts", "name"];
const DECISION: &[&str] =
    &["decided_at", "actor", "act", "verdict", "until", "alert_id", "device_id", "zone", "reason"];

/// Writes `answer` line by line.
pub(super) fn write(answer: &Value, out: &mut impl Write) -> io::Result<()> {
    if let Some(alerts) = answer.get("alerts").and_then(Value::as_array) {
        list(alerts, ALERT, out)?;
    } else if let Some(decisions) = answer.get("decisions").filter(|_| answer.get("id").is_none())
        && answer.get("alert_id").is_none()
    {
        list(decisions.as_array().map_or(&[], Vec::as_slice), DECISION, out)?;
    } else if let Some(zones) = answer.get("zones").and_then(Value::as_array) {
        list(zones, ZONE, out)?;
    } else if let Some(metrics) = answer.get("metrics").and_then(Value::as_object) {
        for (name, samples) in metrics {
            for sample in samples.as_array().into_iter().flatten() {
                writeln!(out, "{name}{} {}", short(&sample["labels"]), short(&sample["value"]))?;
            }
        }
    } else {
        fields(answer, out)?;
    }
    match answer.get("next").and_then(Value::as_str) {
        Some(next) => writeln!(out, "more with --before {next}"),
        None => Ok(()),
    }
}

fn list(found: &[Value], names: &[&str], out: &mut impl Write) -> io::Result<()> {
    for one in found {
        let shown: Vec<_> = names.iter().map(|name| short(&one[*name])).collect();
        writeln!(out, "{}", shown.join(" "))?;
    }
    Ok(())
}

fn fields(answer: &Value, out: &mut impl Write) -> io::Result<()> {
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Array(many) if many.iter().any(Value::is_object) => {
                for one in many {
                    writeln!(out, "{name}: {}", short(one))?;
                }
            }
            value => writeln!(out, "{name}: {}", short(value))?,
        }
    }
    Ok(())
}

/// A value on one line; nothing is a dash. Control characters in what people wrote stay escaped.
fn short(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if !text.chars().any(char::is_control) => text.clone(),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name}={}", short(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
        Value::Array(many) => many.iter().map(short).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(answer: &Value) -> String {
        let mut out = vec![];
        write(answer, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lists_have_a_line_for_each_and_say_how_to_go_on() {
        let alerts = json!({"alerts": [{"alert_id": "ab", "zone": "klojen"}], "next": "cd"});
        assert_eq!(written(&alerts), "- ab - - - klojen - -\nmore with --before cd\n");
        let decisions = json!({"decisions": [{"act": "block", "actor": {"operator": "siti"}}]});
        assert_eq!(written(&decisions), "- {operator=siti} block - - - - - -\n");
        let live = json!({"metrics": {"a": [{"labels": {"b": "c"}, "value": 1}]}});
        assert_eq!(written(&live), "a{b=c} 1\n");
    }

    #[test]
    fn single_thing_has_a_line_for_each_field_and_no_text_breaks_out() {
        let alert = json!({"alert_id": "ab", "note": "a\nb", "decisions": [{"act": "verdict"}]});
        let lines = "alert_id: ab\nnote: \"a\\nb\"\ndecisions: {act=verdict}\n";
        let mut expected: Vec<_> = lines.lines().collect();
        let written = written(&alert);
        let mut found: Vec<_> = written.lines().collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}
