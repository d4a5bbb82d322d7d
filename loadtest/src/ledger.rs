//! What happened to every press: one row each, written by the driver and the subscriber while the run lasts.
//!
//! A row is a handful of atomics that are written once or twice and read when all is over, so that recording costs
//! nanoseconds and no lock, and every number of the report can be computed afterwards from what really happened.
//! The ledger never judges; `account`, `recorder` and `verdict` do.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use protocol::{Reason, Receipt, Status};

use crate::clock::Moment;

/// Place of a press in the plan and in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PressIndex(pub u32);

impl PressIndex {
    fn row(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What the gateway answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The first copy is on disk.
    Received,
    /// An earlier copy is on disk.
    Duplicate,
    /// On disk, not paged.
    Held,
    /// Not stored, and why.
    Refused(Reason),
}

impl Answer {
    /// What a receipt says. A refusal without a reason counts as a reason that is not listed.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        match receipt.status {
            Status::Received => Self::Received,
            Status::Duplicate => Self::Duplicate,
            Status::Held => Self::Held,
            Status::Refused => Self::Refused(receipt.reason.unwrap_or(Reason::Unlisted(0))),
        }
    }

    /// Whether a copy of the press is on disk.
    #[must_use]
    pub fn is_durable(self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// One byte, never zero. Unlisted reasons share one.
    fn to_byte(self) -> u8 {
        match self {
            Self::Received => 1,
            Self::Duplicate => 2,
            Self::Held => 3,
            Self::Refused(reason) => {
                u8::try_from(reason.code()).map_or(255, |code| code.saturating_add(REFUSED_BASE))
            }
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Received),
            2 => Some(Self::Duplicate),
            3 => Some(Self::Held),
            REFUSED_BASE.. => {
                Some(Self::Refused(Reason::from_code(u64::from(byte - REFUSED_BASE))))
            }
            _ => None,
        }
    }
}

/// Refusals are kept as this plus their reason code.
const REFUSED_BASE: u8 = 16;

/// What became of one press, when all is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// When it was due.
    pub intended: Moment,
    /// When its first copy began to be sent; nothing if it never was.
    pub sent: Option<Moment>,
    /// When its receipt was read, and what it said.
    pub receipt: Option<(Moment, Answer)>,
    /// When the feed first showed it.
    pub fed: Option<Moment>,
    /// How often the feed showed it.
    pub fed_times: u32,
    /// How many copies were sent.
    pub attempts: u8,
    /// Whether its signature was spoiled on purpose.
    pub corrupted: bool,
}

#[derive(Debug)]
struct Row {
    intended: Moment,
    corrupted: bool,
    /// Nanoseconds plus one; zero is "not yet". The same holds for the two below.
    sent: AtomicU64,
    receipted: AtomicU64,
    fed: AtomicU64,
    answer: AtomicU8,
    attempts: AtomicU8,
    fed_times: AtomicU32,
}

/// One row for every press of the plan, and running totals for the progress line.
#[derive(Debug)]
pub struct Ledger {
    rows: Box<[Row]>,
    sent: AtomicU64,
    receipted: AtomicU64,
    owed: AtomicU64,
    fed: AtomicU64,
    unexpected: AtomicU64,
    connections: AtomicU64,
    connect_failures: AtomicU64,
}

/// The running totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Presses whose first copy was sent.
    pub sent: u64,
    /// Presses that have a receipt.
    pub receipted: u64,
    /// Presses whose receipt says that they are on disk and paged.
    pub owed: u64,
    /// Presses that the feed has shown.
    pub fed: u64,
    /// Feed events that belong to no press of this run.
    pub unexpected: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Connections and streams that failed.
    pub connect_failures: u64,
}

impl Ledger {
    /// A ledger for presses due at these moments; `true` marks a press whose signature is spoiled.
    #[must_use]
    pub fn new(presses: impl Iterator<Item = (Moment, bool)>) -> Self {
        let rows = presses.map(|(intended, corrupted)| Row {
            intended,
            corrupted,
            sent: AtomicU64::new(0),
            receipted: AtomicU64::new(0),
            fed: AtomicU64::new(0),
            answer: AtomicU8::new(0),
            attempts: AtomicU8::new(0),
            fed_times: AtomicU32::new(0),
        });
        Self {
            rows: rows.collect(),
            sent: AtomicU64::new(0),
            receipted: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            fed: AtomicU64::new(0),
            unexpected: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            connect_failures: AtomicU64::new(0),
        }
    }

    /// How many presses there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A copy of `press` begins to be sent.
    pub fn sent(&self, press: PressIndex, now: Moment) {
        let Some(row) = self.rows.get(press.row()) else { return };
        if row.attempts.fetch_add(1, Relaxed) == 0 {
            row.sent.store(stamp(now), Relaxed);
            self.sent.fetch_add(1, Relaxed);
        }
    }

