//! Whether the first presses of one batch or model are a surge that nobody else confirms.
//!
//! Counts of first presses within a window, in all and by batch and model. Three things must come together: many presses
//! of the group; a group that is a small share of the fleet, a batch by the registry and a model by what devices say of
//! themselves; and almost no presses by all the others. In an earthquake the others press too, so a group that is most
//! of a city never surges. Of a model whose devices are partly unknown the unknown ones are others: fewer are counted,
//! but their presses confirm, so that not knowing leads to pages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Raiser;
use super::models::{ModelNumber, Models};
use crate::{BatchIndex, Fleet, Model, Notice, Policy, Span, Time};

#[derive(Debug, Default)]
pub(crate) struct Surges {
    presses: VecDeque<(Time, Option<BatchIndex>, Option<ModelNumber>)>,
    by_group: BTreeMap<Group, u32>,
    /// The surges that operators were told of lately.
    told: BTreeMap<Name, Told>,
}

/// What the groups are, and how large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Census<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) models: &'a Models,
    /// When they are counted.
    pub(crate) at: Time,
    /// How far back what devices said counts.
    pub(crate) models_window: Span,
}

/// What presses have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Batch(BatchIndex),
    Model(ModelNumber),
}

/// A group, as a notice names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Batch(Arc<str>),
    Model(Arc<str>),
}

#[derive(Debug, Clone, Copy)]
struct Told {
    at: Time,
    alerts: u32,
}

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It presses no more than others might.
    Quiet,
    /// It presses alone.
    Surges,
    /// It presses, and so do others.
    Confirmed,
}

impl Surges {
    /// A first press.
    pub(crate) fn note(
        &mut self,
        at: Time,
        batch: Option<BatchIndex>,
        model: Option<ModelNumber>,
        len_max: usize,
    ) {
        groups(batch, model).for_each(|group| *self.by_group.entry(group).or_default() += 1);
        self.presses.push_back((at, batch, model));
        while self.presses.len() > len_max.max(1) {
            self.pop();
        }
    }

    /// Whether one more press of this batch and model would be one of a surge.
    pub(crate) fn would_surge(
        &self,
        (batch, model): (Option<BatchIndex>, Option<ModelNumber>),
        policy: &Policy,
        census: &Census<'_>,
    ) -> bool {
        groups(batch, model).any(|group| self.state(&group, 1, policy, census) == State::Surges)
    }

    /// The group among these that surges.
    pub(crate) fn surging(
        &self,
        (batch, model): (Option<BatchIndex>, Option<ModelNumber>),
        policy: &Policy,
        census: &Census<'_>,
    ) -> Option<Group> {
        groups(batch, model).find(|group| self.state(group, 0, policy, census) == State::Surges)
    }

    /// Where `group` stands, `more` presses of it included.
    pub(crate) fn state(
        &self,
        group: &Group,
        more: u32,
        policy: &Policy,
        census: &Census<'_>,
    ) -> State {
        // They are forgotten when the next message is noted, and this may be asked long after the last.
        let window = policy.surge_window();
        let old = self.presses.iter().take_while(|(at, ..)| census.at.apart(*at) >= window);
        let (mut presses, mut count) = (self.presses.len() as u64, self.count(group));
        for (_, batch, model) in old {
            presses -= 1;
            count -= u64::from(groups(*batch, *model).any(|other| other == *group));
        }
        let others = presses - count;
        let count = count + u64::from(more);
        // Others confirm also a group of which nobody knows any more how large it is.
        if count < u64::from(policy.surge.presses) {
            State::Quiet
        } else if others * 100 > count * u64::from(policy.surge.outside_max) {
            State::Confirmed
        } else if group.is_minority(policy, census) {
            State::Surges
        } else {
            State::Quiet
        }
    }

    /// How many presses the group made.
    pub(crate) fn count(&self, group: &Group) -> u64 {
        self.by_group.get(group).copied().unwrap_or_default().into()
    }

    /// Whether operators should be told of the group: they were not lately, or it has doubled since.
    pub(crate) fn is_news(&self, name: &Name, alerts: u32) -> bool {
        self.told.get(name).is_none_or(|told| alerts >= told.alerts.saturating_mul(2))
    }

    /// Operators were told.
    pub(crate) fn told(&mut self, name: Name, at: Time, alerts: u32) {
        self.told.insert(name, Told { at, alerts });
    }

