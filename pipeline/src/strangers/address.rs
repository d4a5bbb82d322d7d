//! Whom an address stands for: the neighbourhoods that are charged for it.
//!
//! IPv4 is charged by the address, because carriers give no more than that to a whole street. IPv6 is charged by /64,
//! which one subscriber has to himself (RFC 6177), and by /48, because who owns that owns 65,536 of the former. An IPv4
//! address that a socket for both families writes as IPv6 is the same address.

use std::net::IpAddr;

/// One unit that is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Neighbourhood {
    /// An IPv4 address.
    V4([u8; 4]),
    /// An IPv6 subnet, /64.
    Subnet([u8; 8]),
    /// What a provider gives to one customer at most, /48.
    Block([u8; 6]),
}

impl Neighbourhood {
    /// The smallest one: whom a fair queue gives one turn.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::Subnet([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The one around it, if there is one.
    #[must_use]
    pub(super) fn around(self) -> Option<Self> {
        match self {
            Self::Subnet([a, b, c, d, e, f, ..]) => Some(Self::Block([a, b, c, d, e, f])),
            Self::V4(_) | Self::Block(_) => None,
        }
    }

    /// Bytes that no other neighbourhood has.
    pub(super) fn bytes(self) -> [u8; 9] {
        let mut bytes = [0; 9];
        let (kind, address): (u8, &[u8]) = match &self {
            Self::V4(address) => (4, address),
            Self::Subnet(address) => (64, address),
            Self::Block(address) => (48, address),
        };
        for (to, from) in bytes.iter_mut().zip([kind].iter().chain(address)) {
            *to = *from;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Neighbourhood {
        Neighbourhood::of(text.parse().unwrap())
    }

    #[test]
    fn one_address_is_one_neighbourhood_however_it_is_written() {
        assert_eq!(of("::ffff:10.1.2.3"), of("10.1.2.3"));
        assert_ne!(of("10.1.2.3"), of("10.1.2.4"));
        assert_eq!(of("10.1.2.3").around(), None);
    }

    #[test]
    fn a_subnet_of_ipv6_is_one_and_lies_in_its_block() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("2001:db8:1:2::1").around(), of("2001:db8:1:3::1").around());
        assert_ne!(of("2001:db8:1::").around(), of("2001:db8:2::").around());
        assert_ne!(of("::1").bytes(), of("::1").around().unwrap().bytes());
    }
}
