//! What the index answers to operators, compared with a plain filter over everything that was added.

use std::path::Path;
use std::sync::Arc;

use pipeline::{Act, Answer, Decision, Disposition, Entry, Posture, Record, Verdict, ZoneId};
use protocol::{Category, Kind, Label, Labels};

use super::*;
use crate::journal::testing::{decision, promotion, record, update};
use crate::search::{Index, Lookup};

/// Raises of seven devices in two zones, one of four held, every tenth followed by a cancel; a verdict and a promotion.
fn filled(path: &Path) -> (Lookup, Vec<Record>) {
    let mut entries: Vec<Entry> = vec![];
    for cursor in 1..=100 {
        let raise = record(cursor);
        entries.push(match cursor {
            _ if cursor % 10 == 0 => {
                let alert = record(cursor - 1).message_id.alert();
                Record { kind: Kind::Cancel, ..update(cursor, alert) }.into()
            }
            _ if cursor % 4 == 1 => Record { disposition: Disposition::Held, ..raise }.into(),
            _ if cursor % 4 == 2 => {
                let joins = Some(record(cursor - 1).message_id.alert());
                let category = Category::Medical;
                Record { disposition: Disposition::Joined, joins, category, ..raise }.into()
            }
            _ => raise.into(),
        });
    }
    entries.push(decision(101, 3).into());
    entries.push(promotion(102, 5).into());
    Index::open(path, Cursor(0)).unwrap().add(&entries).unwrap();
    let raises = entries.iter().filter_map(Entry::message);
    let raises = raises.filter(|record| record.kind == Kind::Raise).cloned().collect();
    (Lookup::open(path).unwrap(), raises)
}

fn state_of(record: &Record) -> AlertState {
    match record.disposition {
        _ if record.cursor == Cursor(5) => AlertState::Promoted,
        Disposition::Held => AlertState::Held,
        Disposition::Joined => AlertState::Joined,
        _ => AlertState::Paged,
    }
}

/// Every match, page after page.
fn all(lookup: &Lookup, query: &AlertQuery, zone: Option<&str>) -> Vec<Cursor> {
    let mut query = query.clone();
    let mut found = vec![];
    loop {
        let page = lookup.alerts(&query, |of| zone.is_none_or(|zone| zone == of.as_str())).unwrap();
        assert!(page.alerts.len() <= query.limit);
        found.extend(page.alerts.iter().map(|alert| alert.cursor));
        let Some(next) = page.next else { return found };
        query.before = Some(next);
    }
}

#[test]
fn pages_hold_just_what_a_plain_filter_finds_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let (lookup, raises) = filled(&dir.path().join("search.db"));
    let at = |cursor| Some(record(cursor).received_at);
    let periods = [
        Period::default(),
        Period { since: at(20), until: None },
        Period { since: None, until: at(60) },
        Period { since: at(20), until: at(60) },
        Period { since: at(60), until: at(20) },
    ];
    let states = AlertState::ALL.map(Some);
    let states = states.into_iter().chain([None]);
    for state in states {
        for period in periods {
            for device in [None, Some(record(3).device)] {
                for (category, zone) in
                    [(None, None), (Some(Category::Medical), None), (None, Some("klojen"))]
                {
                    let query = AlertQuery {
                        period,
                        device,
                        state,
                        category,
                        limit: 7,
                        ..AlertQuery::default()
                    };
                    let expected: Vec<_> = raises
                        .iter()
                        .rev()
                        .filter(|record| state.is_none_or(|state| state == state_of(record)))
                        .filter(|record| period.since.is_none_or(|time| record.received_at >= time))
                        .filter(|record| period.until.is_none_or(|time| record.received_at < time))
                        .filter(|record| device.is_none_or(|device| record.device == device))
                        .filter(|record| category.is_none_or(|wanted| record.category == wanted))
                        .filter(|record| zone.is_none_or(|zone| record.zone.as_str() == zone))
                        .map(|record| record.cursor)
                        .collect();
                    assert_eq!(all(&lookup, &query, zone), expected, "{query:?} {zone:?}");
                }
            }
        }
    }
}

