//! Packets on their way, the next to arrive first; of two at one moment, the first to be sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use bytes::Bytes;
use pipeline::Time;

use crate::network::{FlowNumber, Way};

/// Packets that a relay holds: a hundred megabytes of full ones. What comes on top is dropped and counted.
const HELD_MAX: usize = 65_536;

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// To the gateway, from the address of this flow.
    Gateway(FlowNumber),
    /// To this phone.
    Phone(SocketAddr),
}

impl Goal {
    pub(super) fn way(self) -> Way {
        match self {
            Self::Gateway(_) => Way::Up,
            Self::Phone(_) => Way::Down,
        }
    }
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) goal: Goal,
    pub(super) bytes: Bytes,
    pub(super) is_copy: bool,
    pub(super) held_back: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    packets: BinaryHeap<Reverse<Waiting>>,
    sent: u64,
}

#[derive(Debug)]
struct Waiting {
    at: Time,
    number: u64,
    packet: Packet,
}

impl Held {
    pub(super) fn is_full(&self) -> bool {
        self.packets.len() >= HELD_MAX
    }

    pub(super) fn push(&mut self, at: Time, packet: Packet) {
        self.packets.push(Reverse(Waiting { at, number: self.sent, packet }));
        self.sent += 1;
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        self.packets.peek().map(|next| next.0.at)
    }

    pub(super) fn pop(&mut self, now: Time) -> Option<Packet> {
        self.next_at().filter(|at| *at <= now)?;
        self.packets.pop().map(|next| next.0.packet)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_to_arrive_leaves_first_and_none_before_its_time() {
        let mut held = Held::default();
        let packet = |word: &'static str| Packet {
            goal: Goal::Gateway(FlowNumber(0)),
            bytes: Bytes::from_static(word.as_bytes()),
            is_copy: false,
            held_back: false,
        };
        for (at, word) in [(20, "c"), (10, "a"), (10, "b")] {
            held.push(Time(at), packet(word));
        }
        assert_eq!(held.next_at(), Some(Time(10)));
        assert!(held.pop(Time(9)).is_none());
        let leaving = std::iter::from_fn(|| held.pop(Time(20)));
        let words: Vec<_> = leaving.map(|packet| packet.bytes).collect();
        assert_eq!(words, ["a", "b", "c"]);
    }
}
