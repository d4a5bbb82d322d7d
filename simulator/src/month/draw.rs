//! Draws a month: who presses when and where, what they do next, and what operators will make of it.
//!
//! Slots of time come from the scenario's day, once for each day. An emergency that others see takes more slots than its
//! own: theirs follow within minutes, and its chance is smaller by as much, so that the shares stay those of the file.

use std::collections::BTreeSet;
use std::sync::Arc;

use pipeline::{DeviceIndex, Span, Time, Verdict};
use protocol::{Category, Position};

use super::{DAY, Judging, Month, MonthError, People, Prankster, Press, START, Who};
use crate::place::Places;
use crate::random::{Seed, Stream};
use crate::scenario::{Caller, Conduct, Scenario, Shape};
use crate::timeline::times;

/// Shares are drawn as whole weights; this many steps make one.
const STEPS: f64 = 1e9;
/// Somebody who presses again does so within the minutes in which a press is open by default.
const REPEATED: (Span, Span) = (Span::from_secs(10), Span::from_secs(300));
/// A device without a receipt sends again within seconds.
const RESENT: (Span, Span) = (Span::from_secs(1), Span::from_secs(4));
/// Who takes a press back does so soon.
const CANCELLED: (Span, Span) = (Span::from_secs(5), Span::from_secs(120));
/// Nobody judges a press before it can be read.
const JUDGED_AFTER_MIN: Span = Span::from_secs(30);

pub(super) fn month(scenario: &Scenario, days: u32, seed: Seed) -> Result<Month, MonthError> {
    let name = || scenario.name().to_owned();
    let conduct = scenario.conduct.as_ref().ok_or_else(|| MonthError::NoCallers(name()))?;
    if !matches!(scenario.shape(), Shape::Day { .. }) {
        return Err(MonthError::NoDay(name()));
    }
    let length = u64::from(days) * DAY;
    let plan = conduct.enrolment.clone();
    let people = People::new(seed, scenario.devices(), plan, START, length);
    let (pranksters, weights) = pranksters(conduct, &people, seed);
    let mut hand = Hand {
        scenario,
        conduct,
        people: &people,
        devices: pranksters.iter().map(|prankster| prankster.device).collect(),
        weights,
        places: Places::new(scenario.zones()),
        seed,
        presses: vec![],
    };
    for day in 0..days {
        let start = START + u64::from(day) * DAY;
        for offset_us in times::offsets(scenario.shape(), scenario.presses(), seed, day) {
            hand.slot(start + Span(offset_us));
        }
    }
    let mut presses = hand.presses;
    presses.sort_by_key(|press| press.at);
    let (scenario_name, title) = (name(), scenario.title().to_owned());
    let zones = Arc::clone(&scenario.zones);
    Ok(Month { scenario: scenario_name, title, seed, days, zones, people, pranksters, presses })
}

/// Who plays pranks, and the running sum of how often each does.
fn pranksters(conduct: &Conduct, people: &People, seed: Seed) -> (Vec<Prankster>, Vec<u64>) {
    let mut who = Stream::new(seed, "which devices play pranks", 0);
    let mut habits = Stream::new(seed, "how pranksters act", 0);
    let devices = people.sample_old(conduct.pranksters.devices, &mut who);
    let mut sum = 0;
    let drawn = devices.into_iter().map(|device| {
        let evading = habits.chance(conduct.pranksters.evading);
        sum += steps(libm::exp(conduct.pranksters.spread * habits.normal())).max(1);
        (Prankster { device, evading }, sum)
    });
    drawn.unzip()
}

/// What is drawn from.
struct Hand<'a> {
    scenario: &'a Scenario,
    conduct: &'a Conduct,
    people: &'a People,
    devices: BTreeSet<DeviceIndex>,
    weights: Vec<u64>,
    places: Places<'a>,
    seed: Seed,
    presses: Vec<Press>,
}

