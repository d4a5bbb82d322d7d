//! What one token allows at this moment.
//!
//! The token is authenticated again at every read, so that its expiry, its removal and a change of zones or limits take effect on
//! streams that are open. The set of zones is worked out anew only when the grant or the tree has changed.

use std::fmt;
use std::sync::Arc;

use pipeline::{ZoneId, Zones};

use super::audience::Audience;
use super::entitlement::Entitlement;
use super::refusal::Refusal;
use super::state::Feed;
use crate::registry::{Limits, Operator, Sight, Subscriber, TokenError};

/// A token that was good when it was last looked at, and what it allows.
pub(super) struct Access {
    token: String,
    holder: Holder,
    zones: Arc<Zones>,
    viewer: Viewer,
}

/// What may be seen, apart from who sees it: those with the same are shown the same.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Viewer {
    entitlement: Entitlement,
    limits: Limits,
}

impl Viewer {
    /// Whoever may see these zones, within these limits.
    pub(super) fn new(entitlement: Entitlement, limits: Limits) -> Self {
        Self { entitlement, limits }
    }

    /// Whether events for these may be seen.
    pub(super) fn sees(&self, audience: &Audience) -> bool {
        audience.has(&self.entitlement, &self.limits)
    }

    /// How exactly places may be seen.
    pub(super) fn sight(&self) -> Sight {
        self.limits.sight
    }
}

/// Who has the token.
#[derive(Clone)]
enum Holder {
    Subscriber(Arc<Subscriber>),
    Operator(Arc<Operator>),
}

impl Holder {
    /// Whoever has `token`: a subscriber, or an operator whose role sees alerts.
    fn of(token: &str, feed: &Feed) -> Result<Self, Refusal> {
        let now = (feed.now)();
        match feed.subscribers.authenticate(token, now) {
            Ok(subscriber) => Ok(Self::Subscriber(subscriber)),
            Err(TokenError::Unknown) => match feed.operators.authenticate(token, now)? {
                operator if operator.role.sees_alerts() => Ok(Self::Operator(operator)),
                _ => Err(Refusal::Role),
            },
            Err(expired) => Err(expired.into()),
        }
    }

    fn zones(&self) -> &[ZoneId] {
        match self {
            Self::Subscriber(subscriber) => &subscriber.zones,
            Self::Operator(operator) => &operator.zones,
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Subscriber(subscriber) => subscriber.limits,
            Self::Operator(operator) => operator.limits,
        }
    }

    /// Whether nothing about the holder can have changed since `other` was read.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Subscriber(one), Self::Subscriber(other)) => Arc::ptr_eq(one, other),
            (Self::Operator(one), Self::Operator(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscriber(subscriber) => write!(f, "subscriber {}", subscriber.id),
            Self::Operator(operator) => write!(f, "operator {}", operator.name),
        }
    }
}

impl Access {
    /// What `token` allows.
    ///
    /// # Errors
    /// When it allows nothing.
    pub(super) fn new(token: &str, feed: &Feed) -> Result<Self, Refusal> {
        let holder = Holder::of(token, feed)?;
        let zones = feed.zones.load_full();
        let viewer = viewer(&holder, &zones)?;
        Ok(Self { token: token.to_owned(), holder, zones, viewer })
    }

    /// Looks at the token again.
    ///
    /// # Errors
    /// When it allows nothing any more.
    pub(super) fn renew(&mut self, feed: &Feed) -> Result<(), Refusal> {
        let holder = Holder::of(&self.token, feed)?;
        let zones = feed.zones.load();
        if !holder.is(&self.holder) || !Arc::ptr_eq(&zones, &self.zones) {
            self.viewer = viewer(&holder, &zones)?;
            self.zones = Arc::clone(&zones);
            self.holder = holder;
        }
        Ok(())
    }

    /// What may be seen.
    pub(super) fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// The zones that the token names.
    pub(super) fn granted(&self) -> &[ZoneId] {
        self.holder.zones()
    }

    /// Who reads, for logs.
    pub(super) fn holder(&self) -> impl fmt::Display {
        self.holder.clone()
    }
}

fn viewer(holder: &Holder, zones: &Zones) -> Result<Viewer, Refusal> {
    if holder.zones().iter().any(|zone| zones.find(zone.as_str()).is_some()) {
        Ok(Viewer::new(Entitlement::new(holder.zones(), zones), holder.limits()))
    } else {
        Err(Refusal::NoZone)
    }
}
