//! Why a request of the operators' interface is not answered, said so that whoever reads it knows what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pipeline::DecisionRefusal;
use protocol::{AlertId, DeviceId};

use crate::feed::{CursorError, Problem};
use crate::registry::TokenError;

/// Seconds after which a client that found the gateway busy should ask again.
const RETRY_AFTER_S: &str = "1";

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No bearer token was sent.
    NoToken,
    /// The token is not known, or expired.
    Token(TokenError),
    /// The token is a subscriber's.
    FeedOnly,
    /// The token's role may not do this; named is what may.
    Role(&'static str),
    /// None of the token's zones is drawn.
    NoZone,
    /// The alert, the device or the zone asked for belongs to a zone that the token is not for. Which one is not said:
    /// where a device last pressed is for those who act there.
    OutOfReach,
    /// There is no such zone.
    UnknownZone(String),
    /// No such alert is journaled, or not yet indexed.
    UnknownAlert(AlertId),
    /// No such device is enrolled.
    UnknownDevice(DeviceId),
    /// What stands in the path is no id.
    Id,
    /// The query is not understood.
    Query(String),
    /// The place to go on from was not given out by this gateway.
    Cursor(CursorError),
    /// The body is no JSON.
    Body(String),
    /// The body is not declared as JSON.
    MediaType,
    /// The body is longer than any that is understood.
    TooLong,
    /// The body took too long to come.
    TooSlow,
    /// The body is JSON, but not what is asked for.
    Unfit(String),
    /// The desk decided nothing.
    Decision(DecisionRefusal),
    /// The gateway is stopping. If a decision was asked for, it may have been made.
    Stopping,
    /// A file cannot be read; the log says which and why.
    Unreadable,
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

impl From<DecisionRefusal> for Refusal {
    fn from(refusal: DecisionRefusal) -> Self {
        match refusal {
            DecisionRefusal::UnknownAlert(alert) => Self::UnknownAlert(alert),
            DecisionRefusal::OutOfReach(_) => Self::OutOfReach,
            other => Self::Decision(other),
        }
    }
}

impl Refusal {
    fn problem(&self) -> Problem {
        let (name, title, status, detail) = match self {
            Self::NoToken | Self::Token(_) => self.of_token(),
            Self::FeedOnly | Self::Role(_) | Self::NoZone | Self::OutOfReach => {
                self.of_entitlement()
            }
            Self::UnknownZone(_) | Self::UnknownAlert(_) | Self::UnknownDevice(_) => {
                self.of_unknown()
            }
            Self::Decision(refusal) => of_decision(refusal),
            Self::Stopping | Self::Unreadable => self.of_trouble(),
            _ => self.of_request(),
        };
        Problem { name, title, status, detail }
    }

    fn of_token(&self) -> Parts {
        let status = StatusCode::UNAUTHORIZED;
        match self {
            Self::Token(TokenError::Expired) => (
                "expired-token",
                "token expired",
                status,
                "ask for a new one; `gateway operator add` makes tokens".into(),
            ),
            Self::Token(TokenError::Unknown) => (
                "unknown-token",
                "unknown token",
                status,
                "nobody has this token; it was mistyped or removed".into(),
            ),
            _ => (
                "no-token",
                "no token",
                status,
                "send `Authorization: Bearer TOKEN`; `gateway operator add` makes tokens".into(),
            ),
        }
    }

    fn of_entitlement(&self) -> Parts {
        let status = StatusCode::FORBIDDEN;
        match self {
            Self::FeedOnly => (
                "feed-only",
                "this token reads the feed only",
                status,
                "a subscriber's token is good for /v1/feed; ask with an operator's token".into(),
            ),
            Self::Role(needed) => (
                "role",
                "this role may not",
                status,
                format!("the role of this token may not do this; ask with the token of {needed}"),
            ),
            Self::OutOfReach => (
                "out-of-reach",
                "zone out of reach",
                status,
                "it lies outside the zones of this token; ask a supervisor, or somebody who acts there"
                    .into(),
            ),
            _ => (
                "no-zone",
                "no such zone",
                status,
                "none of the zones that this token is for is among the gateway's zones".into(),
            ),
        }
    }

    fn of_unknown(&self) -> Parts {
        let status = StatusCode::NOT_FOUND;
        match self {
            Self::UnknownAlert(alert) => (
                "unknown-alert",
                "unknown alert",
                status,
                format!("no raise is journaled as alert {alert}; look for it by time or device"),
            ),
            Self::UnknownDevice(device) => (
                "unknown-device",
                "unknown device",
                status,
                format!("device {device} is not enrolled; was the id mistyped?"),
            ),
            Self::UnknownZone(zone) => (
                "unknown-zone",
                "unknown zone",
                status,
                format!("there is no zone {zone:?}; `gateway zones check` prints them"),
            ),
            _ => self.of_request(),
        }
    }

    fn of_request(&self) -> Parts {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::Query(error) => ("query", "bad query", bad, error.clone()),
            Self::Cursor(error) => (
                "cursor",
                "not a cursor of this gateway",
                if *error == CursorError::Foreign { StatusCode::NOT_FOUND } else { bad },
                format!("{error}; send `next` of the page before unchanged"),
            ),
            Self::Body(error) => ("body", "not JSON", bad, error.clone()),
            Self::MediaType => (
                "media-type",
                "not declared as JSON",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send `Content-Type: application/json`".into(),
            ),
            Self::TooLong => (
                "too-long",
                "body too long",
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a request here has {} bytes at most", super::BODY_BYTES_MAX),
            ),
            Self::TooSlow => (
                "too-slow",
                "body too slow",
                StatusCode::REQUEST_TIMEOUT,
                format!("a request here is whole within {} s", super::BODY_TIMEOUT.as_secs()),
            ),
            Self::Unfit(error) => {
                ("unfit", "not what is asked for", StatusCode::UNPROCESSABLE_ENTITY, error.clone())
            }
            _ => ("id", "not an id", bad, "an id has 32 hexadecimal digits".into()),
        }
    }

    fn of_trouble(&self) -> Parts {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        match self {
            Self::Stopping => (
                "stopping",
                "the gateway is stopping",
                status,
                "ask again once it is back; look in /v1/audit whether a decision was made".into(),
            ),
            _ => (
                "unreadable",
                "a file cannot be read",
                status,
                "the gateway's log says which and why".into(),
            ),
        }
    }
}

