//! Senders that wait for word of their alerts, and what they are told.
//!
//! It is given every line of the journal once it is synced, so nothing is said that a crash could take back. A sender that
//! is slow or gone costs one entry here: of words that it has not taken yet only the last is kept. Who answers is never
//! told, and of a held press nothing, unless it was paged after all.
//!
//! Everything has a bound: followers of the shard, followers of a connection (the oldest gives way, and a connection with
//! much in flight has none, because following costs a relay a packet more for each press), and the alerts of which is known
//! how far they are answered, for those who ask later.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use crate::lock::lock;
use metrics::{Gauge, gauge};
use pipeline::{Act, Decision, Disposition, Entry};
use protocol::{AlertId, Progress};

/// Alerts that are remembered as answered, and presses as joined to others, each: two megabytes. Whoever asks for an older
/// one hears what comes, and nothing of what was.
const REMEMBERED_MAX: usize = 65_536;

/// What one follower is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The alert has come so far.
    Said(Progress),
    /// Nothing more: the place is needed for others.
    GiveWay,
    /// Nothing more: the gateway stops.
    Stopping,
}

/// What there is to know of a connection whose sender wants to follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Which connection.
    pub(super) connection: u64,
    /// Streams that it may have open.
    pub(super) streams_max: u32,
    /// Streams that it has open.
    pub(super) open: u32,
}

/// Who follows which alert on this shard, and how far alerts are answered.
pub struct Followers {
    table: Mutex<Table>,
    max: usize,
    gauge: Gauge,
}

/// A place in the table: the alert that is waited for, and a number that goes up.
type Place = (AlertId, u64);

struct Table {
    waiting: BTreeMap<Place, Waiting>,
    /// The places of each connection, oldest first.
    of_connection: BTreeMap<(u64, u64), AlertId>,
    /// The number of the next place.
    next: u64,
    stopping: bool,
    answered: Recent<Answered>,
    /// The alert that stands for a raise which joined it.
    joined: Recent<AlertId>,
}

#[derive(Default)]
struct Waiting {
    word: Option<Word>,
    waker: Option<Waker>,
}

/// How far an alert is answered.
#[derive(Debug, Clone, Copy, Default)]
struct Answered {
    promoted: bool,
    progress: Option<Progress>,
}

/// The newest of what is known of alerts.
struct Recent<T> {
    known: HashMap<AlertId, T>,
    /// In the order in which they became known.
    order: VecDeque<AlertId>,
    max: usize,
}

/// A sender that follows; it leaves when this is dropped.
pub(super) struct Following {
    followers: Arc<Followers>,
    place: Place,
    connection: u64,
}

