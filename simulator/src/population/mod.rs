//! A population: the devices of a city, where they live, and the keys they sign with.
//!
//! It is given a scenario and a seed and is the same wherever it is made. Its keys are TEST KEYS: they follow from the
//! seed, so whoever has the seed has them. Never enrol them where a real press could arrive.

mod files;
mod keys;

use std::num::NonZero;
use std::thread;

use pipeline::{ZoneId, ZoneIndex, Zones};
use protocol::{Algorithm, DeviceId, Position};

pub(crate) use files::sha256_hex;
pub use files::{PopulationError, Summary};
pub use keys::{PublicKey, TestKey};

use crate::place::Places;
use crate::random::{Seed, Stream};
use crate::scenario::Scenario;

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// A phone with the app: signs with ES256, is found near where its owner lives.
    Phone,
    /// A hardware button: signs with Ed25519, hangs where it was mounted.
    Button,
}

impl Profile {
    /// What such a device signs with.
    #[must_use]
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Phone => Algorithm::Es256,
            Self::Button => Algorithm::EdDsa,
        }
    }

    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::Phone,
            Algorithm::EdDsa => Self::Button,
        }
    }
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What it is.
    pub profile: Profile,
    /// The zone that its place lies in.
    pub zone: ZoneId,
    /// A phone's home, a button's site.
    pub place: Position,
}

impl Device {
    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.profile.algorithm()
    }
}

/// The devices of a city.
#[derive(Debug, Clone)]
pub struct Population {
    scenario: String,
    seed: Seed,
    presses: u32,
    devices: Vec<Device>,
    keys: Keys,
}

/// Keys as they were read, or the means to make them.
#[derive(Debug, Clone)]
enum Keys {
    Derived,
    Read(Vec<TestKey>),
}

impl Population {
    /// The population that this scenario has under this seed.
    #[must_use]
    pub fn generate(scenario: &Scenario, seed: Seed) -> Self {
        let profiles = profiles(scenario, seed);
        let zones = scenario.zones();
        let mut places = Places::new(zones);
        let mut homes = Stream::new(seed, "zone of a device", 0);
        let devices = profiles.into_iter().zip(0_u64..).map(|(profile, number)| {
            let zone = draw_zone(scenario, &mut homes);
            let place = places.within(zone, &mut Stream::new(seed, "place of a device", number));
            let id = DeviceId(Stream::new(seed, "id of a device", number).bytes());
            Device { id, profile, zone: zones.id(zone), place }
        });
        Self {
            scenario: scenario.name().to_owned(),
            seed,
            presses: scenario.presses(),
            devices: devices.collect(),
            keys: Keys::Derived,
        }
    }

    /// Every device. A device's place in this list is its index.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The TEST KEY of the device with this index. Making one for ES256 takes about 100 us; one that was read, nothing.
    #[must_use]
    pub fn key(&self, index: u32) -> Option<TestKey> {
        let place = usize::try_from(index).ok()?;
        match &self.keys {
            Keys::Derived => {
                self.devices.get(place).map(|device| TestKey::derive(self.seed, index, device))
            }
            Keys::Read(keys) => keys.get(place).cloned(),
        }
    }

    /// Every key, in order of index, made on all processors.
    fn keys(&self) -> Vec<TestKey> {
        if let Keys::Read(keys) = &self.keys {
            return keys.clone();
        }
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = self.devices.len().div_ceil(threads).max(1);
        let derive = |(index, device): (u32, &Device)| TestKey::derive(self.seed, index, device);
        thread::scope(|scope| {
            let numbered: Vec<(u32, &Device)> = (0..).zip(&self.devices).collect();
            let workers: Vec<_> = numbered
                .chunks(share)
                .map(|part| part.to_vec())
                .map(|part| scope.spawn(move || part.into_iter().map(derive).collect::<Vec<_>>()))
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
        })
    }

    /// The name of the scenario that it was made for.
    #[must_use]
    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// The seed that it was made from.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// How many presses its timeline has.
    #[must_use]
    pub fn presses(&self) -> u32 {
        self.presses
    }

    /// How many of its devices are buttons.
    #[must_use]
    pub fn buttons(&self) -> usize {
        self.devices.iter().filter(|device| device.profile == Profile::Button).count()
    }
}

/// As many buttons as the scenario says, spread at random among the phones.
fn profiles(scenario: &Scenario, seed: Seed) -> Vec<Profile> {
    let mut profiles = vec![Profile::Phone; scenario.devices as usize];
    let mut stream = Stream::new(seed, "which devices are buttons", 0);
    for index in stream.sample(scenario.devices, scenario.buttons) {
        if let Some(profile) = profiles.get_mut(index as usize) {
            *profile = Profile::Button;
        }
    }
    profiles
}

fn draw_zone(scenario: &Scenario, stream: &mut Stream) -> ZoneIndex {
    let weights = scenario.people.iter().map(|(_, people)| u64::from(*people));
    let root = scenario.zones().root();
    scenario.people.get(stream.weighted(weights)).map_or(root, |(zone, _)| *zone)
}

/// The zone with this id, or the root.
pub(crate) fn zone_of(zones: &Zones, device: &Device) -> ZoneIndex {
    zones.find(device.zone.as_str()).unwrap_or(zones.root())
}
