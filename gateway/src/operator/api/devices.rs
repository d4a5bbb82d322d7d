//! `GET /v1/devices/{id}`: what is known of a device, how it stands, and, for those who may know, whose it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pipeline::{Standing, Time};
use protocol::DeviceId;
use serde::Serialize;

use super::Api;
use super::caller::Caller;
use super::query;
use super::refusal::Refusal;
use crate::feed::time_text;
use crate::registry::{Listed, Sight};
use crate::search::DeviceRow;

#[derive(Serialize)]
pub(super) struct DeviceData {
    device_id: String,
    algorithm: &'static str,
    zone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    vouched: bool,
    enrolled_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    messages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<String>,
    standing: StandingData,
}

/// How a device stands.
#[derive(Serialize)]
pub(super) struct StandingData {
    /// By what was decided so far; a device that was just enrolled may be on probation all the same.
    state: &'static str,
    strikes: Vec<StrikeData>,
    blocks: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probation_until: Option<String>,
}

#[derive(Serialize)]
struct StrikeData {
    at: String,
    alert_id: String,
}

impl StandingData {
    /// `standing` as it is at `now`.
    pub(super) fn new(standing: &Standing, now: Time) -> Self {
        let lasts = |until: Option<Time>| until.is_some_and(|until| now < until);
        let state = match standing {
            _ if lasts(standing.blocked_until) => "blocked",
            _ if lasts(standing.probation_until) => "probation",
            _ => "good",
        };
        let strikes = standing.strikes.iter();
        Self {
            state,
            strikes: strikes
                .map(|strike| StrikeData {
                    at: time_text(strike.at),
                    alert_id: strike.alert.to_string(),
                })
                .collect(),
            blocks: standing.blocks,
            blocked_until: standing.blocked_until.map(time_text),
            probation_until: standing.probation_until.map(time_text),
        }
    }
}

/// One device.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<DeviceData>, Refusal> {
    let caller = Caller::who_sees_alerts(&api, &headers)?;
    let device = DeviceId(query::id(&id)?);
    let (enrolled, seen) = api
        .books
        .read(move |volumes| Ok((volumes.registry.find(device)?, volumes.lookup.device(device)?)))
        .await?;
    let enrolled = enrolled.ok_or(Refusal::UnknownDevice(device))?;
    let zone = seen.zone.clone().unwrap_or_else(|| caller.root());
    caller.must_reach(&zone)?;
    // Whose it is, and what people call it, often tell where somebody lives.
    let exact = caller.sight() == Sight::Exact;
    let shown = Listed {
        owner: enrolled.owner.filter(|_| caller.operator.sees_owners()),
        label: enrolled.label.filter(|_| exact),
        ..enrolled
    };
    Ok(Json(device_data(shown, zone.to_string(), seen, (api.now)())))
}

fn device_data(enrolled: Listed, zone: String, seen: DeviceRow, now: Time) -> DeviceData {
    DeviceData {
        device_id: enrolled.id.to_string(),
        algorithm: enrolled.key.algorithm().name(),
        zone,
        label: enrolled.label,
        owner: enrolled.owner,
        batch: enrolled.batch,
        vouched: enrolled.vouched,
        enrolled_at: time_text(enrolled.enrolled_at),
        revoked_at: enrolled.revoked_at.map(time_text),
        messages: seen.messages,
        last_seen: seen.last_seen.map(time_text),
        standing: StandingData::new(&seen.standing.unwrap_or_default(), now),
    }
}
