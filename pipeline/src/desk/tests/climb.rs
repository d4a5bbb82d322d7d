//! Who is paged next where nobody answers.

use protocol::AlertId;

use super::town::*;
use crate::*;

/// When each step was taken, by which rule, and whom it paged; seconds after the start.
fn steps(town: &Town, alert: AlertId) -> Vec<(u64, Rule, &str)> {
    let about = town.decisions().filter(|d| d.alert.is_some_and(|(id, _)| id == alert));
    about
        .filter_map(|decision| {
            let Act::Escalate { to } = &decision.act else { return None };
            let Actor::Rule(rule) = decision.actor else { panic!("nobody makes an alert climb") };
            assert_eq!(decision.raise.as_ref().unwrap().message_id.alert(), alert);
            let after_s = decision.decided_at.since(START).0 / 1_000_000;
            Some((after_s, rule, to.as_ref().map_or("all", ZoneId::as_str)))
        })
        .collect()
}

fn pass_seconds(town: &mut Town, seconds: u64) {
    (0..seconds).for_each(|_| town.pass(SECOND));
}

fn acknowledge(town: &mut Town, alert: AlertId) {
    town.demand(Demand::Acknowledge { alert }, Reach::Everywhere).unwrap();
}

const BOTH: [(u64, Rule, &str); 2] = [(60, Rule::Deadline, "city"), (120, Rule::Deadline, "all")];

#[test]
fn unanswered_alert_climbs_to_everybody_each_step_once() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    town.send(1, Sent::cancel(alert));
    assert_eq!(town.desk.next_deadline(), Some(START + MINUTE));
    assert_eq!(town.desk.sizes().open_alerts, 1);
    pass_seconds(&mut town, 300);
    assert_eq!(steps(&town, alert), BOTH, "a sender who cancels stops nothing");
    acknowledge(&mut town, alert);
    assert_eq!(town.desk.sizes().open_alerts, 0);
}

#[test]
fn answers_stop_it_and_reopening_begins_again() {
    let mut town = Town::new();
    let alerts: Vec<_> = (1..=4).map(|device| town.press(device).message_id.alert()).collect();
    acknowledge(&mut town, alerts[0]);
    town.demand(Demand::Assign { alert: alerts[1], to: "patrol 3".into() }, Reach::Everywhere)
        .unwrap();
    town.demand(Demand::Resolve { alert: alerts[2], verdict: Verdict::Test }, Reach::Everywhere)
        .unwrap();
    town.judge(alerts[3], Verdict::Genuine).unwrap();
    pass_seconds(&mut town, 200);
    assert!(alerts.iter().all(|alert| steps(&town, *alert).is_empty()));
    let refused =
        town.ask("budi", Demand::Acknowledge { alert: alerts[3] }, Reach::Everywhere).unwrap_err();
    assert_eq!(refused, DecisionRefusal::AnsweredAlready { by: "ani".into(), at: START });
    town.demand(Demand::Reopen { alert: alerts[2] }, Reach::Everywhere).unwrap();
    pass_seconds(&mut town, 61);
    town.restart();
    pass_seconds(&mut town, 200);
    assert_eq!(
        steps(&town, alerts[2]),
        [(260, Rule::Deadline, "city"), (320, Rule::Deadline, "all")]
    );
}

#[test]
fn deadlines_go_by_posture_and_zone_and_survive_a_start_far_behind() {
    let mut town = Town::new();
    let case = Case { posture: Some(Posture::Contingency), ..Case::default() };
    let deadlines = vec![DeadlineRule { case, after: 20 * SECOND }];
    town.route(Routing { deadlines, ..Routing::default() });
    let alert = town.press(1).message_id.alert();
    let posture = |zone: &str, posture| Demand::Posture { zone: ZoneId::new(zone), posture };
    town.demand(posture("city", Posture::Contingency), Reach::Everywhere).unwrap();
    pass_seconds(&mut town, 50);
    assert_eq!(
        steps(&town, alert),
        [(20, Rule::Deadline, "city"), (40, Rule::Deadline, "all")],
        "an alert that waits already climbs by the posture of the hour"
    );
    town.pass(2 * DAY);
    town.restart();
    let later = town.press(2).message_id.alert();
    pass_seconds(&mut town, 21);
    assert_eq!(steps(&town, later).len(), 1, "told by the index");
    town.demand(posture("east", Posture::Routine), Reach::Everywhere).unwrap();
    let calm = town.press(3).message_id.alert();
    pass_seconds(&mut town, 59);
    assert!(steps(&town, calm).is_empty(), "the nearest that has one set");
}