    /// The gateway answered `press`. The first answer that ends the sender's resending counts.
    pub fn receipted(&self, press: PressIndex, now: Moment, answer: Answer) {
        let Some(row) = self.rows.get(press.row()) else { return };
        let first = row.answer.compare_exchange(0, answer.to_byte(), Relaxed, Relaxed).is_ok();
        if first {
            row.receipted.store(stamp(now), Relaxed);
            self.receipted.fetch_add(1, Relaxed);
            let owed = matches!(answer, Answer::Received | Answer::Duplicate);
            self.owed.fetch_add(u64::from(owed), Relaxed);
        }
    }

    /// Whether `press` has its receipt.
    #[must_use]
    pub fn is_receipted(&self, press: PressIndex) -> bool {
        self.rows.get(press.row()).is_some_and(|row| row.answer.load(Relaxed) != 0)
    }

    /// Whether the feed has to show `press`: its receipt says that it is on disk and paged.
    #[must_use]
    pub fn is_owed(&self, press: PressIndex) -> bool {
        let answer = self.rows.get(press.row()).map(|row| row.answer.load(Relaxed));
        matches!(answer.and_then(Answer::from_byte), Some(Answer::Received | Answer::Duplicate))
    }

    /// The feed showed `press`.
    pub fn fed(&self, press: PressIndex, now: Moment) {
        let Some(row) = self.rows.get(press.row()) else { return };
        if row.fed_times.fetch_add(1, Relaxed) == 0 {
            row.fed.store(stamp(now), Relaxed);
            self.fed.fetch_add(1, Relaxed);
        }
    }

    /// The feed showed an alert that no press of this run raised.
    pub fn unexpected(&self) {
        self.unexpected.fetch_add(1, Relaxed);
    }

    /// A connection was opened.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// A connection or stream failed; the resend rule decides what follows.
    pub fn connect_failed(&self) {
        self.connect_failures.fetch_add(1, Relaxed);
    }

    /// The running totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            sent: self.sent.load(Relaxed),
            receipted: self.receipted.load(Relaxed),
            owed: self.owed.load(Relaxed),
            fed: self.fed.load(Relaxed),
            unexpected: self.unexpected.load(Relaxed),
            connections: self.connections.load(Relaxed),
            connect_failures: self.connect_failures.load(Relaxed),
        }
    }

    /// What became of every press, in the order of the plan.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.rows.iter().map(Row::outcome).collect()
    }
}

impl Row {
    fn outcome(&self) -> Outcome {
        let answer = Answer::from_byte(self.answer.load(Relaxed));
        Outcome {
            intended: self.intended,
            sent: unstamp(self.sent.load(Relaxed)),
            receipt: unstamp(self.receipted.load(Relaxed)).zip(answer),
            fed: unstamp(self.fed.load(Relaxed)),
            fed_times: self.fed_times.load(Relaxed),
            attempts: self.attempts.load(Relaxed),
            corrupted: self.corrupted,
        }
    }
}

fn stamp(moment: Moment) -> u64 {
    moment.0.saturating_add(1)
}

fn unstamp(stamp: u64) -> Option<Moment> {
    stamp.checked_sub(1).map(Moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_send_the_first_answer_and_the_first_event() {
        let ledger = Ledger::new([(Moment(5), true)].into_iter());
        let press = PressIndex(0);
        ledger.sent(press, Moment(0));
        ledger.sent(press, Moment(9));
        ledger.receipted(press, Moment(10), Answer::Duplicate);
        ledger.receipted(press, Moment(11), Answer::Received);
        ledger.fed(press, Moment(12));
        ledger.fed(press, Moment(13));
        ledger.fed(PressIndex(1), Moment(13));
        let expected = Outcome {
            intended: Moment(5),
            sent: Some(Moment(0)),
            receipt: Some((Moment(10), Answer::Duplicate)),
            fed: Some(Moment(12)),
            fed_times: 2,
            attempts: 2,
            corrupted: true,
        };
        assert_eq!(ledger.outcomes(), [expected]);
        let totals = Totals { sent: 1, receipted: 1, owed: 1, fed: 1, ..Totals::default() };
        assert_eq!(ledger.totals(), totals);
    }

    #[test]
    fn every_answer_survives_its_byte() {
        let refusals = Reason::LISTED.into_iter().map(Answer::Refused);
        let durable = [Answer::Received, Answer::Duplicate, Answer::Held];
        for answer in durable.into_iter().chain(refusals) {
            assert_eq!(Answer::from_byte(answer.to_byte()), Some(answer));
        }
        assert_eq!(Answer::from_byte(0), None);
        let unlisted = Answer::Refused(Reason::Unlisted(7_000)).to_byte();
        assert!(matches!(Answer::from_byte(unlisted), Some(Answer::Refused(Reason::Unlisted(_)))));
    }
}
