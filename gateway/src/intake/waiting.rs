//! Exchanges of a shard that wait for the desk's receipt, and the tickets by which it comes back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use crate::lock::lock;
use pipeline::Ticket;
use protocol::Receipt;
use tokio::sync::{mpsc, oneshot};

/// Receipts on their way from the desk to the shard whose exchanges wait for them.
pub type Receipts = Vec<(Ticket, Receipt)>;

/// Exchanges that wait for the desk's receipt: never more than the desk has in hand and in its lane.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<Ticket, oneshot::Sender<Receipt>>>);

impl Waiting {
    /// An exchange waits.
    pub(super) fn wait(&self, ticket: Ticket, reply: oneshot::Sender<Receipt>) {
        self.lock().insert(ticket, reply);
    }

    /// Hands out receipts as they come; when the desk has ended, whoever still waits is told by the loss of its sender.
    pub(super) async fn answer(&self, mut receipts: mpsc::UnboundedReceiver<Receipts>) {
        while let Some(receipts) = receipts.recv().await {
            let mut waiting = self.lock();
            for (ticket, receipt) in receipts {
                // A sender that is gone does not wait.
                waiting.remove(&ticket).map(|reply| reply.send(receipt).ok());
            }
        }
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Receipt>>> {
        lock(&self.0)
    }
}

/// Tickets of one shard: the shard's number in the upper bits, so that the desk knows where a receipt goes.
pub(super) struct Tickets(u64);

/// Bits of a ticket that count; the others name the shard.
const COUNTED_BITS: u32 = 48;

impl Tickets {
    pub(super) fn of_shard(shard: u16) -> Self {
        Self(u64::from(shard) << COUNTED_BITS)
    }

    pub(super) fn next(&mut self) -> Ticket {
        self.0 += 1;
        Ticket(self.0)
    }
}

/// The shard that gave this ticket.
#[must_use]
pub fn shard_of(ticket: Ticket) -> usize {
    usize::try_from(ticket.0 >> COUNTED_BITS).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_names_its_shard() {
        for shard in [0, 1, u16::MAX] {
            let mut tickets = Tickets::of_shard(shard);
            let (first, second) = (tickets.next(), tickets.next());
            assert_ne!(first, second);
            assert_eq!((shard_of(first), shard_of(second)), (shard.into(), shard.into()));
        }
    }
}