    /// A press of a surge: what operators were told of it goes on counting.
    pub(crate) fn goes_on(&mut self, raiser: &Raiser, at: Time, census: &Census<'_>) {
        for group in raiser.groups() {
            let told = group.name(census).and_then(|name| self.told.get_mut(&name));
            told.into_iter().for_each(|told| told.at = at);
        }
    }

    /// Whether operators were told of a surge that `raiser` is part of.
    pub(crate) fn is_told(&self, raiser: &Raiser, census: &Census<'_>) -> bool {
        raiser
            .groups()
            .filter_map(|group| group.name(census))
            .any(|name| self.told.contains_key(&name))
    }

    /// The groups that operators were told of lately.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.told.keys()
    }

    /// Forgets what lies outside the window, ahead of it too: there the clock was set back.
    pub(crate) fn forget(&mut self, now: Time, policy: &Policy) {
        let window = policy.surge_window();
        while self.presses.front().is_some_and(|(at, ..)| now.apart(*at) >= window) {
            self.pop();
        }
        if !self.told.is_empty() {
            self.told.retain(|_, told| now.apart(told.at) < window);
        }
    }

    /// First presses within the window.
    pub(crate) fn len(&self) -> usize {
        self.presses.len()
    }

    fn pop(&mut self) {
        let Some((_, batch, model)) = self.presses.pop_front() else { return };
        for group in groups(batch, model) {
            if let Some(count) = self.by_group.get_mut(&group) {
                *count -= 1;
                if *count == 0 {
                    self.by_group.remove(&group);
                }
            }
        }
    }
}

impl Group {
    /// Whether a device is of this group.
    pub(crate) fn holds(&self, raiser: &Raiser) -> bool {
        match self {
            Self::Batch(batch) => raiser.enrolment.batch == Some(*batch),
            Self::Model(model) => raiser.model == Some(*model),
        }
    }

    /// Whether it is a small share of the fleet.
    fn is_minority(&self, policy: &Policy, census: &Census<'_>) -> bool {
        let devices = match self {
            Self::Batch(index) => census.fleet.batch(*index).map(|batch| batch.devices),
            Self::Model(model) => {
                Some(census.models.count(*model, census.at, census.models_window))
            }
        };
        let share_max = u64::from(policy.surge.fleet_share_max);
        // A model that no device is counted for is not known well enough to be one.
        devices.filter(|devices| *devices > 0).is_some_and(|devices| {
            u64::from(devices) * 100 <= u64::from(census.fleet.devices) * share_max
        })
    }

    /// What a notice calls it; nothing if the fleet does not know it.
    pub(crate) fn name(&self, census: &Census<'_>) -> Option<Name> {
        match self {
            Self::Batch(index) => Some(Name::Batch(Arc::clone(&census.fleet.batch(*index)?.name))),
            Self::Model(model) => {
                Some(Name::Model(Arc::from(census.models.name(*model)?.as_str())))
            }
        }
    }
}

impl Raiser {
    /// What it has in common with others.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group> + use<> {
        groups(self.enrolment.batch, self.model)
    }
}

impl Name {
    /// What a notice names; nothing if it names no group.
    pub(crate) fn of(notice: &Notice) -> Option<Self> {
        let batch = notice.batch.clone().map(Self::Batch);
        batch.or_else(|| notice.model.clone().map(Self::Model))
    }

    /// A notice of so many alerts.
    pub(crate) fn notice(&self, alerts: u32) -> Notice {
        match self {
            Self::Batch(name) => Notice { alerts, batch: Some(Arc::clone(name)), model: None },
            Self::Model(name) => Notice { alerts, batch: None, model: Some(Arc::clone(name)) },
        }
    }

    /// The group of this name.
    pub(crate) fn group(&self, census: &Census<'_>) -> Option<Group> {
        match self {
            Self::Batch(name) => {
                let place = census.fleet.batches.iter().position(|batch| batch.name == *name)?;
                Some(Group::Batch(BatchIndex(u32::try_from(place).ok()?)))
            }
            Self::Model(name) => census.models.find(&Model::new(name)?).map(Group::Model),
        }
    }
}

fn groups(batch: Option<BatchIndex>, model: Option<ModelNumber>) -> impl Iterator<Item = Group> {
    batch.map(Group::Batch).into_iter().chain(model.map(Group::Model))
}
