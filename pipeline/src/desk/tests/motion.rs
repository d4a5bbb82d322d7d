//! Who moves and who has gone quiet.

use protocol::{AlertId, Method};

use super::town::*;
use crate::*;

/// What was told of the alert, when in seconds after the start, and on which line's word.
fn told(town: &Town, alert: AlertId) -> Vec<(u64, &'static str, u64)> {
    let about = town.decisions().filter(|d| d.alert.is_some_and(|(id, _)| id == alert));
    about
        .filter_map(|decision| {
            let seen = decision.act.seen()?;
            assert_eq!(decision.raise.as_ref().unwrap().message_id.alert(), alert);
            let line = town.journal[usize::try_from(seen.0).unwrap() - 1].message().unwrap();
            assert_eq!(decision.place, line.stated().0);
            let after_s = decision.decided_at.since(START).0 / 1_000_000;
            Some((after_s, decision.act.name(), seen.0))
        })
        .collect()
}

fn walk(town: &mut Town, alert: AlertId, metres: i64) -> u64 {
    let sent = Sent { place: place(metres), ..Sent::update(alert) };
    town.send(1, sent).0.cursor.0
}

fn pass_seconds(town: &mut Town, seconds: u64) {
    (0..seconds).for_each(|_| town.pass(SECOND));
}

fn resolve(town: &mut Town, alert: AlertId) {
    resolve_as(town, alert, Verdict::Genuine);
}

fn resolve_as(town: &mut Town, alert: AlertId, verdict: Verdict) {
    town.demand(Demand::Resolve { alert, verdict }, Reach::Everywhere).unwrap();
}

/// Somebody whose raise says where they are, answered at once so that nothing climbs.
fn answered() -> (Town, AlertId) {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    town.demand(Demand::Acknowledge { alert }, Reach::Everywhere).unwrap();
    (town, alert)
}

#[test]
fn whoever_is_far_from_where_they_were_told_to_be_moves() {
    let (mut town, alert) = answered();
    walk(&mut town, alert, 95);
    assert_eq!(told(&town, alert), [], "not far enough");
    let first = walk(&mut town, alert, 105);
    pass_seconds(&mut town, 55);
    walk(&mut town, alert, 200);
    assert_eq!(told(&town, alert), [(0, "moving", first)], "95 m from there");
    pass_seconds(&mut town, 5);
    let second = walk(&mut town, alert, 210);
    assert_eq!(told(&town, alert)[1..], [(60, "moving", second)]);
    let back = walk(&mut town, alert, 0);
    pass_seconds(&mut town, 59);
    assert_eq!(told(&town, alert).len(), 2, "once a minute");
    town.pass(SECOND);
    assert_eq!(told(&town, alert)[2..], [(120, "moving", back), (120, "quiet", back)]);
}

#[test]
fn whoever_told_and_tells_no_more_is_quiet_once_until_heard_again() {
    let (mut town, alert) = answered();
    pass_seconds(&mut town, 100);
    assert_eq!(told(&town, alert), [], "a button tells nothing more than that it was pressed");
    let first = walk(&mut town, alert, 0);
    pass_seconds(&mut town, 59);
    let second = walk(&mut town, alert, 1);
    let heard_at = town.now;
    assert!(town.desk.next_deadline().unwrap() <= heard_at + MINUTE);
    pass_seconds(&mut town, 59);
    assert_eq!(told(&town, alert), []);
    town.send(1, Sent::heartbeat());
    pass_seconds(&mut town, 300);
    assert_eq!(told(&town, alert), [(219, "quiet", second)]);
    // An update without a place is a sign of life.
    town.send(1, Sent::update(alert));
    pass_seconds(&mut town, 100);
    assert_eq!(told(&town, alert)[1..], [(578, "quiet", second)]);
    assert!(first < second);
}

#[test]
fn what_is_over_says_nothing_until_it_is_opened_again() {
    let (mut town, alert) = answered();
    let other = town.press(2).message_id.alert();
    walk(&mut town, alert, 0);
    town.send(2, Sent { place: place(0), ..Sent::update(other) });
    resolve(&mut town, alert);
    town.send(2, Sent::cancel(other));
    walk(&mut town, alert, 500);
    pass_seconds(&mut town, 200);
    assert_eq!(town.desk.next_deadline(), None);
    assert_eq!((told(&town, alert), told(&town, other)), (vec![], vec![]));
    town.demand(Demand::Reopen { alert }, Reach::Everywhere).unwrap();
    town.tick();
    let acts: Vec<_> = told(&town, alert).into_iter().map(|(_, act, _)| act).collect();
    assert_eq!(acts, ["moving", "quiet"]);
}

