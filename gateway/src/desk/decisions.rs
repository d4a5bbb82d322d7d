//! How operators ask the desk for a decision, and wait until it is on disk.

use std::collections::HashMap;

use pipeline::{DecisionAnswer, DecisionRefusal, Request, Ticket};
use tokio::sync::{mpsc, oneshot};

/// What the desk said to a request.
type Answer = Result<DecisionAnswer, DecisionRefusal>;

/// Requests on their way to the desk.
pub(super) type Asked = mpsc::Receiver<(Request, oneshot::Sender<Answer>)>;

/// The operators' way to the desk.
#[derive(Debug, Clone)]
pub struct Decisions {
    requests: mpsc::Sender<(Request, oneshot::Sender<Answer>)>,
}

/// Why a request brought no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The desk says no, and why.
    #[error(transparent)]
    Refused(#[from] DecisionRefusal),
    /// The gateway is stopping. Ask again once it is back: the decision may have been made or not.
    #[error("the gateway is stopping")]
    Stopping,
}

/// A way to the desk for `len` requests at a time.
#[must_use]
pub fn decisions(len: usize) -> (Decisions, Asked) {
    let (requests, asked) = mpsc::channel(len);
    (Decisions { requests }, asked)
}

impl Decisions {
    /// Asks for a decision. When this returns one, it is on disk.
    ///
    /// # Errors
    /// If the desk refuses, or the gateway stops first.
    pub async fn decide(&self, request: Request) -> Result<DecisionAnswer, Undecided> {
        let (reply, answer) = oneshot::channel();
        self.requests.send((request, reply)).await.map_err(|_| Undecided::Stopping)?;
        Ok(answer.await.map_err(|_| Undecided::Stopping)??)
    }
}

/// Operators that wait.
#[derive(Default)]
pub(super) struct Deciding {
    waiting: HashMap<Ticket, oneshot::Sender<Answer>>,
    last: u64,
}

impl Deciding {
    /// Somebody waits; by this ticket the answer comes. Tickets count down from above those of every shard.
    pub(super) fn wait(&mut self, answer: oneshot::Sender<Answer>) -> Ticket {
        self.last += 1;
        let ticket = Ticket(u64::MAX - self.last);
        self.waiting.insert(ticket, answer);
        ticket
    }

    /// Hands the answer to whoever waits for it; an operator who is gone does not.
    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.waiting.remove(&ticket).map(|waiting| waiting.send(answer).ok());
    }
}
