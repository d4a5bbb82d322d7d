//! A line of the journal that no device sent: something that an operator, or a rule, decided.
//!
//! Decisions stand among the messages, in the one order in which the desk made them, so that whoever reads the journal
//! from its start knows at every line how each device stood. A decision says who decided, what, when, why and on what
//! evidence, and, where it changes how a device stands, how the device stands from here on: nobody has to know the
//! policy of that day to go on from it.

use core::fmt;
use std::sync::Arc;

use protocol::{AlertId, DeviceId, Position};

use super::{Cursor, Record};
use crate::{Posture, Time, ZoneId};

/// Alerts that one decision names as its evidence, at most: enough for a person to look at.
pub const EVIDENCE_MAX: usize = 16;
/// Bytes of an operator's words, at most: as long as a sender's note.
pub const REASON_LEN_MAX: usize = 280;
/// Bytes of an operator's name, at most.
pub const ACTOR_LEN_MAX: usize = 64;
/// Strikes that are kept of a device: more than any policy may ask for.
pub const STRIKES_MAX: usize = 8;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A message that was accepted.
    Message(Record),
    /// Something that was decided.
    Decision(Decision),
}

/// Something that was decided. Its debug text holds no place and nobody's words: they may name one.
#[derive(Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its place.
    pub cursor: Cursor,
    /// When it was decided.
    pub decided_at: Time,
    /// Who decided.
    pub actor: Actor,
    /// What was decided.
    pub act: Act,
    /// The device that it is about.
    pub device: Option<DeviceId>,
    /// The alert that it is about, by its id and its raise's place.
    pub alert: Option<(AlertId, Cursor)>,
    /// The zone whose operators it concerns: the alert's, or the root.
    pub zone: ZoneId,
    /// Why, in the actor's words; [`REASON_LEN_MAX`] bytes at most.
    pub reason: Option<Arc<str>>,
    /// The alerts that it rests on; [`EVIDENCE_MAX`] at most, the newest.
    pub evidence: Vec<AlertId>,
    /// How the device stands from here on, if that changed.
    pub standing: Option<Standing>,
    /// The raise itself, where the decision is about an alert: whoever may see it may see the decision, and one that is
    /// promoted is shown again. Not stored again: it lies in the journal at `alert`'s cursor.
    pub raise: Option<Arc<Record>>,
    /// Where whoever pressed was last known to be, where the act tells of that. Not stored again either: it lies in the
    /// journal at the line that the act names.
    pub place: Option<Position>,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A person, by the name of their token; [`ACTOR_LEN_MAX`] bytes at most.
    Operator(Arc<str>),
    /// The policy.
    Rule(Rule),
}

/// The rules that decide without a person. The numbers are the journal's and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rule {
    /// Strikes within their window: a block.
    Strikes = 1,
    /// A block's time is over.
    Expiry = 2,
    /// Cancelled raises within their window: probation.
    Cancelled = 3,
    /// A model that presses by itself: probation.
    Phantom = 4,
    /// Other people's devices in good standing press where a held one did: it is paged after all.
    Corroboration = 5,
    /// Several held presses together: a notice.
    HeldTogether = 6,
    /// A surge of one batch or model that nobody else confirms: a notice.
    Surge = 7,
    /// Nobody acknowledged an alert in time: it climbs.
    Deadline = 8,
    /// Nobody listens where an alert waits: it climbs at once.
    Unattended = 9,
    /// Whoever pressed moves.
    Motion = 10,
    /// Whoever pressed and told where they were tells it no more.
    Silence = 11,
}

/// What was decided. The numbers are the journal's and are never reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// What an alert was.
    Verdict(Verdict),
    /// The device's raises are held until then.
    Block {
        /// When it ends.
        until: Time,
    },
    /// A block was lifted.
    Unblock,
    /// A block ended by itself.
    Expire,
    /// The device's raises have a lower lane until then.
    Probation {
        /// When it ends.
        until: Time,
    },
    /// Somebody's objection to how the device stands was noted; it changes nothing by itself.
    Appeal,
    /// A held alert is paged after all.
    Promote,
    /// Operators are told of something that no single alert shows.
    Notice(Notice),
    /// Somebody answers the alert: it climbs no further.
    Acknowledge,
    /// Somebody is sent.
    Assign {
        /// Who, in the operator's words; [`ACTOR_LEN_MAX`] bytes at most.
        to: Arc<str>,
    },
    /// The alert is over; the verdict says what it was.
    Resolve(Verdict),
    /// The alert is not over after all: it waits for an answer again.
    Reopen,
    /// Nobody answered: more people are paged.
    Escalate {
        /// The zone that is paged from here on; nothing: everybody who is entitled.
        to: Option<ZoneId>,
    },
    /// Whoever pressed is under way.
    Moving {
        /// The message that says where.
        seen: Cursor,
    },
    /// Whoever pressed has told nothing for a while, after updates.
    Quiet {
        /// The message that says where they were last.
        seen: Cursor,
    },
    /// An exercise flag counts in this zone and below it until then; in the past: no longer.
    Drill {
        /// When it ends.
        until: Time,
    },
    /// The zone is prepared for something else.
    Posture(Posture),
}

/// What a notice tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How many alerts it speaks of so far.
    pub alerts: u32,
    /// The batch that they have in common, by its name.
    pub batch: Option<Arc<str>>,
    /// The model that they have in common.
    pub model: Option<Arc<str>>,
}

/// What an operator found an alert to be. The numbers are the journal's and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Somebody needed help.
    Genuine = 1,
    /// Somebody meant to mislead: a strike.
    Prank = 2,
    /// Somebody tried whether it works, with leave.
    Test = 3,
    /// Nobody meant to press.
    Accidental = 4,
}