#[test]
fn places_that_are_hardly_known_make_nobody_move() {
    let (mut town, alert) = answered();
    let mut send = |metres: i64, radius_m, age_s, method| {
        let mut place = place(metres).unwrap().by(method);
        (place.radius_m, place.age_s) = (radius_m, age_s);
        let sent = Sent { place: Some(place), ..Sent::update(alert) };
        town.send(1, sent);
        let moves = town.decisions().filter(|d| matches!(d.act, Act::Moving { .. })).count();
        town.pass(MINUTE);
        moves
    };
    assert_eq!(send(5_000, 1_500, 0, Method::Cell), 0, "a cell");
    assert_eq!(send(5_000, 0, 0, Method::Cell), 0, "a cell of unknown size");
    assert_eq!(send(5_000, 251, 0, Method::Wifi), 0);
    assert_eq!(send(5_000, 20, 77, Method::Gnss), 0, "where they were 77 s ago");
    assert_eq!(send(5_000, 0, 0, Method::TypedIn), 0, "somebody wrote it");
    assert_eq!(send(5_000, u32::MAX, u32::MAX, Method::Gnss), 0);
    assert_eq!(send(198, 200, 0, Method::Wifi), 0, "the circle reaches back to where they were");
    assert_eq!(send(205, 200, 0, Method::Wifi), 1);
    assert_eq!(send(400, 10, 0, Method::Gnss), 1, "what was told was not known better");
    assert_eq!(send(420, 10, 0, Method::Gnss), 2);
}

#[test]
fn a_raise_that_says_no_place_is_where_the_first_update_is() {
    let mut town = Town::new();
    let alert = town.send(1, Sent { place: None, ..Sent::raise() }).0.message_id.alert();
    walk(&mut town, alert, 3_000);
    assert_eq!(told(&town, alert), []);
    let line = walk(&mut town, alert, 3_200);
    assert_eq!(told(&town, alert), [(0, "moving", line)]);
}

#[test]
fn updates_of_a_repeated_press_are_of_the_one_that_was_paged() {
    let (mut town, alert) = answered();
    town.pass(SECOND);
    let joined = town.press(1).message_id.alert();
    let line = walk(&mut town, joined, 300);
    assert_eq!(told(&town, alert), [(1, "moving", line)]);
    pass_seconds(&mut town, 60);
    assert_eq!(told(&town, alert)[1..], [(61, "quiet", line)]);
    assert_eq!(told(&town, joined), []);
}

#[test]
fn an_older_place_that_comes_later_is_no_way_back() {
    let (mut town, alert) = answered();
    let early = town.arrival(1, Sent { place: place(0), ..Sent::update(alert) });
    let line = walk(&mut town, alert, 300);
    pass_seconds(&mut town, 60);
    town.bring(Input::Arrived(Arrival { received_at: town.now, ..early }));
    pass_seconds(&mut town, 60);
    assert_eq!(
        told(&town, alert),
        [(0, "moving", line), (60, "quiet", line), (120, "quiet", line)]
    );
}

#[test]
fn of_a_held_press_everything_is_told_once_it_is_promoted() {
    let mut town = Town::new();
    town.prank(1, 3);
    let held = town.press(1).message_id.alert();
    let first = walk(&mut town, held, 500);
    pass_seconds(&mut town, 100);
    assert_eq!(told(&town, held), [], "nobody is paged for it");
    town.judge(held, Verdict::Genuine).unwrap();
    town.tick();
    assert_eq!(told(&town, held), [(2_080, "moving", first), (2_080, "quiet", first)]);
    pass_seconds(&mut town, 60);
    let line = walk(&mut town, held, 700);
    assert_eq!(told(&town, held)[2..], [(2_140, "moving", line)]);
}

#[test]
fn held_press_that_was_cancelled_is_not_watched_when_it_is_promoted() {
    for restarts in [false, true] {
        let mut town = Town::new();
        town.prank(1, 3);
        let held = town.press(1).message_id.alert();
        walk(&mut town, held, 500);
        town.send(1, Sent::cancel(held));
        if restarts {
            town.restart();
        }
        town.judge(held, Verdict::Genuine).unwrap();
        assert!(town.acts().contains(&"promote"));
        walk(&mut town, held, 900);
        pass_seconds(&mut town, 100);
        assert_eq!(told(&town, held), []);
    }
}

#[test]
fn held_press_that_was_resolved_is_not_watched_when_it_is_promoted() {
    let mut town = Town::new();
    town.prank(1, 3);
    let held = town.press(1).message_id.alert();
    resolve_as(&mut town, held, Verdict::Test);
    town.press(2);
    town.press(3);
    assert_eq!(town.acts().last(), Some(&"promote"));
    walk(&mut town, held, 500);
    pass_seconds(&mut town, 100);
    assert_eq!(told(&town, held), []);
}

#[test]
fn restarts_tell_nothing_twice_and_forget_nothing() {
    let (mut town, alert) = answered();
    let first = walk(&mut town, alert, 300);
    town.restart();
    walk(&mut town, alert, 390);
    // Power fails when the update is on disk and what it leads to is not.
    pass_seconds(&mut town, 60);
    let arrival = town.arrival(1, Sent { place: place(700), ..Sent::update(alert) });
    town.bring(Input::Arrived(arrival));
    town.synced =
        town.messages().last().map(|line| usize::try_from(line.cursor.0).unwrap()).unwrap();
    let second = town.synced as u64;
    town.restart();
    assert_eq!(told(&town, alert)[..2], [(0, "moving", first), (60, "quiet", first + 2)]);
    assert_eq!(told(&town, alert)[2..], [(60, "moving", second)]);
    town.restart();
    town.restart();
    pass_seconds(&mut town, 59);
    assert_eq!(told(&town, alert).len(), 3);
    pass_seconds(&mut town, 1);
    assert_eq!(told(&town, alert)[3..], [(120, "quiet", second)]);
    town.restart();
    pass_seconds(&mut town, 300);
    assert_eq!(told(&town, alert).len(), 4);
}

