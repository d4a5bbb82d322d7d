//! What a request for a connection is answered: the ladder from accepting to silence.
//!
//! A first packet may come from anybody under any address, so what it can take is little: a quarter of the handshakes,
//! while its address is within its budget and nobody is pressed. Beyond that it is asked to prove its address (RFC 9000
//! section 8.1.2, Retry), which costs one round trip and no memory here. Whoever has proven it finds three quarters of
//! the handshakes kept for such as him, and waits his address's turn when they are taken. Silence is only for first
//! packets of unproven addresses, and only when there are more of them than Retry can be sent: what is silent was not
//! refused, and a phone sends again.

use super::AddressStanding;
use crate::{Span, Time};

/// The part of all handshakes that unvalidated addresses may take: a quarter. The rest is kept for validated ones.
const UNVALIDATED_PART: usize = 4;
/// So many seconds' worth of Retry may be sent at once: a wave after a silence, as after an outage of a cell.
const RETRY_BURST_S: u64 = 1;
const US_PER_S: u64 = 1_000_000;

/// The bounds of a ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LadderConfig {
    /// Handshakes under way at one time.
    pub handshakes_max: usize,
    /// Addresses asked to prove themselves in a second.
    pub retries_per_s: u32,
}

/// Who asks for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    /// Whether it has proven that it hears what is sent to its address.
    pub validated: bool,
    /// Whether it can still be asked to.
    pub may_retry: bool,
    /// What its address has cost.
    pub address: AddressStanding,
}

/// How much is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Handshakes under way.
    pub handshakes: usize,
    /// Those among them whose address was not validated.
    pub unvalidated: usize,
    /// Validated requests that wait for a handshake.
    pub waiting: usize,
    /// Whether there are as many connections as there may be.
    pub connections_full: bool,
    /// Whether the lanes behind the handshakes are filling.
    pub lanes_pressed: bool,
}

/// What is done about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Begin the handshake.
    Accept,
    /// Ask it to prove its address.
    Retry,
    /// Let it wait for its address's turn.
    Queue,
    /// Say nothing.
    Ignore,
}

/// The ladder, and how often it has asked for an address of late.
#[derive(Debug)]
pub struct Ladder {
    config: LadderConfig,
    /// When everything that was sent as Retry is within the rate again.
    retries_paid_at: Time,
}

impl Ladder {
    /// A ladder that has asked for nothing yet.
    #[must_use]
    pub fn new(config: LadderConfig) -> Self {
        Self { config, retries_paid_at: Time::default() }
    }

    /// What is done about a request. `now` is a clock's that never goes back.
    pub fn step(&mut self, asking: Asking, load: Load, now: Time) -> Step {
        // Whoever cannot be asked for his address was asked before.
        if asking.validated || !asking.may_retry {
            return if load.waiting == 0 && self.has_room(load) {
                Step::Accept
            } else {
                Step::Queue
            };
        }
        let in_budget = asking.address == AddressStanding::InBudget;
        if in_budget && !self.is_loaded(load) {
            Step::Accept
        } else if self.may_send_retry(now) {
            Step::Retry
        } else {
            Step::Ignore
        }
    }

    /// Whether a validated request can be accepted: the first that waits, if any does.
    #[must_use]
    pub fn has_room(&self, load: Load) -> bool {
        load.handshakes < self.config.handshakes_max && !load.connections_full
    }

    /// Whether first packets must prove their address before they get a handshake.
    fn is_loaded(&self, load: Load) -> bool {
        let share = (self.config.handshakes_max / UNVALIDATED_PART).max(1);
        load.unvalidated >= share || load.waiting > 0 || load.lanes_pressed || !self.has_room(load)
    }

