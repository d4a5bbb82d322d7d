//! The desk against a slow obvious model: what must be decided is worked out again from the whole journal, line by line,
//! after everything that happens; at random points power fails and what was not synced is gone.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::{Kind, Label, Reason, Status};

use super::oracle::{Class, Past, Places};
use super::town::*;
use crate::*;

const POLICY: &str = r#"
[strikes]
block_at = 2
window = "2d"
blocks = ["2h", "1d"]
memory = "3d"
[probation]
new_device = "1h"
after_block = "3h"
[rates]
raise = "3 per 30m"
update = "2 per 30m"
heartbeat = "1 per 30m"
backlog = "2 per 30m"
[corroboration]
radius_m = 500
[[rules.cancelled]]
raises = 2
window = "1h"
probation = "2h"
"#;

/// Devices 0 to 7. 0 and 1 have one owner, 6 and 7 are new; batches by turns.
const DEVICES: u32 = 8;

#[derive(Debug, Clone)]
enum Step {
    Press { device: u32, metres: Option<i64>, late: bool, synced: bool },
    Follow { device: u32, kind: Kind, nth: usize, metres: Option<i64>, late: bool },
    Beat { device: u32 },
    Judge { nth: usize, verdict: Verdict },
    Block { device: u32, hours: u64 },
    Unblock { device: u32 },
    Pass { span: Span },
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let device = || 0..DEVICES;
    let span = prop_oneof![
        6 => 0_u64..400_000,
        2 => 500_000_u64..700_000,
        1 => 3_000_000_u64..12_000_000,
        1 => 80_000_000_u64..300_000_000,
    ];
    let late = || prop::bool::weighted(0.1);
    let place = |known| prop::option::weighted(known, (-4_i64..5).prop_map(|place| place * 200));
    prop_oneof![
        10 => (device(), place(0.7), late(), prop::bool::weighted(0.8))
            .prop_map(|(device, metres, late, synced)| Step::Press { device, metres, late, synced }),
        5 => (device(), prop::bool::weighted(0.3), 0_usize..3, place(0.7), late()).prop_map(
            |(device, cancel, nth, metres, late)| {
                let kind = if cancel { Kind::Cancel } else { Kind::Update };
                let metres = metres.filter(|_| !cancel);
                Step::Follow { device, kind, nth, metres, late }
            }
        ),
        1 => device().prop_map(|device| Step::Beat { device }),
        5 => (0_usize..6, prop::sample::select(vec![
            Verdict::Prank, Verdict::Prank, Verdict::Prank, Verdict::Genuine, Verdict::Test,
        ])).prop_map(|(nth, verdict)| Step::Judge { nth, verdict }),
        1 => (device(), 1_u64..40).prop_map(|(device, hours)| Step::Block { device, hours }),
        1 => device().prop_map(|device| Step::Unblock { device }),
        6 => span.prop_map(|ms| Step::Pass { span: Span::from_millis(ms) }),
        2 => Just(Step::PowerCut),
    ]
}

/// The town, and what nobody but its devices knows.
struct World {
    town: Town,
    /// Where each raise and update was sent.
    places: Places,
}

impl World {
    fn new() -> Self {
        let mut town = Town::ruled(POLICY);
        for device in 0..DEVICES {
            let enrolment = Enrolment {
                owner: Some(OwnerIndex(device.max(1))),
                batch: Some(BatchIndex(device % 3)),
                trusted_from: if device < 6 { Time(0) } else { START },
            };
            town.enrolments.insert(device, enrolment);
        }
        Self { town, places: Places::new() }
    }