impl Hand<'_> {
    /// Somebody presses at `at`; if others see why, they press too.
    fn slot(&mut self, at: Time) {
        let number = self.presses.len() as u64;
        let mut stream = Stream::new(self.seed, "a press of the month", number);
        let emergencies = &self.conduct.emergencies;
        let seldomer = 1.0 / (1.0 + emergencies.others_mean());
        let weight = |caller: Caller| {
            let share = self.conduct.shares.of(caller);
            steps(if caller == Caller::Genuine { share * seldomer } else { share })
        };
        let place = stream.weighted(Caller::ALL.map(weight).into_iter());
        let caller = Caller::ALL.get(place).copied().unwrap_or(Caller::Prank);
        let who = match caller {
            Caller::Prank => self.prankster(&mut stream),
            Caller::Genuine if stream.chance(emergencies.by_pranksters) => {
                self.prankster(&mut stream)
            }
            _ => Who::Device(self.device(at, &mut stream)),
        };
        let place = self.somewhere(&mut stream);
        let category = self.category(&mut stream);
        self.press(at, caller, who, (place, category), &mut stream);
        if caller == Caller::Genuine && stream.chance(emergencies.seen) {
            let others = 1 + stream.below(emergencies.others_max.into());
            for _ in 0..others {
                let later = at + Span(stream.below(emergencies.others_within.0));
                let who = Who::Device(self.device(at, &mut stream));
                let near = self.near(place, &mut stream);
                self.press(later, caller, who, (near, category), &mut stream);
            }
        }
    }

    fn press(
        &mut self,
        at: Time,
        caller: Caller,
        who: Who,
        (place, category): (Position, Category),
        stream: &mut Stream,
    ) {
        let conduct = self.conduct;
        let mut within = |share: f64, (least, most): (Span, Span)| {
            let span = Span(least.0 + stream.below(most.0 - least.0));
            stream.chance(share).then_some(span)
        };
        let resent = within(conduct.resent, RESENT);
        let repeated = within(conduct.repeated, REPEATED);
        let cancelled = within(conduct.cancelled.of(caller), CANCELLED);
        let judging = self.judging(caller, stream);
        self.presses.push(Press {
            at,
            caller,
            who,
            place,
            category,
            resent,
            repeated,
            cancelled,
            judging,
        });
    }

    fn judging(&self, caller: Caller, stream: &mut Stream) -> Judging {
        let operators = &self.conduct.operators;
        let wrong = stream.chance(match caller {
            Caller::Prank => operators.wrong_genuine,
            _ => operators.wrong_prank,
        });
        let guessed = stream.chance(operators.silent_judged);
        let verdict = match (caller, wrong) {
            (Caller::Genuine, false) | (Caller::Prank, true) => Some(Verdict::Genuine),
            (Caller::Prank, false) | (_, true) => Some(Verdict::Prank),
            (Caller::Accidental, false) => Some(Verdict::Accidental),
            (Caller::Silent, false) => guessed.then_some(Verdict::Accidental),
        };
        let factor = libm::exp(operators.delay_sigma * stream.normal());
        let after = Span(whole(factor * float(operators.delay_median.0))).max(JUDGED_AFTER_MIN);
        let if_paged = stream.chance(operators.judged);
        Judging { verdict, after, if_paged, if_held: stream.chance(operators.judged_held) }
    }

    fn prankster(&self, stream: &mut Stream) -> Who {
        let step = stream.below(self.weights.last().copied().unwrap_or(0));
        Who::Prankster(self.weights.partition_point(|sum| *sum <= step))
    }

    /// A device of somebody who plays no pranks, enrolled by `at`. Most are, so this ends soon.
    fn device(&self, at: Time, stream: &mut Stream) -> DeviceIndex {
        loop {
            let number = u32::try_from(stream.below(self.people.devices.into())).unwrap_or(0);
            let device = DeviceIndex(number);
            if !self.devices.contains(&device) && self.people.enrolled_at(device) <= at {
                return device;
            }
        }
    }

    fn somewhere(&mut self, stream: &mut Stream) -> Position {
        let weights = self.scenario.people.iter().map(|(_, people)| u64::from(*people));
        let root = self.scenario.zones().root();
        let zone =
            self.scenario.people.get(stream.weighted(weights)).map_or(root, |(zone, _)| *zone);
        self.places.within(zone, stream)
    }

    fn near(&self, place: Position, stream: &mut Stream) -> Position {
        let zones = self.scenario.zones();
        let zone = zones.locate(&place).unwrap_or(zones.root());
        self.places.measured(place, zone, self.conduct.emergencies.reach_m, stream)
    }

    fn category(&self, stream: &mut Stream) -> Category {
        let categories = &self.scenario.categories;
        let place = stream.weighted(categories.iter().map(|(_, weight)| u64::from(*weight)));
        categories.get(place).map_or(Category::Unspecified, |(category, _)| *category)
    }
}

fn steps(number: f64) -> u64 {
    whole(number * STEPS)
}

#[expect(clippy::cast_precision_loss, reason = "hours in microseconds are exact in an f64")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is rounded here is never negative, and `as` saturates"
)]
fn whole(number: f64) -> u64 {
    libm::round(number) as u64
}
