//! Where messages come in: from the wire to a verified arrival, and from the desk's receipt back to the wire.
//!
//! A shard is one thread with its socket, its QUIC endpoint and its runtime. It checks everything that can be checked
//! without knowing other messages (shape, device, signature) and decides nothing else. Before the signature, which costs
//! most, messages wait in lanes by urgency. What is proven goes to the desk through one bounded queue; when that and the
//! lane of first presses are full the shard stops reading, and the sender's resend is the remedy (promise 3).
//!
//! Who has the receipt of a raise and keeps its stream open is told what becomes of the alert ([`Followers`]).

mod checker;
mod claims;
mod connection;
mod door;
mod drops;
mod exchange;
mod followers;
mod lanes;
mod peer;
mod refusals;
mod shard;
mod strangers;
mod transport;
mod verify;
mod waiting;

pub use checker::{BATCH_MAX, Proven};
pub use connection::earn_streams;
pub use drops::Drops;
pub use followers::Followers;
pub use shard::{Shard, ShardError, ShardParts};
pub use strangers::Strangers;
pub use transport::{TransportError, bind, endpoint_config, server_config};
pub use waiting::{Receipts, shard_of};
