//! What travels, checked from the outside: golden bytes and the page that shows them, round trips, refusals, forgeries,
//! and messages that programs made which share no code with this one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

mod coap;
mod fields;
mod forgery;
mod golden;
mod keys;
mod no_std;
mod page;
mod properties;
mod sealed;
mod strangers;
mod vectors;
