//! The rules that decide without a person: cancelled raises, phantom models, surges.

use std::sync::Arc;

use super::town::*;
use crate::*;

#[test]
fn presses_taken_back_again_and_again_lead_to_probation_once() {
    let mut town = Town::new();
    let mut alerts = vec![];
    for n in 0..8 {
        let alert = town.press(1).message_id.alert();
        alerts.push(alert);
        // One press cancelled often is one press.
        for _ in 0..3 {
            town.send(1, Sent::cancel(alert));
        }
        assert_eq!(town.acts().len(), usize::from(n >= 4), "after press {n}");
        town.pass(10 * MINUTE);
    }
    let by_rule = |decision: &&Decision| decision.actor == Actor::Rule(Rule::Cancelled);
    let decision = town.decisions().rfind(by_rule).unwrap();
    assert_eq!(decision.act, Act::Probation { until: decision.decided_at + DAY });
    assert_eq!(decision.evidence, [alerts[4], alerts[3], alerts[2], alerts[1], alerts[0]]);
    assert_eq!(town.grade(1), Grade::Probation);
    assert_eq!(town.press(1).disposition, Disposition::Paged, "later in a queue, never refused");
}

#[test]
fn cancels_of_other_peoples_or_old_alerts_count_nothing() {
    let mut town =
        Town::ruled("[[rules.cancelled]]\nraises = 2\nwindow = \"1h\"\nprobation = \"1d\"");
    let old = town.press(1).message_id.alert();
    town.pass(11 * MINUTE);
    town.send(1, Sent::cancel(old));
    let open = town.press(1).message_id.alert();
    town.send(1, Sent::cancel(open));
    town.send(1, Sent::cancel(protocol::AlertId([9; 16])));
    assert_eq!(town.acts(), Vec::<&str>::new());
}

#[test]
fn model_that_presses_by_itself_leads_to_probation_and_others_do_not() {
    let mut town = Town::ruled(
        "[[rules.phantom]]\nmodel = \"SOS-1 \"\nraises = 4\nwindow = \"1m\"\nprobation = \"2d\"",
    );
    town.send(1, Sent { model: Some("SOS-1 fw 2"), ..Sent::heartbeat() });
    town.send(2, Sent { model: Some("SOS-2 fw 2"), ..Sent::heartbeat() });
    for n in 0..6 {
        town.press(1);
        town.press(2);
        assert_eq!(town.acts().len(), usize::from(n >= 3));
        town.pass(5 * SECOND);
    }
    let decision = town.decisions().last().unwrap();
    assert_eq!(decision.device, Some(device_id(1)));
    assert_eq!(decision.actor, Actor::Rule(Rule::Phantom));
    assert_eq!(decision.evidence.len(), 4);
}

/// A thousand devices, `share` percent of them in batch 0; surges from 20 presses on.
fn fleet(share: u32) -> Town {
    // Incidents are short, so that what devices say of themselves counts for an hour.
    let mut town = Town::ruled(
        "[surge]\npresses = 20\noutside_max = 10\n[press]\nwindow = \"30m\"\n\
         [incident]\nlasts_max = \"10m\"\nwindow = \"5m\"",
    );
    let batch = |name: &str, devices| Batch { name: name.into(), devices };
    let batches = vec![batch("lot-7", share * 10), batch("phones", 1_000 - share * 10)];
    town.fleet = Arc::new(Fleet { devices: 1_000, batches });
    town.bring(Input::Fleet(Arc::clone(&town.fleet)));
    town
}

/// Devices of one batch press, each far from all others.
fn surge(town: &mut Town, batch: u32, devices: std::ops::Range<u32>) -> Vec<Record> {
    let each = devices.map(|device| {
        town.enrol(device, None, Some(batch));
        let (record, receipt) = town.send(device, Sent::at(i64::from(device) * 40));
        assert_eq!(receipt.status, protocol::Status::Received);
        record
    });
    each.collect()
}

fn count(records: &[Record], disposition: Disposition) -> usize {
    records.iter().filter(|record| record.disposition == disposition).count()
}

