//! Promise 3: a first press always passes, and what a first press is.

use protocol::{Label, Status};

use super::town::*;
use crate::*;

#[test]
fn raise_within_the_window_joins_and_the_next_one_is_a_first_press() {
    let mut town = Town::new();
    let first = town.press(1);
    assert_eq!((first.disposition, first.joins), (Disposition::Paged, None));
    let alert = first.message_id.alert();
    town.pass(9 * MINUTE);
    let (joined, receipt) = town.send(1, Sent::raise());
    assert_eq!((joined.disposition, joined.joins), (Disposition::Joined, Some(alert)));
    assert_eq!(receipt.status, Status::Received, "a repeat is never refused");
    town.pass(Span(10 * MINUTE.0 - 1));
    assert_eq!(town.press(1).joins, Some(alert), "each raise extends the press");
    town.pass(10 * MINUTE);
    let next = town.press(1);
    assert_eq!((next.disposition, next.joins), (Disposition::Paged, None), "at the edge");
}

#[test]
fn cancel_does_not_end_the_window_and_devices_do_not_share_it() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    town.send(1, Sent::cancel(alert));
    assert_eq!(town.press(1).joins, Some(alert));
    assert_eq!(town.press(2).disposition, Disposition::Paged);
}

#[test]
fn window_counts_from_what_was_read_and_not_from_when_it_is_decided() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    town.pass(9 * MINUTE);
    let waited = town.arrival(1, Sent::raise());
    town.pass(5 * MINUTE);
    town.bring(Input::Arrived(waited));
    let joined = town.messages().last().unwrap();
    assert_eq!(joined.joins, Some(alert));
}

#[test]
fn first_press_passes_whatever_is_held_against_it_short_of_a_block() {
    let mut town = Town::ruled("[rates]\nraise = \"1 per 1d\"\n[probation]\nnew_device = \"30d\"");
    town.enrolments.insert(3, Enrolment { trusted_from: START, ..Enrolment::default() });
    let clocks = [None, Some(Time(0)), Some(START + 99 * 365 * DAY), Some(Time(u64::MAX))];
    for (n, clock) in clocks.into_iter().cycle().take(40).enumerate() {
        let (record, receipt) = town.send(3, Sent { clock, place: None, ..Sent::raise() });
        assert_eq!(record.disposition, Disposition::Paged, "press {n}");
        assert_eq!(receipt.status, Status::Received);
        assert!(record.labels.contains(Label::OnProbation));
        assert_eq!(record.labels.contains(Label::Late), clock == Some(Time(0)));
        town.pass(11 * MINUTE);
    }
    let labelled = town.messages().filter(|record| record.labels.contains(Label::OverQuota));
    assert_eq!(labelled.count(), 29, "10 late ones are not counted, the first is granted");
}

#[test]
fn probation_of_a_new_enrolment_ends_and_a_vouched_device_has_none() {
    let mut town = Town::new();
    town.enrolments.insert(1, Enrolment { trusted_from: START, ..Enrolment::default() });
    assert_eq!(town.grade(1), Grade::Probation);
    assert_eq!(town.grade(2), Grade::Good);
    town.press(1);
    let hint = town.hints[&DeviceIndex(1)];
    assert_eq!(
        Lane::of(protocol::Kind::Raise, hint, town.now + 11 * MINUTE),
        Lane::FirstOnProbation
    );
    town.pass(DAY);
    assert_eq!(town.grade(1), Grade::Good);
    assert_eq!(Lane::of(protocol::Kind::Raise, hint, town.now), Lane::First);
}

#[test]
fn hints_lead_each_kind_into_its_lane() {
    let mut town = Town::new();
    town.press(1);
    let hint = town.hints[&DeviceIndex(1)];
    assert_eq!(Lane::of(protocol::Kind::Raise, hint, town.now), Lane::Repeat);
    assert_eq!(Lane::of(protocol::Kind::Raise, hint, town.now + 10 * MINUTE), Lane::First);
    town.prank(2, 3);
    let hint = town.hints[&DeviceIndex(2)];
    assert_eq!(Lane::of(protocol::Kind::Raise, hint, town.now), Lane::Held);
}

#[test]
fn a_million_replays_of_the_same_signed_bytes_are_one_alert() {
    let mut town = Town::new();
    let mut copy = town.arrival(1, Sent::raise());
    let ticket = copy.ticket;
    for n in 0..1_000_000 {
        copy.ticket = Ticket(1_000_000 + n);
        town.desk.handle(Input::Arrived(copy.clone()), town.now);
        while let Some(output) = town.desk.poll_output() {
            match output {
                Output::Append(entry) => town.journal.push(entry),
                Output::Reply(_, receipt) => assert_eq!(receipt.status, Status::Duplicate),
                Output::Hint(..) => {}
                other => panic!("{other:?}"),
            }
        }
        if n == 0 {
            town.sync();
        }
    }
    assert_eq!(town.journal.len(), 1, "copies of {ticket:?}");
    assert_eq!(town.desk.in_hand(), 0);
}

#[test]
fn clock_that_is_set_back_makes_no_first_press_a_repeat() {
    let mut town = Town::new();
    town.now = START + 2 * DAY;
    town.press(1);
    town.now = START;
    let first = town.press(1);
    assert_eq!((first.disposition, first.joins), (Disposition::Paged, None));
    assert!(!town.hints[&DeviceIndex(1)].is_open(START + 11 * MINUTE));
    town.restart();
    assert_eq!(town.press(1).joins, Some(first.message_id.alert()), "its own repeats join it");
}
