//! When others confirm a held press, and when several held presses are told.

use super::town::*;
use crate::*;

/// A town in which device 0 is blocked.
fn town() -> Town {
    let mut town = Town::new();
    town.prank(0, 3);
    town.pass(20 * MINUTE);
    town
}

fn promotions(town: &Town) -> usize {
    town.acts().iter().filter(|act| **act == "promote").count()
}

#[test]
fn held_press_is_promoted_when_two_other_owners_of_two_batches_press_nearby() {
    let mut town = town();
    let held = town.send(0, Sent::raise()).0;
    let one = town.send(1, Sent::at(300)).0;
    assert_eq!(promotions(&town), 0);
    let two = town.send(2, Sent::at(-700)).0;
    let promotion = town.decisions().last().unwrap().clone();
    assert_eq!(promotion.act, Act::Promote);
    assert_eq!(promotion.actor, Actor::Rule(Rule::Corroboration));
    assert_eq!(promotion.alert, Some((held.message_id.alert(), held.cursor)));
    assert_eq!(promotion.evidence, [one, two].map(|record| record.message_id.alert()));
    assert_eq!(promotion.raise.as_deref(), Some(&held));
    assert_eq!(promotion.standing, None, "the block stays");
    town.send(4, Sent::at(1));
    assert_eq!(promotions(&town), 1, "once");
}

#[test]
fn held_press_is_promoted_at_once_where_others_pressed_before() {
    let mut town = town();
    town.send(1, Sent::at(300));
    town.send(2, Sent::at(-700));
    town.pass(10 * MINUTE);
    let (held, receipt) = town.send(0, Sent::raise());
    assert_eq!(held.disposition, Disposition::Held, "its own line says what it was");
    assert_eq!(receipt.status, protocol::Status::Held);
    assert_eq!(town.decisions().last().unwrap().act, Act::Promote);
}

#[test]
fn those_who_count_nothing_promote_nothing() {
    let mut town = town();
    town.enrol(0, Some(7), Some(0));
    let held = town.send(0, Sent::raise()).0.message_id.alert();
    let promoted = |town: &Town| town.decisions().any(|d| d.promotes() == Some(held));
    // The same owner, however many devices and batches.
    for device in 10..14 {
        town.enrol(device, Some(7), Some(device));
        town.press(device);
    }
    // One owner with devices of two batches is one owner.
    for device in 20..22 {
        town.enrol(device, Some(8), Some(device));
        town.press(device);
    }
    // On probation.
    for device in 30..40 {
        let owner = Some(OwnerIndex(device));
        let enrolment = Enrolment { owner, batch: Some(BatchIndex(device)), trusted_from: START };
        town.enrolments.insert(device, enrolment);
        assert_eq!(town.press(device).disposition, Disposition::Paged);
    }
    // Held themselves.
    for device in 40..42 {
        let until = town.now + DAY;
        let block = Demand::Block { about: Town::about(device), until };
        town.demand(block, Reach::Everywhere).unwrap();
        town.send(device, Sent::at(50));
    }
    // Out of reach.
    town.send(50, Sent::at(1_100));
    town.send(51, Sent::at(-1_100));
    assert!(!promoted(&town));
    town.press(60);
    assert!(promoted(&town), "with the owner of devices 20 and 21, the second");
}

#[test]
fn others_of_one_batch_alone_promote_nothing() {
    let mut town = town();
    town.send(0, Sent::raise());
    for device in 1..20 {
        town.enrol(device, None, Some(5));
        town.press(device);
    }
    for device in 20..30 {
        town.enrol(device, None, None);
    }
    assert_eq!(promotions(&town), 0);
    town.press(20);
    assert_eq!(promotions(&town), 1, "devices without a batch are another batch");
}

#[test]
fn presses_too_far_apart_in_time_promote_nothing() {
    let mut town = town();
    town.send(1, Sent::at(10));
    town.pass(6 * MINUTE);
    town.send(0, Sent::raise());
    town.pass(601 * SECOND);
    town.send(2, Sent::at(20));
    assert_eq!(promotions(&town), 0);
}

#[test]
fn press_without_a_place_is_confirmed_by_nobody_and_a_mounted_one_by_its_site() {
    let mut town = town();
    let nowhere = Sent { place: None, ..Sent::raise() };
    town.send(0, nowhere.clone());
    town.press(1);
    town.press(2);
    assert_eq!(promotions(&town), 0);
    let mounted = Arrival { site: place(0), ..town.arrival(0, nowhere) };
    town.bring(Input::Arrived(mounted));
    assert_eq!(promotions(&town), 1);
}

