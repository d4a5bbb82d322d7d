//! Whose turn it is among validated addresses that wait for a handshake.
//!
//! Each address has a queue of its own, and the addresses take turns, so that one that asks a thousand times waits for
//! itself. Addresses that are over their budget wait behind the others, but every fourth turn is theirs while they
//! wait: they lose priority, never service. There is a bound for all together; what happens at it stands at
//! [`push`](FairQueue::push).

use std::collections::{BTreeMap, VecDeque};

use super::{AddressStanding, Neighbourhood};

/// One turn in so many goes to addresses over their budget, while both kinds wait.
const TURNS_PER_EXHAUSTED: u32 = 4;

/// Of a full queue, one place in so many is not taken from addresses over their budget once they wait in it: their turn
/// would come to nothing if the others could take all their places first.
const PLACES_PER_EXHAUSTED: usize = 4;

/// What became of an item that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed<T> {
    /// It waits.
    Waiting,
    /// It waits in the place of this one, or this is itself: there was no room. It was not refused, only not heard; its
    /// sender sends again.
    TurnedAway(T),
}

/// Items that wait, by address.
#[derive(Debug)]
pub struct FairQueue<T> {
    in_budget: Tier<T>,
    exhausted: Tier<T>,
    len_max: usize,
    /// Turns since the last one of an address over its budget.
    turns_in_budget: u32,
}

#[derive(Debug)]
struct Tier<T> {
    /// Addresses that wait, the next one first.
    turns: VecDeque<Neighbourhood>,
    /// In an order of its own: addresses are a stranger's to choose, so nothing here depends on a hash of them.
    waiting: BTreeMap<Neighbourhood, VecDeque<T>>,
    len: usize,
}

impl<T> FairQueue<T> {
    /// An empty queue for so many items; at least one.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self {
            in_budget: Tier::new(),
            exhausted: Tier::new(),
            len_max: len_max.max(1),
            turns_in_budget: 0,
        }
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_budget.len + self.exhausted.len
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets an item wait for its address's turn.
    ///
    /// When the queue is full, one makes room that has the least claim: the newest of the longest queue among addresses
    /// over their budget, if the newcomer's is not and they have more than a quarter of the places; otherwise the newest
    /// of the longest queue of the newcomer's kind, if that is longer than the newcomer's own would be; otherwise the
    /// newcomer himself.
    pub fn push(&mut self, of: Neighbourhood, address: AddressStanding, item: T) -> Pushed<T> {
        let mut away = None;
        if self.len() >= self.len_max {
            match self.make_room(of, address) {
                Some(made) => away = Some(made),
                None => return Pushed::TurnedAway(item),
            }
        }
        self.tier(address).push(of, item);
        away.map_or(Pushed::Waiting, Pushed::TurnedAway)
    }

    /// The item whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let exhausted_next = self.turns_in_budget + 1 >= TURNS_PER_EXHAUSTED;
        if self.exhausted.len > 0 && (self.in_budget.len == 0 || exhausted_next) {
            self.turns_in_budget = 0;
            return self.exhausted.pop();
        }
        self.turns_in_budget = self.turns_in_budget.saturating_add(1);
        self.in_budget.pop()
    }

    fn make_room(&mut self, of: Neighbourhood, address: AddressStanding) -> Option<T> {
        let kept = self.len_max / PLACES_PER_EXHAUSTED;
        if address == AddressStanding::InBudget && self.exhausted.len > kept {
            let longest = self.exhausted.longest()?;
            return self.exhausted.pop_newest(longest);
        }
        let tier = self.tier(address);
        let longest = tier.longest()?;
        let with_newcomer = tier.len_of(of) + 1;
        if tier.len_of(longest) > with_newcomer { tier.pop_newest(longest) } else { None }
    }

    fn tier(&mut self, address: AddressStanding) -> &mut Tier<T> {
        match address {
            AddressStanding::InBudget => &mut self.in_budget,
            AddressStanding::Exhausted => &mut self.exhausted,
        }
    }
}

impl<T> Tier<T> {
    fn new() -> Self {
        Self { turns: VecDeque::new(), waiting: BTreeMap::new(), len: 0 }
    }

