//! The desk: the one writer that decides about every verified message, in one order.
//!
//! It is given arrivals, how far the journal is synced and the index filled, and the answers to its own questions. It
//! yields, in order, records to append, receipts to send and ids to look up.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{AlertId, Category, Counters, DeviceId, Kind, Labels, MessageId, Position, Receipt};

use crate::{Carrier, Cursor, DeviceIndex, Record, Time, Zones};

/// Who waits for a receipt. Given by the caller, unique among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A message whose signature was verified and whose device is known and enrolled.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Who waits for the receipt.
    pub ticket: Ticket,
    /// When it was read off the wire.
    pub received_at: Time,
    /// How it came.
    pub carrier: Carrier,
    /// The device that signed it.
    pub device: DeviceId,
    /// The device's place in the registry.
    pub device_index: DeviceIndex,
    /// The message's identity.
    pub message_id: MessageId,
    /// What it is for.
    pub kind: Kind,
    /// The device's counters.
    pub counters: Counters,
    /// The alert that an update or cancel names.
    pub alert: Option<AlertId>,
    /// Category, if it states one.
    pub category: Option<Category>,
    /// Where, by the message itself.
    pub position: Option<Position>,
    /// Where the device was enrolled, if it was given a place.
    pub site: Option<Position>,
    /// What decoding remarked.
    pub labels: Labels,
    /// The signed message as received.
    pub signed: Bytes,
}

/// What the index knows of a message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where the first copy is journaled.
    pub cursor: Cursor,
    /// The device that signed it.
    pub device: DeviceId,
    /// The alert it opened or belongs to.
    pub alert: Option<AlertId>,
}

/// A journaled record as it is told to the desk at a start, in order of cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// Its place.
    pub cursor: Cursor,
    /// The device's place in the registry; nothing if it is no longer there.
    pub device_index: Option<DeviceIndex>,
    /// The device that signed it.
    pub device: DeviceId,
    /// The message's identity.
    pub message_id: MessageId,
    /// The alert it opened or belongs to.
    pub alert: Option<AlertId>,
    /// What it is for.
    pub kind: Kind,
    /// The device's counters.
    pub counters: Counters,
}

/// Everything that can happen to the desk.
#[derive(Debug, Clone)]
pub enum Input {
    /// A verified message.
    Arrived(Arrival),
    /// Records up to here are on disk.
    Synced(Cursor),
    /// Records up to here can be found in the index.
    Indexed(Cursor),
    /// The answer to [`Output::LookUp`].
    LookedUp {
        /// The id that was asked for.
        id: MessageId,
        /// What is journaled under it.
        found: Option<Found>,
    },
    /// At a start: the highest counters that the index knows of a device.
    Counted(DeviceIndex, Counters),
    /// At a start: a record behind what the index knows, in order of cursors.
    Recalled(Past),
    /// The zones were changed.
    Rezoned(Arc<Zones>),
}

/// What the desk wants done. In order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Append this record to the journal.
    Append(Record),
    /// Send this receipt.
    Reply(Ticket, Receipt),
    /// Ask the index for this id and answer with [`Input::LookedUp`].
    LookUp(MessageId),
}

/// The bounds of the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeskConfig {
    /// Message ids kept in memory, so that most copies are found without a look-up.
    pub remembered_max: usize,
}

/// The one writer.
#[derive(Debug)]
pub struct Desk {
    outputs: VecDeque<Output>,
}

impl Desk {
    /// A desk that has seen nothing.
    #[must_use]
    pub fn new(_config: DeskConfig, _zones: Arc<Zones>) -> Self {
        Self { outputs: VecDeque::new() }
    }

    /// Takes one input. What follows from it is read with [`poll_output`](Self::poll_output).
    pub fn handle(&mut self, _input: Input, _now: Time) {}

    /// The next thing to be done, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `handle` should next be called though nothing happened.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        None
    }
}
