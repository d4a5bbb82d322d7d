//! Devices in memory: what a shard must know to verify a message, and nothing else.
//!
//! A million devices fit in about a quarter of a gigabyte, so labels and the names of owners stay in `registry.db`; of an
//! owner or a batch a device has the number. A look-up copies the device out: no guard outlives the call, so none can be
//! held across an await.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use pipeline::{Batch, BatchIndex, DeviceIndex, Enrolment, Fleet, OwnerIndex, Time};
use protocol::{Algorithm, DeviceId, Position};

use super::DeviceKey;

/// Locks of the map. Many, so that one growing part stops readers of that part only, and for well under a millisecond.
const SHARDS: usize = 256;

/// An enrolled device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its place in the registry: dense from 0, never given to another device.
    pub index: DeviceIndex,
    /// The key that its messages are verified with.
    pub key: DeviceKey,
    /// Whether its messages count no longer.
    pub revoked: bool,
    /// Where it was enrolled, if it was given a place: method [`protocol::Method::FixedSite`].
    pub site: Option<Position>,
    /// Whose it is, what it came with, and since when.
    pub enrolment: Enrolment,
}

impl Device {
    /// The algorithm that its messages must use.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }
}

/// Every enrolled device, revoked ones too. Its debug text holds no place.
pub struct Registry {
    devices: DashMap<DeviceId, Entry>,
    /// By [`BatchIndex`].
    batches: ArcSwap<Vec<Batch>>,
}

/// A [`Device`] without what it can be rebuilt from: 92 bytes instead of 120.
#[derive(Clone, Copy)]
struct Entry {
    index: DeviceIndex,
    /// [`NOWHERE`] if it was given no place.
    lat_e7: i32,
    lon_e7: i32,
    /// [`NOBODY`] if it has no owner.
    owner: u32,
    /// [`NOBODY`] if it came in no batch.
    batch: u32,
    /// [`Enrolment::trusted_from`] in whole seconds, rounded down.
    trusted_from_s: u32,
    key: DeviceKey,
    revoked: bool,
}

/// No latitude, so no device is there.
const NOWHERE: i32 = i32::MIN;
/// No owner and no batch has this number.
const NOBODY: u32 = u32::MAX;

impl Entry {
    fn new(device: &Device) -> Self {
        let Device { index, key, revoked, site, enrolment } = *device;
        let (lat_e7, lon_e7) = site.map_or((NOWHERE, 0), |site| (site.lat_e7(), site.lon_e7()));
        Self {
            index,
            lat_e7,
            lon_e7,
            owner: enrolment.owner.map_or(NOBODY, |owner| owner.0),
            batch: enrolment.batch.map_or(NOBODY, |batch| batch.0),
            trusted_from_s: u32::try_from(enrolment.trusted_from.0 / MICROS).unwrap_or(u32::MAX),
            key,
            revoked,
        }
    }

    fn device(&self) -> Device {
        let Self { index, lat_e7, lon_e7, owner, batch, trusted_from_s, key, revoked } = *self;
        let enrolment = Enrolment {
            owner: (owner != NOBODY).then_some(OwnerIndex(owner)),
            batch: (batch != NOBODY).then_some(BatchIndex(batch)),
            trusted_from: Time(u64::from(trusted_from_s) * MICROS),
        };
        Device { index, key, revoked, site: site_at(lat_e7, lon_e7), enrolment }
    }
}

/// Microseconds in a second.
const MICROS: u64 = 1_000_000;

impl Registry {
    /// A registry with room for `devices`; it grows beyond that.
    #[must_use]
    pub fn with_capacity(devices: usize) -> Self {
        Self {
            devices: DashMap::with_capacity_and_shard_amount(devices, SHARDS),
            batches: ArcSwap::default(),
        }
    }

    /// The device with this id.
    #[must_use]
    pub fn get(&self, id: &DeviceId) -> Option<Device> {
        self.devices.get(id).map(|entry| entry.device())
    }

    /// The place of the device with this id.
    #[must_use]
    pub fn index_of(&self, id: &DeviceId) -> Option<DeviceIndex> {
        self.devices.get(id).map(|entry| entry.index)
    }

    /// How many devices are enrolled. Their indices are all below this.
    #[must_use]
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether no device is enrolled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Enrols `device`, or replaces what is known of it.
    pub fn put(&self, id: DeviceId, device: &Device) {
        self.devices.insert(id, Entry::new(device));
    }

    /// How many devices are enrolled, in all and by batch. Of which model they are, they say themselves.
    #[must_use]
    pub fn fleet(&self) -> Fleet {
        Fleet {
            devices: u32::try_from(self.len()).unwrap_or(u32::MAX),
            batches: self.batches().as_ref().clone(),
        }
    }

    /// Every batch, by its [`BatchIndex`], with how many devices of it count.
    #[must_use]
    pub fn batches(&self) -> Arc<Vec<Batch>> {
        self.batches.load_full()
    }

    /// Names the batches anew, by their [`BatchIndex`], and counts their devices: a pass over all devices.
    pub(super) fn name_batches(&self, names: Vec<Arc<str>>) {
        let mut batches: Vec<_> =
            names.into_iter().map(|name| Batch { name, devices: 0 }).collect();
        for entry in self.devices.iter().filter(|entry| !entry.revoked) {
            let place = usize::try_from(entry.batch).ok();
            if let Some(batch) = place.and_then(|place| batches.get_mut(place)) {
                batch.devices += 1;
            }
        }
        self.batches.store(Arc::new(batches));
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The place of a device that was mounted at these coordinates.
pub(super) fn site_at(lat_e7: i32, lon_e7: i32) -> Option<Position> {
    let mut site = Position::new(i64::from(lat_e7), i64::from(lon_e7))?;
    site.method = protocol::Method::FixedSite;
    Some(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_small_as_the_memory_estimate_says() {
        assert_eq!(size_of::<(DeviceId, Entry)>(), 108);
    }

    #[test]
    fn what_is_put_is_got_back_and_replaced_whole() {
        let registry = Registry::default();
        let id = DeviceId([1; 16]);
        assert_eq!(registry.get(&id), None);
        let device = Device {
            index: DeviceIndex(5),
            key: DeviceKey::EdDsa([9; 32]),
            revoked: false,
            site: site_at(-79_666_200, 1_126_326_000),
            enrolment: Enrolment {
                owner: Some(OwnerIndex(7)),
                batch: Some(BatchIndex(0)),
                trusted_from: Time(1_700_000_000_000_000),
            },
        };
        registry.put(id, &device);
        assert_eq!(registry.get(&id), Some(device.clone()));
        assert_eq!(registry.index_of(&id), Some(DeviceIndex(5)));
        assert_eq!(format!("{registry:?}"), "Registry { len: 1, .. }", "no place");
        let enrolment = Enrolment::default();
        let revoked = Device { revoked: true, site: None, enrolment, ..device };
        registry.put(id, &revoked);
        assert_eq!(registry.get(&id), Some(revoked));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn every_place_on_the_globe_survives_and_nowhere_is_not_one() {
        for (lat, lon) in [(0, 0), (900_000_000, 1_800_000_000), (-900_000_000, -1_800_000_000)] {
            let site = site_at(lat, lon).unwrap();
            assert_eq!((site.lat_e7(), site.lon_e7()), (lat, lon));
        }
        assert_eq!(site_at(NOWHERE, 0), None);
    }
}
