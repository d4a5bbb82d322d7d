//! Notices a client that no longer takes what it is given.
//!
//! A stream that is not pulled cannot end itself, so whoever owns the connection watches: it counts beats since a
//! stream last handed something over without being asked for more. Beats are counted, so no clock is read.

use crate::lock::lock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// Beats per write timeout: a stalled stream is found after one timeout, at most a quarter of it later.
pub const BEATS_PER_TIMEOUT: u32 = 4;

/// A stream's side: 0 while the client waits for us, otherwise 1 and the beats since we wait for the client.
#[derive(Debug, Default, Clone)]
pub struct Stall(Arc<AtomicU32>);

impl Stall {
    /// The client took everything and asks for more.
    pub(super) fn taken(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The client was given something.
    pub(super) fn given(&self) {
        self.0.store(1, Ordering::Relaxed);
    }
}

/// A connection's side: the streams that are open on it.
#[derive(Debug, Default, Clone)]
pub struct Streams {
    streams: Arc<Mutex<Vec<Weak<AtomicU32>>>>,
    /// Whether something else than a stream was asked for since the last beat.
    asked: Arc<AtomicBool>,
}

/// How the streams of a connection are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// No stream is open.
    Idle,
    /// Every stream is taken from.
    Alive,
    /// A stream's client has taken nothing for the write timeout.
    Stalled,
}

impl Streams {
    /// A stall mark for a stream that is being opened.
    pub(super) fn open(&self) -> Stall {
        let stall = Stall::default();
        self.lock().push(Arc::downgrade(&stall.0));
        stall
    }

    /// To be held while something else than a stream is answered: the connection is not idle meanwhile, nor at the next
    /// beat.
    #[must_use]
    pub fn busy(&self) -> Stall {
        self.asked.store(true, Ordering::Relaxed);
        self.open()
    }

    /// To be called [`BEATS_PER_TIMEOUT`] times per write timeout.
    #[must_use]
    pub fn beat(&self) -> Pulse {
        let mut streams = self.lock();
        let asked = self.asked.swap(false, Ordering::Relaxed);
        let mut pulse = if asked { Pulse::Alive } else { Pulse::Idle };
        streams.retain(|stream| {
            let Some(beats) = stream.upgrade() else { return false };
            let waiting = beats.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |beats| {
                (beats > 0).then(|| beats.saturating_add(1))
            });
            if waiting.is_ok_and(|beats| beats > BEATS_PER_TIMEOUT) {
                pulse = Pulse::Stalled;
            } else if pulse == Pulse::Idle {
                pulse = Pulse::Alive;
            }
            true
        });
        pulse
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<AtomicU32>>> {
        lock(&self.streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_stalled_one_timeout_after_it_was_last_taken_from() {
        let streams = Streams::default();
        assert_eq!(streams.beat(), Pulse::Idle);
        let stall = streams.open();
        stall.given();
        for _ in 0..BEATS_PER_TIMEOUT {
            assert_eq!(streams.beat(), Pulse::Alive);
        }
        assert_eq!(streams.beat(), Pulse::Stalled);
        stall.taken();
        assert_eq!(streams.beat(), Pulse::Alive);
    }

    #[test]
    fn waiting_for_an_alert_is_no_stall_and_a_closed_stream_is_forgotten() {
        let streams = Streams::default();
        let stall = streams.open();
        stall.given();
        stall.taken();
        for _ in 0..100 {
            assert_eq!(streams.beat(), Pulse::Alive);
        }
        drop(stall);
        assert_eq!(streams.beat(), Pulse::Idle);
    }
}
