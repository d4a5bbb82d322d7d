//! Which model each device last said it is, for as long as the policy lets that count, and how many say the same: 8
//! bytes a device once any device says, and a few thousand counts.
//!
//! Heartbeats state models, and nobody else keeps them. Time is cut into slots: a statement counts as long as its whole
//! slot lies within the window before the moment that is asked about, so that counting takes no pass over the devices.
//! A start reads that far back behind every press that matters, so that it comes to the same.

use std::collections::BTreeMap;

use crate::policy::HORIZON_MAX;
use crate::{DeviceIndex, Model, Span, Time};

/// Models told apart at one time; further ones are not known. A fleet has dozens.
const MODELS_MAX: usize = 4_096;
/// Length of a slot: a statement counts for so much less than the window, at most.
const SLOT: Span = Span::from_secs(300);

/// A model among those that are told apart here; means nothing after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelNumber(u16);

#[derive(Debug, Default)]
pub(crate) struct Models {
    names: Vec<Model>,
    by_name: BTreeMap<Model, ModelNumber>,
    devices: Vec<Stated>,
    /// How many devices stated a model last in a slot. Slots beyond the longest window are dropped, so a model has 289
    /// at most.
    counts: BTreeMap<(ModelNumber, Slot), u32>,
    /// Nothing said before it counts: slots that lie further back may have been dropped already.
    first: Slot,
}

/// A stretch of time; the first begins with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Slot(u32);

/// What a device said, and when; in slot 0 it said nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Stated {
    slot: Slot,
    model: u16,
}

impl Slot {
    fn of(at: Time) -> Self {
        Self(u32::try_from(at.0 / SLOT.0).unwrap_or(u32::MAX))
    }

    /// The first slot that lies whole within `window` before `at`.
    fn first_within(at: Time, window: Span) -> Self {
        let begins_after = at - window;
        Self(Self::of(begins_after).0.saturating_add(1))
    }
}

impl Models {
    /// The device says what it is.
    pub(crate) fn note(&mut self, device: DeviceIndex, model: Model, at: Time) {
        let Some(model) = self.number(model) else { return };
        let place = device.slot();
        if place >= self.devices.len() {
            self.devices.resize(place + 1, Stated::default());
        }
        let Some(stated) = self.devices.get_mut(place) else { return };
        let before = std::mem::replace(stated, Stated { slot: Slot::of(at), model: model.0 });
        let after = *stated;
        if before.slot == after.slot && before.model == after.model {
            return;
        }
        self.uncount(before);
        *self.counts.entry((model, after.slot)).or_default() += 1;
        let first = Slot::first_within(at, HORIZON_MAX);
        if after.slot < self.first {
            self.recount(first);
        }
        self.first = self.first.max(first);
        self.drop_slots(model, self.first);
    }

    /// What the device said it is, within `window` before `at`.
    pub(crate) fn get(&self, device: DeviceIndex, at: Time, window: Span) -> Option<ModelNumber> {
        let stated = self.devices.get(device.slot()).filter(|stated| stated.slot > Slot(0))?;
        let within = stated.slot >= self.first_within(at, window);
        within.then_some(ModelNumber(stated.model))
    }

    /// How many devices last said that they are of this model, within `window` before `at`.
    pub(crate) fn count(&self, model: ModelNumber, at: Time, window: Span) -> u32 {
        let first = self.first_within(at, window);
        self.counts.range((model, first)..=(model, Slot(u32::MAX))).map(|(_, count)| count).sum()
    }

    /// The model of this name, if any device said it.
    pub(crate) fn find(&self, name: &Model) -> Option<ModelNumber> {
        self.by_name.get(name).copied()
    }

    /// What the model is called.
    pub(crate) fn name(&self, model: ModelNumber) -> Option<Model> {
        self.names.get(usize::from(model.0)).copied()
    }

