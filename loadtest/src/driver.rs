//! Sends every press at its intended instant, whatever happened to earlier ones.
//!
//! A pacing thread does nothing but sleep until the next press is due and hand it to the runtime; the runtime starts a
//! task for it. No task waits for another, so a gateway that stalls meets the same load as one that does not. A press
//! without a receipt is sent again as a device would: the same bytes over a fresh connection after a second, then
//! after two, four and eight, beside the attempts that are still silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use protocol::{Reason, Receipt};
use tokio::sync::mpsc;

use crate::clock::{Clock, Moment};
use crate::connections::{AttemptError, Connections};
use crate::ledger::{Answer, Ledger, PressIndex};
use crate::plan::{Plan, Press};

/// A press without a receipt is sent again after this long.
const FRESH_AFTER: Duration = Duration::from_secs(1);
/// A first attempt that failed outright is repeated after this long; it cost the path next to nothing.
const FAILED_AFTER: Duration = Duration::from_millis(250);
/// Longest wait between two attempts.
const FRESH_AFTER_MAX: Duration = Duration::from_secs(8);
/// A press that has no receipt after this long is missing.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// The pacing thread sleeps at least this long, so that it hands over presses in small groups under high rates.
/// It bounds what grouping adds to the schedule lag.
const NAP: Duration = Duration::from_micros(200);

/// What a run is driven with.
#[derive(Debug)]
pub struct Drive {
    /// What is sent.
    pub plan: Arc<Plan>,
    /// Where what happens is written down.
    pub ledger: Arc<Ledger>,
    /// The run's clock; it starts when the plan begins.
    pub clock: Clock,
    /// How presses reach the gateway.
    pub connections: Arc<Connections>,
    /// Set to end the run early; what has not been sent then never is.
    pub stop: Arc<AtomicBool>,
}

/// Presses with neighbouring places in the plan that are due.
#[derive(Debug, Clone, Copy)]
struct Due {
    from: u32,
    to: u32,
}

/// Sends the whole plan and returns when every press has a receipt or is given up.
pub async fn drive(drive: Arc<Drive>) {
    let (due, mut dues) = mpsc::unbounded_channel();
    let pacing = Arc::clone(&drive);
    let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(move || pace(&pacing, &due));
    let (done, mut all_done) = mpsc::channel::<()>(1);
    while let Some(Due { from, to }) = dues.recv().await {
        for place in from..to {
            let (drive, done) = (Arc::clone(&drive), done.clone());
            tokio::spawn(async move {
                drive.press(PressIndex(place)).await;
                drop(done);
            });
        }
    }
    drop(done);
    // Nothing is ever sent: the channel ends when the last press drops its end of it.
    while all_done.recv().await.is_some() {}
    if let Ok(pacer) = pacer {
        pacer.join().unwrap_or_default();
    }
}

/// Sleeps until presses are due and hands them over, until all were or the run is stopped.
fn pace(drive: &Drive, due: &mpsc::UnboundedSender<Due>) {
    raise_priority();
    let presses = drive.plan.presses();
    let mut next = 0;
    while let Some(press) = presses.get(next) {
        if drive.stop.load(Relaxed) {
            return;
        }
        let now = drive.clock.now();
        if press.intended > now {
            let nap_ends = now.plus(NAP);
            drive.clock.sleep_until(press.intended.max(nap_ends).min(now.plus(DEADLINE)));
            continue;
        }
        let behind = presses.iter().skip(next);
        let count = behind.take_while(|press| press.intended <= now).count();
        let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        if due.send(Due { from: place(next), to: place(next + count) }).is_err() {
            return;
        }
        next += count;
    }
}

/// Lets the pacing thread run as soon as it wakes, where the system permits. It uses next to no processor time, and
/// without this it waits for whatever the driver is busy with.
fn raise_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, -10) {
        tracing::debug!(%error, "the pacing thread keeps its ordinary priority");
    }
}

impl Drive {
    async fn press(&self, index: PressIndex) {
        let Some(press) = self.plan.press(index) else { return };
        let give_up = self.clock.now().plus(DEADLINE);
        let first = self.attempt(index, press, 0);
        let mut first = std::pin::pin!(first);
        match tokio::time::timeout(FRESH_AFTER, &mut first).await {
            Ok(Ok(answer)) if is_final(answer) => {}
            Ok(_) => {
                tokio::time::sleep(FAILED_AFTER).await;
                self.resend(index, press, FuturesUnordered::new(), give_up).await;
            }
            Err(_) => {
                let silent: FuturesUnordered<_> = std::iter::once(first.boxed()).collect();
                self.resend(index, press, silent, give_up).await;
            }
        }
    }

    /// Sends the same bytes again and again until there is an answer; `silent` are attempts that may still bring one.
    async fn resend<'a>(
        &'a self,
        index: PressIndex,
        press: &'a Press,
        mut silent: FuturesUnordered<BoxFuture<'a, Result<Answer, AttemptError>>>,
        give_up: Moment,
    ) {
        let mut wait = FRESH_AFTER;
        for attempt in 1.. {
            silent.push(self.attempt(index, press, attempt).boxed());
            wait = (wait * 2).min(FRESH_AFTER_MAX);
            let next = self.clock.now().plus(wait).min(give_up);
            let next = tokio::time::sleep_until(self.clock.deadline(next));
            let mut next = std::pin::pin!(next);
            loop {
                tokio::select! {
                    Some(outcome) = silent.next(), if !silent.is_empty() => match outcome {
                        Ok(answer) if is_final(answer) => return,
                        Ok(answer) => tracing::debug!(?answer, "refused for a while"),
                        Err(error) => tracing::debug!(%error, "an attempt failed"),
                    },
                    () = &mut next => break,
                }
            }
            if self.clock.now() >= give_up || self.stop.load(Relaxed) {
                return;
            }
        }
    }

    /// Sends one copy; an answer is written down the moment it is there.
    async fn attempt(
        &self,
        index: PressIndex,
        press: &Press,
        attempt: usize,
    ) -> Result<Answer, AttemptError> {
        self.ledger.sent(index, self.clock.now());
        let turn = usize::try_from(press.turn).unwrap_or_default().wrapping_add(attempt);
        let receipt: Receipt = self.connections.attempt(turn, press.signed.clone()).await?;
        let answer = Answer::of(&receipt);
        if is_final(answer) {
            self.ledger.receipted(index, self.clock.now(), answer);
        }
        Ok(answer)
    }
}

/// Whether a sender stops at this answer. A gateway that is stopping asks it to come back; the tool takes every other
/// refusal at its word, because a press that has to be sent twice should be seen.
fn is_final(answer: Answer) -> bool {
    answer != Answer::Refused(Reason::Stopping)
}