#[test]
fn nobody_is_quiet_while_the_gateway_is_down() {
    let (mut town, alert) = answered();
    let line = walk(&mut town, alert, 0);
    town.now = town.now + 10 * MINUTE;
    town.restart();
    pass_seconds(&mut town, 59);
    assert_eq!(told(&town, alert), []);
    town.pass(SECOND);
    assert_eq!(told(&town, alert), [(660, "quiet", line)]);
}

#[test]
fn clock_that_jumps_makes_nothing_happen_twice_or_never() {
    let (mut town, alert) = answered();
    let line = walk(&mut town, alert, 300);
    town.pass(Span(DAY.0 - MINUTE.0));
    let quiet_at = (86_400 - 60, "quiet", line);
    assert_eq!(told(&town, alert), [(0, "moving", line), quiet_at]);
    town.now = START;
    town.bring(Input::Tick);
    town.pass(10 * MINUTE);
    assert_eq!(told(&town, alert).len(), 2);
    town.now = START + Span(DAY.0 - MINUTE.0);
    town.tick();
    let line = walk(&mut town, alert, 600);
    town.now = START + 2 * MINUTE;
    town.bring(Input::Tick);
    assert_eq!(told(&town, alert)[2..], [(86_340, "moving", line)]);
    pass_seconds(&mut town, 60);
    assert_eq!(told(&town, alert)[3..], [(180, "quiet", line)]);
}

#[test]
fn watching_ends_a_day_after_the_raise_whether_or_not_the_gateway_stopped() {
    for restarts in [false, true] {
        let (mut town, alert) = answered();
        town.pass(Span(DAY.0 - SECOND.0));
        let line = walk(&mut town, alert, 300);
        if restarts {
            town.restart_within(policy::HORIZON_MAX);
        }
        assert_eq!(told(&town, alert), [(86_399, "moving", line)]);
        town.pass(SECOND);
        walk(&mut town, alert, 600);
        pass_seconds(&mut town, 200);
        assert_eq!(told(&town, alert).len(), 1);
        assert_eq!(town.desk.sizes().tracked_alerts, 0);
    }
}

#[test]
fn tracks_are_bounded_and_the_oldest_leaves_first() {
    let config = DeskConfig { open_max: 2, ..DeskConfig::default() };
    let mut town = Town::within(Policy::default(), config);
    let alerts: Vec<_> = (1..=3).map(|device| town.press(device).message_id.alert()).collect();
    assert_eq!(town.desk.sizes().tracked_alerts, 2);
    for (device, alert) in (1..).zip(&alerts) {
        town.send(device, Sent { place: place(300), ..Sent::update(*alert) });
    }
    let moved: Vec<_> = alerts.iter().map(|alert| told(&town, *alert).len()).collect();
    assert_eq!(moved, [0, 1, 1]);
}

#[test]
fn held_presses_displace_no_track_of_a_paged_one() {
    let config = DeskConfig { open_max: 4, ..DeskConfig::default() };
    let mut town = Town::within(Policy::default(), config);
    let block = Demand::Block { about: Town::about(1), until: START + 10 * DAY };
    town.demand(block, Reach::Everywhere).unwrap();
    let paged = town.press(2).message_id.alert();
    (0..9).for_each(|_| drop(town.press(1)));
    assert_eq!(town.desk.sizes().tracked_alerts, 4);
    let moves = |town: &mut Town, metres| {
        town.pass(MINUTE);
        town.send(2, Sent { place: place(metres), ..Sent::update(paged) });
        told(town, paged).iter().filter(|(_, act, _)| *act == "moving").count()
    };
    assert_eq!(moves(&mut town, 300), 1);
    (3..6).for_each(|device| drop(town.send(device, Sent::at(i64::from(device) * 5_000))));
    assert_eq!((town.desk.sizes().tracked_alerts, moves(&mut town, 900)), (4, 2));
    town.press(1);
    assert_eq!((town.desk.sizes().tracked_alerts, moves(&mut town, 1_500)), (4, 3));
}

#[test]
fn another_policy_counts_at_once() {
    let (mut town, alert) = answered();
    walk(&mut town, alert, 50);
    let stricter = Policy::read("[motion]\nmoved_m = 40\nquiet_after = \"10s\"", []).unwrap();
    town.bring(Input::Ruled(stricter.into()));
    town.tick();
    assert_eq!(told(&town, alert), [(0, "moving", 3)]);
    pass_seconds(&mut town, 10);
    assert_eq!(told(&town, alert)[1..], [(10, "quiet", 3)]);
}