    /// Models told apart.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    fn first_within(&self, at: Time, window: Span) -> Slot {
        Slot::first_within(at, window).max(self.first)
    }

    /// The clock was set back to before `self.first`, which may take a year to be reached again: asks every device, once,
    /// so that whoever is known is counted. A majority of whom some were not counted would look like a minority.
    fn recount(&mut self, first: Slot) {
        self.first = first;
        self.counts.clear();
        for stated in self.devices.iter().filter(|stated| stated.slot >= first.max(Slot(1))) {
            *self.counts.entry((ModelNumber(stated.model), stated.slot)).or_default() += 1;
        }
    }

    /// What a device said counts no longer: it said something since.
    fn uncount(&mut self, stated: Stated) {
        let key = (ModelNumber(stated.model), stated.slot);
        if let Some(count) = self.counts.get_mut(&key).filter(|_| stated.slot > Slot(0)) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
    }

    /// Drops the slots of a model before `first`: no window reaches back there.
    fn drop_slots(&mut self, model: ModelNumber, first: Slot) {
        while let Some((&key, _)) = self.counts.range((model, Slot(0))..(model, first)).next() {
            self.counts.remove(&key);
        }
    }

    fn number(&mut self, name: Model) -> Option<ModelNumber> {
        if let Some(number) = self.find(&name) {
            return Some(number);
        }
        let number = u16::try_from(self.names.len()).ok().map(ModelNumber)?;
        if self.names.len() >= MODELS_MAX {
            return None;
        }
        self.names.push(name);
        self.by_name.insert(name, number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Span = Span::from_secs(3_600);
    const NOON: Time = Time(1_700_000_100_000_000);

    #[test]
    fn a_model_counts_for_the_window() {
        let (device, model) = (DeviceIndex(3), Model::literal("SOS-1"));
        let mut models = Models::default();
        assert_eq!(models.get(device, NOON, HOUR), None);
        models.note(device, model, NOON);
        let known = models.get(device, NOON + Span::from_secs(3_299), HOUR).unwrap();
        assert_eq!((models.name(known), models.find(&model)), (Some(model), Some(known)));
        assert_eq!(models.count(known, NOON, HOUR), 1);
        assert_eq!(models.get(device, NOON + HOUR, HOUR), None);
        assert_eq!(models.count(known, NOON + HOUR, HOUR), 0);
        assert_eq!(models.get(DeviceIndex(2), NOON, HOUR), None);
    }

    #[test]
    fn another_firmware_is_another_model() {
        let mut models = Models::default();
        let (old, new) = (Model::literal("SOS-1 fw 1"), Model::literal("SOS-1 fw 2"));
        (0..3).for_each(|device| models.note(DeviceIndex(device), old, NOON));
        models.note(DeviceIndex(1), new, NOON);
        let count = |model| models.count(models.find(&model).unwrap(), NOON, HOUR);
        assert_eq!((count(old), count(new)), (2, 1));
    }

    #[test]
    fn the_tables_are_bounded() {
        let mut models = Models::default();
        for n in 0..u32::try_from(MODELS_MAX).unwrap() + 10 {
            models.note(DeviceIndex(n), Model::new(&format!("m{n}")).unwrap(), NOON);
        }
        assert_eq!(models.len(), MODELS_MAX);
        let one = Model::literal("m1");
        // Each device falls silent after one statement, for a month.
        for n in 0..10_000 {
            models.note(DeviceIndex(n), one, NOON + Span(u64::from(n) * SLOT.0));
        }
        let number = models.find(&one).unwrap();
        let slots = models.counts.range((number, Slot(0))..=(number, Slot(u32::MAX))).count();
        assert!(slots <= 289, "{slots}");
    }

    #[test]
    fn devices_are_known_and_counted_after_the_clock_was_set_back() {
        let model = Model::literal("SOS-1");
        let mut models = Models::default();
        let year = Span::from_secs(365 * 86_400);
        (0..5).for_each(|device| models.note(DeviceIndex(device), model, NOON));
        models.note(DeviceIndex(5), model, NOON + year);
        models.note(DeviceIndex(6), model, NOON + SLOT);
        let number = models.find(&model).unwrap();
        let known = |device| models.get(DeviceIndex(device), NOON + SLOT, HOUR).is_some();
        assert!((0..7).all(known));
        assert_eq!(models.count(number, NOON + SLOT, HOUR), 7);
    }

    /// Seconds until the next statement; now and then the clock jumps, ahead or back.
    fn passing() -> impl Strategy<Value = i64> {
        prop_oneof![20 => 0_i64..600, 1 => -500_000_i64..500_000, 1 => -600_i64..0]
    }

    #[test]
    fn restart_counts_as_if_nothing_had_been_said_before_the_window() {
        let model = Model::literal("SOS-1");
        let (mut lived, mut restarted) = (Models::default(), Models::default());
        for device in 0..100 {
            let at = NOON + Span::from_secs(u64::from(device) * 60);
            lived.note(DeviceIndex(device % 70), model, at);
            if (NOON + Span::from_secs(100 * 60)).since(at) <= HOUR {
                restarted.note(DeviceIndex(device % 70), model, at);
            }
        }
        let now = NOON + Span::from_secs(100 * 60);
        let count = |models: &Models| models.count(models.find(&model).unwrap(), now, HOUR);
        assert_eq!(count(&lived), count(&restarted));
        assert!(count(&lived) > 50);
    }

    proptest! {
        #[test]
        fn devices_are_counted_as_if_each_were_asked(
            said in prop::collection::vec((0_u32..20, 0_usize..3, passing()), 0..200),
            window_s in 300_u64..=86_400,
        ) {
            let names = ["a", "b", "c"].map(|name| Model::new(name).unwrap());
            let window = Span::from_secs(window_s);
            let (mut models, mut at) = (Models::default(), NOON);
            for (device, name, passes_s) in said {
                at = Time(at.0.saturating_add_signed(passes_s * 1_000_000));
                models.note(DeviceIndex(device), names[name], at);
                for model in names.iter().filter_map(|name| models.find(name)) {
                    let asked = (0..20).filter(|device| {
                        models.get(DeviceIndex(*device), at, window) == Some(model)
                    });
                    prop_assert_eq!(models.count(model, at, window) as usize, asked.count());
                }
            }
        }
    }
}
