//! One attempt: the name is looked up, the address checked, the event posted, the answer judged by its status.
//!
//! It is bounded on every side: in time by the configuration, in bytes by the [`Line`]. A redirection is an answer like any
//! other and never followed, because it would lead past the check of the address.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use pipeline::{Span, Time};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::line::Line;
use super::outbox::Letter;
use super::signature;
use super::target::{Target, is_public};
use crate::config::WebhookConfig;
use crate::registry::WebhookSecret;

/// Addresses of one name that are tried in turn.
const ADDRESSES_MAX: usize = 4;
/// A connection that was not used for so long is not used again: what lies between may have forgotten it without a word.
const LINE_IDLE_MAX: Span = Span::from_secs(15);
/// A name is looked up again after so long at the latest, so that a target that moved, or must not be reached any more, is
/// not spoken to for ever.
const LINE_AGE_MAX: Span = Span::from_secs(60);

/// Why an attempt failed. The names are labels of metrics and stand in dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The address in the registry cannot be read.
    Garbled = 0,
    /// The name is not known.
    Unresolved = 1,
    /// Every address of the name is one that the internet does not route.
    Private = 2,
    /// No address took the connection.
    Unreachable = 3,
    /// Its certificate is not for this name, or nobody vouches for it.
    Tls = 4,
    /// It took too long.
    Timeout = 5,
    /// It closed the connection, or spoke no HTTP.
    Broken = 6,
    /// It answered 3xx.
    Redirected = 7,
    /// It answered 4xx.
    Rejected = 8,
    /// It answered 408 or 429.
    Busy = 9,
    /// It answered 5xx, or what is no answer to a POST.
    Server = 10,
}

impl Cause {
    /// Every one, in order of its number.
    pub const NAMES: [&'static str; 11] = [
        "garbled",
        "unresolved",
        "private",
        "unreachable",
        "tls",
        "timeout",
        "broken",
        "redirected",
        "rejected",
        "busy",
        "server",
    ];

    /// The label.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(self as usize).copied().unwrap_or_default()
    }
}

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) cause: Cause,
    /// How long the target asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl From<Cause> for Failed {
    fn from(cause: Cause) -> Self {
        Self { cause, retry_after: None }
    }
}

/// Those whose certificates are believed: the machine's own store, so that an authority of the house is added there.
///
/// # Errors
/// If there is not one certificate that can be used.
pub fn trust_of_the_machine() -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(format!("this machine has no certificates to believe: {:?}", found.errors));
    }
    Ok(trust(roots))
}

/// Believes certificates that these vouch for.
#[must_use]
pub fn trust(roots: RootCertStore) -> Arc<ClientConfig> {
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Looks up a name and a port.
pub type Resolve = Arc<dyn Fn(&str, u16) -> Resolving + Send + Sync>;

/// The addresses of a name, once they are known.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// As the machine does it.
#[must_use]
pub fn resolve_with_the_machine() -> Resolve {
    Arc::new(|host, port| {
        let host = host.to_owned();
        Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
    })
}

/// What every attempt needs.
pub(super) struct Poster {
    pub(super) config: WebhookConfig,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) resolve: Resolve,
}

/// Where and how one webhook is posted to.
pub(super) struct Addressee<'a> {
    pub(super) target: &'a Target,
    pub(super) allow_private: bool,
    pub(super) secret: &'a WebhookSecret,
}

