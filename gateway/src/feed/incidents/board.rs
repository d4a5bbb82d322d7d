//! What readers of one kind are told of incidents, and how it is written: every reader with the same zones, the same limits
//! and the same format reads one board, and each summary is encoded once for all of them, when the first one reads it.
//!
//! Nothing is encoded that nobody reads, so a slow reader costs no more than a fast one: it finds each incident once, as it
//! is by then.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use pipeline::Cursor;
use tokio::sync::watch;

use super::super::access::Viewer;
use super::super::chunk::CHUNK_BYTES;
use super::super::cursor::CursorCodec;
use super::super::shape::Format;
use super::ledger::Ledger;
use super::shelf::{Shelf, Told, Turn};
use super::summary;
use crate::lock::lock;

/// Summaries that one read encodes at most: of the largest incidents, some milliseconds of a thread that others wait for.
const FRESH_MAX: usize = 32;

/// A board, and the wake-up of its readers.
pub(super) struct Board {
    viewer: Viewer,
    format: Format,
    shown: Mutex<Shown>,
    state: watch::Sender<State>,
}

/// How far a board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Incidents are still read from the journal.
    Filling,
    /// It tells incidents; the last of them.
    Open(Turn),
    /// The journal cannot be read.
    Failed,
}

#[derive(Default)]
struct Shown {
    shelf: Shelf,
    encoded: Encoded,
}

/// Summaries as bytes, without their ids, of turns that are told; the newest of them.
#[derive(Default)]
struct Encoded {
    by_turn: BTreeMap<Turn, Bytes>,
    bytes: usize,
}

/// What a reader is given at once.
pub(super) struct Batch {
    pub(super) bytes: Bytes,
    pub(super) events: usize,
    /// Where it goes on.
    pub(super) turn: Turn,
    /// The place to resume from afterwards.
    pub(super) position: Cursor,
}

impl Board {
    /// A board that waits to be filled.
    pub(super) fn new(viewer: Viewer, format: Format) -> Self {
        let state = watch::Sender::new(State::Filling);
        Self { viewer, format, shown: Mutex::default(), state }
    }

    /// Whether it is for readers of this kind.
    pub(super) fn is_for(&self, viewer: &Viewer, format: Format) -> bool {
        self.format == format && self.viewer == *viewer
    }

    /// How far it is, and the wake-up when it gets on.
    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// How far it is.
    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// What it shows of everything that is known.
    pub(super) fn shelf_of(&self, ledger: &Ledger) -> Shelf {
        let latest = ledger.incidents().filter_map(|(id, incident)| {
            let seen = incident.seen(|audience| self.viewer.sees(audience));
            Some((id, seen.map(|(member, _)| member.changed).max()?))
        });
        Shelf::new(latest, ledger.floor(), ledger.tip())
    }

    /// Opens it with this shelf. Readers lock a board and then the ledger, so the ledger is not to be locked by now.
    pub(super) fn open(&self, shelf: Shelf) {
        let last = shelf.last();
        self.lock().shelf = shelf;
        self.state.send_replace(State::Open(last));
    }

    /// Its incidents are told no more.
    pub(super) fn fail(&self) {
        self.state.send_replace(State::Failed);
    }

    /// Works on the shelf of a board that is filled; `wake`: readers are to look even if nothing is told.
    pub(super) fn update<T>(&self, wake: bool, work: impl FnOnce(&Viewer, &mut Shelf) -> T) -> T {
        let mut shown = self.lock();
        let before = shown.shelf.last();
        let done = work(&self.viewer, &mut shown.shelf);
        for turn in shown.shelf.take_gone() {
            shown.encoded.forget(turn);
        }
        let last = shown.shelf.last();
        drop(shown);
        if wake || last != before {
            self.state.send_replace(State::Open(last));
        }
        done
    }

    /// Lets readers look, though nothing is told: what their tokens see may have changed.
    pub(super) fn wake(&self) {
        self.state.send_modify(|_| {});
    }

    /// Looks at the shelf.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Shelf) -> T) -> T {
        at(&self.lock().shelf)
    }

    /// Bytes that are kept of summaries, and whether each of them is still told.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, bool) {
        let shown = self.lock();
        let told: std::collections::BTreeSet<_> =
            shown.shelf.behind(Turn::default()).map(|(turn, _)| turn).collect();
        let encoded = &shown.encoded.by_turn;
        let bytes = encoded.values().map(Bytes::len).sum();
        assert_eq!(bytes, shown.encoded.bytes);
        (bytes, encoded.keys().all(|turn| told.contains(turn)))
    }

    /// What is told behind `after` to a reader who was told every change up to `from`, about as much as fills a chunk.
    pub(super) fn read(
        &self,
        (after, from): (Turn, Cursor),
        ledger: &Mutex<Ledger>,
        codec: &CursorCodec,
        encoded_max: usize,
    ) -> Batch {
        let mut shown = self.lock();
        let Shown { shelf, encoded } = &mut *shown;
        let (mut turn, mut events, mut fresh, mut out) = (after, 0, 0, vec![]);
        for (next, told) in shelf.behind(after) {
            turn = next;
            if told.cursor <= from {
                continue;
            }
            let known = encoded.get(next);
            fresh += usize::from(known.is_none());
            let Some(summary) = known.or_else(|| self.encode(told, ledger)) else { continue };
            out.extend_from_slice(b"id: ");
            out.extend_from_slice(&codec.seal_passed(shelf.resumes_at(next).max(from)));
            out.push(b'\n');
            out.extend_from_slice(&summary);
            encoded.keep(next, summary, encoded_max);
            events += 1;
            if out.len() >= CHUNK_BYTES || fresh >= FRESH_MAX {
                break;
            }
        }
        let position = shelf.resumes_at(turn).max(from);
        Batch { bytes: out.into(), events, turn, position }
    }

    fn encode(&self, told: Told, ledger: &Mutex<Ledger>) -> Option<Bytes> {
        let mut out = vec![];
        let ledger = lock(ledger);
        let incident = (told.incident, ledger.incident(told.incident)?);
        let as_shown = (self.format, self.viewer.sight());
        match summary::write(incident, |audience| self.viewer.sees(audience), as_shown, &mut out) {
            Ok(written) => written.then(|| out.into()),
            Err(error) => {
                tracing::error!(incident = %told.incident, %error, "incident cannot be written");
                None
            }
        }
    }

    /// A thread that panicked while it held the lock has left whole values behind.
    fn lock(&self) -> MutexGuard<'_, Shown> {
        lock(&self.shown)
    }
}

impl Encoded {
    fn get(&self, turn: Turn) -> Option<Bytes> {
        self.by_turn.get(&turn).cloned()
    }

    /// What is told no more is read no more.
    fn forget(&mut self, turn: Turn) {
        if let Some(summary) = self.by_turn.remove(&turn) {
            self.bytes -= summary.len();
        }
    }

    fn keep(&mut self, turn: Turn, summary: Bytes, bytes_max: usize) {
        let len = summary.len();
        if let Some(before) = self.by_turn.insert(turn, summary) {
            self.bytes -= before.len();
        }
        self.bytes += len;
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.by_turn.pop_first() else { break };
            self.bytes -= oldest.len();
        }
    }
}
