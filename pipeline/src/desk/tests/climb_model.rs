//! Answers and escalation, and who moves and who has gone quiet, against slow obvious oracles: after everything that
//! happens, what waits is worked out again from the whole journal. Power fails at random points, clocks jump, operators
//! race, zones lose their subscribers.
//!
//! What must not happen too early is judged by the clock of the journal's lines; what must not be forgotten by the time
//! that really passed, which no clock knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{Kind, Label, Labels, Position};

use super::climb_oracle::{GRACE, ZONES, deadline, deep, parent, routing, upwards, waiting};
use super::motion_model::{MOVING_EVERY, QUIET_AFTER, motion, update};
use super::town::*;
use crate::*;

const HISTORIES: u64 = 10_000;

/// A device that an operator has blocked: its presses are held until others confirm them.
const BLOCKED: u32 = 4;

/// Numbers that repeat: SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn zone(&mut self) -> &'static str {
        self.pick(&ZONES)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

struct World {
    town: Town,
    dice: Dice,
    /// The time that really passed.
    passed: Span,
    /// When each line was written, by that.
    written: Vec<Span>,
    /// Lines that were looked at.
    checked: usize,
    /// What the clock showed whenever it was set back, and before which line.
    set_back: Vec<(usize, Time)>,
    /// By real time: when something last happened after which everything may wait anew.
    anew: Span,
    /// By real time: since when no subscriber of these zones is there.
    left: BTreeMap<&'static str, Span>,
    jumped: bool,
    /// Since when the gateway runs, as far as the clock admits it and by real time.
    runs_from: (Time, Span),
}

impl World {
    fn new(seed: u64) -> Self {
        let mut town = Town::new();
        town.rezone(&deep());
        town.route(routing());
        town.pass(Span(0));
        let block = Demand::Block { about: Town::about(BLOCKED), until: START + 80 * DAY };
        town.demand(block, Reach::Everywhere).unwrap();
        let mut world = Self {
            town,
            dice: Dice(seed),
            passed: Span(0),
            written: vec![],
            checked: 0,
            set_back: vec![],
            anew: Span(0),
            left: BTreeMap::new(),
            jumped: false,
            runs_from: (START, Span(0)),
        };
        world.check();
        world
    }

    fn step(&mut self) {
        match self.dice.below(50) {
            0..=8 => self.press(),
            9..=22 => self.pass(),
            23..=29 => self.answer(),
            30 => self.race(),
            31..=33 => self.attend(),
            34 => self.posture(),
            35 => self.drill(),
            36 => self.jump(),
            37 => self.town.sync(),
            38..=47 => self.follow(),
            _ => self.power_cut(),
        }
        self.check();
    }

    fn press(&mut self) {
        let device = u32::try_from(self.dice.below(6)).unwrap();
        let lon = self.dice.pick(&[105_000_000, 95_000_000, 205_000_000, 10_000_000]);
        let place = Position::new(5_000_000, lon);
        let arrival = self.town.arrival(device, Sent { place, ..Sent::raise() });
        let exercise = self.dice.below(3) == 0;
        let labels = if exercise { Labels::NONE.with(Label::Exercise) } else { Labels::NONE };
        self.town.bring(Input::Arrived(Arrival { labels, ..arrival }));
        let record = self.town.messages().last().unwrap().clone();
        let lines = &self.town.journal[..usize::try_from(record.cursor.0).unwrap() - 1];
        let drill = |zone: &&str| {
            let until = lines.iter().rev().find_map(|line| match line {
                Entry::Decision(Decision { act: Act::Drill { until }, zone: set, .. })
                    if set.as_str() == *zone =>
                {
                    Some(*until)
                }
                _ => None,
            });
            until.is_some_and(|until| until > record.received_at)
        };
        let drilled = exercise && upwards(record.zone.as_str()).iter().any(drill);
        assert_eq!(record.labels.contains(Label::Drill), drilled);
        self.check_also(&record);
    }

