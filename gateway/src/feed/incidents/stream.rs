//! What a stream of incidents shows: each incident that changed behind a place, and every change from then on.
//!
//! It stands on the board for its token. Whoever's token sees something else from some moment on stands on another board
//! and is told everything there.

use std::sync::Arc;

use bytes::Bytes;
use pipeline::Cursor;
use tokio::sync::watch;

use super::super::access::Viewer;
use super::super::cursor::CursorCodec;
use super::super::shape::Format;
use super::super::state::Feed;
use super::super::stream::{Reader, Source, Step};
use super::super::text::ascii;
use super::board::{Board, State};
use super::shelf::{Shelf, Turn};

/// The incidents that changed behind a place.
pub(in crate::feed) struct Incidents {
    format: Format,
    board: Arc<Board>,
    state: watch::Receiver<State>,
    turn: Turn,
    /// Changes up to here were told before this stream.
    from: Cursor,
    position: Cursor,
    /// Whether nothing was told from this board.
    is_new: bool,
}

impl Incidents {
    /// In this format, what changed behind `position`, or what changes from here on if there is none. From the journal's
    /// beginning is from the first incident that is kept.
    pub(in crate::feed) fn new(
        feed: &Feed,
        viewer: &Viewer,
        format: Format,
        position: Option<Cursor>,
    ) -> Self {
        let board = feed.incidents.board(viewer, format);
        let state = board.watch();
        let from = position.unwrap_or_else(|| feed.heads.pushed());
        let turn = Turn::default();
        Self { format, board, state, turn, from, position: from, is_new: true }
    }

    /// Goes to the board for what the token sees by now, and is told everything there.
    fn go_to(&mut self, feed: &Feed, viewer: &Viewer) {
        *self = Self::new(feed, viewer, self.format, Some(Cursor(0)));
    }

    /// What is missing, if something is: incidents that changed last behind the position and are kept no more.
    fn gap(&mut self, codec: &CursorCodec) -> Option<Bytes> {
        let floor = self.board.look(Shelf::floor);
        if self.position >= floor {
            return None;
        }
        let after = std::mem::replace(&mut self.position, floor);
        self.from = self.from.max(floor);
        if std::mem::take(&mut self.is_new) && after == Cursor(0) {
            return None;
        }
        let (after, until) = (codec.seal_passed(after), codec.seal_passed(floor));
        let (after, until) = (ascii(&after), ascii(&until));
        let why = "incidents that changed last between these places are kept no more; ask for their alerts";
        let data = format!("{{\"after\":\"{after}\",\"until\":\"{until}\",\"why\":\"{why}\"}}");
        Some(format!("id: {until}\nevent: gap\ndata: {data}\n\n").into())
    }
}

impl Source for Incidents {
    async fn step(&mut self, reader: &mut Reader) -> Step {
        let last = match *self.state.borrow_and_update() {
            State::Filling => return Step::Served,
            State::Failed => return Step::Close("the journal cannot be read"),
            State::Open(last) => last,
        };
        if let Some(gap) = self.gap(&reader.feed.codec) {
            return Step::Gap(gap);
        }
        self.is_new = false;
        // Also where nothing is told here: on another board there may be.
        if let Err(refusal) = reader.renew() {
            return Step::Close(refusal.title());
        }
        let viewer = reader.access.viewer();
        if !self.board.is_for(viewer, self.format) {
            self.go_to(&reader.feed, viewer);
            return Step::Again;
        }
        if self.turn >= last {
            self.position = self.board.look(|shelf| shelf.resumes_at(self.turn)).max(self.position);
            return Step::Served;
        }
        let batch = reader.feed.incidents.read(&self.board, (self.turn, self.from), &reader.feed);
        self.turn = batch.turn;
        self.position = batch.position.max(self.position);
        if batch.events > 0 { Step::Events(batch.bytes, batch.events) } else { Step::Again }
    }

    fn position(&self) -> Cursor {
        self.position
    }

    async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    fn is_served(&self, feed: &Feed) -> bool {
        let told = |shelf: &Shelf| {
            self.turn >= shelf.last() && shelf.resumes_at(self.turn) >= feed.heads.pushed()
        };
        self.board.state() != State::Filling && self.board.look(told)
    }
}
