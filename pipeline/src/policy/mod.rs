//! The policy: every number by which presses are joined, held, counted and confirmed.
//!
//! It is read from TOML text and from variables that the caller hands in, with every problem said at once. A policy that
//! could refuse a first press cannot be written: there is no key that refuses one, and windows, quotas and ladders that
//! would come to the same are refused. What is in force is one value; a reload replaces it whole.

mod codecs;
mod rules;
mod sections;

use toml::de::DeTable;

pub use codecs::Lasting;
pub use rules::{CancelledRule, PhantomRule, Rules};
pub(crate) use sections::GROUPS_MAX;
pub use sections::{
    Corroboration, Held, Incident, Late, Motion, Press, Probation, Rates, Strikes, Surge,
};

use crate::settings::{Place, Problem, Reader};
use crate::{Enrolment, Span, Time};

/// Every variable with this prefix is the policy's: `KENTONGAN_RULE_PRESS_WINDOW` is `window` of section `press`.
pub const POLICY_VARIABLE_PREFIX: &str = "KENTONGAN_RULE_";

/// The longest window over messages: at a start, whatever lies within it is read again.
pub const HORIZON_MAX: Span = Span::from_secs(86_400);

/// How often something may happen: so many at once, and then evenly so many within the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How many at once.
    pub burst: u32,
    /// The time in which as many are granted anew.
    pub per: Span,
}

/// Every number by which the desk admits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// When a raise is a first press.
    pub press: Press,
    /// When pranks lead to a block.
    pub strikes: Strikes,
    /// When first presses take a lower lane.
    pub probation: Probation,
    /// What the sender of a held press is told.
    pub held: Held,
    /// How often one device may send.
    pub rates: Rates,
    /// When a message is backlog.
    pub late: Late,
    /// When others confirm a held press.
    pub corroboration: Corroboration,
    /// When the presses of one batch or model are told as one notice.
    pub surge: Surge,
    /// Which alerts belong together.
    pub incident: Incident,
    /// When it is told that whoever pressed moves, or has gone quiet.
    pub motion: Motion,
    /// What puts a device on probation by itself.
    pub rules: Rules,
}

