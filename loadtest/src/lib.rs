//! Open-loop load over the wire: presses are sent when a person would press, whatever happened to earlier ones.
//!
//! `plan` signs every press ahead; `driver` sends each at its intended instant over `connections` and never waits for
//! an answer; `subscriber` reads the feed as a command centre would, `audience` as many would. Both write into the `ledger`, a row per press,
//! from which `account` (is everything accounted for?), `recorder` (how long did it take?) and `verdict` (what does
//! it prove?) are worked out when all is over, and `report` tells it. `flood` is the other
//! side: strangers who prove nothing. `network` is what may lie in between. This crate never links the gateway.

pub mod account;
pub mod audience;
pub mod city;
pub mod cli;
pub mod clock;
pub mod connections;
pub mod counters;
pub mod driver;
pub mod feeds;
pub mod flood;
pub mod idle;
pub mod ledger;
pub mod network;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod recorder;
pub mod report;
pub mod resources;
pub mod run;
pub mod saturate;
pub mod slo;
pub mod subscriber;
pub mod verdict;
pub mod watch;
