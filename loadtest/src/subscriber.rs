//! Reads the feed as a command centre does: server-sent events over HTTP, resumed where it broke off.
//!
//! It runs on a thread of its own, so that the driver cannot delay it, and notes the instant at which the bytes of an
//! event had arrived. It must keep up with twenty thousand events a second beside the driver, so events are split from
//! the bytes in place and only two fields of each are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::StreamExt as _;
use protocol::AlertId;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::clock::{Clock, Moment};
use crate::ledger::{Ledger, PressIndex};
use crate::plan::Alerts;

/// Wait before the feed is opened again after it broke off.
const REOPEN_AFTER: Duration = Duration::from_millis(100);
/// How long the operator address may take to answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// An event is never longer than this, in bytes; a feed that sends more without an end is not a feed.
const EVENT_LEN_MAX: usize = 1 << 20;

/// Where the feed is and who reads it.
#[derive(Debug, Clone)]
pub struct Source {
    /// `http://host:port`, without a path.
    pub operator: String,
    /// The subscriber's token.
    pub token: String,
}

/// Why the feed cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Nobody answers at the operator address, or not in HTTP.
    #[error("the operator address cannot be reached: {}", causes(.0))]
    Unreachable(#[from] reqwest::Error),
    /// The token is not accepted: unknown, expired, or ill-formed.
    #[error("the operator address does not accept the token ({0})")]
    Token(StatusCode),
    /// The address answers, but not with a feed.
    #[error("the operator address answers {0} instead of a feed")]
    Status(StatusCode),
    /// The reading thread could not be started or stopped early.
    #[error("the subscriber's thread ended early")]
    Thread,
}

/// An error with everything behind it; reqwest's own text leaves the cause out.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A feed that is being read.
#[derive(Debug)]
pub struct Subscriber {
    thread: JoinHandle<()>,
    stopped: oneshot::Sender<()>,
    reconnects: Arc<AtomicU64>,
}

/// What is told of each alert that a feed shows: the press that raised it, if one of this run did, and when.
pub(crate) type Shown = Box<dyn Fn(Option<PressIndex>, Moment) + Send + Sync>;

/// One feed that is read on.
pub(crate) struct Reading {
    pub(crate) source: Source,
    pub(crate) client: Client,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) shown: Shown,
    pub(crate) clock: Clock,
    pub(crate) reconnects: Arc<AtomicU64>,
}

impl Subscriber {
    /// Opens the feed and reads it from now on. Returns when the gateway has agreed, so that no later press is missed.
    ///
    /// # Errors
    /// When the address cannot be reached, the token is not accepted, or there is no feed.
    pub async fn open(
        source: Source,
        alerts: Alerts,
        ledger: Arc<Ledger>,
        clock: Clock,
    ) -> Result<Self, FeedError> {
        let (agreed, agreement) = oneshot::channel();
        let (stopped, stopping) = oneshot::channel();
        let reconnects = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&reconnects);
        let client = client()?;
        let shown: Shown = Box::new(move |press, now| match press {
            Some(press) => ledger.fed(press, now),
            None => ledger.unexpected(),
        });
        let alerts = Arc::new(alerts);
        let reading = Reading { source, client, alerts, shown, clock, reconnects: counted };
        let run = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build()
            else {
                return;
            };
            runtime.block_on(async move {
                match reading.open(None).await {
                    Ok(response) => {
                        if agreed.send(Ok(())).is_ok() {
                            tokio::select! {
                                () = reading.read_on(response) => {}
                                _ = stopping => {}
                            }
                        }
                    }
                    Err(error) => drop(agreed.send(Err(error))),
                }
            });
        };
        let thread = thread::Builder::new().name("subscriber".to_owned()).spawn(run);
        let thread = thread.map_err(|_| FeedError::Thread)?;
        agreement.await.map_err(|_| FeedError::Thread)??;
        Ok(Self { thread, stopped, reconnects })
    }

    /// Stops reading. Returns how often the feed had to be opened again.
    #[must_use]
    pub fn close(self) -> u64 {
        // A thread that has ended by itself no longer listens; joining it is all that is left to do.
        if self.stopped.send(()).is_err() {
            tracing::debug!("the subscriber's thread had ended");
        }
        self.thread.join().unwrap_or_default();
        self.reconnects.load(Relaxed)
    }
}

/// Asks for the feed and hangs up: says whether address and token are good.
///
/// # Errors
/// See [`FeedError`].
pub async fn probe(source: &Source) -> Result<(), FeedError> {
    open(&client()?, source, None).await.map(drop)
}

pub(crate) fn client() -> Result<Client, FeedError> {
    let client = Client::builder().connect_timeout(OPEN_TIMEOUT).tcp_nodelay(true).no_proxy();
    Ok(client.build()?)
}

/// Asks for the feed from `after` on.
pub(crate) async fn open(
    client: &Client,
    source: &Source,
    after: Option<&str>,
) -> Result<Response, FeedError> {
    open_at(client, source, "", after).await
}

/// The same with a query, which begins with a question mark.
pub(crate) async fn open_at(
    client: &Client,
    source: &Source,
    query: &str,
    after: Option<&str>,
) -> Result<Response, FeedError> {
    let url = format!("{}/v1/feed{query}", source.operator.trim_end_matches('/'));
    let mut request = client
        .get(url)
        .header(ACCEPT, "text/event-stream")
        .header(AUTHORIZATION, format!("Bearer {}", source.token));
    if let Some(after) = after.and_then(|after| HeaderValue::from_str(after).ok()) {
        request = request.header("last-event-id", after);
    }
    let response = request.send().await?;
    match response.status() {
        StatusCode::OK => Ok(response),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Err(FeedError::Token(status))
        }
        status => Err(FeedError::Status(status)),
    }
}

