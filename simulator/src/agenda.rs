//! Virtual time: what happens next. A queue of events by the moment at which they are due; events of one moment come in
//! the order in which they were put in. There is no other clock.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use pipeline::Time;

/// Events that are due.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    due: BinaryHeap<Reverse<Due<E>>>,
    /// How many were ever put in: the order within a moment.
    sequence: u64,
}

#[derive(Debug)]
struct Due<E> {
    at: Time,
    sequence: u64,
    event: E,
}

impl<E> Agenda<E> {
    pub(crate) fn new() -> Self {
        Self { due: BinaryHeap::new(), sequence: 0 }
    }

    pub(crate) fn put(&mut self, at: Time, event: E) {
        self.sequence += 1;
        self.due.push(Reverse(Due { at, sequence: self.sequence, event }));
    }

    /// When the next event is due.
    pub(crate) fn next_at(&self) -> Option<Time> {
        self.due.peek().map(|Reverse(due)| due.at)
    }

    pub(crate) fn take(&mut self) -> Option<(Time, E)> {
        self.due.pop().map(|Reverse(due)| (due.at, due.event))
    }
}

impl<E> Due<E> {
    fn place(&self) -> (Time, u64) {
        (self.at, self.sequence)
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<E> Eq for Due<E> {}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_those_of_one_moment_as_they_were_put_in() {
        let mut agenda = Agenda::new();
        for (at, event) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b')] {
            agenda.put(Time(at), event);
        }
        assert_eq!(agenda.next_at(), Some(Time(3)));
        let order: Vec<_> = std::iter::from_fn(|| agenda.take()).collect();
        assert_eq!(order, [(Time(3), 'a'), (Time(3), 'b'), (Time(5), 'c'), (Time(5), 'd')]);
        assert_eq!(agenda.next_at(), None);
    }
}
