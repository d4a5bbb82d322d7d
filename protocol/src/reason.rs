//! Why a message was refused: the numbered table that travels in receipts.
//!
//! Numbers are part of the protocol and never reused. What strangers may not learn (whether a device id exists) is one
//! reason here, [`Reason::Unproven`]; the gateway tells the cases apart in its counters alone.

/// A reason code of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not one complete CBOR item of the expected shape: cut off, followed by bytes, wrong types, fields missing.
    Malformed,
    /// Well-formed, but not in its one deterministic spelling.
    NonCanonical,
    /// Longer than 1,200 bytes.
    TooLarge,
    /// The message's version is not spoken here.
    UnsupportedVersion,
    /// The message's kind is not known here.
    UnknownKind,
    /// Unknown device, wrong algorithm or bad signature: which of them is not said.
    Unproven,
    /// The signature is valid and the device's enrolment was withdrawn.
    Revoked,
    /// An update or heartbeat older than what the device has sent since.
    Stale,
    /// An update or cancel for an alert that another device raised.
    ForeignAlert,
    /// The gateway is stopping; another copy will be taken elsewhere or later.
    Stopping,
    /// The device sends more than its share of updates or heartbeats.
    RateLimited,
    /// The gateway has more to do than it can, and this message can wait; a first press never hears it.
    Overloaded,
    /// A code that this version does not list.
    Unlisted(u64),
}

impl Reason {
    /// Every listed reason, in order of its code.
    pub const LISTED: [Self; 12] = [
        Self::Malformed,
        Self::NonCanonical,
        Self::TooLarge,
        Self::UnsupportedVersion,
        Self::UnknownKind,
        Self::Unproven,
        Self::Revoked,
        Self::Stale,
        Self::ForeignAlert,
        Self::Stopping,
        Self::RateLimited,
        Self::Overloaded,
    ];

    /// The code that travels.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            Self::Malformed => 1,
            Self::NonCanonical => 2,
            Self::TooLarge => 3,
            Self::UnsupportedVersion => 4,
            Self::UnknownKind => 5,
            Self::Unproven => 6,
            Self::Revoked => 7,
            Self::Stale => 8,
            Self::ForeignAlert => 9,
            Self::Stopping => 10,
            Self::RateLimited => 11,
            Self::Overloaded => 12,
            Self::Unlisted(code) => code,
        }
    }

    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: u64) -> Self {
        Self::LISTED
            .into_iter()
            .find(|reason| reason.code() == code)
            .unwrap_or(Self::Unlisted(code))
    }

    /// The name that reports, counters and command lines use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NonCanonical => "non_canonical",
            Self::TooLarge => "too_large",
            Self::UnsupportedVersion => "unsupported_version",
            Self::UnknownKind => "unknown_kind",
            Self::Unproven => "unproven",
            Self::Revoked => "revoked",
            Self::Stale => "stale",
            Self::ForeignAlert => "foreign_alert",
            Self::Stopping => "stopping",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Unlisted(_) => "unlisted",
        }
    }

    /// What to tell a person, and what to do about it.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Malformed => "the gateway could not read the message",
            Self::NonCanonical => "the message is not in deterministic CBOR",
            Self::TooLarge => "the message is longer than 1,200 bytes",
            Self::UnsupportedVersion => {
                "the gateway does not speak this version; update it or the device"
            }
            Self::UnknownKind => "the gateway does not know this kind of message",
            Self::Unproven => {
                "the gateway does not accept this device's proof; is it enrolled here, with this key?"
            }
            Self::Revoked => "this device's enrolment was withdrawn; enrol it again",
            Self::Stale => "the device has sent something newer since",
            Self::ForeignAlert => "this alert was raised by another device",
            Self::Stopping => "the gateway is stopping; try again",
            Self::RateLimited => {
                "the device has sent too many updates or heartbeats; it waits and tries again"
            }
            Self::Overloaded => {
                "the gateway has more urgent messages to take; try again in a moment"
            }
            Self::Unlisted(_) => "the gateway gave a reason that this version does not know",
        }
    }

    /// Whether the same bytes can never be accepted, by any carrier, so that resending them is useless.
    ///
    /// [`Reason::Unproven`] is not permanent: enrolment may reach the gateway a moment after the press.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        match self {
            Self::Malformed
            | Self::NonCanonical
            | Self::TooLarge
            | Self::UnsupportedVersion
            | Self::UnknownKind
            | Self::Revoked
            | Self::Stale
            | Self::ForeignAlert => true,
            Self::Unproven
            | Self::Stopping
            | Self::RateLimited
            | Self::Overloaded
            | Self::Unlisted(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_count_from_one_without_gaps_and_read_back() {
        for (reason, code) in Reason::LISTED.into_iter().zip(1..) {
            assert_eq!(reason.code(), code);
            assert_eq!(Reason::from_code(code), reason);
        }
        assert_eq!(Reason::from_code(99), Reason::Unlisted(99));
    }
}
