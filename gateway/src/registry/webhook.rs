//! Webhooks: where events are posted, which of them, and the secret that signs them.
//!
//! The secret has to be kept, unlike a token: both sides compute with it. It is in `registry.db`, which only its owner
//! may read, and shows itself nowhere else; nor does the address, which may hold a password of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pipeline::{Cursor, Time, ZoneId};
use protocol::IdError;

use super::limits::Limits;
use crate::feed::Format;

/// Names a webhook. Random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId(pub [u8; 16]);

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for WebhookId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse::<protocol::DeviceId>().map(|id| Self(id.0))
    }
}

/// What a webhook's events are signed with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WebhookSecret(pub [u8; 32]);

impl WebhookSecret {
    /// The secret as its receiver is given it (Standard Webhooks, "Signature scheme").
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// A place that events are posted to.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name.
    pub id: WebhookId,
    /// Where it is.
    pub url: Arc<str>,
    /// Whether it may be at an address that is not public, and without TLS.
    pub allow_private: bool,
    /// What its events are signed with.
    pub secret: WebhookSecret,
    /// The zones whose events it is sent, with everything below them.
    pub zones: Vec<ZoneId>,
    /// What it is sent of them.
    pub limits: Limits,
    /// How its events are written.
    pub format: Format,
    /// Whether somebody listens behind it: as long as it delivers, its zones count as attended.
    pub attends: bool,
    /// What was journaled up to here was before its time.
    pub after: Cursor,
    /// How often somebody asked to send its dead letters once more.
    pub retries: u32,
    /// When it was added.
    pub created_at: Time,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_holds_neither_secret_nor_address() {
        let webhook = Webhook {
            id: WebhookId([0xa5; 16]),
            url: Arc::from("https://user:word@example.org/"),
            allow_private: false,
            secret: WebhookSecret([7; 32]),
            zones: vec![],
            limits: Limits::default(),
            format: Format::Json,
            attends: false,
            after: Cursor(0),
            retries: 0,
            created_at: Time(0),
        };
        let shown = format!("{webhook:?} {:?}", webhook.secret);
        assert!(!shown.contains("example") && !shown.contains("BwcH"), "{shown}");
        assert_eq!(webhook.id.to_string().parse(), Ok(webhook.id));
        assert!(webhook.secret.reveal().starts_with("whsec_BwcH"));
    }
}