    /// Whoever pressed says where they are, or that they need nothing any more.
    fn follow(&mut self) {
        let raises = self.town.messages().filter(|record| record.kind == Kind::Raise);
        let raises: Vec<_> = raises.cloned().collect();
        let nth = usize::try_from(self.dice.below(raises.len().max(1) as u64)).unwrap();
        let Some(raise) = raises.get(nth) else { return };
        let (alert, place) = (raise.message_id.alert(), raise.stated().0.unwrap());
        let steps = i64::try_from(self.dice.below(7)).unwrap();
        let sent = match self.dice.below(12) {
            0 => Sent::cancel(alert),
            1 => Sent::update(alert),
            2 => update(alert, place, 100, 300),
            3 => update(alert, place, steps, 70),
            _ => update(alert, place, steps, 0),
        };
        let arrival = self.town.arrival(index_of(raise.device), sent);
        self.town.bring(Input::Arrived(arrival));
        if self.dice.below(2) == 0 {
            self.town.sync();
        }
    }

    /// The zone above is paged from the first moment if nobody listens.
    fn check_also(&self, record: &Record) {
        let zone = record.zone.as_str();
        let above = parent(zone).map(upwards).unwrap_or_default();
        let stand_in = above.into_iter().find(|above| self.listens(above));
        let Some(left) = self.left.get(zone).filter(|_| stand_in.is_some()) else {
            return assert_eq!(record.also, []);
        };
        let alone = Span(self.passed.0 - left.0.max(self.anew.0));
        if let [also] = record.also.as_slice() {
            assert_eq!(Some(also.as_str()), stand_in);
            let gone = Span(self.passed.0 - left.0);
            assert!(gone >= GRACE || self.jumped, "somebody may come back");
        } else {
            assert!(alone < GRACE, "nobody listens");
        }
    }

    fn listens(&self, zone: &str) -> bool {
        !self.left.contains_key(zone)
    }

    fn pass(&mut self) {
        let most = if self.dice.below(8) == 0 { 200_000 } else { 40_000 };
        let span = Span::from_millis(1 + self.dice.below(most));
        self.passed.0 += span.0;
        self.town.now = self.town.now + span;
        self.town.tick();
        if self.dice.below(2) == 0 {
            self.town.sync();
        }
    }

    fn demand(&mut self) -> Option<Demand> {
        // Nobody has seen what is not on disk.
        self.town.sync();
        let raises = self.town.messages().filter(|record| record.kind == Kind::Raise);
        let alerts: Vec<_> = raises.map(|record| record.message_id.alert()).collect();
        let nth = self.dice.below(alerts.len().max(1) as u64);
        let alert = *alerts.get(usize::try_from(nth).unwrap())?;
        let verdict = self.dice.pick(&[Verdict::Genuine, Verdict::Test]);
        Some(match self.dice.below(7) {
            0..=1 => Demand::Acknowledge { alert },
            2 => Demand::Assign { alert, to: "patrol 3".into() },
            3 => Demand::Resolve { alert, verdict },
            4..=5 => Demand::Reopen { alert },
            _ => Demand::Verdict { alert, verdict },
        })
    }

    fn answer(&mut self) {
        let Some(demand) = self.demand() else { return };
        let expected = self.expected(&demand);
        let answer = self.town.ask("ani", demand, Reach::Everywhere);
        self.town.tick();
        assert_eq!(answer.map(drop), expected);
    }

    /// What the desk must say by the journal alone.
    fn expected(&mut self, demand: &Demand) -> Result<(), DecisionRefusal> {
        let alert = demand.alert().unwrap();
        let joins = self.town.messages().find(|r| r.message_id.alert() == alert).unwrap().joins;
        if matches!(demand, Demand::Verdict { .. }) {
            return Ok(());
        }
        if let Some(press) = joins {
            return Err(DecisionRefusal::Joined(press));
        }
        match (demand, answer_of(&self.town.journal, alert)) {
            (Demand::Reopen { .. }, Answer::Resolved { .. }) => Ok(()),
            (Demand::Reopen { .. }, _) => Err(DecisionRefusal::NotResolved),
            (_, Answer::Resolved { by, at }) => Err(DecisionRefusal::Resolved { by, at }),
            (
                Demand::Acknowledge { .. },
                Answer::Acknowledged { by, at } | Answer::Assigned { by, at, .. },
            ) => Err(DecisionRefusal::AnsweredAlready { by, at }),
            _ => Ok(()),
        }
    }

