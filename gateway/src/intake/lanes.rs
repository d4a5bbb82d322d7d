//! The lanes of a shard: messages that wait for their check, the most urgent first.
//!
//! What a gateway runs out of first is signature checks, so the lanes lie before them. A message's lane follows from its
//! kind and from what the desk last knew of the device that it claims to be from ([`pipeline::Lane`]); a claim can be
//! false, so nothing is charged to the device for it. First presses wait for their place, and whoever reads them stops
//! reading (promise 3). Everything else is refused when its lane is full or when it has waited too long, and not before
//! a while: a relay that ignores "retry after" is slowed by the streams that it has open.
//!
//! Each lane has a second, shorter one behind it, for messages from addresses that have cost too much without proof. What
//! waits there takes no place of the others, and is taken when they are; a place in each batch is kept for it.

use std::array;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::Lane;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TryRecvError, error::TrySendError};

use crate::clock;
use crate::config::LaneConfig;

/// How many lanes there are.
const LANES: usize = Lane::ALL.len();
/// Of the places in a batch, those that a lane has even while more urgent ones could fill it: nothing waits for ever.
const KEPT_FOR_PROBATION: usize = 2;
const KEPT_FOR_OTHERS: usize = 1;
/// And for messages of addresses that come last, of whatever lane.
const KEPT_FOR_LAST: usize = 1;
/// What comes last may fill a quarter as many places as its lane has.
const LAST_PART: usize = 4;

/// Where messages are put.
pub(super) struct Lanes<T> {
    lanes: [mpsc::Sender<Waiting<T>>; LANES],
    last: [mpsc::Sender<Waiting<T>>; LANES],
    filled: Arc<Notify>,
}

/// Where they are taken from.
pub(super) struct LanesOut<T> {
    lanes: [mpsc::Receiver<Waiting<T>>; LANES],
    last: [mpsc::Receiver<Waiting<T>>; LANES],
    filled: Arc<Notify>,
    config: LaneConfig,
    /// The lane that has the place kept for others next.
    turn: usize,
}

struct Waiting<T> {
    item: T,
    since: Instant,
}

/// Why a message was not put into its lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotPut {
    /// The lane is full and of a kind that is refused.
    Full,
    /// Nobody takes anything any more.
    Closed,
}

/// What was taken.
pub(super) struct Taken<T> {
    /// To be checked, the most urgent first.
    pub(super) due: Vec<T>,
    /// What waited too long in a lane that may be refused.
    pub(super) overdue: Vec<T>,
}

/// Lanes of these lengths.
pub(super) fn lanes<T>(config: &LaneConfig) -> (Lanes<T>, LanesOut<T>) {
    let filled = Arc::new(Notify::new());
    let (lanes, lanes_out) = channels(|lane| config.len(lane));
    let (last, last_out) = channels(|lane| config.len(lane).div_ceil(LAST_PART));
    let lanes = Lanes { lanes, last, filled: Arc::clone(&filled) };
    let out =
        LanesOut { lanes: lanes_out, last: last_out, filled, config: config.clone(), turn: 0 };
    (lanes, out)
}

type Channels<T> = ([mpsc::Sender<T>; LANES], [mpsc::Receiver<T>; LANES]);

fn channels<T>(len: impl Fn(Lane) -> usize) -> Channels<T> {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        Lane::ALL.iter().map(|lane| mpsc::channel(len(*lane))).unzip();
    let (mut senders, mut receivers) = (senders.into_iter(), receivers.into_iter());
    // One channel a lane, so neither iterator runs out; a closed channel would only mean an unused lane.
    let closed = || mpsc::channel(1);
    (
        array::from_fn(|_| senders.next().unwrap_or_else(|| closed().0)),
        array::from_fn(|_| receivers.next().unwrap_or_else(|| closed().1)),
    )
}

/// Whether messages of this lane are refused before others have to wait for them.
fn may_refuse(lane: Lane) -> bool {
    !matches!(lane, Lane::First | Lane::FirstOnProbation)
}

impl<T> Lanes<T> {
    /// Whether first presses are about to wait for their place: half of their lane is taken.
    pub(super) fn is_pressed(&self) -> bool {
        let half_full = |lane: &mpsc::Sender<_>| lane.capacity() * 2 < lane.max_capacity();
        self.lanes.get(Lane::First as usize).is_some_and(half_full)
    }

    /// Puts a message into its lane, or behind it if it comes last; waits for a place if it is a first press.
    pub(super) async fn put(&self, lane: Lane, comes_last: bool, item: T) -> Result<(), NotPut> {
        let lanes = if comes_last { &self.last } else { &self.lanes };
        let Some(sender) = lanes.get(lane as usize) else { return Err(NotPut::Closed) };
        let waiting = Waiting { item, since: clock::monotonic() };
        if may_refuse(lane) {
            sender.try_send(waiting).map_err(|error| match error {
                TrySendError::Full(_) => NotPut::Full,
                TrySendError::Closed(_) => NotPut::Closed,
            })?;
        } else {
            sender.send(waiting).await.map_err(|_| NotPut::Closed)?;
        }
        self.filled.notify_one();
        Ok(())
    }
}

