//! What a restart leaves as it was, and what it makes up for.

use super::town::*;
use crate::*;

#[test]
fn standing_presses_and_rates_are_as_before() {
    let mut town = Town::ruled("[rates]\nheartbeat = \"1 per 1h\"");
    town.prank(1, 3);
    let open = town.press(2).message_id.alert();
    town.send(3, Sent::heartbeat());
    let (standing, hint) = (town.standing(1), town.hints[&DeviceIndex(2)]);
    town.restart();
    assert_eq!(town.standing(1), standing);
    assert_eq!(town.hints[&DeviceIndex(2)], hint);
    assert_eq!(town.press(1).disposition, Disposition::Held);
    assert_eq!(town.press(2).joins, Some(open));
    assert_eq!(town.try_send(3, Sent::heartbeat()).reason, Some(protocol::Reason::RateLimited));
}

#[test]
fn block_that_ended_while_the_gateway_was_down_is_journaled_once() {
    let mut town = Town::new();
    town.prank(1, 3);
    let until = town.standing(1).blocked_until.unwrap();
    town.now = until + 5 * DAY;
    town.restart();
    town.restart();
    town.pass(DAY);
    let expiries: Vec<_> =
        town.decisions().filter(|decision| decision.act == Act::Expire).collect();
    assert_eq!(expiries.len(), 1);
    assert_eq!(expiries[0].decided_at, until + 5 * DAY);
    assert_eq!(town.standing(1).probation_until, Some(until + 7 * DAY), "from its real end on");
    assert_eq!(town.press(1).disposition, Disposition::Paged);
}

#[test]
fn promotion_that_power_cut_off_is_made_up_for() {
    let mut town = Town::new();
    town.prank(0, 3);
    town.press(1);
    town.press(2);
    let press = town.arrival(0, Sent::raise());
    town.bring(Input::Arrived(press));
    assert_eq!(town.acts().last(), Some(&"promote"));
    town.synced = town.journal.len() - 1;
    town.restart();
    assert_eq!(town.acts().last(), Some(&"promote"));
    town.restart();
    assert_eq!(town.acts().iter().filter(|act| **act == "promote").count(), 1);
}

#[test]
fn notice_that_power_cut_off_is_made_up_for() {
    let mut town = Town::new();
    for device in 0..3 {
        let block = Demand::Block { about: Town::about(device), until: START + DAY };
        town.demand(block, Reach::Everywhere).unwrap();
    }
    town.press(0);
    town.press(1);
    let press = town.arrival(2, Sent::raise());
    town.bring(Input::Arrived(press));
    let notice = town.decisions().last().unwrap().act.clone();
    assert_eq!(notice.name(), "notice");
    town.synced = town.journal.len() - 1;
    town.restart();
    assert_eq!(town.decisions().last().unwrap().act, notice);
    town.restart();
    assert_eq!(town.acts().iter().filter(|act| **act == "notice").count(), 1);
}

#[test]
fn verdict_whose_block_power_cut_off_is_asked_again_and_blocks() {
    let mut town = Town::new();
    town.prank(1, 2);
    let alert = town.press(1).message_id.alert();
    town.bring(Input::Decide {
        ticket: Ticket(900),
        request: Request {
            actor: "ani".into(),
            reach: Reach::Everywhere,
            scope: Scope::ALL,
            demand: Demand::Verdict { alert, verdict: Verdict::Prank },
            reason: None,
        },
    });
    assert_eq!(town.acts().last(), Some(&"block"));
    town.synced = town.journal.len() - 1;
    town.restart();
    assert_eq!(town.grade(1), Grade::Good, "the operator had no answer");
    town.judge(alert, Verdict::Prank).unwrap();
    assert_eq!(town.grade(1), Grade::Blocked);
    assert_eq!(town.standing(1).strikes.len(), 3);
}

#[test]
fn new_policy_takes_effect_at_once_and_forgets_nothing() {
    let mut town = Town::new();
    town.prank(1, 2);
    let first = town.press(2).message_id.alert();
    let policy = Policy::read(
        "[strikes]\nblock_at = 2\n[press]\nwindow = \"1m\"\n[corroboration]\nradius_m = 10",
        [],
    );
    town.policy = policy.unwrap().into();
    town.bring(Input::Ruled(std::sync::Arc::clone(&town.policy)));
    assert_eq!(town.press(2).joins, Some(first));
    town.pass(MINUTE);
    assert_eq!(town.press(2).joins, None);
    town.pass(20 * MINUTE);
    let alert = town.press(1).message_id.alert();
    town.judge(alert, Verdict::Test).unwrap();
    assert_eq!(town.grade(1), Grade::Good, "no verdict of prank");
    town.prank(1, 1);
    assert_eq!(town.grade(1), Grade::Blocked);
    town.send(3, Sent::at(0));
    town.send(4, Sent::at(500));
    town.send(1, Sent::at(0));
    assert_eq!(town.acts().last(), Some(&"block"), "500 m is out of the new reach");
}

#[test]
fn verdict_whose_unblock_power_cut_off_is_asked_again_and_unblocks() {
    let mut town = Town::new();
    town.prank(1, 2);
    let alert = town.press(1).message_id.alert();
    town.judge(alert, Verdict::Prank).unwrap();
    town.judge(alert, Verdict::Accidental).unwrap();
    assert_eq!(town.acts().last(), Some(&"unblock"));
    town.synced = town.journal.len() - 1;
    town.restart();
    assert_eq!(town.grade(1), Grade::Blocked, "the operator had no answer");
    town.judge(alert, Verdict::Accidental).unwrap();
    assert_eq!(town.grade(1), Grade::Good);
}
