//! What goes into the desk and what comes out of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{
    AlertId, Category, Counters, DeviceId, Kind, Labels, MessageId, Position, Receipt, UnixMillis,
};

use super::fleet::Fleet;
use super::request::{DecisionAnswer, DecisionRefusal, Request};
use crate::{
    Agencies, Answer, Carrier, Cursor, DeviceIndex, Enrolment, Entry, Hint, Model, Policy, Posture,
    Record, Routing, Standing, Time, ZoneId, Zones,
};

/// Who waits for a receipt or an answer. Given by the caller, unique among those that wait.
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
    /// How the device was enrolled.
    pub enrolment: Enrolment,
    /// The message's identity.
    pub message_id: MessageId,
    /// What it is for.
    pub kind: Kind,
    /// The device's counters.
    pub counters: Counters,
    /// The device's clock when the message was made, if it states one: evidence, never a reason to refuse a raise.
    pub device_clock: Option<UnixMillis>,
    /// Model and firmware, if it states them.
    pub model: Option<Model>,
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
    /// Whether it is a raise that is held, and was not promoted as far as the index knows.
    pub held: bool,
    /// When it was received.
    pub received_at: Time,
    /// Who answers it.
    pub agencies: Agencies,
    /// What it is about.
    pub category: Category,
    /// The zones that were paged for it beside its own.
    pub also: Vec<ZoneId>,
}

/// A line of the journal as it is told to the desk at a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The line.
    pub entry: Entry,
    /// The place in the registry of the device that it is about; nothing if it is about none, or about one that is no
    /// longer there.
    pub device_index: Option<DeviceIndex>,
    /// How that device was enrolled.
    pub enrolment: Enrolment,
    /// How far the index knows the alert to be answered that a decision pages: what answered it may lie before the first
    /// line that is told. Of other lines it counts for nothing.
    pub answer: Answer,
}

/// A raise that an operator's demand is about, as journal, index and registry know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recollected {
    /// Its line of the journal.
    pub raise: Arc<Record>,
    /// The device's place in the registry; nothing if it is no longer there.
    pub device_index: Option<DeviceIndex>,
    /// Whether the index knows that it was promoted.
    pub promoted: bool,
    /// How far the index knows it to be answered.
    pub answer: Answer,
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
    /// An operator asks for a decision.
    Decide {
        /// Who waits for the answer.
        ticket: Ticket,
        /// What is asked.
        request: Request,
    },
    /// The answer to [`Output::Recollect`]; nothing if no raise is on disk under that id.
    Recollected {
        /// The alert that was asked for.
        alert: AlertId,
        /// What is known of it.
        found: Option<Recollected>,
    },
    /// Nothing happened but the time that [`Desk::next_deadline`](super::Desk::next_deadline) named.
    Tick,
    /// At a start: the highest counters that the index knows of a device.
    Counted(DeviceIndex, Counters),
    /// At a start: how the index knows a device to stand, by the newest decision about it.
    Stands {
        /// The device's place in the registry.
        index: DeviceIndex,
        /// Its id.
        device: DeviceId,
        /// How it stands.
        standing: Standing,
    },
    /// At a start: the newest lines of the journal in order of cursors, without gaps: at least all that are not indexed
    /// and all that lie within [`HORIZON_MAX`](crate::policy::HORIZON_MAX), so that whatever still counts for the policy
    /// is told, and every alert that may climb.
    Recalled(Past),
    /// The zones were changed.
    Rezoned(Arc<Zones>),
    /// The policy was changed. The caller forgets every hint that it was given: they were made by the old one.
    Ruled(Arc<Policy>),
    /// At a start, and whenever it has changed: how many devices are enrolled, in all and by batch.
    Fleet(Arc<Fleet>),
    /// At a start, and whenever it has changed: by what alerts are routed and climb.
    Routed(Arc<Routing>),
    /// Whenever it has changed: the zones that have subscribers of their own connected. Nothing: that is not known, and
    /// no zone is taken for unattended.
    Attended(Option<Arc<BTreeSet<ZoneId>>>),
    /// At a start, before any line is told: what the index knows a zone to be prepared for.
    Prepared {
        /// The zone.
        zone: ZoneId,
        /// When its last drill ends or ended.
        drill_until: Option<Time>,
        /// The posture that it was last set to.
        posture: Option<Posture>,
    },
}

/// What the desk wants done. In order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Append this line to the journal.
    Append(Entry),
    /// Send this receipt.
    Reply(Ticket, Receipt),
    /// Tell the operator.
    Decided(Ticket, Result<DecisionAnswer, DecisionRefusal>),
    /// Ask the index for this id and answer with [`Input::LookedUp`].
    LookUp(MessageId),
    /// Read this alert's raise from the journal and answer with [`Input::Recollected`].
    Recollect {
        /// The alert.
        alert: AlertId,
        /// Where its raise is; nothing: the index knows, if anybody does.
        cursor: Option<Cursor>,
    },
    /// Tell the shards what is known of a device.
    Hint(DeviceIndex, Hint),
}

/// The bounds of the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeskConfig {
    /// Message ids kept in memory, so that most copies are found without a look-up. When all of them are ahead of the
    /// index, the desk wants no more until the index has caught up.
    pub remembered_max: usize,
    /// Arrivals without a receipt; at this many the desk wants no more.
    pub in_hand_max: usize,
    /// Decisions that operators wait for; beyond them a request is refused as [`DecisionRefusal::Busy`].
    pub decisions_max: usize,
    /// Presses kept as witnesses for held ones, also while they have no place, presses counted by the rules, and places of
    /// incidents; the oldest are forgotten first, so a full table confirms less, accuses less and brings less together.
    pub witnesses_max: usize,
    /// Held presses, and presses that a notice speaks of, kept so that they can be promoted; beyond them the oldest
    /// held one stays held, and a press of a surge is paged by itself.
    pub pending_max: usize,
    /// Alerts that wait for an answer. Beyond them the oldest that has climbed to everybody is forgotten, or else the
    /// oldest, which then climbs no further. As many are watched for who moves or has gone
    /// quiet; beyond them the oldest that nobody is paged for is forgotten, or else the oldest.
    pub open_max: usize,
}

impl Default for DeskConfig {
    /// A million ids, as many presses in hand as a busy second brings, and the presses of a felt earthquake.
    fn default() -> Self {
        Self {
            remembered_max: 1 << 20,
            in_hand_max: 8_192,
            decisions_max: 256,
            witnesses_max: 1 << 17,
            pending_max: 1 << 14,
            open_max: 1 << 17,
        }
    }
}