impl<T> Drop for Lanes<T> {
    /// Whoever takes must see that nothing comes any more.
    fn drop(&mut self) {
        self.filled.notify_one();
    }
}

impl<T> LanesOut<T> {
    /// Takes up to `max` messages, waiting for one; nothing once nobody can put any more and all are taken. Of those that
    /// may be refused it takes `others_max` at most.
    pub(super) async fn take(&mut self, max: usize, others_max: usize) -> Option<Taken<T>> {
        loop {
            let filled = Arc::clone(&self.filled);
            let filled = filled.notified();
            let taken = self.take_now(max, others_max);
            if !taken.due.is_empty() || !taken.overdue.is_empty() {
                return Some(taken);
            }
            let mut all = self.lanes.iter().chain(&self.last);
            if all.all(|lane| lane.is_closed() && lane.is_empty()) {
                return None;
            }
            filled.await;
        }
    }

    /// Messages that wait in this lane.
    pub(super) fn len(&self, lane: Lane) -> usize {
        let both = [self.lanes.get(lane as usize), self.last.get(lane as usize)];
        both.into_iter().flatten().map(mpsc::Receiver::len).sum()
    }

    fn take_now(&mut self, max: usize, others_max: usize) -> Taken<T> {
        let now = clock::monotonic();
        let mut taken = Taken { due: Vec::with_capacity(max), overdue: vec![] };
        let kept = KEPT_FOR_PROBATION + KEPT_FOR_OTHERS + KEPT_FOR_LAST;
        self.fill(&mut taken, Lane::First, max.saturating_sub(kept).max(1), now);
        let places = (taken.due.len() + KEPT_FOR_PROBATION).min(max);
        self.fill(&mut taken, Lane::FirstOnProbation, places, now);
        let turn = self.next_turn();
        let places = (taken.due.len() + KEPT_FOR_OTHERS).min(max);
        self.fill(&mut taken, turn, places, now);
        let places = (taken.due.len() + KEPT_FOR_LAST).min(max);
        for lane in Lane::ALL {
            self.fill_from_last(&mut taken, lane, places, now);
        }
        for lane in Lane::ALL.into_iter().filter(|lane| !may_refuse(*lane)) {
            self.fill(&mut taken, lane, max, now);
            self.fill_from_last(&mut taken, lane, max, now);
        }
        let places = (taken.due.len() + others_max).min(max);
        for lane in Lane::ALL.into_iter().filter(|lane| may_refuse(*lane)) {
            self.fill(&mut taken, lane, places, now);
            self.fill_from_last(&mut taken, lane, places, now);
        }
        taken
    }

    /// The lanes that may be refused share a place in turn.
    fn next_turn(&mut self) -> Lane {
        let refusable: [Lane; 4] = [Lane::Repeat, Lane::Update, Lane::Held, Lane::Heartbeat];
        self.turn = (self.turn + 1) % refusable.len();
        refusable.get(self.turn).copied().unwrap_or(Lane::Repeat)
    }

    /// Takes from one lane until so many are due.
    fn fill(&mut self, taken: &mut Taken<T>, lane: Lane, places: usize, now: Instant) {
        if let Some(receiver) = self.lanes.get_mut(lane as usize) {
            let wait_max = may_refuse(lane).then_some(self.config.wait_max);
            taken.fill(receiver, wait_max, places, now);
        }
    }

    /// Takes from behind one lane until so many are due.
    fn fill_from_last(&mut self, taken: &mut Taken<T>, lane: Lane, places: usize, now: Instant) {
        if let Some(receiver) = self.last.get_mut(lane as usize) {
            let wait_max = may_refuse(lane).then_some(self.config.wait_max);
            taken.fill(receiver, wait_max, places, now);
        }
    }
}

