//! A subscriber that never gives up: it reads the feed, and wherever that breaks off it goes on behind the last event that
//! it has, at whatever address the gateway has then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use eventsource_stream::{Event, Eventsource as _};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two tries to reach a gateway that is not there.
const PAUSE: Duration = Duration::from_millis(10);

/// A subscriber and what it has seen.
pub(crate) struct Listener {
    seen: watch::Receiver<Arc<BTreeSet<String>>>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens with this token, from the beginning.
    pub(crate) fn start(token: String, address: watch::Receiver<String>) -> Self {
        let (sender, seen) = watch::channel(Arc::default());
        let task = tokio::spawn(listen(token, address, sender));
        Self { seen, task }
    }

    /// The alerts that it was paged for or shown.
    pub(crate) fn raises(&self) -> Vec<String> {
        self.seen.borrow().iter().cloned().collect()
    }

    /// Waits until it has seen all of these.
    pub(crate) async fn has_seen(&self, alerts: &[String]) {
        let mut seen = self.seen.clone();
        let all = seen.wait_for(|seen| alerts.iter().all(|alert| seen.contains(alert))).await;
        drop(all);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(
    token: String,
    address: watch::Receiver<String>,
    seen: watch::Sender<Arc<BTreeSet<String>>>,
) {
    let client = reqwest::Client::new();
    let mut last = String::new();
    loop {
        let url = format!("http://{}/v1/feed?from=start", *address.borrow());
        let mut request = client.get(url).bearer_auth(&token);
        if !last.is_empty() {
            request = request.header("last-event-id", &last);
        }
        // Refused while the gateway does not know the token yet, and unreachable while it is not there.
        if let Ok(response) = request.send().await.and_then(reqwest::Response::error_for_status) {
            let mut events = response.bytes_stream().eventsource();
            while let Some(Ok(event)) = events.next().await {
                last.clone_from(&event.id);
                if let Some(alert) = raised(&event) {
                    seen.send_modify(|seen| {
                        Arc::make_mut(seen).insert(alert);
                    });
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The alert that an event raises.
fn raised(event: &Event) -> Option<String> {
    let data: Value = serde_json::from_str(&event.data).ok()?;
    let raises = event.event == "alert" && data["kind"] == "raise";
    raises.then(|| data["alert_id"].as_str().map(str::to_owned)).flatten()
}