    fn push(&mut self, of: Neighbourhood, item: T) {
        let queue = self.waiting.entry(of).or_default();
        if queue.is_empty() {
            self.turns.push_back(of);
        }
        queue.push_back(item);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<T> {
        let of = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&of)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&of);
        } else {
            self.turns.push_back(of);
        }
        self.len -= 1;
        Some(item)
    }

    fn len_of(&self, of: Neighbourhood) -> usize {
        self.waiting.get(&of).map_or(0, VecDeque::len)
    }

    /// The address that waits most often. Looks at all of them, which are as many as the bound allows.
    fn longest(&self) -> Option<Neighbourhood> {
        self.waiting.iter().max_by_key(|(_, queue)| queue.len()).map(|(of, _)| *of)
    }

    fn pop_newest(&mut self, of: Neighbourhood) -> Option<T> {
        let queue = self.waiting.get_mut(&of)?;
        let item = queue.pop_back()?;
        if queue.is_empty() {
            self.waiting.remove(&of);
            self.turns.retain(|other| *other != of);
        }
        self.len -= 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::address;
    use super::*;

    proptest! {
        #[test]
        fn every_item_leaves_once_and_an_address_in_its_own_order(
            pushes in prop::collection::vec((0u32..6, any::<bool>(), any::<bool>()), 1..400),
            len_max in 1usize..40,
        ) {
            let mut queue = FairQueue::new(len_max);
            let (mut popped, mut away) = (vec![], vec![]);
            let mut standings = vec![];
            for (number, (from, over, then_pop)) in pushes.iter().enumerate() {
                let standing = if *over { AddressStanding::Exhausted } else { AddressStanding::InBudget };
                standings.push((*from, standing));
                let was_full = queue.len() == len_max;
                match queue.push(Neighbourhood::of(address(*from)), standing, number) {
                    Pushed::Waiting => prop_assert!(!was_full),
                    Pushed::TurnedAway(other) => {
                        prop_assert!(was_full);
                        // Nobody in budget makes room for somebody who is not.
                        prop_assert!(
                            standing == AddressStanding::InBudget || standings[other].1 == standing
                        );
                        away.push(other);
                    }
                }
                prop_assert!(queue.len() <= len_max);
                if *then_pop {
                    popped.extend(queue.pop());
                }
            }
            popped.extend(std::iter::from_fn(|| queue.pop()));
            prop_assert!(queue.is_empty());
            for one in &standings {
                let own = popped.iter().filter(|number| standings[**number] == *one);
                prop_assert!(own.is_sorted(), "{popped:?}");
            }
            let mut all = [popped, away].concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..pushes.len()));
        }

        #[test]
        fn an_address_waits_for_others_at_most_once_a_turn(
            lens in prop::collection::vec(1usize..20, 2..8),
        ) {
            let mut queue = FairQueue::new(1_000);
            for (from, len) in lens.iter().enumerate() {
                let of = Neighbourhood::of(address(u32::try_from(from).unwrap()));
                (0..*len).for_each(|turn| {
                    queue.push(of, AddressStanding::InBudget, (from, turn));
                });
            }
            let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            for (place, (_, turn)) in order.iter().enumerate() {
                let before = order[..place].iter().filter(|(_, other)| other > turn).count();
                prop_assert_eq!(before, 0, "{:?}", order);
            }
        }
    }

    #[test]
    fn an_exhausted_address_gets_every_fourth_turn() {
        let mut queue = FairQueue::new(100);
        for number in 0..8 {
            queue.push(Neighbourhood::of(address(1)), AddressStanding::Exhausted, ('e', number));
            queue.push(Neighbourhood::of(address(2)), AddressStanding::InBudget, ('b', number));
        }
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(kind, _)| kind).collect();
        assert_eq!(order, "bbbebbbebbeeeeee");
    }

    #[test]
    fn at_the_bound_the_greediest_makes_room() {
        let (greedy, modest) = (Neighbourhood::of(address(1)), Neighbourhood::of(address(2)));
        let mut queue = FairQueue::new(4);
        for number in 0..4 {
            assert_eq!(queue.push(greedy, AddressStanding::InBudget, number), Pushed::Waiting);
        }
        assert_eq!(queue.push(greedy, AddressStanding::InBudget, 4), Pushed::TurnedAway(4));
        assert_eq!(queue.push(modest, AddressStanding::InBudget, 5), Pushed::TurnedAway(3));
        assert_eq!(queue.push(modest, AddressStanding::InBudget, 6), Pushed::TurnedAway(2));
        assert_eq!(queue.push(modest, AddressStanding::InBudget, 7), Pushed::TurnedAway(7));
        assert_eq!(queue.push(modest, AddressStanding::Exhausted, 8), Pushed::TurnedAway(8));
    }

    #[test]
    fn an_exhausted_address_that_waits_is_served_however_many_others_come() {
        let (exhausted, flood) = (Neighbourhood::of(address(1)), Neighbourhood::of(address(2)));
        let mut queue = FairQueue::new(8);
        queue.push(exhausted, AddressStanding::Exhausted, 'e');
        let mut popped = vec![];
        for _ in 0..TURNS_PER_EXHAUSTED {
            (0..10).for_each(|_| {
                queue.push(flood, AddressStanding::InBudget, 'b');
            });
            popped.extend(queue.pop());
        }
        assert!(popped.contains(&'e'), "{popped:?}");
    }
}