#[test]
fn page_ends_when_it_has_looked_at_enough_and_says_where_to_go_on() {
    let mut pager = Pager::new(10);
    for looked_at in 0..LOOKED_AT_MAX {
        assert!(pager.looks_at(Cursor(1_000_000 - looked_at as u64)));
    }
    assert!(!pager.looks_at(Cursor(1)));
    assert_eq!(pager.last, Some(Cursor(1_000_001 - LOOKED_AT_MAX as u64)));
    let mut pager = Pager::new(1);
    assert!(pager.looks_at(Cursor(9)));
    pager.matched();
    assert!(!pager.looks_at(Cursor(8)));
    assert_eq!(pager.last, Some(Cursor(9)));
}

#[test]
fn alert_is_found_by_its_id_with_what_became_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (lookup, _) = filled(&dir.path().join("search.db"));
    let find = |cursor| lookup.alert(record(cursor).message_id.alert()).unwrap();
    let judged = find(3).unwrap();
    assert_eq!((judged.verdict, judged.state), (Some(Verdict::Prank), AlertState::Paged));
    assert_eq!(find(5).unwrap().state, AlertState::Promoted);
    let cancelled = find(9).unwrap();
    assert_eq!((cancelled.cancelled, cancelled.updates), (true, 0));
    // The tenth message takes the ninth back; the second joined the first.
    assert_eq!(lookup.followers(&cancelled, 10).unwrap(), [Cursor(10)]);
    assert_eq!(lookup.followers(&find(1).unwrap(), 10).unwrap(), [Cursor(2)]);
    assert_eq!(find(10), None);
    assert_eq!(find(500), None);
}

#[test]
fn decisions_are_found_by_what_they_are_about() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let mut index = Index::open(&path, Cursor(0)).unwrap();
    index.add(&(1..=4).map(|cursor| record(cursor).into()).collect::<Vec<_>>()).unwrap();
    let elsewhere = Decision { zone: ZoneId::new("kota"), ..decision(7, 2) };
    let decided = [decision(5, 1).into(), promotion(6, 2).into(), elsewhere.into()];
    index.add(&decided).unwrap();
    let lookup = Lookup::open(&path).unwrap();
    let ask = |query: DecisionQuery| lookup.decisions(&query, |_| true).unwrap();
    let any = DecisionQuery { limit: 10, ..DecisionQuery::default() };
    assert_eq!(ask(any.clone()).decisions, [7, 6, 5].map(Cursor));
    let first = ask(DecisionQuery { limit: 2, ..any.clone() });
    assert_eq!((first.decisions.len(), first.next), (2, Some(Cursor(6))));
    let second = ask(DecisionQuery { before: first.next, ..any.clone() });
    assert_eq!((second.decisions, second.next), (vec![Cursor(5)], None));
    let about = |device| ask(DecisionQuery { device: Some(device), ..any.clone() }).decisions;
    assert_eq!(about(record(1).device), [Cursor(5)]);
    let alert = Some(record(2).message_id.alert());
    let query = DecisionQuery { alert, operator: Some("siti".into()), ..any.clone() };
    assert_eq!(ask(query).decisions, [Cursor(7)]);
    let query = DecisionQuery { operator: Some("siti".into()), ..any.clone() };
    assert_eq!(ask(query).decisions, [7, 5].map(Cursor));
    let here = lookup.decisions(&any, |zone| zone.as_str() != "kota").unwrap();
    assert_eq!(here.decisions, [6, 5].map(Cursor));
}

#[test]
fn device_shows_where_it_last_pressed_and_how_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (lookup, _) = filled(&dir.path().join("search.db"));
    let known = lookup.device(record(3).device).unwrap();
    assert_eq!(known.standing, decision(101, 3).standing);
    assert!(known.messages > 10 && known.zone.is_some() && known.last_seen.is_some());
    assert_eq!(lookup.device(protocol::DeviceId([0xee; 16])).unwrap(), DeviceRow::default());
}

/// A decision at `cursor` about the raise at `on`.
fn about(cursor: u64, on: u64, act: Act) -> Entry {
    Decision { act, standing: None, reason: None, ..decision(cursor, on) }.into()
}