#[test]
fn surge_of_a_small_batch_alone_is_told_as_one_notice() {
    let mut town = fleet(10);
    let records = surge(&mut town, 0, 0..90);
    assert_eq!(count(&records, Disposition::Paged), 19, "until it is one");
    assert_eq!(count(&records, Disposition::Noticed), 71);
    let notices: Vec<_> = town.decisions().map(|decision| decision.act.clone()).collect();
    let notice = |alerts| Act::Notice(Notice { alerts, batch: Some("lot-7".into()), model: None });
    assert_eq!(notices, [notice(20), notice(40), notice(80)], "and again each time it doubles");
    let first = town.decisions().next().unwrap();
    assert_eq!(first.actor, Actor::Rule(Rule::Surge));
    assert_eq!(first.zone, ZoneId::new("city"), "the root's");
    assert_eq!(first.evidence, [records[19].message_id.alert()]);
}

#[test]
fn press_of_a_surge_is_open_and_its_repeats_join_it() {
    let mut town = fleet(10);
    let records = surge(&mut town, 0, 0..30);
    let last = records.last().unwrap();
    let again = town.send(29, Sent::at(29 * 40)).0;
    assert_eq!(
        (again.disposition, again.joins),
        (Disposition::Joined, Some(last.message_id.alert()))
    );
}

#[test]
fn earthquake_never_looks_like_a_surge_of_whoever_presses_most() {
    // The batch is most of the city.
    let mut town = fleet(60);
    assert_eq!(count(&surge(&mut town, 0, 0..300), Disposition::Noticed), 0);
    // The batch is small, and the others press too.
    let mut town = fleet(10);
    for device in 0..200 {
        let batch = u32::from(device % 5 > 0);
        let records = surge(&mut town, batch, device..device + 1);
        assert_eq!(count(&records, Disposition::Noticed), 0, "press {device}");
    }
    // Nothing is known of the fleet.
    let mut town = fleet(10);
    town.bring(Input::Fleet(Arc::default()));
    assert_eq!(count(&surge(&mut town, 0, 0..300), Disposition::Noticed), 0);
}

#[test]
fn surge_that_others_join_is_paged_after_all() {
    let mut town = fleet(10);
    let records = surge(&mut town, 0, 0..40);
    let noticed = count(&records, Disposition::Noticed);
    assert_eq!(noticed, 21);
    surge(&mut town, 1, 1_000..1_004);
    assert_eq!(town.acts().iter().filter(|act| **act == "promote").count(), 0, "a tenth");
    surge(&mut town, 1, 1_004..1_005);
    assert_eq!(town.acts().iter().filter(|act| **act == "promote").count(), noticed);
    assert_eq!(count(&surge(&mut town, 0, 50..59), Disposition::Paged), 9);
}

#[test]
fn surge_outlives_a_restart_and_what_power_cut_off_is_told() {
    let mut town = fleet(10);
    let records = surge(&mut town, 0, 0..30);
    assert_eq!(town.acts(), ["notice"]);
    let notice = town.journal.iter().rposition(|entry| entry.message().is_none()).unwrap();
    town.restart();
    assert_eq!(town.acts(), ["notice"], "told once");
    town.synced = notice;
    town.restart();
    assert_eq!(town.acts(), ["notice"], "told again, because the line was lost");
    surge(&mut town, 0, 30..40);
    surge(&mut town, 1, 1_000..1_006);
    let promoted = town.acts().iter().filter(|act| **act == "promote").count();
    assert_eq!(promoted, 11, "the press before the restart, and those after it");
    assert_eq!(records[19].disposition, Disposition::Noticed);
}

#[test]
fn press_of_a_surge_that_others_confirm_nearby_is_paged() {
    let mut town = fleet(10);
    surge(&mut town, 0, 0..40);
    let one = Sent::at(100_000);
    let alone = {
        town.enrol(40, None, Some(0));
        town.send(40, one.clone()).0
    };
    assert_eq!(alone.disposition, Disposition::Noticed);
    for (device, batch) in [(1_000, 1), (1_001, 2)] {
        town.enrol(device, None, Some(batch));
        town.send(device, Sent::at(100_100));
    }
    let promotion = town.decisions().last().unwrap();
    assert_eq!(promotion.alert, Some((alone.message_id.alert(), alone.cursor)));
    town.enrol(41, None, Some(0));
    assert_eq!(town.send(41, one).0.disposition, Disposition::Paged, "confirmed already");
}

/// So many devices without a batch say in a heartbeat that they are of this model.
fn say(town: &mut Town, model: &'static str, devices: std::ops::Range<u32>) {
    for device in devices {
        town.enrol(device, None, None);
        town.send(device, Sent { model: Some(model), ..Sent::heartbeat() });
    }
}

