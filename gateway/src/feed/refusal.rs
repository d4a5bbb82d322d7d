//! Why a feed is not served, said so that whoever reads it knows what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::cursor::CursorError;
use super::problem::Problem;
use crate::registry::TokenError;

/// Seconds after which a client that found no place should ask again.
const RETRY_AFTER_S: &str = "5";

/// Why a feed is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No bearer token was sent.
    NoToken,
    /// The token is not known, or expired.
    Token(TokenError),
    /// The token's role sees no alerts.
    Role,
    /// None of the token's zones is drawn.
    NoZone,
    /// The place to resume from is no cursor of this feed.
    Cursor(CursorError),
    /// The place to resume from lies behind the journal's end.
    CursorAhead,
    /// The query is not understood.
    Query(String),
    /// As many feeds are open as are allowed.
    Full,
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<CursorError> for Refusal {
    fn from(error: CursorError) -> Self {
        Self::Cursor(error)
    }
}

impl Refusal {
    /// In a few words; also the last words of a stream that was open.
    pub(super) fn title(&self) -> &'static str {
        self.problem().title
    }

    /// The name in metrics and in the problem's type.
    fn name(&self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::Token(TokenError::Unknown) => "unknown-token",
            Self::Token(TokenError::Expired) => "expired-token",
            Self::Role => "role",
            Self::NoZone => "no-zone",
            Self::Cursor(CursorError::Garbled) => "garbled-cursor",
            Self::Cursor(CursorError::Foreign) => "foreign-cursor",
            Self::CursorAhead => "cursor-ahead",
            Self::Query(_) => "query",
            Self::Full => "full",
        }
    }

    fn problem(&self) -> Problem {
        let (status, title, detail) = match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "no token",
                "send `Authorization: Bearer TOKEN`; `gateway subscriber add` makes tokens".into(),
            ),
            Self::Token(TokenError::Unknown) => (
                StatusCode::UNAUTHORIZED,
                "unknown token",
                "nobody has this token; it was mistyped or removed".into(),
            ),
            Self::Token(TokenError::Expired) => (
                StatusCode::UNAUTHORIZED,
                "token expired",
                "ask for a new one; `gateway subscriber add` makes tokens".into(),
            ),
            Self::Role => (
                StatusCode::FORBIDDEN,
                "this role may not",
                "the role of this token is not shown alerts; ask with another token".into(),
            ),
            Self::NoZone => (
                StatusCode::FORBIDDEN,
                "no such zone",
                "none of the zones that this token is for is among the gateway's zones".into(),
            ),
            Self::Cursor(error) => (
                StatusCode::BAD_REQUEST,
                "not a cursor of this feed",
                format!("{error}; send the last `id:` unchanged, or `?from=start`"),
            ),
            Self::CursorAhead => (
                StatusCode::BAD_REQUEST,
                "cursor ahead of the journal",
                "the journal ends before this cursor: was it restored from an older copy? Resume \
                 with `?from=start`, or with nothing for new alerts only"
                    .into(),
            ),
            Self::Query(error) => (StatusCode::BAD_REQUEST, "bad query", error.clone()),
            Self::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many feeds",
                "as many feeds are open as `feed.subscribers_max` allows".into(),
            ),
        };
        Problem { name: self.name(), title, status, detail }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        metrics::counter!("gateway_feed_refused_total", "reason" => self.name()).increment(1);
        let mut response = self.problem().into_response();
        let headers = response.headers_mut();
        match self {
            Self::NoToken => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Token(_) => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::Full => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            _ => {}
        }
        response
    }
}
