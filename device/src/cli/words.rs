//! What a person is told: in words, and as one JSON object.
//!
//! The words are for somebody who is frightened. The first one says whether the alert arrived; if it did not, the last
//! sentence says what to do.

use std::time::Duration;

use device::{AttemptError, Delivered, SendError};
use protocol::{AlertId, Progress, Receipt, Status, StatusItem};
use serde::Serialize;

use super::Outcome;

/// What to do when an alert did not arrive. 112 is the emergency number of Indonesia, and of much of the world.
const OTHERWISE: &str = "Get help another way: call 112.";

/// The result of a press. `alert_id` is known before any receipt, because it is a hash of the press.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    status: &'static str,
    alert_id: String,
    reason: Option<&'static str>,
    attempts: u32,
    /// From the press to its receipt, rounded up.
    latency_ms: Option<u64>,
    /// Whether the press went out in the first packet of its connection and was taken there.
    zero_rtt: bool,
    #[serde(skip)]
    words: String,
    #[serde(skip)]
    pub(super) outcome: Outcome,
}

impl Report {
    pub(super) fn new(
        alert: AlertId,
        result: &Result<Delivered, SendError>,
        took: Duration,
    ) -> Self {
        match result {
            Ok(Delivered { receipt, attempts, zero_rtt }) => {
                let alert = receipt.alert.unwrap_or(alert);
                Self {
                    latency_ms: Some(whole_ms(took)),
                    zero_rtt: *zero_rtt,
                    ..Self::settled(alert, receipt, *attempts)
                }
            }
            Err(SendError::Refused { receipt, attempts }) => Self {
                latency_ms: Some(whole_ms(took)),
                ..Self::settled(receipt.alert.unwrap_or(alert), receipt, *attempts)
            },
            Err(SendError::NoReceipt { attempts, failure }) => Self {
                words: format!(
                    "NO ANSWER to {attempts} attempts{}. Alert {alert} may have arrived; it is not certain. Press \
                     again. {OTHERWISE}",
                    because(failure.as_ref()),
                ),
                ..Self::missing(alert, "no_receipt", *attempts, Outcome::Failed)
            },
            Err(SendError::Unreachable { attempts, failure }) => Self {
                words: format!(
                    "NOT SENT: the gateway did not answer {attempts} attempts{}. Check the network and --server. \
                     {OTHERWISE}",
                    because(failure.as_ref()),
                ),
                ..Self::missing(alert, "unreachable", *attempts, Outcome::Unreachable)
            },
        }
    }

    fn settled(alert: AlertId, receipt: &Receipt, attempts: u32) -> Self {
        let words = match receipt.status {
            Status::Received => {
                format!("Received. Alert {alert}: on disk and on its way to the command centre.")
            }
            Status::Duplicate if receipt.call.is_some() => format!(
                "Received, already the first time, and waiting for an operator. Alert {alert}: an earlier copy is on \
                 disk.{}",
                call_now(receipt)
            ),
            Status::Duplicate => format!(
                "Received, already the first time. Alert {alert}: an earlier copy is on disk and on its way to the \
                 command centre."
            ),
            Status::Held => format!(
                "Received, and waiting for an operator. Alert {alert}: on disk; somebody at the command centre looks \
                 at it before anyone is sent.{}",
                call_now(receipt)
            ),
            Status::Refused => {
                let why = receipt.reason.map_or("no reason given", |reason| reason.in_words());
                let stop = if why.ends_with('?') { "" } else { "." };
                format!("NOT RECEIVED: {why}{stop} {OTHERWISE}")
            }
        };
        Self {
            status: receipt.status.name(),
            alert_id: alert.to_string(),
            reason: receipt.reason.map(|reason| reason.name()),
            attempts,
            latency_ms: None,
            zero_rtt: false,
            words,
            outcome: if receipt.status.is_durable() { Outcome::Done } else { Outcome::Failed },
        }
    }

    fn missing(alert: AlertId, reason: &'static str, attempts: u32, outcome: Outcome) -> Self {
        Self {
            status: "missing",
            alert_id: alert.to_string(),
            reason: Some(reason),
            attempts,
            latency_ms: None,
            zero_rtt: false,
            words: String::new(),
            outcome,
        }
    }