impl Followers {
    /// Nobody follows yet, and `max` may.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self::remembering(max, REMEMBERED_MAX)
    }

    fn remembering(max: usize, remembered_max: usize) -> Self {
        let table = Table {
            waiting: BTreeMap::new(),
            of_connection: BTreeMap::new(),
            next: 0,
            stopping: false,
            answered: Recent::new(remembered_max),
            joined: Recent::new(remembered_max),
        };
        Self { table: Mutex::new(table), max, gauge: gauge!("gateway_alert_followers") }
    }

    /// Takes lines of the journal, each once, in order, when they are synced. Never waits for a follower.
    pub fn tell(&self, entries: &[Entry]) {
        if entries.iter().any(concerns) {
            let mut table = self.lock();
            entries.iter().for_each(|entry| table.take(entry));
        }
    }

    /// How far `alert` is answered, if that is known, and a place among those who are told more of it, if there is room.
    pub(super) fn follow(
        self: &Arc<Self>,
        alert: AlertId,
        room: Room,
    ) -> (Option<Progress>, Option<Following>) {
        let mut table = self.lock();
        let alert = table.joined.get(alert).copied().unwrap_or(alert);
        let progress = table.answered.get(alert).and_then(|answered| answered.progress);
        let over = progress.is_some_and(Progress::is_last);
        if over || table.stopping || table.waiting.len() >= self.max || !table.has_room(room) {
            return (progress, None);
        }
        let number = table.next;
        table.next += 1;
        table.waiting.insert((alert, number), Waiting::default());
        table.of_connection.insert((room.connection, number), alert);
        self.measure(&table);
        let followers = Arc::clone(self);
        let place = (alert, number);
        (progress, Some(Following { followers, place, connection: room.connection }))
    }

    /// Sends everybody away; nobody can follow from here on.
    pub(super) fn stop(&self) {
        let mut table = self.lock();
        table.stopping = true;
        table.waiting.values_mut().for_each(|waiting| waiting.tell(Word::Stopping));
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn measure(&self, table: &Table) {
        self.gauge.set(table.waiting.len() as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

/// Whether a line says anything about what followers are told.
fn concerns(entry: &Entry) -> bool {
    match entry {
        Entry::Message(record) => record.joins.is_some(),
        Entry::Decision(decision) => {
            decision.act == Act::Promote || progress_by(&decision.act).is_some()
        }
    }
}

/// How far an alert is answered after this act about it.
fn progress_by(act: &Act) -> Option<Progress> {
    match act {
        Act::Acknowledge => Some(Progress::Acknowledged),
        Act::Assign { .. } => Some(Progress::Assigned),
        Act::Resolve(_) => Some(Progress::Resolved),
        Act::Reopen => Some(Progress::Reopened),
        _ => None,
    }
}

impl Table {
    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Message(record) => {
                if let (Some(alert), Some(first)) = (record.alert, record.joins) {
                    self.joined.put(alert, first);
                }
            }
            Entry::Decision(decision) => {
                if let Some((alert, _)) = decision.alert {
                    self.decided(alert, decision);
                }
            }
        }
    }

    fn decided(&mut self, alert: AlertId, decision: &Decision) {
        let known = self.answered.get(alert).copied().unwrap_or_default();
        if decision.act == Act::Promote {
            self.answered.put(alert, Answered { promoted: true, ..known });
            return;
        }
        let Some(progress) = progress_by(&decision.act) else { return };
        let raise = decision.raise.as_ref();
        let paged = raise.is_some_and(|raise| raise.disposition != Disposition::Held);
        if !paged && !known.promoted {
            return;
        }
        self.answered.put(alert, Answered { progress: Some(progress), ..known });
        for (_, waiting) in self.waiting.range_mut((alert, 0)..=(alert, u64::MAX)) {
            waiting.tell(Word::Said(progress));
        }
    }

    /// Whether one more may be followed on a connection, the oldest giving way if it must.
    fn has_room(&mut self, Room { connection, streams_max, open }: Room) -> bool {
        let places = (connection, 0)..=(connection, u64::MAX);
        let followed = self.of_connection.range(places.clone()).count();
        let followed = u32::try_from(followed).unwrap_or(u32::MAX);
        let busy = open.saturating_sub(followed) > (streams_max / 4).max(1);
        if busy || streams_max < 2 {
            return false;
        }
        if followed >= streams_max / 2
            && let Some((&oldest, &alert)) = self.of_connection.range(places).next()
        {
            self.of_connection.remove(&oldest);
            let (_, number) = oldest;
            if let Some(waiting) = self.waiting.get_mut(&(alert, number)) {
                waiting.tell(Word::GiveWay);
            }
        }
        true
    }
}

impl Waiting {
    /// Nothing is said after the end.
    fn tell(&mut self, word: Word) {
        if matches!(self.word, None | Some(Word::Said(_))) {
            self.word = Some(word);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Recent<T> {
    fn new(max: usize) -> Self {
        Self { known: HashMap::new(), order: VecDeque::new(), max }
    }

    fn get(&self, alert: AlertId) -> Option<&T> {
        self.known.get(&alert)
    }

    fn put(&mut self, alert: AlertId, value: T) {
        if self.known.insert(alert, value).is_some() {
            return;
        }
        self.order.push_back(alert);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Following {
    /// The next word. Those that a later one has overtaken are left out.
    pub(super) async fn next(&self) -> Word {
        poll_fn(|context| {
            let mut table = self.followers.lock();
            // Only this follower takes its place away.
            let Some(waiting) = table.waiting.get_mut(&self.place) else {
                return Poll::Ready(Word::GiveWay);
            };
            if let Some(word) = waiting.word.take() {
                return Poll::Ready(word);
            }
            waiting.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut table = self.followers.lock();
        let (_, number) = self.place;
        table.waiting.remove(&self.place);
        table.of_connection.remove(&(self.connection, number));
        self.followers.measure(&table);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use pipeline::{Cursor, Record, Verdict};

    use super::*;
    use crate::journal::testing::{decision, record};

    const PHONE: Room = Room { connection: 1, streams_max: 8, open: 1 };

    fn followers() -> Arc<Followers> {
        Arc::new(Followers::new(100))
    }

    fn raise(disposition: Disposition) -> Record {
        Record { disposition, ..record(1) }
    }

    fn alert() -> AlertId {
        record(1).message_id.alert()
    }

    fn about(act: Act, raise: &Record) -> Entry {
        let alert = Some((raise.message_id.alert(), raise.cursor));
        Decision { act, alert, raise: Some(Arc::new(raise.clone())), ..decision(9, 1) }.into()
    }

    fn word(following: Option<&Following>) -> Option<Word> {
        following.unwrap().next().now_or_never()
    }

    #[test]
    fn who_follows_hears_each_step_and_who_comes_later_the_present_one() {
        let (followers, raise) = (followers(), raise(Disposition::Paged));
        let (present, first) = followers.follow(alert(), PHONE);
        assert_eq!((present, word(first.as_ref())), (None, None));
        let others = Record { message_id: record(2).message_id, ..raise.clone() };
        followers.tell(&[
            about(Act::Acknowledge, &others),
            about(Act::Moving { seen: Cursor(2) }, &raise),
        ]);
        assert_eq!(word(first.as_ref()), None);

        followers.tell(&[about(Act::Acknowledge, &raise)]);
        assert_eq!(word(first.as_ref()), Some(Word::Said(Progress::Acknowledged)));
        let (present, second) = followers.follow(alert(), PHONE);
        assert_eq!((present, word(second.as_ref())), (Some(Progress::Acknowledged), None));

        let assign = Act::Assign { to: Arc::from("patrol 7") };
        followers.tell(&[about(assign, &raise), about(Act::Resolve(Verdict::Genuine), &raise)]);
        for following in [&first, &second] {
            assert_eq!(word(following.as_ref()), Some(Word::Said(Progress::Resolved)));
        }
        let (present, third) = followers.follow(alert(), PHONE);
        assert_eq!((present, third.is_none()), (Some(Progress::Resolved), true));

        followers.tell(&[about(Act::Reopen, &raise)]);
        let (present, fourth) = followers.follow(alert(), PHONE);
        assert_eq!((present, fourth.is_some()), (Some(Progress::Reopened), true));
    }

    #[test]
    fn nothing_is_said_of_a_held_press_before_it_is_paged_after_all() {
        let (followers, held) = (followers(), raise(Disposition::Held));
        let (_, following) = followers.follow(alert(), PHONE);
        followers.tell(&[about(Act::Acknowledge, &held)]);
        assert_eq!(word(following.as_ref()), None);
        followers.tell(&[about(Act::Promote, &held), about(Act::Acknowledge, &held)]);
        assert_eq!(word(following.as_ref()), Some(Word::Said(Progress::Acknowledged)));
    }

    #[test]
    fn a_press_that_joined_another_is_told_of_that_one() {
        let (followers, first) = (followers(), raise(Disposition::Paged));
        let joins = Some(alert());
        let joined = Record { joins, cursor: Cursor(2), ..record(2) };
        followers.tell(&[joined.clone().into()]);
        let (_, following) = followers.follow(joined.message_id.alert(), PHONE);
        followers.tell(&[about(Act::Acknowledge, &first)]);
        assert_eq!(word(following.as_ref()), Some(Word::Said(Progress::Acknowledged)));
    }

    #[test]
    fn the_oldest_of_a_connection_gives_way_and_a_busy_connection_has_none() {
        let followers = followers();
        let mut kept = vec![];
        for open in 1..=4 {
            kept.push(followers.follow(alert(), Room { open, ..PHONE }).1);
        }
        let other = followers.follow(alert(), Room { connection: 2, ..PHONE }).1;
        assert!(kept.iter().all(|following| word(following.as_ref()).is_none()));

        let fifth = followers.follow(alert(), Room { open: 5, ..PHONE }).1;
        assert_eq!(word(kept[0].as_ref()), Some(Word::GiveWay));
        for following in kept.iter().skip(1).chain([&fifth, &other]) {
            assert_eq!(word(following.as_ref()), None);
        }
        // Four are followed and three are in flight: more than a quarter of eight.
        assert!(followers.follow(alert(), Room { open: 7, ..PHONE }).1.is_none());
        assert!(followers.follow(alert(), Room { open: 6, ..PHONE }).1.is_some());
    }

    #[test]
    fn a_full_table_takes_nobody_until_somebody_leaves() {
        let followers = Arc::new(Followers::new(1));
        let first = followers.follow(alert(), PHONE).1;
        assert!(first.is_some());
        let elsewhere = Room { connection: 2, ..PHONE };
        assert!(followers.follow(alert(), elsewhere).1.is_none());
        drop(first);
        assert!(followers.follow(alert(), elsewhere).1.is_some());
        let table = followers.lock();
        assert_eq!((table.waiting.len(), table.of_connection.len()), (0, 0));
    }

    #[test]
    fn a_gateway_that_stops_sends_everybody_away() {
        let followers = followers();
        let following = followers.follow(alert(), PHONE).1;
        followers.stop();
        followers.tell(&[about(Act::Acknowledge, &raise(Disposition::Paged))]);
        assert_eq!(word(following.as_ref()), Some(Word::Stopping));
        assert!(followers.follow(alert(), PHONE).1.is_none());
    }

    #[test]
    fn the_newest_are_remembered() {
        let followers = Arc::new(Followers::remembering(1, 2));
        for cursor in 1..=3 {
            let raise = Record { disposition: Disposition::Paged, ..record(cursor) };
            followers.tell(&[about(Act::Acknowledge, &raise)]);
        }
        let present = [1, 2, 3].map(|n| followers.follow(record(n).message_id.alert(), PHONE).0);
        let acknowledged = Some(Progress::Acknowledged);
        assert_eq!(present, [None, acknowledged, acknowledged]);
    }
}