#[test]
fn promoted_press_is_open_and_further_raises_are_shown_on_it_without_a_page() {
    let mut town = town();
    town.press(1);
    town.press(2);
    let held = town.send(0, Sent::raise()).0.message_id.alert();
    for _ in 0..5 {
        let (again, receipt) = town.send(0, Sent::raise());
        assert_eq!((again.disposition, again.joins), (Disposition::Held, Some(held)));
        assert_eq!(receipt.status, protocol::Status::Held);
    }
    assert_eq!(promotions(&town), 1);
}

#[test]
fn held_presses_together_are_told_to_operators_and_not_paged() {
    let mut town = town();
    for device in [100, 101, 102, 103] {
        let until = town.now + DAY;
        let block = Demand::Block { about: Town::about(device), until };
        town.demand(block, Reach::Everywhere).unwrap();
    }
    let mut alerts = vec![];
    for (device, metres) in [(0, 0), (100, 200), (100, 210), (101, 5_000)] {
        alerts.push(town.send(device, Sent::at(metres)).0.message_id.alert());
    }
    assert!(town.acts().iter().all(|act| *act != "notice"), "two devices, and one far away");
    alerts.push(town.send(102, Sent::at(-300)).0.message_id.alert());
    let notice = town.decisions().last().unwrap().clone();
    assert_eq!(notice.act, Act::Notice(Notice { alerts: 3, batch: None, model: None }));
    assert_eq!(notice.actor, Actor::Rule(Rule::HeldTogether));
    assert_eq!(notice.evidence, [alerts[4], alerts[2], alerts[0]]);
    town.send(103, Sent::at(10));
    assert_eq!(town.decisions().last().unwrap(), &notice, "no news until as many again");
    assert_eq!(promotions(&town), 0);
}

#[test]
fn full_tables_confirm_less_and_never_refuse() {
    let config = DeskConfig { witnesses_max: 4, pending_max: 2, ..DeskConfig::default() };
    let mut town = Town::within(Policy::default(), config);
    for device in 0..8 {
        let until = START + DAY;
        let block = Demand::Block { about: Town::about(device), until };
        town.demand(block, Reach::Everywhere).unwrap();
        town.send(device, Sent::at(i64::from(device)));
    }
    for device in 100..110 {
        assert_eq!(town.press(device).disposition, Disposition::Paged);
    }
    let sizes = town.desk.sizes().admission;
    assert!(sizes.witnesses <= 4 && sizes.pending <= 2, "{sizes:?}");
    assert_eq!(promotions(&town), 2, "the newest two were kept");
}

#[test]
fn raise_without_a_place_takes_nothing_from_one_that_has_one() {
    let mut town = town();
    let held = town.send(0, Sent::raise()).0.message_id.alert();
    town.send(0, Sent { place: None, ..Sent::raise() });
    town.press(1);
    town.press(2);
    assert!(town.decisions().any(|decision| decision.promotes() == Some(held)));
}

#[test]
fn held_press_is_promoted_though_the_clock_was_set_back() {
    let mut town = town();
    let hours = 2 * (60 * MINUTE.0);
    town.now = town.now + Span(hours);
    town.press(9);
    town.now = town.now - Span(hours);
    town.send(0, Sent::raise());
    town.press(1);
    town.press(2);
    assert_eq!(promotions(&town), 1);
}

#[test]
fn new_policy_that_asks_for_fewer_promotes_what_they_confirm() {
    let mut town = Town::ruled("[corroboration]\ndevices = 3");
    town.prank(0, 3);
    town.send(0, Sent::raise());
    town.press(1);
    town.press(2);
    assert_eq!(promotions(&town), 0);
    town.bring(Input::Ruled(Policy::default().into()));
    town.pass(Span(0));
    assert_eq!(promotions(&town), 1);
}

#[test]
fn one_owners_devices_do_not_push_out_what_others_saw() {
    let mut town = town();
    town.press(1);
    town.press(2);
    for device in 10..20 {
        town.enrol(device, Some(7), Some(device));
        for _ in 0..8 {
            town.press(device);
        }
    }
    town.send(0, Sent::raise());
    assert_eq!(promotions(&town), 1);
}

/// A raise without a place.
fn nowhere() -> Sent {
    Sent { place: None, ..Sent::raise() }
}

/// The place of a press, brought later.
fn placed(alert: protocol::AlertId, metres: i64) -> Sent {
    Sent { place: place(metres), ..Sent::update(alert) }
}