    pub(super) fn text(&self, json: bool) -> anyhow::Result<String> {
        if json { Ok(serde_json::to_string(self)?) } else { Ok(self.words.clone()) }
    }
}

/// One step of an alert that is followed.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    status: &'static str,
    alert_id: String,
    gateway_clock_ms: u64,
    #[serde(skip)]
    words: &'static str,
}

impl Step {
    pub(super) fn of(item: &StatusItem) -> Self {
        Self {
            status: item.progress.name(),
            alert_id: item.alert.to_string(),
            gateway_clock_ms: item.gateway_clock.0,
            words: match item.progress {
                Progress::Acknowledged => "Somebody at the command centre has taken it on.",
                Progress::Assigned => "Somebody is sent.",
                Progress::Resolved => {
                    "It is over, says the command centre. Press again if it is not."
                }
                Progress::Reopened => "The command centre looks at it again.",
            },
        }
    }

    pub(super) fn text(&self, json: bool) -> anyhow::Result<String> {
        if json { Ok(serde_json::to_string(self)?) } else { Ok(self.words.to_owned()) }
    }
}

fn call_now(receipt: &Receipt) -> String {
    receipt.call.map_or_else(String::new, |call| format!(" If you need help, call {call} now."))
}

fn because(failure: Option<&AttemptError>) -> String {
    failure.map_or_else(String::new, |failure| format!(" ({failure})"))
}

fn whole_ms(took: Duration) -> u64 {
    u64::try_from(took.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use protocol::{Reason, ShortText, UnixMillis};

    use super::*;

    const ALERT: AlertId = AlertId([0xab; 16]);

    fn json(result: &Result<Delivered, SendError>) -> serde_json::Value {
        let report = Report::new(ALERT, result, Duration::from_micros(1_001));
        serde_json::from_str(&report.text(true).unwrap()).unwrap()
    }

    #[test]
    fn a_receipt_becomes_the_object_that_scripts_read() {
        let receipt =
            Receipt { alert: Some(ALERT), ..Receipt::new(Status::Received, UnixMillis(0)) };
        let object = json(&Ok(Delivered { receipt, attempts: 2, zero_rtt: true }));
        let expected = serde_json::json!({
            "status": "received", "alert_id": "abababababababababababababababab", "reason": null,
            "attempts": 2, "latency_ms": 2, "zero_rtt": true,
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn what_was_not_measured_is_null() {
        let object = json(&Err(SendError::Unreachable { attempts: 3, failure: None }));
        assert_eq!(object["latency_ms"], serde_json::Value::Null);
        assert_eq!(
            (&object["status"], &object["reason"]),
            (&"missing".into(), &"unreachable".into())
        );
    }

    #[test]
    fn a_held_press_tells_whom_to_call() {
        for status in [Status::Held, Status::Duplicate] {
            let receipt =
                Receipt { call: ShortText::new("110"), ..Receipt::new(status, UnixMillis(0)) };
            let words = Report::settled(ALERT, &receipt, 1).words;
            assert!(words.ends_with("If you need help, call 110 now."), "{words}");
            assert!(words.contains("waiting for an operator"), "{words}");
        }
    }

    #[test]
    fn every_failure_tells_a_person_what_to_do() {
        let refused = |reason| SendError::Refused {
            receipt: Box::new(Receipt::refused(reason, UnixMillis(0))),
            attempts: 1,
        };
        let others = [
            SendError::NoReceipt { attempts: 1, failure: None },
            SendError::Unreachable { attempts: 1, failure: None },
        ];
        for error in Reason::LISTED.map(refused).into_iter().chain(others) {
            let report = Report::new(ALERT, &Err(error), Duration::ZERO);
            let words = report.text(false).unwrap();
            assert!(words.starts_with("NO"), "{words}");
            assert!(words.ends_with(OTHERWISE) && !words.contains("?."), "{words}");
            assert_ne!(report.outcome, Outcome::Done);
        }
    }
}
