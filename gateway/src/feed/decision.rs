//! A decision as one server-sent event: `event: decision`, `event: escalation` where nobody answered and more people are
//! paged, `event: moving` and `event: quiet` where whoever pressed is under way or tells nothing any more, or
//! `event: notice` where operators are told of something that no single alert shows.
//!
//! It is given a journaled decision and appends bytes. It holds what whoever is entitled to the zone may know: who
//! decided what about which device or alert, why, how the device stands, and where whoever pressed was last. Never an
//! owner or what a sender wrote; those belong to alerts and to the registry.

use pipeline::{Act, Actor, Decision, Notice, Standing, ZoneId};
use protocol::{AlertId, Label};
use serde::{Serialize, Serializer};

use super::cursor::CursorCodec;
use super::geojson::Feature;
use super::place::Place;
use super::shape::{Format, Shape};
use super::text::{TIME_LEN, ascii, hex, rfc3339};
use crate::registry::Sight;

/// The JSON of a decision. Names are part of the contract with subscribers; names may be added.
#[derive(Serialize)]
struct DecisionData<'a> {
    act: &'a str,
    decided_at: Moment,
    actor: ActorData<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident_id: Option<Id>,
    zone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paged_zones: Option<Climbed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    posture: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    evidence: Evidence<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<StandingData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<NoticeFields<'a>>,
}

/// Whom a step of an escalation pages: one zone, or `"all"` who are entitled.
#[derive(Serialize)]
#[serde(untagged)]
enum Climbed<'a> {
    Zone([&'a str; 1]),
    All(&'static str),
}

impl<'a> Climbed<'a> {
    fn to(zone: Option<&'a ZoneId>) -> Self {
        zone.map_or(Self::All("all"), |zone| Self::Zone([zone.as_str()]))
    }
}

/// What a notice tells.
#[derive(Serialize)]
struct NoticeFields<'a> {
    alerts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
}

/// The JSON of a notice.
#[derive(Serialize)]
struct NoticeData<'a> {
    decided_at: Moment,
    actor: ActorData<'a>,
    zone: &'a str,
    #[serde(flatten)]
    told: NoticeFields<'a>,
    evidence: Evidence<'a>,
}

/// Who decided: a person by the name of their token, or a rule.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ActorData<'a> {
    Operator(&'a str),
    Rule(&'a str),
}

impl<'a> From<&'a Actor> for ActorData<'a> {
    fn from(actor: &'a Actor) -> Self {
        match actor {
            Actor::Operator(name) => Self::Operator(name),
            Actor::Rule(rule) => Self::Rule(rule.name()),
        }
    }
}

/// How the device stands from here on, as far as operators act on it.
#[derive(Serialize)]
struct StandingData {
    strikes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_until: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probation_until: Option<Moment>,
}

impl From<&Standing> for StandingData {
    fn from(standing: &Standing) -> Self {
        Self {
            strikes: standing.strikes.len(),
            blocked_until: standing.blocked_until.map(Moment::from),
            probation_until: standing.probation_until.map(Moment::from),
        }
    }
}

/// A time as RFC 3339.
struct Moment([u8; TIME_LEN]);

impl From<pipeline::Time> for Moment {
    fn from(time: pipeline::Time) -> Self {
        Self(rfc3339(time))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(ascii(&self.0))
    }
}

/// An id as hexadecimal digits.
struct Id([u8; 32]);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(ascii(&self.0))
    }
}

/// The alerts that it rests on.
struct Evidence<'a>(&'a [AlertId]);

impl Serialize for Evidence<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|alert| Id(hex(alert.as_bytes()))))
    }
}

/// Appends the name and the data of the event of a decision that shows no alert.
pub(super) fn encode(
    decision: &Decision,
    shape: Shape,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    begin(decision, out);
    match &decision.act {
        Act::Notice(notice) => write(&notice_data(decision, notice), None, shape.format, out),
        _ => {
            let data = decision_data(decision, shape.sight);
            write(&data, data.position.as_ref(), shape.format, out)
        }
    }
}

/// Appends the name of the event.
pub(super) fn begin(decision: &Decision, out: &mut Vec<u8>) {
    let name: &[u8] = match decision.act {
        Act::Notice(_) => b"notice",
        Act::Escalate { .. } => b"escalation",
        Act::Moving { .. } => b"moving",
        Act::Quiet { .. } => b"quiet",
        _ => b"decision",
    };
    out.extend_from_slice(b"\nevent: ");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\ndata: ");
}

fn write(
    data: &impl Serialize,
    place: Option<&Place>,
    format: Format,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    match format {
        Format::Json | Format::Cap => serde_json::to_writer(out, data),
        Format::Geojson => serde_json::to_writer(out, &Feature::new(place, data)),
    }
}

