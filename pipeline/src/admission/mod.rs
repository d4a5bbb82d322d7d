//! What is known of devices and their presses, and what that comes to for the next message.
//!
//! Everything here is a fold over the journal: [`Admission::note`] takes each journaled message and
//! [`Admission::apply`] each decision, in order, both while the desk lives and when it is told the past. Whatever was
//! decided about a message is read from its line, never decided anew, so that a restart changes nothing. Judging reads
//! that state and the policy; it changes nothing but the buckets of the rates, which only journaled messages reach.

mod ladder;
mod models;
mod nearby;
mod note;
mod placeless;
mod presses;
mod rates;
mod recent;
mod standings;
mod surge;

use std::sync::Arc;

use protocol::{AlertId, DeviceId, Kind, Label, Labels, Position};

use self::models::{ModelNumber, Models};
use self::nearby::Nearby;
pub(crate) use self::nearby::{Pending, Raiser};
pub(crate) use self::note::{Findings, Telling};
use self::placeless::Placeless;
use self::presses::{Open, Presses};
pub(crate) use self::rates::retry_after_ms;
use self::rates::{Class, Rates};
use self::recent::Recent;
use self::standings::Standings;
use self::surge::{Census, Name, Surges};
use crate::place::Spot;
use crate::{
    Act, Actor, Cursor, Decision, DeskConfig, DeviceIndex, Disposition, Enrolment, Fleet, Grade,
    Hint, Model, Policy, Record, Rule, Span, Standing, Time,
};

/// Messages overtake each other, and decisions them, by far less than this. One that was read so long before the latest
/// moment was read after the clock was set back.
const SET_BACK_MIN: Span = Span::from_secs(600);

#[derive(Debug)]
pub(crate) struct Admission {
    policy: Arc<Policy>,
    fleet: Arc<Fleet>,
    witnesses_max: usize,
    pending_max: usize,
    standings: Standings,
    presses: Presses,
    rates: Rates,
    models: Models,
    nearby: Nearby,
    /// Presses that were not paged and have no place yet.
    unplaced_pending: Placeless<Arc<Record>>,
    /// Presses of devices in good standing that have no place yet.
    unplaced_witnesses: Placeless<()>,
    surges: Surges,
    cancelled: Recent,
    phantom: Recent,
    /// The latest moment that the journal tells of, by the clock as it was last set.
    latest: Time,
}

/// Who sends a message: what its journal line does not say by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) device: DeviceIndex,
    pub(crate) enrolment: Enrolment,
    /// What the message says about its model.
    pub(crate) model: Option<Model>,
    /// Where it was sent, or where the device is mounted.
    pub(crate) place: Option<Position>,
}

/// What becomes of a raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) disposition: Disposition,
    pub(crate) joins: Option<AlertId>,
    /// The incident of the press that it joins.
    pub(crate) incident: Option<AlertId>,
    pub(crate) on_probation: bool,
}

/// How full each table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdmissionSizes {
    /// Devices with something held against them.
    pub standings: usize,
    /// Blocks that last.
    pub blocks: usize,
    /// Devices that there is room for among the presses.
    pub presses: usize,
    /// Buckets that are not full.
    pub rates: usize,
    /// Models told apart.
    pub models: usize,
    /// Raises that may confirm a held press.
    pub witnesses: usize,
    /// Presses that wait to be confirmed.
    pub pending: usize,
    /// Presses that wait for a place.
    pub placeless: usize,
    /// First presses counted for surges.
    pub surge_presses: usize,
    /// Alerts counted by rules.
    pub rule_events: usize,
}

