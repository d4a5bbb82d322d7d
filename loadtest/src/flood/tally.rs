//! What was sent and what came back, by address and by kind of packet, and whether that keeps promise 5.
//!
//! The bound is held against every address by itself: replies to one address cannot be paid with another's bytes.

use serde::Serialize;

use super::Kind;

/// Packets that came back, by what their first bytes say (RFC 9000 section 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Returned {
    /// Packets.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests to prove the address.
    pub retries: u64,
    /// Offers of other versions.
    pub version_negotiations: u64,
    /// Parts of a handshake.
    pub handshakes: u64,
    /// Packets with a short header: parts of a connection, or the reset of one that is not known.
    pub short_headers: u64,
}

/// Packets that went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sent {
    /// Packets.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that the system did not take.
    pub refused_by_system: u64,
}

/// The account of one address.
#[derive(Debug, Clone, Copy, Default)]
pub struct Account {
    /// What went out.
    pub sent: Sent,
    /// What came back.
    pub returned: Returned,
    largest_sent: usize,
    largest_returned: usize,
}

/// What is told at the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tally {
    /// What went out.
    pub sent: Sent,
    /// What came back.
    pub returned: Returned,
    /// Bytes back for each byte out, over all addresses.
    pub amplification: f64,
    /// The same for the address that got the most.
    pub amplification_max: f64,
    /// What it may be.
    pub amplification_allowed: u64,
    /// Addresses that got a packet larger than any that they had sent.
    pub outgrown: u64,
    /// Whether every address got no more than it may: in bytes, and, but for handshakes, in the size of a packet.
    pub within_bounds: bool,
}

impl Account {
    /// A packet went out, or not.
    pub fn sent(&mut self, len: usize, taken: bool) {
        if taken {
            self.sent.datagrams += 1;
            self.sent.bytes += len as u64;
            self.largest_sent = self.largest_sent.max(len);
        } else {
            self.sent.refused_by_system += 1;
        }
    }

    /// A packet came back.
    pub fn returned(&mut self, packet: &[u8]) {
        let returned = &mut self.returned;
        returned.datagrams += 1;
        returned.bytes += packet.len() as u64;
        self.largest_returned = self.largest_returned.max(packet.len());
        let is_long = |first: u8| first & 0x80 != 0;
        match packet {
            [first, 0, 0, 0, 0, ..] if is_long(*first) => returned.version_negotiations += 1,
            [first, ..] if is_long(*first) && first & 0x30 == 0x30 => returned.retries += 1,
            [first, ..] if is_long(*first) => returned.handshakes += 1,
            _ => returned.short_headers += 1,
        }
    }

    fn amplification(&self) -> f64 {
        ratio(self.returned.bytes, self.sent.bytes)
    }
}

/// What all addresses say together.
#[must_use]
pub fn tally(kind: Kind, accounts: &[Account]) -> Tally {
    let allowed = kind.amplification_max();
    let mut sent = Sent::default();
    let mut returned = Returned::default();
    for account in accounts {
        sent.datagrams += account.sent.datagrams;
        sent.bytes += account.sent.bytes;
        sent.refused_by_system += account.sent.refused_by_system;
        returned.datagrams += account.returned.datagrams;
        returned.bytes += account.returned.bytes;
        returned.retries += account.returned.retries;
        returned.version_negotiations += account.returned.version_negotiations;
        returned.handshakes += account.returned.handshakes;
        returned.short_headers += account.returned.short_headers;
    }
    let outgrown =
        accounts.iter().filter(|account| account.largest_returned > account.largest_sent);
    let outgrown = outgrown.count() as u64;
    let paid = |account: &Account| account.returned.bytes <= allowed * account.sent.bytes;
    let sizes_count = kind != Kind::Initials;
    Tally {
        sent,
        returned,
        amplification: ratio(returned.bytes, sent.bytes),
        amplification_max: accounts.iter().map(Account::amplification).fold(0.0, f64::max),
        amplification_allowed: allowed,
        outgrown,
        within_bounds: accounts.iter().all(paid) && !(sizes_count && outgrown > 0),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio to be read by people")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(sent: usize, returned: &[&[u8]]) -> Account {
        let mut account = Account::default();
        account.sent(sent, true);
        returned.iter().for_each(|packet| account.returned(packet));
        account
    }

    #[test]
    fn tells_replies_apart_by_their_first_bytes() {
        let replies: [&[u8]; 5] = [
            &[0x80, 0, 0, 0, 0, 8],
            &[0xf0, 0, 0, 0, 1],
            &[0xc0, 0, 0, 0, 1],
            &[0xe0, 0, 0, 0, 1],
            &[0x41],
        ];
        let Returned { version_negotiations, retries, handshakes, short_headers, datagrams, bytes } =
            account(1_200, &replies).returned;
        assert_eq!((version_negotiations, retries, handshakes, short_headers), (1, 1, 2, 1));
        assert_eq!((datagrams, bytes), (5, 22));
    }

    #[test]
    fn one_address_cannot_pay_for_another() {
        let (paid, overpaid) = (account(100, &[]), account(10, &[&[0x41; 11]]));
        let tally = tally(Kind::Garbage, &[paid, overpaid]);
        assert!(tally.amplification < 1.0 && tally.amplification_max > 1.0);
        assert_eq!((tally.outgrown, tally.within_bounds), (1, false));
    }

    #[test]
    fn a_handshake_may_give_back_three_times_and_nothing_else_may() {
        let reply = [0xc0; 1_200];
        let accounts = [account(1_200, &[&reply, &reply, &reply])];
        assert!(tally(Kind::Initials, &accounts).within_bounds);
        assert!(!tally(Kind::Malformed, &accounts).within_bounds);
        let accounts = [account(1_199, &[&reply, &reply, &reply])];
        assert!(!tally(Kind::Initials, &accounts).within_bounds);
    }
}
