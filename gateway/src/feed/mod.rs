//! The feed: every synced alert, to every subscriber who is entitled to its zone, in journal order, at least once.
//!
//! A subscriber pulls by cursor; wake-ups carry no data, so nothing can be lost between them. Near the head it reads
//! the ring ([`Head`]), where each event is encoded once for all; further behind it reads the journal.

mod chunk;
mod cursor;
mod event;
mod head;
#[cfg(test)]
mod testing;

pub use cursor::{CursorCodec, CursorError};
pub use event::encode_event;
pub use head::Head;