impl Admission {
    pub(crate) fn new(policy: Arc<Policy>, config: &DeskConfig) -> Self {
        Self {
            rates: Rates::new(&policy.rates),
            policy,
            fleet: Arc::default(),
            witnesses_max: config.witnesses_max,
            pending_max: config.pending_max,
            standings: Standings::default(),
            presses: Presses::default(),
            models: Models::default(),
            nearby: Nearby::default(),
            unplaced_pending: Placeless::default(),
            unplaced_witnesses: Placeless::default(),
            surges: Surges::default(),
            cancelled: Recent::default(),
            phantom: Recent::default(),
            latest: Time(0),
        }
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Another policy is in force.
    pub(crate) fn rule(&mut self, policy: Arc<Policy>) {
        self.rates.set(&policy.rates);
        if policy.corroboration.radius_m != self.policy.corroboration.radius_m {
            self.nearby.rearrange(&policy.corroboration, self.witnesses_max);
        }
        self.policy = policy;
    }

    /// The fleet has changed.
    pub(crate) fn count_fleet(&mut self, fleet: Arc<Fleet>) {
        self.fleet = fleet;
    }

    /// How the device stands, by what was decided.
    pub(crate) fn standing(&self, device: DeviceIndex) -> Standing {
        self.standings.get(device)
    }

    /// The index says how a device stands.
    pub(crate) fn stands(&mut self, device: DeviceIndex, id: DeviceId, standing: &Standing) {
        self.standings.set(device, id, standing);
    }

    /// The block that ends first.
    pub(crate) fn next_end(&self) -> Option<(Time, DeviceIndex, DeviceId)> {
        self.standings.next_end()
    }

    /// Whether an update is marked as one of a device on probation: whoever it places confirms nobody.
    pub(crate) fn is_on_probation(&self, sender: &Sender, at: Time) -> bool {
        self.grade(sender.device, sender.enrolment, at).0 == Grade::Probation
    }

    /// How the device stands at `at`, and until when.
    pub(crate) fn grade(
        &self,
        device: DeviceIndex,
        enrolment: Enrolment,
        at: Time,
    ) -> (Grade, Time) {
        let (grade, until) = self.standings.grade(device, at);
        let new_until = self.policy.new_until(enrolment);
        match grade {
            Grade::Blocked => (grade, until),
            _ if until.max(new_until) > at => (Grade::Probation, until.max(new_until)),
            _ => (Grade::Good, Time(0)),
        }
    }

    /// What shards are told of the device.
    pub(crate) fn hint(&self, device: DeviceIndex, enrolment: Enrolment, at: Time) -> Hint {
        let (grade, until) = self.grade(device, enrolment, at);
        Hint::new(grade, until, self.presses.open_until(device, self.policy.press.window))
    }

    /// Charges the device for a message; if it has nothing left, how long it should wait. A late raise is not charged.
    pub(crate) fn charge(
        &mut self,
        kind: Kind,
        labels: Labels,
        device: DeviceIndex,
        at: Time,
    ) -> Result<(), Span> {
        self.follow_clock(at);
        let class = match (kind, labels.contains(Label::Late)) {
            (Kind::Raise, true) => return Ok(()),
            (Kind::Raise, false) => Class::Raise,
            (_, true) => Class::Backlog,
            (Kind::Update | Kind::Cancel, false) => Class::Update,
            (Kind::Heartbeat, false) => Class::Heartbeat,
        };
        self.rates.take(class, device, at)
    }

    /// What becomes of a raise.
    pub(crate) fn judge(&self, sender: &Sender, labels: Labels, at: Time) -> Judgement {
        let (grade, _) = self.grade(sender.device, sender.enrolment, at);
        let open = self.presses.open(sender.device, at, self.policy.press.window);
        let disposition = match (grade, open) {
            (Grade::Blocked, _) => Disposition::Held,
            (_, Some(_)) => Disposition::Joined,
            (_, None) if self.is_surge(sender, labels, at) => Disposition::Noticed,
            (_, None) => Disposition::Paged,
        };
        Judgement {
            disposition,
            joins: open.map(|open| open.alert),
            incident: open.map(|open| open.incident),
            on_probation: grade == Grade::Probation,
        }
    }

    /// Whether a first press is one of many of its kind that nobody confirms. Backlog never is, and neither is a press
    /// that could not be kept to be confirmed later.
    fn is_surge(&self, sender: &Sender, labels: Labels, at: Time) -> bool {
        let model = self.model(sender, at);
        let census = Census { at: self.latest.max(at), ..self.census() };
        !labels.contains(Label::Late)
            && self.nearby.len() < self.pending_max
            && self.surges.would_surge((sender.enrolment.batch, model), &self.policy, &census)
            && !self
                .nearby
                .confirms(&self.raiser(AlertId([0; 16]), sender, at), &self.policy.corroboration)
    }

    /// Takes a decision; `device` is the place in the registry of the one that it is about.
    pub(crate) fn apply(&mut self, decision: &Decision, device: Option<DeviceIndex>) {
        self.latest = self.latest.max(decision.decided_at);
        if let (Some(device), Some(id), Some(standing)) =
            (device, decision.device, &decision.standing)
        {
            self.standings.set(device, id, standing);
        }
        match (&decision.act, &decision.actor) {
            (Act::Block { .. }, _) => {
                device.into_iter().for_each(|device| {
                    self.presses.close(device);
                    // Whoever is blocked confirms nobody.
                    self.unplaced_witnesses.clear(device);
                });
            }
            (Act::Promote, _) => self.promote(decision, device),
            (Act::Notice(_), Actor::Rule(Rule::HeldTogether)) => {
                self.nearby.told(&decision.evidence);
            }
            (Act::Notice(notice), _) => {
                if let Some(name) = Name::of(notice) {
                    self.surges.told(name, decision.decided_at, notice.alerts);
                }
            }
            _ => {}
        }
    }

    /// The promoted press is open, as if it had been paged when it was raised.
    fn promote(&mut self, decision: &Decision, device: Option<DeviceIndex>) {
        let Some((alert, cursor)) = decision.alert else { return };
        self.nearby.take(cursor, &self.policy.corroboration);
        if let Some(device) = device {
            self.unplaced_pending.remove(device, cursor);
            let raise = decision.raise.as_ref();
            let incident = raise.and_then(|raise| raise.incident).unwrap_or(alert);
            let raised_at = raise.map_or(decision.decided_at, |raise| raise.received_at);
            self.presses.note(device, Open { alert, incident }, raised_at);
        }
    }

    /// The pending press at `cursor`.
    pub(crate) fn pending(&self, cursor: Cursor) -> Option<&Pending> {
        self.nearby.get(cursor)
    }

    pub(crate) fn sizes(&self) -> AdmissionSizes {
        AdmissionSizes {
            standings: self.standings.len(),
            blocks: self.standings.blocks(),
            presses: self.presses.len(),
            rates: self.rates.len(),
            models: self.models.len(),
            witnesses: self.nearby.witnesses(),
            pending: self.nearby.len(),
            placeless: self.unplaced_pending.len() + self.unplaced_witnesses.len(),
            surge_presses: self.surges.len(),
            rule_events: self.cancelled.len() + self.phantom.len(),
        }
    }

    fn raiser(&self, alert: AlertId, sender: &Sender, at: Time) -> Raiser {
        Raiser {
            alert,
            device: sender.device,
            enrolment: sender.enrolment,
            model: self.model(sender, at),
            at,
            spot: sender.place.as_ref().map(Spot::of),
        }
    }

    /// What the message says that the device is, or what the device said lately.
    fn model(&self, sender: &Sender, at: Time) -> Option<ModelNumber> {
        match &sender.model {
            Some(model) => self.models.find(model),
            None => self.models.get(sender.device, at, self.policy.models_window()),
        }
    }

    fn census(&self) -> Census<'_> {
        Census {
            fleet: &self.fleet,
            models: &self.models,
            at: self.latest,
            models_window: self.policy.models_window(),
        }
    }

    /// Where the clock was set back, nothing that lies ahead may count until it is reached again: that can take a year.
    fn follow_clock(&mut self, at: Time) {
        if self.latest.since(at) >= SET_BACK_MIN {
            self.latest = at;
            self.rates.restart();
        }
    }

    fn forget(&mut self) {
        let (now, policy) = (self.latest, &self.policy);
        self.nearby.forget(now, policy);
        self.unplaced_pending.forget(now, policy.pending_window());
        self.unplaced_witnesses.forget(now, policy.pending_window());
        self.surges.forget(now, policy);
        let window = policy.rules.window_max();
        self.cancelled.forget(now, window);
        self.phantom.forget(now, window);
    }
}
