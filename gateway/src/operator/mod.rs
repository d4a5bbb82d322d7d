//! The operator's side over HTTP/1.1 and HTTP/2: the feed, the operators' interface, whether the gateway is well, and its
//! metrics.
//!
//! It is given a bound listener and the rooms that it shows. When the gateway stops, it ends every stream only after it
//! has delivered what was pushed. Without a certificate it speaks plain HTTP, which the configuration allows on the
//! loopback address alone.

mod api;
mod connection;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::feed::{Feed, Problem};
use crate::identity::Pair;
use crate::journal::JournalError;
use connection::Connections;

pub use api::{ApiParts, Decider, Deciding};

/// Connections beyond those of subscribers, for health checks and metrics.
const SPARE_CONNECTIONS: usize = 64;

/// Memory of the system for what a client has not taken, in bytes: some hundred milliseconds of a surge.
const SEND_BUFFER_BYTES: usize = 512 * 1024;

/// Pause after the system had no socket to give, so that it can recover.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the operator's side is made of.
pub struct OperatorParts {
    /// A bound listener.
    pub listener: TcpListener,
    /// How to speak TLS; nothing: plain HTTP.
    pub tls: Option<TlsAcceptor>,
    /// The feed. Its streams stand still unless [`Feed::run`] runs.
    pub feed: Arc<Feed>,
    /// The operators' interface.
    pub api: ApiParts,
    /// Why the journal has stopped, if it has.
    pub journal_failure: watch::Receiver<Option<Arc<JournalError>>>,
    /// Turns true when the gateway stops, after the last push to the feed's head.
    pub closing: watch::Receiver<bool>,
}

/// What the routes beside the feed show.
#[derive(Clone)]
struct Shown {
    journal_failure: watch::Receiver<Option<Arc<JournalError>>>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Serves until the gateway stops, and then until every stream has delivered what was pushed.
///
/// Set a time on it: a client that takes little can draw that out.
pub async fn serve(parts: OperatorParts) {
    let OperatorParts { listener, tls, feed, api, journal_failure, mut closing } = parts;
    let metrics = Arc::clone(&api.metrics);
    let write_timeout = feed.config().write_timeout;
    let places = Arc::new(Semaphore::new(feed.config().subscribers_max + SPARE_CONNECTIONS));
    let shown = Shown { journal_failure, metrics };
    let router = router(Arc::clone(&feed), api, shown);
    let connections = Connections::new(router, tls, write_timeout, closing.clone());
    let mut open = JoinSet::new();
    loop {
        let (stream, place) = tokio::select! {
            accepted = accept(&listener, &places, write_timeout) => accepted,
            Some(_) = open.join_next() => continue,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let connections = connections.clone();
        open.spawn(async move {
            connections.serve(stream).await;
            drop(place);
        });
    }
    drop(listener);
    feed.close();
    while open.join_next().await.is_some() {}
}

/// TLS by ring, for HTTP/2 and HTTP/1.1.
///
/// # Errors
/// If it cannot be spoken with this certificate.
pub fn tls((chain, key): Pair) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

fn router(feed: Arc<Feed>, api: ApiParts, shown: Shown) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(shown)
        .merge(crate::feed::router(feed))
        .merge(api::router(api))
        .fallback(not_found)
        .method_not_allowed_fallback(other_method)
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    write_timeout: Duration,
) -> (TcpStream, Option<tokio::sync::OwnedSemaphorePermit>) {
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = tune(&stream, write_timeout) {
                    tracing::debug!(%error, "operator connection was not tuned");
                }
                return (stream, place);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an operator connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// An event leaves at once; a peer that is gone, or takes nothing, does not stay.
fn tune(stream: &TcpStream, write_timeout: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(write_timeout))?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)
}

async fn healthz(State(shown): State<Shown>) -> Response {
    if shown.journal_failure.borrow().is_none() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    let problem = Problem {
        name: "journal",
        title: "the journal has failed",
        status: StatusCode::SERVICE_UNAVAILABLE,
        detail: "no alert is receipted any more; the gateway's log says why".into(),
    };
    problem.into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], (shown.metrics)()).into_response()
}

async fn not_found() -> Problem {
    Problem {
        name: "not-found",
        title: "nothing is here",
        status: StatusCode::NOT_FOUND,
        detail: "there are /v1/feed, /healthz, /metrics and what /v1/openapi.json describes".into(),
    }
}

async fn other_method() -> Problem {
    Problem {
        name: "method",
        title: "another method is asked for",
        status: StatusCode::METHOD_NOT_ALLOWED,
        detail: "the header `Allow` names those that are answered here".into(),
    }
}
