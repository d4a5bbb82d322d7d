//! A month: everything that senders and operators do of their own accord, drawn before anything is decided about it.
//!
//! It is given a scenario that states its callers, a number of days and a seed. No policy is known here, so every policy
//! is tried on the same month. What depends on a decision (an operator looks at what is paged, an evader changes the
//! device) is drawn here as an intention, and happens in the run.

mod draw;
mod people;

use std::sync::Arc;

use pipeline::{DeviceIndex, Span, Time, Verdict, Zones};
use protocol::{Category, Position};

use crate::random::Seed;
use crate::scenario::{Caller, Scenario};
pub(crate) use people::People;

/// 2027-01-15T00:00 in Malang: every month begins on one day, so that a seed is all that tells two apart.
pub(crate) const START: Time = Time(1_799_946_000_000_000);
const DAY: Span = Span::from_secs(86_400);
/// Ten years: longer than any policy remembers.
const DAYS_MAX: u32 = 3_650;

/// A month of presses.
#[derive(Debug, Clone)]
pub struct Month {
    pub(crate) scenario: String,
    pub(crate) title: String,
    pub(crate) seed: Seed,
    pub(crate) days: u32,
    pub(crate) zones: Arc<Zones>,
    pub(crate) people: People,
    pub(crate) pranksters: Vec<Prankster>,
    /// In order of time.
    pub(crate) presses: Vec<Press>,
}

/// Why there is no month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MonthError {
    /// The scenario states no callers. Use prank-month, or add its tables to yours.
    #[error(
        "scenario \"{0}\" has no [callers], [operators] and [enrolment]: use prank-month, or add them"
    )]
    NoCallers(String),
    /// The scenario is no day that could be repeated. Give it `[presses.day]`.
    #[error("scenario \"{0}\" is not a day: it has no [presses.day]")]
    NoDay(String),
    /// There is nothing to run, or more than a policy could remember.
    #[error("{0} days: have 1 to {DAYS_MAX}")]
    Days(u32),
}

/// Who plays pranks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prankster {
    pub(crate) device: DeviceIndex,
    /// Goes on with another device when a press is held.
    pub(crate) evading: bool,
}

/// Whose device a press is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Device(DeviceIndex),
    /// Whichever device this prankster uses at the time.
    Prankster(usize),
}

/// Somebody presses: a raise, maybe its resend, another raise, a cancel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Press {
    pub(crate) at: Time,
    pub(crate) caller: Caller,
    pub(crate) who: Who,
    pub(crate) place: Position,
    pub(crate) category: Category,
    /// The same bytes are sent again so long after.
    pub(crate) resent: Option<Span>,
    /// Other bytes are sent so long after.
    pub(crate) repeated: Option<Span>,
    /// It is taken back so long after.
    pub(crate) cancelled: Option<Span>,
    pub(crate) judging: Judging,
}

/// What an operator makes of a press.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judging {
    /// Nothing: nobody can tell.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) after: Span,
    /// Whether somebody gets round to it when it is paged.
    pub(crate) if_paged: bool,
    /// Whether somebody does though it is held.
    pub(crate) if_held: bool,
}

impl Month {
    /// The month that this scenario has under this seed.
    ///
    /// # Errors
    /// If the scenario does not say who presses, or is no day, or there are no days.
    pub fn generate(scenario: &Scenario, days: u32, seed: Seed) -> Result<Self, MonthError> {
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(MonthError::Days(days));
        }
        draw::month(scenario, days, seed)
    }

    /// How many presses it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.presses.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.presses.is_empty()
    }

    /// How many presses of this kind it has.
    #[must_use]
    pub fn count(&self, caller: Caller) -> usize {
        self.presses.iter().filter(|press| press.caller == caller).count()
    }
}

#[cfg(test)]
mod tests;
