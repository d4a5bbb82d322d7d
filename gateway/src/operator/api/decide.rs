//! What operators decide about devices: verdicts on alerts; blocks, their end, and appeals. And how anything is asked of
//! the desk.
//!
//! The role is asked here; whether there is such an alert, whether it lies within reach and whether there is anything to
//! lift is the desk's to say. An answer comes when the decision is on disk.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pipeline::{About, DecisionAnswer, Demand, REASON_LEN_MAX, Request, Span, Verdict};
use protocol::{AlertId, DeviceId};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::caller::Caller;
use super::devices::StandingData;
use super::query::{self, Why};
use super::refusal::Refusal;
use super::{Api, sealed};
use crate::desk::Undecided;
use crate::feed::time_text;

/// The longest block or drill that can be asked for at all, in seconds: ten years. The desk allows less.
const SPAN_S_MAX: u64 = 3_653 * 86_400;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerdictBody {
    pub(super) verdict: String,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockBody {
    duration_s: Number,
    reason: String,
}

/// What was decided.
#[derive(Serialize)]
pub(super) struct DecisionData {
    id: String,
    decided_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<StandingData>,
    promoted: bool,
}

/// Says what an alert was.
pub(super) async fn verdict(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, alert) = about_alert(&api, &headers, &id)?;
    let body: VerdictBody = query::body(&headers, &body)?;
    let verdict = verdict_of(&body.verdict)?;
    decide(&api, &caller, Demand::Verdict { alert, verdict }, body.reason).await
}

/// The verdict with this name.
///
/// # Errors
/// If there is none.
pub(super) fn verdict_of(name: &str) -> Result<Verdict, Refusal> {
    Verdict::from_name(name).ok_or_else(|| {
        Refusal::Unfit("verdict is one of genuine, prank, test, accidental".to_owned())
    })
}

/// Holds a device's raises for a time.
pub(super) async fn block(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, device) = about_device(&api, &headers, &id)?;
    let BlockBody { duration_s, reason } = query::body(&headers, &body)?;
    let span = span(&duration_s, 1)?;
    if caller.operator.role.block_max().is_some_and(|longest| span > longest) {
        return Err(Refusal::Role("a supervisor, or block for 86400 seconds at most"));
    }
    let about = about(&api, &caller, device).await?;
    let until = (api.now)() + span;
    decide(&api, &caller, Demand::Block { about, until }, Some(reason)).await
}

/// The time that `duration_s` is, of so many seconds at least.
///
/// # Errors
/// If it is no whole number, or out of bounds.
pub(super) fn span(duration_s: &Number, least_s: u64) -> Result<Span, Refusal> {
    let seconds = whole(duration_s).filter(|seconds| (least_s..=SPAN_S_MAX).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        Refusal::Unfit(format!(
            "duration_s is {duration_s}; write a whole number, {least_s} to {SPAN_S_MAX}"
        ))
    })?;
    Ok(Span::from_secs(seconds))
}

/// The whole number that `number` is. JSON does not tell 60 from 60.0 (RFC 8259 section 6), and some clients write this.
fn whole(number: &Number) -> Option<u64> {
    let fraction = || number.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0);
    number.as_u64().or_else(|| format!("{:.0}", fraction()?).parse().ok())
}

/// Lifts a block.
pub(super) async fn unblock(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, device) = about_device(&api, &headers, &id)?;
    let Why { reason } = query::body(&headers, &body)?;
    let about = about(&api, &caller, device).await?;
    decide(&api, &caller, Demand::Unblock(about), Some(reason)).await
}

/// Notes an objection.
pub(super) async fn appeal(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, device) = about_device(&api, &headers, &id)?;
    let Why { reason } = query::body(&headers, &body)?;
    let about = about(&api, &caller, device).await?;
    decide(&api, &caller, Demand::Appeal(about), Some(reason)).await
}

/// Whoever decides, and the alert that they decide about.
pub(super) fn about_alert(
    api: &Api,
    headers: &HeaderMap,
    id: &str,
) -> Result<(Caller, AlertId), Refusal> {
    Ok((Caller::who_decides(api, headers)?, AlertId(query::id(id)?)))
}

/// Whoever decides, and the device that they decide about.
fn about_device(api: &Api, headers: &HeaderMap, id: &str) -> Result<(Caller, DeviceId), Refusal> {
    Ok((Caller::who_decides(api, headers)?, DeviceId(query::id(id)?)))
}

/// The device as registry and index know it.
async fn about(api: &Api, caller: &Caller, device: DeviceId) -> Result<About, Refusal> {
    let index = api.registry.index_of(&device).ok_or(Refusal::UnknownDevice(device))?;
    let seen = api.books.read(move |volumes| Ok(volumes.lookup.device(device)?)).await?;
    let zone = seen.zone.unwrap_or_else(|| caller.root());
    caller.must_reach(&zone)?;
    Ok(About { device, index, zone })
}

/// Asks the desk, and waits until what it decides is on disk.
///
/// # Errors
/// If the reason is too long, if the desk refuses, or if the gateway is stopping.
pub(super) async fn decide(
    api: &Api,
    caller: &Caller,
    demand: Demand,
    reason: Option<String>,
) -> Result<Json<DecisionData>, Refusal> {
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_LEN_MAX) {
        return Err(Refusal::Unfit(format!("reason is longer than {REASON_LEN_MAX} bytes")));
    }
    let request = Request {
        actor: Arc::clone(&caller.operator.name),
        reach: caller.reach(),
        scope: caller.scope(),
        demand,
        reason: reason.map(Arc::from),
    };
    let answer = api.decider.decide(request).await.map_err(|error| match error {
        Undecided::Refused(refusal) => refusal.into(),
        Undecided::Stopping => Refusal::Stopping,
    })?;
    let DecisionAnswer { cursor, decided_at, device, standing, promoted } = answer;
    Ok(Json(DecisionData {
        id: sealed(&api.codec, cursor),
        decided_at: time_text(decided_at),
        device_id: device.map(|device| device.to_string()),
        standing: standing.map(|standing| StandingData::new(&standing, (api.now)())),
        promoted,
    }))
}
