//! The ladder, the table and the queue together, in a flood in virtual time, with the ladder and without it.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::tests::{HANDSHAKE, SECOND, address, table};
use super::*;
use crate::Time;

/// A gateway that answers requests for connections in virtual time.
struct Gateway {
    ladder: Option<Ladder>,
    table: CostTable,
    waiting: FairQueue<(u64, u64)>,
    /// When each handshake under way ends, and whether its address was validated.
    under_way: Vec<(u64, bool)>,
    slots: usize,
}

/// A phone's round trip, and as long for its handshake.
const ROUND_TRIP: u64 = 50_000;
/// How long a handshake that never ends keeps its slot.
const HANDSHAKE_TIMEOUT: u64 = 5 * SECOND;

impl Gateway {
    fn new(ladder: bool) -> Self {
        let slots = 512;
        let config = LadderConfig { handshakes_max: slots, retries_per_s: 10_000 };
        Self {
            ladder: ladder.then(|| Ladder::new(config)),
            table: table(1 << 16),
            waiting: FairQueue::new(1_024),
            under_way: vec![],
            slots,
        }
    }

    /// Answers a request that would hold its slot for `hold`. Whether it was accepted or waits; nothing: asked to retry.
    fn ask(&mut self, from: IpAddr, validated: bool, hold: u64, now: u64) -> Option<bool> {
        self.under_way.retain(|(ends, _)| *ends > now);
        let load = Load {
            handshakes: self.under_way.len(),
            unvalidated: self.under_way.iter().filter(|(_, validated)| !validated).count(),
            waiting: self.waiting.len(),
            ..Load::default()
        };
        let address = self.table.standing(from, Time(now));
        let asking = Asking { validated, may_retry: !validated, address };
        let step = match &mut self.ladder {
            Some(ladder) => ladder.step(asking, load, Time(now)),
            None if load.handshakes < self.slots => Step::Accept,
            None => Step::Ignore,
        };
        match step {
            Step::Accept => {
                self.table.charge(from, HANDSHAKE, Time(now));
                self.under_way.push((now + hold, validated));
                Some(true)
            }
            Step::Queue => {
                self.waiting.push(Neighbourhood::of(from), address, (now, hold));
                Some(true)
            }
            Step::Retry => None,
            Step::Ignore => Some(false),
        }
    }
}

/// Ten seconds of phones, 300 a second, and of strangers who never go on, 3,000 a second from 4,000 addresses; the
/// phones press from an address of their own each, or all from one that a flooder uses too. Phones that were not let in.
fn not_let_in(ladder: bool, phones_share: bool) -> usize {
    let mut gateway = Gateway::new(ladder);
    let mut retried: VecDeque<(u64, IpAddr)> = VecDeque::new();
    let (mut lost, step_us) = (0, SECOND / 3_000);
    for turn in 0..30_000_u64 {
        let now = turn * step_us;
        while retried.front().is_some_and(|(at, _)| *at <= now) {
            let (_, from) = retried.pop_front().unwrap();
            lost += usize::from(gateway.ask(from, true, ROUND_TRIP, now) != Some(true));
        }
        let flooder = u32::try_from(turn % 4_000).unwrap();
        gateway.ask(address(flooder), false, HANDSHAKE_TIMEOUT, now);
        if turn % 10 == 0 {
            let phone = u32::try_from(turn / 10).unwrap();
            let from = if phones_share { address(0) } else { address(100_000 + phone) };
            match gateway.ask(from, false, ROUND_TRIP, now) {
                Some(let_in) => lost += usize::from(!let_in),
                None => retried.push_back((now + ROUND_TRIP, from)),
            }
        }
    }
    assert!(gateway.waiting.is_empty(), "{} wait", gateway.waiting.len());
    lost
}

#[test]
fn the_ladder_lets_every_phone_in_while_strangers_flood() {
    assert_eq!(not_let_in(true, false), 0);
    assert_eq!(not_let_in(true, true), 0, "all from an address that floods too");
    assert!(not_let_in(false, false) > 2_500, "without the ladder the slots are gone");
}
