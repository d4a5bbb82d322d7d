//! `GET /v1/alerts` and `GET /v1/alerts/{id}`: what was raised in the caller's zones, and what became of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use pipeline::{Answer, Entry, Record};
use protocol::{AlertId, Category, DeviceId, Label};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::books::{BookError, Volumes};
use super::caller::Caller;
use super::query::{self, Paging};
use super::refusal::Refusal;
use super::{Api, sealed};
use crate::feed::{
    Content, CursorCodec, Feature, Flags, Place, decision_value, message_value, time_text,
};
use crate::registry::Sight;
use crate::search::{AlertQuery, AlertRow, AlertState, AnswerState, DecisionQuery, Motion};

/// Messages, and decisions, that are shown with one alert, at most.
const FOLLOWERS_MAX: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    since: Option<String>,
    until: Option<String>,
    zone: Option<String>,
    device: Option<String>,
    state: Option<String>,
    answer: Option<String>,
    category: Option<String>,
    before: Option<String>,
    limit: Option<usize>,
    format: Option<String>,
}

/// An alert as it is answered. Names are part of the contract; names may be added.
#[derive(Serialize)]
struct AlertData {
    alert_id: String,
    device_id: String,
    category: &'static str,
    zone: String,
    received_at: String,
    flags: Flags,
    state: &'static str,
    cancelled: bool,
    updates: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joins: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent: Option<bool>,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_to: Option<String>,
    incident_id: String,
    agencies: Vec<&'static str>,
    paged_zones: PagedData,
    last_position: Option<LastPlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    motion: Option<MotionData>,
    #[serde(flatten)]
    content: Content,
}

/// Whom an alert was put before so far.
#[derive(Serialize)]
#[serde(untagged)]
enum PagedData {
    /// `"all"`: everybody entitled.
    Everybody(&'static str),
    /// These zones.
    Zones(Vec<String>),
}

/// Where whoever pressed was last, as far as they said.
#[derive(Serialize)]
struct LastPlace {
    at: String,
    #[serde(flatten)]
    place: Place,
}

/// Whether whoever pressed moves or has gone quiet, as far as it was told.
#[derive(Serialize)]
struct MotionData {
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_since: Option<String>,
}

impl MotionData {
    fn new(motion: &Motion) -> Option<Self> {
        let told = Self {
            moved_at: motion.moved_at.map(time_text),
            quiet_since: motion.quiet_since.map(time_text),
        };
        (told.moved_at.is_some() || told.quiet_since.is_some()).then_some(told)
    }
}

impl AlertData {
    /// The alert in `row`, with what its message says. One whose message was erased is shown without.
    fn new(row: &AlertRow, sight: Sight, volumes: &mut Volumes) -> Self {
        let record = volumes.message(row.cursor);
        let content = |record| Content::of(record, sight);
        let content = record.as_ref().map(content).unwrap_or_default();
        let words = |words: &Arc<str>| (sight == Sight::Exact).then(|| words.to_string());
        let (answered_by, answered_at) = match &row.answer {
            Answer::Waiting => (None, None),
            Answer::Acknowledged { by, at }
            | Answer::Assigned { by, at, .. }
            | Answer::Resolved { by, at } => (Some(by.to_string()), Some(time_text(*at))),
        };
        Self {
            alert_id: row.alert.to_string(),
            device_id: row.device.to_string(),
            category: row.category.name(),
            zone: row.zone.to_string(),
            received_at: time_text(row.received_at),
            flags: Flags(row.labels),
            state: row.state.name(),
            cancelled: row.cancelled,
            updates: row.updates,
            verdict: row.verdict.map(pipeline::Verdict::name),
            joins: row.joins.map(|alert| alert.to_string()),
            silent: row.labels.contains(Label::Silent).then_some(true),
            answer: AnswerState::of(&row.answer).name(),
            answered_by,
            answered_at,
            assigned_to: row.assigned_to.as_ref().and_then(words),
            incident_id: row.incident.to_string(),
            agencies: row.agencies.iter().map(pipeline::Agency::name).collect(),
            paged_zones: match row.paged_all {
                true => PagedData::Everybody("all"),
                false => {
                    PagedData::Zones(row.paged_zones.iter().map(ToString::to_string).collect())
                }
            },
            motion: MotionData::new(&row.motion),
            last_position: LastPlace::of(row, record.as_ref(), sight, volumes),
            content,
        }
    }

    /// The alert as a feature of GeoJSON (RFC 7946 section 3.2), as the feed writes it.
    fn feature(&self) -> Feature<'_, Self> {
        Feature::new(self.content.position.as_ref(), self).named(&self.alert_id)
    }
}

