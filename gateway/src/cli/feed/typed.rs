//! What whoever reads the feed types: `ack ALERT`. And which alert they mean.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};
use std::thread;

use protocol::AlertId;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cli::client::Client;

/// Alerts that can be named by their first digits: those that were shown last.
const SHOWN_MAX: usize = 1_000;
/// Fewer digits than this are a slip of the hand.
const DIGITS_MIN: usize = 4;
/// Lines that wait for their answer.
const LINES_MAX: usize = 16;

/// The lines, and the alerts that they may name.
pub(super) struct Typed {
    client: Client,
    lines: Option<mpsc::Receiver<String>>,
    shown: VecDeque<String>,
}

impl Typed {
    /// Reads standard input if that is `wanted`, on a thread that nobody waits for: a terminal may stay silent for ever.
    pub(super) fn new(wanted: bool, client: Client) -> Self {
        let lines = wanted.then(|| {
            let (line, lines) = mpsc::channel(LINES_MAX);
            thread::spawn(move || {
                for read in io::stdin().lock().lines().map_while(Result::ok) {
                    if line.blocking_send(read).is_err() {
                        return;
                    }
                }
            });
            lines
        });
        Self { client, lines, shown: VecDeque::new() }
    }

    /// Remembers the alert that an event is about.
    pub(super) fn shown(&mut self, data: &str) {
        if self.lines.is_none() {
            return;
        }
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let Some(alert) = data.get("alert_id").and_then(Value::as_str) else { return };
        if self.shown.iter().any(|shown| shown == alert) {
            return;
        }
        if self.shown.len() >= SHOWN_MAX {
            self.shown.pop_front();
        }
        self.shown.push_back(alert.to_owned());
    }

    /// The next line that was typed; never, once there is none any more. Nothing is lost if it is dropped while it waits.
    pub(super) async fn line(&mut self) -> String {
        if let Some(lines) = &mut self.lines
            && let Some(line) = lines.recv().await
        {
            return line;
        }
        std::future::pending().await
    }

    /// Does what `line` says, beside the feed, and tells on standard error what became of it.
    pub(super) fn obey(&self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let alert = match self.meant(line) {
            Ok(alert) => alert,
            Err(problem) => return tell(&problem),
        };
        let client = self.client.clone();
        tokio::spawn(async move {
            let path = format!("/v1/alerts/{alert}/acknowledge");
            match client.ask(&path, Some(&json!({}))).await {
                Ok(_) => tell(&format!("{alert} acknowledged")),
                Err(error) => tell(&format!("{alert} {error}")),
            }
        });
    }

    /// The alert that `line` means.
    fn meant(&self, line: &str) -> Result<AlertId, String> {
        let Some(digits) = line.trim().strip_prefix("ack ").map(str::trim) else {
            return Err("write ack and an alert".to_owned());
        };
        let digits = digits.to_ascii_lowercase();
        if let Ok(alert) = digits.parse() {
            return Ok(alert);
        }
        if digits.len() < DIGITS_MIN {
            return Err(format!("{digits}: write {DIGITS_MIN} digits at least"));
        }
        let mut named = self.shown.iter().filter(|shown| shown.starts_with(&digits));
        match (named.next(), named.next()) {
            (Some(alert), None) => alert.parse().map_err(|_| format!("{alert} is no alert")),
            (Some(_), Some(_)) => {
                Err(format!("{digits}: several alerts begin so; write more of it"))
            }
            (None, _) => Err(format!("{digits}: no alert that was shown begins so")),
        }
    }
}

fn tell(said: &str) {
    // Nobody is left to tell if this fails.
    drop(writeln!(io::stderr(), "{said}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alert_is_meant_by_its_id_or_by_digits_that_only_it_begins_with() {
        let (_line, lines) = mpsc::channel(1);
        let client = Client {
            operator: axum::http::Uri::from_static("http://127.0.0.1"),
            token: String::new(),
            ca: None,
        };
        let mut typed = Typed { client, lines: Some(lines), shown: VecDeque::new() };
        for first in [0xab, 0xac] {
            let alert =
                AlertId([[first, 0x11].as_slice(), &[first; 14]].concat().try_into().unwrap());
            typed.shown(&json!({ "alert_id": alert.to_string() }).to_string());
            typed.shown(&json!({ "alert_id": alert.to_string() }).to_string());
        }
        typed.shown("no json");
        assert_eq!(typed.shown.len(), 2);
        let first = typed.shown[0].clone();
        let unseen = AlertId([7; 16]);
        assert_eq!(typed.meant(&format!("ack {unseen}")), Ok(unseen));
        assert_eq!(typed.meant(" ack AB11 ").unwrap().to_string(), first);
        for (line, problem) in [
            ("ack ab1", "4 digits"),
            ("ack ab12", "begins so"),
            ("ack", "write ack"),
            ("resolve ab11", "write ack"),
        ] {
            assert!(typed.meant(line).unwrap_err().contains(problem), "{line}");
        }
    }
}
