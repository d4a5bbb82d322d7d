//! Commands that answer alerts and prepare zones.

use std::time::Duration;

use clap::Subcommand;
use protocol::AlertId;
use serde_json::{Value, json};

use super::{escaped, span};

#[derive(Debug, Subcommand)]
pub(super) enum AnswerCommand {
    /// Take an alert up: it climbs no further
    Ack {
        /// Its id
        id: AlertId,
        /// What there is to say
        #[arg(long)]
        reason: Option<String>,
    },
    /// Send somebody to an alert
    Assign {
        /// Its id
        id: AlertId,
        /// Who is sent
        to: String,
        /// What there is to say
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say that an alert is over, and what it was
    Resolve {
        /// Its id
        id: AlertId,
        /// genuine, prank, test or accidental
        verdict: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say that a resolved alert is not over: it waits for an answer again
    Reopen {
        /// Its id
        id: AlertId,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Where an alert was seen, as GeoJSON
    Track {
        /// Its id
        id: AlertId,
    },
    /// Your zones, with what each is prepared for and how many alerts are open there
    Zones,
    /// Declare a drill in a zone and below it, or end it
    Drill {
        /// The zone's id
        zone: String,
        /// How long, such as 2h; 0s ends it
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        span: Duration,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Prepare a zone, and what lies below it and is not prepared otherwise
    Posture {
        /// The zone's id
        zone: String,
        /// routine, special or contingency
        posture: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

impl AnswerCommand {
    /// Path and body of the request that it is.
    pub(super) fn asked(&self) -> (String, Option<Value>) {
        let alert =
            |id: &AlertId, act: &str, body: Value| (format!("/v1/alerts/{id}/{act}"), Some(body));
        let zone = |id: &str, act: &str, body: Value| {
            (format!("/v1/zones/{}/{act}", escaped(id)), Some(body))
        };
        match self {
            Self::Ack { id, reason } => alert(id, "acknowledge", json!({ "reason": reason })),
            Self::Assign { id, to, reason } => {
                alert(id, "assign", json!({ "to": to, "reason": reason }))
            }
            Self::Resolve { id, verdict, reason } => {
                alert(id, "resolve", json!({ "verdict": verdict, "reason": reason }))
            }
            Self::Reopen { id, reason } => alert(id, "reopen", json!({ "reason": reason })),
            Self::Track { id } => (format!("/v1/alerts/{id}/track"), None),
            Self::Zones => ("/v1/zones".to_owned(), None),
            Self::Drill { zone: id, span, reason } => {
                zone(id, "drill", json!({ "duration_s": span.as_secs(), "reason": reason }))
            }
            Self::Posture { zone: id, posture, reason } => {
                zone(id, "posture", json!({ "posture": posture, "reason": reason }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_the_requests_of_the_interface() {
        let id = AlertId([0xab; 16]);
        let zone = "polsek klojen".to_owned();
        let (to, reason) = ("patrol 7".to_owned(), "match day".to_owned());
        let hour = Duration::from_secs(3_600);
        for (command, path, body) in [
            (
                AnswerCommand::Ack { id, reason: None },
                format!("/v1/alerts/{id}/acknowledge"),
                Some(json!({"reason": null})),
            ),
            (
                AnswerCommand::Assign { id, to, reason: None },
                format!("/v1/alerts/{id}/assign"),
                Some(json!({"to": "patrol 7", "reason": null})),
            ),
            (
                AnswerCommand::Drill { zone, span: hour, reason: reason.clone() },
                "/v1/zones/polsek%20klojen/drill".to_owned(),
                Some(json!({"duration_s": 3600, "reason": "match day"})),
            ),
            (AnswerCommand::Track { id }, format!("/v1/alerts/{id}/track"), None),
        ] {
            assert_eq!(command.asked(), (path, body));
        }
    }
}
