//! Where a webhook points, and which addresses it may reach.
//!
//! A webhook's address is typed by an operator but its name is resolved by whoever runs that name, so it could lead
//! anywhere in our own network. Only what the internet routes is public (IANA's special-purpose registries, RFC 6890);
//! everything else needs `--allow-private`. The address that was checked is the one that is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Uri;

/// Longest address that is taken, in bytes.
const URL_LEN_MAX: usize = 2_048;

/// Where a webhook points.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether it is reached with TLS.
    pub tls: bool,
    /// Its name, or its address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What the `host` header says.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// Why text is no webhook's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an absolute address; write one like `https://example.org/alerts`.
    #[error("is not an address; write one like \"https://example.org/alerts\"")]
    Garbled,
    /// Events would travel in the clear.
    #[error(
        "does not begin with https://; events would travel unencrypted, which needs --allow-private"
    )]
    Plain,
    /// Passwords in addresses end up in logs; the signature proves who we are.
    #[error("holds a name or password before the host; leave it out, requests are signed")]
    UserInfo,
}

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is none, or one that needs `--allow-private` and does not have it.
    pub fn parse(url: &str, allow_private: bool) -> Result<Self, TargetError> {
        if url.len() > URL_LEN_MAX {
            return Err(TargetError::Garbled);
        }
        let uri: Uri = url.parse().map_err(|_| TargetError::Garbled)?;
        let authority = uri.authority().ok_or(TargetError::Garbled)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if allow_private => false,
            Some("http") => return Err(TargetError::Plain),
            _ => return Err(TargetError::Garbled),
        };
        if authority.as_str().contains('@') {
            return Err(TargetError::UserInfo);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(if tls { 443 } else { 80 }),
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None,
        };
        let port = port.filter(|_| !host.is_empty()).ok_or(TargetError::Garbled)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, authority: authority.as_str().to_owned(), path })
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target(..)")
    }
}

/// Whether the internet routes this address, so that no house of ours is behind it.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..]
    )
}

/// Only global unicast (RFC 4291 section 2.4) without what is set aside in it, and NAT64 (RFC 6052) of public addresses.
/// IPv4 in other clothes (mapped, compatible, 6to4, Teredo) is never needed to reach a public address.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_defaults() {
        let read = |url| Target::parse(url, false).unwrap();
        let target = read("https://example.org");
        assert_eq!((target.host.as_str(), target.port, target.tls), ("example.org", 443, true));
        assert_eq!(target.path, "/");
        let target = read("https://[2606:4700::1]:8443/a?b=c");
        assert_eq!((target.host.as_str(), target.port), ("2606:4700::1", 8443));
        assert_eq!(target.path, "/a?b=c");
        assert_eq!(target.authority, "[2606:4700::1]:8443");
    }

    #[test]
    fn what_is_no_address_or_needs_leave_is_refused() {
        let why = |url| Target::parse(url, false).unwrap_err();
        for url in [
            "",
            "/alerts",
            "example.org",
            "ftp://a/",
            "https:///x",
            "https://a:99999/",
            "https://a:/",
        ] {
            assert_eq!(why(url), TargetError::Garbled, "{url}");
        }
        assert_eq!(why("http://example.org/"), TargetError::Plain);
        assert!(!Target::parse("http://example.org/", true).unwrap().tls);
        assert_eq!(why("https://user:word@example.org/"), TargetError::UserInfo);
    }

    #[test]
    fn only_what_the_internet_routes_is_public() {
        let public = ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1", "64:ff9b::101:101"];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        let ours = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:1.1.1.1",
            "::10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
        ];
        for address in ours {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
