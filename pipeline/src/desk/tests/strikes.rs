//! Promise 7: strikes, the ladder of blocks, and what repairs.

use protocol::{Label, Status};

use super::town::*;
use crate::*;

#[test]
fn three_strikes_block_and_the_next_message_is_held() {
    let mut town = Town::new();
    town.prank(1, 2);
    assert_eq!(town.press(1).disposition, Disposition::Paged);
    let last = town.messages().last().unwrap().message_id.alert();
    let answer = town.judge(last, Verdict::Prank).unwrap();
    assert_eq!(answer.standing.unwrap().blocked_until, Some(town.now + DAY));
    let block = town.decisions().last().unwrap();
    assert_eq!(block.act, Act::Block { until: town.now + DAY });
    assert_eq!(block.actor, Actor::Rule(Rule::Strikes));
    assert_eq!(block.evidence.len(), 3, "the pranks that it rests on");
    assert_eq!(block.evidence.last(), Some(&last));

    let (held, receipt) = town.send(1, Sent::raise());
    assert_eq!((held.disposition, held.joins), (Disposition::Held, None));
    assert_eq!(receipt.status, Status::Held);
    assert_eq!(receipt.alert, Some(held.message_id.alert()));
    assert_eq!(receipt.call.map(|call| call.to_string()).as_deref(), Some("110"));
}

#[test]
fn held_receipt_waits_for_the_sync_and_a_copy_is_a_duplicate_that_says_whom_to_call() {
    let mut town = Town::new();
    town.prank(1, 3);
    let press = town.arrival(1, Sent::raise());
    let first = press.ticket;
    town.bring(Input::Arrived(press.clone()));
    assert!(town.receipts.is_empty(), "nothing is on disk");
    let copy = Arrival { ticket: Ticket(9_999), ..press };
    town.bring(Input::Arrived(copy.clone()));
    town.sync();
    assert_eq!(town.receipts[&first].status, Status::Held);
    let duplicate = town.receipts[&Ticket(9_999)];
    assert_eq!(duplicate.status, Status::Duplicate);
    assert_eq!(duplicate.call, town.receipts[&first].call);
    town.judge(copy.message_id.alert(), Verdict::Genuine).unwrap();
    town.bring(Input::Arrived(Arrival { ticket: Ticket(10_000), ..copy }));
    assert_eq!(town.receipts[&Ticket(10_000)].call, None, "somebody was paged after all");
}

#[test]
fn every_other_message_of_a_blocked_device_passes() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    town.prank(1, 3);
    for sent in [Sent::update(alert), Sent::cancel(alert), Sent::heartbeat()] {
        let (record, receipt) = town.send(1, sent);
        assert_eq!(record.disposition, Disposition::Follows);
        assert_eq!(receipt.status, Status::Received);
    }
}

#[test]
fn blocks_climb_the_ladder_by_pranks_that_were_pressed_after_the_last() {
    let mut town = Town::new();
    town.prank(1, 3);
    let mut lengths = vec![];
    for _ in 0..3 {
        let until = town.standing(1).blocked_until.unwrap();
        town.pass(until.since(town.now));
        assert_eq!(town.grade(1), Grade::Probation, "after each block");
        let alert = town.press(1).message_id.alert();
        let answer = town.judge(alert, Verdict::Prank).unwrap();
        lengths.push(answer.standing.unwrap().blocked_until.unwrap().since(town.now).0 / DAY.0);
    }
    assert_eq!(lengths, [7, 30, 30]);
}

#[test]
fn verdicts_that_come_late_in_a_row_are_one_block() {
    let mut town = Town::new();
    let mut alerts = vec![];
    for _ in 0..6 {
        alerts.push(town.press(1).message_id.alert());
        town.pass(11 * MINUTE);
    }
    for alert in alerts {
        town.judge(alert, Verdict::Prank).unwrap();
    }
    assert_eq!(town.acts().iter().filter(|act| **act == "block").count(), 1);
    assert_eq!(town.standing(1).blocked_until, Some(town.now + DAY));
}

#[test]
fn pranks_while_blocked_climb_too() {
    let mut town = Town::new();
    town.prank(1, 3);
    let (held, _) = town.send(1, Sent::raise());
    town.judge(held.message_id.alert(), Verdict::Prank).unwrap();
    assert_eq!(town.standing(1).blocked_until, Some(town.now + 7 * DAY));
}

#[test]
fn strikes_decay_and_the_ladder_forgets() {
    let mut town = Town::new();
    town.prank(1, 2);
    town.pass(90 * DAY);
    town.prank(1, 2);
    assert_eq!(town.grade(1), Grade::Good, "the first two no longer count");
    town.prank(1, 1);
    assert_eq!(town.grade(1), Grade::Blocked);
    town.pass(181 * DAY);
    town.prank(1, 3);
    let block = town.decisions().rev().find(|decision| decision.act.name() == "block").unwrap();
    assert_eq!(block.act, Act::Block { until: block.decided_at + DAY }, "a first one again");
}

