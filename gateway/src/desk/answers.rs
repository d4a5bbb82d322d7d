//! Answers the desk's questions from the index and the journal, on a thread of its own: the desk waits for no disk.

use std::sync::Arc;

use pipeline::{Answer, Cursor, Entry, Input, Recollected, Record};
use protocol::{AlertId, MessageId};
use tokio::sync::mpsc;

use crate::journal::{JournalError, Reader};
use crate::registry::Registry;
use crate::search::{Lookup, SearchError};

/// What the desk asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    /// Where a message is journaled.
    LookUp(MessageId),
    /// A whole raise, by its alert and, if the desk knows it, its place.
    Recollect(AlertId, Option<Cursor>),
}

/// Why a raise could not be read back.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What answers are made from.
pub(super) struct Answers {
    pub(super) lookup: Lookup,
    pub(super) reader: Reader,
    pub(super) registry: Arc<Registry>,
}

impl Answers {
    /// Answers until the desk has ended.
    ///
    /// An index that cannot be read answers as if it knew nothing: a press paged twice is better than one lost, and an
    /// operator who is told that an alert is unknown asks again.
    pub(super) fn run(mut self, mut asked: mpsc::Receiver<Question>, answer: &mpsc::Sender<Input>) {
        let failures = metrics::counter!("gateway_lookup_failures_total");
        let lookups = metrics::counter!("gateway_lookups_total");
        while let Some(question) = asked.blocking_recv() {
            lookups.increment(1);
            let input = match question {
                Question::LookUp(id) => {
                    let found = self.lookup.find(id).unwrap_or_else(|error| {
                        failures.increment(1);
                        tracing::warn!(%error, "the index cannot be read; a copy may be taken for a first press");
                        None
                    });
                    Input::LookedUp { id, found }
                }
                Question::Recollect(alert, cursor) => {
                    let found = self.recollect(alert, cursor).unwrap_or_else(|error| {
                        failures.increment(1);
                        tracing::warn!(%error, "an alert cannot be read back; it is answered as unknown");
                        None
                    });
                    Input::Recollected { alert, found }
                }
            };
            if answer.blocking_send(input).is_err() {
                return;
            }
        }
    }

    fn recollect(
        &mut self,
        alert: AlertId,
        cursor: Option<Cursor>,
    ) -> Result<Option<Recollected>, AnswerError> {
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => match self.lookup.find(MessageId(alert.0))? {
                Some(found) => found.cursor,
                None => return Ok(None),
            },
        };
        let Some(raise) = self.raise_at(cursor, alert)? else { return Ok(None) };
        let device_index = self.registry.index_of(&raise.device);
        let promoted = self.lookup.is_promoted(alert)?;
        let answer = Answer::Waiting;
        Ok(Some(Recollected { raise: Arc::new(raise), device_index, promoted, answer }))
    }

    /// The raise at `cursor`, if that is what opened `alert`.
    fn raise_at(&mut self, cursor: Cursor, alert: AlertId) -> Result<Option<Record>, JournalError> {
        let before = Cursor(cursor.0.saturating_sub(1));
        let entry = self.reader.read_after(before, 1)?.pop();
        let record = entry.and_then(|entry| match entry {
            Entry::Message(record) => Some(record),
            Entry::Decision(_) => None,
        });
        Ok(record.filter(|record| record.message_id.alert() == alert))
    }
}
