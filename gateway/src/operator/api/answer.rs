//! How operators answer alerts: somebody takes one up, sends somebody, says that it is over, or that it is not after all.
//!
//! Who may is asked here; whether somebody else was first is the desk's to say, and whoever comes second is told who.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pipeline::Demand;
use serde::Deserialize;

use super::Api;
use super::decide::{DecisionData, VerdictBody, about_alert, decide, verdict_of};
use super::query::{self, Why};
use super::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AcknowledgeBody {
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignBody {
    to: String,
    reason: Option<String>,
}

/// Takes an alert up: it climbs no further. There is nothing to say, so the body may be empty.
pub(super) async fn acknowledge(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, alert) = about_alert(&api, &headers, &id)?;
    let AcknowledgeBody { reason } = match body.is_empty() {
        true => AcknowledgeBody::default(),
        false => query::body(&headers, &body)?,
    };
    decide(&api, &caller, Demand::Acknowledge { alert }, reason).await
}

/// Sends somebody.
pub(super) async fn assign(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, alert) = about_alert(&api, &headers, &id)?;
    let AssignBody { to, reason } = query::body(&headers, &body)?;
    let to = Arc::from(to.trim());
    decide(&api, &caller, Demand::Assign { alert, to }, reason).await
}

/// Says that an alert is over, and what it was.
pub(super) async fn resolve(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, alert) = about_alert(&api, &headers, &id)?;
    let VerdictBody { verdict, reason } = query::body(&headers, &body)?;
    let verdict = verdict_of(&verdict)?;
    decide(&api, &caller, Demand::Resolve { alert, verdict }, reason).await
}

/// Says that a resolved alert is not over: it is paged again and climbs again.
pub(super) async fn reopen(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, alert) = about_alert(&api, &headers, &id)?;
    let Why { reason } = query::body(&headers, &body)?;
    if reason.trim().is_empty() {
        return Err(Refusal::Decision(pipeline::DecisionRefusal::ReasonMissing));
    }
    decide(&api, &caller, Demand::Reopen { alert }, Some(reason)).await
}
