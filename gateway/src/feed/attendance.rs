//! Where somebody listens: the zones that the tokens of open streams name themselves, not those that lie below.
//!
//! It is told of streams as they come and go, and publishes the set whenever it changes, for whoever decides that an
//! alert need not wait in a zone where nobody listens. A zone leaves the set only once it had no stream for
//! [`Routing::unattended_after`], so that a client that reconnects is never missed; and for that long after a start
//! nothing is known, so that clients have time to come back. A token limited to some agencies or categories counts like
//! any other: whom it does not cover is left to the deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pipeline::{Routing, ZoneId};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::desk::Attended;

/// Follows which zones have streams, and tells.
#[derive(Debug)]
pub struct Attendance {
    presence: Mutex<Presence>,
    changed: Notify,
    published: watch::Sender<Attended>,
    routing: watch::Receiver<Arc<Routing>>,
}

/// Which zones have streams, and since when others have none.
#[derive(Debug)]
struct Presence {
    started: Instant,
    open: BTreeMap<ZoneId, usize>,
    left: BTreeMap<ZoneId, Instant>,
}

/// One open stream, in the zones that its token names. It leaves when it is dropped.
#[derive(Debug)]
pub(super) struct Attending {
    attendance: Arc<Attendance>,
    zones: Vec<ZoneId>,
}

impl Attendance {
    /// An attendance without streams, that begins at this moment.
    #[must_use]
    pub fn new(routing: watch::Receiver<Arc<Routing>>) -> Arc<Self> {
        Arc::new(Self {
            presence: Mutex::new(Presence::new(clock::monotonic())),
            changed: Notify::new(),
            published: watch::Sender::new(None),
            routing,
        })
    }

    /// The zones where somebody listens, and the wake-up when they change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Attended> {
        self.published.subscribe()
    }

    /// Publishes what changes, for ever.
    pub(super) async fn run(&self) {
        let mut routing = self.routing.clone();
        loop {
            let after = Duration::from_micros(routing.borrow_and_update().unattended_after.0);
            let now = clock::monotonic();
            let (attended, next) = {
                let mut presence = self.presence();
                (presence.attended(now, after), presence.next(now, after))
            };
            self.published.send_if_modified(|published| {
                let changed = published.as_deref() != attended.as_ref();
                if changed {
                    *published = attended.map(Arc::new);
                }
                changed
            });
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(next) => {}
                Ok(()) = routing.changed() => {}
            }
        }
    }

    /// Takes note of a stream whose token names these zones.
    pub(super) fn attend(self: &Arc<Self>, zones: &[ZoneId]) -> Attending {
        if self.presence().arrive(zones) {
            self.changed.notify_one();
        }
        Attending { attendance: Arc::clone(self), zones: zones.to_vec() }
    }

    /// A thread that panicked while it held the lock has left whole counts behind.
    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attending {
    /// The zones that the stream's token named when it was last looked at.
    pub(super) fn zones(&self) -> &[ZoneId] {
        &self.zones
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        let now = clock::monotonic();
        if self.attendance.presence().leave(&self.zones, now) {
            self.attendance.changed.notify_one();
        }
    }
}

impl Presence {
    fn new(started: Instant) -> Self {
        Self { started, open: BTreeMap::new(), left: BTreeMap::new() }
    }

    /// Whether one of the zones had no stream before.
    fn arrive(&mut self, zones: &[ZoneId]) -> bool {
        let mut first = false;
        for zone in zones {
            let count = self.open.entry(zone.clone()).or_default();
            *count += 1;
            if *count == 1 {
                first = true;
                self.left.remove(zone);
            }
        }
        first
    }

    /// Whether one of the zones has no stream from here on.
    fn leave(&mut self, zones: &[ZoneId], now: Instant) -> bool {
        let mut last = false;
        for zone in zones {
            if let Some(count) = self.open.get_mut(zone) {
                *count -= 1;
                if *count == 0 {
                    last = true;
                    self.open.remove(zone);
                    self.left.insert(zone.clone(), now);
                }
            }
        }
        last
    }

    /// The zones where somebody listens at `now`, or did less than `after` ago. Forgets the others.
    fn attended(&mut self, now: Instant, after: Duration) -> Option<BTreeSet<ZoneId>> {
        self.left.retain(|_, left| now.saturating_duration_since(*left) < after);
        let known = now.saturating_duration_since(self.started) >= after;
        known.then(|| self.open.keys().chain(self.left.keys()).cloned().collect())
    }

    /// When the answer changes if nobody comes or goes.
    fn next(&self, now: Instant, after: Duration) -> Option<Instant> {
        let ends =
            std::iter::once(&self.started).chain(self.left.values()).map(|from| *from + after);
        ends.filter(|end| *end > now).min()
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    fn zones(ids: &[&str]) -> Vec<ZoneId> {
        ids.iter().copied().map(ZoneId::new).collect()
    }

    fn set(ids: &[&str]) -> Option<BTreeSet<ZoneId>> {
        Some(zones(ids).into_iter().collect())
    }

    #[test]
    fn nothing_is_known_until_clients_had_time_to_come_back() {
        let start = clock::monotonic();
        let mut presence = Presence::new(start);
        assert!(presence.arrive(&zones(&["klojen"])));
        let before = start + AFTER - Duration::from_millis(1);
        assert_eq!(presence.attended(before, AFTER), None);
        assert_eq!(presence.next(before, AFTER), Some(start + AFTER));
        assert_eq!(presence.attended(start + AFTER, AFTER), set(&["klojen"]));
        assert_eq!(presence.next(start + AFTER, AFTER), None);
    }

    #[test]
    fn zone_leaves_once_its_last_stream_is_gone_for_long_enough() {
        let start = clock::monotonic();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut presence = Presence::new(start);
        assert!(presence.arrive(&zones(&["klojen", "sukun"])));
        assert!(!presence.arrive(&zones(&["klojen"])));
        assert!(presence.leave(&zones(&["klojen", "sukun"]), at(20)));
        assert_eq!(presence.attended(at(29), AFTER), set(&["klojen", "sukun"]));
        assert_eq!(presence.next(at(29), AFTER), Some(at(30)));
        assert_eq!(presence.attended(at(30), AFTER), set(&["klojen"]));
        assert!(presence.leave(&zones(&["klojen"]), at(40)));
        // Who comes back in time was never away.
        assert!(presence.arrive(&zones(&["klojen"])));
        assert_eq!(presence.attended(at(60), AFTER), set(&["klojen"]));
        assert!(presence.leave(&zones(&["klojen"]), at(60)));
        assert_eq!(presence.attended(at(70), AFTER), set(&[]));
    }

    #[tokio::test]
    async fn what_changes_is_published() {
        let routing = Routing { unattended_after: pipeline::Span(0), ..Routing::default() };
        let (_routing, told) = watch::channel(Arc::new(routing));
        let attendance = Attendance::new(told);
        let mut attended = attendance.watch();
        let come_and_go = async {
            let is = |ids: &[&str]| {
                let expected = set(ids);
                move |attended: &Attended| attended.as_deref() == expected.as_ref()
            };
            attended.wait_for(is(&[])).await.unwrap();
            let one = attendance.attend(&zones(&["klojen"]));
            attended.wait_for(is(&["klojen"])).await.unwrap();
            drop(one);
            attended.wait_for(is(&[])).await.unwrap();
        };
        tokio::select! {
            () = attendance.run() => {}
            () = come_and_go => {}
        }
    }
}
