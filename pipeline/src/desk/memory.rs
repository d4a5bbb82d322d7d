//! The newest message ids, so that a copy is known without asking the index.
//!
//! Lines of the journal are kept in order of their cursors, without gaps, from `first` to the newest: of a message its
//! id, of a promotion the alert that it promotes, of an answer the alert that it answers. Only lines that the index holds are ever forgotten, so whatever is not
//! found here is found there: between them nothing is unknown.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;

use protocol::{AlertId, Category, MessageId};

use super::lately::Lately;
use crate::{Agencies, Answer, Cursor, Decision, DeviceIndex, Record, Time, ZoneId};

/// What is remembered of a journaled message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) cursor: Cursor,
    pub(super) device: Option<DeviceIndex>,
    pub(super) raised: Raised,
    /// Whether it is a raise that is held: nobody was paged for it.
    pub(super) held: bool,
}

/// What updates and cancels take over from their raise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raised {
    pub(super) zone: ZoneId,
    pub(super) also: Box<[ZoneId]>,
    pub(super) agencies: Agencies,
    pub(super) category: Category,
    pub(super) received_at: Time,
}

impl Raised {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            zone: record.zone.clone(),
            also: record.also.as_slice().into(),
            agencies: record.agencies,
            category: record.category,
            received_at: record.received_at,
        }
    }
}

/// What is kept of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Message(MessageId),
    /// The alert is paged after all.
    Promotion(AlertId),
    /// Somebody has answered the alert, or reopened it.
    Answer(AlertId),
    /// Any other decision.
    Decision,
}

#[derive(Debug)]
pub(super) struct Memory {
    /// Hashed without a random key: the same inputs take the same time in every run, and only enrolled devices, whose
    /// ids are SHA-256, get here.
    by_id: HashMap<MessageId, Remembered, BuildHasherDefault<DefaultHasher>>,
    /// Alerts whose promotion is among the lines.
    promoted: HashSet<AlertId, BuildHasherDefault<DefaultHasher>>,
    lately: Lately,
    /// In order of cursors; the front is at `first`.
    lines: VecDeque<Line>,
    first: Cursor,
    indexed: Cursor,
}

impl Memory {
    /// An empty memory; the next record is at `next`.
    pub(super) fn new(next: Cursor) -> Self {
        Self {
            by_id: HashMap::default(),
            promoted: HashSet::default(),
            lately: Lately::default(),
            lines: VecDeque::new(),
            first: next,
            indexed: Cursor::default(),
        }
    }

    pub(super) fn get(&self, id: &MessageId) -> Option<&Remembered> {
        self.by_id.get(id)
    }

    /// Whether every record of the journal is remembered, so that no look-up can find more.
    pub(super) fn is_whole(&self) -> bool {
        self.first == Cursor::default().next()
    }

    /// Whether every line behind `cursor` is remembered.
    pub(super) fn reaches(&self, cursor: Cursor) -> bool {
        self.first <= cursor.next()
    }

    /// Remembered records that the index does not hold yet.
    pub(super) fn unindexed(&self) -> usize {
        let ahead = self.next().0.saturating_sub(1).saturating_sub(self.indexed.0);
        usize::try_from(ahead).unwrap_or(usize::MAX).min(self.lines.len())
    }

    /// Whether the alert was promoted, as far as the lines tell.
    pub(super) fn is_promoted(&self, alert: AlertId) -> bool {
        self.promoted.contains(&alert)
    }

    /// A message was journaled.
    pub(super) fn insert(&mut self, id: MessageId, remembered: Remembered, len_max: usize) {
        debug_assert_eq!(remembered.cursor, self.next(), "lines are remembered without gaps");
        self.by_id.insert(id, remembered);
        self.lines.push_back(Line::Message(id));
        self.forget(len_max);
    }

    /// How the alert is answered, where the index says `indexed`.
    pub(super) fn answer(&self, alert: AlertId, indexed: &Answer) -> Answer {
        self.lately.answer(alert, indexed)
    }

    /// A decision was journaled.
    pub(super) fn decide(&mut self, decision: &Decision, len_max: usize) {
        debug_assert_eq!(decision.cursor, self.next(), "lines are remembered without gaps");
        let answers = self.lately.note(decision).map(Line::Answer);
        let promotes = decision.promotes();
        if let Some(alert) = promotes {
            self.promoted.insert(alert);
            if let Some(raise) = self.by_id.get_mut(&MessageId(alert.0)) {
                raise.held = false;
            }
        }
        self.lines.push_back(promotes.map(Line::Promotion).or(answers).unwrap_or(Line::Decision));
        self.forget(len_max);
    }

    /// Where the journal's tail begins that is told at a start.
    pub(super) fn begin(&mut self, cursor: Cursor) {
        if self.lines.is_empty() {
            self.first = cursor;
        }
    }

    /// The index holds everything up to `cursor`.
    pub(super) fn indexed(&mut self, cursor: Cursor, len_max: usize) {
        self.indexed = self.indexed.max(cursor);
        self.forget(len_max);
    }

