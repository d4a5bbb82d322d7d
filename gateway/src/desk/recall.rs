//! Tells the desk of the past before it serves: what the index knows of each device, and the newest lines of the journal.

use std::sync::Arc;

use pipeline::{Act, Answer, Cursor, Desk, Entry, Input, Output, Past, Routing, Span, Time};
use protocol::DeviceId;

use crate::clock;
use crate::hints::Hints;
use crate::intake::Followers;
use crate::journal::{JournalError, Reader};
use crate::registry::Registry;
use crate::search::{Lookup, Prepared, SearchError};

/// Lines read at once.
const AT_ONCE: usize = 10_000;

/// Where the past is read.
pub struct Sources<'a> {
    /// The index.
    pub lookup: &'a Lookup,
    /// The journal.
    pub reader: &'a mut Reader,
    /// Who is enrolled.
    pub registry: &'a Registry,
    /// Where shards read how devices stand.
    pub hints: &'a Hints,
    /// Who is told what becomes of an alert.
    pub followers: &'a Followers,
    /// By what alerts are routed and climb.
    pub routing: Arc<Routing>,
}

/// Why the past could not be told.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// The index cannot be read.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Tells `desk` everything, at least `horizon` back from the newest line. What it wants done because of it, apart from
/// hints, is returned.
///
/// # Errors
/// If index or journal cannot be read.
pub fn recall(
    desk: &mut Desk,
    horizon: Span,
    sources: &mut Sources<'_>,
) -> Result<Vec<Output>, RecallError> {
    let Sources { lookup, reader, registry, hints, followers, routing } = sources;
    let now = clock::now();
    let mut wanted = vec![];
    let mut tell = |input| {
        desk.handle(input, now);
        while let Some(output) = desk.poll_output() {
            match output {
                Output::Hint(device, hint) => hints.set(device, hint),
                other => wanted.push(other),
            }
        }
    };
    tell(Input::Routed(Arc::clone(routing)));
    tell(Input::Fleet(Arc::new(registry.fleet())));
    let indexed = lookup.indexed()?;
    tell(Input::Indexed(indexed));
    lookup.counters(|device, counters| {
        if let Some(index) = registry.index_of(&device) {
            tell(Input::Counted(index, counters));
        }
    })?;
    lookup.standings(|device, standing| {
        if let Some(index) = registry.index_of(&device) {
            tell(Input::Stands { index, device, standing });
        }
    })?;
    for (zone, Prepared { posture, drill_until }) in lookup.preparations()? {
        tell(Input::Prepared { zone, drill_until, posture });
    }
    let newest = reader.read_after(Cursor(indexed.0.saturating_sub(1)), AT_ONCE)?;
    let since = told_since(newest.last(), now, horizon);
    let first = lookup.first_since(since)?.min(indexed.next());
    let mut after = Cursor(first.0.saturating_sub(1));
    let mut latest = Time::default();
    loop {
        let entries = reader.read_after(after, AT_ONCE)?;
        let Some(last) = entries.last() else { break };
        after = last.cursor();
        followers.tell(&entries);
        for entry in entries {
            latest = latest.max(entry.at());
            let device = device_of(&entry).and_then(|device| registry.get(&device));
            let device_index = device.as_ref().map(|device| device.index);
            let enrolment = device.map(|device| device.enrolment).unwrap_or_default();
            let answer = indexed_answer(lookup, &entry)?;
            tell(Input::Recalled(Past { entry, device_index, enrolment, answer }));
        }
    }
    // Lines that lie ahead were written before the clock was set back.
    hints.pass(latest);
    hints.pass(now);
    Ok(wanted)
}

/// The past counts from the journal's end: what its last lines left undone has to be made up for, however long nobody
/// served since.
fn told_since(newest: Option<&Entry>, now: Time, horizon: Span) -> Time {
    newest.map_or(now, |line| line.at().min(now)) - horizon
}

/// How far the index knows the alert to be answered that a line pages: what answered it may lie further back than is told.
fn indexed_answer(lookup: &Lookup, entry: &Entry) -> Result<Answer, SearchError> {
    let Entry::Decision(decision) = entry else { return Ok(Answer::Waiting) };
    let pages = matches!(decision.act, Act::Promote | Act::Notice(_) | Act::Escalate { .. });
    match decision.alert.filter(|_| pages) {
        Some((alert, _)) => lookup.answer(alert),
        None => Ok(Answer::Waiting),
    }
}

fn device_of(entry: &Entry) -> Option<DeviceId> {
    match entry {
        Entry::Message(record) => Some(record.device),
        Entry::Decision(decision) => decision.device,
    }
}

#[cfg(test)]
mod tests {
    use pipeline::{Actor, Decision, ZoneId};

    use super::*;

    #[test]
    fn the_past_counts_from_the_end_of_the_journal_however_long_nobody_served() {
        let line = |at| {
            Entry::from(Decision {
                cursor: Cursor(1),
                decided_at: Time(at),
                actor: Actor::Operator(Arc::from("siti")),
                act: Act::Appeal,
                device: None,
                alert: None,
                zone: ZoneId::new("west"),
                reason: None,
                evidence: vec![],
                standing: None,
                raise: None,
                place: None,
            })
        };
        let (now, horizon) = (Time(1_000_000), Span(100));
        assert_eq!(told_since(Some(&line(2_000)), now, horizon), Time(1_900));
        assert_eq!(told_since(Some(&line(2_000_000)), now, horizon), Time(999_900), "set back");
        assert_eq!(told_since(None, now, horizon), Time(999_900));
    }
}
