//! What another policy would have done to the recorded past.
//!
//! The journal is read from its first line, beside a running gateway if need be. Every message arrives again, and every
//! decision of an operator is asked for again, at the time at which it was recorded, at a desk with the other policy;
//! what the rules decided is left to that desk. What was refused at the time is not in the journal, so a policy that
//! refuses less shows nothing here. Nothing is written.

mod case;
mod report;
mod rerun;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::{Cursor, Policy, Time, Verdict, Zones};
use protocol::AlertId;

pub use self::case::{Case, Change, Course, Sums};
use self::rerun::Rerun;
use crate::journal::{JournalError, Reader};
use crate::registry::Registry;

/// Lines read at once.
const AT_ONCE: usize = 1_000;

/// Where the past is read.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The journal.
    pub journal: &'a mut Reader,
    /// Who is enrolled.
    pub registry: &'a Registry,
    /// The zones.
    pub zones: Arc<Zones>,
}

/// The past, as it was and as it would have been. About 200 bytes for every raise in the journal.
#[derive(Debug)]
pub struct Replay {
    /// Lines of the journal.
    pub lines: u64,
    /// When the first and the last were written.
    pub span: Option<(Time, Time)>,
    /// Every raise.
    pub cases: BTreeMap<AlertId, Case>,
    /// What was decided.
    pub old: Sums,
    /// What would have been.
    pub new: Sums,
    /// Messages that the policy would have refused, though they were taken.
    pub refused: u64,
    /// What operators decided and could not have: the block that they lifted was never there, or would have been longer
    /// than the policy lets them.
    pub moot: u64,
    /// Messages whose bytes were erased; their places are unknown, so they confirm nobody.
    pub erased: u64,
}

/// Runs the whole journal past a desk with this policy.
///
/// # Errors
/// If the journal cannot be read.
pub fn replay(sources: Sources<'_>, policy: Arc<Policy>) -> Result<Replay, JournalError> {
    let Sources { journal, registry, zones } = sources;
    let end = journal.last()?;
    let mut rerun = Rerun::new(journal, registry, zones, policy);
    let mut after = Cursor(0);
    while after < end {
        let entries = rerun.journal.read_after(after, AT_ONCE)?;
        let Some(last) = entries.last() else { break };
        after = last.cursor();
        for entry in entries.iter().take_while(|entry| entry.cursor() <= end) {
            rerun.take(entry)?;
        }
    }
    rerun.replay.inherit_verdicts();
    Ok(rerun.replay)
}

impl Replay {
    /// An operator judges a press. Its repeats were never asked about, and are what it is.
    fn inherit_verdicts(&mut self) {
        let verdicts: BTreeMap<AlertId, Verdict> =
            self.cases.iter().filter_map(|(alert, case)| Some((*alert, case.verdict?))).collect();
        for case in self.cases.values_mut() {
            let joined = case.old.joins.and_then(|alert| verdicts.get(&alert));
            case.verdict = case.verdict.or(joined.copied());
        }
    }
}
