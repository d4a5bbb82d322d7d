//! Sends packets at their instants, each from the next address, and drains what comes back to them.
//!
//! The loop is open: a packet that is due is sent whatever became of those before. Replies are looked at when an
//! address sends again, and once more at the end, after the gateway had time for its last words.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use super::packet::Packets;
use super::tally::{Account, Tally, tally};
use super::{Flood, FloodError};
use crate::clock::{Clock, Moment};
use crate::resources;

/// Files that a program needs besides its sockets.
const OTHER_FILES: u64 = 64;
/// Replies are short; a longer one would be counted by its first bytes, and there is no room for a longer one on loopback.
const REPLY_MAX: usize = 65_536;

/// One source.
struct Source {
    socket: UdpSocket,
    account: Account,
}

/// Makes the flood, then waits for `linger` and drains the last replies.
///
/// # Errors
/// When the system refuses a socket, or the TLS library a first message.
pub fn flood(flood: &Flood, linger: Duration) -> Result<Tally, FloodError> {
    let mut sources = open(flood)?;
    let mut packets = Packets::new(flood.kind, flood.seed)?;
    let (mut packet, mut reply) = (Vec::new(), vec![0; REPLY_MAX]);
    let clock = Clock::start();
    let mut turns = (0..sources.len()).cycle();
    for number in 0..flood.planned() {
        let due = Moment::after_start(flood.due(number));
        clock.sleep_until(due);
        // Whatever could not be sent in time is left out: a flood ends when it was said to.
        if clock.now().offset() > flood.duration {
            break;
        }
        let Some(source) = turns.next().and_then(|turn| sources.get_mut(turn)) else { break };
        source.drain(&mut reply);
        packets.next(&mut packet);
        let taken = source.socket.send(&packet).is_ok();
        source.account.sent(packet.len(), taken);
    }
    clock.sleep_until(clock.now().plus(linger));
    sources.iter_mut().for_each(|source| source.drain(&mut reply));
    let accounts: Vec<_> = sources.iter().map(|source| source.account).collect();
    Ok(tally(flood.kind, &accounts))
}

impl Source {
    fn drain(&mut self, reply: &mut [u8]) {
        // Nothing more to read and a port that is not heard look alike: there is no reply.
        while let Ok(len) = self.socket.recv(reply) {
            self.account.returned(reply.get(..len).unwrap_or_default());
        }
    }
}

/// A socket on each address.
fn open(flood: &Flood) -> Result<Vec<Source>, FloodError> {
    allow_files(flood.addresses)?;
    let open = |address| {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(flood.target)?;
        Ok(Source { socket, account: Account::default() })
    };
    let refused = |address| move |source: io::Error| FloodError::Socket { address, source };
    flood.sources().map(|address| open(address).map_err(refused(address))).collect()
}

/// Lets this process have as many files as it needs, as far as it may decide that.
pub(super) fn allow_files(addresses: u32) -> Result<(), FloodError> {
    let refused =
        |error: resources::FilesError| FloodError::Files { addresses, limit: error.limit };
    resources::allow_files(u64::from(addresses) + OTHER_FILES).map_err(refused)
}
