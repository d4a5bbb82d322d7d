//! Which alerts belong together: near in space and time, and of categories that go together.
//!
//! [`Incidents::join`] looks the nearest incident up that an alert may join; [`Incidents::note`] takes what was decided,
//! from the alert's line, never anew. So the state is a fold over the journal, and a restart changes nothing: only what
//! lies within [`Policy::horizon`](crate::Policy::horizon) can matter. An incident is named by its first alert. Alerts
//! never move to another one, and incidents are never merged: what was said once stays true.
//!
//! Every incident is bounded in space, time and number, and so is what is kept of it: places where it was seen lately.
//! An incident of which none is left is forgotten.

mod marks;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use protocol::{AlertId, Category, Position};

use self::marks::{Mark, Marks};
use crate::Time;
use crate::place::Spot;
use crate::policy::{GROUPS_MAX, Incident as Limits};

/// Categories there are.
const CATEGORIES: usize = Category::ALL.len();

/// The incidents that alerts may still join.
#[derive(Debug)]
pub struct Incidents {
    limits: Limits,
    /// Of each category, what it goes with: one bit for itself, one for each group that it is in.
    families: [u32; CATEGORIES],
    len_max: usize,
    /// Hashed without a random key: an id is the SHA-256 of a press, which nobody but an enrolled device can make.
    growths: HashMap<AlertId, Growth, BuildHasherDefault<DefaultHasher>>,
    marks: Marks,
}

/// An alert as far as it decides about incidents.
#[derive(Debug, Clone, Copy)]
pub struct Raised {
    /// Its id.
    pub alert: AlertId,
    /// When it was received.
    pub at: Time,
    /// What help is needed.
    pub category: Category,
    /// Where its device is, as far as the raise tells.
    pub place: Option<Position>,
}

/// How far an incident has grown.
#[derive(Debug)]
struct Growth {
    /// Its first alert. Nothing, where that lies further back than what was told: then it grows no more.
    first: Option<First>,
    members: u32,
    /// What all its members go with.
    families: u32,
    marks: u32,
}

#[derive(Debug, Clone, Copy)]
struct First {
    at: Time,
    spot: Spot,
    slack_m: u32,
}

impl Incidents {
    /// No incidents yet; at most `len_max` places are kept, of all incidents together.
    #[must_use]
    pub fn new(limits: &Limits, len_max: usize) -> Self {
        Self {
            families: families(limits),
            marks: Marks::new(limits.reach_max_m()),
            limits: limits.clone(),
            len_max,
            growths: HashMap::default(),
        }
    }

    /// Other limits are in force.
    pub fn set(&mut self, limits: &Limits) {
        if *limits == self.limits {
            return;
        }
        self.families = families(limits);
        self.limits = limits.clone();
        self.growths.values_mut().for_each(|growth| growth.marks = 0);
        for mark in self.marks.rearrange(limits.reach_max_m()) {
            self.place(mark);
        }
    }

    /// The incident that the alert belongs to: the nearest that it may join, of those that are equally near the one with
    /// the lowest id; nothing if there is none, so that it begins its own.
    #[must_use]
    pub fn join(&self, raised: &Raised) -> Option<AlertId> {
        let place = raised.place.as_ref()?;
        let spot = Spot::of(place);
        let mut nearest: Option<(i64, AlertId)> = None;
        // Grown as far as they may: few, and each has many marks.
        let mut full: Vec<AlertId> = vec![];
        for mark in self.marks.around(spot) {
            let found = (mark.spot.apart_squared(spot), mark.incident);
            if nearest.is_some_and(|nearest| nearest <= found)
                || !self.reaches(mark, found.0, place, raised.at)
                || full.contains(&mark.incident)
            {
                continue;
            }
            if self.admits(mark.incident, raised, spot) {
                nearest = Some(found);
            } else {
                full.push(mark.incident);
            }
        }
        nearest.map(|(_, incident)| incident)
    }

