//! Receipts and answers that wait for the disk.
//!
//! A receipt that says that a message is stored leaves only when its first copy is synced, and an answer only when all
//! that was decided is. Both wait in order of the journal's lines; copies that came before that sync wait beside them.

use std::collections::{BTreeMap, VecDeque};

use protocol::{AlertId, Counters, Receipt, ShortText, Status};

use super::{Arrival, DecisionAnswer, Output, Ticket};
use crate::{Cursor, Time};

/// A receipt that lacks only its time.
#[derive(Debug)]
pub(super) struct Waiting {
    ticket: Ticket,
    status: Status,
    alert: Option<AlertId>,
    counters: Counters,
    call: Option<ShortText>,
}

/// Who waits for one line of the journal to be synced.
#[derive(Debug)]
pub(super) enum Line {
    /// The sender of the message.
    Sender(Waiting),
    /// An operator, and what was decided.
    Operator(Ticket, Box<DecisionAnswer>),
    /// Nobody.
    Nobody,
}

impl Waiting {
    /// `call`: whom to call, where nobody was paged.
    pub(super) fn new(arrival: &Arrival, status: Status, call: Option<ShortText>) -> Self {
        let (alert, counters) = (arrival.alert_id(), arrival.counters);
        Self { ticket: arrival.ticket, status, alert, counters, call }
    }

    pub(super) fn reply(&self, now: Time) -> Output {
        let receipt = Receipt {
            alert: self.alert,
            counters: Some(self.counters),
            call: self.call,
            ..Receipt::new(self.status, now.to_millis())
        };
        Output::Reply(self.ticket, receipt)
    }
}

impl Line {
    fn output(self, now: Time) -> Option<Output> {
        match self {
            Self::Sender(waiting) => Some(waiting.reply(now)),
            Self::Operator(ticket, answer) => Some(Output::Decided(ticket, Ok(*answer))),
            Self::Nobody => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Receipts {
    synced: Cursor,
    /// The front waits for the line behind `synced`.
    lines: VecDeque<Line>,
    copies: BTreeMap<(Cursor, Ticket), Waiting>,
    /// Operators among the lines.
    operators: usize,
}

impl Receipts {
    pub(super) fn new(synced: Cursor) -> Self {
        Self { synced, lines: VecDeque::new(), copies: BTreeMap::new(), operators: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len() + self.copies.len()
    }

    /// Operators that wait.
    pub(super) fn operators(&self) -> usize {
        self.operators
    }

    /// A line was appended at `cursor`.
    pub(super) fn wait(&mut self, cursor: Cursor, line: Line) {
        debug_assert_eq!(cursor.0, self.synced.0 + self.lines.len() as u64 + 1);
        self.operators += usize::from(matches!(line, Line::Operator(..)));
        self.lines.push_back(line);
    }

    /// The line that was appended last is what an operator waits for.
    pub(super) fn wait_last(&mut self, ticket: Ticket, answer: DecisionAnswer) {
        if let Some(last) = self.lines.back_mut() {
            *last = Line::Operator(ticket, Box::new(answer));
            self.operators += 1;
        }
    }

    /// A copy of the message at `first`: handed back at once if that is synced.
    pub(super) fn wait_for_copy(&mut self, first: Cursor, waiting: Waiting) -> Option<Waiting> {
        if first <= self.synced {
            return Some(waiting);
        }
        self.copies.insert((first, waiting.ticket), waiting);
        None
    }

    /// Everything up to `cursor` is on disk: hands out what waited for it, first copies first.
    pub(super) fn synced(&mut self, cursor: Cursor, now: Time, mut each: impl FnMut(Output)) {
        while self.synced < cursor {
            let Some(line) = self.lines.pop_front() else { break };
            self.operators -= usize::from(matches!(line, Line::Operator(..)));
            line.output(now).into_iter().for_each(&mut each);
            self.synced = self.synced.next();
        }
        while let Some(copy) = self.copies.first_entry() {
            if copy.key().0 > self.synced {
                break;
            }
            each(copy.remove().reply(now));
        }
    }
}
