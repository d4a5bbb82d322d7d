//! Turns a simulated city into a plan: its timeline says who presses when and where, its population has the keys.
//!
//! The timeline is the same for the same seed. The messages are not quite: each run counts as another start of every
//! device, so that a gateway that has seen the scenario before meets new presses and not duplicates of old ones.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use device::{Key, KeyError, SignError, Signer};
use protocol::{Counters, DeviceId, Kind, Message, Nonce, Realm};
use simulator::{
    Connection, Connections, Population, PopulationError, Scenario, ScenarioError, Seed, Timeline,
};

use crate::cli::CityArgs;
use crate::clock::Moment;
use crate::connections::Mode;
use crate::plan::{Plan, Press, ShareError, SplitMix64};
use crate::probe;
use crate::report::{Map, Outline, Place};

/// A city that is ready to press.
#[derive(Debug)]
pub struct City {
    /// What is sent.
    pub plan: Plan,
    /// How the scenario's presses reach the gateway.
    pub mode: Mode,
    /// What the report's map shows.
    pub map: Map,
    /// The timeline's digest.
    pub timeline_sha256: String,
    /// The scenario's name.
    pub scenario: String,
    /// Messages that raise nothing, of devices that must be enrolled.
    pub probes: Vec<(DeviceId, Bytes)>,
}

