//! The server: intake, journal, fan-out, operator API and command line. All of its I/O; none of its decisions.
//!
//! The path of a message runs through the rooms in this order: [`intake`] receives and verifies, [`desk`] drives the
//! pipeline, [`journal`] makes records durable, [`feed`] carries them to subscribers, [`search`] indexes them behind.

pub mod bare_echo;
pub mod cli;
pub mod clock;
pub mod config;
pub mod desk;
pub mod feed;
pub mod files;
pub mod hints;
pub mod identity;
pub mod intake;
pub mod journal;
mod lock;
pub mod operator;
pub mod ready;
pub mod registry;
pub mod reload;
pub mod replay;
pub mod search;
pub mod serve;
pub mod settings;
mod spine;
pub mod sqlite;
pub mod telemetry;
pub mod webhook;
pub mod zones;