    /// Takes a press that people are paged for, with the incident that its line names.
    pub fn note(&mut self, raised: &Raised, incident: AlertId) {
        let Some(place) = &raised.place else { return };
        let begins = incident == raised.alert;
        let spot = Spot::of(place);
        let slack_m = place.radius_m.min(self.limits.slack_m);
        // A place that is hardly known may be anywhere in the incident, and says nothing about where that is.
        let extends = begins || place.radius_m <= self.limits.coarse_m;
        if !extends && !self.growths.contains_key(&incident) {
            return;
        }
        let growth = self.growths.entry(incident).or_insert_with(Growth::unknown);
        if begins && growth.first.is_none() {
            growth.first = Some(First { at: raised.at, spot, slack_m });
        }
        growth.members = growth.members.saturating_add(1);
        let common = growth.families & family(&self.families, raised.category);
        // A press that was promoted may have been given its incident before that became what it is.
        growth.families = if common == 0 { growth.families } else { common };
        if extends {
            self.place(Mark::new(incident, spot, slack_m, raised.category, raised.at));
        }
    }

    /// Forgets what is too old to be joined, and what a clock that was set back left ahead.
    pub fn forget(&mut self, now: Time) {
        while let Some(incident) = self.marks.pop_past(now, self.limits.window) {
            self.lose(incident);
        }
    }

    /// Incidents that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.growths.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.growths.is_empty()
    }

    /// Places that are kept, some of them forgotten already.
    #[must_use]
    pub fn places(&self) -> usize {
        self.marks.len()
    }

    /// Whether a mark so many square metres away is near enough, in time too.
    fn reaches(&self, mark: &Mark, apart: i64, place: &Position, at: Time) -> bool {
        let slack = mark.slack_m.saturating_add(place.radius_m).min(self.limits.slack_m);
        let reach = self.limits.radius_of(mark.category) + slack;
        apart <= i64::from(reach).pow(2) && at.apart(mark.at) <= self.limits.window
    }

    /// Whether the incident may still grow by this alert.
    fn admits(&self, incident: AlertId, raised: &Raised, spot: Spot) -> bool {
        let Some(growth) = self.growths.get(&incident) else { return false };
        let Some(first) = growth.first else { return false };
        let slack_m = raised.place.map_or(0, |place| place.radius_m.min(self.limits.slack_m));
        growth.families & family(&self.families, raised.category) != 0
            && growth.members < self.limits.members_max
            && raised.at.apart(first.at) <= self.limits.lasts_max
            && first.spot.is_within(spot, self.limits.spread_m + first.slack_m + slack_m)
    }

    fn place(&mut self, mark: Mark) {
        if let Some(growth) = self.growths.get_mut(&mark.incident) {
            growth.marks += 1;
        }
        for incident in self.marks.put(mark, self.len_max) {
            self.lose(incident);
        }
    }

    /// The incident has one mark less.
    fn lose(&mut self, incident: AlertId) {
        let Some(growth) = self.growths.get_mut(&incident) else { return };
        growth.marks = growth.marks.saturating_sub(1);
        if growth.marks == 0 {
            self.growths.remove(&incident);
        }
    }
}

impl Growth {
    fn unknown() -> Self {
        Self { first: None, members: 0, families: u32::MAX, marks: 0 }
    }
}

impl Limits {
    /// How far an alert may be from one of this category, in metres.
    fn radius_of(&self, category: Category) -> u32 {
        match category {
            Category::Disaster => self.disaster_radius_m,
            Category::Unrest => self.unrest_radius_m,
            _ => self.radius_m,
        }
    }

    fn reach_max_m(&self) -> u32 {
        self.radius_m.max(self.unrest_radius_m).max(self.disaster_radius_m) + self.slack_m
    }
}

/// What a category goes with. Whoever did not say may mean anything.
fn family(families: &[u32; CATEGORIES], category: Category) -> u32 {
    families.get(category as usize).copied().unwrap_or(u32::MAX)
}

fn families(limits: &Limits) -> [u32; CATEGORIES] {
    const { assert!(CATEGORIES + GROUPS_MAX < u32::BITS as usize, "one bit is everybody's") };
    Category::ALL.map(|category| match category {
        Category::Unspecified => u32::MAX,
        _ => {
            let groups = limits.together.iter().zip(CATEGORIES..);
            let within = groups.filter(|(group, _)| group.contains(&category));
            within.fold(1 << category as u32, |family, (_, bit)| family | 1 << bit)
        }
    })
}