    fn step(&mut self, step: &Step) {
        let before = self.town.journal.len();
        match step {
            Step::Press { device, metres, late, synced } => {
                self.press(*device, *metres, *late, *synced);
            }
            Step::Follow { device, kind, nth, metres, late } => {
                self.follow(*device, *kind, *nth, *metres, *late);
            }
            Step::Beat { device } => self.follow(*device, Kind::Heartbeat, 0, None, false),
            Step::Judge { nth, verdict } => {
                self.judge(*nth, *verdict);
                // Whoever pressed what was promoted may have moved before.
                self.town.tick();
            }
            Step::Block { device, hours } => {
                let until = self.town.now + Span::from_secs(hours * 3_600);
                let block = Demand::Block { about: Town::about(*device), until };
                self.town.demand(block, Reach::Everywhere).unwrap();
            }
            Step::Unblock { device } => {
                let blocked = self.town.grade(*device) == Grade::Blocked;
                let unblock = Demand::Unblock(Town::about(*device));
                let answer = self.town.demand(unblock, Reach::Everywhere);
                assert_eq!(answer.is_ok(), blocked);
            }
            Step::Pass { span } => self.town.pass(*span),
            Step::PowerCut => self.town.restart(),
        }
        self.check_standings();
        self.check_confirmed();
        self.check_expiries(before.min(self.town.journal.len()));
    }

    fn clock(&self, late: bool) -> Option<Time> {
        late.then(|| self.town.now - 2 * MINUTE)
    }

    fn press(&mut self, device: u32, metres: Option<i64>, late: bool, synced: bool) {
        let past = Past::of(&self.town);
        let grade = past.grade(device, self.town.now);
        let open = past.open(device, self.town.now);
        let over = !late && past.is_over(device, Class::Raise, self.town.now);
        let before = self.town.journal.len();
        let sent = Sent { place: metres.and_then(place), ..Sent::raise() };
        let arrival = self.town.arrival(device, Sent { clock: self.clock(late), ..sent });
        let ticket = arrival.ticket;
        self.town.bring(Input::Arrived(arrival));
        let Some(Entry::Message(record)) = self.town.journal.get(before).cloned() else {
            panic!("a raise was refused: {:?}", self.town.receipts.get(&ticket))
        };
        self.places.extend(metres.map(|metres| (record.message_id, metres)));
        let expected = match (grade, open) {
            (Grade::Blocked, open) => (Disposition::Held, open),
            (_, Some(open)) => (Disposition::Joined, Some(open)),
            (_, None) => (Disposition::Paged, None),
        };
        assert_eq!((record.disposition, record.joins), expected, "device {device}, {grade:?}");
        assert_eq!(record.labels.contains(Label::OnProbation), grade == Grade::Probation);
        assert_eq!(record.labels.contains(Label::OverQuota), over);
        assert_eq!(record.labels.contains(Label::Late), late);
        self.check_held_together(&record);
        if synced {
            self.town.sync();
            let held = record.disposition == Disposition::Held;
            let status = if held { Status::Held } else { Status::Received };
            assert_eq!(self.town.receipts.remove(&ticket).unwrap().status, status);
        } else {
            assert!(!self.town.receipts.contains_key(&ticket), "nothing is on disk");
        }
    }

