//! Subscribers in memory: who may read the feed, of which zones, until when.
//!
//! Only the hash of a token is kept anywhere, so neither a copy of `registry.db` nor of this memory lets anybody in. A
//! feed that stays open authenticates again at every read, because entitlement ends with expiry and removal.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pipeline::{Time, ZoneId};
use protocol::IdError;
use ring::digest::{SHA256, digest};

/// Longest token that is looked at, in bytes. Ours have 43.
const TOKEN_LEN_MAX: usize = 128;

/// Names a subscriber. Random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(pub [u8; 16]);

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for SubscriberId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse::<protocol::DeviceId>().map(|id| Self(id.0))
    }
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        let computed = digest(&SHA256, token.as_bytes());
        hash.iter_mut().zip(computed.as_ref()).for_each(|(hash, computed)| *hash = *computed);
        Self(hash)
    }
}

/// A client of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Its name.
    pub id: SubscriberId,
    /// The zones that it may read, with everything below them.
    pub zones: Vec<ZoneId>,
    /// When its token ends.
    pub expires_at: Time,
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nobody has this token: it was mistyped, or its subscriber was removed.
    #[error("unknown token")]
    Unknown,
    /// Its time is over. Add the subscriber again.
    #[error("token expired")]
    Expired,
}

/// Every subscriber.
#[derive(Default)]
pub struct Subscribers {
    by_token: ArcSwap<HashMap<TokenHash, Arc<Subscriber>>>,
}

impl Subscribers {
    /// The subscriber that has this token.
    ///
    /// # Errors
    /// If nobody has it, or if its time was over at `now`.
    pub fn authenticate(&self, token: &str, now: Time) -> Result<Arc<Subscriber>, TokenError> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(TokenError::Unknown);
        }
        let found = self.by_token.load().get(&TokenHash::of(token)).map(Arc::clone);
        let subscriber = found.ok_or(TokenError::Unknown)?;
        if now < subscriber.expires_at { Ok(subscriber) } else { Err(TokenError::Expired) }
    }

    /// How many there are, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_token.load().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_token.load().is_empty()
    }

    /// Replaces all of them.
    pub fn replace(&self, subscribers: impl IntoIterator<Item = (TokenHash, Subscriber)>) {
        let entries =
            subscribers.into_iter().map(|(hash, subscriber)| (hash, Arc::new(subscriber)));
        self.by_token.store(Arc::new(entries.collect()));
    }
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribers").field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(expires_at: u64) -> Subscriber {
        Subscriber {
            id: SubscriberId([1; 16]),
            zones: vec![ZoneId::new("klojen")],
            expires_at: Time(expires_at),
        }
    }

    #[test]
    fn a_token_lets_in_until_the_moment_it_expires() {
        let subscribers = Subscribers::default();
        subscribers.replace([(TokenHash::of("token"), subscriber(100))]);
        assert_eq!(subscribers.authenticate("token", Time(99)).unwrap().zones, subscriber(0).zones);
        assert_eq!(subscribers.authenticate("token", Time(100)), Err(TokenError::Expired));
        assert_eq!(subscribers.authenticate("tokem", Time(0)), Err(TokenError::Unknown));
        assert_eq!(subscribers.authenticate("", Time(0)), Err(TokenError::Unknown));
        let long = "a".repeat(TOKEN_LEN_MAX + 1);
        assert_eq!(subscribers.authenticate(&long, Time(0)), Err(TokenError::Unknown));
    }

    #[test]
    fn a_removed_subscriber_is_unknown() {
        let subscribers = Subscribers::default();
        subscribers.replace([(TokenHash::of("token"), subscriber(100))]);
        assert!(subscribers.authenticate("token", Time(0)).is_ok());
        subscribers.replace([]);
        assert_eq!(subscribers.authenticate("token", Time(0)), Err(TokenError::Unknown));
    }

    #[test]
    fn ids_are_read_as_they_are_shown() {
        let id = SubscriberId([0xa5; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("a5".parse::<SubscriberId>(), Err(IdError));
    }
}
