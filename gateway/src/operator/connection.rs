//! One connection of the operator's side, from its first byte to its last.
//!
//! Bounded in every direction: small buffers, a time for a request's head, an end for connections that do nothing and
//! for clients that no longer take what they are given.

use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use crate::feed::{BEATS_PER_TIMEOUT, Pulse, Streams};

/// Most that waits in memory for one client beside the chunk being handed over, in bytes.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// How long a request's head may take, and a TLS handshake before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection without a stream stays, roughly.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Streams of one HTTP/2 connection.
const STREAMS_MAX: u32 = 16;

/// Serves connections of one listener.
#[derive(Clone)]
pub(super) struct Connections {
    router: Router,
    builder: Builder<TokioExecutor>,
    /// Nothing: plain HTTP.
    tls: Option<TlsAcceptor>,
    beat: Duration,
    closing: watch::Receiver<bool>,
}

impl Connections {
    /// Connections to `router`, until `closing` turns true.
    pub(super) fn new(
        router: Router,
        tls: Option<TlsAcceptor>,
        write_timeout: Duration,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(WRITE_BUFFER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_send_buf_size(WRITE_BUFFER_BYTES);
        Self { router, builder, tls, beat: write_timeout / BEATS_PER_TIMEOUT, closing }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self, stream: TcpStream) {
        let Some(tls) = &self.tls else { return self.speak(stream).await };
        let mut closing = self.closing.clone();
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)) => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS with an operator's client"),
            Err(_) => tracing::debug!("an operator's client was too slow for TLS"),
        }
    }

    async fn speak(mut self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let streams = Streams::default();
        let router = self.router.layer(Extension(streams.clone()));
        let service = TowerToHyperService::new(router.into_service::<Incoming>());
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut beat = interval(self.beat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut idle = Duration::ZERO;
        let mut draining = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "operator connection ended");
                    }
                    return;
                }
                _ = self.closing.wait_for(|closing| *closing), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = beat.tick() => match streams.beat() {
                    Pulse::Alive => idle = Duration::ZERO,
                    Pulse::Idle => {
                        idle += self.beat;
                        if idle > IDLE_TIMEOUT {
                            return;
                        }
                    }
                    Pulse::Stalled => {
                        metrics::counter!("gateway_feed_stalled_total").increment(1);
                        tracing::warn!("a feed's client takes nothing; its connection is closed");
                        return;
                    }
                }
            }
        }
    }
}