    /// An update or cancel of one of the device's newest alerts, or a heartbeat.
    fn follow(&mut self, device: u32, kind: Kind, nth: usize, metres: Option<i64>, late: bool) {
        let past = Past::of(&self.town);
        let alert = past.raises(device).rev().nth(nth).map(|raise| raise.message_id.alert());
        if alert.is_none() && kind != Kind::Heartbeat {
            return;
        }
        let class = match (late, kind) {
            (true, _) => Class::Backlog,
            (false, Kind::Heartbeat) => Class::Heartbeat,
            (false, _) => Class::Update,
        };
        let over = past.is_over(device, class, self.town.now);
        let probation = past.cancel_leads_to_probation(device, kind, alert, late, self.town.now);
        let sent = Sent {
            kind,
            alert: alert.filter(|_| kind != Kind::Heartbeat),
            place: metres.and_then(place),
            clock: self.clock(late),
            model: None,
        };
        let on_probation = past.grade(device, self.town.now) == Grade::Probation;
        let before = self.town.journal.len();
        let receipt = self.town.try_send(device, sent);
        if let Some(Entry::Message(record)) = self.town.journal.get(before) {
            let is_update = kind == Kind::Update;
            assert_eq!(record.labels.contains(Label::OnProbation), is_update && on_probation);
            self.places.extend(metres.map(|metres| (record.message_id, metres)));
        }
        let refused =
            (receipt.status, receipt.reason) == (Status::Refused, Some(Reason::RateLimited));
        assert_eq!(refused, over, "{receipt:?}");
        // What a place leads to is looked at after every step.
        let by_place = |act: &&str| metres.is_some() && ["promote", "notice"].contains(act);
        let acts = self.town.journal[before..].iter().filter_map(act);
        let acts: Vec<_> = acts.filter(|act| !by_place(act)).collect();
        let expected = if probation && !over { vec!["probation"] } else { vec![] };
        assert_eq!(acts, expected);
    }

    fn judge(&mut self, nth: usize, verdict: Verdict) {
        // Nobody has seen what is not on disk.
        self.town.sync();
        let Some(raise) = self.town.messages().filter(|r| r.kind == Kind::Raise).nth(nth).cloned()
        else {
            return;
        };
        let (device, alert, now) =
            (index_of(raise.device), raise.message_id.alert(), self.town.now);
        let before = self.town.journal.len();
        let (old, promoted) = {
            let past = Past::of(&self.town);
            (past.standing(device), past.is_promoted(alert))
        };
        let answer = self.town.judge(alert, verdict).unwrap();
        let acts: Vec<_> = self.town.journal[before..].iter().filter_map(act).collect();

        let press = raise.joins.unwrap_or(alert);
        let mut strikes = old.strikes.clone();
        strikes.retain(|strike| strike.alert != press);
        let struck_off = strikes.len() < old.strikes.len();
        if verdict == Verdict::Prank {
            strikes.clone_from(&old.strikes);
            if !struck_off {
                strikes.push(Strike { at: now, alert: press });
            }
        }
        let counting = strikes.iter().filter(|s| now.since(s.at) < 2 * DAY).count();
        let after_last = old.blocked_at.is_none_or(|blocked_at| raise.received_at > blocked_at);
        let began = old.blocked_at.unwrap_or_default();
        let resting = strikes.iter().filter(|s| began.since(s.at) < 2 * DAY).count();
        let ruled = old.blocked_by_rule && old.blocked_until.is_some_and(|until| until > now);
        let mut expected = vec!["verdict"];
        match verdict {
            Verdict::Prank if counting >= 2 && after_last => expected.push("block"),
            Verdict::Genuine if ruled => expected.push("unblock"),
            Verdict::Test | Verdict::Accidental if ruled && resting < 2 => {
                expected.push("unblock");
            }
            _ => {}
        }
        let held = raise.disposition == Disposition::Held && raise.joins.is_none();
        if verdict == Verdict::Genuine && held && !promoted {
            expected.push("promote");
        }
        assert_eq!(acts, expected, "{verdict:?} of {raise:?} by {old:?}");
        assert_eq!(answer.promoted, expected.contains(&"promote"));
        assert_eq!(answer.standing, Some(self.town.standing(device)));
    }

    /// Every device stands as the acts of the journal say, whatever the lines themselves claim.
    fn check_standings(&self) {
        let past = Past::of(&self.town);
        for device in 0..DEVICES {
            assert_eq!(self.town.standing(device), past.standing(device), "device {device}");
            assert_eq!(self.town.grade(device), past.grade(device, self.town.now));
        }
    }

