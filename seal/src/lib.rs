//! The seal of datagrams: its keys are derived, used to seal and used to open here, once for gateways, devices and tests.
//!
//! It is given secrets, signed messages and receipts, and gives back bytes. The layout is `protocol`'s. A gateway holds
//! an [`EpochKeys`] for each secret and derives the rest from what a datagram claims; a device holds nothing but its own
//! [`DeviceSeal`], and sends a message by [`SealedSend`]. Nonces are keyed hashes of what they seal, so this room draws
//! nothing at random and reads no clock: the same input gives the same bytes, and a device that lost its memory repeats
//! no nonce for another plaintext. The seal keeps a place private and refuses junk cheaply; the signature inside remains
//! the proof. No gateway listens for datagrams yet, and no device sends them.
#![no_std]

extern crate alloc;

mod keys;
mod open;
mod press;
mod seal;
#[cfg(test)]
mod tests;

pub use keys::{EpochKeys, EpochSecret, SealKeys};
pub use open::OpenError;
pub use press::{DeviceSeal, SENDS_MAX, SealedSend};
pub use seal::SealError;