    /// Two operators at once, and the disk is slower than both.
    fn race(&mut self) {
        let Some(demand) = self.demand() else { return };
        let demand = Demand::Acknowledge { alert: demand.alert().unwrap() };
        let expected = self.expected(&demand);
        for (ticket, actor) in [(1 << 40, "ani"), (1 << 41, "budi")] {
            let (actor, demand) = (actor.into(), demand.clone());
            let request = Request {
                actor,
                reach: Reach::Everywhere,
                scope: Scope::ALL,
                demand,
                reason: None,
            };
            self.town.bring(Input::Decide { ticket: Ticket(ticket), request });
        }
        self.town.sync();
        let [first, second] =
            [1 << 40, 1 << 41].map(|ticket| self.town.answers.remove(&Ticket(ticket)).unwrap());
        let lost = DecisionRefusal::AnsweredAlready { by: "ani".into(), at: self.town.now };
        let expected_second = if expected.is_ok() { Err(lost) } else { expected.clone() };
        assert_eq!((first.map(drop), second.map(drop)), (expected, expected_second));
    }

    fn attend(&mut self) {
        let there: BTreeSet<_> = ZONES.into_iter().filter(|_| self.dice.below(3) > 0).collect();
        self.left.retain(|zone, _| !there.contains(zone));
        for gone in ZONES.into_iter().filter(|zone| !there.contains(zone)) {
            self.left.entry(gone).or_insert(self.passed);
        }
        self.town.listening = Some(Arc::new(there.iter().map(|id| ZoneId::new(id)).collect()));
        self.town.bring(Input::Attended(self.town.listening.clone()));
        self.town.tick();
    }

    fn posture(&mut self) {
        let zone = ZoneId::new(self.dice.zone());
        let posture = self.dice.pick(&[Posture::Routine, Posture::Contingency]);
        self.town.demand(Demand::Posture { zone, posture }, Reach::Everywhere).unwrap();
        self.town.tick();
    }

    fn drill(&mut self) {
        let zone = ZoneId::new(self.dice.zone());
        let until = self.town.now + Span::from_secs(self.dice.below(300));
        self.town.demand(Demand::Drill { zone, until }, Reach::Everywhere).unwrap();
    }

    fn jump(&mut self) {
        let span = Span::from_secs(2 + self.dice.below(7_000));
        if self.dice.below(2) == 0 {
            self.jumped = true;
            self.town.now = self.town.now + span;
        } else {
            self.town.now = self.town.now - span;
            self.set_back.push((self.town.journal.len(), self.town.now));
            self.anew = self.passed;
            self.runs_from.0 = self.runs_from.0.min(self.town.now);
        }
        self.town.bring(Input::Tick);
        self.town.tick();
    }

    /// Some of what was not synced is gone.
    fn power_cut(&mut self) {
        let lost = self.town.journal.len() - self.town.synced;
        self.town.synced += usize::try_from(self.dice.below(lost as u64 + 1)).unwrap();
        let kept = self.town.synced;
        self.written.truncate(kept);
        self.checked = self.checked.min(kept);
        self.left.values_mut().for_each(|left| *left = self.passed);
        if !self.set_back.is_empty() {
            // Lines that lie ahead wait anew from here.
            self.set_back.iter_mut().for_each(|(before, _)| *before = (*before).min(kept));
            self.set_back.push((kept, self.town.now));
            self.anew = self.passed;
        }
        self.runs_from = (self.town.now, self.passed);
        self.town.restart_within(policy::HORIZON_MAX);
    }

    fn check(&mut self) {
        self.written.resize(self.town.journal.len(), self.passed);
        for line in self.checked..self.town.journal.len() {
            self.check_step(line);
        }
        self.checked = self.town.journal.len();
        self.check_forgotten();
        self.check_motions();
    }

