//! Webhooks: every synced event, posted to the services that asked for it, signed, in journal order, at least once.
//!
//! Each webhook has a task, a place in the journal and a ledger of its own ([`Ledger`]), so one that is dead, slow or
//! lying costs the others nothing and the feed nothing. This room starts and stops those tasks as the registry says. It
//! takes no part in an alert: it reads what is synced, and nobody waits for it.

mod backoff;
mod ledger;
mod line;
mod metrics;
mod outbox;
mod post;
mod signature;
mod target;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pipeline::{Cursor, Neighbour, Routing, Time, ZoneId, Zones};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::metrics::Metrics;
use self::outbox::Outbox;
use self::post::Poster;
use self::worker::{Shared, Worker};
use crate::config::WebhookConfig;
use crate::feed::Attendance;
use crate::registry::{Webhook, WebhookId};

pub use backoff::backoff;
pub use ledger::{DeadLetter, LEDGER_FILE, Ledger, LedgerError, Progress};
pub use post::{Cause, Resolve, Resolving, resolve_with_the_machine, trust, trust_of_the_machine};
pub use signature::sign;
pub use target::{Target, TargetError, is_public};
pub use worker::Pause;

/// What the room is made of.
pub struct WebhookParts {
    /// Where `webhooks.db` is kept.
    pub data_dir: PathBuf,
    /// The journal's file.
    pub journal: PathBuf,
    /// The deployment's cursor key.
    pub cursor_key: [u8; 16],
    /// The zones in force.
    pub zones: Arc<ArcSwap<Zones>>,
    /// The webhooks, the oldest first.
    pub webhooks: watch::Receiver<Vec<Arc<Webhook>>>,
    /// The routing in force: it names the neighbours that should have one.
    pub routing: watch::Receiver<Arc<Routing>>,
    /// Up to where the journal is synced.
    pub synced: watch::Receiver<Cursor>,
    /// The bounds.
    pub config: WebhookConfig,
    /// Whose certificates are believed.
    pub tls: Arc<ClientConfig>,
    /// What looks up names.
    pub resolve: Resolve,
    /// Where an attending webhook is told of.
    pub attendance: Arc<Attendance>,
    /// The gateway's clock.
    pub now: Arc<dyn Fn() -> Time + Send + Sync>,
    /// What waits between attempts.
    pub pause: Pause,
}

/// The room.
pub struct Webhooks {
    shared: Arc<Shared>,
    webhooks: watch::Receiver<Vec<Arc<Webhook>>>,
    routing: watch::Receiver<Arc<Routing>>,
    working: BTreeMap<WebhookId, Working>,
}

/// A webhook's task, which ends with this.
struct Working {
    webhook: watch::Sender<Arc<Webhook>>,
    task: JoinHandle<()>,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Webhooks {
    /// The room, with its ledger open and no webhook at work.
    ///
    /// # Errors
    /// If the ledger cannot be opened.
    pub fn open(parts: WebhookParts) -> Result<Self, LedgerError> {
        let ledger = Ledger::open(&parts.data_dir)?;
        let outbox = Outbox::new(parts.journal, parts.cursor_key, parts.zones);
        Ok(Self {
            shared: Arc::new(Shared {
                outbox: Arc::new(outbox),
                ledger,
                poster: Poster { config: parts.config, tls: parts.tls, resolve: parts.resolve },
                attendance: parts.attendance,
                metrics: Metrics::new(),
                synced: parts.synced,
                now: parts.now,
                pause: parts.pause,
            }),
            webhooks: parts.webhooks,
            routing: parts.routing,
            working: BTreeMap::new(),
        })
    }

    /// Delivers, and follows the registry, until the registry is gone. What is under way ends with this.
    pub async fn run(mut self) {
        loop {
            self.reconcile().await;
            self.miss();
            let changed = tokio::select! {
                changed = self.webhooks.changed() => changed,
                changed = self.routing.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Says which neighbours are told nothing, because nobody made a webhook for them.
    fn miss(&mut self) {
        let routing = Arc::clone(&self.routing.borrow_and_update());
        let webhooks = self.webhooks.borrow();
        let missing: Vec<_> = unheard(&routing, webhooks.iter().map(AsRef::as_ref)).collect();
        self.shared.metrics.missing(missing.len());
        for neighbour in missing {
            let neighbour = neighbour.name();
            tracing::warn!(
                neighbour,
                "routing names a neighbour that no webhook is for; it is told nothing"
            );
        }
    }

    /// Starts what is new, tells what has changed, stops what is gone.
    async fn reconcile(&mut self) {
        let mut wanted = self.webhooks.borrow_and_update().clone();
        let all: Vec<_> = wanted.iter().map(|webhook| webhook.id).collect();
        let most = self.shared.poster.config.targets_max;
        if wanted.len() > most {
            tracing::warn!(webhooks = wanted.len(), most, "only the oldest webhooks are served");
            wanted.truncate(most);
        }
        self.working.retain(|id, _| wanted.iter().any(|webhook| webhook.id == *id));
        for webhook in &wanted {
            if let Some(working) = self.working.get(&webhook.id) {
                working.webhook.send_if_modified(|known| {
                    let changed = *known != *webhook;
                    *known = Arc::clone(webhook);
                    changed
                });
            } else {
                self.start(Arc::clone(webhook));
            }
        }
        self.shared.metrics.served(wanted.len());
        let ledger = self.shared.ledger.clone();
        let kept = tokio::task::spawn_blocking(move || ledger.keep_only(&all)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, "webhooks that were removed are remembered for now");
        }
    }

    fn start(&mut self, webhook: Arc<Webhook>) {
        let id = webhook.id;
        let (sender, webhook) = watch::channel(webhook);
        let worker = Worker { shared: Arc::clone(&self.shared), webhook };
        let task = tokio::spawn(worker.run());
        self.working.insert(id, Working { webhook: sender, task });
    }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").field("working", &self.working.len()).finish_non_exhaustive()
    }
}

/// The neighbours in `routing` that none of these webhooks is for.
pub fn unheard<'r>(
    routing: &'r Routing,
    webhooks: impl IntoIterator<Item = &'r Webhook>,
) -> impl Iterator<Item = &'r Neighbour> {
    let told: BTreeSet<&ZoneId> = webhooks.into_iter().flat_map(|webhook| &webhook.zones).collect();
    routing.neighbours.iter().filter(move |neighbour| !told.contains(&neighbour.zone))
}

/// The journal's last cursor, from which a webhook that is added goes on; 0 if nothing was journaled yet.
///
/// # Errors
/// If there is a journal that cannot be read.
pub fn newest(journal: &Path) -> Result<Cursor, crate::journal::JournalError> {
    if !journal.exists() {
        return Ok(Cursor(0));
    }
    crate::journal::Reader::open(journal)?.last()
}
