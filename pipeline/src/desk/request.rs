//! What operators ask of the desk, and how it answers.
//!
//! The desk trusts the name and the reach that come with a request: who a token belongs to and what its role may do is
//! proven before. It judges the rest: whether there is such an alert, whether it lies within reach, whether there is
//! anything to lift. An answer leaves only when the decision is on disk, like a receipt.

use std::fmt;
use std::sync::Arc;

use protocol::{AlertId, DeviceId};

use crate::{Cursor, DeviceIndex, Posture, Scope, Span, Standing, Time, Verdict, ZoneId, Zones};

/// What an operator wants decided. Its debug text holds nobody's words: they may name a place.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose token it is; [`ACTOR_LEN_MAX`](crate::ACTOR_LEN_MAX) bytes at most.
    pub actor: Arc<str>,
    /// Where they may act.
    pub reach: Reach,
    /// On which alerts: others are unknown to them.
    pub scope: Scope,
    /// What is asked.
    pub demand: Demand,
    /// Why, in their words; [`REASON_LEN_MAX`](crate::REASON_LEN_MAX) bytes at most. What answers an alert needs none.
    pub reason: Option<Arc<str>>,
}

/// The zones that an operator may act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of them.
    Everywhere,
    /// These and what lies below them.
    Zones(Arc<[ZoneId]>),
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// To say what an alert was. A later verdict on it replaces this one.
    Verdict {
        /// The alert.
        alert: AlertId,
        /// What it was.
        verdict: Verdict,
    },
    /// To hold a device's raises until then.
    Block {
        /// The device.
        about: About,
        /// When the block ends.
        until: Time,
    },
    /// To lift the block of a device.
    Unblock(About),
    /// To note an objection to how a device stands.
    Appeal(About),
    /// To answer an alert: it climbs no further.
    Acknowledge {
        /// The alert.
        alert: AlertId,
    },
    /// To send somebody to an alert, which answers it as well. Who is named later replaces who was named before.
    Assign {
        /// The alert.
        alert: AlertId,
        /// Who is sent; [`ACTOR_LEN_MAX`](crate::ACTOR_LEN_MAX) bytes at most.
        to: Arc<str>,
    },
    /// To say that an alert is over, and what it was: a verdict, with all that follows from one.
    Resolve {
        /// The alert.
        alert: AlertId,
        /// What it was.
        verdict: Verdict,
    },
    /// To say that an alert that was resolved is not over: it waits for an answer again, at its own zone.
    Reopen {
        /// The alert.
        alert: AlertId,
    },
    /// To let an exercise flag count in a zone and below it.
    Drill {
        /// The zone.
        zone: ZoneId,
        /// When that ends; in the past: at once.
        until: Time,
    },
    /// To prepare a zone, and what lies below it and is not prepared otherwise, for something else.
    Posture {
        /// The zone.
        zone: ZoneId,
        /// What for.
        posture: Posture,
    },
}

/// A device, as the registry and the index know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its id.
    pub device: DeviceId,
    /// Its place in the registry.
    pub index: DeviceIndex,
    /// The zone that it last pressed in, or the root: whoever may act there may act on it.
    pub zone: ZoneId,
}

/// What was decided, and is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionAnswer {
    /// Where the decision is journaled; what followed from it stands right behind.
    pub cursor: Cursor,
    /// When it was made.
    pub decided_at: Time,
    /// The device that it is about; nothing if it is about a zone.
    pub device: Option<DeviceId>,
    /// How the device stands from here on; nothing if it is no longer in the registry.
    pub standing: Option<Standing>,
    /// Whether a held alert is paged because of it.
    pub promoted: bool,
}

