//! Who may see one event: the zones of which one must be granted, and the alert's agencies and category.
//!
//! It is given an entry of the journal and compares; whom it pages is told in the event itself.

use pipeline::{Act, Agencies, Decision, Entry, Record, ZoneId};
use protocol::{Category, Label};

use super::entitlement::Entitlement;
use crate::registry::Limits;

/// Those who may see an event. Events of one alert mostly have the same, so that a chunk has few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audience {
    /// The alert's zone, or the one whose operators a decision concerns.
    zone: ZoneId,
    /// Zones that were paged beside it.
    also: Vec<ZoneId>,
    /// The zone that it climbed to last.
    to: Option<ZoneId>,
    /// Who answers the alert, and what it is, if that is said; nothing where no alert is shown.
    alert: Option<(Agencies, Option<Category>)>,
}

impl Audience {
    /// Those who may see the event of `entry`. What is decided about an alert is for those who may see the alert.
    pub(crate) fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Message(record) => Self::of_alert(record),
            Entry::Decision(Decision { raise: Some(raise), act, .. }) => {
                let to = match act {
                    Act::Escalate { to } => to.clone(),
                    _ => None,
                };
                Self { to, ..Self::of_alert(raise) }
            }
            Entry::Decision(decision) => {
                Self { zone: decision.zone.clone(), also: vec![], to: None, alert: None }
            }
        }
    }

    /// Those who may see the message of `record`.
    pub(crate) fn of_alert(record: &Record) -> Self {
        // An update may come before its raise, which says what the alert is about.
        let unsaid =
            record.labels.contains(Label::AlertUnknown) && record.category == Category::Unspecified;
        let category = Some(record.category).filter(|_| !unsaid);
        Self {
            zone: record.zone.clone(),
            also: record.also.clone(),
            to: None,
            alert: Some((record.agencies, category)),
        }
    }

    /// The alert climbs: whoever may see this zone may see it from here on, too.
    pub(super) fn climb(&mut self, to: &ZoneId) {
        let before = self.to.replace(to.clone());
        self.also.extend(before.filter(|before| before != to && !self.also.contains(before)));
    }

    /// The zone whose alert it is.
    pub(super) fn zone(&self) -> &ZoneId {
        &self.zone
    }

    /// The zone that the alert climbed to last.
    pub(super) fn climbed_to(&self) -> Option<&ZoneId> {
        self.to.as_ref()
    }

    /// Whether a token for these zones with these limits is among them.
    pub(crate) fn has(&self, entitlement: &Entitlement, limits: &Limits) -> bool {
        let mut zones = std::iter::once(&self.zone).chain(&self.also).chain(&self.to);
        zones.any(|zone| entitlement.allows(zone))
            && self
                .alert
                .is_none_or(|(agencies, category)| limits.scope().admits(agencies, category))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pipeline::Agency;
    use protocol::{Kind, Labels};

    use super::*;
    use crate::feed::testing::{record, town};

    fn fire_in_west_1() -> Record {
        Record {
            category: Category::Fire,
            agencies: Agencies::NONE.with(Agency::Fire),
            ..record(1, "west-1")
        }
    }

    fn seen(audience: &Audience, granted: &str, limits: Limits) -> bool {
        audience.has(&Entitlement::new(&[ZoneId::new(granted)], &town()), &limits)
    }

    fn for_agency(agency: Agency) -> Limits {
        Limits { agencies: Agencies::NONE.with(agency), ..Limits::default() }
    }

    #[test]
    fn alert_is_for_its_zone_for_those_above_and_for_zones_paged_beside_it() {
        let alone = Audience::of(&fire_in_west_1().into());
        let also = vec![ZoneId::new("west-2")];
        let both = Audience::of(&Record { also, ..fire_in_west_1() }.into());
        for (granted, sees_one, sees_both) in [
            ("town", true, true),
            ("west", true, true),
            ("west-1", true, true),
            ("west-2", false, true),
            ("east", false, false),
        ] {
            assert_eq!(seen(&alone, granted, Limits::default()), sees_one, "{granted}");
            assert_eq!(seen(&both, granted, Limits::default()), sees_both, "{granted}");
        }
    }

    #[test]
    fn limits_hold_for_alerts_and_for_what_is_decided_about_them() {
        let raise = Arc::new(fire_in_west_1());
        let decided = crate::journal::testing::decision(2, 1);
        let verdict = Decision { raise: Some(raise), ..decided.clone() };
        for audience in [Audience::of(&fire_in_west_1().into()), Audience::of(&verdict.into())] {
            assert!(seen(&audience, "west", for_agency(Agency::Fire)));
            assert!(!seen(&audience, "west", for_agency(Agency::Police)));
            let crimes = [Category::Crime].into_iter().collect();
            let only_crimes = Limits { categories: crimes, ..Limits::default() };
            assert!(!seen(&audience, "west", only_crimes));
        }
        let notice = Decision { raise: None, zone: ZoneId::new("west"), ..decided };
        assert!(seen(&Audience::of(&notice.into()), "west", for_agency(Agency::Police)));
    }

    #[test]
    fn update_is_for_all_who_may_see_its_alert_and_for_nobody_else() {
        let fires =
            Limits { categories: [Category::Fire].into_iter().collect(), ..Limits::default() };
        let update = Record { kind: Kind::Update, incident: None, ..fire_in_west_1() };
        assert!(seen(&Audience::of(&update.clone().into()), "west", fires));
        for category in [Category::Crime, Category::Unspecified] {
            let of_another = Record { category, ..update.clone() };
            assert!(!seen(&Audience::of(&of_another.clone().into()), "west", fires));
            // What it is about may be said by a raise that has not come.
            let labels = Labels::NONE.with(Label::AlertUnknown);
            let ahead = Record { labels, ..of_another };
            let unsaid = category == Category::Unspecified;
            assert_eq!(seen(&Audience::of(&ahead.into()), "west", fires), unsaid);
        }
    }

    #[test]
    fn escalation_is_for_the_zone_that_it_names_too() {
        let escalation = |to: Option<&str>| {
            let decided = crate::journal::testing::decision(2, 1);
            let act = Act::Escalate { to: to.map(ZoneId::new) };
            Audience::of(
                &Decision { act, raise: Some(Arc::new(fire_in_west_1())), ..decided }.into(),
            )
        };
        assert!(seen(&escalation(Some("east")), "east", Limits::default()));
        assert!(seen(&escalation(Some("east")), "west-1", Limits::default()));
        // To everybody who is entitled is not to everybody.
        assert!(seen(&escalation(None), "west", Limits::default()));
        assert!(!seen(&escalation(None), "east", Limits::default()));
    }
}
