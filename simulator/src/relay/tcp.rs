//! The sockets of a relay for connections: bytes come late and no faster than the line, and what is lost comes later.
//!
//! A connection is a flow of its own. The phone is connected at once, since the system accepts for the relay; whatever it
//! sends first waits as long as the exchange of the first segments takes, and then the relay connects to the gateway. Each
//! direction holds a bounded number of bytes and reads no more until they are handed on. Its end is handed on like bytes,
//! so that half a connection can be closed.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use pipeline::Time;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::clock::Clock;
use super::counts::TcpCounts;
use super::{RelayError, loopback};
use crate::network::{Flow, FlowNumber, Network, Way};
use crate::random::Seed;

/// Connections at one time, each with two sockets; more are refused.
const CONNECTIONS_MAX: usize = 4_096;
/// Bytes that are read at once.
const CHUNK_MAX: usize = 16 << 10;
/// Chunks on their way in one direction of a connection: half a mebibyte, the window of a phone.
const CHUNKS_MAX: usize = 32;
/// A system that has no file left for a connection is asked again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A network that carries connections between phones and a gateway. It ends when it is dropped.
#[derive(Debug)]
pub struct TcpRelay {
    shared: Arc<Shared>,
    addr: SocketAddr,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    network: Arc<Network>,
    seed: Seed,
    upstream: SocketAddr,
    clock: Clock,
    refuses: AtomicBool,
    /// How often all connections have been cut off.
    cuts: watch::Sender<u64>,
    counts: Mutex<TcpCounts>,
}

impl TcpRelay {
    /// Carries connections from a free port of this machine to `upstream`. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a socket.
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
    /// When the system refuses a socket.
    pub async fn open_at(
        listen: SocketAddr,
        upstream: SocketAddr,
        network: &Network,
        seed: Seed,
    ) -> Result<Self, RelayError> {
        let refused = |error| RelayError::Listen { addr: listen, error };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared {
            network: Arc::new(network.clone()),
            seed,
            upstream,
            clock: Clock::start(),
            refuses: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
            counts: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener)).abort_handle();
        Ok(Self { shared, addr, accepting })
    }

    /// Where phones connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Refuses connections from here on, or takes them again. The system has accepted one before the relay sees it, so a
    /// phone is told by a reset.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Relaxed);
    }

    /// Cuts off every connection that exists, on both sides.
    pub fn reset(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// What became of everything until this moment.
    #[must_use]
    pub fn counts(&self) -> TcpCounts {
        *self.shared.lock()
    }

    /// Ends it, and every connection with it.
    #[must_use]
    pub fn stop(self) -> TcpCounts {
        self.counts()
    }
}

impl Drop for TcpRelay {
    fn drop(&mut self) {
        // The connections are tasks of the task that accepts them, and end with it.
        self.accepting.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, TcpCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut next = FlowNumber(0);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((phone, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let is_refused = shared.refuses.load(Relaxed) || connections.len() >= CONNECTIONS_MAX;
        let mut counts = shared.lock();
        counts.taken += 1;
        if is_refused {
            counts.refused += 1;
            cut_off(&phone);
            continue;
        }
        counts.open += 1;
        drop(counts);
        let flow = Flow::new(Arc::clone(&shared.network), shared.seed, next);
        next = FlowNumber(next.0 + 1);
        let cuts = shared.cuts.subscribe();
        connections.spawn(carry(Arc::clone(&shared), flow, phone, cuts));
    }
}

/// One connection, from its first segment to its end.
async fn carry(
    shared: Arc<Shared>,
    mut flow: Flow,
    mut phone: TcpStream,
    mut cuts: watch::Receiver<u64>,
) {
    let connected = flow.connect(shared.clock.now());
    let carrying = async {
        shared.clock.sleep_until(connected.at).await;
        let Ok(mut gateway) = TcpStream::connect(shared.upstream).await else {
            return End::Unreachable;
        };
        match both_ways(&shared, flow, &mut phone, &mut gateway, &mut cuts).await {
            Ok(()) => End::Closed,
            Err(_) => {
                cut_off(&gateway);
                End::Reset
            }
        }
    };
    let end = carrying.await;
    if end != End::Closed {
        cut_off(&phone);
    }
    let mut counts = shared.lock();
    counts.open -= 1;
    match end {
        End::Closed => counts.closed += 1,
        End::Reset => counts.reset += 1,
        End::Unreachable => counts.unreachable += 1,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    Unreachable,
}

async fn both_ways(
    shared: &Shared,
    flow: Flow,
    phone: &mut TcpStream,
    gateway: &mut TcpStream,
    cuts: &mut watch::Receiver<u64>,
) -> io::Result<()> {
    phone.set_nodelay(true)?;
    gateway.set_nodelay(true)?;
    let flow = Mutex::new(flow);
    let (from_phone, to_phone) = phone.split();
    let (from_gateway, to_gateway) = gateway.split();
    let up = one_way(shared, &flow, Way::Up, from_phone, to_gateway);
    let down = one_way(shared, &flow, Way::Down, from_gateway, to_phone);
    tokio::select! {
        ended = async { tokio::try_join!(up, down) } => ended.map(|_| ()),
        _ = cuts.changed() => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

/// Reads, and hands on what was read when it arrives. An empty chunk is the end.
async fn one_way(
    shared: &Shared,
    flow: &Mutex<Flow>,
    way: Way,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let (sent, mut arriving) = mpsc::channel::<(Time, Bytes)>(CHUNKS_MAX);
    let reading = async move {
        let mut chunk = vec![0; CHUNK_MAX];
        loop {
            let len = from.read(&mut chunk).await?;
            let now = shared.clock.now();
            let carried = flow.lock().unwrap_or_else(PoisonError::into_inner).carry(way, len, now);
            {
                let mut counts = shared.lock();
                let line = counts.line(way);
                line.taken += u64::try_from(len).unwrap_or(u64::MAX);
                line.segments += carried.segments;
                line.resent += carried.resent;
            }
            let bytes = Bytes::copy_from_slice(chunk.get(..len).unwrap_or_default());
            // Nobody takes it any more only when writing has failed, which ends the connection.
            if sent.send((carried.at, bytes)).await.is_err() || len == 0 {
                return Ok::<(), io::Error>(());
            }
        }
    };
    let writing = async {
        while let Some((at, bytes)) = arriving.recv().await {
            shared.clock.sleep_until(at).await;
            if bytes.is_empty() {
                return to.shutdown().await;
            }
            to.write_all(&bytes).await?;
            shared.lock().line(way).delivered += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    };
    tokio::try_join!(reading, writing).map(|_| ())
}

/// Makes the system reset a connection when its socket is dropped. One that is gone already needs no reset.
fn cut_off(stream: &TcpStream) {
    drop(stream.set_zero_linger());
}
