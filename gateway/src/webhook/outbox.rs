//! What is to be posted: the journal behind a webhook's place, as far as the webhook is entitled to it.
//!
//! This is the one place where webhooks meet the journal and the feed. It reads synced entries in small batches, on
//! threads that may block and few at one time, so that a crowd of webhooks that is behind takes turns. What an event says
//! is what the feed's subscribers are given.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use pipeline::{Cursor, Entry, Zones};
use tokio::sync::Semaphore;

use crate::feed::{
    Audience, CursorCodec, Entitlement, Format, Shape, View, encode_event, time_text,
};
use crate::journal::{JournalError, Reader};
use crate::lock::lock;
use crate::registry::Webhook;

/// Entries in one batch. Their events are what a webhook holds in memory, about 64 KiB.
const BATCH_ENTRIES: usize = 64;
/// Batches that are read at one time.
const READS_MAX: usize = 2;

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutboxError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The runtime is shutting down.
    #[error("the gateway is stopping")]
    Stopping,
}

/// One event for one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    /// Its place in the journal.
    pub(super) cursor: Cursor,
    /// Its name for the target: the sealed cursor, as the feed's `id:`.
    pub(super) id: String,
    /// What is posted.
    pub(super) body: Bytes,
    /// What that is.
    pub(super) media: &'static str,
}

/// A stretch of the journal, as one webhook sees it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The events that it is entitled to, in order.
    pub(super) letters: VecDeque<Letter>,
    /// The last place that was looked at.
    pub(super) last: Cursor,
}

/// The journal, as webhooks see it.
pub(super) struct Outbox {
    journal: PathBuf,
    codec: CursorCodec,
    zones: Arc<ArcSwap<Zones>>,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
}

impl Outbox {
    pub(super) fn new(journal: PathBuf, cursor_key: [u8; 16], zones: Arc<ArcSwap<Zones>>) -> Self {
        Self {
            journal,
            codec: CursorCodec::new(cursor_key),
            zones,
            turns: Arc::new(Semaphore::new(READS_MAX)),
            idle: Mutex::new(vec![]),
        }
    }

