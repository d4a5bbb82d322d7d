//! What goes into the desk and what comes out of it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{AlertId, Category, Counters, DeviceId, Kind, Labels, MessageId, Position, Receipt};

use crate::{Carrier, Cursor, DeviceIndex, Record, Time, ZoneId, Zones};

/// Who waits for a receipt. Given by the caller, unique among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A message whose signature was verified and whose device is enrolled. Its debug text holds no place.
#[derive(Clone)]
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

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival")
            .field("ticket", &self.ticket)
            .field("message_id", &self.message_id)
            .field("device", &self.device)
            .field("kind", &self.kind)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// What the index knows of a message id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where the first copy is journaled.
    pub cursor: Cursor,
    /// The device that signed it.
    pub device: DeviceId,
    /// The zone that it was routed to.
    pub zone: ZoneId,
}

/// A journaled record as it is told to the desk at a start, in order of cursors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Its place.
    pub cursor: Cursor,
    /// The device's place in the registry; nothing if it is no longer there.
    pub device_index: Option<DeviceIndex>,
    /// The message's identity.
    pub message_id: MessageId,
    /// The zone that it was routed to.
    pub zone: ZoneId,
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
    /// At a start: the newest records in order of cursors, without gaps, at least all that are not indexed.
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
    /// Message ids kept in memory, so that most copies are found without a look-up. When all of them are ahead of the
    /// index, the desk wants no more until the index has caught up.
    pub remembered_max: usize,
    /// Arrivals without a receipt; at this many the desk wants no more.
    pub in_hand_max: usize,
}
