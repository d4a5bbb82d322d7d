//! A timeline: every press of a scenario, in the order in which they are due.
//!
//! It is given a scenario, a population and a seed, and has the same bytes on every machine. Its file is CSV, one press a
//! line under one header:
//!
//! `offset_us,device_index,device_id,kind,category,lat_e7,lon_e7,radius_m,method,age_s,silent,connection`
//!
//! Offsets are microseconds from the start, coordinates 1e-7 degrees, `silent` 0 or 1, `connection` is `new` or
//! `relay-` and a number from 0. The SHA-256 of these bytes names the timeline in reports.

pub(crate) mod times;

use std::fmt::Write as _;

use protocol::{Category, DeviceId, Kind, Method, Position};

use crate::place::Places;
use crate::population::{Device, Population, Profile, sha256_hex, zone_of};
use crate::random::{Seed, Stream};
use crate::scenario::{Connections, Scenario, Shape};

const HEADER: &str = "offset_us,device_index,device_id,kind,category,lat_e7,lon_e7,radius_m,\
                      method,age_s,silent,connection\n";
const SECOND_US: u64 = 1_000_000;

/// One press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    /// When it is due, in microseconds from the start.
    pub offset_us: u64,
    /// The device's place in the population.
    pub device_index: u32,
    /// The device.
    pub device: DeviceId,
    /// What its message is for.
    pub kind: Kind,
    /// What help is needed.
    pub category: Category,
    /// Where the device believes to be: inside the zone of its place.
    pub position: Position,
    /// Whether it asks to be answered discreetly.
    pub silent: bool,
    /// How it reaches the gateway.
    pub connection: Connection,
}

/// How one press reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Over a connection of its own.
    New,
    /// Over the open connection of the relay with this number, from 0. A device stays with its relay.
    Relay(u16),
}

/// Every press, in order of their offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    presses: Vec<Press>,
}

impl Timeline {
    /// The presses of this scenario by the devices of this population: as many as the population was made for.
    #[must_use]
    pub fn generate(scenario: &Scenario, population: &Population, seed: Seed) -> Self {
        let offsets = times::offsets(scenario.shape(), population.presses(), seed, 0);
        let devices = who(scenario.shape(), population, seed);
        let places = Places::new(scenario.zones());
        let presses = offsets.into_iter().zip(devices).zip(0..).filter_map(
            |((offset_us, device_index), number)| {
                let device = population.devices().get(device_index as usize)?;
                let due = Due { offset_us, device_index, number };
                Some(press(scenario, &places, device, due, seed))
            },
        );
        Self { presses: presses.collect() }
    }

    /// Every press, in order of their offsets.
    #[must_use]
    pub fn presses(&self) -> &[Press] {
        &self.presses
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.presses.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.presses.is_empty()
    }

    /// When the last press is due, in microseconds from the start.
    #[must_use]
    pub fn duration_us(&self) -> u64 {
        self.presses.last().map_or(0, |press| press.offset_us)
    }

    /// Presses due in each second from the start to the last press.
    #[must_use]
    pub fn per_second(&self) -> Vec<u32> {
        let seconds = self.duration_us() / SECOND_US;
        let mut counts = vec![0; usize::try_from(seconds).unwrap_or(0) + 1];
        for press in &self.presses {
            let second = usize::try_from(press.offset_us / SECOND_US).unwrap_or(usize::MAX);
            counts.get_mut(second).into_iter().for_each(|count| *count += 1);
        }
        counts
    }

    /// Most presses due in one second.
    #[must_use]
    pub fn peak_per_s(&self) -> u32 {
        self.per_second().into_iter().max().unwrap_or(0)
    }

    /// The bytes of its file.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut csv = String::with_capacity(HEADER.len() + 110 * self.presses.len());
        csv.push_str(HEADER);
        for press in &self.presses {
            // Writing into a string cannot fail.
            press.write_line(&mut csv).ok();
        }
        csv
    }

    /// SHA-256 of the bytes of its file, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256_hex(self.to_csv().as_bytes())
    }
}

