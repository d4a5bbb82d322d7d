//! The door of a shard: who gets a handshake at once, who is asked for his address first, who waits, who hears nothing.
//!
//! The decision is the ladder's in `pipeline`; the door knows how much is under way, keeps those who wait, and lets the
//! next one in when a handshake ends. A handshake holds its [`Slot`] until it is done or given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, Gauge, counter, gauge};
use pipeline::{Asking, FairQueue, Ladder, LadderConfig, Load, Neighbourhood, Pushed, Step};
use quinn::Incoming;
use tokio::sync::Notify;

use super::peer::Peers;
use super::strangers::{Charge, Strangers};
use crate::config::StrangersConfig;

/// The door, held by the shard's loop alone.
pub(super) struct Door {
    ladder: Ladder,
    waiting: FairQueue<Incoming>,
    slots: Arc<Slots>,
    strangers: Arc<Strangers>,
    peers: Arc<Peers>,
    steps: Steps,
    waiting_len: Gauge,
    turned_away: Counter,
    connections_max: usize,
}

/// Somebody who may begin a handshake.
pub(super) struct Admitted {
    pub(super) incoming: Incoming,
    pub(super) slot: Slot,
    pub(super) seat: Seat,
}

impl Door {
    pub(super) fn new(
        config: &StrangersConfig,
        connections_max: usize,
        strangers: Arc<Strangers>,
        peers: Arc<Peers>,
    ) -> Self {
        let StrangersConfig { handshakes_max, retries_per_s, waiting_max, .. } = *config;
        Self {
            ladder: Ladder::new(LadderConfig { handshakes_max, retries_per_s }),
            waiting: FairQueue::new(waiting_max),
            slots: Arc::new(Slots::new()),
            strangers,
            peers,
            steps: Steps::new(),
            waiting_len: gauge!("gateway_incoming_waiting"),
            turned_away: counter!("gateway_incoming_turned_away_total"),
            connections_max,
        }
    }

    /// Where the end of handshakes and connections is heard of.
    pub(super) fn slots(&self) -> Arc<Slots> {
        Arc::clone(&self.slots)
    }

    /// Answers a request for a connection: lets it in, or does what else the ladder says.
    pub(super) fn answer(&mut self, incoming: Incoming, lanes_pressed: bool) -> Option<Admitted> {
        let address = incoming.remote_address().ip();
        let asking = Asking {
            validated: incoming.remote_address_validated(),
            may_retry: incoming.may_retry(),
            address: self.strangers.standing(address),
        };
        let load = Load { lanes_pressed, ..self.load() };
        let step = self.ladder.step(asking, load, self.strangers.now());
        self.steps.count(step, asking.validated);
        match step {
            Step::Accept => return Some(self.admit(incoming)),
            // The ladder asks only whom it may.
            Step::Retry => incoming.retry().unwrap_or_default(),
            Step::Ignore => incoming.ignore(),
            Step::Queue => {
                let of = Neighbourhood::of(address);
                if let Pushed::TurnedAway(other) = self.waiting.push(of, asking.address, incoming) {
                    self.turned_away.increment(1);
                    other.ignore();
                }
                self.measure();
                if load.connections_full {
                    // Whoever waits has proven an address and may prove more; who has proven nothing makes room.
                    self.peers.end_oldest_unproven();
                }
            }
        }
        None
    }

    /// The next of those who wait, once there is room.
    pub(super) fn next(&mut self) -> Option<Admitted> {
        if !self.ladder.has_room(self.load()) {
            return None;
        }
        let incoming = self.waiting.pop()?;
        self.measure();
        Some(self.admit(incoming))
    }

    fn admit(&self, incoming: Incoming) -> Admitted {
        self.strangers.charge(incoming.remote_address().ip(), Charge::Handshake);
        let slot = Slot::take(&self.slots, incoming.remote_address_validated());
        Admitted { incoming, slot, seat: Seat::take(&self.slots) }
    }

    fn load(&self) -> Load {
        Load {
            handshakes: self.slots.under_way(),
            unvalidated: self.slots.unvalidated.load(Ordering::Relaxed),
            waiting: self.waiting.len(),
            connections_full: self.slots.connections.load(Ordering::Relaxed)
                >= self.connections_max,
            lanes_pressed: false,
        }
    }

    fn measure(&self) {
        self.waiting_len.set(f64::from(u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)));
    }
}

/// Handshakes under way, and connections.
pub(super) struct Slots {
    taken: AtomicUsize,
    /// Those among them whose address was not validated.
    unvalidated: AtomicUsize,
    /// Connections that are served, from their first packet on.
    connections: AtomicUsize,
    /// Told when a handshake or a connection ends: somebody who waits may come in.
    pub(super) freed: Notify,
    under_way: [Gauge; 2],
}

/// One handshake, counted until this is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    validated: bool,
}

/// One connection, counted until this is dropped.
pub(super) struct Seat(Arc<Slots>);

impl Slots {
    /// Handshakes under way.
    pub(super) fn under_way(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn new() -> Self {
        Self {
            taken: AtomicUsize::new(0),
            unvalidated: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            freed: Notify::new(),
            under_way: ["no", "yes"]
                .map(|validated| gauge!("gateway_handshakes_under_way", "validated" => validated)),
        }
    }

    fn gauge(&self, validated: bool) -> &Gauge {
        let [no, yes] = &self.under_way;
        if validated { yes } else { no }
    }
}

impl Slot {
    fn take(slots: &Arc<Slots>, validated: bool) -> Self {
        slots.taken.fetch_add(1, Ordering::Relaxed);
        slots.unvalidated.fetch_add(usize::from(!validated), Ordering::Relaxed);
        slots.gauge(validated).increment(1.0);
        Self { slots: Arc::clone(slots), validated }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken.fetch_sub(1, Ordering::Relaxed);
        self.slots.unvalidated.fetch_sub(usize::from(!self.validated), Ordering::Relaxed);
        self.slots.gauge(self.validated).decrement(1.0);
        self.slots.freed.notify_one();
    }
}

impl Seat {
    fn take(slots: &Arc<Slots>) -> Self {
        slots.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(slots))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

/// What requests for a connection were answered.
struct Steps([[Counter; 2]; 4]);

impl Steps {
    fn new() -> Self {
        Self(["accept", "retry", "queue", "ignore"].map(|step| {
            ["no", "yes"].map(|validated| {
                counter!("gateway_incoming_total", "step" => step, "validated" => validated)
            })
        }))
    }

    fn count(&self, step: Step, validated: bool) {
        let [accept, retry, queue, ignore] = &self.0;
        let [no, yes] = match step {
            Step::Accept => accept,
            Step::Retry => retry,
            Step::Queue => queue,
            Step::Ignore => ignore,
        };
        if validated { yes } else { no }.increment(1);
    }
}
