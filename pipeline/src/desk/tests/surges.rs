//! Surges of models against a slow obvious model: who is what, how many are, and whether they press alone is read from
//! the whole journal for every press. Nobody presses near anybody, so that nothing but surges decides.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use protocol::Kind;

use super::town::*;
use crate::*;

/// Incidents are short, so that what devices say of themselves counts for an hour.
const POLICY: &str = "[surge]\npresses = 10\noutside_max = 10\nfleet_share_max = 20\n\
    [incident]\nlasts_max = \"10m\"\nwindow = \"5m\"";
const MODELS: [&str; 3] = ["SOS-1 fw 1", "SOS-1 fw 2", "SOS-2"];
/// Enrolled; the first ones press.
const FLEET: u32 = 100;
const DEVICES: u32 = 40;
const WINDOW: Span = Span::from_secs(600);
const MODELS_WINDOW: Span = Span::from_secs(3_600);
const SLOT_US: u64 = 300_000_000;

#[derive(Debug, Clone)]
enum Step {
    /// So many devices, from one on, say that they are of a model.
    Say {
        first: u32,
        devices: u32,
        model: usize,
    },
    /// So many devices, from one on, press.
    Press {
        first: u32,
        devices: u32,
    },
    Pass {
        seconds: u64,
    },
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let first = || 0..DEVICES;
    let seconds = prop_oneof![8 => 0_u64..120, 2 => 500_u64..700, 1 => 1_000_u64..5_000];
    prop_oneof![
        3 => (first(), 1_u32..20, 0..MODELS.len())
            .prop_map(|(first, devices, model)| Step::Say { first, devices, model }),
        6 => (prop::sample::select(vec![0, 3, 16, 17, 25]), 1_u32..15).prop_map(|(first, devices)| Step::Press { first, devices }),
        4 => seconds.prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::PowerCut),
    ]
}

/// What the journal says, and what each device said in its heartbeats.
struct World {
    town: Town,
    said: BTreeMap<Cursor, &'static str>,
    noticed: usize,
    promoted: usize,
}

