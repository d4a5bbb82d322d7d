//! `GET /v1/feed`: who asks, from where on, and the stream's head.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use pipeline::Cursor;
use serde::Deserialize;

use super::access::Access;
use super::alerts::Alerts;
use super::incidents::IncidentStream;
use super::refusal::Refusal;
use super::shape::{Format, Shape, View};
use super::stall::Streams;
use super::state::Feed;
use super::stream::{Source, Subscription};

/// Where a stream starts, and what it looks like. `Last-Event-ID` goes before both places.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    /// What is shown.
    #[serde(default)]
    view: View,
    /// How it is written.
    #[serde(default)]
    format: Format,
    /// An `id:`: what follows it. For clients that cannot send `Last-Event-ID`.
    after: Option<String>,
    /// Where to start without a cursor.
    from: Option<From>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    /// Everything in the journal that the token may see.
    Start,
    /// Only what is new.
    Now,
}

/// The feed's route. Streams stand still unless [`Feed::run`] runs.
pub fn router(feed: Arc<Feed>) -> Router {
    Router::new().route("/v1/feed", get(serve)).with_state(feed)
}

/// Serves a stream of events, or says why not.
async fn serve(
    State(feed): State<Arc<Feed>>,
    streams: Option<Extension<Streams>>,
    headers: HeaderMap,
    query: Result<Query<Start>, QueryRejection>,
) -> Response {
    let streams = streams.map(|Extension(streams)| streams);
    open(&feed, streams, &headers, query).unwrap_or_else(IntoResponse::into_response)
}

fn open(
    feed: &Arc<Feed>,
    streams: Option<Streams>,
    headers: &HeaderMap,
    query: Result<Query<Start>, QueryRejection>,
) -> Result<Response, Refusal> {
    let access = Access::new(bearer(headers).ok_or(Refusal::NoToken)?, feed)?;
    let Query(start) = query.map_err(|rejection| Refusal::Query(rejection.body_text()))?;
    if (start.view, start.format) == (View::Incidents, Format::Cap) {
        return Err(Refusal::Query(
            "incidents are not written as CAP, which tells single alerts; ask for format=json or \
             format=geojson, or for view=alerts"
                .to_owned(),
        ));
    }
    let position = position(feed, headers, &start)?;
    let place = Arc::clone(&feed.places).try_acquire_owned().map_err(|_| Refusal::Full)?;
    let stall = streams.unwrap_or_default().open();
    tracing::info!(reader = %access.holder(), "feed opened");
    let (viewer, format) = (access.viewer(), start.format);
    Ok(match start.view {
        View::Alerts => {
            let shape = Shape { view: start.view, format, sight: viewer.sight() };
            let alerts = Alerts::new(feed, shape, position);
            respond(Subscription::new(Arc::clone(feed), access, alerts, stall, place))
        }
        View::Incidents => {
            let incidents = IncidentStream::new(feed, viewer, format, position);
            respond(Subscription::new(Arc::clone(feed), access, incidents, stall, place))
        }
    })
}

fn respond(subscription: Subscription<impl Source + 'static>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(subscription.into_stream())).into_response()
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1; the scheme's case does not matter).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The place to start behind; nothing for the end of the journal.
fn position(feed: &Feed, headers: &HeaderMap, start: &Start) -> Result<Option<Cursor>, Refusal> {
    let last_event_id = headers
        .get("last-event-id")
        .map(|value| value.to_str().map_err(|_| super::cursor::CursorError::Garbled))
        .transpose()?
        .filter(|text| !text.is_empty());
    let Some(text) = last_event_id.or(start.after.as_deref()) else {
        return Ok(match start.from.unwrap_or(From::Now) {
            From::Start => Some(Cursor(0)),
            From::Now => None,
        });
    };
    let cursor = feed.codec.open(text)?;
    if cursor > feed.heads.pushed() {
        return Err(Refusal::CursorAhead);
    }
    Ok(Some(cursor))
}
