//! Subscribers: who may read the feed, of which zones, within which limits, until when. Nothing else is open to their tokens.

use std::fmt;
use std::str::FromStr;

use pipeline::{Time, ZoneId};
use protocol::IdError;

use super::limits::Limits;
use super::token::{Holder, Tokens};

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

/// A client of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Its name.
    pub id: SubscriberId,
    /// The zones that it may read, with everything below them.
    pub zones: Vec<ZoneId>,
    /// What it may read there.
    pub limits: Limits,
    /// When its token ends.
    pub expires_at: Time,
}

impl Holder for Subscriber {
    fn expires_at(&self) -> Time {
        self.expires_at
    }
}

/// Every subscriber.
pub type Subscribers = Tokens<Subscriber>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_shown() {
        let id = SubscriberId([0xa5; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("a5".parse::<SubscriberId>(), Err(IdError));
    }
}
