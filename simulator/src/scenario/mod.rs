//! A scenario: how many devices a city has, who they belong to, and when and how they are pressed.
//!
//! It is a commented TOML file that cites its sources. The shipped ones are part of the program and are loaded by name;
//! any other is loaded by path. Reading one yields a scenario that cannot be wrong, or every problem of the file.

mod conduct;
mod read;
mod reader;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pipeline::{ZoneIndex, Zones};
use protocol::{Category, Method};

pub use conduct::Caller;
pub(crate) use conduct::{Conduct, EnrolmentPlan};
pub use reader::ScenarioProblem;

/// The scenarios that are part of the program, by name.
const SHIPPED: [(&str, &str); 6] = [
    ("quiet-day", include_str!("../../../config/scenarios/quiet-day.toml")),
    ("quake-malang", include_str!("../../../config/scenarios/quake-malang.toml")),
    ("warm-relays", include_str!("../../../config/scenarios/warm-relays.toml")),
    ("steady-phones", include_str!("../../../config/scenarios/steady-phones.toml")),
    ("prank-month", include_str!("../../../config/scenarios/prank-month.toml")),
    ("first-presses", include_str!("../../../config/scenarios/first-presses.toml")),
];
/// The zones that scenarios play in.
const MALANG: &str = include_str!("../../../config/zones/malang.geojson");

/// A city, and what happens in it.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) zones: Arc<Zones>,
    pub(crate) devices: u32,
    pub(crate) buttons: u32,
    /// People by zone, in the order of the zones file.
    pub(crate) people: Vec<(ZoneIndex, u32)>,
    pub(crate) presses: u32,
    pub(crate) shape: Shape,
    pub(crate) categories: Vec<(Category, u32)>,
    pub(crate) silent: f64,
    pub(crate) methods: Vec<(Method, u32)>,
    pub(crate) connections: Connections,
    /// Who presses and why, if the scenario says so.
    pub(crate) conduct: Option<Conduct>,
}

/// How presses are spread over time.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// The time from an event to a press is lognormal.
    Onset {
        /// Median, in microseconds.
        median_us: u64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// Nobody presses later than this, in microseconds.
        until_us: u64,
    },
    /// A day from midnight to midnight.
    Day {
        /// Weight of each hour.
        hours: [f64; 24],
        /// Variance of the rate's multiplier, drawn anew every 10 minutes; its mean is 1.
        variance_10min: f64,
        /// Variance of a second multiplier, drawn anew every hour; its mean is 1.
        variance_60min: f64,
    },
    /// One press after the other at equal distances.
    Steady {
        /// Presses per second.
        per_second: u32,
    },
}

/// How presses reach the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Each over a connection of its own.
    PerPress,
    /// Over relays that keep their connections open.
    Relay {
        /// How many; at least 1.
        relays: u16,
    },
}

/// Another size for a scenario. Where each device presses once, the number that is not given follows the other; buttons
/// always keep their share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overrides {
    /// So many devices.
    pub devices: Option<u32>,
    /// So many presses. A steady scenario keeps its rate and lasts as long as that takes.
    pub presses: Option<u32>,
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither a shipped name nor a file that can be read.
    #[error(
        "no scenario \"{name}\": it is not one of quiet-day, quake-malang, warm-relays, steady-phones, prank-month, first-presses, and as a path: {error}"
    )]
    NotFound {
        /// What was asked for.
        name: String,
        /// What the file system said.
        error: std::io::Error,
    },
    /// The file was read and is wrong. Every problem is listed, in order of its path.
    #[error("scenario \"{name}\": {}", listed(problems))]
    Wrong {
        /// What was asked for.
        name: String,
        /// What is wrong with it; at least one.
        problems: Vec<ScenarioProblem>,
    },
}

fn listed(problems: &[ScenarioProblem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Scenario {
    /// Names of the scenarios that are part of the program.
    pub fn shipped() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// A shipped scenario by its name, or any by the path of its file.
    ///
    /// # Errors
    /// When there is none, or every problem of the one that was found.
    pub fn load(name_or_path: &str) -> Result<Self, ScenarioError> {
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(name, text);
        }
        let path = Path::new(name_or_path);
        let text = fs::read_to_string(path)
            .map_err(|error| ScenarioError::NotFound { name: name_or_path.to_owned(), error })?;
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(name_or_path);
        Self::parse(name, &text)
    }

    /// A scenario from the text of its file.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        read::read(name, text)
            .map_err(|problems| ScenarioError::Wrong { name: name.to_owned(), problems })
    }

    /// This scenario in another size.
    ///
    /// # Errors
    /// When there would be no device, or fewer devices than presses where each device presses once.
    pub fn resized(mut self, overrides: Overrides) -> Result<Self, ScenarioError> {
        let follows = !matches!(self.shape, Shape::Steady { .. });
        let (devices, presses) = (self.devices, self.presses);
        self.devices = match overrides {
            Overrides { devices: Some(devices), .. } => devices,
            Overrides { presses: Some(wanted), .. } if follows => scaled(devices, wanted, presses),
            _ => devices,
        };
        self.presses = match overrides {
            Overrides { presses: Some(presses), .. } => presses,
            Overrides { devices: Some(wanted), .. } if follows => scaled(presses, wanted, devices),
            _ => presses,
        };
        self.buttons = scaled(self.buttons, self.devices, devices);
        match read::size_faults(&self) {
            problems if problems.is_empty() => Ok(self),
            problems => Err(ScenarioError::Wrong { name: self.name, problems }),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The zones that it plays in.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// How many devices its population has.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.devices
    }

    /// How many presses its timeline has.
    #[must_use]
    pub fn presses(&self) -> u32 {
        self.presses
    }

    /// How presses are spread over time.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How presses reach the gateway.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.connections
    }
}

/// `number` in the proportion of `to` and `from`, rounded to the nearest.
fn scaled(number: u32, to: u32, from: u32) -> u32 {
    let (number, to, from) = (u64::from(number), u64::from(to), u64::from(from.max(1)));
    u32::try_from((number * to + from / 2) / from).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