#[test]
fn held_press_is_confirmed_at_the_place_that_its_update_brings() {
    for restarts in [false, true] {
        let mut town = town();
        let held = town.send(0, nowhere()).0.message_id.alert();
        town.press(1);
        if restarts {
            town.restart();
        }
        town.send(0, placed(held, 100));
        assert_eq!(promotions(&town), 0, "one confirms it");
        if restarts {
            town.restart();
        }
        town.send(0, placed(held, 100_000));
        town.press(2);
        let promoted = town.decisions().filter_map(Decision::promotes).next_back();
        assert_eq!(promoted, Some(held), "the first place");
    }
    // Whoever confirms it was there before.
    let mut town = town();
    let held = town.send(0, nowhere()).0.message_id.alert();
    town.press(1);
    town.press(2);
    town.send(0, placed(held, 100));
    assert_eq!(town.decisions().last().unwrap().promotes(), Some(held));
    town.send(0, placed(held, 100));
    assert_eq!(promotions(&town), 1, "once");
}

#[test]
fn press_that_is_placed_late_is_confirmed_by_whoever_pressed_before_it() {
    let mut town = town();
    town.press(1);
    town.press(2);
    town.pass(9 * MINUTE);
    let held = town.send(0, nowhere()).0.message_id.alert();
    town.pass(9 * MINUTE);
    town.send(0, placed(held, 100));
    assert_eq!(promotions(&town), 1);
}

#[test]
fn place_of_an_earlier_press_takes_nothing_from_a_newer_one_that_has_one() {
    let mut town = town();
    let earlier = town.send(0, nowhere()).0.message_id.alert();
    let newer = town.send(0, Sent::raise()).0.message_id.alert();
    town.send(0, placed(earlier, 100_000));
    town.press(1);
    town.press(2);
    assert_eq!(town.decisions().last().unwrap().promotes(), Some(newer));
}

#[test]
fn press_confirms_from_the_place_that_its_update_brings() {
    let mut town = town();
    town.press(1);
    let alert = town.send(2, nowhere()).0.message_id.alert();
    town.send(0, Sent::raise());
    town.restart();
    // Somebody else's update places nothing.
    town.try_send(3, placed(alert, 100));
    assert_eq!(promotions(&town), 0);
    town.send(2, placed(alert, 100));
    assert_eq!(promotions(&town), 1);
}

#[test]
fn update_that_places_a_press_on_probation_or_blocked_confirms_nothing() {
    let mut town = Town::ruled("[probation]\nafter_block = \"1h\"");
    town.prank(0, 3);
    town.pass(20 * MINUTE);
    town.press(1);
    // On probation since its press, by a block that ended.
    let one = town.send(2, nowhere()).0.message_id.alert();
    let block = Demand::Block { about: Town::about(2), until: town.now + MINUTE };
    town.demand(block, Reach::Everywhere).unwrap();
    town.pass(2 * MINUTE);
    // Blocked since its press.
    let other = town.send(4, nowhere()).0.message_id.alert();
    let block = Demand::Block { about: Town::about(4), until: town.now + DAY };
    town.demand(block, Reach::Everywhere).unwrap();
    town.send(0, Sent::raise());
    let update = town.send(2, placed(one, 100)).0;
    assert!(update.labels.contains(protocol::Label::OnProbation), "its line says why");
    town.send(4, placed(other, 100));
    town.restart();
    assert_eq!(promotions(&town), 0);
    // New devices, whose updates say so too.
    let enrolment = Enrolment { trusted_from: town.now, ..town.enrolment(6) };
    town.enrolments.insert(6, enrolment);
    let new = town.send(6, nowhere()).0.message_id.alert();
    town.send(6, placed(new, 100));
    assert_eq!(promotions(&town), 0);
}

#[test]
fn presses_without_a_place_are_bounded_and_of_one_device_few() {
    let config = DeskConfig { witnesses_max: 8, pending_max: 8, ..DeskConfig::default() };
    let mut town = Town::within(Policy::default(), config);
    town.prank(0, 3);
    let alerts: Vec<_> = (0..6).map(|_| town.send(0, nowhere()).0.message_id.alert()).collect();
    (100..150).for_each(|device| drop(town.send(device, nowhere())));
    assert!(town.desk.sizes().admission.placeless <= 16);
    town.press(1);
    town.press(2);
    town.send(0, placed(alerts[1], 0));
    assert_eq!(promotions(&town), 0, "only the newest four wait");
    town.send(0, placed(alerts[2], 0));
    assert_eq!(promotions(&town), 1);
}

#[test]
fn one_device_that_presses_without_a_place_does_not_push_out_others() {
    let config = DeskConfig { pending_max: 8, ..DeskConfig::default() };
    let mut town = Town::within(Policy::default(), config);
    town.prank(0, 3);
    town.prank(3, 3);
    let held = town.send(3, nowhere()).0.message_id.alert();
    (0..20).for_each(|_| drop(town.send(0, nowhere())));
    town.press(1);
    town.press(2);
    town.send(3, placed(held, 0));
    assert_eq!(town.decisions().last().unwrap().promotes(), Some(held));
}
