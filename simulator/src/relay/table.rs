//! What a relay knows of its phones: their flows, their mappings, their packets on the way, and what became of the others.
//!
//! It is told packets and the time. It opens no socket and reads no clock; a phone's socket is kept here for whoever does.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use pipeline::{Span, Time};

use super::counts::UdpCounts;
use super::held::{Goal, Held, Packet};
use crate::network::{Fate, Flow, FlowNumber, NatTable, Network, Rebinding};
use crate::random::Seed;

/// Phones and their packets. `S` is a phone's socket on the gateway's side.
#[derive(Debug)]
pub(super) struct Table<S> {
    network: Arc<Network>,
    seed: Seed,
    nat: NatTable,
    phones: BTreeMap<FlowNumber, Phone<S>>,
    held: Held,
    pub(super) is_blocked: bool,
    rebinds_at: Option<Time>,
    pub(super) counts: UdpCounts,
}

#[derive(Debug)]
struct Phone<S> {
    flow: Flow,
    /// How often its public address has moved.
    moved: u64,
    socket: Option<S>,
    /// The socket that it had before. It is kept until there is another, so that the other has another port.
    former: Option<S>,
}

impl<S> Table<S> {
    pub(super) fn new(network: Arc<Network>, seed: Seed) -> Self {
        let every = network.nat().rebind_every;
        Self {
            nat: NatTable::new(network.nat().clone()),
            is_blocked: network.blocks_udp(),
            rebinds_at: (every > Span(0)).then_some(Time(0) + every),
            network,
            seed,
            phones: BTreeMap::new(),
            held: Held::default(),
            counts: UdpCounts::default(),
        }
    }

    /// A phone sends. What is blocked never reaches the translator.
    pub(super) fn phone_sends(&mut self, client: SocketAddr, bytes: &[u8], now: Time) {
        self.counts.up.take(bytes.len());
        if self.is_blocked {
            self.counts.up.blocked += 1;
            return;
        }
        self.expire(now);
        let outbound = self.nat.outbound(client, now);
        if let Some(evicted) = outbound.evicted {
            self.phones.remove(&evicted);
            self.counts.mappings.evicted += 1;
        }
        if outbound.is_new {
            let flow = Flow::new(Arc::clone(&self.network), self.seed, outbound.flow);
            let phone = Phone { flow, moved: 0, socket: None, former: None };
            self.phones.insert(outbound.flow, phone);
            self.counts.mappings.opened += 1;
        }
        self.pass(outbound.flow, Goal::Gateway(outbound.flow), bytes, now);
    }

    /// The gateway sends to the address of a flow.
    pub(super) fn gateway_sends(&mut self, number: FlowNumber, bytes: &[u8], now: Time) {
        self.counts.down.take(bytes.len());
        if self.is_blocked {
            self.counts.down.blocked += 1;
            return;
        }
        self.expire(now);
        match self.nat.inbound(number, now) {
            Some(client) => self.pass(number, Goal::Phone(client), bytes, now),
            None => self.counts.down.undeliverable += 1,
        }
    }

    fn pass(&mut self, number: FlowNumber, goal: Goal, bytes: &[u8], now: Time) {
        let counts = self.counts.line(goal.way());
        let Some(phone) = self.phones.get_mut(&number) else {
            counts.undeliverable += 1;
            return;
        };
        let fate = match phone.flow.pass(goal.way(), bytes.len(), now) {
            Fate::Delivered(_) if self.held.is_full() => Fate::QueueFull,
            fate => fate,
        };
        counts.decide(fate);
        let Fate::Delivered(delivery) = fate else { return };
        let bytes = Bytes::copy_from_slice(bytes);
        let packet = Packet { goal, bytes, is_copy: false, held_back: delivery.held_back };
        if let Some(copy_at) = delivery.copy_at {
            self.held.push(copy_at, Packet { is_copy: true, held_back: false, ..packet.clone() });
        }
        self.held.push(delivery.at, packet);
    }

    /// The next packet that has arrived. Whoever takes it says with [`arrived`](Self::arrived) whether it could be sent.
    pub(super) fn due(&mut self, now: Time) -> Option<Packet> {
        self.held.pop(now)
    }

    pub(super) fn arrived(&mut self, packet: &Packet, is_sent: bool) {
        let counts = self.counts.line(packet.goal.way());
        if packet.is_copy {
            counts.duplicated += u64::from(is_sent);
            return;
        }
        counts.held -= 1;
        if is_sent {
            counts.delivered += 1;
            counts.reordered += u64::from(packet.held_back);
        } else {
            counts.undeliverable += 1;
        }
    }

    /// Ends mappings whose time is over, and moves all if the network's schedule says so.
    pub(super) fn tick(&mut self, now: Time) {
        self.expire(now);
        let Some(at) = self.rebinds_at.filter(|at| *at <= now) else { return };
        let every = self.network.nat().rebind_every;
        self.rebinds_at = Some((at + every).max(now));
        self.rebind(self.network.nat().rebind);
    }

    /// Gives every phone that has sent something another port, or another address.
    pub(super) fn rebind(&mut self, rebinding: Rebinding) {
        for phone in self.phones.values_mut() {
            let Some(socket) = phone.socket.take() else { continue };
            phone.former = Some(socket);
            phone.moved += u64::from(rebinding == Rebinding::Address);
            self.counts.mappings.rebound += 1;
        }
    }

