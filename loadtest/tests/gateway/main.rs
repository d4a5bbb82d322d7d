//! Runs against the real gateway, as the two programs are used: nothing in here links it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

mod contract;
mod flood;
mod real;
mod stall;
