//! The view of incidents: sixty thousand presses after a quake are a map of some incidents, and not sixty thousand rings.
//!
//! An event tells an incident's whole state, for those who read it: the latest replaces all before. So a reader who is slow,
//! or who resumes, is told each incident that changed once, as it is by then. The incidents are a fold over the journal
//! ([`ledger`]); who is told which, and when, is kept for each kind of reader ([`board`], [`shelf`]).
//!
//! The journal is read from the first time that somebody asks for incidents, a day back, and followed while somebody
//! listens. That is simpler than a fold that runs along with the receipts, and costs nothing where nobody asks: no
//! gateway pays for a view that its command centres do not use.

mod board;
mod follow;
mod hull;
mod ledger;
mod member;
mod shelf;
mod stream;
mod summary;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use pipeline::Cursor;
use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;

use self::board::{Batch, Board};
use self::follow::{Follower, Step};
use self::ledger::Ledger;
use self::shelf::Turn;
pub(super) use self::stream::Incidents as IncidentStream;
use super::access::Viewer;
use super::shape::Format;
use super::state::Feed;
use crate::clock;
use crate::config::FeedConfig;
use crate::lock::lock;

/// What all readers of incidents share.
pub(super) struct Incidents {
    ledger: Mutex<Ledger>,
    boards: Mutex<Vec<Weak<Board>>>,
    /// One step at a time, whoever drives it.
    follower: Mutex<Follower>,
    asked: Notify,
}

impl Incidents {
    /// No incidents yet, of the journal at this path.
    pub(super) fn new(journal: PathBuf, config: &FeedConfig) -> Arc<Self> {
        Arc::new(Self {
            ledger: Mutex::new(Ledger::new(config.incident_members_max)),
            boards: Mutex::default(),
            follower: Mutex::new(Follower::new(journal)),
            asked: Notify::new(),
        })
    }

    /// The board for readers of this kind.
    fn board(&self, viewer: &Viewer, format: Format) -> Arc<Board> {
        let mut boards = lock(&self.boards);
        let mut live = boards.iter().filter_map(Weak::upgrade);
        if let Some(board) = live.find(|board| board.is_for(viewer, format)) {
            return board;
        }
        let board = Arc::new(Board::new(viewer.clone(), format));
        boards.push(Arc::downgrade(&board));
        self.asked.notify_one();
        board
    }

    /// The boards that somebody reads.
    fn live(&self) -> Vec<Arc<Board>> {
        let mut boards = lock(&self.boards);
        boards.retain(|board| board.strong_count() > 0);
        boards.iter().filter_map(Weak::upgrade).collect()
    }

    /// Lets every reader look which board is its own.
    pub(super) fn wake(&self) {
        self.live().iter().for_each(|board| board.wake());
    }

    /// What is told on `board` behind a turn, to a reader who was told every change up to a place.
    fn read(&self, board: &Board, behind: (Turn, Cursor), feed: &Feed) -> Batch {
        board.read(behind, &self.ledger, &feed.codec, feed.config.ring_bytes)
    }

    /// Follows the journal while somebody listens, for ever. `pushed`: how far it reaches. Boards stand still without it.
    pub(super) async fn run(
        self: &Arc<Self>,
        mut pushed: watch::Receiver<Cursor>,
        mut closing: watch::Receiver<bool>,
    ) {
        loop {
            let last = *pushed.borrow_and_update();
            let is_closing = *closing.borrow_and_update();
            let room = Arc::clone(self);
            let step = move || room.step(last, clock::monotonic(), is_closing);
            let Ok(step) = tokio::task::spawn_blocking(step).await else { return };
            let due = match step {
                Step::Again => continue,
                Step::Idle => {
                    self.asked.notified().await;
                    continue;
                }
                Step::Wait(due) => due,
            };
            let due = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.asked.notified() => {}
                moved = pushed.changed() => if moved.is_err() { return },
                closed = closing.changed() => if closed.is_err() { return },
            }
        }
    }
}