impl<'a> IntoIterator for &'a Timeline {
    type Item = &'a Press;
    type IntoIter = std::slice::Iter<'a, Press>;

    fn into_iter(self) -> Self::IntoIter {
        self.presses.iter()
    }
}

impl Press {
    fn write_line(&self, csv: &mut String) -> std::fmt::Result {
        let Self { offset_us, device_index, device, position, .. } = self;
        let (kind, category) = (self.kind.name(), self.category.name());
        write!(csv, "{offset_us},{device_index},{device},{kind},{category},")?;
        let (lat_e7, lon_e7) = (position.lat_e7(), position.lon_e7());
        let (radius_m, method) = (position.radius_m, position.method.name());
        write!(csv, "{lat_e7},{lon_e7},{radius_m},{method},{},", position.age_s)?;
        write!(csv, "{},", u8::from(self.silent))?;
        match self.connection {
            Connection::New => csv.write_str("new\n"),
            Connection::Relay(relay) => writeln!(csv, "relay-{relay}"),
        }
    }
}

/// What is decided of a press before its content.
struct Due {
    offset_us: u64,
    device_index: u32,
    number: u64,
}

/// Who presses, in order: each device at most once, except in a steady load, where they take turns.
fn who(shape: &Shape, population: &Population, seed: Seed) -> Vec<u32> {
    let mut stream = Stream::new(seed, "who presses", 0);
    let devices = u32::try_from(population.devices().len()).unwrap_or(u32::MAX);
    let presses = population.presses();
    match shape {
        Shape::Onset { .. } | Shape::Day { .. } => stream.sample(devices, presses),
        Shape::Steady { .. } => {
            let order = stream.sample(devices, devices);
            order.into_iter().cycle().take(presses as usize).collect()
        }
    }
}

fn press(scenario: &Scenario, places: &Places<'_>, device: &Device, due: Due, seed: Seed) -> Press {
    // Every press has its own stream, so that one more draw here moves no other press.
    let mut stream = Stream::new(seed, "content of a press", due.number);
    let weights = scenario.categories.iter().map(|(_, weight)| u64::from(*weight));
    let category = scenario.categories.get(stream.weighted(weights));
    let silent = stream.chance(scenario.silent);
    let position = match device.profile {
        Profile::Phone => measure(scenario, places, device, &mut stream),
        Profile::Button => {
            let mut site = device.place;
            (site.radius_m, site.method) = (5, Method::FixedSite);
            site
        }
    };
    let connection = match scenario.connections() {
        Connections::PerPress => Connection::New,
        Connections::Relay { relays } => {
            let relay = due.device_index % u32::from(relays.max(1));
            Connection::Relay(u16::try_from(relay).unwrap_or(0))
        }
    };
    Press {
        offset_us: due.offset_us,
        device_index: due.device_index,
        device: device.id,
        kind: Kind::Raise,
        category: category.map_or(Category::Unspecified, |(category, _)| *category),
        position,
        silent,
        connection,
    }
}

/// Where a phone believes to be. Radii and ages by method: what phones report, in round numbers.
fn measure(
    scenario: &Scenario,
    places: &Places<'_>,
    device: &Device,
    stream: &mut Stream,
) -> Position {
    let weights = scenario.methods.iter().map(|(_, weight)| u64::from(*weight));
    let method = scenario.methods.get(stream.weighted(weights));
    let method = method.map_or(Method::Unknown, |(method, _)| *method);
    let (least_m, most_m) = match method {
        Method::Gnss => (4, 25),
        Method::Wifi => (15, 80),
        _ => (300, 1_500),
    };
    let radius_m = least_m + stream.below(most_m - least_m + 1);
    let radius_m = u32::try_from(radius_m).unwrap_or(u32::MAX);
    let zone = zone_of(scenario.zones(), device);
    let mut position = places.measured(device.place, zone, f64::from(radius_m), stream);
    position.radius_m = radius_m;
    position.method = method;
    position.age_s = u32::try_from(stream.below(31)).unwrap_or(0);
    position
}
