//! Accounts for every press: what was offered, what was answered, what the command centre saw.
//!
//! What the feed owes is worked out from the plan and the receipts, never from what the gateway says about itself: each
//! press whose receipt promises that it is on disk and paged must be shown exactly once. The gateway's own counters,
//! where they can be read, are a second witness and never the first.

use std::collections::BTreeMap;

use protocol::Reason;
use serde::Serialize;

use crate::ledger::{Answer, Outcome};

/// How presses were answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Receipts {
    /// First copies on disk.
    pub received: u64,
    /// Answered to a resend: an earlier copy is on disk.
    pub duplicate: u64,
    /// On disk, not paged.
    pub held: u64,
    /// Not stored.
    pub refused: u64,
    /// Sent, and never answered before the deadline.
    pub missing: u64,
    /// Refusals by their reason.
    pub refused_by_reason: BTreeMap<&'static str, u64>,
}

/// What the feed showed of what it owed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Feed {
    /// Presses whose receipt says that they are on disk and paged.
    pub expected: u64,
    /// Of those, presses that the feed showed.
    pub delivered: u64,
    /// Events beyond the first of their press.
    pub duplicates: u64,
    /// Of the expected, presses that the feed never showed.
    pub missing: u64,
    /// Events that no press of this run explains, and events of presses that were refused or held.
    pub unexpected: u64,
    /// Presses without a receipt that the feed showed: stored, and the receipt was lost.
    pub unreceipted: u64,
}

/// The spoiled signatures of a run with `--corrupt`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Corrupted {
    /// Presses sent with a spoiled signature.
    pub sent: u64,
    /// Of those, refused as unproven.
    pub refused_unproven: u64,
}

/// The whole account of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Presses in the plan.
    pub planned: u64,
    /// Presses whose first copy was sent.
    pub sent: u64,
    /// Copies sent beyond the first of their press.
    pub resends: u64,
    /// How they were answered.
    pub receipts: Receipts,
    /// What became of them in the feed.
    pub feed: Feed,
    /// What became of the spoiled ones.
    pub corrupted: Corrupted,
}

impl Account {
    /// Adds up `outcomes`; `strangers` counts feed events that belong to no press of the run.
    #[must_use]
    pub fn of(outcomes: &[Outcome], strangers: u64) -> Self {
        let mut account = Self::default();
        account.feed.unexpected = strangers;
        outcomes.iter().for_each(|outcome| account.add(outcome));
        account.feed.missing = account.feed.expected - account.feed.delivered;
        account
    }

    fn add(&mut self, outcome: &Outcome) {
        self.planned += 1;
        self.sent += u64::from(outcome.sent.is_some());
        self.resends += u64::from(outcome.attempts.saturating_sub(1));
        let answer = outcome.receipt.map(|(_, answer)| answer);
        if outcome.sent.is_some() {
            self.receipts.add(answer);
        }
        if outcome.corrupted && outcome.sent.is_some() {
            self.corrupted.sent += 1;
            let refused = answer == Some(Answer::Refused(Reason::Unproven));
            self.corrupted.refused_unproven += u64::from(refused);
        }
        self.feed.add(outcome, answer);
    }

    /// Refusals that `--corrupt` did not ask for.
    #[must_use]
    pub fn refused_unasked(&self) -> u64 {
        self.receipts.refused - self.corrupted.refused_unproven
    }

    /// Whether exactly the spoiled presses, all of those that were answered, were refused as unproven.
    #[must_use]
    pub fn corruption_accounted(&self) -> bool {
        let unproven = self.receipts.refused_by_reason.get(Reason::Unproven.name());
        self.corrupted.refused_unproven == self.corrupted.sent
            && unproven.copied().unwrap_or_default() == self.corrupted.sent
    }
}

impl Receipts {
    fn add(&mut self, answer: Option<Answer>) {
        match answer {
            Some(Answer::Received) => self.received += 1,
            Some(Answer::Duplicate) => self.duplicate += 1,
            Some(Answer::Held) => self.held += 1,
            Some(Answer::Refused(reason)) => {
                self.refused += 1;
                *self.refused_by_reason.entry(reason.name()).or_default() += 1;
            }
            None => self.missing += 1,
        }
    }

    /// Presses accounted for, whatever became of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.received + self.duplicate + self.held + self.refused + self.missing
    }
}

impl Feed {
    fn add(&mut self, outcome: &Outcome, answer: Option<Answer>) {
        let shown = u64::from(outcome.fed_times > 0);
        self.duplicates += u64::from(outcome.fed_times.saturating_sub(1));
        match answer {
            Some(Answer::Received | Answer::Duplicate) => {
                self.expected += 1;
                self.delivered += shown;
            }
            Some(Answer::Held | Answer::Refused(_)) => self.unexpected += shown,
            None => self.unreceipted += shown,
        }
    }
}

/// What the gateway's own counters say about the time of the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GatewayCounters {
    /// Messages that came in.
    pub messages: u64,
    /// Receipts that went out, by status.
    pub receipts: BTreeMap<String, u64>,
}

