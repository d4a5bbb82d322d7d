//! `GET /v1/alerts/{id}/track`: where an alert was seen, as GeoJSON: a line through every place that its messages state,
//! and each place with its time.
//!
//! The raise comes first, at the place that it states or was enrolled with; whatever followed without a place leaves the
//! last one standing. Whoever sees places as cells is shown the middles of cells, as on the feed. A track may be long, so a page holds its newest places and says how to go on to the older.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use pipeline::{Cursor, Record};
use protocol::AlertId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::alerts::GEO_JSON;
use super::books::{BookError, Volumes};
use super::caller::Caller;
use super::query;
use super::refusal::Refusal;
use super::{Api, sealed};
use crate::feed::{Content, time_text};
use crate::registry::Sight;
use crate::search::AlertRow;

/// Places on one page, at most: a quarter of an hour at one a second.
const PLACES_MAX: u32 = 900;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    before: Option<String>,
}

/// The track.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let caller = Caller::who_sees_alerts(&api, &headers)?;
    let alert = AlertId(query::id(&id)?);
    let asked: Asked = query::query(&uri)?;
    let before = asked.before.as_deref().map(|before| api.codec.open(before)).transpose()?;
    let read = api.books.read(move |volumes| {
        let Some(row) = volumes.lookup.alert(alert)? else {
            return Ok(Err(Refusal::UnknownAlert(alert)));
        };
        if let Err(refusal) = caller.must_see(&row) {
            return Ok(Err(refusal));
        }
        page(&row, caller.sight(), before, volumes).map(Ok)
    });
    let (places, next) = read.await??;
    let mut track = track(alert, &places);
    if let (Some(next), Some(fields)) = (next, track.as_object_mut()) {
        fields.insert("next".to_owned(), sealed(&api.codec, next).into());
    }
    let media = [(header::CONTENT_TYPE, HeaderValue::from_static(GEO_JSON))];
    Ok((media, Json(track)).into_response())
}

/// One place, and what says so.
struct Seen {
    lon_lat: [f64; 2],
    properties: Value,
}

impl Seen {
    /// What `record` says to this sight; nothing if that is no place, or was erased.
    fn new(record: &Record, sight: Sight) -> Option<Self> {
        let place = Content::of(record, sight).position?;
        let mut properties = serde_json::to_value(&place).ok()?;
        if let Some(fields) = properties.as_object_mut() {
            fields.insert("kind".to_owned(), record.kind.name().into());
            fields.insert("message_id".to_owned(), record.message_id.to_string().into());
            fields.insert("at".to_owned(), time_text(record.received_at).into());
        }
        Some(Self { lon_lat: place.lon_lat(), properties })
    }
}

/// The newest places before `before`, oldest first, and where the page before this one ends.
fn page(
    row: &AlertRow,
    sight: Sight,
    before: Option<Cursor>,
    volumes: &mut Volumes,
) -> Result<(Vec<Seen>, Option<Cursor>), BookError> {
    let mut cursors = volumes.lookup.places(row.alert, before, PLACES_MAX)?;
    let full = cursors.len() >= usize::try_from(PLACES_MAX).unwrap_or(usize::MAX);
    let next = cursors.last().copied().filter(|_| full);
    if next.is_none() {
        cursors.push(row.cursor);
    }
    let records = cursors.into_iter().rev().filter_map(|cursor| volumes.message(cursor));
    Ok((records.filter_map(|record| Seen::new(&record, sight)).collect(), next))
}

/// A line has two places at least (RFC 7946 section 3.1.4); one alone is a point only.
fn track(alert: AlertId, places: &[Seen]) -> Value {
    let line: Vec<_> = places.iter().map(|seen| seen.lon_lat).collect();
    let at = |seen: Option<&Seen>| seen.and_then(|seen| seen.properties.get("at").cloned());
    let line = (line.len() > 1).then(|| {
        json!({
            "type": "Feature",
            "id": alert.to_string(),
            "geometry": {"type": "LineString", "coordinates": line},
            "properties": {"alert_id": alert.to_string(), "from": at(places.first()), "to": at(places.last())},
        })
    });
    let points = places.iter().map(|seen| {
        json!({
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": seen.lon_lat},
            "properties": seen.properties,
        })
    });
    let features: Vec<_> = line.into_iter().chain(points).collect();
    json!({"type": "FeatureCollection", "features": features})
}