impl Poster {
    /// Posts `letter`, signed at `now`, over `line` if that is open still, and leaves there what can be used again.
    pub(super) async fn post(
        &self,
        to: &Addressee<'_>,
        letter: &Letter,
        now: Time,
        line: &mut Option<Line>,
    ) -> Result<(), Failed> {
        let kept = line.take().filter(|line| line.is_fresh(now, LINE_IDLE_MAX, LINE_AGE_MAX));
        let attempt = async {
            let request = || request(to, letter, now).ok_or(Cause::Garbled);
            let judge = |response: &Response<Incoming>| judge(response, now);
            if let Some(kept) = kept
                && let Ok((judged, rest)) = kept.exchange(request()?, now, judge).await
            {
                *line = rest;
                return judged;
            }
            // A target may close at any moment what nothing is sent over, also the moment before this.
            let opened = self.open(to, now).await?;
            let (judged, rest) = opened.exchange(request()?, now, judge).await?;
            *line = rest;
            judged
        };
        timeout(self.config.request_timeout, attempt).await.map_err(|_| Cause::Timeout)?
    }

    /// A connection to the target, at an address that was checked.
    async fn open(&self, to: &Addressee<'_>, now: Time) -> Result<Line, Cause> {
        let target = to.target;
        let addresses = self.addresses(target, to.allow_private).await?;
        let stream = self.connect(&addresses).await?;
        if !target.tls {
            return Line::open(stream, now).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|_| Cause::Garbled)?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let handshake = timeout(self.config.connect_timeout, connector.connect(name, stream));
        let stream = handshake.await.map_err(|_| Cause::Timeout)?.map_err(|error| {
            let is_tls = error.kind() == io::ErrorKind::InvalidData;
            if is_tls { Cause::Tls } else { Cause::Broken }
        })?;
        Line::open(stream, now).await
    }

    /// The addresses that may be connected to.
    async fn addresses(
        &self,
        target: &Target,
        allow_private: bool,
    ) -> Result<Vec<SocketAddr>, Cause> {
        let found = (self.resolve)(&target.host, target.port).await;
        let found = found.map_err(|_| Cause::Unresolved)?;
        if found.is_empty() {
            return Err(Cause::Unresolved);
        }
        let allowed = found.into_iter().filter(|address| allow_private || is_public(address.ip()));
        let allowed: Vec<_> = allowed.take(ADDRESSES_MAX).collect();
        if allowed.is_empty() { Err(Cause::Private) } else { Ok(allowed) }
    }

    /// A connection to the first of these addresses that takes one. Nothing is looked up again.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Cause> {
        let mut cause = Cause::Unreachable;
        for address in addresses {
            match timeout(self.config.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(_)) => cause = Cause::Unreachable,
                Err(_) => cause = Cause::Timeout,
            }
        }
        Err(cause)
    }
}

fn request(to: &Addressee<'_>, letter: &Letter, now: Time) -> Option<Request<Full<bytes::Bytes>>> {
    let Addressee { target, secret, .. } = to;
    let (timestamp, signature) = signature::sign(secret, &letter.id, now, &letter.body);
    Request::post(target.path.as_str())
        .header(HOST, target.authority.as_str())
        .header(USER_AGENT, concat!("kentongan/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, letter.media)
        .header(signature::ID, letter.id.as_str())
        .header(signature::TIMESTAMP, timestamp)
        .header(signature::SIGNATURE, signature)
        .body(Full::new(letter.body.clone()))
        .ok()
}

fn judge(response: &Response<Incoming>, now: Time) -> Result<(), Failed> {
    let status = response.status();
    let cause = match status.as_u16() {
        200..=299 => return Ok(()),
        300..=399 => Cause::Redirected,
        408 | 429 => Cause::Busy,
        400..=499 => Cause::Rejected,
        _ => Cause::Server,
    };
    let listens = cause == Cause::Busy || status == StatusCode::SERVICE_UNAVAILABLE;
    let text = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = text.filter(|_| listens).and_then(|text| retry_after(text, now));
    Err(Failed { cause, retry_after })
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(text: &str, now: Time) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    let now = i64::try_from(now.0 / 1_000_000).ok()?;
    date.checked_sub(now).and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_ask_in_seconds_or_by_a_date() {
        let now = Time(784_111_777_000_000);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:50:07 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), None);
        assert_eq!(retry_after("soon", now), None);
    }
}
