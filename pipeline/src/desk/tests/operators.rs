//! What operators may ask, and how they are answered.

use super::town::*;
use crate::*;

fn east() -> Reach {
    Reach::Zones([ZoneId::new("east")].into())
}

fn west() -> Reach {
    Reach::Zones([ZoneId::new("west")].into())
}

#[test]
fn answer_waits_for_the_sync_of_all_that_was_decided() {
    let mut town = Town::new();
    town.prank(1, 2);
    let alert = town.press(1).message_id.alert();
    let request = Request {
        actor: "ani".into(),
        reach: Reach::Everywhere,
        scope: Scope::ALL,
        demand: Demand::Verdict { alert, verdict: Verdict::Prank },
        reason: None,
    };
    town.bring(Input::Decide { ticket: Ticket(500), request });
    let journaled = town.journal.len() as u64;
    town.bring(Input::Synced(Cursor(journaled - 1)));
    assert!(town.answers.is_empty(), "the block is not on disk");
    town.bring(Input::Synced(Cursor(journaled)));
    let answer = town.answers[&Ticket(500)].clone().unwrap();
    assert_eq!(answer.cursor, Cursor(journaled - 1), "the verdict, and the block behind it");
    assert_eq!(town.desk.in_hand(), 0);
}

#[test]
fn verdict_on_an_unknown_alert_or_on_an_update_is_refused() {
    let mut town = Town::new();
    let unknown = protocol::AlertId([9; 16]);
    assert_eq!(town.judge(unknown, Verdict::Prank), Err(DecisionRefusal::UnknownAlert(unknown)));
    let alert = town.press(1).message_id.alert();
    let update = town.send(1, Sent::update(alert)).0.message_id.alert();
    assert_eq!(town.judge(update, Verdict::Prank), Err(DecisionRefusal::UnknownAlert(update)));
    assert_eq!(town.acts(), Vec::<&str>::new());
}

#[test]
fn nobody_acts_beyond_their_zones() {
    let mut town = Town::new();
    let alert = town.press(1).message_id.alert();
    let verdict = Demand::Verdict { alert, verdict: Verdict::Genuine };
    let refusal = Err(DecisionRefusal::OutOfReach(ZoneId::new("east")));
    assert_eq!(town.demand(verdict.clone(), west()), refusal);
    let block = Demand::Block { about: Town::about(1), until: START + DAY };
    assert_eq!(town.demand(block, west()), refusal);
    assert_eq!(town.demand(Demand::Unblock(Town::about(1)), west()), refusal);
    assert_eq!(town.demand(Demand::Appeal(Town::about(1)), west()), refusal);
    assert!(town.journal.len() == 1, "nothing was decided");
    assert!(town.demand(verdict.clone(), east()).is_ok());
    let above = Reach::Zones([ZoneId::new("city")].into());
    assert!(town.demand(verdict, above).is_ok());
}

#[test]
fn block_and_unblock_take_effect_at_the_next_message() {
    let mut town = Town::new();
    let until = START + 3 * DAY;
    let block = Demand::Block { about: Town::about(1), until };
    let answer = town.demand(block, east()).unwrap();
    assert_eq!(answer.standing.unwrap().blocked_until, Some(until));
    assert_eq!(town.press(1).disposition, Disposition::Held);
    let answer = town.demand(Demand::Unblock(Town::about(1)), east()).unwrap();
    assert_eq!(answer.standing, Some(Standing::default()));
    assert_eq!(town.press(1).disposition, Disposition::Paged);
    let decision = town.decisions().last().unwrap();
    assert_eq!(decision.actor, Actor::Operator("ani".into()));
    assert_eq!(decision.reason.as_deref(), Some("seen on site"));
    assert_eq!(
        town.demand(Demand::Unblock(Town::about(1)), east()),
        Err(DecisionRefusal::NotBlocked)
    );
}

#[test]
fn genuine_verdict_leaves_a_persons_block_alone_and_still_promotes() {
    let mut town = Town::new();
    let until = START + 3 * DAY;
    town.demand(Demand::Block { about: Town::about(1), until }, east()).unwrap();
    let held = town.press(1).message_id.alert();
    let answer = town.judge(held, Verdict::Genuine).unwrap();
    assert!(answer.promoted);
    assert_eq!(answer.standing.unwrap().blocked_until, Some(until));
}

#[test]
fn appeal_is_noted_and_changes_nothing() {
    let mut town = Town::new();
    town.prank(1, 3);
    let before = town.standing(1);
    let answer = town.demand(Demand::Appeal(Town::about(1)), east()).unwrap();
    assert_eq!(answer.standing, Some(before.clone()));
    assert_eq!(town.standing(1), before);
    assert_eq!(town.decisions().last().unwrap().standing, None);
}

#[test]
fn demands_that_make_no_sense_are_refused_with_their_reason() {
    let mut town = Town::new();
    let block = |until| Demand::Block { about: Town::about(1), until };
    assert_eq!(town.demand(block(START), east()), Err(DecisionRefusal::EndsBeforeItBegins));
    assert_eq!(
        town.demand(block(START + 91 * DAY), east()),
        Err(DecisionRefusal::BlockTooLong(90 * DAY))
    );
    let request = Request {
        actor: "ani".into(),
        reach: Reach::Everywhere,
        scope: Scope::ALL,
        demand: block(START + DAY),
        reason: Some("no".into()),
    };
    let silent = Request { reason: Some(" ".into()), ..request.clone() };
    assert_eq!(town.request(silent), Err(DecisionRefusal::ReasonMissing));
    let long = "n".repeat(REASON_LEN_MAX + 1);
    let wordy = Request { reason: Some(long.into()), ..request.clone() };
    assert_eq!(town.request(wordy), Err(DecisionRefusal::ReasonTooLong(REASON_LEN_MAX + 1)));
    let nameless = Request { actor: "".into(), ..request.clone() };
    assert_eq!(town.request(nameless), Err(DecisionRefusal::ActorLen(0)));
    assert!(town.request(request).is_ok());
}

#[test]
fn more_demands_than_the_desk_takes_are_told_so() {
    let config = DeskConfig { decisions_max: 2, ..DeskConfig::default() };
    let mut town = Town::within(Policy::default(), config);
    let appeal = || Request {
        actor: "ani".into(),
        reach: Reach::Everywhere,
        scope: Scope::ALL,
        demand: Demand::Appeal(Town::about(1)),
        reason: Some("it was my child".into()),
    };
    for n in 0..3 {
        town.bring(Input::Decide { ticket: Ticket(900 + n), request: appeal() });
    }
    assert_eq!(town.answers[&Ticket(902)], Err(DecisionRefusal::Busy));
    town.sync();
    assert!(town.request(appeal()).is_ok());
}

#[test]
fn debug_text_holds_nobodys_words() {
    let mut town = Town::new();
    let request = Request {
        actor: "ani".into(),
        reach: Reach::Everywhere,
        scope: Scope::ALL,
        demand: Demand::Appeal(Town::about(1)),
        reason: Some("Jalan Ijen 5".into()),
    };
    town.request(request.clone()).unwrap();
    let decision = town.decisions().last().unwrap();
    assert_eq!(decision.reason, request.reason);
    for text in [format!("{request:?}"), format!("{decision:?}")] {
        assert!(!text.contains("Ijen"), "{text}");
    }
}
