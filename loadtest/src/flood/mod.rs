//! Junk, in a known amount: what strangers may throw at a gateway, and what it gives them back.
//!
//! A flood is bounded in count and time, repeats from its seed, and goes nowhere but to a loopback address: it exists
//! to measure a gateway's defences, not to need them. [`packet`] makes the junk, [`wire`] sends it from as many
//! loopback addresses as wanted and drains what comes back, [`proofs`] sends bad signatures over real connections, and
//! [`tally`] holds the replies against the bound of promise 5: three times the bytes for QUIC's handshake (RFC 9000
//! section 8.1), never more than came for anything else.

pub mod packet;
pub mod proofs;
pub mod tally;
pub mod wire;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::ValueEnum;
use device::SetupError;
use serde::{Serialize, Serializer};

/// Messages or packets in one flood, at most: a minute of the fastest.
pub const SENT_MAX: u64 = 6_000_000;
/// Packets in a second, at most.
pub const RATE_MAX: u32 = 100_000;
/// How long a flood may last.
pub const DURATION_MAX: Duration = Duration::from_secs(600);
/// Source addresses, at most.
pub const ADDRESSES_MAX: u32 = 16_384;
/// The first of them, unless another is wanted. The whole of 127.0.0.0/8 is loopback (RFC 1122 section 3.2.1.3).
pub const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);

/// What is thrown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Valid first packets of handshakes that never go on.
    Initials,
    /// First packets with something wrong.
    Malformed,
    /// Datagrams of random bytes.
    Garbage,
    /// Well-formed messages whose signature is wrong, over real connections.
    BadSignatures,
}