impl Policy {
    /// The policy that TOML `text` and `variables` state.
    ///
    /// # Errors
    /// Every problem at once, in the order of lines.
    pub fn read(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Problem>> {
        let (table, syntax) = DeTable::parse_recoverable(text);
        let mut reader = Reader::new(text, table.get_ref(), POLICY_VARIABLE_PREFIX, variables);
        syntax.iter().for_each(|error| reader.add_syntax(error));
        let policy = Self {
            press: Press::read(&mut reader),
            strikes: Strikes::read(&mut reader),
            probation: Probation::read(&mut reader),
            held: Held::read(&mut reader),
            rates: Rates::read(&mut reader),
            late: Late::read(&mut reader),
            corroboration: Corroboration::read(&mut reader),
            surge: Surge::read(&mut reader),
            incident: Incident::read(&mut reader),
            motion: Motion::read(&mut reader),
            rules: Rules::read(&mut reader),
        };
        let mut problems = reader.finish();
        policy.check_together(&mut problems);
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    /// How far back messages must be recalled at a start, so that every window over them is whole: also over what
    /// devices said of their models before they pressed. A day at most.
    #[must_use]
    pub fn horizon(&self) -> Span {
        // Whoever confirms a press, and whatever a rule counts, was of a model when it was raised.
        let phantom = self.rules.phantom.iter().map(|rule| rule.window).max().unwrap_or_default();
        let raised = self.confirmed_window().max(phantom);
        Span(self.models_window().0 + raised.0).min(HORIZON_MAX)
    }

    /// How long what a device says of its model counts: as long as the longest window over messages.
    #[must_use]
    pub fn models_window(&self) -> Span {
        let rates = [self.rates.raise, self.rates.update, self.rates.heartbeat, self.rates.backlog];
        // Whether an incident still grows is known only where its first alert is.
        let incident = Span(self.incident.lasts_max.0 + self.incident.window.0);
        let confirmed = self.confirmed_window();
        let windows = [self.press.window, confirmed, self.rules.window_max(), incident];
        let longest = rates.iter().map(|quota| quota.per).chain(windows).max();
        longest.unwrap_or_default().min(HORIZON_MAX)
    }

    /// How far back presses matter: whoever confirmed the oldest that waits to be confirmed pressed before it.
    pub(crate) fn confirmed_window(&self) -> Span {
        Span(self.pending_window().0 + self.corroboration.window.0)
    }

    /// How long a press that was not paged waits for others to confirm it.
    #[must_use]
    pub fn pending_window(&self) -> Span {
        self.corroboration.window.max(self.surge_window())
    }

    /// Every key whose value differs, with the value here and in `new`.
    #[must_use]
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let pairs = self.values().into_iter().zip(new.values());
        let changed = pairs.filter(|((.., old), (.., new))| old != new);
        changed
            .map(|((section, key, old), (.., new))| {
                let [old, new] = [old, new].map(Option::unwrap_or_default);
                format!("{section}.{key}: {old} -> {new}")
            })
            .collect()
    }

    /// Until when a device that was enrolled like this is on probation for it.
    #[must_use]
    pub fn new_until(&self, enrolment: Enrolment) -> Time {
        if enrolment.trusted_from == Time(0) {
            return Time(0);
        }
        enrolment.trusted_from + self.probation.new_device
    }

    /// Within which time the presses of a surge are counted. Not longer than the window of a press, so that no device is
    /// counted twice.
    #[must_use]
    pub fn surge_window(&self) -> Span {
        self.surge.window.min(self.press.window)
    }

    /// How long the block lasts that follows `before` others.
    #[must_use]
    pub fn block(&self, before: u8) -> Span {
        let blocks = &self.strikes.blocks;
        blocks.get(usize::from(before)).or(blocks.last()).copied().unwrap_or_default()
    }

    fn values(&self) -> Vec<(&'static str, &'static str, Option<String>)> {
        [
            self.press.show(),
            self.strikes.show(),
            self.probation.show(),
            self.held.show(),
            self.rates.show(),
            self.late.show(),
            self.corroboration.show(),
            self.surge.show(),
            self.incident.show(),
            self.motion.show(),
            self.rules.show(),
        ]
        .concat()
    }

    /// What no key can be blamed for alone. Keys that are wrong by themselves are not blamed again.
    fn check_together(&self, problems: &mut Vec<Problem>) {
        let mut refuse = |path: &str, other: &str, what: String| {
            if problems.iter().all(|problem| problem.path != path && problem.path != other) {
                problems.push(Problem { place: Place::Whole, path: path.to_owned(), what });
            }
        };
        if self.strikes.blocks.last().is_some_and(|longest| *longest > self.strikes.memory) {
            let what = "is shorter than the longest block, so that block would be forgotten while it lasts";
            refuse("strikes.memory", "strikes.blocks", what.to_owned());
        }
        if self.corroboration.batches > self.corroboration.devices {
            let what = "is more than corroboration.devices; that many devices cannot be of so many batches";
            refuse("corroboration.batches", "corroboration.devices", what.to_owned());
        }
        if self.incident.window > self.incident.lasts_max {
            let what =
                "is longer than incident.lasts_max, so no incident would be over before it ends";
            refuse("incident.window", "incident.lasts_max", what.to_owned());
        }
        if self.incident.radius_m > self.incident.spread_m {
            let what = "is wider than incident.spread_m, which then alone would count";
            refuse("incident.radius_m", "incident.spread_m", what.to_owned());
        }
        if let Some((path, what)) = self.rules.problem() {
            refuse(path, path, what);
        }
    }
}

#[cfg(test)]
mod tests;