/// Where whoever pressed was last, if the decision tells of that.
pub(super) fn place(decision: &Decision, sight: Sight) -> Option<Place> {
    let place = decision.place.as_ref()?;
    let site = decision.raise.as_ref().and_then(|raise| raise.site.as_ref());
    let source = if site == Some(place) { "enrolled_site" } else { "message" };
    Some(Place::new(place, source, sight))
}

fn decision_data(decision: &Decision, sight: Sight) -> DecisionData<'_> {
    let verdict = match decision.act {
        Act::Verdict(verdict) | Act::Resolve(verdict) => Some(verdict.name()),
        _ => None,
    };
    let until = match decision.act {
        Act::Block { until } | Act::Probation { until } | Act::Drill { until } => Some(until),
        _ => None,
    };
    // What operators write may name a place.
    let words = |text| Some(text).filter(|_| sight == Sight::Exact);
    let raise = decision.raise.as_deref().filter(|_| decision.act.is_about_an_alert());
    DecisionData {
        act: decision.act.name(),
        decided_at: decision.decided_at.into(),
        actor: (&decision.actor).into(),
        device_id: decision.device.map(|device| Id(hex(device.as_bytes()))),
        alert_id: decision.alert.map(|(alert, _)| Id(hex(alert.as_bytes()))),
        incident_id: raise.and_then(|raise| raise.incident).map(|id| Id(hex(id.as_bytes()))),
        zone: decision.zone.as_str(),
        silent: raise.and_then(|raise| raise.labels.contains(Label::Silent).then_some(true)),
        paged_zones: match &decision.act {
            Act::Escalate { to } => Some(Climbed::to(to.as_ref())),
            _ => None,
        },
        position: place(decision, sight),
        to: match &decision.act {
            Act::Assign { to } => words(to.as_ref()),
            _ => None,
        },
        posture: match decision.act {
            Act::Posture(posture) => Some(posture.name()),
            _ => None,
        },
        verdict,
        until: until.map(Moment::from),
        reason: decision.reason.as_deref().and_then(words),
        evidence: Evidence(&decision.evidence),
        standing: decision.standing.as_ref().map(StandingData::from),
        notice: match &decision.act {
            Act::Notice(notice) => Some(notice.into()),
            _ => None,
        },
    }
}

/// A decision of any kind as whoever has this sight is told it, with the id that its event has.
pub(crate) fn decision_value(
    decision: &Decision,
    sight: Sight,
    codec: &CursorCodec,
) -> serde_json::Result<serde_json::Value> {
    let mut value = serde_json::to_value(decision_data(decision, sight))?;
    if let Some(fields) = value.as_object_mut() {
        let id = codec.seal(decision.cursor);
        fields.insert("id".to_owned(), ascii(&id).into());
    }
    Ok(value)
}

impl<'a> From<&'a Notice> for NoticeFields<'a> {
    fn from(notice: &'a Notice) -> Self {
        Self {
            alerts: notice.alerts,
            batch: notice.batch.as_deref(),
            model: notice.model.as_deref(),
        }
    }
}

