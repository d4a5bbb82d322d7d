//! What became of everything that a relay was given. Nothing disappears: the fates of packets add up.

use serde::Serialize;

use crate::network::{Fate, Way};

/// Packets of one direction, by fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Packets {
    /// That came to the relay.
    pub taken: u64,
    /// Their bytes, headers not counted.
    pub bytes: u64,
    /// Handed on.
    pub delivered: u64,
    /// Lost on the way.
    pub lost: u64,
    /// Larger than the line carries.
    pub too_large: u64,
    /// Behind too many others, of the line or of the relay itself.
    pub queue_full: u64,
    /// While UDP was blocked.
    pub blocked: u64,
    /// The system did not take them, or their mapping ended while they were on the way.
    pub undeliverable: u64,
    /// Still on the way.
    pub held: u64,
    /// Copies that were handed on beside them.
    pub duplicated: u64,
    /// Delivered ones that had been held back, so that others could overtake them.
    pub reordered: u64,
}

impl Packets {
    /// Whether every packet is accounted for.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let fates = [self.delivered, self.lost, self.too_large, self.queue_full, self.blocked];
        fates.iter().sum::<u64>() + self.undeliverable + self.held == self.taken
    }

    pub(super) fn take(&mut self, len: usize) {
        self.taken += 1;
        self.bytes += u64::try_from(len).unwrap_or(u64::MAX);
    }

    /// Counts a packet that has its fate; one that is delivered is only on its way yet.
    pub(super) fn decide(&mut self, fate: Fate) {
        match fate {
            Fate::Delivered(_) => self.held += 1,
            Fate::Lost => self.lost += 1,
            Fate::TooLarge => self.too_large += 1,
            Fate::QueueFull => self.queue_full += 1,
        }
    }
}

/// How phones were mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Mappings {
    /// That began.
    pub opened: u64,
    /// That ended because nobody sent.
    pub expired: u64,
    /// That ended to make room.
    pub evicted: u64,
    /// That got another port or address.
    pub rebound: u64,
    /// That exist.
    pub open: u64,
}

/// Everything that a relay for datagrams counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct UdpCounts {
    /// From phones.
    pub up: Packets,
    /// To phones.
    pub down: Packets,
    /// The address translation.
    pub mappings: Mappings,
}

impl UdpCounts {
    /// Whether every packet is accounted for, and none is on its way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let lines = [self.up, self.down];
        lines.iter().all(|line| line.is_balanced() && line.held == 0)
    }

    pub(super) fn line(&mut self, way: Way) -> &mut Packets {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

/// Bytes of one direction of all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StreamBytes {
    /// That came to the relay.
    pub taken: u64,
    /// Handed on.
    pub delivered: u64,
    /// Segments that they were cut into.
    pub segments: u64,
    /// Segments that were lost and came later, each as often as it was lost.
    pub resent: u64,
}

/// Everything that a relay for connections counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TcpCounts {
    /// Connections that came.
    pub taken: u64,
    /// That were refused: by order, or because there were too many.
    pub refused: u64,
    /// That the gateway did not take.
    pub unreachable: u64,
    /// That ended as both sides wished.
    pub closed: u64,
    /// That one side, or an order, cut off.
    pub reset: u64,
    /// That exist.
    pub open: u64,
    /// From phones.
    pub up: StreamBytes,
    /// To phones.
    pub down: StreamBytes,
}

impl TcpCounts {
    pub(super) fn line(&mut self, way: Way) -> &mut StreamBytes {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}