/// Why there is no city.
#[derive(Debug, thiserror::Error)]
pub enum CityError {
    /// There is no such scenario, or it is wrong.
    #[error("--scenario: {0}")]
    Scenario(#[from] ScenarioError),
    /// The population cannot be read.
    #[error("--population: {0}")]
    Population(#[from] PopulationError),
    /// The population belongs to another scenario or seed, so its devices are not those of the timeline.
    #[error(
        "--population was made for scenario {scenario} with seed {seed}; make one for this run with `simulator population`"
    )]
    Another {
        /// The scenario it was made for.
        scenario: String,
        /// The seed it was made from.
        seed: u64,
    },
    /// More presses than the population was made for.
    #[error(
        "--presses {wanted}: the population was made for {made}; make one for more with `simulator population`"
    )]
    TooMany {
        /// Asked for.
        wanted: u32,
        /// What there is.
        made: u32,
    },
    /// A device of the timeline has no key.
    #[error("the population has no key for device {0}")]
    NoKey(u32),
    /// A key of the population is not one.
    #[error("a key of the population cannot be used: {0}")]
    Key(#[from] KeyError),
    /// The operating system has no randomness.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A share of updates that is none.
    #[error("--updates: {0}")]
    Updates(#[from] ShareError),
    /// There is nothing to send.
    #[error("the scenario has no presses")]
    Empty,
}

/// Who presses, and what makes this run's presses new ones.
struct Town {
    population: Population,
    realm: Realm,
    boot: u32,
    nonces: u64,
}

impl City {
    /// The presses of a scenario, `speed` times faster than the city presses.
    ///
    /// # Errors
    /// See [`CityError`].
    pub fn prepare(args: &CityArgs, speed: f64, now: SystemTime) -> Result<Self, CityError> {
        let (scenario, town) = Town::open(args, now)?;
        let timeline = Timeline::generate(&scenario, &town.population, Seed(args.seed));
        let chosen = thinned(timeline.presses(), args.presses)?;
        let presses = in_parallel(&chosen, |(number, press)| town.sign(*number, press, speed))?;
        let presses: Vec<_> = presses.into_iter().collect();
        let map = Map {
            presses: presses.iter().filter_map(|press| press.place).collect(),
            zones: outlines(&scenario),
        };
        let mode = match scenario.connections() {
            Connections::PerPress => Mode::PerPress,
            Connections::Relay { relays } => Mode::Relay(usize::from(relays.max(1))),
        };
        Ok(Self {
            plan: Plan::new(presses),
            mode,
            map,
            timeline_sha256: timeline.sha256(),
            scenario: scenario.name().to_owned(),
            probes: town.probes(&chosen)?,
        })
    }

    /// `presses` presses by all devices in turn, due at once: for a closed loop, which sends when it can. Of those after
    /// the first of each device, the share `updates` are updates of it.
    ///
    /// # Errors
    /// See [`CityError`].
    pub fn crowd(
        args: &CityArgs,
        presses: u32,
        updates: f64,
        now: SystemTime,
    ) -> Result<Plan, CityError> {
        if !(0.0..=1.0).contains(&updates) {
            return Err(CityError::Updates(ShareError(updates)));
        }
        let (_, town) = Town::open(args, now)?;
        let devices = u32::try_from(town.population.devices().len()).unwrap_or(u32::MAX);
        if devices == 0 {
            return Err(CityError::Empty);
        }
        let by_device: Vec<_> = (0..devices.min(presses)).collect();
        let rounds = |device: u32| presses / devices + u32::from(device < presses % devices);
        let signed =
            in_parallel(&by_device, |device| town.crowd_of(*device, rounds(*device), updates))?;
        // One press of each device, then another of each: no device presses twice in a row.
        let mut queues: Vec<_> = signed.into_iter().map(Vec::into_iter).collect();
        let mut all = Vec::with_capacity(usize::try_from(presses).unwrap_or_default());
        loop {
            let before = all.len();
            all.extend(queues.iter_mut().filter_map(Iterator::next));
            if all.len() == before {
                return Ok(Plan::new(all));
            }
        }
    }
}

impl Town {
    fn open(args: &CityArgs, now: SystemTime) -> Result<(Scenario, Self), CityError> {
        let scenario = Scenario::load(&args.scenario)?;
        let population = Population::read(&args.population)?;
        let (made_for, seed) = (population.scenario(), population.seed());
        if (made_for, seed.0) != (scenario.name(), args.seed) {
            return Err(CityError::Another { scenario: made_for.to_owned(), seed: seed.0 });
        }
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let boot = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let nonces = SplitMix64(nanos ^ args.seed).bits();
        Ok((scenario, Self { population, realm: args.realm, boot, nonces }))
    }

    fn signer(&self, index: u32) -> Result<Signer, CityError> {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let device = self.population.devices().get(place).ok_or(CityError::NoKey(index))?;
        let key = self.population.key(index).ok_or(CityError::NoKey(index))?;
        let key = Key::from_secret(key.algorithm(), key.secret())?;
        Ok(Signer::new(self.realm, device.id, key))
    }

    /// Eight bytes that no other press of any run has.
    fn nonce(&self, number: u64) -> Nonce {
        Nonce(SplitMix64(self.nonces.wrapping_add(number)).bits().to_be_bytes())
    }

    fn sign(&self, number: u32, press: &simulator::Press, speed: f64) -> Result<Press, CityError> {
        let message = Message {
            category: Some(press.category),
            position: Some(press.position),
            silent: press.silent,
            ..Message::raise(Counters::new(self.boot, number), self.nonce(u64::from(number)))
        };
        let signed = self.signer(press.device_index)?.sign(&message)?;
        let intended = Duration::from_micros(press.offset_us).div_f64(speed);
        Ok(Press {
            intended: Moment::after_start(intended),
            signed: signed.bytes().clone(),
            alert: signed.id().alert(),
            corrupted: false,
            turn: match press.connection {
                Connection::New => number,
                Connection::Relay(relay) => u32::from(relay),
            },
            place: Some(Place { lat: press.position.lat(), lon: press.position.lon() }),
        })
    }

    /// What one device sends in a crowd.
    fn crowd_of(&self, device: u32, rounds: u32, updates: f64) -> Result<Vec<Press>, CityError> {
        let signer = self.signer(device)?;
        let place = self.population.devices().get(usize::try_from(device).unwrap_or(usize::MAX));
        let position = place.map(|device| device.place);
        let mut all: Vec<Press> = vec![];
        for round in 0..rounds {
            let number = u64::from(round) << 32 | u64::from(device);
            let counters = Counters::new(self.boot, round);
            // One round in so many passes another whole number of updates.
            let updates_by = |round: u32| (f64::from(round) * updates).floor();
            let first = all.first().filter(|_| updates_by(round) > updates_by(round - 1));
            let message = match first {
                Some(first) => {
                    Message { alert: Some(first.alert), ..Message::new(Kind::Update, counters) }
                }
                None => Message::raise(counters, self.nonce(number)),
            };
            let signed = signer.sign(&Message { position, ..message })?;
            all.push(Press {
                intended: Moment(0),
                signed: signed.bytes().clone(),
                alert: signed.id().alert(),
                corrupted: false,
                turn: device,
                place: None,
            });
        }
        Ok(all)
    }

    /// A question about one of the devices that press, in the middle.
    fn probes(
        &self,
        chosen: &[(u32, simulator::Press)],
    ) -> Result<Vec<(DeviceId, Bytes)>, CityError> {
        let ask = |(_, press): &(u32, simulator::Press)| {
            let signer = self.signer(press.device_index)?;
            Ok((*signer.device(), probe::harmless(&signer)?))
        };
        chosen.get(chosen.len() / 2).map(ask).into_iter().collect()
    }
}

/// So many of the presses, spread evenly over the timeline, each with its number.
fn thinned(
    presses: &[simulator::Press],
    wanted: Option<u32>,
) -> Result<Vec<(u32, simulator::Press)>, CityError> {
    let made = u32::try_from(presses.len()).unwrap_or(u32::MAX);
    let wanted = wanted.unwrap_or(made);
    if made == 0 || wanted == 0 {
        return Err(CityError::Empty);
    }
    if wanted > made {
        return Err(CityError::TooMany { wanted, made });
    }
    // Press number i of M is one of N when its share of N passes a whole number there.
    let kept = |number: u64| {
        (number + 1) * u64::from(wanted) / u64::from(made)
            > number * u64::from(wanted) / u64::from(made)
    };
    let numbered = (0..made).zip(presses.iter().copied());
    Ok(numbered.filter(|(number, _)| kept(u64::from(*number))).collect())
}

/// Applies `each` on all processors, in order.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    each: impl Fn(&T) -> Result<R, CityError> + Sync,
) -> Result<Vec<R>, CityError> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = items.len().div_ceil(threads).max(1);
    let each = &each;
    thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(each).collect::<Result<Vec<_>, _>>()))
            .collect();
        let mut all = Vec::with_capacity(items.len());
        for worker in workers {
            // A worker that panicked has left its part undone; there is nothing to send then.
            all.extend(worker.join().unwrap_or(Err(CityError::Empty))?);
        }
        Ok(all)
    })
}