impl LastPlace {
    /// What the latest message with a place says, or the raise. A place that cannot be read is left out, and the rest of
    /// the answer is given without.
    fn of(
        row: &AlertRow,
        raise: Option<&Record>,
        sight: Sight,
        volumes: &mut Volumes,
    ) -> Option<Self> {
        let latest = volumes.lookup.places(row.alert, None, 1).unwrap_or_else(|error| {
            tracing::warn!(%error, "an answer leaves out where an alert was last seen");
            vec![]
        });
        let latest = latest.first().and_then(|cursor| volumes.message(*cursor));
        let said = |record: &Record| {
            let place = Content::of(record, sight).position?;
            Some(Self { at: time_text(record.received_at), place })
        };
        latest.as_ref().and_then(said).or_else(|| raise.and_then(said))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    GeoJson,
}

impl Format {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "geojson" => Some(Self::GeoJson),
            _ => None,
        }
    }

    /// What `Accept` asks for; JSON unless it names GeoJSON.
    fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        match accept {
            Some(accept) if accept.contains(GEO_JSON) => Self::GeoJson,
            _ => Self::Json,
        }
    }
}

pub(super) const GEO_JSON: &str = "application/geo+json";

/// Searches.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let caller = Caller::who_sees_alerts(&api, &headers)?;
    let asked: Asked = query::query(&uri)?;
    let period = (asked.since.as_deref(), asked.until.as_deref());
    let paging = Paging::new(asked.before.as_deref(), period, asked.limit, &api.codec)?;
    let format = query::named("format", asked.format.as_deref(), Format::from_name)?
        .unwrap_or_else(|| Format::accepted(&headers));
    let wanted = AlertQuery {
        before: paging.before,
        period: paging.period,
        device: asked.device.as_deref().map(query::id).transpose()?.map(DeviceId),
        state: query::named("state", asked.state.as_deref(), AlertState::from_name)?,
        answer: query::named("answer", asked.answer.as_deref(), AnswerState::from_name)?,
        category: query::named("category", asked.category.as_deref(), Category::from_name)?,
        scope: caller.scope(),
        limit: paging.limit,
    };
    let zones = asked.zone.as_deref().map(|zone| caller.within(zone)).transpose()?;
    let (alerts, next) = api
        .books
        .read(move |volumes| {
            let allowed = |zone: &_| match &zones {
                Some(zones) => zones.allows(zone) && caller.allows(zone),
                None => caller.allows(zone),
            };
            let page = volumes.lookup.alerts(&wanted, allowed)?;
            let alerts = page.alerts.iter().map(|row| AlertData::new(row, caller.sight(), volumes));
            Ok((alerts.collect::<Vec<_>>(), page.next))
        })
        .await?;
    let next = next.map(|next| sealed(&api.codec, next));
    respond(&alerts, next.as_deref(), format).map_err(|_| Refusal::Unreadable)
}

fn respond(
    alerts: &[AlertData],
    next: Option<&str>,
    format: Format,
) -> serde_json::Result<Response> {
    let mut answer = match format {
        Format::Json => json!({"alerts": serde_json::to_value(alerts)?}),
        Format::GeoJson => {
            let features: Vec<_> = alerts.iter().map(AlertData::feature).collect();
            json!({"type": "FeatureCollection", "features": serde_json::to_value(features)?})
        }
    };
    if let (Some(next), Some(fields)) = (next, answer.as_object_mut()) {
        fields.insert("next".to_owned(), next.into());
    }
    let mut response = Json(answer).into_response();
    if format == Format::GeoJson {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GEO_JSON));
    }
    Ok(response)
}

/// One alert, with the messages and decisions that followed.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = Caller::who_sees_alerts(&api, &headers)?;
    let alert = AlertId(query::id(&id)?);
    let codec = Arc::clone(&api.codec);
    let answer = api
        .books
        .read(move |volumes| {
            let Some(row) = volumes.lookup.alert(alert)? else {
                return Ok(Err(Refusal::UnknownAlert(alert)));
            };
            if let Err(refusal) = caller.must_see(&row) {
                return Ok(Err(refusal));
            }
            with_followers(&row, &caller, &codec, volumes).map(Ok)
        })
        .await??;
    Ok(Json(answer))
}

fn with_followers(
    row: &AlertRow,
    caller: &Caller,
    codec: &CursorCodec,
    volumes: &mut Volumes,
) -> Result<Value, BookError> {
    let mut messages = vec![];
    for cursor in volumes.lookup.followers(row, FOLLOWERS_MAX)? {
        let seen = volumes
            .message(cursor)
            .filter(|record| record.alert == Some(row.alert) || caller.allows_message(record));
        messages.extend(seen.and_then(|record| message_value(&record, caller.sight()).ok()));
    }
    let limit = usize::try_from(FOLLOWERS_MAX).unwrap_or(usize::MAX);
    let about = DecisionQuery { alert: Some(row.alert), limit, ..DecisionQuery::default() };
    let decided = volumes.lookup.decisions(&about, |_| true)?;
    let mut decisions = vec![];
    for cursor in decided.decisions {
        // Whoever may see the alert may see what was decided about it, but not always what about its device.
        if let Some(Entry::Decision(decision)) = volumes.journal.entry(cursor)?
            && (decision.act.is_about_an_alert() || caller.allows(&decision.zone))
        {
            decisions.extend(decision_value(&decision, caller.sight(), codec).ok());
        }
    }
    let mut answer =
        serde_json::to_value(AlertData::new(row, caller.sight(), volumes)).unwrap_or_default();
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("messages".to_owned(), messages.into());
        fields.insert("decisions".to_owned(), decisions.into());
    }
    Ok(answer)
}
