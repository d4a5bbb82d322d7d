//! One webhook at work: one event after the other, in order, each until it is delivered or given up.
//!
//! It holds one batch of events and one connection, whatever its target does, and shares with other webhooks only the
//! turns at the journal and the ledger. It goes on only when the ledger is on disk.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pipeline::{Cursor, Time};
use tokio::sync::watch;

use super::backoff::backoff;
use super::ledger::{DeadLetter, Ledger, LedgerError, Progress};
use super::line::Line;
use super::metrics::{Failing, Metrics};
use super::outbox::{Batch, Letter, Outbox, OutboxError};
use super::post::{Addressee, Cause, Failed, Poster};
use super::target::Target;
use crate::feed::{Attendance, Attending};
use crate::registry::Webhook;

/// Entries that were not for a webhook are noted once there are so many, or with the next event that is.
const SKIPPED_MAX: u64 = 4_096;

/// Waits for so long.
pub type Pause = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What every webhook shares.
pub(super) struct Shared {
    pub(super) outbox: Arc<Outbox>,
    pub(super) ledger: Ledger,
    pub(super) poster: Poster,
    pub(super) attendance: Arc<Attendance>,
    pub(super) metrics: Metrics,
    pub(super) synced: watch::Receiver<Cursor>,
    pub(super) now: Arc<dyn Fn() -> Time + Send + Sync>,
    pub(super) pause: Pause,
}

/// One webhook.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    /// The webhook as the registry has it: `retries` may grow.
    pub(super) webhook: watch::Receiver<Arc<Webhook>>,
}

/// Why a webhook stands still.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Journal(#[from] OutboxError),
}

/// Where a webhook is.
struct Place {
    webhook: Arc<Webhook>,
    target: Result<Target, Cause>,
    progress: Progress,
    batch: Batch,
    /// The connection of the last attempt, if the target keeps it.
    line: Option<Line>,
    /// As long as it delivers, if it stands for somebody who listens in its zones.
    attending: Option<Attending>,
    /// Whether dead letters may be due.
    due: bool,
    failing: Option<Failing>,
}

impl Worker {
    /// Delivers, for ever. When disk or journal fail it begins again where the ledger says.
    pub(super) async fn run(mut self) {
        loop {
            let Err(stuck) = self.deliver().await;
            let id = self.webhook.borrow().id;
            tracing::error!(webhook = %id, error = %stuck, "webhook stands still; it goes on where it was");
            (self.shared.pause)(self.shared.poster.config.retry_max).await;
        }
    }

    async fn deliver(&mut self) -> Result<std::convert::Infallible, Stuck> {
        let mut place = self.begin().await?;
        loop {
            self.heed(&mut place).await?;
            if place.due {
                place.due = self.retry_one(&mut place).await?;
            }
            if place.batch.letters.is_empty() {
                self.refill(&mut place).await?;
            } else if self.attempt(&mut place).await? {
                place.batch.letters.pop_front();
            }
        }
    }

    /// Where the ledger says that this webhook is.
    async fn begin(&mut self) -> Result<Place, Stuck> {
        let webhook = Arc::clone(&self.webhook.borrow_and_update());
        let (id, after) = (webhook.id, webhook.after);
        let progress = self
            .write(move |ledger| {
                ledger.begin(id, after)?;
                ledger.progress(id)
            })
            .await?;
        let progress = progress.unwrap_or(Progress {
            cursor: after,
            attempts: 0,
            first_attempt_at: None,
            dropped: 0,
            retries: 0,
        });
        let target = Target::parse(&webhook.url, webhook.allow_private);
        let target = target.map_err(|error| {
            tracing::warn!(webhook = %id, %error, "webhook's address cannot be used");
            Cause::Garbled
        });
        let batch = Batch { last: progress.cursor, ..Batch::default() };
        // One that was failing when the gateway ended has to deliver first.
        let delivers = progress.attempts == 0;
        let attending = self.attend(&webhook).filter(|_| delivers);
        let (line, failing) = (None, None);
        Ok(Place { webhook, target, progress, batch, line, attending, due: true, failing })
    }

    /// Listens in the webhook's zones, if it is to.
    fn attend(&self, webhook: &Webhook) -> Option<Attending> {
        webhook.attends.then(|| self.shared.attendance.attend(&webhook.zones))
    }

    /// Somebody may have asked to try again.
    async fn heed(&mut self, place: &mut Place) -> Result<(), Stuck> {
        place.webhook = Arc::clone(&self.webhook.borrow_and_update());
        let (id, retries) = (place.webhook.id, place.webhook.retries);
        if retries != place.progress.retries {
            self.write(move |ledger| ledger.revive(id, retries)).await?;
            place.progress =
                Progress { retries, attempts: 0, first_attempt_at: None, ..place.progress };
            place.due = true;
        }
        Ok(())
    }

    /// Tries one dead letter that is due, once: what is new does not wait for what is old. Whether there was one.
    async fn retry_one(&self, place: &mut Place) -> Result<bool, Stuck> {
        let id = place.webhook.id;
        let Some(due) = self.write(move |ledger| ledger.due(id)).await? else { return Ok(false) };
        let cursor = due.cursor;
        let Some(letter) = self.shared.outbox.one(&place.webhook, cursor).await? else {
            // The zones have changed: it is no longer this webhook's to know.
            self.write(move |ledger| ledger.delivered(id, cursor)).await?;
            return Ok(true);
        };
        match self.post(place, &letter).await {
            Ok(()) => self.write(move |ledger| ledger.delivered(id, cursor)).await?,
            Err(failed) => {
                let again = DeadLetter {
                    attempts: due.attempts.saturating_add(1),
                    died_at: (self.shared.now)(),
                    cause: failed.cause.name().to_owned(),
                    ..due
                };
                self.write(move |ledger| ledger.died_again(id, &again)).await?;
            }
        }
        Ok(true)
    }

