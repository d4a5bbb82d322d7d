//! What one token allows at this moment.
//!
//! The token is authenticated again at every read, so that its expiry, its removal and a change of zones take effect on
//! streams that are open. The set of zones is worked out anew only when the grant or the tree has changed.

use std::sync::Arc;

use pipeline::{ZoneId, Zones};

use super::entitlement::Entitlement;
use super::refusal::Refusal;
use super::state::Feed;
use crate::registry::{Subscriber, SubscriberId};

/// A token that was good when it was last looked at, and what it allows.
pub(super) struct Access {
    token: String,
    subscriber: Arc<Subscriber>,
    zones: Arc<Zones>,
    entitlement: Entitlement,
}

impl Access {
    /// What `token` allows.
    ///
    /// # Errors
    /// When it allows nothing.
    pub(super) fn new(token: &str, feed: &Feed) -> Result<Self, Refusal> {
        let subscriber = feed.subscribers.authenticate(token, (feed.now)())?;
        let zones = feed.zones.load_full();
        let entitlement = entitlement(&subscriber, &zones)?;
        Ok(Self { token: token.to_owned(), subscriber, zones, entitlement })
    }

    /// Looks at the token again.
    ///
    /// # Errors
    /// When it allows nothing any more.
    pub(super) fn renew(&mut self, feed: &Feed) -> Result<(), Refusal> {
        let subscriber = feed.subscribers.authenticate(&self.token, (feed.now)())?;
        let zones = feed.zones.load();
        if !Arc::ptr_eq(&subscriber, &self.subscriber) || !Arc::ptr_eq(&zones, &self.zones) {
            self.entitlement = entitlement(&subscriber, &zones)?;
            self.zones = Arc::clone(&zones);
            self.subscriber = subscriber;
        }
        Ok(())
    }

    /// Whether events of `zone` may be seen.
    pub(super) fn allows(&self, zone: &ZoneId) -> bool {
        self.entitlement.allows(zone)
    }

    /// The subscriber's id, for logs.
    pub(super) fn id(&self) -> SubscriberId {
        self.subscriber.id
    }
}

fn entitlement(subscriber: &Subscriber, zones: &Zones) -> Result<Entitlement, Refusal> {
    if subscriber.zones.iter().any(|zone| zones.find(zone.as_str()).is_some()) {
        Ok(Entitlement::new(&subscriber.zones, zones))
    } else {
        Err(Refusal::NoZone)
    }
}