/// Why nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecisionRefusal {
    /// No raise is journaled under this id, or none that the operator is shown. Look for the alert by time or device.
    #[error("alert {0} is not known here")]
    UnknownAlert(AlertId),
    /// The alert or device belongs to a zone that the operator may not act on. Ask somebody who may.
    #[error("zone {0} is out of reach")]
    OutOfReach(ZoneId),
    /// There is no block to lift.
    #[error("the device is not blocked")]
    NotBlocked,
    /// A block must end after it begins. Name a later time.
    #[error("the block would end before it begins")]
    EndsBeforeItBegins,
    /// Longer than the policy lets a person block. Name an earlier end.
    #[error("a block may last {0} at most")]
    BlockTooLong(Span),
    /// What is decided about a device or a zone needs a reason. State one.
    #[error("a reason is missing")]
    ReasonMissing,
    /// The reason is longer than it may be. Shorten it.
    #[error("the reason has {0} bytes, {max} may be", max = crate::REASON_LEN_MAX)]
    ReasonTooLong(usize),
    /// As many decisions as the desk takes at one time are under way. Ask again in a moment.
    #[error("too many decisions are under way")]
    Busy,
    /// The name is empty or longer than it may be. Give the token another.
    #[error("the actor's name has {0} bytes, 1 to {max} may be", max = crate::ACTOR_LEN_MAX)]
    ActorLen(usize),
    /// The raise joined an open press. Act on that alert: it stands for all raises of the press.
    #[error("it belongs to alert {0}")]
    Joined(AlertId),
    /// Somebody else was first.
    #[error("{by} has answered already")]
    AnsweredAlready {
        /// Who.
        by: Arc<str>,
        /// When.
        at: Time,
    },
    /// The alert is over. Reopen it first.
    #[error("{by} has resolved it")]
    Resolved {
        /// Who.
        by: Arc<str>,
        /// When.
        at: Time,
    },
    /// Only a resolved alert can be reopened.
    #[error("the alert is not resolved")]
    NotResolved,
    /// There is no such zone.
    #[error("zone {0} is not known")]
    UnknownZone(ZoneId),
    /// A drill may not last so long: whoever forgets to end it would make exercises of real presses.
    #[error("a drill may last {0} at most")]
    DrillTooLong(Span),
    /// Who is sent has no name, or a longer one than may be.
    #[error("the name has {0} bytes, 1 to {max} may be", max = crate::ACTOR_LEN_MAX)]
    NameLen(usize),
}

impl Reach {
    /// Whether `zone` may be acted on. A zone that is no longer drawn belongs to whoever names it, and to the root.
    #[must_use]
    pub fn covers(&self, zone: &ZoneId, zones: &Zones) -> bool {
        let Self::Zones(granted) = self else { return true };
        let place = zones.find(zone.as_str());
        granted.iter().any(|granted| {
            granted == zone
                || zones.find(granted.as_str()).is_some_and(|granted| match place {
                    Some(place) => zones.is_within(place, granted),
                    None => granted == zones.root(),
                })
        })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("actor", &self.actor)
            .field("reach", &self.reach)
            .field("scope", &self.scope)
            .field("demand", &self.demand)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// What can be said against the request without knowing anything.
    pub(super) fn check(&self) -> Result<(), DecisionRefusal> {
        let actor_len = self.actor.len();
        if actor_len == 0 || actor_len > crate::ACTOR_LEN_MAX {
            return Err(DecisionRefusal::ActorLen(actor_len));
        }
        match &self.reason {
            Some(reason) if reason.len() > crate::REASON_LEN_MAX => {
                Err(DecisionRefusal::ReasonTooLong(reason.len()))
            }
            Some(reason) if !reason.trim().is_empty() => Ok(()),
            _ if self.demand.alert().is_some() => Ok(()),
            _ => Err(DecisionRefusal::ReasonMissing),
        }?;
        match &self.demand {
            Demand::Assign { to, .. }
                if to.trim().is_empty() || to.len() > crate::ACTOR_LEN_MAX =>
            {
                Err(DecisionRefusal::NameLen(to.len()))
            }
            _ => Ok(()),
        }
    }
}

impl Demand {
    /// The alert that it is about.
    #[must_use]
    pub fn alert(&self) -> Option<AlertId> {
        match self {
            Self::Verdict { alert, .. }
            | Self::Acknowledge { alert }
            | Self::Assign { alert, .. }
            | Self::Resolve { alert, .. }
            | Self::Reopen { alert } => Some(*alert),
            Self::Block { .. }
            | Self::Unblock(_)
            | Self::Appeal(_)
            | Self::Drill { .. }
            | Self::Posture { .. } => None,
        }
    }
}