impl World {
    fn new() -> Self {
        let mut town = Town::ruled(POLICY);
        town.fleet = Arc::new(Fleet { devices: FLEET, batches: vec![] });
        town.bring(Input::Fleet(Arc::clone(&town.fleet)));
        (0..FLEET).for_each(|device| town.enrol(device, None, None));
        assert_eq!(town.policy.models_window(), MODELS_WINDOW);
        Self { town, said: BTreeMap::new(), noticed: 0, promoted: 0 }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Say { first, devices, model } => {
                for device in (first..first + devices).filter(|device| *device < DEVICES) {
                    self.say(device, MODELS[model]);
                }
            }
            Step::Press { first, devices } => {
                let devices = (first..first + devices).filter(|device| *device < DEVICES);
                devices.for_each(|device| self.press(device));
            }
            Step::Pass { seconds } => self.town.pass(Span::from_secs(seconds)),
            Step::PowerCut => self.town.restart(),
        }
    }

    fn say(&mut self, device: u32, model: &'static str) {
        let before = self.town.journal.len();
        let sent = Sent { model: Some(model), ..Sent::heartbeat() };
        // One that says too much is not heard.
        let _receipt = self.town.try_send(device, sent);
        if let Some(line) = self.town.journal.get(before) {
            self.said.insert(line.cursor(), model);
        }
    }

    fn press(&mut self, device: u32) {
        let now = self.town.now;
        let model = self.model(device, now);
        let surges = model.is_some_and(|model| {
            self.is_minority(model, now) && {
                let (own, all) = self.presses(model, now);
                own + 1 >= 10 && (all - own) * 100 <= (own + 1) * 10
            }
        });
        let is_open = self.raises().any(|raise| {
            raise.device == device_id(device) && now.since(raise.received_at) < self.open_window()
        });
        let before = self.town.journal.len();
        let record = self.town.send(device, Sent::at(i64::from(device) * 5_000)).0;
        let expected = match (is_open, surges) {
            (true, _) => Disposition::Joined,
            (false, true) => Disposition::Noticed,
            (false, false) => Disposition::Paged,
        };
        assert_eq!(record.disposition, expected, "device {device}, {model:?}");
        self.noticed += usize::from(expected == Disposition::Noticed);
        self.check_what_follows(before, expected != Disposition::Joined);
    }

    /// Nobody waits for a notice whose model does not press alone; and nobody is paged whose model does.
    fn check_what_follows(&mut self, before: usize, is_first: bool) {
        let now = self.town.now;
        let acts = self.town.journal[before..].iter().filter_map(|entry| match entry {
            Entry::Decision(decision) => Some(decision),
            Entry::Message(_) => None,
        });
        for decision in acts {
            match &decision.act {
                Act::Notice(notice) => {
                    let (own, _) = self.presses(notice.model.as_deref().unwrap(), now);
                    assert_eq!((u64::from(notice.alerts), &notice.batch), (own, &None));
                }
                Act::Promote => {
                    let raise = decision.raise.as_ref().unwrap();
                    let model = self.model_of(raise).expect("it was of a surge");
                    assert!(self.is_confirmed(model, now), "{model} presses alone");
                    self.promoted += 1;
                }
                act => panic!("{act:?}"),
            }
        }
        for raise in self.raises().filter(|raise| raise.disposition == Disposition::Noticed) {
            let recent = is_first && now.since(raise.received_at) < WINDOW;
            let newest = self.raises().rfind(|other| {
                other.device == raise.device && other.disposition == Disposition::Noticed
            });
            let waits = !self
                .town
                .decisions()
                .any(|decision| decision.promotes() == Some(raise.message_id.alert()));
            if recent && waits && newest.is_some_and(|newest| newest.cursor == raise.cursor) {
                let model = self.model_of(raise).unwrap();
                assert!(!self.is_confirmed(model, now), "{model} does not press alone");
            }
        }
    }

    fn open_window(&self) -> Span {
        self.town.policy.press.window
    }

    fn raises(&self) -> impl DoubleEndedIterator<Item = &Record> + Clone {
        let messages = self.town.journal.iter().filter_map(Entry::message);
        messages.filter(|record| record.kind == Kind::Raise)
    }

    /// What the device said last before `at`, if the five minutes in which it did lie whole within the horizon.
    fn model(&self, device: u32, at: Time) -> Option<&'static str> {
        self.model_before(device, at, Cursor(u64::MAX))
    }

    /// What its device was when it pressed.
    fn model_of(&self, raise: &Record) -> Option<&'static str> {
        self.model_before(index_of(raise.device), raise.received_at, raise.cursor)
    }

    fn model_before(&self, device: u32, at: Time, before: Cursor) -> Option<&'static str> {
        let messages = self.town.journal.iter().filter_map(Entry::message);
        let last = messages
            .filter(|record| record.device == device_id(device) && record.cursor < before)
            .rfind(|record| record.kind == Kind::Heartbeat)?;
        let five_minutes = last.received_at.0 / SLOT_US * SLOT_US;
        (Time(five_minutes) > at - MODELS_WINDOW).then(|| self.said[&last.cursor])
    }

    fn is_minority(&self, model: &str, at: Time) -> bool {
        let devices = (0..FLEET).filter(|device| self.model(*device, at) == Some(model)).count();
        devices > 0 && devices * 100 <= FLEET as usize * 20
    }

    /// First presses within the window: of the model, and in all.
    fn presses(&self, model: &str, at: Time) -> (u64, u64) {
        let first = |raise: &&Record| {
            raise.disposition != Disposition::Joined && at.since(raise.received_at) < WINDOW
        };
        let all = self.raises().filter(first);
        let own = all.clone().filter(|raise| self.model_of(raise) == Some(model));
        (own.count() as u64, all.count() as u64)
    }

    fn is_confirmed(&self, model: &str, at: Time) -> bool {
        let (own, all) = self.presses(model, at);
        own >= 10 && (all - own) * 100 > own * 10
    }
}

#[test]
fn every_surge_of_a_model_is_told_and_confirmed_as_the_journal_alone_says() {
    let (told, confirmed) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { cases: 300, ..Config::default() });
    let timelines = prop::collection::vec(step(), 0..60);
    let run = runner.run(&timelines, |steps| {
        let mut world = World::new();
        // Two models that are small enough, and nine devices that say nothing at first.
        world.step(&Step::Say { first: 0, devices: 16, model: 0 });
        world.step(&Step::Say { first: 16, devices: 15, model: 1 });
        for step in &steps {
            world.step(step);
        }
        told.set(told.get() + usize::from(world.noticed > 0));
        confirmed.set(confirmed.get() + usize::from(world.promoted > 0));
        Ok(())
    });
    run.unwrap();
    // A timeline in which nothing surges shows nothing.
    println!(
        "{} timelines with a surge, {} with one that is confirmed",
        told.get(),
        confirmed.get()
    );
    assert!(told.get() >= 30 && confirmed.get() >= 10);
}
