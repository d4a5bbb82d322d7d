//! One feed of incidents: how many events a second it has at most, and what they come to in the end.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::Value;

use crate::clock::{Clock, Moment};
use crate::feeds::Found;
use crate::subscriber::{FeedError, Source, Splitter, client, open_at};

const SECOND: Duration = Duration::from_secs(1);
/// How long nothing at all may come.
const BEGIN_MAX: Duration = Duration::from_secs(120);

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Shown {
    /// Events, all of them.
    pub events: u64,
    /// Events of the second that had most, wherever it begins.
    pub events_busiest_s: usize,
    /// Bytes, all of them.
    pub bytes: u64,
    /// Incidents that were shown.
    pub incidents: usize,
    /// Presses that their latest summaries count.
    pub presses: u64,
}

/// Reads a feed of incidents until nothing has changed for `duration` since the first.
///
/// # Errors
/// When the feed cannot be opened.
pub async fn watch(source: Source, duration: Duration) -> Result<Found, FeedError> {
    let clock = Clock::start();
    let query = "?view=incidents&from=start";
    let mut pieces = open_at(&client()?, &source, query, None).await?.bytes_stream();
    let mut tally = Tally::default();
    let mut changed: Option<Moment> = None;
    let mut open = 1;
    loop {
        let left = changed.map(|changed| duration.checked_sub(clock.now().since(changed)));
        // Keep-alives come in between, and whoever watches may come long before whatever happens.
        let Some(left) = left.unwrap_or(Some(BEGIN_MAX)) else { break };
        match tokio::time::timeout(left, pieces.next()).await {
            Ok(Some(Ok(piece))) if tally.read(&piece, clock.now()) => changed = Some(clock.now()),
            Ok(Some(Ok(_))) if !tally.splitter.is_full() => {}
            Ok(_) => {
                open = 0;
                break;
            }
            Err(_) => break,
        }
    }
    Ok(Found { planned: 1, open, shown: Some(tally.shown()), ..Found::default() })
}

/// What has come so far.
#[derive(Debug, Default)]
struct Tally {
    splitter: Splitter,
    /// When the events of the latest second came.
    lately: VecDeque<Moment>,
    counts: HashMap<String, u64>,
    shown: Shown,
}

impl Tally {
    /// Reads a piece. Whether an event was in it.
    fn read(&mut self, piece: &[u8], now: Moment) -> bool {
        let before = self.shown.events;
        self.shown.bytes += piece.len() as u64;
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.push(piece, |event| {
            if event.name == "incident" {
                self.event(event.data, now);
            }
        });
        self.splitter = splitter;
        self.shown.events > before
    }

    fn event(&mut self, data: &str, now: Moment) {
        self.shown.events += 1;
        while self.lately.front().is_some_and(|first| now.since(*first) >= SECOND) {
            self.lately.pop_front();
        }
        self.lately.push_back(now);
        self.shown.events_busiest_s = self.shown.events_busiest_s.max(self.lately.len());
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let id = data.get("incident_id").and_then(Value::as_str);
        if let (Some(id), Some(count)) = (id, data.get("count").and_then(Value::as_u64)) {
            self.counts.insert(id.to_owned(), count);
        }
    }

    fn shown(self) -> Shown {
        Shown { incidents: self.counts.len(), presses: self.counts.values().sum(), ..self.shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_busiest_second_and_the_latest_of_each_incident() {
        let clock = Clock::start();
        let start = clock.now();
        let mut tally = Tally::default();
        let event = |id: &str, count: u64| {
            format!(
                "id: x\nevent: incident\ndata: {{\"incident_id\":\"{id}\",\"count\":{count}}}\n\n"
            )
        };
        for (ms, id, count) in
            [(0, "a", 1), (100, "b", 1), (999, "a", 2), (1_000, "a", 3), (9_000, "b", 5)]
        {
            let text = event(id, count);
            let (first, second) = text.as_bytes().split_at(20);
            let now = start.plus(Duration::from_millis(ms));
            assert!(!tally.read(first, now));
            assert!(tally.read(second, now));
        }
        let shown = tally.shown();
        assert_eq!((shown.events, shown.events_busiest_s), (5, 3));
        assert_eq!((shown.incidents, shown.presses), (2, 8));
    }
}