#[test]
fn later_verdict_replaces_an_earlier_one_and_lifts_the_block_that_rested_on_it() {
    let mut town = Town::new();
    town.prank(1, 2);
    let third = town.press(1).message_id.alert();
    town.judge(third, Verdict::Prank).unwrap();
    town.judge(third, Verdict::Prank).unwrap();
    assert_eq!(town.standing(1).strikes.len(), 3, "one alert is one strike");
    assert_eq!(town.standing(1).blocks, 1);
    let answer = town.judge(third, Verdict::Accidental).unwrap();
    let standing = answer.standing.unwrap();
    assert_eq!((standing.strikes.len(), standing.blocked_until), (2, None));
    assert_eq!(standing.blocks, 0, "the step was undone");
    assert_eq!(town.acts().last(), Some(&"unblock"));
    assert_eq!(town.grade(1), Grade::Good);
}

#[test]
fn raises_of_one_press_are_one_strike() {
    let mut town = Town::new();
    let first = town.press(1).message_id.alert();
    let repeats = [town.press(1), town.press(1)].map(|record| record.message_id.alert());
    for alert in [repeats[0], first, repeats[1]] {
        town.judge(alert, Verdict::Prank).unwrap();
    }
    assert_eq!(town.standing(1).strikes.len(), 1);
    town.judge(repeats[1], Verdict::Test).unwrap();
    assert_eq!(town.standing(1).strikes, []);
}

#[test]
fn genuine_verdict_repairs_and_promotes_what_was_held() {
    let mut town = Town::new();
    town.prank(1, 3);
    let (held, _) = town.send(1, Sent::raise());
    let answer = town.judge(held.message_id.alert(), Verdict::Genuine).unwrap();
    assert!(answer.promoted);
    assert_eq!(answer.standing, Some(Standing::default()), "strikes and block are gone");
    let tail: Vec<_> = town.acts().into_iter().rev().take(3).collect();
    assert_eq!(tail, ["promote", "unblock", "verdict"]);
    let promotion = town.decisions().last().unwrap();
    assert_eq!(promotion.raise.as_deref(), Some(&held));
    assert_eq!(promotion.alert, Some((held.message_id.alert(), held.cursor)));
    assert_eq!(promotion.actor, Actor::Operator("ani".into()));
    let again = town.judge(held.message_id.alert(), Verdict::Genuine).unwrap();
    assert!(!again.promoted, "one page");
    assert_eq!(town.press(1).joins, Some(held.message_id.alert()), "its press is open");
}

#[test]
fn genuine_verdict_forgives_as_many_strikes_as_the_policy_says() {
    let mut town = Town::ruled("[strikes]\nforgiven_by_genuine = 1");
    town.prank(1, 2);
    let alert = town.press(1).message_id.alert();
    let answer = town.judge(alert, Verdict::Genuine).unwrap();
    assert_eq!(answer.standing.unwrap().strikes.len(), 1);
}

#[test]
fn block_ends_by_itself_once_and_probation_follows() {
    let mut town = Town::new();
    town.prank(1, 3);
    let until = town.standing(1).blocked_until.unwrap();
    assert_eq!(town.desk.next_deadline(), Some(until));
    town.pass(until.since(town.now));
    let expiry = town.decisions().last().unwrap();
    assert_eq!((&expiry.act, &expiry.actor), (&Act::Expire, &Actor::Rule(Rule::Expiry)));
    assert_eq!(town.desk.next_deadline(), None);
    let (record, receipt) = town.send(1, Sent::raise());
    assert_eq!((record.disposition, receipt.status), (Disposition::Paged, Status::Received));
    assert!(record.labels.contains(Label::OnProbation));
    assert_eq!(town.acts().iter().filter(|act| **act == "expire").count(), 1);
    town.pass(7 * DAY);
    assert_eq!(town.grade(1), Grade::Good);
}

#[test]
fn block_closes_the_open_press_so_the_first_raise_after_it_is_paged() {
    let mut town = Town::new();
    town.prank(1, 2);
    let third = town.press(1).message_id.alert();
    town.judge(third, Verdict::Prank).unwrap();
    town.send(1, Sent::raise());
    let unblock = Demand::Unblock(Town::about(1));
    town.demand(unblock, Reach::Everywhere).unwrap();
    let first = town.press(1);
    assert_eq!((first.disposition, first.joins), (Disposition::Paged, None));
}