#[test]
fn nobody_listens_so_it_climbs_at_once() {
    let mut town = Town::new();
    town.attend(&["city", "east"]);
    let alert = town.press(1).message_id.alert();
    pass_seconds(&mut town, 5);
    town.attend(&["city"]);
    pass_seconds(&mut town, 9);
    assert!(steps(&town, alert).is_empty(), "a subscriber may come back");
    pass_seconds(&mut town, 1);
    assert_eq!(steps(&town, alert), [(15, Rule::Unattended, "city")]);
    let unattended = town.press(2);
    assert_eq!(unattended.also, [ZoneId::new("city")], "from the first moment");
    pass_seconds(&mut town, 100);
    assert_eq!(
        steps(&town, unattended.message_id.alert()),
        [(75, Rule::Deadline, "all")],
        "the city was paged"
    );
    town.attend(&[]);
    pass_seconds(&mut town, 20);
    let alone = town.press(3);
    assert!(alone.also.is_empty(), "there is nobody whom it would reach sooner");
    pass_seconds(&mut town, 5);
    town.attend(&["city"]);
    assert_eq!(steps(&town, alone.message_id.alert()), [(140, Rule::Unattended, "city")]);
}

#[test]
fn steps_go_on_after_a_restart_and_a_clock_that_jumps() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    pass_seconds(&mut town, 30);
    town.restart();
    pass_seconds(&mut town, 31);
    assert_eq!(steps(&town, alert), [BOTH[0]]);
    town.restart();
    town.now = START - 300 * DAY;
    town.bring(Input::Tick);
    pass_seconds(&mut town, 59);
    assert_eq!(steps(&town, alert).len(), 1);
    town.restart();
    pass_seconds(&mut town, 61);
    assert_eq!(steps(&town, alert).len(), 2, "it does not wait until the clock is there again");
    town.now = START + 300 * DAY;
    pass_seconds(&mut town, 300);
    assert_eq!(steps(&town, alert).len(), 2, "each step once");
}

#[test]
fn step_that_power_cut_off_is_taken_again() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    town.pass(MINUTE);
    town.synced = town.journal.len() - 1;
    town.restart();
    assert_eq!(steps(&town, alert), [BOTH[0]]);
}

#[test]
fn held_alert_waits_from_its_promotion_on() {
    let mut town = Town::new();
    town.prank(0, 3);
    let held = town.press(0).message_id.alert();
    pass_seconds(&mut town, 100);
    assert!(steps(&town, held).is_empty(), "nobody was paged");
    town.press(1);
    town.press(2);
    assert_eq!(town.acts().last(), Some(&"promote"));
    let promoted_s = town.now.since(START).0 / 1_000_000;
    pass_seconds(&mut town, 60);
    assert_eq!(steps(&town, held), [(promoted_s + 60, Rule::Deadline, "city")]);
}

/// What answered it lies further back than a start is told, and what promoted it does not.
#[test]
fn alert_that_was_answered_before_its_promotion_climbs_at_no_start() {
    let mut town = Town::new();
    town.prank(0, 3);
    let held = town.press(0).message_id.alert();
    acknowledge(&mut town, held);
    town.pass(8 * MINUTE);
    town.press(1);
    town.press(2);
    assert_eq!(town.acts().last(), Some(&"promote"));
    town.pass(Span(DAY.0 - 4 * MINUTE.0));
    town.send(3, Sent::heartbeat());
    town.restart_within(policy::HORIZON_MAX);
    pass_seconds(&mut town, 200);
    assert_eq!(steps(&town, held), []);
}

#[test]
fn a_surge_waits_once_at_the_root_for_all_its_presses() {
    let mut town = Town::ruled("[surge]\npresses = 10");
    let batch = |name: &str, devices| Batch { name: name.into(), devices };
    let batches = vec![batch("a", 20), batch("b", 980)];
    let fleet = Fleet { devices: 1_000, batches };
    town.fleet = fleet.into();
    town.bring(Input::Fleet(std::sync::Arc::clone(&town.fleet)));
    let pressed: Vec<_> = (0..11).map(|n| town.press(2 * n)).collect();
    let noticed = pressed.iter().filter(|record| record.disposition == Disposition::Noticed);
    let notice = town.decisions().find(|decision| decision.act.name() == "notice").unwrap();
    let told = notice.alert.unwrap().0;
    let alerts: Vec<_> = noticed.map(|record| record.message_id.alert()).collect();
    pass_seconds(&mut town, 60);
    assert!(alerts.len() > 1 && alerts.contains(&told));
    let climbed: Vec<_> =
        alerts.into_iter().filter(|alert| !steps(&town, *alert).is_empty()).collect();
    assert_eq!(climbed, [told]);
    pass_seconds(&mut town, 40);
    town.restart();
    assert_eq!(steps(&town, told), [(60, Rule::Deadline, "all")]);
}

#[test]
fn a_full_table_forgets_those_first_that_climb_no_further() {
    let config = DeskConfig { open_max: 2, ..DeskConfig::default() };
    let mut town = Town::within(Policy::default(), config);
    let first = town.press(1).message_id.alert();
    pass_seconds(&mut town, 121);
    let second = town.press(2).message_id.alert();
    let third = town.press(3).message_id.alert();
    assert_eq!(town.desk.sizes().open_alerts, 2);
    let fourth = town.press(4).message_id.alert();
    pass_seconds(&mut town, 200);
    let taken = [first, second, third, fourth].map(|alert| steps(&town, alert).len());
    assert_eq!(taken, [2, 0, 2, 2], "then the oldest");
    acknowledge(&mut town, second);
}