    /// What follows `after`, up to some place.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(super) async fn read(
        self: &Arc<Self>,
        webhook: &Arc<Webhook>,
        after: Cursor,
    ) -> Result<Batch, OutboxError> {
        self.take(webhook, after, BATCH_ENTRIES).await
    }

    /// The event at `cursor`, if the webhook may see it still.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(super) async fn one(
        self: &Arc<Self>,
        webhook: &Arc<Webhook>,
        cursor: Cursor,
    ) -> Result<Option<Letter>, OutboxError> {
        let mut batch = self.take(webhook, Cursor(cursor.0.saturating_sub(1)), 1).await?;
        Ok(batch.letters.pop_front().filter(|letter| letter.cursor == cursor))
    }

    async fn take(
        self: &Arc<Self>,
        webhook: &Arc<Webhook>,
        after: Cursor,
        limit: usize,
    ) -> Result<Batch, OutboxError> {
        let turns = Arc::clone(&self.turns);
        let turn = turns.acquire_owned().await.map_err(|_| OutboxError::Stopping)?;
        let (outbox, webhook) = (Arc::clone(self), Arc::clone(webhook));
        let read = tokio::task::spawn_blocking(move || {
            let batch = outbox.read_blocking(&webhook, after, limit);
            drop(turn);
            batch
        });
        Ok(read.await.map_err(|_| OutboxError::Stopping)??)
    }

    fn read_blocking(
        &self,
        webhook: &Webhook,
        after: Cursor,
        limit: usize,
    ) -> Result<Batch, JournalError> {
        let idle = lock(&self.idle).pop();
        let mut reader = idle.map_or_else(|| Reader::open(&self.journal), Ok)?;
        let entries = reader.read_after(after, limit)?;
        lock(&self.idle).push(reader);
        let entitlement = Entitlement::new(&webhook.zones, &self.zones.load());
        let last = entries.last().map_or(after, Entry::cursor);
        let entitled =
            entries.iter().filter(|entry| Audience::of(entry).has(&entitlement, &webhook.limits));
        let letters = entitled.filter_map(|entry| self.letter(entry, webhook)).collect();
        Ok(Batch { letters, last })
    }

    /// The entry as it is posted: the object that Standard Webhooks recommends, around the feed's own; or the document
    /// of CAP, which is whole as it is. Nothing where that format says nothing of it.
    fn letter(&self, entry: &Entry, webhook: &Webhook) -> Option<Letter> {
        let Webhook { format, limits, .. } = webhook;
        let shape = Shape { view: View::Alerts, format: *format, sight: limits.sight };
        let mut event = vec![];
        if !encode_event(entry, shape, &self.codec, &mut event) {
            return None;
        }
        let event = std::str::from_utf8(&event).ok()?;
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let (id, name, data) = (field("id: ")?, field("event: ")?, field("data: ")?);
        let at = time_text(match entry {
            Entry::Message(record) => record.received_at,
            Entry::Decision(decision) => decision.decided_at,
        });
        let (media, body) = match format {
            Format::Json | Format::Geojson => (
                "application/json",
                format!("{{\"type\":\"{name}\",\"timestamp\":\"{at}\",\"data\":{data}}}"),
            ),
            Format::Cap => ("application/cap+xml", data.to_owned()),
        };
        Some(Letter { cursor: entry.cursor(), id: id.to_owned(), body: body.into(), media })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pipeline::{Act, Agencies, Agency, Decision, Record, ZoneId};
    use protocol::{Category, Kind};

    use super::*;
    use crate::feed::testing::{record, town};
    use crate::registry::Limits;
    use crate::webhook::tests::webhook;

    fn sees(webhook: &Webhook, entry: impl Into<Entry>) -> bool {
        let entitlement = Entitlement::new(&webhook.zones, &town());
        Audience::of(&entry.into()).has(&entitlement, &webhook.limits)
    }

    /// An escalation of an alert of `east` to this zone.
    fn escalation(to: Option<&str>) -> Decision {
        Decision {
            act: Act::Escalate { to: to.map(ZoneId::new) },
            zone: ZoneId::new("town"),
            raise: Some(Arc::new(record(1, "east"))),
            ..crate::journal::testing::decision(2, 1)
        }
    }

    #[test]
    fn zones_that_are_paged_too_see_an_alert_as_its_own_does() {
        let webhook = webhook(1, "https://example.org/", &["west"]);
        assert!(sees(&webhook, record(1, "west-1")));
        assert!(!sees(&webhook, record(1, "east")));
        let also = vec![ZoneId::new("west-2")];
        assert!(sees(&webhook, Record { also, ..record(1, "east") }));
        assert!(sees(&webhook, escalation(Some("west"))));
        assert!(!sees(&webhook, escalation(Some("town"))));
        // To everybody who is entitled is not to everybody.
        assert!(!sees(&webhook, escalation(None)));
    }

    #[test]
    fn agencies_and_categories_narrow_what_is_seen() {
        let agencies = Agencies::NONE.with(Agency::Fire);
        let categories = [Category::Fire].into_iter().collect();
        let limits = Limits { agencies, categories, ..Limits::default() };
        let webhook = Webhook { limits, ..webhook(1, "https://example.org/", &["town"]) };
        let fire = Record { category: Category::Fire, ..record(1, "east") };
        let police = Agencies::NONE.with(Agency::Police);
        assert!(sees(&webhook, fire.clone()));
        assert!(!sees(&webhook, Record { agencies: police, ..fire.clone() }));
        assert!(!sees(&webhook, Record { category: Category::Crime, ..fire.clone() }));
        assert!(!sees(&webhook, Record { category: Category::Unspecified, ..fire.clone() }));
        let update = Record { kind: Kind::Update, incident: None, ..fire };
        assert!(sees(&webhook, update.clone()));
        assert!(!sees(&webhook, Record { category: Category::Unspecified, ..update }));
    }
}
