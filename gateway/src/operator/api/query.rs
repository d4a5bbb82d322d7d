//! What stands in paths, queries and bodies, read strictly: what is not understood is refused, never passed over.

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{HeaderMap, Uri, header};
use pipeline::{Cursor, Time};
use protocol::DeviceId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::refusal::Refusal;
use crate::feed::CursorCodec;
use crate::search::Period;

/// Matches on one page, at most, and if nothing is said.
const LIMIT_MAX: usize = 200;
const LIMIT: usize = 50;

/// Which page, and of which time. Part of several queries.
#[derive(Debug, Default, Clone)]
pub(super) struct Paging {
    pub(super) before: Option<Cursor>,
    pub(super) period: Period,
    pub(super) limit: usize,
}

impl Paging {
    /// The page that these parameters ask for.
    ///
    /// # Errors
    /// If one is not understood.
    pub(super) fn new(
        before: Option<&str>,
        (since, until): (Option<&str>, Option<&str>),
        limit: Option<usize>,
        codec: &CursorCodec,
    ) -> Result<Self, Refusal> {
        let limit = limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Refusal::Query(format!("limit is {limit}; write 1 to {LIMIT_MAX}")));
        }
        let time = |name, text: Option<&str>| text.map(|text| time(name, text)).transpose();
        Ok(Self {
            before: before.map(|text| codec.open(text)).transpose()?,
            period: Period { since: time("since", since)?, until: time("until", until)? },
            limit,
        })
    }
}

/// The query of `uri` as a `T` that refuses what it does not know.
///
/// # Errors
/// If it is not understood.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    let query = Query::try_from_uri(uri).map_err(|error| Refusal::Query(error.body_text()))?;
    Ok(query.0)
}

/// The body as a `T` that refuses what it does not know.
///
/// # Errors
/// If it is no JSON, or other JSON.
pub(super) fn body<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Refusal> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = declared.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::MediaType);
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Refusal::Unfit(error.to_string()),
        _ => Refusal::Body(error.to_string()),
    })
}

/// An id of sixteen bytes in a path or a query.
///
/// # Errors
/// If it is none.
pub(super) fn id(text: &str) -> Result<[u8; 16], Refusal> {
    text.parse::<DeviceId>().map(|id| id.0).map_err(|_| Refusal::Id)
}

/// One of a closed set, by its name.
///
/// # Errors
/// If there is no such name.
pub(super) fn named<T>(
    parameter: &str,
    text: Option<&str>,
    find: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    let find = |text| find(text).ok_or_else(|| Refusal::Query(format!("{parameter} is not known")));
    text.map(find).transpose()
}

/// A moment by RFC 3339; one before 1970 is the beginning.
fn time(name: &str, text: &str) -> Result<Time, Refusal> {
    let stated: jiff::Timestamp = text.parse().map_err(|_| {
        Refusal::Query(format!("{name} is no time; write one like 2026-03-01T18:30:00Z"))
    })?;
    Ok(Time(u64::try_from(stated.as_microsecond()).unwrap_or_default()))
}

/// A body that holds nothing but why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    pub(super) reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec() -> CursorCodec {
        CursorCodec::new([7; 16])
    }

    fn period(since: &str, until: &str) -> Result<Period, Refusal> {
        Paging::new(None, (Some(since), Some(until)), None, &codec()).map(|paging| paging.period)
    }

    #[test]
    fn times_are_read_with_any_offset() {
        let read = period("2026-03-01T07:00:00+07:00", "1969-12-31T23:59:59Z").unwrap();
        assert_eq!(read.since, Some(Time(1_772_323_200_000_000)));
        assert_eq!(read.until, Some(Time(0)));
        assert!(matches!(period("yesterday", "2026-03-01T00:00:00Z"), Err(Refusal::Query(_))));
    }

    #[test]
    fn limit_is_bounded_on_both_sides() {
        let limit = |limit| Paging::new(None, (None, None), limit, &codec()).map(|it| it.limit);
        assert_eq!(limit(None), Ok(LIMIT));
        assert_eq!(limit(Some(LIMIT_MAX)), Ok(LIMIT_MAX));
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(LIMIT_MAX + 1)).is_err());
    }

    #[test]
    fn body_must_be_declared_well_formed_and_just_what_is_asked_for() {
        let read = |media: &'static str, text: &'static str| {
            let headers = [(header::CONTENT_TYPE, media.parse().unwrap())];
            body::<Why>(&headers.into_iter().collect(), &Bytes::from_static(text.as_bytes()))
        };
        let good = "{\"reason\":\"a\"}";
        assert_eq!(read("application/json; charset=utf-8", good).unwrap().reason, "a");
        assert_eq!(read("text/plain", good).unwrap_err(), Refusal::MediaType);
        assert!(matches!(read("application/json", "{"), Err(Refusal::Body(_))));
        for unfit in ["{}", "[]", "{\"reason\":\"a\",\"until\":1}", "{\"reason\":null}"] {
            assert!(matches!(read("application/json", unfit), Err(Refusal::Unfit(_))), "{unfit}");
        }
    }
}
