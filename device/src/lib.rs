//! The sender's side: sign, send, resend until there is a receipt. The reference client.
//!
//! A [`Key`] and a [`Signer`] turn a `protocol::Message` into a [`Signed`], whose bytes never change again. A
//! [`Client`] sends it to a gateway over QUIC until a receipt settles it, and follows what becomes of it. What a client is made of ([`client_config`],
//! [`bind`], [`exchange()`]) stands on its own, for programs that drive many devices. Counters, nonces, clocks and
//! seeds are arguments; the command line reads them.

mod client;
mod exchange;
mod follow;
mod key;
mod policy;
mod signer;
mod state;
mod tickets;
mod transport;

pub use client::{
    AttemptError, Client, Delivered, FOLLOW_KEEP_ALIVE, SendError, Server, ServerError,
};
pub use exchange::{
    ExchangeError, Statuses, exchange, exchange_and_follow, exchange_early,
    exchange_early_and_follow,
};
pub use follow::Following;
pub use key::{Key, KeyError, KeyFileError, SignError};
pub use policy::{FRESH_AFTER, Policy};
pub use signer::{Signed, Signer};
pub use state::{PENDING_MAX, Pending, State, StateError};
pub use transport::{
    ALPN, Options, SetupError, Trust, TrustError, bind, client_config, endpoint, transport_config,
};