type Parts = (&'static str, &'static str, StatusCode, String);

fn of_decision(refusal: &DecisionRefusal) -> Parts {
    let unfit = StatusCode::UNPROCESSABLE_ENTITY;
    let (name, title, status, hint) = match refusal {
        DecisionRefusal::NotBlocked => {
            ("not-blocked", "not blocked", StatusCode::CONFLICT, "there is nothing to lift")
        }
        DecisionRefusal::Busy => (
            "busy",
            "too many decisions",
            StatusCode::SERVICE_UNAVAILABLE,
            "nothing was decided; ask again in a moment",
        ),
        DecisionRefusal::ReasonMissing => {
            ("reason", "no reason", unfit, "state `reason`: it is read where somebody objects")
        }
        DecisionRefusal::ReasonTooLong(_) => ("reason", "reason too long", unfit, "shorten it"),
        DecisionRefusal::ActorLen(_) => {
            ("name", "name too long", unfit, "make a token with a shorter name")
        }
        DecisionRefusal::BlockTooLong(_) => (
            "duration",
            "longer than the policy lets",
            StatusCode::CONFLICT,
            "state a shorter `duration_s`",
        ),
        DecisionRefusal::EndsBeforeItBegins => {
            ("duration", "not a duration", unfit, "state another `duration_s`")
        }
        DecisionRefusal::Joined(_)
        | DecisionRefusal::AnsweredAlready { .. }
        | DecisionRefusal::Resolved { .. }
        | DecisionRefusal::NotResolved => {
            ("answered", "nothing was decided", StatusCode::CONFLICT, "read the alert again")
        }
        DecisionRefusal::UnknownAlert(_)
        | DecisionRefusal::OutOfReach(_)
        | DecisionRefusal::UnknownZone(_)
        | DecisionRefusal::DrillTooLong(_)
        | DecisionRefusal::NameLen(_) => {
            ("decision", "nothing was decided", unfit, "ask for something else")
        }
    };
    (name, title, status, format!("{refusal}; {hint}"))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.problem();
        metrics::counter!("gateway_operator_refused_total", "reason" => problem.name).increment(1);
        let mut response = problem.into_response();
        let headers = response.headers_mut();
        let challenge = match self {
            Self::NoToken => Some("Bearer"),
            Self::Token(_) => Some("Bearer error=\"invalid_token\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
