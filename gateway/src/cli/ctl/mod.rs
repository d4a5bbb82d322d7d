//! `ctl alerts | alert | verdict | device | block | unblock | appeal | audit | live`, and those that answer alerts and
//! prepare zones: what operators do over HTTP, from the command line. The gateway may be anywhere; what it refuses is printed with what to do about it.

mod answers;
mod words;

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use protocol::{AlertId, DeviceId};
use serde_json::{Value, json};

use super::Failure;
use super::target::Target;
use crate::config::{Config, parse_span};
use answers::AnswerCommand;

#[derive(Debug, Args)]
pub(super) struct CtlArguments {
    #[command(flatten)]
    target: Target,
    /// Print one JSON value
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: CtlCommand,
}

#[derive(Debug, Subcommand)]
enum CtlCommand {
    /// Alerts, newest first
    Alerts {
        /// This zone and those below it
        #[arg(long)]
        zone: Option<String>,
        /// Who pressed
        #[arg(long, value_name = "ID")]
        device: Option<DeviceId>,
        /// paged, joined, held, noticed or promoted
        #[arg(long)]
        state: Option<String>,
        /// waiting, acknowledged, assigned or resolved
        #[arg(long)]
        answer: Option<String>,
        /// What it is about
        #[arg(long)]
        category: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// One alert, with the messages and decisions that followed
    Alert {
        /// Its id
        id: AlertId,
    },
    /// Say what an alert was
    Verdict {
        /// Its id
        id: AlertId,
        /// genuine, prank, test or accidental
        verdict: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// What is known of a device, and how it stands
    Device {
        /// Its id
        id: DeviceId,
    },
    /// Hold a device's raises for a time
    Block {
        /// Its id
        id: DeviceId,
        /// How long, such as 12h
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        span: Duration,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Lift a block
    Unblock {
        /// Its id
        id: DeviceId,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Note an objection to how a device stands
    Appeal {
        /// Its id
        id: DeviceId,
        /// Who objects, and why
        #[arg(long)]
        reason: String,
    },
    /// Who decided what, newest first
    Audit {
        /// The device that it is about
        #[arg(long, value_name = "ID")]
        device: Option<DeviceId>,
        /// The alert that it is about
        #[arg(long, value_name = "ID")]
        alert: Option<AlertId>,
        /// Who decided
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// The gateway's counters and gauges
    Live,
    #[command(flatten)]
    Answer(AnswerCommand),
}

#[derive(Debug, Args)]
struct Page {
    /// From this moment on, such as 2026-03-01T18:30:00+07:00
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<u32>,
    /// What the page before said to go on with
    #[arg(long, value_name = "NEXT")]
    before: Option<String>,
}

fn span(text: &str) -> Result<Duration, String> {
    parse_span(text).map_err(|error| error.to_string())
}

pub(super) fn run(
    arguments: CtlArguments,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let CtlArguments { target, json, command } = arguments;
    let client = target.client(config)?;
    let (path, body) = asked(&command);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime
        .block_on(client.ask(&path, body.as_ref()))
        .map_err(|error| Failure::Refused(error.to_string()))?;
    if json {
        writeln!(out, "{answer}")?;
    } else {
        words::write(&answer, out)?;
    }
    Ok(())
}

/// Path and body of the request that a command is.
fn asked(command: &CtlCommand) -> (String, Option<Value>) {
    let reason = |id: &DeviceId, act: &str, reason: &str| {
        (format!("/v1/devices/{id}/{act}"), Some(json!({ "reason": reason })))
    };
    match command {
        CtlCommand::Alerts { zone, device, state, answer, category, page } => {
            let device = device.map(|device| device.to_string());
            let terms = [
                ("zone", zone.as_deref()),
                ("device", device.as_deref()),
                ("state", state.as_deref()),
                ("answer", answer.as_deref()),
                ("category", category.as_deref()),
            ];
            (query("/v1/alerts", &terms, page), None)
        }
        CtlCommand::Alert { id } => (format!("/v1/alerts/{id}"), None),
        CtlCommand::Verdict { id, verdict, reason } => {
            let body = json!({ "verdict": verdict, "reason": reason });
            (format!("/v1/alerts/{id}/verdict"), Some(body))
        }
        CtlCommand::Device { id } => (format!("/v1/devices/{id}"), None),
        CtlCommand::Block { id, span, reason } => {
            let body = json!({ "duration_s": span.as_secs(), "reason": reason });
            (format!("/v1/devices/{id}/block"), Some(body))
        }
        CtlCommand::Unblock { id, reason: why } => reason(id, "unblock", why),
        CtlCommand::Appeal { id, reason: why } => reason(id, "appeal", why),
        CtlCommand::Audit { device, alert, by, page } => {
            let device = device.map(|device| device.to_string());
            let alert = alert.map(|alert| alert.to_string());
            let terms = [
                ("device", device.as_deref()),
                ("alert", alert.as_deref()),
                ("operator", by.as_deref()),
            ];
            (query("/v1/audit", &terms, page), None)
        }
        CtlCommand::Live => ("/v1/live".to_owned(), None),
        CtlCommand::Answer(command) => command.asked(),
    }
}

fn query(path: &str, terms: &[(&str, Option<&str>)], page: &Page) -> String {
    let limit = page.limit.map(|limit| limit.to_string());
    let paging = [
        ("since", page.since.as_deref()),
        ("until", page.until.as_deref()),
        ("limit", limit.as_deref()),
        ("before", page.before.as_deref()),
    ];
    let pairs: Vec<_> = terms
        .iter()
        .chain(&paging)
        .filter_map(|(name, value)| value.map(|value| format!("{name}={}", escaped(value))))
        .collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// A value of a query: everything but what is never reserved (RFC 3986 section 2.3) as octets.
pub(super) fn escaped(text: &str) -> String {
    let octet = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(octet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_escaped_and_absent_ones_left_out() {
        let page = Page {
            since: Some("2026-03-01T18:30:00+07:00".to_owned()),
            until: None,
            limit: Some(5),
            before: None,
        };
        let command =
            CtlCommand::Audit { device: None, alert: None, by: Some("Ibu Siti".to_owned()), page };
        let expected =
            "/v1/audit?operator=Ibu%20Siti&since=2026-03-01T18%3A30%3A00%2B07%3A00&limit=5";
        assert_eq!(asked(&command), (expected.to_owned(), None));
        let device = DeviceId([0xab; 16]);
        let (path, body) = asked(&CtlCommand::Block {
            id: device,
            span: Duration::from_secs(60),
            reason: "rings".to_owned(),
        });
        assert_eq!(path, format!("/v1/devices/{device}/block"));
        assert_eq!(body, Some(json!({"duration_s": 60, "reason": "rings"})));
    }
}