fn notice_data<'a>(decision: &'a Decision, notice: &'a Notice) -> NoticeData<'a> {
    NoticeData {
        decided_at: decision.decided_at.into(),
        actor: (&decision.actor).into(),
        zone: decision.zone.as_str(),
        told: notice.into(),
        evidence: Evidence(&decision.evidence),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pipeline::{Posture, Rule, Time, Verdict};

    use super::*;
    use crate::feed::encode_event;
    use crate::journal::testing::{decision, promotion};

    fn encoded(decision: Decision) -> (String, serde_json::Value) {
        let mut out = vec![];
        assert!(encode_event(
            &decision.into(),
            Shape::default(),
            &CursorCodec::new([7; 16]),
            &mut out
        ));
        let event = String::from_utf8(out).unwrap();
        let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        (line("event: ").to_owned(), serde_json::from_str(line("data: ")).unwrap())
    }

    #[test]
    fn verdict_says_who_what_why_and_how_the_device_stands() {
        let (name, data) = encoded(decision(9, 4));
        let raise = crate::journal::testing::record(4);
        assert_eq!(name, "decision");
        let expected = serde_json::json!({
            "act": "verdict",
            "decided_at": "2027-01-15T08:00:00.000Z",
            "actor": {"operator": "siti"},
            "device_id": raise.device.to_string(),
            "alert_id": raise.message_id.to_string(),
            "incident_id": raise.message_id.to_string(),
            "zone": "klojen",
            "silent": true,
            "verdict": "prank",
            "reason": "laughed and hung up",
            "evidence": [raise.message_id.to_string()],
            "standing": {"strikes": 1, "blocked_until": "2027-01-15T08:00:00.001Z"},
        });
        assert_eq!(data, expected);
    }

    #[test]
    fn escalation_is_an_event_of_its_own_and_says_whom_it_pages() {
        for (to, expected) in [
            (Some(ZoneId::new("kota")), serde_json::json!(["kota"])),
            (None, serde_json::json!("all")),
        ] {
            let (actor, act) = (Actor::Rule(Rule::Deadline), Act::Escalate { to });
            let climbs = Decision { actor, act, ..decision(9, 4) };
            let (name, data) = encoded(climbs);
            assert_eq!((&*name, &data["act"]), ("escalation", &"escalate".into()));
            assert_eq!(data["paged_zones"], expected);
        }
    }

    #[test]
    fn whoever_moves_or_is_quiet_is_shown_where_they_were_last() {
        let place = protocol::Position::new(-79_666_200, 1_126_326_000);
        let seen = pipeline::Cursor(7);
        for (name, rule, act) in [
            ("moving", Rule::Motion, Act::Moving { seen }),
            ("quiet", Rule::Silence, Act::Quiet { seen }),
        ] {
            let told = Decision { actor: Actor::Rule(rule), act, place, ..decision(9, 4) };
            let (event, data) = encoded(told.clone());
            assert_eq!((&*event, &data["act"]), (name, &name.into()));
            assert_eq!(data["position"]["lat"], -7.96662);
            assert_eq!(data["position"]["source"], "message");
            let shown = |format, sight| {
                let mut out = vec![];
                let shape = Shape { format, sight, ..Shape::default() };
                encode_event(&told.clone().into(), shape, &CursorCodec::new([7; 16]), &mut out);
                String::from_utf8(out).unwrap()
            };
            let feature = shown(Format::Geojson, Sight::Exact);
            assert!(feature.contains("\"coordinates\":[112.6326,-7.96662]"), "{feature}");
            let coarse = shown(Format::Json, Sight::Coarse);
            assert!(coarse.contains("\"lat\":-7.965,") && !coarse.contains("7.9666"), "{coarse}");
            let cap = shown(Format::Cap, Sight::Exact);
            let update = "<msgType>Update</msgType>";
            let circle = "<circle>-7.96662,112.6326 0</circle>";
            assert!(cap.contains(update) && cap.contains(circle), "{cap}");
            assert!(cap.contains(&format!(".{name}.1800000000000</identifier>")), "{cap}");
            assert!(shown(Format::Cap, Sight::Coarse).contains("<polygon>"));
        }
    }

    #[test]
    fn acts_say_what_belongs_to_them() {
        let data = |act| encoded(Decision { act, ..decision(9, 4) }).1;
        assert_eq!(data(Act::Assign { to: Arc::from("car 12") })["to"], "car 12");
        assert_eq!(data(Act::Resolve(Verdict::Genuine))["verdict"], "genuine");
        assert_eq!(data(Act::Posture(Posture::Special))["posture"], "special");
        let until = Time(1_772_323_199_999_999);
        assert_eq!(data(Act::Drill { until })["until"], "2026-02-28T23:59:59.999Z");
    }

    #[test]
    fn coarse_sight_is_told_nobodys_words() {
        let shape = Shape { sight: Sight::Coarse, ..Shape::default() };
        let assigned = Act::Assign { to: Arc::from("car 12, Jl. Ijen 1") };
        let decided = Decision { act: assigned, ..decision(9, 4) };
        let mut out = vec![];
        assert!(encode_event(&decided.into(), shape, &CursorCodec::new([7; 16]), &mut out));
        let event = String::from_utf8(out).unwrap();
        assert!(event.contains("assign") && !event.contains("Ijen") && !event.contains("laughed"));
    }

    #[test]
    fn notice_is_an_event_of_its_own() {
        let notice = Notice { alerts: 41, batch: Some(Arc::from("2026-03")), model: None };
        let told = Decision {
            actor: Actor::Rule(Rule::Surge),
            act: Act::Notice(notice),
            device: None,
            alert: None,
            standing: None,
            decided_at: Time(1_772_323_199_999_999),
            ..decision(9, 4)
        };
        let (name, data) = encoded(told);
        assert_eq!(name, "notice");
        assert_eq!(data["actor"], serde_json::json!({"rule": "surge"}));
        assert_eq!((&data["alerts"], &data["batch"]), (&41.into(), &"2026-03".into()));
        assert_eq!(data["decided_at"], "2026-02-28T23:59:59.999Z");
    }

    #[test]
    fn promotion_shows_its_raise_as_a_paged_alert() {
        let (name, data) = encoded(promotion(9, 4));
        let raise = crate::journal::testing::record(4);
        assert_eq!(name, "alert");
        assert_eq!((&data["page"], &data["promoted"]), (&true.into(), &true.into()));
        assert_eq!(data["alert_id"], raise.message_id.to_string());
        assert_eq!(data["kind"], "raise");
    }

    #[test]
    fn promotion_without_its_raise_is_shown_as_a_decision() {
        let (name, data) = encoded(Decision { raise: None, ..promotion(9, 4) });
        assert_eq!((&*name, &data["act"]), ("decision", &"promote".into()));
    }
}