impl Reading {
    /// Opens the feed.
    pub(crate) async fn open(&self, after: Option<&str>) -> Result<Response, FeedError> {
        open(&self.client, &self.source, after).await
    }

    /// Reads until it is dropped, and opens the feed again where it broke off.
    pub(crate) async fn read_on(&self, first: Response) {
        let mut last_id = String::new();
        let mut response = Some(first);
        loop {
            if let Some(response) = response.take() {
                self.read(response, &mut last_id).await;
                self.reconnects.fetch_add(1, Relaxed);
            }
            tokio::time::sleep(REOPEN_AFTER).await;
            let after = Some(last_id.as_str()).filter(|id| !id.is_empty());
            match self.open(after).await {
                Ok(opened) => response = Some(opened),
                Err(error) => tracing::debug!(%error, "the feed cannot be opened again yet"),
            }
        }
    }

    async fn read(&self, response: Response, last_id: &mut String) {
        let mut chunks = response.bytes_stream();
        let mut splitter = Splitter::default();
        while let Some(chunk) = chunks.next().await {
            let Ok(chunk) = chunk else { return };
            let now = self.clock.now();
            splitter.push(&chunk, |event| {
                if let Some(id) = event.id {
                    last_id.clear();
                    last_id.push_str(id);
                }
                if let Some(alert) = event.raised() {
                    (self.shown)(alert.and_then(|alert| self.alerts.press(&alert)), now);
                }
            });
            if splitter.is_full() {
                return;
            }
        }
    }
}

/// One server-sent event, borrowed from the bytes that came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    id: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) data: &'a str,
}

/// The two fields of an event that matter here.
#[derive(Deserialize)]
struct Data<'a> {
    alert_id: Option<&'a str>,
    kind: &'a str,
}

impl<'a> Event<'a> {
    /// Nothing if the event raises no alert (comments, gaps, updates, cancels); otherwise the alert, or nothing inside
    /// if it cannot be read, which no press explains.
    #[expect(
        clippy::option_option,
        reason = "no raise, an unreadable raise and a raise are three things"
    )]
    fn raised(&self) -> Option<Option<AlertId>> {
        if self.name != "alert" {
            return None;
        }
        match serde_json::from_str::<Data<'a>>(self.data) {
            Ok(data) if data.kind == "raise" => {
                Some(data.alert_id.and_then(|alert| alert.parse().ok()))
            }
            Ok(_) => None,
            Err(_) => Some(None),
        }
    }

    /// Reads the lines of one event. The gateway writes `data` on one line; of several, the last would be taken.
    fn parse(text: &'a str) -> Self {
        let mut event = Self::default();
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => event.id = Some(value),
                "event" => event.name = value,
                "data" => event.data = value,
                _ => {}
            }
        }
        event
    }
}

/// Splits the bytes of a feed into events, whatever the pieces in which they come. Lines end with a line feed, as the
/// gateway writes them.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Takes the next piece and calls `each` for every event that is complete with it.
    pub(crate) fn push(&mut self, piece: &[u8], mut each: impl FnMut(Event<'_>)) {
        if self.rest.is_empty() {
            self.rest.extend_from_slice(split(piece, &mut each));
        } else {
            self.rest.extend_from_slice(piece);
            let whole = std::mem::take(&mut self.rest);
            self.rest.extend_from_slice(split(&whole, &mut each));
        }
    }

    /// Whether more has come without an end than any event is long.
    pub(crate) fn is_full(&self) -> bool {
        self.rest.len() > EVENT_LEN_MAX
    }
}

/// Calls `each` for every complete event and returns what is left.
fn split<'a>(mut bytes: &'a [u8], each: &mut impl FnMut(Event<'_>)) -> &'a [u8] {
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") {
        let (event, rest) = bytes.split_at(end);
        if let Ok(text) = std::str::from_utf8(event) {
            each(Event::parse(text));
        }
        bytes = rest.get(2..).unwrap_or_default();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: &str = concat!(
        ": welcome\n\n",
        "id: aaa\nevent: alert\ndata: {\"alert_id\":\"01010101010101010101010101010101\",\"kind\":\"raise\",\"note\":\"\\n\\u00e9\"}\n\n",
        "id: bbb\nevent: alert\ndata: {\"alert_id\":\"02020202020202020202020202020202\",\"kind\":\"cancel\"}\n\n",
        "event: gap\ndata: {}\n\n",
        "id: ccc\nevent: alert\ndata: garbage\n\n",
        "id: ddd\nevent: alert\ndata: {\"alert_id\":null,\"kind\":\"raise\"}\n\n",
    );

    fn split_in_pieces_of(len: usize) -> Vec<(Option<String>, Option<Option<AlertId>>)> {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for piece in FEED.as_bytes().chunks(len) {
            splitter
                .push(piece, |event| events.push((event.id.map(str::to_owned), event.raised())));
        }
        assert!(splitter.rest.is_empty());
        events
    }

    #[test]
    fn finds_the_same_events_in_whatever_pieces_they_come() {
        let id = |id: &str| Some(id.to_owned());
        let expected = vec![
            (None, None),
            (id("aaa"), Some(Some(AlertId([1; 16])))),
            (id("bbb"), None),
            (None, None),
            (id("ccc"), Some(None)),
            (id("ddd"), Some(None)),
        ];
        for len in 1..=FEED.len() {
            assert_eq!(split_in_pieces_of(len), expected, "pieces of {len}");
        }
    }
}
