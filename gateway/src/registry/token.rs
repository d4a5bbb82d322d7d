//! Tokens in memory: who holds one, and until when.
//!
//! Only the hash of a token is kept anywhere, so neither a copy of `registry.db` nor of this memory lets anybody in. A
//! feed that stays open authenticates again at every read, because entitlement ends with expiry and removal.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pipeline::Time;
use ring::digest::{SHA256, digest};

/// Longest token that is looked at, in bytes. Ours have 43.
const TOKEN_LEN_MAX: usize = 128;

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

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nobody has this token: it was mistyped, or its holder was removed.
    #[error("unknown token")]
    Unknown,
    /// Its time is over. Add the holder again.
    #[error("token expired")]
    Expired,
}

/// Who can hold a token.
pub trait Holder {
    /// When the token ends.
    fn expires_at(&self) -> Time;
}

/// Every holder of one kind, by the hash of their token.
pub struct Tokens<T> {
    by_token: ArcSwap<HashMap<TokenHash, Arc<T>>>,
}

impl<T: Holder> Tokens<T> {
    /// The holder of this token.
    ///
    /// # Errors
    /// If nobody has it, or if its time was over at `now`.
    pub fn authenticate(&self, token: &str, now: Time) -> Result<Arc<T>, TokenError> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(TokenError::Unknown);
        }
        let found = self.by_token.load().get(&TokenHash::of(token)).map(Arc::clone);
        let holder = found.ok_or(TokenError::Unknown)?;
        if now < holder.expires_at() { Ok(holder) } else { Err(TokenError::Expired) }
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
    pub fn replace(&self, holders: impl IntoIterator<Item = (TokenHash, T)>) {
        let entries = holders.into_iter().map(|(hash, holder)| (hash, Arc::new(holder)));
        self.by_token.store(Arc::new(entries.collect()));
    }
}

impl<T> Default for Tokens<T> {
    fn default() -> Self {
        Self { by_token: ArcSwap::default() }
    }
}

impl<T> fmt::Debug for Tokens<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("len", &self.by_token.load().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Until(u64);

    impl Holder for Until {
        fn expires_at(&self) -> Time {
            Time(self.0)
        }
    }

    #[test]
    fn a_token_lets_in_until_the_moment_it_expires() {
        let tokens = Tokens::default();
        tokens.replace([(TokenHash::of("token"), Until(100))]);
        assert_eq!(*tokens.authenticate("token", Time(99)).unwrap(), Until(100));
        assert_eq!(tokens.authenticate("token", Time(100)), Err(TokenError::Expired));
        assert_eq!(tokens.authenticate("tokem", Time(0)), Err(TokenError::Unknown));
        assert_eq!(tokens.authenticate("", Time(0)), Err(TokenError::Unknown));
        let long = "a".repeat(TOKEN_LEN_MAX + 1);
        assert_eq!(tokens.authenticate(&long, Time(0)), Err(TokenError::Unknown));
    }

    #[test]
    fn a_removed_holder_is_unknown() {
        let tokens = Tokens::default();
        tokens.replace([(TokenHash::of("token"), Until(100))]);
        assert!(tokens.authenticate("token", Time(0)).is_ok());
        tokens.replace([]);
        assert_eq!(tokens.authenticate("token", Time(0)), Err(TokenError::Unknown));
    }
}
