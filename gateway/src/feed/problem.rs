//! Errors over HTTP, as problem details (RFC 9457).

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// One problem, to be sent as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name: `type` is `urn:kentongan:problem:` and this.
    pub name: &'static str,
    /// In a few words, always the same for the same name.
    pub title: &'static str,
    /// The response's status.
    pub status: StatusCode,
    /// What is wrong this time, and what to do. Holds no place and no token.
    pub detail: String,
}

impl Problem {
    /// What a problem is sent as.
    pub const MEDIA_TYPE: &str = "application/problem+json";
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    members: BTreeMap<&'static str, String>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.with([])
    }
}

impl Problem {
    /// The response, with these members of its own beside the usual ones (RFC 9457 section 3.2).
    pub(crate) fn with(
        self,
        members: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Response {
        let body = Body {
            r#type: format!("urn:kentongan:problem:{}", self.name),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            members: members.into_iter().collect(),
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let json = HeaderValue::from_static(Self::MEDIA_TYPE);
        (self.status, [(header::CONTENT_TYPE, json)], text).into_response()
    }
}
