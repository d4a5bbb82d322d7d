//! A connection to a target, kept between events as long as the target keeps it: requests one after another, each until
//! its answer was read.
//!
//! Nobody drives it in between, so no task outlives an attempt, and whatever a target says without being asked waits in
//! the system's bounded buffers. It leads to the address that was checked when it was opened; for how long that is
//! believed is the caller's to say.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pipeline::{Span, Time};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::post::Cause;

/// Bytes of an answer's head that are read, which is the least that hyper allows.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Bytes of an answer's body that are read, so that an honest target sees its answer taken.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// How long that may take: the status has been judged.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct Line {
    requests: SendRequest<Full<Bytes>>,
    connection: Pin<Box<dyn Future<Output = ()> + Send>>,
    opened_at: Time,
    used_at: Time,
}

impl Line {
    /// Speaks HTTP over `stream` from `now` on.
    pub(super) async fn open<S>(stream: S, now: Time) -> Result<Self, Cause>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let opened = builder.handshake(TokioIo::new(stream)).await;
        let (requests, connection) = opened.map_err(|_| Cause::Broken)?;
        // How it ends shows in the request that it leaves without an answer.
        let connection = Box::pin(async move { drop(connection.await) });
        Ok(Self { requests, connection, opened_at: now, used_at: now })
    }

    /// Whether it was in use within `idle_max` and was opened within `age_max`, by a clock that may be set back.
    pub(super) fn is_fresh(&self, now: Time, idle_max: Span, age_max: Span) -> bool {
        let within = |since: Time, longest| now >= since && now.since(since) < longest;
        within(self.used_at, idle_max) && within(self.opened_at, age_max)
    }

    /// Waits until the target closes it.
    pub(super) async fn closed(&mut self) {
        self.connection.as_mut().await;
    }

    /// Sends the request and judges the answer. Gives the connection back if it can take another.
    pub(super) async fn exchange<T>(
        mut self,
        request: Request<Full<Bytes>>,
        now: Time,
        judge: impl Fn(&Response<Incoming>) -> T,
    ) -> Result<(T, Option<Self>), Cause> {
        let Self { requests, connection, .. } = &mut self;
        let (answer, open) = {
            let answer = std::pin::pin!(ask(requests, request, judge));
            match select(answer, connection.as_mut()).await {
                Either::Left((answer, _)) => (answer, true),
                Either::Right(((), answer)) => (answer.await, false),
            }
        };
        let (judged, ended) = answer?;
        self.used_at = now;
        Ok((judged, (ended && open).then_some(self)))
    }
}

/// What is answered, as it is judged, and whether the answer ended.
async fn ask<T>(
    requests: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    judge: impl Fn(&Response<Incoming>) -> T,
) -> Result<(T, bool), Cause> {
    requests.ready().await.map_err(|_| Cause::Broken)?;
    let response = requests.send_request(request).await.map_err(|_| Cause::Broken)?;
    let judged = judge(&response);
    // What the body says changes nothing; one that does not end takes the connection with it.
    let ended = timeout(BODY_TIMEOUT, drain(response)).await.unwrap_or(false);
    Ok((judged, ended))
}

/// Reads the body, as far as that is bounded. Whether it ended.
async fn drain(response: Response<Incoming>) -> bool {
    let mut body = response.into_body();
    let mut left = BODY_BYTES_MAX;
    loop {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => {
                let len = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(len) else { return false };
                left = rest;
            }
        }
    }
}