    /// Forgets the oldest indexed ids beyond `len_max`.
    fn forget(&mut self, len_max: usize) {
        while self.lines.len() > len_max && self.first <= self.indexed {
            match self.lines.pop_front() {
                Some(Line::Message(id)) => drop(self.by_id.remove(&id)),
                Some(Line::Promotion(alert)) => drop(self.promoted.remove(&alert)),
                Some(Line::Answer(alert)) => self.lately.forget(alert, self.first),
                Some(Line::Decision) | None => {}
            }
            self.first = self.first.next();
        }
    }

    fn next(&self) -> Cursor {
        Cursor(self.first.0 + self.lines.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Act, Actor, Verdict};

    fn id(n: u8) -> MessageId {
        MessageId([n; 16])
    }

    fn decided(cursor: u64, act: Act) -> Decision {
        let alert = Some((AlertId([1; 16]), Cursor(1)));
        let actor = Actor::Operator("ani".into());
        let decision = Decision::of(actor, act, ZoneId::new("z"), Time(cursor));
        Decision { cursor: Cursor(cursor), alert, ..decision }
    }

    fn remembered(cursor: u64) -> Remembered {
        let raised = Raised {
            zone: ZoneId::new("z"),
            also: Box::default(),
            agencies: Agencies::ALL,
            category: Category::Unspecified,
            received_at: Time(0),
        };
        Remembered { cursor: Cursor(cursor), device: None, raised, held: false }
    }

    #[test]
    fn forgets_the_oldest_only_once_they_are_indexed() {
        let mut memory = Memory::new(Cursor(1));
        for n in 1..=4 {
            memory.insert(id(n), remembered(u64::from(n)), 2);
        }
        assert!((1..=4).all(|n| memory.get(&id(n)).is_some()), "nothing is indexed yet");
        assert_eq!(memory.unindexed(), 4);
        memory.indexed(Cursor(1), 2);
        assert!(memory.get(&id(1)).is_none());
        assert!(memory.get(&id(2)).is_some(), "not indexed");
        assert!(!memory.is_whole());
        memory.indexed(Cursor(4), 2);
        assert!(memory.get(&id(2)).is_none());
        assert!(memory.get(&id(3)).is_some(), "within the bound");
        assert_eq!(memory.unindexed(), 0);
    }

    #[test]
    fn is_whole_only_while_the_first_record_is_remembered() {
        assert!(Memory::new(Cursor(1)).is_whole());
        assert!(!Memory::new(Cursor(8)).is_whole());
        let mut recalled = Memory::new(Cursor(3));
        recalled.begin(Cursor(1));
        recalled.insert(id(1), remembered(1), 10);
        recalled.begin(Cursor(2));
        recalled.insert(id(2), remembered(2), 10);
        assert!(recalled.is_whole());
    }

    #[test]
    fn remembers_a_promotion_until_the_index_knows_it() {
        let mut memory = Memory::new(Cursor(1));
        memory.insert(id(1), Remembered { held: true, ..remembered(1) }, 1);
        memory.decide(&decided(2, Act::Promote), 1);
        assert!(!memory.get(&id(1)).unwrap().held, "it was paged");
        memory.decide(&decided(3, Act::Appeal), 1);
        assert!(memory.is_promoted(AlertId([1; 16])));
        memory.indexed(Cursor(3), 1);
        assert!(!memory.is_promoted(AlertId([1; 16])));
        assert_eq!(memory.unindexed(), 0);
    }

    #[test]
    fn the_first_answer_counts_until_the_index_knows_it() {
        let (alert, waiting) = (AlertId([1; 16]), Answer::Waiting);
        let ani = |at| Answer::Acknowledged { by: "ani".into(), at: Time(at) };
        let mut memory = Memory::new(Cursor(2));
        memory.decide(&decided(2, Act::Verdict(Verdict::Genuine)), 1);
        memory.decide(&decided(3, Act::Verdict(Verdict::Genuine)), 1);
        assert_eq!(memory.answer(alert, &waiting), ani(2));
        let resolved = Answer::Resolved { by: "budi".into(), at: Time(1) };
        assert_eq!(memory.answer(alert, &resolved), resolved, "it was answered before");
        memory.decide(&decided(4, Act::Reopen), 1);
        assert_eq!(memory.answer(alert, &resolved), waiting);
        memory.decide(&decided(5, Act::Verdict(Verdict::Test)), 1);
        assert_eq!(memory.answer(alert, &resolved), ani(5), "nobody had since it was reopened");
        memory.indexed(Cursor(4), 1);
        assert_eq!(memory.answer(alert, &waiting), ani(5), "the index knows only the line before");
        memory.decide(&decided(6, Act::Appeal), 1);
        memory.indexed(Cursor(6), 1);
        assert_eq!(memory.answer(alert, &waiting), waiting, "the index is asked again");
    }
}
