//! Many feeds that want nothing of the driver: idle ones, whose memory is weighed; stalled ones, which take nothing; and
//! one that reads everything from the beginning, as fast as it comes.

use std::time::Duration;

use clap::ValueEnum;
use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::Response;
use serde::Serialize;

use crate::clock::Clock;
use crate::resources::Process;
use crate::subscriber::{FeedError, Source, client, open, open_at};
use crate::watch::Shown;

/// Feeds that are being opened at any time.
const OPENING: usize = 64;
/// How long idle feeds are let be before the memory is read.
const REST: Duration = Duration::from_secs(2);

/// What is done with the feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Behaviour {
    /// Open them, read what comes, and weigh the gateway.
    Idle,
    /// Open them from the beginning of the journal and take nothing.
    Stall,
    /// Open one from the beginning of the journal and read to its end.
    Drain,
    /// Open one of incidents and count what it shows, until nothing changes any more.
    Watch,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Found {
    /// Feeds asked for.
    pub planned: usize,
    /// Feeds that were open when the memory was read, or at the end.
    pub open: usize,
    /// The gateway's memory before, in bytes.
    pub rss_bytes_before: Option<u64>,
    /// The gateway's memory with all of them open, in bytes.
    pub rss_bytes_after: Option<u64>,
    /// The difference by the number of open feeds, in bytes.
    pub rss_bytes_each: Option<u64>,
    /// Events read.
    pub events: u64,
    /// Seconds from the first byte to the last event.
    pub seconds: f64,
    /// Events a second.
    pub events_per_s: f64,
    /// What a feed of incidents showed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
}

/// Opens `planned` feeds, weighs them, and lets them be for `duration`.
///
/// # Errors
/// When the first feed cannot be opened.
pub async fn idle(
    source: Source,
    planned: usize,
    process: Option<Process>,
    duration: Duration,
) -> Result<Found, FeedError> {
    let client = client()?;
    let first = open(&client, &source, None).await?;
    let rss_bytes_before = process.and_then(Process::rss_bytes);
    let opened: Vec<Result<Response, FeedError>> = stream::iter(0..planned)
        .map(|_| open(&client, &source, None))
        .buffer_unordered(OPENING)
        .collect()
        .await;
    let reading = opened.into_iter().flatten().map(|response| {
        tokio::spawn(async move {
            let mut pieces = response.bytes_stream();
            while let Some(Ok(_)) = pieces.next().await {}
        })
    });
    let reading: Vec<_> = reading.collect();
    tokio::time::sleep(REST).await;
    let rss_bytes_after = process.and_then(Process::rss_bytes);
    tokio::time::sleep(duration).await;
    let open = reading.iter().filter(|feed| !feed.is_finished()).count();
    drop(first);
    let grown = rss_bytes_after.zip(rss_bytes_before);
    let grown = grown.map(|(after, before)| after.saturating_sub(before));
    let rss_bytes_each = grown.and_then(|grown| grown.checked_div(u64::try_from(open).ok()?));
    Ok(Found {
        planned,
        open,
        rss_bytes_before,
        rss_bytes_after,
        rss_bytes_each,
        ..Found::default()
    })
}

/// Opens `planned` feeds from the beginning and takes nothing of them for `duration`.
///
/// # Errors
/// When one of them cannot be opened.
pub async fn stall(
    source: Source,
    planned: usize,
    process: Option<Process>,
    duration: Duration,
) -> Result<Found, FeedError> {
    let client = client()?;
    let rss_bytes_before = process.and_then(Process::rss_bytes);
    let mut stalled = vec![];
    for _ in 0..planned {
        stalled.push(open_at(&client, &source, "?from=start", None).await?);
    }
    tokio::time::sleep(duration).await;
    let rss_bytes_after = process.and_then(Process::rss_bytes);
    Ok(Found {
        planned,
        open: stalled.len(),
        rss_bytes_before,
        rss_bytes_after,
        ..Found::default()
    })
}

/// Reads a feed from the beginning of the journal until `events` have come, or none for `duration`.
///
/// # Errors
/// When the feed cannot be opened.
pub async fn drain(
    source: Source,
    events: Option<u64>,
    duration: Duration,
) -> Result<Found, FeedError> {
    let clock = Clock::start();
    let response = open_at(&client()?, &source, "?from=start", None).await?;
    let mut pieces = response.bytes_stream();
    let begun = clock.now();
    let (mut count, mut ended) = (0, begun);
    // An event begins with its name; comments and ids alone have none.
    let mut counter = Counter::default();
    while events.is_none_or(|events| count < events)
        && let Ok(Some(Ok(piece))) = tokio::time::timeout(duration, pieces.next()).await
    {
        let found = counter.count(&piece);
        if found > 0 {
            count += found;
            ended = clock.now();
        }
    }
    let seconds = ended.since(begun).as_secs_f64();
    let events_per_s = if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    Ok(Found { planned: 1, open: 1, events: count, seconds, events_per_s, ..Found::default() })
}

/// Counts lines that begin with `event:`, whatever the pieces in which they come.
#[derive(Debug, Default)]
struct Counter {
    /// How much of the mark the bytes before have matched.
    matched: usize,
}

impl Counter {
    const MARK: &[u8] = b"\nevent:";

    fn count(&mut self, piece: &[u8]) -> u64 {
        let mut found = 0;
        for byte in piece {
            if Self::MARK.get(self.matched) == Some(byte) {
                self.matched += 1;
            } else {
                self.matched = usize::from(*byte == b'\n');
            }
            if self.matched == Self::MARK.len() {
                found += 1;
                self.matched = 0;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_events_in_whatever_pieces_they_come() {
        let feed = b": hi\nretry: 1\nid: a\n\nid: b\nevent: alert\ndata: {}\n\nid: c\nevent: gap\ndata: x\n\n";
        for len in 1..feed.len() {
            let mut counter = Counter::default();
            let found: u64 = feed.chunks(len).map(|piece| counter.count(piece)).sum();
            assert_eq!(found, 2, "pieces of {len}");
        }
    }
}
