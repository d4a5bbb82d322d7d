//! What proves to a target that a request is ours and fresh: the three headers of Standard Webhooks 1.0.
//!
//! The specification is followed to the letter (standardwebhooks.com, "Signature scheme"), so that its libraries for a
//! dozen languages verify our requests. The id is in what is signed, so a receiver that keeps ids knows copies; so is the
//! time of the attempt, so an old request that is sent again by somebody else can be refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pipeline::Time;
use ring::hmac;

use crate::registry::WebhookSecret;

/// Names the event: the same at every attempt.
pub(super) const ID: &str = "webhook-id";
/// Seconds since 1970 at which the attempt began.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
/// `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
pub(super) const SIGNATURE: &str = "webhook-signature";

/// The values of `webhook-timestamp` and `webhook-signature` of an attempt at `now`.
#[must_use]
pub fn sign(secret: &WebhookSecret, id: &str, now: Time, body: &[u8]) -> (String, String) {
    let timestamp = (now.0 / 1_000_000).to_string();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &secret.0));
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        context.update(part);
    }
    let signature = format!("v1,{}", STANDARD.encode(context.sign().as_ref()));
    (timestamp, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python 3: `base64.b64encode(hmac.new(bytes(range(32)), b'msg_1.1772000000.{"a":1}',
    /// 'sha256').digest())`.
    #[test]
    fn signs_as_the_specification_says() {
        let mut key = [0; 32];
        key.iter_mut().zip(0..).for_each(|(byte, value)| *byte = value);
        let now = Time(1_772_000_000_999_999);
        let (timestamp, signature) = sign(&WebhookSecret(key), "msg_1", now, b"{\"a\":1}");
        assert_eq!(timestamp, "1772000000");
        assert_eq!(signature, "v1,Z5RZv53enHAsOGvupnraC4tJ4lrUWc8FJVkhcTNFQWM=");
    }
}