    fn may_send_retry(&mut self, now: Time) -> bool {
        let price = Span(US_PER_S / u64::from(self.config.retries_per_s).clamp(1, US_PER_S));
        let paid_at = self.retries_paid_at.max(now) + price;
        let within = paid_at.since(now) <= Span::from_secs(RETRY_BURST_S);
        if within {
            self.retries_paid_at = paid_at;
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: LadderConfig = LadderConfig { handshakes_max: 100, retries_per_s: 10 };
    const STRANGER: Asking =
        Asking { validated: false, may_retry: true, address: AddressStanding::InBudget };
    const EXHAUSTED: Asking = Asking { address: AddressStanding::Exhausted, ..STRANGER };
    const VALIDATED: Asking = Asking { validated: true, may_retry: false, ..EXHAUSTED };
    const IDLE: Load = Load {
        handshakes: 0,
        unvalidated: 0,
        waiting: 0,
        connections_full: false,
        lanes_pressed: false,
    };

    fn step(asking: Asking, load: Load) -> Step {
        Ladder::new(CONFIG).step(asking, load, Time(0))
    }

    #[test]
    fn a_quiet_gateway_accepts_at_once_and_asks_only_whom_it_must() {
        assert_eq!(step(STRANGER, IDLE), Step::Accept);
        assert_eq!(step(EXHAUSTED, IDLE), Step::Retry);
        assert_eq!(step(VALIDATED, IDLE), Step::Accept);
    }

    #[test]
    fn every_sign_of_load_asks_strangers_for_their_address() {
        let loaded = [
            Load { unvalidated: 25, handshakes: 25, ..IDLE },
            Load { handshakes: 100, ..IDLE },
            Load { waiting: 1, ..IDLE },
            Load { connections_full: true, ..IDLE },
            Load { lanes_pressed: true, ..IDLE },
        ];
        for load in loaded {
            assert_eq!(step(STRANGER, load), Step::Retry, "{load:?}");
        }
        let below = Load { unvalidated: 24, handshakes: 99, ..IDLE };
        assert_eq!(step(STRANGER, below), Step::Accept);
    }

    #[test]
    fn three_quarters_of_the_handshakes_are_kept_for_validated_addresses() {
        let strangers_have_theirs = Load { unvalidated: 25, handshakes: 25, ..IDLE };
        assert_eq!(step(VALIDATED, strangers_have_theirs), Step::Accept);
        assert_eq!(step(VALIDATED, Load { handshakes: 99, ..IDLE }), Step::Accept);
        assert_eq!(step(VALIDATED, Load { handshakes: 100, ..IDLE }), Step::Queue);
    }

    #[test]
    fn nobody_overtakes_those_who_wait() {
        assert_eq!(step(VALIDATED, Load { waiting: 1, ..IDLE }), Step::Queue);
        assert_eq!(step(VALIDATED, Load { connections_full: true, ..IDLE }), Step::Queue);
    }

    #[test]
    fn only_unvalidated_requests_are_ignored_and_only_beyond_the_rate_of_retry() {
        let mut ladder = Ladder::new(CONFIG);
        let steps: Vec<_> = (0..12).map(|_| ladder.step(EXHAUSTED, IDLE, Time(0))).collect();
        assert_eq!(steps[..10], [Step::Retry; 10]);
        assert_eq!(steps[10..], [Step::Ignore; 2]);
        let full = Load { handshakes: 100, connections_full: true, lanes_pressed: true, ..IDLE };
        assert_eq!(ladder.step(VALIDATED, full, Time(0)), Step::Queue);
        assert_eq!(ladder.step(EXHAUSTED, IDLE, Time(100_000)), Step::Retry);
        assert_eq!(ladder.step(EXHAUSTED, IDLE, Time(100_000)), Step::Ignore);
    }

    #[test]
    fn one_slot_is_left_to_strangers_however_few_there_are() {
        let mut ladder = Ladder::new(LadderConfig { handshakes_max: 1, ..CONFIG });
        assert_eq!(ladder.step(STRANGER, IDLE, Time(0)), Step::Accept);
    }
}