impl<T> Taken<T> {
    /// Takes until so many are due. What is overdue costs no place, so no more than a lane holds is passed.
    fn fill(
        &mut self,
        lane: &mut mpsc::Receiver<Waiting<T>>,
        wait_max: Option<Duration>,
        places: usize,
        now: Instant,
    ) {
        while self.due.len() < places {
            match lane.try_recv() {
                Ok(Waiting { item, since }) => {
                    let waited = now.saturating_duration_since(since);
                    if wait_max.is_some_and(|wait_max| waited >= wait_max) {
                        self.overdue.push(item);
                    } else {
                        self.due.push(item);
                    }
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn config(len: usize) -> LaneConfig {
        let all = LaneConfig::default();
        LaneConfig {
            first: len,
            first_on_probation: len,
            repeat: len,
            update: len,
            held: len,
            heartbeat: len,
            ..all
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn takes_the_most_urgent_first_and_lets_nobody_starve() {
        block_on(async {
            let (lanes, mut out) = lanes(&config(64));
            for n in 0..40 {
                for lane in [Lane::Heartbeat, Lane::FirstOnProbation, Lane::First] {
                    lanes.put(lane, false, (lane, n)).await.unwrap();
                }
            }
            let taken = out.take(16, 16).await.unwrap();
            let of = |wanted| taken.due.iter().filter(|(lane, _)| *lane == wanted).count();
            assert_eq!(taken.due.len(), 16);
            assert!(of(Lane::First) >= 12, "{}", of(Lane::First));
            assert_eq!(of(Lane::FirstOnProbation), 2);
            let mut heartbeats = of(Lane::Heartbeat);
            for _ in 0..3 {
                let taken = out.take(16, 16).await.unwrap();
                heartbeats += taken.due.iter().filter(|(lane, _)| *lane == Lane::Heartbeat).count();
            }
            assert!(heartbeats > 0, "the lowest lane has a place in turn");
        });
    }

    #[test]
    fn others_give_way_as_told_and_still_have_a_place() {
        block_on(async {
            let (lanes, mut out) = lanes(&config(64));
            for n in 0..40 {
                for lane in [Lane::Update, Lane::Repeat, Lane::FirstOnProbation] {
                    lanes.put(lane, false, (lane, n)).await.unwrap();
                }
            }
            let mut firsts = 0;
            while firsts < 40 {
                let taken = out.take(16, 2).await.unwrap().due;
                firsts += taken.iter().filter(|(lane, _)| *lane == Lane::FirstOnProbation).count();
                let full = taken.len() == 16;
                assert!(full || firsts == 40, "first presses take what the others leave");
            }
            // Two, and the place that each lane has in turn.
            let few = out.take(16, 2).await.unwrap().due.len();
            assert!((2..=3).contains(&few), "{few}");
            assert_eq!(out.take(16, 16).await.unwrap().due.len(), 16);
        });
    }

    #[test]
    fn a_full_lane_refuses_repeats_and_makes_first_presses_wait() {
        block_on(async {
            let (lanes, mut out) = lanes(&config(1));
            let refused = [Lane::Repeat, Lane::Update, Lane::Held, Lane::Heartbeat];
            for lane in Lane::ALL {
                lanes.put(lane, false, lane).await.unwrap();
            }
            for lane in refused {
                assert_eq!(lanes.put(lane, false, lane).await, Err(NotPut::Full), "{lane:?}");
            }
            for lane in [Lane::First, Lane::FirstOnProbation] {
                let mut waiting = Box::pin(lanes.put(lane, false, lane));
                assert!(waiting.as_mut().now_or_never().is_none(), "{lane:?}");
                let taken = out.take(1, 1).await.unwrap().due;
                assert_eq!(taken, [lane]);
                waiting.await.unwrap();
                out.take(1, 1).await.unwrap();
            }
        });
    }

    #[test]
    fn what_waited_too_long_is_overdue_unless_it_is_a_first_press() {
        block_on(async {
            let none = LaneConfig { wait_max: Duration::ZERO, ..config(4) };
            let (lanes, mut out) = lanes(&none);
            for lane in Lane::ALL {
                lanes.put(lane, false, lane).await.unwrap();
            }
            let (mut due, mut overdue) = (vec![], vec![]);
            while due.len() + overdue.len() < LANES {
                let taken = out.take(16, 16).await.unwrap();
                due.extend(taken.due);
                overdue.extend(taken.overdue);
            }
            assert_eq!(due, [Lane::First, Lane::FirstOnProbation]);
            assert_eq!(overdue.len(), 4);
        });
    }

    #[test]
    fn what_comes_last_is_taken_behind_the_others_and_takes_none_of_their_places() {
        block_on(async {
            let (lanes, mut out) = lanes(&config(40));
            for n in 0..10 {
                lanes.put(Lane::First, true, (true, n)).await.unwrap();
            }
            let mut waiting = Box::pin(lanes.put(Lane::First, true, (true, 10)));
            assert!(waiting.as_mut().now_or_never().is_none(), "a first press waits, last or not");
            for n in 0..40 {
                assert!(!lanes.is_pressed() || n > 20);
                lanes.put(Lane::First, false, (false, n)).await.unwrap();
            }
            let taken = out.take(16, 16).await.unwrap().due;
            let last = taken.iter().filter(|(last, _)| *last).count();
            assert_eq!((taken.len(), last), (16, 1), "one place is kept for it: {taken:?}");
            waiting.await.unwrap();
            let rest: Vec<_> =
                [out.take(16, 16).await, out.take(16, 16).await, out.take(16, 16).await]
                    .into_iter()
                    .flat_map(|taken| taken.unwrap().due)
                    .collect();
            assert_eq!(rest.len(), 35, "everybody is served");
            assert!(rest.iter().rev().take(8).all(|(last, _)| *last), "{rest:?}");
        });
    }

    #[test]
    fn ends_when_nobody_can_put_any_more() {
        block_on(async {
            let (lanes, mut out) = lanes(&config(4));
            lanes.put(Lane::Update, false, 7).await.unwrap();
            drop(lanes);
            assert_eq!(out.take(16, 16).await.unwrap().due, [7]);
            assert!(out.take(16, 16).await.is_none());
        });
    }
}