#[test]
fn alert_is_answered_as_the_latest_decision_about_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let mut index = Index::open(&path, Cursor(0)).unwrap();
    let also = vec![ZoneId::new("blimbing")];
    index.add(&[Record { also, ..record(1) }.into(), record(2).into()]).unwrap();
    let lookup = Lookup::open(&path).unwrap();
    let shown = || lookup.alert(record(1).message_id.alert()).unwrap().unwrap();
    let asked = |answer| AlertQuery { answer: Some(answer), limit: 9, ..AlertQuery::default() };
    let by: Arc<str> = Arc::from("siti");
    let patrol: Arc<str> = Arc::from("patrol 7");
    assert_eq!(shown().answer, Answer::Waiting);
    let steps = [
        (Act::Acknowledge, AnswerState::Acknowledged, None),
        (Act::Verdict(Verdict::Genuine), AnswerState::Acknowledged, None),
        (Act::Assign { to: Arc::clone(&patrol) }, AnswerState::Assigned, Some(&patrol)),
        (Act::Resolve(Verdict::Genuine), AnswerState::Resolved, Some(&patrol)),
        (Act::Reopen, AnswerState::Waiting, None),
        (Act::Verdict(Verdict::Genuine), AnswerState::Acknowledged, None),
        (Act::Verdict(Verdict::Genuine), AnswerState::Acknowledged, None),
        (Act::Resolve(Verdict::Genuine), AnswerState::Resolved, None),
    ];
    let changed = [3, 3, 5, 6, 7, 8, 8, 10];
    for ((cursor, (act, state, to)), changed) in (3..).zip(steps).zip(changed) {
        index.add(&[about(cursor, 1, act)]).unwrap();
        let (by, at) = (Arc::clone(&by), decision(changed, 1).decided_at);
        let answer = match state {
            AnswerState::Waiting => Answer::Waiting,
            AnswerState::Acknowledged => Answer::Acknowledged { by, at },
            AnswerState::Assigned => Answer::Assigned { by, to: Arc::clone(&patrol), at },
            AnswerState::Resolved => Answer::Resolved { by, at },
        };
        assert_eq!(lookup.answer(record(1).message_id.alert()).unwrap(), answer);
        assert_eq!((shown().answer, shown().assigned_to.as_ref()), (answer, to), "{cursor}");
        assert!(all(&lookup, &asked(state), None).contains(&Cursor(1)));
    }
    assert_eq!(shown().verdict, Some(Verdict::Genuine));
    assert_eq!(all(&lookup, &asked(AnswerState::Waiting), None), [Cursor(2)]);
}

#[test]
fn alert_is_seen_in_every_zone_that_was_paged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let mut index = Index::open(&path, Cursor(0)).unwrap();
    let also = vec![ZoneId::new("blimbing")];
    index.add(&[Record { also, ..record(1) }.into()]).unwrap();
    let lookup = Lookup::open(&path).unwrap();
    let any = AlertQuery { limit: 9, ..AlertQuery::default() };
    let seen = |zone| all(&lookup, &any, Some(zone)) == [Cursor(1)];
    assert!(seen("sukun") && seen("blimbing") && !seen("kota"));
    let kota = Some(ZoneId::new("kota"));
    index.add(&[about(2, 1, Act::Escalate { to: kota.clone() })]).unwrap();
    index.add(&[about(3, 1, Act::Escalate { to: kota })]).unwrap();
    assert!(seen("kota") && !seen("klojen"));
    let row = lookup.alert(record(1).message_id.alert()).unwrap().unwrap();
    assert_eq!(row.paged_zones, ["sukun", "blimbing", "kota"].map(ZoneId::new));
    assert!(!row.paged_all);
    index.add(&[about(4, 1, Act::Escalate { to: None })]).unwrap();
    assert!(seen("klojen"));
}

#[test]
fn alert_is_quiet_until_it_is_heard_again_also_by_what_joined_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let mut index = Index::open(&path, Cursor(0)).unwrap();
    index.add(&[record(1).into()]).unwrap();
    let lookup = Lookup::open(&path).unwrap();
    let alert = record(1).message_id.alert();
    let told = |id| {
        let motion = lookup.alert(id).unwrap().unwrap().motion;
        [motion.moved_at, motion.quiet_since]
    };
    let at = |cursor| Some(decision(cursor, 1).decided_at);
    assert_eq!(told(alert), [None, None]);
    let seen = Cursor(1);
    index.add(&[about(2, 1, Act::Moving { seen }), about(3, 1, Act::Quiet { seen })]).unwrap();
    assert_eq!(told(alert), [at(2), at(3)]);
    index.add(&[update(4, alert).into(), about(5, 1, Act::Moving { seen })]).unwrap();
    assert_eq!(told(alert), [at(5), None]);
    index.add(&[about(6, 1, Act::Quiet { seen })]).unwrap();
    assert_eq!(told(alert), [at(5), at(6)]);
    let joined = Record { disposition: Disposition::Joined, joins: Some(alert), ..record(7) };
    index.add(&[joined.into(), about(8, 1, Act::Quiet { seen })]).unwrap();
    assert_eq!(told(record(7).message_id.alert()), [at(5), at(8)], "as the one that it joined");
    index.add(&[update(9, record(7).message_id.alert()).into()]).unwrap();
    assert_eq!(told(alert), [at(5), None]);
}

