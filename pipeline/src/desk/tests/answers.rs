//! How operators answer alerts, and what they prepare zones for.

use protocol::{AlertId, Category, Label, Labels};

use super::town::*;
use crate::*;

const EVERYWHERE: Reach = Reach::Everywhere;

fn acknowledge(alert: AlertId) -> Demand {
    Demand::Acknowledge { alert }
}

fn only(zone: &str) -> Reach {
    Reach::Zones([ZoneId::new(zone)].into())
}

#[test]
fn of_two_operators_the_second_is_told_who_was_first() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    let answer = town.ask("ani", acknowledge(alert), EVERYWHERE).unwrap();
    assert_eq!((answer.device, answer.promoted), (Some(device_id(1)), false));
    let at = town.now;
    town.pass(SECOND);
    let first = DecisionRefusal::AnsweredAlready { by: "ani".into(), at };
    assert_eq!(town.ask("budi", acknowledge(alert), EVERYWHERE), Err(first.clone()));
    town.restart();
    assert_eq!(town.ask("budi", acknowledge(alert), EVERYWHERE), Err(first));
    let decision = town.decisions().last().unwrap();
    assert_eq!(
        (&decision.act, decision.actor.clone()),
        (&Act::Acknowledge, Actor::Operator("ani".into()))
    );
    assert_eq!(decision.raise.as_ref().unwrap().message_id.alert(), alert);
}

#[test]
fn an_alert_goes_from_raised_to_resolved_and_back() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    let assign = |to: &str| Demand::Assign { alert, to: to.into() };
    let resolve = Demand::Resolve { alert, verdict: Verdict::Genuine };
    let reopen = Demand::Reopen { alert };
    let not_resolved = Err(DecisionRefusal::NotResolved);
    assert_eq!(town.demand(reopen.clone(), EVERYWHERE), not_resolved);
    town.demand(assign("patrol 3"), EVERYWHERE).unwrap();
    town.demand(assign("patrol 4"), EVERYWHERE).unwrap();
    assert_eq!(town.demand(reopen.clone(), EVERYWHERE), not_resolved);
    town.demand(resolve.clone(), EVERYWHERE).unwrap();
    let resolved = Err(DecisionRefusal::Resolved { by: "ani".into(), at: town.now });
    for demand in [acknowledge(alert), assign("patrol 5"), resolve] {
        assert_eq!(town.demand(demand, EVERYWHERE), resolved);
    }
    town.demand(reopen, EVERYWHERE).unwrap();
    town.demand(acknowledge(alert), EVERYWHERE).unwrap();
    let acts = ["assign", "assign", "resolve", "verdict", "reopen", "acknowledge"];
    assert_eq!(town.acts(), acts);
}

#[test]
fn resolving_is_a_verdict_with_all_that_follows_from_one() {
    let mut town = Town::new();
    town.prank(1, 2);
    let alert = town.press(1).message_id.alert();
    let answer =
        town.demand(Demand::Resolve { alert, verdict: Verdict::Prank }, EVERYWHERE).unwrap();
    assert_eq!(town.acts()[2..], ["resolve", "verdict", "block"]);
    assert_eq!(answer.cursor.0 + 2, town.journal.len() as u64);
    assert_eq!(answer.standing.unwrap().strikes.len(), 3);
    assert_eq!(town.grade(1), Grade::Blocked);
}

#[test]
fn verdict_that_power_cut_off_behind_a_resolved_alert_is_made_up_for() {
    for lost in 1..=2 {
        let mut town = Town::new();
        town.prank(1, 2);
        let alert = town.press(1).message_id.alert();
        town.demand(Demand::Resolve { alert, verdict: Verdict::Prank }, EVERYWHERE).unwrap();
        town.synced = town.journal.len() - lost;
        town.restart();
        assert_eq!(town.acts()[2..], ["resolve", "verdict", "block"], "{lost} lines were lost");
        assert_eq!(town.standing(1).strikes.len(), 3);
        town.restart();
        assert_eq!(town.acts().len(), 5, "once");
    }
}

#[test]
fn a_joined_raise_names_the_alert_to_act_on() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    town.pass(SECOND);
    let joined = town.press(1);
    assert_eq!(joined.raised_at, Some(START));
    let refused = Err(DecisionRefusal::Joined(alert));
    assert_eq!(town.demand(acknowledge(joined.message_id.alert()), EVERYWHERE), refused);
    assert!(town.judge(joined.message_id.alert(), Verdict::Test).is_ok(), "each can be judged");
}

