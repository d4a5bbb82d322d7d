//! How a device stands, what a notice tells and what a decision rests on, as text that a column holds.
//!
//! JSON, because people read it with `sqlite3` and its functions take it apart. The names are the journal's: they may be
//! added to with a new schema version and never change their meaning. Text that does not fit is damage, not a default.

use std::sync::Arc;

use pipeline::{Notice, Standing, Strike, Time};
use protocol::AlertId;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingText {
    strikes: Vec<StrikeText>,
    blocks: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked_at_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked_until_us: Option<u64>,
    #[serde(default)]
    blocked_by_rule: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probation_until_us: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StrikeText {
    at_us: u64,
    alert: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeText {
    alerts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

/// `standing` as text.
pub(crate) fn standing_text(standing: &Standing) -> String {
    let micros = |time: Option<Time>| time.map(|time| time.0);
    let strike =
        |strike: &Strike| StrikeText { at_us: strike.at.0, alert: strike.alert.to_string() };
    text(&StandingText {
        strikes: standing.strikes.iter().map(strike).collect(),
        blocks: standing.blocks,
        blocked_at_us: micros(standing.blocked_at),
        blocked_until_us: micros(standing.blocked_until),
        blocked_by_rule: standing.blocked_by_rule,
        probation_until_us: micros(standing.probation_until),
    })
}

/// The standing that `text` states; nothing if it states none.
pub(crate) fn standing(text: &str) -> Option<Standing> {
    let stated: StandingText = serde_json::from_str(text).ok()?;
    let strike = |strike: StrikeText| {
        Some(Strike { at: Time(strike.at_us), alert: strike.alert.parse().ok()? })
    };
    Some(Standing {
        strikes: stated.strikes.into_iter().map(strike).collect::<Option<_>>()?,
        blocks: stated.blocks,
        blocked_at: stated.blocked_at_us.map(Time),
        blocked_until: stated.blocked_until_us.map(Time),
        blocked_by_rule: stated.blocked_by_rule,
        probation_until: stated.probation_until_us.map(Time),
    })
}

/// `notice` as text.
pub(super) fn notice_text(notice: &Notice) -> String {
    text(&NoticeText {
        alerts: notice.alerts,
        batch: notice.batch.as_deref().map(str::to_owned),
        model: notice.model.as_deref().map(str::to_owned),
    })
}

/// The notice that `text` states; nothing if it states none.
pub(super) fn notice(text: &str) -> Option<Notice> {
    let stated: NoticeText = serde_json::from_str(text).ok()?;
    let shared = |name: Option<String>| name.map(Arc::from);
    Some(Notice { alerts: stated.alerts, batch: shared(stated.batch), model: shared(stated.model) })
}

/// Ids of alerts as text.
pub(super) fn evidence_text(evidence: &[AlertId]) -> String {
    text(&evidence.iter().map(AlertId::to_string).collect::<Vec<_>>())
}

/// The ids that `text` states; nothing if it states none.
pub(super) fn evidence(text: &str) -> Option<Vec<AlertId>> {
    let ids: Vec<String> = serde_json::from_str(text).ok()?;
    ids.iter().map(|id| id.parse().ok()).collect()
}

/// None of these types can fail to be written: no map has a key that is not text.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_has_exactly_this_text_and_reads_back() {
        let full = Standing {
            strikes: vec![Strike { at: Time(7), alert: AlertId([0xab; 16]) }],
            blocks: 2,
            blocked_at: Some(Time(8)),
            blocked_until: Some(Time(9)),
            blocked_by_rule: true,
            probation_until: Some(Time(10)),
        };
        assert_eq!(
            standing_text(&full),
            "{\"strikes\":[{\"at_us\":7,\"alert\":\"abababababababababababababababab\"}],\"blocks\":2,\
             \"blocked_at_us\":8,\"blocked_until_us\":9,\"blocked_by_rule\":true,\"probation_until_us\":10}"
        );
        let empty = Standing::default();
        assert_eq!(
            standing_text(&empty),
            "{\"strikes\":[],\"blocks\":0,\"blocked_by_rule\":false}"
        );
        for known in [full, empty] {
            assert_eq!(standing(&standing_text(&known)), Some(known));
        }
    }

    #[test]
    fn text_of_another_shape_states_nothing() {
        for foreign in [
            "",
            "{}",
            "[]",
            "{\"strikes\":[],\"blocks\":256}",
            "{\"strikes\":[],\"blocks\":0,\"pardoned\":1}",
            "{\"strikes\":[{\"at_us\":7,\"alert\":\"ab\"}],\"blocks\":0}",
        ] {
            assert_eq!(standing(foreign), None, "{foreign}");
        }
        assert_eq!(evidence("[\"ab\"]"), None);
        assert_eq!(notice("{\"alerts\":-1}"), None);
    }
}