impl Kind {
    /// The bytes that may come back for each byte of it.
    #[must_use]
    pub fn amplification_max(self) -> u64 {
        match self {
            Self::Initials => 3,
            Self::Malformed | Self::Garbage | Self::BadSignatures => 1,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initials => "initials",
            Self::Malformed => "malformed",
            Self::Garbage => "garbage",
            Self::BadSignatures => "bad-signatures",
        })
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A flood that may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Flood {
    /// What is thrown.
    pub kind: Kind,
    /// At whom; a loopback address.
    pub target: SocketAddr,
    /// How many a second.
    pub rate: u32,
    /// For how long.
    #[serde(serialize_with = "seconds", rename = "duration_s")]
    pub duration: Duration,
    /// From how many addresses.
    pub addresses: u32,
    /// The first of them; the others follow it.
    pub from: Ipv4Addr,
    /// What names the repeatable choices.
    pub seed: u64,
}

/// Why a flood is not made.
#[derive(Debug, thiserror::Error)]
pub enum FloodError {
    /// Floods go nowhere else. Start a gateway on this machine.
    #[error("--gateway {0}: a flood goes only to an IPv4 loopback address, 127.0.0.0/8")]
    NotLoopback(SocketAddr),
    /// A bound is passed.
    #[error("--{option} {value}: expected {expected}")]
    OutOfBounds {
        /// The option.
        option: &'static str,
        /// What it was given.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// Every address needs a socket. Raise the limit of open files, or take fewer addresses.
    #[error("--addresses {addresses}: the system allows {limit} open files; `ulimit -n` raises it")]
    Files {
        /// How many were wanted.
        addresses: u32,
        /// How many files there may be.
        limit: u64,
    },
    /// The system refused a socket.
    #[error("cannot open a socket on {address}: {source}")]
    Socket {
        /// Where.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS library refused the settings.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The TLS library made no first message.
    #[error("no first message can be made: {0}")]
    Hello(#[from] rustls::Error),
}

impl Flood {
    /// Checks the bounds. Sends nothing.
    ///
    /// # Errors
    /// When the target is not on this machine, or a bound is passed.
    pub fn check(&self) -> Result<(), FloodError> {
        let loopback = matches!(self.target.ip(), IpAddr::V4(address) if address.is_loopback());
        if !loopback {
            return Err(FloodError::NotLoopback(self.target));
        }
        let bound = |option, value: String, fits: bool, expected: String| {
            if fits { Ok(()) } else { Err(FloodError::OutOfBounds { option, value, expected }) }
        };
        let Self { rate, duration, addresses, .. } = *self;
        bound(
            "rate",
            rate.to_string(),
            (1..=RATE_MAX).contains(&rate),
            format!("1 to {RATE_MAX}"),
        )?;
        bound(
            "duration",
            format!("{duration:?}"),
            !duration.is_zero() && duration <= DURATION_MAX && self.planned() <= SENT_MAX,
            format!("{DURATION_MAX:?} and, by --rate, {SENT_MAX} packets at most"),
        )?;
        bound(
            "addresses",
            addresses.to_string(),
            (1..=ADDRESSES_MAX).contains(&addresses),
            format!("1 to {ADDRESSES_MAX}"),
        )?;
        bound(
            "from",
            self.from.to_string(),
            self.from.is_loopback() && self.sources().all(|source| source.is_loopback()),
            "127.0.0.0/8, and room in it for --addresses".to_owned(),
        )
    }

    /// How many are to be sent; at least one.
    #[must_use]
    pub fn planned(&self) -> u64 {
        let whole = u128::from(self.rate) * self.duration.as_micros() / 1_000_000;
        u64::try_from(whole).unwrap_or(u64::MAX).max(1)
    }

    /// When the `number`th is due, from the start.
    #[must_use]
    pub fn due(&self, number: u64) -> Duration {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The addresses that it comes from.
    pub fn sources(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let first = self.from.to_bits();
        (0..self.addresses).map(move |number| Ipv4Addr::from_bits(first + number).into())
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: Flood = Flood {
        kind: Kind::Garbage,
        target: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4433),
        rate: 3_000,
        duration: Duration::from_secs(2),
        addresses: 300,
        from: FIRST_ADDRESS,
        seed: 1,
    };

    #[test]
    fn refuses_every_target_that_is_not_this_machine() {
        for target in ["10.0.0.1:4433", "0.0.0.0:4433", "[::1]:4433", "[2001:db8::1]:4433"] {
            let flood = Flood { target: target.parse().unwrap(), ..FLOOD };
            let error = flood.check().unwrap_err();
            assert!(matches!(error, FloodError::NotLoopback(_)), "{target}");
            assert!(error.to_string().contains(target), "{error}");
        }
        FLOOD.check().unwrap();
    }

    #[test]
    fn refuses_what_is_beyond_its_bounds() {
        let too_much = [
            ("rate", Flood { rate: 0, ..FLOOD }),
            ("rate", Flood { rate: RATE_MAX + 1, ..FLOOD }),
            ("duration", Flood { duration: Duration::ZERO, ..FLOOD }),
            ("duration", Flood { duration: DURATION_MAX * 2, ..FLOOD }),
            ("duration", Flood { rate: RATE_MAX, duration: DURATION_MAX, ..FLOOD }),
            ("addresses", Flood { addresses: 0, ..FLOOD }),
            ("addresses", Flood { addresses: ADDRESSES_MAX + 1, ..FLOOD }),
            ("from", Flood { from: Ipv4Addr::new(10, 0, 0, 1), ..FLOOD }),
            ("from", Flood { from: Ipv4Addr::new(127, 255, 255, 200), ..FLOOD }),
            ("from", Flood { from: Ipv4Addr::BROADCAST, ..FLOOD }),
        ];
        for (option, flood) in too_much {
            let said = flood.check().unwrap_err().to_string();
            assert!(said.starts_with(&format!("--{option} ")), "{said}");
        }
    }

    #[test]
    fn addresses_are_different_and_all_loopback() {
        let addresses: std::collections::BTreeSet<_> =
            Flood { addresses: ADDRESSES_MAX, ..FLOOD }.sources().collect();
        assert_eq!(addresses.len(), 16_384);
        assert!(addresses.iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn what_is_due_fills_the_time_evenly() {
        assert_eq!(FLOOD.planned(), 6_000);
        assert_eq!(FLOOD.due(3_000), Duration::from_secs(1));
        assert_eq!(Flood { rate: 1, duration: Duration::from_millis(1), ..FLOOD }.planned(), 1);
    }
}
