//! A city in a file: scenario, population and timeline of presses, the same bytes from the same seed.
//!
//! A [`Scenario`] is read from commented TOML; under a [`Seed`] it has one [`Population`], the devices of a city with
//! their places and TEST KEYS, and one [`Timeline`] of presses. A [`Month`] is many days of callers of whom the truth is
//! known, on which policies are tried with the gateway's own desk in virtual time. A [`network`] says what becomes of
//! packets between phones and a gateway. Nothing here reads a clock or another source of chance, and every number is made
//! of operations that all machines round alike, so a seed names a run.

mod agenda;
mod month;
pub mod network;
mod picture;
mod place;
mod population;
mod random;
mod scenario;
mod timeline;
mod tuning;

pub use month::{Month, MonthError};
pub use pipeline::{ZoneId, ZoneIndex, Zones};
pub use population::{Device, Population, PopulationError, Profile, PublicKey, Summary, TestKey};
pub use random::Seed;
pub use scenario::{
    Caller, Connections, Overrides, Scenario, ScenarioError, ScenarioProblem, Shape,
};
pub use timeline::{Connection, Press, Timeline};
pub use tuning::{Comparison, Setting, Sweep, SweepError, Trial};