#[test]
fn open_alerts_are_those_paged_and_not_resolved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let mut index = Index::open(&path, Cursor(0)).unwrap();
    let held = Record { disposition: Disposition::Held, ..record(3) };
    index.add(&[record(1).into(), record(2).into(), held.into()]).unwrap();
    let lookup = Lookup::open(&path).unwrap();
    let open = || {
        let open = lookup.open_alerts().unwrap();
        let count = |zone| open.get(&ZoneId::new(zone)).copied().unwrap_or_default();
        (count("sukun"), count("klojen"))
    };
    assert_eq!(open(), (1, 1));
    let resolve = || Act::Resolve(Verdict::Test);
    let steps = [
        (about(4, 2, Act::Acknowledge), (1, 1)),
        (about(5, 2, resolve()), (1, 0)),
        (about(6, 2, resolve()), (1, 0)),
        (about(7, 2, Act::Reopen), (1, 1)),
        (about(8, 3, resolve()), (1, 1)),
        (about(9, 3, Act::Reopen), (1, 1)),
        (promotion(10, 3).into(), (2, 1)),
        (promotion(11, 3).into(), (2, 1)),
        (about(12, 3, resolve()), (1, 1)),
    ];
    for (step, expected) in steps {
        index.add(std::slice::from_ref(&step)).unwrap();
        assert_eq!(open(), expected, "{step:?}");
    }
}

#[test]
fn what_operators_set_for_a_zone_holds_until_they_set_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let mut index = Index::open(&path, Cursor(0)).unwrap();
    let set = |cursor, zone, act| -> Entry {
        let zone = ZoneId::new(zone);
        let set = Decision { device: None, alert: None, raise: None, zone, ..decision(cursor, 1) };
        Decision { act, standing: None, ..set }.into()
    };
    let until = Time(1_900_000_000_000_000);
    let set = [
        set(1, "west", Act::Posture(Posture::Special)),
        set(2, "west", Act::Drill { until }),
        set(3, "east", Act::Drill { until }),
        set(4, "west", Act::Posture(Posture::Contingency)),
        set(5, "east", Act::Drill { until: Time(7) }),
    ];
    index.add(&set).unwrap();
    let expected = [
        ("east", Prepared { posture: None, drill_until: Some(Time(7)) }),
        ("west", Prepared { posture: Some(Posture::Contingency), drill_until: Some(until) }),
    ];
    let expected = expected.map(|(zone, prepared)| (ZoneId::new(zone), prepared)).into();
    assert_eq!(Lookup::open(&path).unwrap().preparations().unwrap(), expected);
}

#[test]
fn places_are_those_of_messages_that_say_where_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let mut index = Index::open(&path, Cursor(0)).unwrap();
    let alert = record(1).message_id.alert();
    let placed = |cursor, label: Option<Label>| -> Entry {
        let labels = label.into_iter().fold(Labels::NONE, Labels::with);
        Record { labels, ..update(cursor, alert) }.into()
    };
    let joined = Record { joins: Some(alert), labels: Labels::NONE, ..record(5) };
    let all = [
        record(1).into(),
        placed(2, None),
        placed(3, Some(Label::NoPosition)),
        placed(4, Some(Label::EnrolledSite)),
        joined.into(),
        placed(6, Some(Label::Late)),
    ];
    index.add(&all).unwrap();
    let lookup = Lookup::open(&path).unwrap();
    assert_eq!(lookup.places(alert, None, 9).unwrap(), [6, 5, 2].map(Cursor));
    assert_eq!(lookup.places(alert, Some(Cursor(6)), 1).unwrap(), [Cursor(5)]);
}
