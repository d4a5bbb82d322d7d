//! Sends one message until there is a receipt for it.
//!
//! The same bytes go out again and again, over a fresh connection beside the silent one after a second, until the first
//! receipt that says `received`, `duplicate` or `held`. A refusal ends only its own attempt, unless no copy of the
//! bytes can ever be accepted. The client opens its own sockets; it reads no clock (its waits are timers of the runtime) and
//! asks for no randomness.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::{Reason, Receipt};
use quinn::{ClientConfig, ConnectError, Connection, ConnectionError, Endpoint, VarInt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::tickets::Tickets;
use crate::transport::config_with;
use crate::{
    ExchangeError, Options, Policy, SetupError, Signed, Statuses, Trust, bind,
    exchange_early_and_follow,
};

/// Time between two signs of life on a connection whose sender follows an alert. Mobile networks forget a silent UDP
/// path after 20 to 30 s.
pub const FOLLOW_KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Time that a closing connection has to say goodbye.
const FAREWELL_MAX: Duration = Duration::from_millis(200);

/// A gateway sends its tickets right behind the handshake; one that has not come by then will not come.
const TICKET_WAIT_MAX: Duration = Duration::from_secs(1);

/// Where a gateway is: a host name or an IP address, and a UDP port. The host is also the name that the gateway's
/// certificate must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
}

/// Text that is not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not HOST:PORT, such as sos.malang.example:4433, 192.0.2.7:4433 or [2001:db8::7]:4433"
)]
pub struct ServerError(String);

/// Keeps one gateway's connections and tickets, and sends messages to it. Share it by reference.
#[derive(Debug)]
pub struct Client {
    server: Server,
    config: ClientConfig,
    /// None if none are kept.
    tickets: Option<Arc<Tickets>>,
    policy: Policy,
    /// The last connection that brought a receipt, with the socket it uses.
    warm: Mutex<Option<Link>>,
}

/// A connection and the socket that carries it.
#[derive(Debug, Clone)]
struct Link {
    endpoint: Endpoint,
    connection: Connection,
}

/// A receipt that settles a message: a copy is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// What the gateway said.
    pub receipt: Receipt,
    /// How many attempts were started.
    pub attempts: u32,
    /// Whether the message went out in the first packet of its connection and was taken there.
    pub zero_rtt: bool,
}

/// Why a message has no receipt that settles it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The gateway refused the message for good, or went on refusing it. Nothing is stored.
    #[error("refused: {}", .receipt.reason.map_or("no reason given", Reason::in_words))]
    Refused {
        /// What the gateway said last.
        receipt: Box<Receipt>,
        /// How many attempts were started.
        attempts: u32,
    },
    /// The deadline passed. A copy may be on disk all the same; sending the same bytes again does no harm.
    #[error("no receipt by the deadline; last: {}", last(.failure))]
    NoReceipt {
        /// How many attempts were started.
        attempts: u32,
        /// Why the last attempt that ended had no receipt; none if all stayed silent.
        failure: Option<AttemptError>,
    },
    /// The deadline passed and no attempt had so much as an answer from the gateway.
    #[error("gateway cannot be reached; last: {}", last(.failure))]
    Unreachable {
        /// How many attempts were started.
        attempts: u32,
        /// Why the last attempt that ended had no receipt; none if all stayed silent.
        failure: Option<AttemptError>,
    },
}

/// Why one attempt brought no receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    /// The host name has no address: check `--server` and the network.
    #[error("no address for {host}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        error: String,
    },
    /// The system refused a socket.
    #[error("cannot open a socket: {0}")]
    Bind(io::ErrorKind),
    /// The connection's parameters are wrong; a host that can be no server name is the usual one.
    #[error("cannot connect: {0}")]
    Connect(ConnectError),
    /// No connection came about: nobody answers, or its certificate is not trusted.
    #[error("no connection: {0}")]
    Handshake(ConnectionError),
    /// The connection stood and brought no receipt.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

fn last(failure: &Option<AttemptError>) -> String {
    failure.as_ref().map_or_else(|| "silence".to_owned(), ToString::to_string)
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let wrong = || ServerError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl Server {
    /// The name that the gateway's certificate must carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.host
    }

    /// The server's addresses, as the system's resolver gives them.
    ///
    /// # Errors
    /// When there is none.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, AttemptError> {
        let error = |error: String| AttemptError::Resolve { host: self.host.clone(), error };
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|io_error| error(io_error.to_string()))?;
        let addresses: Vec<_> = found.collect();
        if addresses.is_empty() { Err(error("none found".into())) } else { Ok(addresses) }
    }
}

/// What the attempts of one message have come to.
#[derive(Default)]
struct Progress {
    attempts: u32,
    unproven: u32,
    refusal: Option<Receipt>,
    failure: Option<AttemptError>,
    reached: Arc<AtomicBool>,
}

