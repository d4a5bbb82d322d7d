//! How a network translates addresses: which flow a phone's packets belong to, and for how long.
//!
//! The table is bounded; at the bound the mapping that would end first makes room, and is counted. It decides nothing by
//! the order of addresses. Sockets belong to whoever asks it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use pipeline::{Span, Time};

use super::flow::FlowNumber;

/// Each mapping of a relay is a socket: more of them than this and a process has no files left.
pub(super) const MAPPINGS_MAX: usize = 65_536;
/// Hosts in 127.64.0.0/16, the lowest and the highest left out.
pub(super) const ADDRESSES_MAX: u16 = 65_534;

/// The rules of a translator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nat {
    /// A mapping that has seen one packet ends so long after it.
    pub timeout_single: Span,
    /// Any other ends so long after its last packet.
    pub timeout: Span,
    /// All mappings move at this interval; 0: never.
    pub rebind_every: Span,
    /// What moves then.
    pub rebind: Rebinding,
    /// Addresses in 127.64.0.0/16 that phones share; 0: this machine's own.
    pub addresses: u16,
    /// Mappings at one time.
    pub mappings: usize,
}

/// What of a phone's public address moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebinding {
    /// Its port.
    Port,
    /// Its address, and so its port too.
    Address,
}

impl Default for Nat {
    /// [vendor's documentation of a carrier's translator: 15 s after a single first packet, else 5 minutes]
    fn default() -> Self {
        Self {
            timeout_single: Span::from_secs(15),
            timeout: Span::from_secs(300),
            rebind_every: Span(0),
            rebind: Rebinding::Port,
            addresses: 0,
            mappings: 16_384,
        }
    }
}

impl Nat {
    /// The public address of a flow that was moved so often; nothing: this machine's own.
    #[must_use]
    pub fn address(&self, flow: FlowNumber, moved: u64) -> Option<Ipv4Addr> {
        let host = match (self.addresses, moved) {
            (0, 0) => return None,
            (0, _) => flow.0.wrapping_add(moved) % u64::from(ADDRESSES_MAX),
            // All share it, and it is the one that moves.
            (1, _) => moved % u64::from(ADDRESSES_MAX),
            (addresses, _) => flow.0.wrapping_add(moved) % u64::from(addresses),
        };
        let first = u32::from(Ipv4Addr::new(127, 64, 0, 1));
        Some(Ipv4Addr::from(first + u32::try_from(host).unwrap_or_default()))
    }
}

/// Who is mapped.
#[derive(Debug)]
pub struct NatTable {
    rules: Nat,
    by_client: BTreeMap<SocketAddr, FlowNumber>,
    mappings: BTreeMap<FlowNumber, Mapping>,
    ends: BTreeSet<(Time, FlowNumber)>,
    next: FlowNumber,
}

#[derive(Debug)]
struct Mapping {
    client: SocketAddr,
    ends: Time,
}

/// Where a packet of a phone belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outbound {
    /// Its flow.
    pub flow: FlowNumber,
    /// Whether the flow begins with it.
    pub is_new: bool,
    /// The flow that had to end for it.
    pub evicted: Option<FlowNumber>,
}

impl NatTable {
    /// Nobody is mapped yet.
    #[must_use]
    pub fn new(rules: Nat) -> Self {
        let (by_client, mappings) = (BTreeMap::new(), BTreeMap::new());
        Self { rules, by_client, mappings, ends: BTreeSet::new(), next: FlowNumber(0) }
    }

    /// A phone sends. Whatever should have ended by now has to be taken first: see [`expire`](Self::expire).
    pub fn outbound(&mut self, client: SocketAddr, now: Time) -> Outbound {
        if let Some(flow) = self.by_client.get(&client).copied() {
            self.prolong(flow, now + self.rules.timeout);
            return Outbound { flow, is_new: false, evicted: None };
        }
        let evicted =
            if self.mappings.len() >= self.rules.mappings { self.end_first() } else { None };
        let flow = self.next;
        self.next = FlowNumber(flow.0 + 1);
        let ends = now + self.rules.timeout_single;
        self.by_client.insert(client, flow);
        self.mappings.insert(flow, Mapping { client, ends });
        self.ends.insert((ends, flow));
        Outbound { flow, is_new: true, evicted }
    }

