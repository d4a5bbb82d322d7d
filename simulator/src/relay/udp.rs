//! The sockets of a relay for datagrams: one for all phones, and towards the gateway one for each, its public address.
//!
//! One task takes what phones send, one for each phone takes what the gateway answers, one hands on what has arrived. They
//! share a table under a lock that is never held across an await.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::Time;
use rustix::io::Errno;
use rustix::net::{SendFlags, send, sendto, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::clock::Clock;
use super::counts::UdpCounts;
use super::held::Goal;
use super::table::Table;
use super::{RelayError, loopback};
use crate::network::{FlowNumber, Network, Rebinding};
use crate::random::Seed;

/// Packets that are taken from a socket before others have their turn.
const BATCH_MAX: usize = 64;
/// The largest datagram that there is.
const DATAGRAM_MAX: usize = 65_535;
/// Room for what phones send while the relay is busy, in bytes; the system may grant less.
const SOCKET_BUFFER: usize = 4 << 20;

/// A network that carries datagrams between phones and a gateway. It ends when it is dropped.
#[derive(Debug)]
pub struct UdpRelay {
    shared: Arc<Shared>,
    addr: SocketAddr,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    phones: UdpSocket,
    upstream: SocketAddr,
    clock: Clock,
    /// Something has to be done sooner than the pacing task has planned.
    sooner: Notify,
}

#[derive(Debug)]
struct State {
    table: Table<Public>,
    scratch: Vec<u8>,
    /// When the pacing task looks next.
    planned: Option<Time>,
}

/// The public address of a phone, and the task that listens there.
#[derive(Debug)]
struct Public {
    socket: Arc<UdpSocket>,
    reader: AbortHandle,
}

impl Drop for Public {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl UdpRelay {
    /// Carries datagrams from a free port of this machine to `upstream`. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a socket, or `upstream` cannot be reached from the network's addresses.
    pub async fn open(
        upstream: SocketAddr,
        network: &Network,
        seed: Seed,
    ) -> Result<Self, RelayError> {
        Self::open_at(loopback(upstream), upstream, network, seed).await
    }

    /// As [`open`](Self::open), from an address of one's choice.
    ///
    /// # Errors
    /// When the system refuses a socket, or `upstream` cannot be reached from the network's addresses.
    pub async fn open_at(
        listen: SocketAddr,
        upstream: SocketAddr,
        network: &Network,
        seed: Seed,
    ) -> Result<Self, RelayError> {
        let is_local = matches!(upstream.ip(), IpAddr::V4(address) if address.is_loopback());
        let nat = network.nat();
        let moves = nat.rebind_every.0 > 0 && nat.rebind == Rebinding::Address;
        if !is_local && (nat.addresses > 0 || moves) {
            let network = network.name().to_owned();
            return Err(RelayError::Addresses { network, upstream });
        }
        let refused = |error| RelayError::Listen { addr: listen, error };
        let phones = UdpSocket::bind(listen).await.map_err(refused)?;
        let addr = phones.local_addr().map_err(refused)?;
        // A system that grants less drops a burst sooner, where nobody can count it.
        sockopt::set_socket_recv_buffer_size(&phones, SOCKET_BUFFER)
            .map_err(|error| refused(error.into()))?;
        let table = Table::new(Arc::new(network.clone()), seed);
        let state = State { table, scratch: vec![0; DATAGRAM_MAX], planned: None };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            phones,
            upstream,
            clock: Clock::start(),
            sooner: Notify::new(),
        });
        let listening = tokio::spawn(listen_to_phones(Arc::clone(&shared))).abort_handle();
        let pacing = tokio::spawn(hand_on(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, addr, tasks: [listening, pacing] })
    }

    /// Where phones send.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Gives every phone that has sent something another port, or another address in 127.64.0.0/16, from which only a
    /// gateway on this machine is reached. What the gateway sends to the former one is lost.
    pub fn rebind(&self, rebinding: Rebinding) {
        self.shared.lock().table.rebind(rebinding);
    }

    /// Blocks all datagrams, both ways, or lets them through again. Those on their way arrive.
    pub fn block(&self, is_blocked: bool) {
        self.shared.lock().table.is_blocked = is_blocked;
    }

    /// What became of everything until this moment.
    #[must_use]
    pub fn counts(&self) -> UdpCounts {
        self.shared.lock().table.counts()
    }

    /// Ends it; whatever is on its way never arrives.
    #[must_use]
    pub fn stop(self) -> UdpCounts {
        self.counts()
    }
}