    /// What others confirm was promoted, once, and nothing else was.
    fn check_confirmed(&self) {
        let past = Past::of(&self.town);
        let held: Vec<_> = past.held().collect();
        for (place, raise) in held.iter().enumerate() {
            let alert = raise.message_id.alert();
            let promotions: Vec<_> =
                self.town.decisions().filter(|d| d.promotes() == Some(alert)).collect();
            assert!(promotions.len() <= 1, "paged twice");
            let ruled = promotions.iter().any(|d| matches!(d.actor, Actor::Rule(_)));
            let confirmed = past.is_confirmed(raise, &self.places);
            assert!(confirmed || !ruled, "nobody confirms {raise:?}");
            let superseded = held[place + 1..].iter().any(|later| {
                let is_placed = past.placed(&self.places).contains_key(&later.message_id.alert());
                later.device == raise.device && is_placed
            });
            assert!(!confirmed || superseded || promotions.len() == 1, "confirmed: {raise:?}");
        }
    }

    /// Each block that is over has its line, once.
    fn check_expiries(&self, before: usize) {
        for device in 0..DEVICES {
            let standing = self.town.standing(device);
            if self.town.desk.next_deadline().is_none() {
                assert!(standing.blocked_until.is_none_or(|until| until > self.town.now));
            }
        }
        let expired = self.town.journal[before..].iter().filter_map(|entry| match entry {
            Entry::Decision(decision) if decision.act == Act::Expire => Some(decision),
            _ => None,
        });
        for expiry in expired {
            let before = Past::before(&self.town, expiry.cursor);
            let until = before.standing(index_of(expiry.device.unwrap())).blocked_until;
            assert!(until.is_some_and(|until| until <= expiry.decided_at), "a block that lasts");
        }
    }

    /// Held presses of devices that operators were never told of are told when there are three together.
    fn check_held_together(&self, record: &Record) {
        let past = Past::of(&self.town);
        let lines = self.town.journal.iter().filter(|entry| entry.cursor() > record.cursor);
        let notice = lines.filter_map(|entry| match entry {
            Entry::Decision(decision) if matches!(decision.act, Act::Notice(_)) => Some(decision),
            _ => None,
        });
        let notice = notice.last();
        if let Some(notice) = notice {
            assert_eq!(notice.evidence.len(), 3);
            assert_eq!(notice.evidence[0], record.message_id.alert());
            for alert in &notice.evidence {
                assert!(past.is_near(record.message_id.alert(), *alert, &self.places));
            }
        }
        if record.disposition != Disposition::Held || record.joins.is_some() {
            assert_eq!(notice, None);
            return;
        }
        let before = Past::before(&self.town, record.cursor.next());
        let mut newest = BTreeMap::new();
        let placed = before.placed(&self.places);
        for held in before.held().filter(|held| placed.contains_key(&held.message_id.alert())) {
            newest.insert(held.device, held);
        }
        let untold = newest.values().filter(|held| {
            !before.was_told(held.device)
                && !before.is_promoted(held.message_id.alert())
                && before.is_near(record.message_id.alert(), held.message_id.alert(), &self.places)
        });
        let together = untold.count() >= 3 && !before.was_told(record.device);
        let confirmed = before.is_confirmed(record, &self.places);
        assert!(notice.is_some() || !together || confirmed, "nobody was told");
    }
}

fn act(entry: &Entry) -> Option<&'static str> {
    match entry {
        // The end of somebody's block may fall together with anything. Who moves is another model's to say.
        Entry::Decision(Decision {
            act: Act::Expire | Act::Moving { .. } | Act::Quiet { .. },
            ..
        }) => None,
        Entry::Decision(decision) => Some(decision.act.name()),
        Entry::Message(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_timeline_is_decided_as_the_journal_alone_says(
        steps in prop::collection::vec(step(), 0..90)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.town.sync();
        world.town.restart();
        world.check_standings();
        world.check_confirmed();
        for device in 0..DEVICES {
            world.step(&Step::Press { device, metres: Some(0), late: false, synced: true });
        }
        prop_assert_eq!(world.town.desk.in_hand(), 0);
    }
}
