//! How often one device may send, and what backlog is.

use protocol::{Label, Reason, Status};

use super::town::*;
use crate::*;

const TIGHT: &str = "[rates]\nraise = \"2 per 10m\"\nupdate = \"3 per 10m\"\nheartbeat = \"1 per 1h\"\nbacklog = \"4 per 1h\"";

#[test]
fn raises_over_their_quota_are_labelled_and_taken() {
    let mut town = Town::ruled(TIGHT);
    let labels: Vec<_> = (0..5)
        .map(|_| {
            let (record, receipt) = town.send(1, Sent::raise());
            assert_eq!(receipt.status, Status::Received);
            record.labels.contains(Label::OverQuota)
        })
        .collect();
    assert_eq!(labels, [false, false, true, true, true]);
}

#[test]
fn updates_and_heartbeats_over_their_quota_are_refused_and_told_when_to_try_again() {
    let mut town = Town::ruled(TIGHT);
    let alert = town.press(1).message_id.alert();
    for _ in 0..3 {
        town.send(1, Sent::update(alert));
    }
    for sent in [Sent::update(alert), Sent::cancel(alert)] {
        let refused = town.try_send(1, sent);
        assert_eq!(refused.reason, Some(Reason::RateLimited));
        assert!((200_000..300_000).contains(&refused.retry_after_ms.unwrap()), "{refused:?}");
    }
    assert_eq!(town.try_send(1, Sent::heartbeat()).status, Status::Received);
    assert_eq!(town.try_send(1, Sent::heartbeat()).reason, Some(Reason::RateLimited));
    town.press(2);
    assert_eq!(town.try_send(2, Sent::heartbeat()).status, Status::Received, "each its own");
    town.pass(300 * SECOND);
    assert_eq!(town.try_send(1, Sent::update(alert)).status, Status::Received);
}

#[test]
fn copy_of_what_was_taken_is_a_duplicate_however_little_is_left() {
    let mut town = Town::ruled(TIGHT);
    let beat = town.arrival(1, Sent::heartbeat());
    for n in 0..10 {
        town.bring(Input::Arrived(Arrival { ticket: Ticket(1_000 + n), ..beat.clone() }));
    }
    town.sync();
    let statuses: Vec<_> = town.receipts.values().map(|receipt| receipt.status).collect();
    assert_eq!(statuses[0], Status::Received);
    assert!(statuses[1..].iter().all(|status| *status == Status::Duplicate));
}

#[test]
fn backlog_has_its_own_share_and_is_never_abuse() {
    let rules = "[[rules.cancelled]]\nraises = 2\nwindow = \"1h\"\nprobation = \"1d\"";
    let mut town = Town::ruled(&format!("{TIGHT}\n{rules}"));
    let late = |sent: Sent, town: &Town| Sent { clock: Some(town.now - 2 * MINUTE), ..sent };
    for _ in 0..4 {
        let (record, _) = town.send(1, late(Sent::raise(), &town));
        assert!(record.labels.contains(Label::Late));
        assert!(!record.labels.contains(Label::OverQuota));
        let cancel = late(Sent::cancel(record.message_id.alert()), &town);
        assert_eq!(town.try_send(1, cancel).status, Status::Received);
        town.pass(11 * MINUTE);
    }
    assert_eq!(town.acts(), Vec::<&str>::new(), "late cancels count for no rule");
    let alert = town.press(1).message_id.alert();
    for n in 0..4 {
        let update = late(Sent::update(alert), &town);
        let receipt = town.try_send(1, update);
        assert_eq!(receipt.status == Status::Received, n < 2, "two were granted anew: {n}");
    }
    assert_eq!(town.try_send(1, Sent::update(alert)).status, Status::Received);
}

#[test]
fn clock_ahead_of_ours_is_not_late() {
    let mut town = Town::new();
    for clock in [town.now, town.now - MINUTE, town.now + 30 * DAY] {
        let (record, _) = town.send(1, Sent { clock: Some(clock), ..Sent::raise() });
        assert!(!record.labels.contains(Label::Late));
    }
}

#[test]
fn clock_that_is_set_back_takes_no_quota_away() {
    let mut town = Town::ruled("[rates]\nupdate = \"1 per 10m\"");
    town.now = START + 2 * DAY;
    let alert = town.press(1).message_id.alert();
    town.send(1, Sent::update(alert));
    town.now = START;
    town.send(1, Sent::update(alert));
    let again = town.try_send(1, Sent::update(alert));
    assert_eq!(again.reason, Some(Reason::RateLimited));
}