fn press_each(town: &mut Town, devices: std::ops::Range<u32>) -> Vec<Record> {
    devices.map(|device| town.send(device, Sent::at(i64::from(device) * 50)).0).collect()
}

#[test]
fn surge_of_a_model_is_known_by_what_devices_say_of_themselves() {
    let mut town = fleet(10);
    say(&mut town, "SOS-1 fw 2", 0..50);
    let records = press_each(&mut town, 0..25);
    assert_eq!(count(&records, Disposition::Noticed), 6);
    let notice = town.decisions().last().unwrap();
    let expected = Notice { alerts: 20, batch: None, model: Some("SOS-1 fw 2".into()) };
    assert_eq!(notice.act, Act::Notice(expected));
    town.restart();
    assert_eq!(count(&press_each(&mut town, 25..30), Disposition::Noticed), 5, "also afterwards");
}

#[test]
fn surge_of_a_model_needs_a_minority_that_presses_alone() {
    let mut town = fleet(10);
    // A quarter of the fleet, and a fifth is the most.
    say(&mut town, "SOS-1 fw 2", 0..250);
    assert_eq!(count(&press_each(&mut town, 0..60), Disposition::Noticed), 0);
    let mut town = fleet(10);
    say(&mut town, "SOS-1 fw 2", 0..50);
    (0..5).for_each(|n| {
        town.enrol(900 + n, None, None);
        town.send(900 + n, Sent::at(100_000));
    });
    assert_eq!(count(&press_each(&mut town, 0..40), Disposition::Noticed), 0, "others press too");
}

#[test]
fn surge_of_a_model_is_confirmed_though_what_devices_said_no_longer_counts() {
    let mut town = fleet(10);
    say(&mut town, "SOS-1 fw 2", 0..50);
    town.pass(54 * MINUTE);
    assert_eq!(count(&press_each(&mut town, 0..25), Disposition::Noticed), 6);
    // Further back than what devices said counts, and the presses still wait.
    town.pass(8 * MINUTE);
    town.restart();
    (0..3).for_each(|n| {
        town.enrol(900 + n, None, None);
        town.send(900 + n, Sent::at(100_000));
    });
    assert_eq!(town.acts().iter().filter(|act| **act == "promote").count(), 6);
}

#[test]
fn repeats_of_a_surge_confirm_nothing() {
    let mut town = fleet(10);
    let until = town.now + DAY;
    town.demand(Demand::Block { about: Town::about(500), until }, Reach::Everywhere).unwrap();
    surge(&mut town, 0, 0..40);
    town.enrol(40, None, Some(0));
    town.send(500, Sent::at(100_000));
    assert_eq!(town.send(40, Sent::at(100_000)).0.disposition, Disposition::Noticed);
    assert_eq!(town.send(40, Sent::at(100_000)).0.disposition, Disposition::Joined);
    town.enrol(1_000, None, Some(2));
    town.send(1_000, Sent::at(100_100));
    assert!(!town.acts().contains(&"promote"), "one witness, and one of a surge");
}

#[test]
fn surge_that_others_had_joined_when_power_failed_is_paged_after_all() {
    let mut town = fleet(10);
    // It lasts for longer than lines are told again, and does not double.
    for device in 0..210 {
        surge(&mut town, 0, device..device + 1);
        town.pass(20 * SECOND);
    }
    assert_eq!(town.acts(), ["notice"]);
    surge(&mut town, 1, 1_000..1_004);
    let promotions = |town: &Town| town.acts().into_iter().filter(|act| *act == "promote").count();
    let lived = promotions(&town);
    assert!(lived > 20, "{lived}");
    let first = town.journal.iter().position(|entry| match entry {
        Entry::Decision(decision) => decision.act == Act::Promote,
        Entry::Message(_) => false,
    });
    town.synced = first.unwrap();
    town.restart();
    assert_eq!(promotions(&town), lived);
}

#[test]
fn press_long_after_a_surge_is_paged_though_nothing_happened_meanwhile() {
    let mut town = fleet(10);
    surge(&mut town, 0, 0..30);
    town.pass(60 * MINUTE);
    let records = surge(&mut town, 0, 50..51);
    assert_eq!(count(&records, Disposition::Paged), 1);
}
