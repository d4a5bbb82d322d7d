//! The identities that travel: deployments, devices, messages and alerts, and the counters that order messages.
//!
//! Each is a type of its own, so that a device id can never stand where an alert id is meant. Text form is lower-case
//! hexadecimal. A [`MessageId`] is computed from content (`of`), which is what makes every copy of a press, by every
//! carrier and on every gateway, the same press.

use core::fmt;
use core::str::FromStr;

use sha2::{Digest, Sha256};

/// Separates message ids from every other hash in the system.
const MESSAGE_ID_CONTEXT: &[u8] = b"kentongan/msg/1";

/// Text that is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 hexadecimal digits")]
pub struct IdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = 16;

            /// The id in `bytes`, if there are exactly sixteen.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The sixteen bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

id!(
    /// Names a deployment, so that nothing signed for a rehearsal counts in the real city. Random.
    Realm
);
id!(
    /// Names a device and the one key it signs with. Random, never reused: a new key is a new id.
    DeviceId
);
id!(
    /// Names a message by its content.
    MessageId
);
id!(
    /// Names an alert: the message id of the raise that opened it.
    AlertId
);

impl MessageId {
    /// The id of `message` bytes signed by `device` for `realm`: UUIDv8 (RFC 9562 section 5.8) over SHA-256.
    #[must_use]
    pub fn of(realm: &Realm, device: &DeviceId, message: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(MESSAGE_ID_CONTEXT)
            .chain_update(realm.0)
            .chain_update(device.0)
            .chain_update(message)
            .finalize();
        let mut id = [0; 16];
        id.iter_mut().zip(digest.iter()).for_each(|(id, digest)| *id = *digest);
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
        *version = (*version & 0x0f) | 0x80;
        *variant = (*variant & 0x3f) | 0x80;
        Self(id)
    }

    /// The alert that a raise with this id opens.
    #[must_use]
    pub fn alert(self) -> AlertId {
        AlertId(self.0)
    }
}

/// How often the device has started, by its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(pub u32);

/// Place of a message within one boot of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u32);

/// Boot and sequence together: order and evidence, never identity. Compares as the device counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counters {
    /// Compared first.
    pub boot: Boot,
    /// Compared within one boot.
    pub sequence: Sequence,
}

impl Counters {
    /// Counters from plain numbers.
    #[must_use]
    pub fn new(boot: u32, sequence: u32) -> Self {
        Self { boot: Boot(boot), sequence: Sequence(sequence) }
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

fn parse_hex(text: &str) -> Result<[u8; 16], IdError> {
    let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| IdError)?;
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16).ok_or(IdError)?;
            *byte = *byte << 4 | u8::try_from(value).map_err(|_| IdError)?;
        }
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn message_id_is_a_version_8_uuid_and_depends_on_every_part() {
        let id = MessageId::of(&Realm([1; 16]), &DeviceId([2; 16]), b"press");
        assert_eq!(id.0[6] >> 4, 8);
        assert_eq!(id.0[8] >> 6, 0b10);
        assert_ne!(id, MessageId::of(&Realm([0; 16]), &DeviceId([2; 16]), b"press"));
        assert_ne!(id, MessageId::of(&Realm([1; 16]), &DeviceId([0; 16]), b"press"));
        assert_ne!(id, MessageId::of(&Realm([1; 16]), &DeviceId([2; 16]), b"presS"));
    }

    #[test]
    fn text_form_round_trips_and_garbage_is_refused() {
        let id = DeviceId([0xa5; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in
            ["", "a5", "zz5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a", "+15a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"]
        {
            assert_eq!(text.parse::<DeviceId>(), Err(IdError), "{text}");
        }
    }

    #[test]
    fn counters_order_by_boot_before_sequence() {
        assert!(Counters::new(1, 9) < Counters::new(2, 0));
        assert!(Counters::new(2, 0) < Counters::new(2, 1));
    }
}