/// The zones of the scenario, as lines.
fn outlines(scenario: &Scenario) -> Vec<Outline> {
    let zones = scenario.zones();
    let rings = |zone| {
        let polygons = zones.polygons(zone).iter();
        let lines = polygons
            .flat_map(|polygon| std::iter::once(polygon.exterior()).chain(polygon.interiors()));
        lines.map(|line| {
            line.points().map(|point| Place { lat: point.y(), lon: point.x() }).collect()
        })
    };
    let leaves = zones.leaves().map(|zone| Outline {
        name: zones.get(zone).map(|zone| zone.name.clone()).unwrap_or_default(),
        rings: rings(zone).collect(),
    });
    leaves.filter(|outline| !outline.rings.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_shape_and_the_number_asked_for() {
        let press = simulator::Press {
            offset_us: 0,
            device_index: 0,
            device: DeviceId([0; 16]),
            kind: Kind::Raise,
            category: protocol::Category::Medical,
            position: protocol::Position::new(0, 0).unwrap(),
            silent: false,
            connection: Connection::New,
        };
        let presses = vec![press; 100];
        for wanted in [1, 7, 50, 99, 100] {
            let chosen = thinned(&presses, Some(wanted)).unwrap();
            assert_eq!(chosen.len(), wanted as usize);
            let early = chosen.iter().filter(|(number, _)| *number < 50).count();
            assert!(early.abs_diff(wanted as usize / 2) <= 1, "{wanted}: {early}");
        }
        assert!(matches!(thinned(&presses, Some(101)), Err(CityError::TooMany { .. })));
        assert!(matches!(thinned(&[], None), Err(CityError::Empty)));
    }
}
