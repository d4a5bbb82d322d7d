//! Reads the journal on behalf of the boards, one bounded batch a step, on a thread that may block.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use pipeline::policy::HORIZON_MAX;
use pipeline::{Cursor, Entry};

use super::Incidents;
use super::board::{Board, State};
use super::ledger::Change;
use crate::journal::{JournalError, Reader};
use crate::lock::lock;

/// Lines read in one step: some milliseconds of work.
const BATCH_LINES: usize = 1_024;

/// The journal's reader, once somebody asked.
pub(super) struct Follower {
    journal: PathBuf,
    reader: Option<Reader>,
}

/// What is to be done after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The next one: there is more to read.
    Again,
    /// Nothing until the journal grows, or until then.
    Wait(Option<Instant>),
    /// Nothing until somebody asks.
    Idle,
}

impl Follower {
    pub(super) fn new(journal: PathBuf) -> Self {
        Self { journal, reader: None }
    }

    /// The next lines up to `last`, and the place behind which they begin if they are the first.
    fn read(&mut self, tip: Cursor, last: Cursor) -> Result<Lines, JournalError> {
        let (mut reader, mut tip, mut begins) = match self.reader.take() {
            Some(reader) => (reader, tip, None),
            None => (Reader::open(&self.journal)?, tip, Some(tip)),
        };
        if begins.is_some() && tip == Cursor(0) {
            tip = a_day_back(&mut reader, last)?;
            begins = Some(tip);
        }
        let mut entries = reader.read_after(tip, BATCH_LINES)?;
        entries.retain(|entry| entry.cursor() <= last);
        self.reader = Some(reader);
        Ok(Lines { begins, entries })
    }
}

/// Lines of the journal.
pub(super) struct Lines {
    pub(super) begins: Option<Cursor>,
    pub(super) entries: Vec<Entry>,
}

/// The place a day before the line at `last`, found by halves: one that a clock set back has moved is as good as another.
fn a_day_back(reader: &mut Reader, last: Cursor) -> Result<Cursor, JournalError> {
    let Some(newest) = reader.entry(last)? else { return Ok(Cursor(0)) };
    let since = newest.at() - HORIZON_MAX;
    let (mut before, mut behind) = (0, last.0);
    while before + 1 < behind {
        let middle = before + (behind - before) / 2;
        let is_older = reader.entry(Cursor(middle))?.is_some_and(|entry| entry.at() < since);
        *(if is_older { &mut before } else { &mut behind }) = middle;
    }
    Ok(Cursor(before))
}

impl Incidents {
    /// One step, at `now`, of a journal that reaches to `last`; `wake`: the gateway stops, and readers wait for that.
    pub(super) fn step(&self, last: Cursor, now: Instant, wake: bool) -> Step {
        let mut follower = lock(&self.follower);
        let boards = self.live();
        if boards.is_empty() {
            return Step::Idle;
        }
        let tip = lock(&self.ledger).tip();
        let lines = match follower.read(tip, last) {
            Ok(lines) => lines,
            Err(error) => {
                tracing::error!(%error, "incidents cannot be read from the journal");
                lock(&self.boards).clear();
                boards.iter().for_each(|board| board.fail());
                return Step::Idle;
            }
        };
        let (tip, due) = self.take(&lines, &boards, (last, now), wake);
        // The journal reaches as far as was announced; if it did not, to ask again at once would help nobody.
        if tip < last && !lines.entries.is_empty() { Step::Again } else { Step::Wait(due) }
    }

    /// Folds lines of a journal that reaches to `last`, and tells on each board what they come to. Up to where everything
    /// is folded, and when there is something to be told next.
    pub(super) fn take(
        &self,
        lines: &Lines,
        boards: &[Arc<Board>],
        (last, now): (Cursor, Instant),
        wake: bool,
    ) -> (Cursor, Option<Instant>) {
        let changes = self.fold(lines);
        let tip = lock(&self.ledger).tip();
        let mut due: Option<Instant> = None;
        for board in boards {
            if board.state() == State::Filling {
                if tip >= last {
                    let shelf = board.shelf_of(&lock(&self.ledger));
                    board.open(shelf);
                }
                continue;
            }
            let next = board.update(wake, |viewer, shelf| {
                for change in &changes {
                    match change {
                        Change::Told { incident, cursor, audience } if viewer.sees(audience) => {
                            shelf.change(*incident, *cursor, now);
                        }
                        Change::Told { .. } => {}
                        Change::Left { incident } => shelf.leave(*incident),
                    }
                }
                shelf.pass(tip);
                shelf.flush(now);
                shelf.next_due()
            });
            due = due.into_iter().chain(next).min();
        }
        (tip, due)
    }

    fn fold(&self, lines: &Lines) -> Vec<Change> {
        let mut ledger = lock(&self.ledger);
        if let Some(after) = lines.begins
            && ledger.tip() < after
        {
            ledger.begin(after);
        }
        let mut changes = vec![];
        for entry in &lines.entries {
            ledger.fold(entry, &mut changes);
        }
        metrics::gauge!("gateway_feed_incident_members").set(ledger.members() as f64);
        changes
    }
}
