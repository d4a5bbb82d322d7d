//! What operators ask of the desk, and how it answers.
//!
//! The desk trusts the name and the reach that come with a request: who a token belongs to and what its role may do is
//! proven before. It judges the rest: whether there is such an alert, whether it lies within reach, whether there is
//! anything to lift. An answer leaves only when the decision is on disk, like a receipt.

use std::fmt;
use std::sync::Arc;

use protocol::{AlertId, DeviceId};

use crate::{Cursor, DeviceIndex, Span, Standing, Time, Verdict, ZoneId, Zones};

/// What an operator wants decided. Its debug text holds nobody's words: they may name a place.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose token it is; [`ACTOR_LEN_MAX`](crate::ACTOR_LEN_MAX) bytes at most.
    pub actor: Arc<str>,
    /// Where they may act.
    pub reach: Reach,
    /// What is asked.
    pub demand: Demand,
    /// Why, in their words; [`REASON_LEN_MAX`](crate::REASON_LEN_MAX) bytes at most. Only a verdict needs none.
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
    /// The device that it is about.
    pub device: DeviceId,
    /// How the device stands from here on; nothing if it is no longer in the registry.
    pub standing: Option<Standing>,
    /// Whether a held alert is paged because of it.
    pub promoted: bool,
}

/// Why nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecisionRefusal {
    /// No raise is journaled under this id. Look for the alert by time or device.
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
    /// Everything but a verdict needs a reason. State one.
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
            _ if matches!(self.demand, Demand::Verdict { .. }) => Ok(()),
            _ => Err(DecisionRefusal::ReasonMissing),
        }
    }
}