/// How an attempt finds its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    /// The warm connection, if there is one.
    Warm,
    /// A connection of its own over a socket of its own: a path that does not share the fate of the silent one.
    Fresh,
}

/// A receipt, and how it came.
struct Answer {
    receipt: Receipt,
    statuses: Statuses,
    link: Link,
    zero_rtt: bool,
}

/// What to do after an attempt has ended.
enum Next {
    Done(Delivered, Statuses),
    GiveUp(SendError),
    Wait(Duration, Route),
    /// Others are under way; the running wait stands.
    Continue,
}

impl Client {
    /// A client of the gateway at `server`.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(
        server: Server,
        trust: &Trust,
        options: &Options,
        policy: Policy,
    ) -> Result<Self, SetupError> {
        let tickets = Arc::new(Tickets::new(options.sessions_max));
        let config = config_with(trust, options, &tickets)?;
        let expects_tickets = options.sessions_max > 0;
        let tickets = expects_tickets.then_some(tickets);
        Ok(Self { server, config, tickets, policy, warm: Mutex::new(None) })
    }

    /// Connects once and keeps the connection warm, as an app does when it starts, and waits a moment for a ticket, with
    /// which a later connection carries its message in the first packet.
    ///
    /// # Errors
    /// When no connection comes about. There is one attempt per address.
    pub async fn prepare(&self) -> Result<(), AttemptError> {
        let mut failure = None;
        for (attempt, _) in (1..).zip(self.server.resolve().await?) {
            match self.connect(attempt).await {
                Ok(link) => {
                    self.keep_warm(link);
                    self.wait_for_ticket().await;
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn wait_for_ticket(&self) {
        let Some(tickets) = &self.tickets else { return };
        if timeout(TICKET_WAIT_MAX, tickets.wait()).await.is_err() {
            tracing::debug!("gateway gave no ticket; the next connection takes a round trip more");
        }
    }

    /// Sends `signed` until a receipt settles it, the deadline passes or it is refused for good.
    ///
    /// Dropping the future ends all its attempts.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(self: &Arc<Self>, signed: &Signed) -> Result<Delivered, SendError> {
        self.settle(signed).await.map(|(delivered, _)| delivered)
    }

    /// As [`send`](Self::send), with what the gateway tells behind the receipt.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        signed: &Signed,
    ) -> Result<(Delivered, Statuses), SendError> {
        let mut progress = Progress::default();
        let attempts = self.attempt_until_settled(signed, &mut progress);
        let outcome = match self.policy.deadline {
            Some(deadline) => timeout(deadline, attempts).await.ok(),
            None => Some(attempts.await),
        };
        outcome.unwrap_or_else(|| Err(progress.at_deadline()))
    }

    /// Closes the warm connection and gives it a moment to say so to the gateway.
    pub async fn close(&self) {
        if let Some(link) = self.take_warm() {
            link.connection.close(VarInt::from_u32(0), b"");
            if timeout(FAREWELL_MAX, link.endpoint.wait_idle()).await.is_err() {
                tracing::debug!("gateway did not see the connection close; it will time out");
            }
        }
    }

    async fn attempt_until_settled(
        self: &Arc<Self>,
        signed: &Signed,
        progress: &mut Progress,
    ) -> Result<(Delivered, Statuses), SendError> {
        let mut running = JoinSet::new();
        let mut handles = std::collections::VecDeque::new();
        let mut route = Route::Warm;
        loop {
            progress.attempts = progress.attempts.saturating_add(1);
            if handles.len() >= self.policy.parallel_max.max(1) {
                handles.pop_front().inspect(tokio::task::AbortHandle::abort);
            }
            let attempt = (route, progress.attempts, progress.reached.clone());
            handles.push_back(running.spawn(self.clone().attempt(attempt, signed.clone())));
            let silence = self.policy.silence(signed.id(), progress.attempts);
            let mut pause = pin!(sleep(silence));
            route = Route::Fresh;
            loop {
                let ended = tokio::select! {
                    () = &mut pause => break,
                    Some(ended) = running.join_next() => ended,
                };
                handles.retain(|handle| !handle.is_finished());
                // An attempt that was made to give way counts for nothing.
                let Ok(ended) = ended else { continue };
                match self.after(ended, signed, progress, running.is_empty()) {
                    Next::Done(delivered, statuses) => return Ok((delivered, statuses)),
                    Next::GiveUp(error) => return Err(error),
                    Next::Wait(wait, next) => {
                        route = next;
                        pause.set(sleep(wait));
                    }
                    Next::Continue => {}
                }
            }
        }
    }

    /// Takes note of an attempt's end and says how to go on.
    fn after(
        &self,
        ended: Result<Answer, AttemptError>,
        signed: &Signed,
        progress: &mut Progress,
        alone: bool,
    ) -> Next {
        let attempts = progress.attempts;
        let answer = match ended {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, attempts, "attempt failed");
                progress.failure = Some(error);
                return if alone {
                    Next::Wait(self.policy.failure(signed.id(), attempts), Route::Fresh)
                } else {
                    Next::Continue
                };
            }
        };
        let Answer { receipt, statuses, link, zero_rtt } = answer;
        self.keep_warm(link);
        if receipt.status.is_durable() {
            return Next::Done(Delivered { receipt, attempts, zero_rtt }, statuses);
        }
        progress.refusal = Some(receipt);
        progress.unproven += u32::from(receipt.reason == Some(Reason::Unproven));
        let patience_ends = self.policy.unproven_max.is_some_and(|max| progress.unproven >= max);
        if patience_ends || receipt.reason.is_some_and(Reason::is_permanent) {
            return Next::GiveUp(SendError::Refused { receipt: Box::new(receipt), attempts });
        }
        // A gateway that stops takes nothing more on this connection; any other refusal leaves the connection good.
        let next =
            if receipt.reason == Some(Reason::Stopping) { Route::Fresh } else { Route::Warm };
        Next::Wait(self.policy.refusal(signed.id(), attempts, receipt.retry_after_ms), next)
    }

    async fn attempt(
        self: Arc<Self>,
        (route, attempt, reached): (Route, u32, Arc<AtomicBool>),
        signed: Signed,
    ) -> Result<Answer, AttemptError> {
        let warm = (route == Route::Warm).then(|| self.warm_link()).flatten();
        if let Some(link) = warm {
            let (receipt, statuses) =
                exchange_early_and_follow(&link.connection, signed.bytes().clone()).await?;
            reached.store(true, Ordering::Relaxed);
            return Ok(Answer { receipt, statuses, link, zero_rtt: false });
        }
        let (endpoint, connecting) = self.start(attempt).await?;
        match connecting.into_0rtt() {
            Ok((connection, taken)) => {
                let (receipt, statuses) =
                    exchange_early_and_follow(&connection, signed.bytes().clone()).await?;
                reached.store(true, Ordering::Relaxed);
                // A receipt can only follow the handshake's end, so this does not wait.
                let zero_rtt = taken.await;
                let link = Link { endpoint, connection };
                Ok(Answer { receipt, statuses, link, zero_rtt })
            }
            Err(connecting) => {
                let connection = connecting.await.map_err(AttemptError::Handshake)?;
                reached.store(true, Ordering::Relaxed);
                let (receipt, statuses) =
                    exchange_early_and_follow(&connection, signed.bytes().clone()).await?;
                let link = Link { endpoint, connection };
                Ok(Answer { receipt, statuses, link, zero_rtt: false })
            }
        }
    }

    /// A finished handshake.
    async fn connect(&self, attempt: u32) -> Result<Link, AttemptError> {
        let (endpoint, connecting) = self.start(attempt).await?;
        let connection = connecting.await.map_err(AttemptError::Handshake)?;
        Ok(Link { endpoint, connection })
    }

    /// Starts a connection over a new socket. Attempts take the server's addresses in turn.
    async fn start(&self, attempt: u32) -> Result<(Endpoint, quinn::Connecting), AttemptError> {
        let addresses = self.server.resolve().await?;
        let turn = usize::try_from(attempt.saturating_sub(1)).unwrap_or(0) % addresses.len().max(1);
        let address = addresses.get(turn).copied().ok_or_else(|| AttemptError::Resolve {
            host: self.server.host.clone(),
            error: "none found".into(),
        })?;
        let endpoint = bind(address).map_err(|error| AttemptError::Bind(error.kind()))?;
        let connecting = endpoint
            .connect_with(self.config.clone(), address, self.server.name())
            .map_err(AttemptError::Connect)?;
        Ok((endpoint, connecting))
    }

    /// How hard this client tries.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    fn warm_link(&self) -> Option<Link> {
        let warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        warm.clone().filter(|link| link.connection.close_reason().is_none())
    }

    fn keep_warm(&self, link: Link) {
        *self.warm.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    fn take_warm(&self) -> Option<Link> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Progress {
    /// What to report when time is up.
    fn at_deadline(self) -> SendError {
        let Self { attempts, failure, refusal, reached, .. } = self;
        match refusal {
            Some(receipt) => SendError::Refused { receipt: Box::new(receipt), attempts },
            None if reached.load(Ordering::Relaxed) => SendError::NoReceipt { attempts, failure },
            None => SendError::Unreachable { attempts, failure },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_is_a_host_and_a_port() {
        for (text, host) in [
            ("localhost:4433", "localhost"),
            ("127.0.0.1:4433", "127.0.0.1"),
            ("[::1]:4433", "::1"),
        ] {
            let server = Server { host: host.into(), port: 4433 };
            assert_eq!(text.parse(), Ok(server), "{text}");
        }
        for text in ["", "localhost", ":4433", "::1:4433", "[::1:4433", "h:0", "h:65536", "h:x"] {
            assert_eq!(text.parse::<Server>(), Err(ServerError(text.into())), "{text}");
        }
    }
}