    /// The socket of a flow. One that has none yet gets what `open` opens at its public address.
    pub(super) fn socket(
        &mut self,
        number: FlowNumber,
        open: impl FnOnce(Option<Ipv4Addr>) -> Option<S>,
    ) -> Option<&S> {
        let phone = self.phones.get_mut(&number)?;
        if phone.socket.is_none() {
            phone.socket = open(self.network.nat().address(number, phone.moved));
            phone.former = None;
        }
        phone.socket.as_ref()
    }

    /// Whether this is the socket that a flow has at present.
    pub(super) fn has(&self, number: FlowNumber, is_it: impl FnOnce(&S) -> bool) -> bool {
        let socket = self.phones.get(&number).and_then(|phone| phone.socket.as_ref());
        socket.is_some_and(is_it)
    }

    /// When there is something to do next, if nobody sends.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let deadlines = [self.held.next_at(), self.nat.next_deadline(), self.rebinds_at];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn counts(&self) -> UdpCounts {
        let mut counts = self.counts;
        counts.mappings.open = u64::try_from(self.nat.len()).unwrap_or(u64::MAX);
        counts
    }

    /// Lets every socket go.
    pub(super) fn close(&mut self) {
        self.phones.clear();
    }

    fn expire(&mut self, now: Time) {
        while let Some(number) = self.nat.expire(now) {
            self.phones.remove(&number);
            self.counts.mappings.expired += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn table(text: &str) -> Table<Option<Ipv4Addr>> {
        Table::new(Arc::new(Network::parse("test", text).unwrap()), Seed(1))
    }

    /// Lets whatever is due arrive; how much that was.
    fn deliver(table: &mut Table<Option<Ipv4Addr>>, now: Time) -> usize {
        let mut delivered = 0;
        while let Some(packet) = table.due(now) {
            if let Goal::Gateway(number) = packet.goal {
                assert!(table.socket(number, Some).is_some());
            }
            table.arrived(&packet, true);
            delivered += 1;
        }
        delivered
    }

    #[test]
    fn every_packet_has_one_fate_and_the_fates_add_up() {
        let text = "[up]\ndelay = \"20ms\"\njitter = \"5ms\"\nloss_good = 0.2\nduplicate = 0.1\nmtu = 1280\n\
                    reorder = 0.1\nreorder_by = \"9ms\"\nrate = \"1Mbit/s\"\nqueue = \"8KiB\"\n";
        let mut table = table(text);
        for place in 0..2_000_u64 {
            let now = Time(place * 900);
            deliver(&mut table, now);
            table.is_blocked = (500..600).contains(&place);
            let len = if place % 50 == 0 { 1_300 } else { 100 + usize::from(place % 3 == 0) * 200 };
            table.phone_sends(client(1), &vec![0; len], now);
            assert!(table.counts().up.is_balanced(), "{:?}", table.counts());
        }
        let waiting = table.counts().up.held;
        let left = deliver(&mut table, Time(u64::MAX));
        let counts = table.counts();
        assert!(counts.is_settled() && waiting > 0 && left as u64 >= waiting, "{counts:?}");
        let up = counts.up;
        for fate in
            [up.delivered, up.lost, up.too_large, up.queue_full, up.duplicated, up.reordered]
        {
            assert!(fate > 0, "{up:?}");
        }
        assert_eq!((up.taken, up.blocked), (2_000, 100));
    }

    #[test]
    fn mappings_end_when_nobody_sends_and_answers_find_nobody() {
        let mut table = table("[nat]\ntimeout_single = \"15s\"\ntimeout = \"5m\"\n");
        table.phone_sends(client(1), b"knock", Time(0));
        assert_eq!(deliver(&mut table, Time(0)), 1);
        table.tick(Time(15_000_000));
        assert_eq!((table.counts().mappings.expired, table.counts().mappings.open), (1, 0));
        table.gateway_sends(FlowNumber(0), b"who?", Time(15_000_001));
        assert_eq!(table.counts().down.undeliverable, 1);
        table.phone_sends(client(1), b"knock", Time(15_000_002));
        assert_eq!(table.counts().mappings.opened, 2);
    }

    #[test]
    fn phones_move_on_schedule_and_their_packets_on_the_way_leave_from_where_they_are_then() {
        let mut table =
            table("[up]\ndelay = \"1s\"\n[nat]\nrebind_every = \"10s\"\nrebind = \"address\"\n");
        let sent_from = |table: &mut Table<Option<Ipv4Addr>>, now: u64| {
            table.phone_sends(client(1), b"here", Time(now));
            deliver(table, Time(now + 1_000_000));
            *table.socket(FlowNumber(0), |_| None).unwrap()
        };
        assert_eq!(sent_from(&mut table, 0), None);
        table.phone_sends(client(1), b"between", Time(9_500_000));
        assert_eq!(table.next_deadline(), Some(Time(10_000_000)));
        table.tick(Time(10_000_000));
        assert_eq!(table.counts().mappings.rebound, 1);
        assert!(!table.has(FlowNumber(0), |_| true));
        assert_eq!(deliver(&mut table, Time(10_500_000)), 1);
        let first = *table.socket(FlowNumber(0), |_| None).unwrap();
        table.tick(Time(20_000_000));
        let second = sent_from(&mut table, 20_000_000);
        assert!(first.is_some() && second.is_some() && first != second, "{first:?} {second:?}");
    }
}
