//! Who asks: the token of a request, what its role may do, and in which zones.

use std::sync::Arc;

use axum::http::HeaderMap;
use pipeline::{Reach, Record, Scope, ZoneId, Zones};

use super::Api;
use super::refusal::Refusal;
use crate::feed::{Audience, Entitlement, bearer};
use crate::registry::{Operator, Sight, TokenError};
use crate::search::AlertRow;

/// Somebody with a token that is good at this moment.
pub(super) struct Caller {
    pub(super) operator: Arc<Operator>,
    zones: Arc<Zones>,
    entitlement: Entitlement,
}

impl Caller {
    /// Whoever sent `headers`.
    ///
    /// # Errors
    /// If they have no token that counts here.
    pub(super) fn of(api: &Api, headers: &HeaderMap) -> Result<Self, Refusal> {
        let token = bearer(headers).ok_or(Refusal::NoToken)?;
        let now = (api.now)();
        let operator = match api.operators.authenticate(token, now) {
            Err(TokenError::Unknown) if api.subscribers.authenticate(token, now).is_ok() => {
                return Err(Refusal::FeedOnly);
            }
            found => found?,
        };
        let zones = api.zones.load_full();
        let entitlement = Entitlement::new(&operator.zones, &zones);
        Ok(Self { operator, zones, entitlement })
    }

    /// The same, if their role is shown alerts and one of their zones is drawn.
    ///
    /// # Errors
    /// If not.
    pub(super) fn who_sees_alerts(api: &Api, headers: &HeaderMap) -> Result<Self, Refusal> {
        let caller = Self::of(api, headers)?;
        if !caller.operator.role.sees_alerts() {
            return Err(Refusal::Role("an operator, a supervisor or a reader"));
        }
        let mut granted = caller.operator.zones.iter();
        if granted.all(|zone| caller.zones.find(zone.as_str()).is_none()) {
            return Err(Refusal::NoZone);
        }
        Ok(caller)
    }

    /// The same, if their word counts.
    ///
    /// # Errors
    /// If not.
    pub(super) fn who_decides(api: &Api, headers: &HeaderMap) -> Result<Self, Refusal> {
        let caller = Self::who_sees_alerts(api, headers)?;
        if caller.operator.role.decides() {
            Ok(caller)
        } else {
            Err(Refusal::Role("an operator or a supervisor"))
        }
    }

    /// Whether they may see what belongs to `zone`.
    pub(super) fn allows(&self, zone: &ZoneId) -> bool {
        self.entitlement.allows(zone)
    }

    /// Whether they may see this alert, as a result: it is in scope, and a zone of theirs was paged for it.
    ///
    /// # Errors
    /// If they may not. One that is not in scope is as unknown as one that is not there.
    pub(super) fn must_see(&self, alert: &AlertRow) -> Result<(), Refusal> {
        if !self.scope().admits(alert.agencies, Some(alert.category)) {
            return Err(Refusal::UnknownAlert(alert.alert));
        }
        if alert.paged_all || alert.paged_zones.iter().any(|zone| self.allows(zone)) {
            return Ok(());
        }
        Err(Refusal::OutOfReach)
    }

    /// Whether they may see this message for its own sake, as on the feed.
    pub(super) fn allows_message(&self, record: &Record) -> bool {
        Audience::of_alert(record).has(&self.entitlement, &self.operator.limits)
    }

    /// On which alerts they may act, beside where.
    pub(super) fn scope(&self) -> Scope {
        self.operator.limits.scope()
    }

    /// How exactly they are shown places.
    pub(super) fn sight(&self) -> Sight {
        self.operator.limits.sight
    }

    /// The tree of zones in force.
    pub(super) fn tree(&self) -> &Zones {
        &self.zones
    }

    /// The zone with this id, in which they may act.
    ///
    /// # Errors
    /// If there is no such zone, or if it is out of their reach.
    pub(super) fn zone(&self, id: &str) -> Result<ZoneId, Refusal> {
        let zone = self.zones.find(id).map(|index| self.zones.id(index));
        let zone = zone.ok_or_else(|| Refusal::UnknownZone(id.to_owned()))?;
        self.must_reach(&zone)?;
        Ok(zone)
    }

    /// Whether they may see what belongs to `zone`, as a result.
    ///
    /// # Errors
    /// If they may not.
    pub(super) fn must_reach(&self, zone: &ZoneId) -> Result<(), Refusal> {
        if self.allows(zone) { Ok(()) } else { Err(Refusal::OutOfReach) }
    }

    /// The zones at or below the one named, all of which they may see.
    ///
    /// # Errors
    /// If there is no such zone, or if it is out of their reach.
    pub(super) fn within(&self, zone: &str) -> Result<Entitlement, Refusal> {
        let id = ZoneId::new(zone);
        let drawn = self.zones.find(zone).is_some();
        if !drawn && !self.operator.zones.contains(&id) {
            return Err(Refusal::UnknownZone(zone.to_owned()));
        }
        self.must_reach(&id)?;
        Ok(Entitlement::new(&[id], &self.zones))
    }

    /// Where they may act.
    pub(super) fn reach(&self) -> Reach {
        match self.entitlement {
            Entitlement::Everything => Reach::Everywhere,
            Entitlement::Zones(_) => Reach::Zones(self.operator.zones.as_slice().into()),
        }
    }

    /// The root zone: where a device belongs that never pressed.
    pub(super) fn root(&self) -> ZoneId {
        let root = self.zones.get(self.zones.root());
        root.map_or_else(|| ZoneId::new(""), |zone| zone.id.clone())
    }
}