/// How a device stands, by what was decided about it so far. What it comes to at a moment is the policy's to say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Its strikes, oldest first; the newest [`STRIKES_MAX`].
    pub strikes: Vec<Strike>,
    /// How often it was blocked by strikes since [`Standing::blocked_at`] last counted as forgotten.
    pub blocks: u8,
    /// When it was last blocked by strikes.
    pub blocked_at: Option<Time>,
    /// Its raises are held until then.
    pub blocked_until: Option<Time>,
    /// Whether that block follows from strikes, so that a genuine verdict lifts it. A person's is lifted by a person.
    pub blocked_by_rule: bool,
    /// Its raises have a lower lane until then.
    pub probation_until: Option<Time>,
}

/// One prank held against a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strike {
    /// When the verdict was given.
    pub at: Time,
    /// The alert that it was about: a later verdict on the same alert replaces it.
    pub alert: AlertId,
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self::Message(record)
    }
}

impl From<Decision> for Entry {
    fn from(decision: Decision) -> Self {
        Self::Decision(decision)
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("cursor", &self.cursor)
            .field("decided_at", &self.decided_at)
            .field("actor", &self.actor)
            .field("act", &self.act)
            .field("device", &self.device)
            .field("alert", &self.alert)
            .field("evidence", &self.evidence)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// Its place.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Message(record) => record.cursor,
            Self::Decision(decision) => decision.cursor,
        }
    }

    /// When the message was read off the wire, or the decision made.
    #[must_use]
    pub fn at(&self) -> Time {
        match self {
            Self::Message(record) => record.received_at,
            Self::Decision(decision) => decision.decided_at,
        }
    }

    /// The zone whose subscribers and operators may see it.
    #[must_use]
    pub fn zone(&self) -> &ZoneId {
        match self {
            Self::Message(record) => &record.zone,
            Self::Decision(decision) => &decision.zone,
        }
    }

    /// The message, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<&Record> {
        match self {
            Self::Message(record) => Some(record),
            Self::Decision(_) => None,
        }
    }
}

/// Names and stored numbers of a closed set.
macro_rules! stored {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        impl $name {
            /// Every one, in order of its number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The one with this stored number.
            #[must_use]
            pub fn from_stored(number: u64) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| *known as u64 == number)
            }

            /// The name that interfaces, metrics and tables use.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The one with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use stored;

stored!(Rule {
    Strikes = "strikes",
    Expiry = "expiry",
    Cancelled = "cancelled",
    Phantom = "phantom",
    Corroboration = "corroboration",
    HeldTogether = "held_together",
    Surge = "surge",
    Deadline = "deadline",
    Unattended = "unattended",
    Motion = "motion",
    Silence = "silence",
});

stored!(Verdict {
    Genuine = "genuine",
    Prank = "prank",
    Test = "test",
    Accidental = "accidental",
});

impl Act {
    /// The stored number of every act, with its name.
    pub const NAMES: [(u8, &'static str); 17] = [
        (1, "verdict"),
        (2, "block"),
        (3, "unblock"),
        (4, "expire"),
        (5, "probation"),
        (6, "appeal"),
        (7, "promote"),
        (8, "notice"),
        (9, "acknowledge"),
        (10, "assign"),
        (11, "resolve"),
        (12, "reopen"),
        (13, "escalate"),
        (14, "moving"),
        (15, "quiet"),
        (16, "drill"),
        (17, "posture"),
    ];

    /// The number that the journal stores.
    #[must_use]
    pub fn stored(&self) -> u8 {
        match self {
            Self::Verdict(_) => 1,
            Self::Block { .. } => 2,
            Self::Unblock => 3,
            Self::Expire => 4,
            Self::Probation { .. } => 5,
            Self::Appeal => 6,
            Self::Promote => 7,
            Self::Notice(_) => 8,
            Self::Acknowledge => 9,
            Self::Assign { .. } => 10,
            Self::Resolve(_) => 11,
            Self::Reopen => 12,
            Self::Escalate { .. } => 13,
            Self::Moving { .. } => 14,
            Self::Quiet { .. } => 15,
            Self::Drill { .. } => 16,
            Self::Posture(_) => 17,
        }
    }

    /// Whether it belongs to one alert, so that whoever may see that may see this.
    #[must_use]
    pub fn is_about_an_alert(&self) -> bool {
        match self {
            Self::Verdict(_)
            | Self::Promote
            | Self::Acknowledge
            | Self::Assign { .. }
            | Self::Resolve(_)
            | Self::Reopen
            | Self::Escalate { .. }
            | Self::Moving { .. }
            | Self::Quiet { .. } => true,
            Self::Block { .. }
            | Self::Unblock
            | Self::Expire
            | Self::Probation { .. }
            | Self::Appeal
            | Self::Notice(_)
            | Self::Drill { .. }
            | Self::Posture(_) => false,
        }
    }

    /// The message that says where whoever pressed was last, where it tells of that.
    #[must_use]
    pub fn seen(&self) -> Option<Cursor> {
        match self {
            Self::Moving { seen } | Self::Quiet { seen } => Some(*seen),
            _ => None,
        }
    }

    /// The name that interfaces and tables use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let stored = self.stored();
        Self::NAMES.iter().find(|(number, _)| *number == stored).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "operator {name}"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_and_names_read_back() {
        for rule in Rule::ALL {
            assert_eq!(Rule::from_stored(*rule as u64), Some(*rule));
            assert_eq!(Rule::from_name(rule.name()), Some(*rule));
        }
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_stored(*verdict as u64), Some(*verdict));
            assert_eq!(Verdict::from_name(verdict.name()), Some(*verdict));
        }
        assert_eq!(Rule::from_stored(0), None);
        let numbers: Vec<_> = Act::NAMES.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=17).collect::<Vec<_>>());
    }
}