impl Drop for UdpRelay {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.lock().table.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has come to the socket of all phones.
    fn take_from_phones(&self) {
        let mut state = self.lock();
        let State { table, scratch, .. } = &mut *state;
        for _ in 0..BATCH_MAX {
            match self.phones.try_recv_from(scratch) {
                Ok((len, client)) => {
                    let bytes = scratch.get(..len).unwrap_or_default();
                    table.phone_sends(client, bytes, self.clock.now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It belongs to something sent earlier, to a phone that is gone.
                Err(error) => drop(error),
            }
        }
        self.wake(&state);
    }

    /// Takes what the gateway has sent to the address of a flow. `false` once the flow has left that address.
    fn take_from_gateway(&self, number: FlowNumber, socket: &Arc<UdpSocket>) -> bool {
        let mut state = self.lock();
        let State { table, scratch, .. } = &mut *state;
        if !table.has(number, |public| Arc::ptr_eq(&public.socket, socket)) {
            return false;
        }
        for _ in 0..BATCH_MAX {
            match socket.try_recv(scratch) {
                Ok(len) => {
                    let bytes = scratch.get(..len).unwrap_or_default();
                    table.gateway_sends(number, bytes, self.clock.now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The gateway is down. Phones are not told, as they are not by a carrier.
                Err(error) => drop(error),
            }
        }
        self.wake(&state);
        true
    }

    /// Wakes the pacing task if there is something to do sooner than it has planned.
    fn wake(&self, state: &State) {
        let next = state.table.next_deadline();
        if next.is_some_and(|next| state.planned.is_none_or(|planned| next < planned)) {
            self.sooner.notify_one();
        }
    }

    /// Hands on what has arrived, and says when to look again.
    fn hand_on(self: &Arc<Self>) -> Option<Time> {
        let mut state = self.lock();
        let now = self.clock.now();
        state.table.tick(now);
        while let Some(packet) = state.table.due(now) {
            let is_sent = match packet.goal {
                Goal::Phone(client) => {
                    sendto(&self.phones, &packet.bytes, SendFlags::empty(), &client).is_ok()
                }
                Goal::Gateway(number) => {
                    let public = state.table.socket(number, |from| self.public(number, from).ok());
                    public.is_some_and(|public| send_to_gateway(&public.socket, &packet.bytes))
                }
            };
            state.table.arrived(&packet, is_sent);
        }
        state.planned = state.table.next_deadline();
        state.planned
    }

    /// A public address for a phone, and its reader.
    fn public(self: &Arc<Self>, number: FlowNumber, from: Option<Ipv4Addr>) -> io::Result<Public> {
        let unspecified = match self.upstream {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let local = from.map_or(unspecified, IpAddr::V4);
        let socket = std::net::UdpSocket::bind((local, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(self.upstream)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let listening = listen_to_gateway(Arc::clone(self), number, Arc::clone(&socket));
        Ok(Public { socket, reader: tokio::spawn(listening).abort_handle() })
    }
}

/// Sends at once, without asking the runtime, which knows of a socket that it can be written to only a moment after it was
/// opened. A gateway that was down makes the next send fail once, with news of the one before.
fn send_to_gateway(socket: &UdpSocket, bytes: &[u8]) -> bool {
    match send(socket, bytes, SendFlags::empty()) {
        Err(Errno::CONNREFUSED) => send(socket, bytes, SendFlags::empty()).is_ok(),
        sent => sent.is_ok(),
    }
}

async fn listen_to_phones(shared: Arc<Shared>) {
    while shared.phones.readable().await.is_ok() {
        shared.take_from_phones();
        tokio::task::yield_now().await;
    }
}

async fn listen_to_gateway(shared: Arc<Shared>, number: FlowNumber, socket: Arc<UdpSocket>) {
    while socket.readable().await.is_ok() && shared.take_from_gateway(number, &socket) {
        tokio::task::yield_now().await;
    }
}

async fn hand_on(shared: Arc<Shared>) {
    loop {
        let next = shared.hand_on();
        let sooner = shared.sooner.notified();
        match next {
            Some(next) => tokio::select! {
                () = shared.clock.sleep_until(next) => {}
                () = sooner => {}
            },
            None => sooner.await,
        }
    }
}