#[test]
fn who_is_paged_beside_the_zone_may_answer_and_nobody_else() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    let out = Err(DecisionRefusal::OutOfReach(ZoneId::new("east")));
    assert_eq!(town.demand(acknowledge(alert), only("west")), out);
    assert!(town.demand(acknowledge(alert), only("east")).is_ok());
    town.attend(&["city"]);
    town.pass(MINUTE);
    let record = town.press(2);
    assert_eq!(record.also, [ZoneId::new("city")]);
    assert!(town.demand(acknowledge(record.message_id.alert()), only("city")).is_ok());
}

#[test]
fn alert_outside_the_scope_is_unknown_also_out_of_reach() {
    let mut town = Town::new();
    let raise = town.press(1);
    let alert = raise.message_id.alert();
    let request = |reach, scope| Request {
        actor: "ani".into(),
        reach,
        scope,
        demand: acknowledge(alert),
        reason: None,
    };
    let others: Categories = Category::ALL.into_iter().filter(|it| *it != raise.category).collect();
    let elsewhere = Scope { categories: others, ..Scope::ALL };
    let unknown = Err(DecisionRefusal::UnknownAlert(alert));
    assert_eq!(town.request(request(EVERYWHERE, elsewhere)), unknown);
    assert_eq!(town.request(request(only("west"), elsewhere)), unknown);
    let own = Scope { categories: [raise.category].into_iter().collect(), ..Scope::ALL };
    assert!(town.request(request(EVERYWHERE, own)).is_ok());
}

#[test]
fn what_answers_an_alert_needs_no_reason_but_whom_it_sends() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    let ask = |demand| Request {
        actor: "ani".into(),
        reach: EVERYWHERE,
        scope: Scope::ALL,
        demand,
        reason: None,
    };
    let assign = |to: &str| ask(Demand::Assign { alert, to: to.into() });
    assert_eq!(town.request(assign(" ")), Err(DecisionRefusal::NameLen(1)));
    let long = "n".repeat(ACTOR_LEN_MAX + 1);
    assert_eq!(town.request(assign(&long)), Err(DecisionRefusal::NameLen(ACTOR_LEN_MAX + 1)));
    assert!(town.request(assign("patrol 3")).is_ok());
    let drill = Demand::Drill { zone: ZoneId::new("east"), until: START + DAY };
    assert_eq!(town.request(ask(drill)), Err(DecisionRefusal::ReasonMissing));
}

#[test]
fn exercise_flag_counts_only_where_a_drill_is_declared() {
    let mut town = Town::new();
    let exercise = |town: &mut Town| {
        let arrival = town.arrival(1, Sent::raise());
        let labels = Labels::NONE.with(Label::Exercise);
        town.bring(Input::Arrived(Arrival { labels, ..arrival }));
        town.sync();
        town.messages().last().unwrap().labels.contains(Label::Drill)
    };
    let drill = |zone: &str, until| Demand::Drill { zone: ZoneId::new(zone), until };
    assert!(!exercise(&mut town));
    assert_eq!(
        town.demand(drill("nowhere", START), EVERYWHERE),
        Err(DecisionRefusal::UnknownZone(ZoneId::new("nowhere")))
    );
    assert_eq!(
        town.demand(drill("city", START + 2 * DAY), EVERYWHERE),
        Err(DecisionRefusal::DrillTooLong(DAY))
    );
    let out = Err(DecisionRefusal::OutOfReach(ZoneId::new("city")));
    assert_eq!(town.demand(drill("city", START + DAY), only("east")), out);
    town.demand(drill("west", START + DAY), EVERYWHERE).unwrap();
    assert!(!exercise(&mut town), "elsewhere");
    let answer = town.demand(drill("city", START + DAY), EVERYWHERE).unwrap();
    assert_eq!((answer.device, answer.standing), (None, None));
    assert!(exercise(&mut town), "declared above");
    assert!(!town.press(2).labels.contains(Label::Drill), "a press without the flag is real");
    town.pass(82_800 * SECOND);
    town.restart();
    assert!(exercise(&mut town), "declared before what a start reads again");
    town.demand(drill("city", Time(1)), EVERYWHERE).unwrap();
    assert!(!exercise(&mut town), "ended early");
}

#[test]
fn updates_and_cancels_go_to_whoever_answers_their_raise() {
    let mut town = Town::new();
    let police = Agencies::NONE.with(Agency::Police);
    town.route(Routing { agencies: police, ..Routing::default() });
    let raise = town.press(1);
    assert_eq!((raise.agencies, raise.raised_at), (police, None));
    town.route(Routing::default());
    town.pass(SECOND);
    for sent in [Sent::update(raise.message_id.alert()), Sent::cancel(raise.message_id.alert())] {
        let record = town.send(1, sent).0;
        assert_eq!((record.agencies, record.raised_at), (police, Some(START)));
    }
}
