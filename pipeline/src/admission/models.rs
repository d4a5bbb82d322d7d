//! Which model each device last said it is, for as long as the policy's horizon: 8 bytes a device once any device says.
//!
//! Heartbeats state models, and nobody else keeps them. Older than the horizon they are not read again at a start, so
//! they do not count before it either.

use std::collections::BTreeMap;

use crate::{DeviceIndex, Model, Span, Time};

/// Models told apart at one time; further ones are not known. A fleet has dozens.
const MODELS_MAX: usize = 4_096;

/// A model among those that are told apart here; means nothing after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelNumber(u16);

#[derive(Debug, Default)]
pub(crate) struct Models {
    names: Vec<Model>,
    by_name: BTreeMap<Model, ModelNumber>,
    devices: Vec<Stated>,
}

/// What a device said, and when, in whole seconds rounded down; at 0 it said nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Stated {
    at_s: u32,
    model: u16,
}

impl Models {
    /// The device says what it is.
    pub(crate) fn note(&mut self, device: DeviceIndex, model: Model, at: Time) {
        let Some(model) = self.number(model) else { return };
        let place = device.slot();
        if place >= self.devices.len() {
            self.devices.resize(place + 1, Stated::default());
        }
        if let Some(stated) = self.devices.get_mut(place) {
            *stated = Stated { at_s: seconds(at), model: model.0 };
        }
    }

    /// What the device said it is, within `horizon` before `at`.
    pub(crate) fn get(&self, device: DeviceIndex, at: Time, horizon: Span) -> Option<ModelNumber> {
        let stated = self.devices.get(device.slot()).filter(|stated| stated.at_s > 0)?;
        let said_at = Time(u64::from(stated.at_s) * 1_000_000);
        (at.since(said_at) < horizon).then_some(ModelNumber(stated.model))
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

fn seconds(at: Time) -> u32 {
    u32::try_from(at.0 / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_counts_for_the_horizon() {
        let (device, model) = (DeviceIndex(3), Model::literal("SOS-1"));
        let mut models = Models::default();
        assert_eq!(models.get(device, Time(5_000_000), Span::from_secs(10)), None);
        models.note(device, model, Time(5_000_000));
        let known = models.get(device, Time(14_999_999), Span::from_secs(10)).unwrap();
        assert_eq!((models.name(known), models.find(&model)), (Some(model), Some(known)));
        assert_eq!(models.get(device, Time(15_000_000), Span::from_secs(10)), None);
        assert_eq!(models.get(DeviceIndex(2), Time(5_000_000), Span::from_secs(10)), None);
    }

    #[test]
    fn the_table_of_names_is_bounded() {
        let mut models = Models::default();
        for n in 0..u32::try_from(MODELS_MAX).unwrap() + 10 {
            models.note(DeviceIndex(n), Model::new(&format!("m{n}")).unwrap(), Time(9_000_000));
        }
        assert_eq!(models.len(), MODELS_MAX);
    }
}