    /// Reads on; waits until there is something, unless dead letters are due.
    async fn refill(&mut self, place: &mut Place) -> Result<(), Stuck> {
        let mut synced = self.shared.synced.clone();
        let after = place.batch.last;
        if *synced.borrow_and_update() <= after {
            if !place.due {
                tokio::select! {
                    changed = synced.changed() => {
                        if changed.is_err() {
                            return Err(OutboxError::Stopping.into());
                        }
                    }
                    changed = self.webhook.changed() => {
                        if changed.is_err() {
                            return Err(OutboxError::Stopping.into());
                        }
                    }
                    () = closed(&mut place.line) => place.line = None,
                }
            }
            return Ok(());
        }
        place.batch = self.shared.outbox.read(&place.webhook, after).await?;
        let (id, last) = (place.webhook.id, place.batch.last);
        let passed = last.0.saturating_sub(place.progress.cursor.0);
        if place.batch.letters.is_empty() && passed >= SKIPPED_MAX {
            self.write(move |ledger| ledger.advance(id, last)).await?;
            place.progress.cursor = last;
        }
        Ok(())
    }

    /// Tries the event that comes next. Whether it is done with, one way or the other.
    async fn attempt(&mut self, place: &mut Place) -> Result<bool, Stuck> {
        let Some(letter) = place.batch.letters.front().cloned() else { return Ok(false) };
        let (id, cursor) = (place.webhook.id, letter.cursor);
        let began = (self.shared.now)();
        let failed = match self.post(place, &letter).await {
            Ok(()) => {
                self.write(move |ledger| ledger.advance(id, cursor)).await?;
                done(place, cursor);
                if place.attending.is_none() {
                    place.attending = self.attend(&place.webhook);
                }
                return Ok(true);
            }
            Err(failed) => failed,
        };
        place.attending = None;
        let attempts = place.progress.attempts.saturating_add(1);
        let first = place.progress.first_attempt_at.unwrap_or(began);
        if self.is_hopeless(attempts, first, failed.cause) {
            self.bury(place, &letter, attempts, failed.cause).await?;
            return Ok(true);
        }
        if attempts == 1 {
            tracing::warn!(webhook = %id, cause = failed.cause.name(), "webhook fails; it is tried again");
        }
        place.failing.get_or_insert_with(|| self.shared.metrics.failing());
        place.progress.attempts = attempts;
        place.progress.first_attempt_at = Some(first);
        self.write(move |ledger| ledger.failed(id, attempts, first)).await?;
        let wait = self.wait_after(place, attempts, cursor, failed);
        tokio::select! {
            () = (self.shared.pause)(wait) => {}
            changed = self.webhook.changed() => changed.map_err(|_| OutboxError::Stopping)?,
        }
        Ok(false)
    }

    fn wait_after(&self, place: &Place, attempts: u32, cursor: Cursor, failed: Failed) -> Duration {
        let [a, b, c, d, e, f, g, h, ..] = place.webhook.id.0;
        let seed = u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ cursor.0;
        backoff(&self.shared.poster.config, attempts, seed, failed.retry_after)
    }

    fn is_hopeless(&self, attempts: u32, first: Time, cause: Cause) -> bool {
        let config = &self.shared.poster.config;
        let most = match cause {
            Cause::Rejected => config.rejections_max.min(config.attempts_max),
            _ => config.attempts_max,
        };
        let age = Duration::from_micros((self.shared.now)().0.saturating_sub(first.0));
        attempts >= most || age >= config.age_max
    }

    async fn bury(
        &self,
        place: &mut Place,
        letter: &Letter,
        attempts: u32,
        cause: Cause,
    ) -> Result<(), Stuck> {
        let (id, cursor) = (place.webhook.id, letter.cursor);
        let dead = DeadLetter {
            cursor,
            message_id: letter.id.clone(),
            attempts,
            died_at: (self.shared.now)(),
            cause: cause.name().to_owned(),
            due: false,
        };
        let limit = self.shared.poster.config.dead_letters_max;
        let dropped = self.write(move |ledger| ledger.bury(id, &dead, limit)).await?;
        self.shared.metrics.buried(cause, dropped);
        tracing::warn!(webhook = %id, event = letter.id, cause = cause.name(), attempts, "webhook's event is given up");
        done(place, cursor);
        Ok(())
    }

    async fn post(&self, place: &mut Place, letter: &Letter) -> Result<(), Failed> {
        let outcome = match &place.target {
            Ok(target) => {
                let Webhook { allow_private, secret, .. } = &*place.webhook;
                let to = Addressee { target, allow_private: *allow_private, secret };
                let now = (self.shared.now)();
                self.shared.poster.post(&to, letter, now, &mut place.line).await
            }
            Err(cause) => Err(Failed::from(*cause)),
        };
        self.shared.metrics.attempted(outcome.err().map(|failed| failed.cause));
        outcome
    }

    /// Asks the ledger, on a thread that may wait for the disk.
    async fn write<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let ledger = self.shared.ledger.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&ledger));
        asked.await.map_err(|_| LedgerError::Stopping)?
    }
}

/// Waits until the target closes the connection that was kept; for ever if there is none.
async fn closed(line: &mut Option<Line>) {
    match line {
        Some(line) => line.closed().await,
        None => std::future::pending().await,
    }
}

/// The event at `cursor` is delivered or given up, and the ledger says so.
fn done(place: &mut Place, cursor: Cursor) {
    place.failing = None;
    place.progress.cursor = cursor;
    place.progress.attempts = 0;
    place.progress.first_attempt_at = None;
}