    /// An alert climbs where it must, and not too early.
    fn check_step(&self, line: usize) {
        let lines = &self.town.journal[..line];
        let Entry::Decision(decision) = &self.town.journal[line] else { return };
        if let Act::Moving { .. } | Act::Quiet { .. } = decision.act {
            return self.check_motion(line, decision);
        }
        let Act::Escalate { to } = &decision.act else { return };
        let alert = decision.alert.unwrap().0;
        let open = waiting(lines);
        let waits = open.get(&alert).expect("only what waits climbs");
        let zone = waits.step.as_ref().expect("nothing is above everybody").as_str();
        let to = to.as_ref().map(ZoneId::as_str);
        if decision.actor == Actor::Rule(Rule::Unattended) {
            assert!(!self.listens(zone), "somebody listens in {zone}");
            let above = parent(zone).map(upwards).unwrap_or_default();
            let stand_in = above.into_iter().find(|above| self.listens(above));
            assert!(stand_in.is_some() && to == stand_in);
            let left = self.left[zone];
            assert!(self.passed.0 - left.0 >= GRACE.0 || self.jumped, "somebody may come back");
            return;
        }
        assert_eq!(decision.actor, Actor::Rule(Rule::Deadline));
        assert_eq!(to, parent(zone));
        let due = self.shown(waits.line) + deadline(lines, zone);
        assert!(decision.decided_at >= due, "{zone} had time until {due:?}");
    }

    /// When `line` was written, as far as the clock admits it.
    fn shown(&self, line: usize) -> Time {
        let later = self.set_back.iter().filter(|(before, _)| *before > line);
        later.map(|(_, shown)| *shown).fold(self.town.journal[line].at(), Time::min)
    }

    /// What is told of who moves and who is quiet is so, and was not told before.
    fn check_motion(&self, line: usize, decision: &Decision) {
        let (alert, _) = decision.alert.unwrap();
        let known = motion(&self.town.journal[..line], alert).expect("people were paged");
        assert!(!known.over, "it is over");
        assert_eq!(decision.act.seen(), Some(known.seen(&decision.act)));
        if matches!(decision.act, Act::Moving { .. }) {
            assert!(known.has_moved());
            let due = known.moved.map_or(Time(0), |moved| self.shown(moved) + MOVING_EVERY);
            return assert!(decision.decided_at >= due, "not so often");
        }
        assert!(!known.quiet, "once");
        let heard = known.heard.expect("only who was heard goes quiet");
        assert!(decision.decided_at >= self.shown(heard) + QUIET_AFTER);
        assert!(decision.decided_at >= self.runs_from.0 + QUIET_AFTER, "nobody listened");
    }

    /// Whoever moves or is quiet for longer than it takes to tell it was told of.
    fn check_motions(&self) {
        let lines = &self.town.journal;
        let raises = self.town.messages().filter(|record| record.kind == Kind::Raise);
        let known = raises.filter_map(|raise| motion(lines, raise.message_id.alert()));
        let waited = |line: usize, since: Span| {
            Span(self.passed.0 - self.written[line].max(self.anew).max(since).0)
        };
        for known in known.filter(|known| !known.over) {
            if let (Some(heard), false) = (known.heard, known.quiet) {
                assert!(waited(heard, self.runs_from.1) < QUIET_AFTER, "forgotten: {known:?}");
            }
            if known.has_moved() {
                let told = known.moved.expect("who moves first is told of at once");
                assert!(waited(told, Span(0)) < MOVING_EVERY, "forgotten: {known:?}");
            }
        }
    }

    /// Whatever waits for longer than it may was paged further up.
    fn check_forgotten(&self) {
        let lines = &self.town.journal;
        let open = waiting(lines);
        let waiting: Vec<_> = open.values().filter(|waits| waits.step.is_some()).collect();
        assert!(self.town.desk.sizes().open_alerts >= waiting.len());
        for waits in waiting {
            let zone = waits.step.as_ref().unwrap().as_str();
            let since = self.written[waits.line].max(self.anew);
            let waited = Span(self.passed.0 - since.0);
            assert!(waited < deadline(lines, zone), "forgotten in {zone}");
            let above = parent(zone).map(upwards).unwrap_or_default();
            if let (Some(left), true) = (self.left.get(zone), above.iter().any(|a| self.listens(a)))
            {
                let alone = Span(self.passed.0 - since.max(*left).0);
                assert!(alone < GRACE, "left alone in {zone}");
            }
        }
    }
}

/// Says which history it was.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the history of seed {} does it", self.0);
        }
    }
}

fn history(seed: u64) {
    let seed = Seed(seed);
    let mut world = World::new(seed.0);
    for _ in 0..40 {
        world.step();
    }
}

#[test]
fn every_alert_climbs_each_step_once_and_none_is_forgotten() {
    (0..HISTORIES).for_each(history);
}