impl GatewayCounters {
    /// The counters as they stood `before`, taken off.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |status: &String| before.receipts.get(status).copied().unwrap_or_default();
        let receipts = self.receipts.iter();
        Self {
            messages: self.messages.saturating_sub(before.messages),
            receipts: receipts
                .map(|(status, count)| (status.clone(), count.saturating_sub(earlier(status))))
                .collect(),
        }
    }

    /// Whether every message that came in was answered.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.messages == self.receipts.values().sum::<u64>()
    }
}

/// The balance sheet: nothing disappears (promise 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conservation {
    /// Presses sent.
    pub offered: u64,
    /// Received, duplicate, held, refused and missing together.
    pub accounted: u64,
    /// Presses whose receipt says that they are on disk and paged.
    pub owed_to_feed: u64,
    /// Of those, presses shown.
    pub shown_in_feed: u64,
    /// The gateway's own counters; nothing if they could not be read.
    pub gateway: Option<GatewayCounters>,
    /// Whether the gateway's counters agree with each other; nothing if they could not be read.
    pub gateway_balanced: Option<bool>,
    /// Whether offered equals accounted, the feed showed exactly what it owed, and the gateway does not disagree.
    pub balanced: bool,
}

impl Conservation {
    /// Balances an account.
    #[must_use]
    pub fn of(account: &Account, gateway: Option<GatewayCounters>) -> Self {
        let (offered, accounted) = (account.sent, account.receipts.total());
        let feed = &account.feed;
        let shown_once = feed.duplicates == 0 && feed.unexpected == 0;
        let gateway_balanced = gateway.as_ref().map(GatewayCounters::balanced);
        Self {
            offered,
            accounted,
            owed_to_feed: feed.expected,
            shown_in_feed: feed.delivered,
            balanced: offered == accounted
                && feed.expected == feed.delivered
                && shown_once
                && gateway_balanced != Some(false),
            gateway,
            gateway_balanced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    const SENT: Outcome = Outcome {
        intended: Moment(0),
        sent: Some(Moment(1)),
        receipt: None,
        fed: None,
        fed_times: 0,
        attempts: 1,
        corrupted: false,
    };

    fn answered(answer: Answer, fed_times: u32) -> Outcome {
        Outcome { receipt: Some((Moment(2), answer)), fed_times, ..SENT }
    }

    #[test]
    fn every_press_lands_in_exactly_one_place() {
        let outcomes = [
            answered(Answer::Received, 1),
            answered(Answer::Duplicate, 1),
            answered(Answer::Held, 0),
            answered(Answer::Refused(Reason::Stopping), 0),
            SENT,
            Outcome { sent: None, attempts: 0, ..SENT },
        ];
        let account = Account::of(&outcomes, 0);
        let refused_by_reason = BTreeMap::from([("stopping", 1)]);
        let receipts = Receipts {
            received: 1,
            duplicate: 1,
            held: 1,
            refused: 1,
            missing: 1,
            refused_by_reason,
        };
        assert_eq!(account.receipts, receipts);
        assert_eq!((account.planned, account.sent), (6, 5));
        assert_eq!(account.refused_unasked(), 1);
        assert!(Conservation::of(&account, None).balanced);
    }

    #[test]
    fn the_feed_owes_each_receipted_press_exactly_once() {
        let outcomes = [
            answered(Answer::Received, 0),
            answered(Answer::Received, 3),
            answered(Answer::Refused(Reason::Unproven), 1),
            Outcome { fed_times: 1, ..SENT },
        ];
        let account = Account::of(&outcomes, 4);
        let feed = Feed {
            expected: 2,
            delivered: 1,
            duplicates: 2,
            missing: 1,
            unexpected: 5,
            unreceipted: 1,
        };
        assert_eq!(account.feed, feed);
        assert!(!Conservation::of(&account, None).balanced);
    }

    #[test]
    fn spoiled_presses_must_be_refused_as_unproven_and_no_others() {
        let spoiled = |answer| Outcome { corrupted: true, ..answered(answer, 0) };
        let unproven = Answer::Refused(Reason::Unproven);
        let good = [spoiled(unproven), answered(Answer::Received, 1)];
        assert!(Account::of(&good, 0).corruption_accounted());
        assert_eq!(Account::of(&good, 0).refused_unasked(), 0);
        let accepted = [spoiled(Answer::Received), answered(Answer::Received, 1)];
        assert!(!Account::of(&accepted, 0).corruption_accounted());
        let another = [spoiled(unproven), answered(unproven, 0)];
        assert!(!Account::of(&another, 0).corruption_accounted());
    }

    #[test]
    fn the_gateway_can_testify_against_itself() {
        let before = GatewayCounters {
            messages: 10,
            receipts: BTreeMap::from([("received".to_owned(), 10)]),
        };
        let after = GatewayCounters {
            messages: 13,
            receipts: BTreeMap::from([("received".to_owned(), 12)]),
        };
        let during = after.since(&before);
        assert_eq!((during.messages, during.balanced()), (3, false));
        let account = Account::of(&[answered(Answer::Received, 1)], 0);
        assert!(!Conservation::of(&account, Some(during)).balanced);
    }
}
