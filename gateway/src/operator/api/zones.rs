//! `GET /v1/zones`: the tree of zones, as far as the caller may see it, with what each is prepared for and how much is open
//! there; and what operators set for one: drills and postures.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pipeline::{Demand, Posture, Scope, Time, ZoneId, ZoneIndex, Zones};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::Api;
use super::caller::Caller;
use super::decide::{DecisionData, decide, span};
use super::query;
use super::refusal::Refusal;
use crate::feed::time_text;
use crate::search::Prepared;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrillBody {
    duration_s: Number,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostureBody {
    posture: String,
    reason: String,
}

/// The zones that the caller may see, in the order of their file: every zone comes with its parent's id.
#[derive(Serialize)]
pub(super) struct ZoneList {
    zones: Vec<ZoneData>,
}

/// One zone. What is set above it holds in it too, as long as nothing else is set nearer.
#[derive(Serialize)]
struct ZoneData {
    id: String,
    name: String,
    level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    risk: &'static str,
    posture: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    drill_until: Option<String>,
    /// Counted for all alerts of the zone, so whoever may see only some is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_alerts: Option<u64>,
}

/// The tree.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Json<ZoneList>, Refusal> {
    let caller = Caller::who_sees_alerts(&api, &headers)?;
    let now = (api.now)();
    let read = api
        .books
        .read(|volumes| Ok((volumes.lookup.preparations()?, volumes.lookup.open_alerts()?)));
    let (prepared, open) = read.await?;
    let zones = caller.tree();
    let seen = zones.iter().filter(|(_, zone)| caller.allows(&zone.id));
    let zones = seen.map(|(index, zone)| ZoneData {
        id: zone.id.to_string(),
        name: zone.name.clone(),
        level: zone.level.clone(),
        parent: zone.parent.map(|parent| zones.id(parent).to_string()),
        risk: zone.risk.name(),
        posture: posture(zones, index, &prepared).name(),
        drill_until: drill_until(zones, index, &prepared, now).map(time_text),
        open_alerts: (caller.scope() == Scope::ALL)
            .then(|| open.get(&zone.id).copied().unwrap_or_default()),
    });
    Ok(Json(ZoneList { zones: zones.collect() }))
}

/// The posture that `zone` is in: its own, or the nearest above it that has one set.
fn posture(zones: &Zones, zone: ZoneIndex, prepared: &BTreeMap<ZoneId, Prepared>) -> Posture {
    let set = |index| prepared.get(&zones.id(index)).and_then(|prepared| prepared.posture);
    zones.upwards(zone).find_map(set).unwrap_or_default()
}

/// Until when the drill lasts that was declared for `zone` or above it, if it lasts.
fn drill_until(
    zones: &Zones,
    zone: ZoneIndex,
    prepared: &BTreeMap<ZoneId, Prepared>,
    now: Time,
) -> Option<Time> {
    let declared = |index| prepared.get(&zones.id(index)).and_then(|prepared| prepared.drill_until);
    zones.upwards(zone).filter_map(declared).max().filter(|until| *until > now)
}

/// Whoever decides, and the zone that they decide about.
fn about_zone(api: &Api, headers: &HeaderMap, id: &str) -> Result<(Caller, ZoneId), Refusal> {
    let caller = Caller::who_decides(api, headers)?;
    let zone = caller.zone(id)?;
    Ok((caller, zone))
}

/// Declares a drill, or ends it.
pub(super) async fn drill(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, zone) = about_zone(&api, &headers, &id)?;
    let DrillBody { duration_s, reason } = query::body(&headers, &body)?;
    let until = (api.now)() + span(&duration_s, 0)?;
    decide(&api, &caller, Demand::Drill { zone, until }, Some(reason)).await
}

/// Prepares a zone for something else.
pub(super) async fn set_posture(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DecisionData>, Refusal> {
    let (caller, zone) = about_zone(&api, &headers, &id)?;
    let PostureBody { posture, reason } = query::body(&headers, &body)?;
    let posture = Posture::from_name(&posture).ok_or_else(|| {
        Refusal::Unfit("posture is one of routine, special, contingency".to_owned())
    })?;
    decide(&api, &caller, Demand::Posture { zone, posture }, Some(reason)).await
}
