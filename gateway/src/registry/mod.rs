//! Devices and subscribers: who may raise an alert, and who may read which.
//!
//! `registry.db` is the truth; the command line changes it, also while a gateway runs. [`Registry`] and
//! [`Subscribers`] are what a running gateway holds of it in memory, kept up to date by a [`Watcher`]. Nothing here
//! verifies a message.

mod device;
mod key;
mod subscriber;

pub use device::{Device, Registry};
pub use key::{DeviceKey, KeyError};
pub use subscriber::{Subscriber, SubscriberId, Subscribers, TokenError, TokenHash};
