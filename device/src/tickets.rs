//! The tickets that former connections left: with one of them the next connection carries its message in the first
//! packet.
//!
//! A client speaks to one gateway, so this is one short list, newest last. It is bounded; the oldest ticket gives way. A
//! ticket is used once, and a client can wait for one to arrive.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use tokio::sync::Notify;

/// At most `tickets_max` tickets, all of one gateway.
pub(crate) struct Tickets {
    tickets_max: usize,
    kept: Mutex<Kept>,
    arrived: Notify,
}

#[derive(Default)]
struct Kept {
    tickets: VecDeque<(ServerName<'static>, Tls13ClientSessionValue)>,
    group: Option<NamedGroup>,
}

impl Tickets {
    pub(crate) fn new(tickets_max: usize) -> Self {
        Self { tickets_max, kept: Mutex::default(), arrived: Notify::new() }
    }

    /// Waits until there is a ticket; for ever, if none are kept.
    pub(crate) async fn wait(&self) {
        loop {
            let arrived = self.arrived.notified();
            if !self.kept().tickets.is_empty() {
                return;
            }
            arrived.await;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.kept().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept().group
    }

    // QUIC has no TLS 1.2 (RFC 9001 section 4.2).
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut kept = self.kept();
        kept.tickets.push_back((server, ticket));
        while kept.tickets.len() > self.tickets_max {
            kept.tickets.pop_front();
        }
        drop(kept);
        self.arrived.notify_waiters();
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut kept = self.kept();
        let newest = kept.tickets.iter().rposition(|(of, _)| of == server)?;
        kept.tickets.remove(newest).map(|(_, ticket)| ticket)
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tickets({} of {})", self.kept().tickets.len(), self.tickets_max)
    }
}