    /// The gateway answers on a flow: whom that reaches, if the flow has not ended.
    pub fn inbound(&mut self, flow: FlowNumber, now: Time) -> Option<SocketAddr> {
        self.prolong(flow, now + self.rules.timeout);
        self.client(flow)
    }

    /// Whose flow it is.
    #[must_use]
    pub fn client(&self, flow: FlowNumber) -> Option<SocketAddr> {
        self.mappings.get(&flow).map(|mapping| mapping.client)
    }

    /// Ends the next flow whose time is over.
    pub fn expire(&mut self, now: Time) -> Option<FlowNumber> {
        self.next_deadline().filter(|ends| *ends <= now).and_then(|_| self.end_first())
    }

    /// When the next flow ends if nobody sends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.ends.first().map(|(ends, _)| *ends)
    }

    /// How many are mapped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mappings.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    fn prolong(&mut self, flow: FlowNumber, ends: Time) {
        let Some(mapping) = self.mappings.get_mut(&flow) else { return };
        self.ends.remove(&(mapping.ends, flow));
        mapping.ends = ends;
        self.ends.insert((ends, flow));
    }

    fn end_first(&mut self) -> Option<FlowNumber> {
        let (_, flow) = self.ends.pop_first()?;
        let mapping = self.mappings.remove(&flow)?;
        self.by_client.remove(&mapping.client);
        Some(flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn table(mappings: usize) -> NatTable {
        NatTable::new(Nat { mappings, ..Nat::default() })
    }

    fn second(s: u64) -> Time {
        Time(s * 1_000_000)
    }

    #[test]
    fn a_single_packet_keeps_its_mapping_for_a_short_time_and_two_for_a_long_one() {
        let mut table = table(8);
        let silent = table.outbound(client(1), second(0)).flow;
        let answered = table.outbound(client(2), second(0)).flow;
        assert_eq!(table.inbound(answered, second(1)), Some(client(2)));
        assert_eq!(table.next_deadline(), Some(second(15)));
        assert_eq!(table.expire(Time(second(15).0 - 1)), None);
        assert_eq!(table.expire(second(15)), Some(silent));
        assert_eq!((table.expire(second(300)), table.len()), (None, 1));
        assert_eq!(table.expire(second(301)), Some(answered));
        assert!(table.is_empty());
        assert_eq!(table.inbound(answered, second(301)), None);
        let again = table.outbound(client(2), second(302));
        assert_eq!((again.flow, again.is_new), (FlowNumber(2), true));
    }

    #[test]
    fn at_the_bound_whoever_would_end_first_makes_room() {
        let mut table = table(2);
        let first = table.outbound(client(1), second(0)).flow;
        let second_flow = table.outbound(client(2), second(1)).flow;
        assert_eq!(table.outbound(client(1), second(2)).flow, first);
        let third = table.outbound(client(3), second(3));
        assert_eq!((third.evicted, table.len()), (Some(second_flow), 2));
        assert_eq!((table.client(first), table.client(second_flow)), (Some(client(1)), None));
    }

    #[test]
    fn phones_share_the_addresses_that_there_are_and_move_within_them() {
        let shared = Nat { addresses: 4, ..Nat::default() };
        let of = |nat: &Nat, flow, moved| nat.address(FlowNumber(flow), moved);
        let seen: BTreeSet<_> = (0..1_000).filter_map(|flow| of(&shared, flow, 0)).collect();
        assert_eq!(seen.len(), 4);
        assert!(seen.iter().all(Ipv4Addr::is_loopback));
        let only = Nat { addresses: 1, ..Nat::default() };
        assert_eq!(of(&only, 7, 0), Some(Ipv4Addr::new(127, 64, 0, 1)));
        for moved in [0, 1, 65_534] {
            assert_eq!(of(&only, 7, moved), of(&only, 8, moved));
        }
        for nat in [&shared, &only, &Nat::default()] {
            assert_ne!(of(nat, 7, 1), of(nat, 7, 2));
            assert_ne!(of(nat, 7, 0), of(nat, 7, 1));
        }
        assert_eq!(of(&Nat::default(), 7, 0), None);
        let highest = of(&Nat::default(), u64::from(ADDRESSES_MAX) - 2, 1);
        assert_eq!(highest, Some(Ipv4Addr::new(127, 64, 255, 254)));
    }
}
