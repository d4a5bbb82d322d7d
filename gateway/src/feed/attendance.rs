//! Where somebody listens: the zones that the tokens of open streams name themselves, not those that lie below.
//!
//! It is told of streams, and of webhooks that stand for somebody who listens, as they come and go, and publishes the set whenever it changes, for whoever decides that an
//! alert need not wait in a zone where nobody listens. How long a client that reconnects may take is decided there. A
//! token limited to some agencies or categories counts like any other: whom it does not cover is left to the deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::lock::lock;
use pipeline::ZoneId;
use tokio::sync::watch;

/// The zones where somebody listens; nothing: nobody has been here yet, so that is not known.
pub type Attended = Option<Arc<BTreeSet<ZoneId>>>;

/// Follows which zones have streams, and tells.
#[derive(Debug)]
pub struct Attendance {
    /// How many streams each zone has; none that has none.
    streams: Mutex<BTreeMap<ZoneId, usize>>,
    published: watch::Sender<Attended>,
}

/// One open stream, in the zones that its token names. It leaves when it is dropped.
#[derive(Debug)]
pub(crate) struct Attending {
    attendance: Arc<Attendance>,
    zones: Vec<ZoneId>,
}

impl Attendance {
    /// An attendance without streams.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { streams: Mutex::default(), published: watch::Sender::new(None) })
    }

    /// The zones where somebody listens, and the wake-up when they change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Attended> {
        self.published.subscribe()
    }

    /// Takes note of a stream whose token names these zones.
    pub(crate) fn attend(self: &Arc<Self>, zones: &[ZoneId]) -> Attending {
        self.change(|streams| {
            for zone in zones {
                *streams.entry(zone.clone()).or_default() += 1;
            }
        });
        Attending { attendance: Arc::clone(self), zones: zones.to_vec() }
    }

    /// Changes the counts, and publishes the zones if they are others than before. Under the lock, so that what is
    /// published last is what holds last.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<ZoneId, usize>)) {
        // A thread that panicked while it held the lock has left whole counts behind.
        let mut streams = lock(&self.streams);
        change(&mut streams);
        self.published.send_if_modified(|published| {
            let same = published.as_ref().is_some_and(|before| before.iter().eq(streams.keys()));
            if !same {
                *published = Some(Arc::new(streams.keys().cloned().collect()));
            }
            !same
        });
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
        self.attendance.change(|streams| {
            for zone in &self.zones {
                if let Some(count) = streams.get_mut(zone) {
                    *count -= 1;
                }
            }
            streams.retain(|_, count| *count > 0);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(ids: &[&str]) -> Vec<ZoneId> {
        ids.iter().copied().map(ZoneId::new).collect()
    }

    fn attended(attendance: &Attendance) -> Option<Vec<ZoneId>> {
        attendance.watch().borrow().as_ref().map(|zones| zones.iter().cloned().collect())
    }

    #[test]
    fn a_zone_is_attended_while_a_stream_names_it() {
        let attendance = Attendance::new();
        assert_eq!(attended(&attendance), None, "nobody has been here");
        let one = attendance.attend(&zones(&["east", "west"]));
        let mut watch = attendance.watch();
        let other = attendance.attend(&zones(&["east"]));
        assert!(!watch.has_changed().unwrap(), "the same zones");
        assert_eq!(attended(&attendance), Some(zones(&["east", "west"])));
        drop(one);
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        assert_eq!(attended(&attendance), Some(zones(&["east"])));
        drop(other);
        assert_eq!(attended(&attendance), Some(vec![]));
    }
}
