//! Devices and how they came to be enrolled, each worked out when somebody asks: a month has many and uses few.
//!
//! A device is a number from 0, its place in the registry. Devices next to each other were enrolled together, and every
//! two of them may belong to one household.

use std::collections::BTreeSet;
use std::sync::Arc;

use pipeline::{Batch, BatchIndex, DeviceIndex, Enrolment, Fleet, OwnerIndex, Span, Time};
use protocol::DeviceId;

use crate::random::{Seed, Stream};
use crate::scenario::EnrolmentPlan;

/// Those who were enrolled before the run were enrolled so long before it.
const LONG_BEFORE: Span = Span::from_secs(365 * 86_400);

/// The devices of a city.
#[derive(Debug, Clone)]
pub(crate) struct People {
    seed: Seed,
    /// Devices enrolled before the run or, by plan, during it. Numbers from here on are those of evaders.
    pub(crate) devices: u32,
    plan: EnrolmentPlan,
    start: Time,
    length: Span,
}

impl People {
    pub(crate) fn new(
        seed: Seed,
        devices: u32,
        plan: EnrolmentPlan,
        start: Time,
        length: Span,
    ) -> Self {
        Self { seed, devices, plan, start, length }
    }

    pub(crate) fn id(&self, device: DeviceIndex) -> DeviceId {
        DeviceId(Stream::new(self.seed, "id of a device", device.0.into()).bytes())
    }

    /// When the device with this number is enrolled by plan.
    pub(crate) fn enrolled_at(&self, device: DeviceIndex) -> Time {
        let mut stream = Stream::new(self.seed, "enrolment of a device", device.0.into());
        if stream.chance(self.plan.during) {
            self.start + Span(stream.below(self.length.0))
        } else {
            self.start - LONG_BEFORE
        }
    }

    /// How the device with this number is enrolled by plan.
    pub(crate) fn enrolment(&self, device: DeviceIndex) -> Enrolment {
        let (pair, owner) = (device.0 / 2, device.0);
        let shared = Stream::new(self.seed, "household of a pair", pair.into())
            .chance(self.plan.shared_owner);
        Enrolment {
            owner: Some(OwnerIndex(if shared { 2 * pair } else { owner })),
            batch: Some(self.batch(device)),
            trusted_from: self.enrolled_at(device),
        }
    }

    /// How an evader's device is enrolled: by somebody whom nobody knows, among those who come in last.
    pub(crate) fn evader(&self, device: DeviceIndex, at: Time) -> Enrolment {
        let last = DeviceIndex(self.devices.saturating_sub(1));
        Enrolment {
            owner: Some(OwnerIndex(device.0)),
            batch: Some(self.batch(last)),
            trusted_from: at,
        }
    }

    /// `count` devices that were enrolled long before, none twice.
    pub(crate) fn sample_old(&self, count: u32, stream: &mut Stream) -> Vec<DeviceIndex> {
        let mut taken = BTreeSet::new();
        let numbers = stream.sample(self.devices, self.devices).into_iter().map(DeviceIndex);
        let old = numbers.filter(|device| self.enrolled_at(*device) < self.start);
        old.filter(|device| taken.insert(*device)).take(count as usize).collect()
    }

    /// The fleet by batch, as the registry counts it. Models are known from heartbeats, which nobody sends here.
    pub(crate) fn fleet(&self) -> Fleet {
        let size = self.plan.batch_devices;
        let batches = (0..self.devices.div_ceil(size)).map(|number| Batch {
            name: Arc::from(format!("drive-{number}")),
            devices: size.min(self.devices - number * size),
        });
        Fleet { devices: self.devices, batches: batches.collect() }
    }

    fn batch(&self, device: DeviceIndex) -> BatchIndex {
        BatchIndex(device.0 / self.plan.batch_devices)
    }
}
