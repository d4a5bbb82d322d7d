//! Where messages come in: from the wire to a verified arrival, and from the desk's receipt back to the wire.
//!
//! A shard is one thread with its socket, its QUIC endpoint and its runtime. It checks everything that can be checked
//! without knowing other messages (shape, device, signature) and decides nothing else. What is proven goes to the desk
//! through one bounded lane; when that is full the shard waits and so stops reading, and the sender's resend is the
//! remedy (promise 3).

mod checker;
mod connection;
mod exchange;
mod shard;
mod transport;
mod verify;

pub use checker::{BATCH_MAX, Receipts, shard_of};
pub use connection::earn_streams;
pub use shard::{Shard, ShardError, ShardParts};
pub use transport::{TransportError, bind, endpoint_config, server_config};
