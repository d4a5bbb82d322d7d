//! A line of the journal: one accepted message and what was decided about it, or a decision of its own.
//!
//! The desk makes them, the journal keeps them, feeds and the index read them. The signed bytes are the truth that
//! a record is derived from; they travel as one shared buffer and are never copied or re-encoded.

mod decision;
mod enrolment;

use core::fmt;

use bytes::Bytes;
use protocol::{
    AlertId, Category, Counters, DeviceId, Envelope, Kind, Labels, Message, MessageId, Position,
};

use crate::{Agencies, Time, ZoneId};

pub(crate) use decision::stored;
pub use decision::{
    ACTOR_LEN_MAX, Act, Actor, Decision, EVIDENCE_MAX, Entry, Notice, REASON_LEN_MAX, Rule,
    STRIKES_MAX, Standing, Strike, Verdict,
};
pub use enrolment::{BatchIndex, DeviceIndex, Enrolment, Model, OwnerIndex};

/// A place in the journal. The first record is at 1; a record's cursor is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor(pub u64);

impl Cursor {
    /// The place behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The way a message came in. The numbers are the journal's and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A stream of a QUIC connection.
    Quic = 1,
}

impl Carrier {
    /// Every carrier.
    pub const ALL: [Self; 1] = [Self::Quic];

    /// The carrier with this stored number.
    #[must_use]
    pub fn from_stored(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|carrier| *carrier as u64 == number)
    }

    /// The name that metrics and tables use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
        }
    }
}

/// Whether a message is put before the people who answer, and as what. The numbers are the journal's and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Disposition {
    /// It belongs to an alert that is, or to none: an update, a cancel, a heartbeat.
    #[default]
    Follows = 0,
    /// A first press: everybody entitled is paged.
    Paged = 1,
    /// A raise within the window of an open press: shown on that alert, not paged anew.
    Joined = 2,
    /// A raise of a blocked device: journaled, shown to operators, not paged.
    Held = 3,
    /// A raise that is part of a surge which a notice speaks of: shown, not paged one by one.
    Noticed = 4,
}

stored!(Disposition {
    Follows = "follows",
    Paged = "paged",
    Joined = "joined",
    Held = "held",
    Noticed = "noticed",
});

/// A message's line of the journal. Its debug text holds no place: neither the site nor the signed bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub cursor: Cursor,
    /// When the message was read off the wire.
    pub received_at: Time,
    /// The device that signed it.
    pub device: DeviceId,
    /// The message's identity.
    pub message_id: MessageId,
    /// The alert it opened or belongs to; nothing for heartbeats.
    pub alert: Option<AlertId>,
    /// What it is for.
    pub kind: Kind,
    /// The device's counters.
    pub counters: Counters,
    /// What its alert is about, as the raise says; of a message that belongs to no alert that is known, as it says itself.
    pub category: Category,
    /// The zone that it is routed to.
    pub zone: ZoneId,
    /// Other zones that are paged for a raise from its first moment: across a near border, or above where nobody
    /// listens.
    pub also: Vec<ZoneId>,
    /// Who is to answer; of an update or cancel, who answers its raise.
    pub agencies: Agencies,
    /// What was odd about it.
    pub labels: Labels,
    /// How it came.
    pub carrier: Carrier,
    /// Whether people are paged for it.
    pub disposition: Disposition,
    /// The open alert that a raise joined.
    pub joins: Option<AlertId>,
    /// The incident that a raise belongs to, by the id of its first alert.
    pub incident: Option<AlertId>,
    /// When the raise was received that an update or cancel belongs to, or that a raise joined.
    pub raised_at: Option<Time>,
    /// The place that the device was enrolled with, where the message itself has none.
    pub site: Option<Position>,
    /// The signed message as received.
    pub signed: Bytes,
}

impl Record {
    /// What the signed bytes say beyond the record: where, or else where the device was enrolled, and of which model. What
    /// they do not say any more (erased) is not known any more.
    #[must_use]
    pub fn stated(&self) -> (Option<Position>, Option<Model>) {
        let envelope = Envelope::parse(&self.signed).ok();
        let message = envelope.and_then(|envelope| Message::decode(envelope.message).ok());
        let message = message.map(|(message, _)| message);
        let position = message.and_then(|message| message.position);
        (position.or(self.site), message.and_then(|message| message.firmware).and_then(Model::new))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("cursor", &self.cursor)
            .field("message_id", &self.message_id)
            .field("device", &self.device)
            .field("kind", &self.kind)
            .field("counters", &self.counters)
            .field("labels", &self.labels)
            .field("signed_len", &self.signed.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_holds_neither_signed_bytes_nor_zone() {
        let record = Record {
            cursor: Cursor(1),
            received_at: Time(0),
            device: DeviceId([1; 16]),
            message_id: MessageId([2; 16]),
            alert: None,
            kind: Kind::Heartbeat,
            counters: Counters::new(1, 2),
            category: Category::Unspecified,
            zone: ZoneId::new("polsek-secret"),
            also: vec![],
            agencies: Agencies::ALL,
            labels: Labels::NONE,
            carrier: Carrier::Quic,
            disposition: Disposition::Follows,
            joins: None,
            incident: None,
            raised_at: None,
            site: None,
            signed: Bytes::from_static(b"-7.9666"),
        };
        let text = format!("{record:?}");
        assert!(!text.contains("7.9666") && !text.contains("secret"), "{text}");
        assert!(text.contains("signed_len: 7"), "{text}");
    }
}
