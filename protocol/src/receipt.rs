//! A receipt: what the gateway tells the sender about one message.
//!
//! A receipt is data for a person in danger, so a reader takes what it understands: keys that are not known are passed
//! over, and a reason that is not listed is kept as its number.

use alloc::vec::Vec;

use minicbor::Decoder;
use minicbor::decode::Error as DecodeError;

use crate::envelope::encode;
use crate::{AlertId, Counters, Reason, ShortText, UnixMillis};

/// Longest receipt that a gateway makes, in bytes: one of a held press over TLS. Below the shortest signed message, so
/// a reply never amplifies.
pub const RECEIPT_LEN_MAX: usize = 98;

const VERSION: u64 = 1;

/// What became of a message. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// On disk, and on its way to the command centre.
    Received = 1,
    /// An earlier copy is on disk.
    Duplicate = 2,
    /// On disk, seen by operators, not paged.
    Held = 3,
    /// Not stored; the reason says why.
    Refused = 4,
}

impl Status {
    /// Every status, in order of its number.
    pub const ALL: [Self; 4] = [Self::Received, Self::Duplicate, Self::Held, Self::Refused];

    /// The status with this wire number.
    #[must_use]
    pub fn from_wire(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as u64 == number)
    }

    /// The name that reports and command lines use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Duplicate => "duplicate",
            Self::Held => "held",
            Self::Refused => "refused",
        }
    }

    /// Whether a copy of the message is on disk, so that the sender may stop resending.
    #[must_use]
    pub fn is_durable(self) -> bool {
        self != Self::Refused
    }
}

/// What the gateway tells the sender about one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Key 2.
    pub status: Status,
    /// Key 3: the alert that the message opened or belongs to. Heartbeats have none; a refusal may have read none.
    pub alert: Option<AlertId>,
    /// Key 4: echoed, so that a sender can tell receipts apart.
    pub counters: Option<Counters>,
    /// Key 5.
    pub reason: Option<Reason>,
    /// Key 6: when to try again, in milliseconds, jitter included.
    pub retry_after_ms: Option<u64>,
    /// Key 7: the gateway's clock. A device moves its own forward by it, never back.
    pub gateway_clock: UnixMillis,
    /// Key 8: whom to call, where nobody was paged: with status held, and with duplicate where the first copy was held.
    pub call: Option<ShortText>,
    /// Key 9: what lets this sender ask for the alert's status. Over TLS only.
    pub status_key: Option<[u8; 16]>,
}

/// Why bytes are not a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Cut off, not a map, or a value of the wrong type.
    #[error("receipt is malformed")]
    Malformed,
    /// A version that this code does not speak.
    #[error("receipt version {0} is not spoken here")]
    Version(u64),
    /// A status that this code does not know.
    #[error("receipt status {0} is not known here")]
    Status(u64),
}

impl From<DecodeError> for ReceiptError {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

impl Receipt {
    /// A refusal that names nothing but its reason.
    #[must_use]
    pub fn refused(reason: Reason, gateway_clock: UnixMillis) -> Self {
        Self { reason: Some(reason), ..Self::new(Status::Refused, gateway_clock) }
    }

    /// A receipt with its mandatory parts and nothing else.
    #[must_use]
    pub fn new(status: Status, gateway_clock: UnixMillis) -> Self {
        Self {
            status,
            alert: None,
            counters: None,
            reason: None,
            retry_after_ms: None,
            gateway_clock,
            call: None,
            status_key: None,
        }
    }

    /// The one deterministic spelling of this receipt.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entries = 3
            + u64::from(self.alert.is_some())
            + u64::from(self.counters.is_some())
            + u64::from(self.reason.is_some())
            + u64::from(self.retry_after_ms.is_some())
            + u64::from(self.call.is_some())
            + u64::from(self.status_key.is_some());
        encode(RECEIPT_LEN_MAX, |encoder| {
            encoder.map(entries)?.u8(1)?.u64(VERSION)?.u8(2)?.u64(self.status as u64)?;
            if let Some(alert) = &self.alert {
                encoder.u8(3)?.bytes(alert.as_bytes())?;
            }
            if let Some(counters) = self.counters {
                encoder.u8(4)?.array(2)?.u32(counters.boot.0)?.u32(counters.sequence.0)?;
            }
            if let Some(reason) = self.reason {
                encoder.u8(5)?.u64(reason.code())?;
            }
            if let Some(retry_after_ms) = self.retry_after_ms {
                encoder.u8(6)?.u64(retry_after_ms)?;
            }
            encoder.u8(7)?.u64(self.gateway_clock.0)?;
            if let Some(call) = &self.call {
                encoder.u8(8)?.str(call.as_str())?;
            }
            if let Some(status_key) = &self.status_key {
                encoder.u8(9)?.bytes(status_key)?;
            }
            Ok(())
        })
    }

    /// Reads a receipt and returns it with the bytes that follow it (status items of the same stream).
    ///
    /// # Errors
    /// When the bytes do not start with a receipt that this code understands.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), ReceiptError> {
        let mut decoder = Decoder::new(bytes);
        let entries = decoder.map()?.ok_or(ReceiptError::Malformed)?;
        let mut version = None;
        let mut status = None;
        let mut gateway_clock = None;
        let mut receipt = Self::new(Status::Refused, UnixMillis(0));
        for _ in 0..entries {
            match decoder.u64()? {
                1 => version = Some(decoder.u64()?),
                2 => status = Some(decoder.u64()?),
                3 => receipt.alert = AlertId::from_slice(decoder.bytes()?),
                4 => receipt.counters = Some(read_counters(&mut decoder)?),
                5 => receipt.reason = Some(Reason::from_code(decoder.u64()?)),
                6 => receipt.retry_after_ms = Some(decoder.u64()?),
                7 => gateway_clock = Some(decoder.u64()?),
                8 => receipt.call = ShortText::new(decoder.str()?),
                9 => receipt.status_key = decoder.bytes()?.try_into().ok(),
                _ => decoder.skip()?,
            }
        }
        match version.ok_or(ReceiptError::Malformed)? {
            VERSION => {}
            other => return Err(ReceiptError::Version(other)),
        }
        let status = status.ok_or(ReceiptError::Malformed)?;
        receipt.status = Status::from_wire(status).ok_or(ReceiptError::Status(status))?;
        receipt.gateway_clock = UnixMillis(gateway_clock.ok_or(ReceiptError::Malformed)?);
        let rest = bytes.get(decoder.position()..).unwrap_or_default();
        Ok((receipt, rest))
    }
}

fn read_counters(decoder: &mut Decoder<'_>) -> Result<Counters, ReceiptError> {
    match decoder.array()? {
        Some(2) => Ok(Counters::new(decoder.u32()?, decoder.u32()?)),
        _ => Err(ReceiptError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SHORT_TEXT_LEN_MAX;

    fn full() -> Receipt {
        Receipt {
            status: Status::Duplicate,
            alert: Some(AlertId([3; 16])),
            counters: Some(Counters::new(u32::MAX, u32::MAX)),
            reason: Some(Reason::Stale),
            retry_after_ms: Some(86_400_000),
            gateway_clock: UnixMillis(1_800_000_000_000),
            call: ShortText::new("110"),
            status_key: Some([9; 16]),
        }
    }

    /// The longest that is held, and the longest that is refused: a gateway gives reasons only with the latter.
    fn longest() -> [Receipt; 2] {
        let call = ShortText::new(&"1".repeat(SHORT_TEXT_LEN_MAX));
        let held =
            Receipt { status: Status::Held, call, reason: None, retry_after_ms: None, ..full() };
        let refused = Receipt {
            status: Status::Refused,
            call: None,
            retry_after_ms: Some(u64::MAX),
            ..full()
        };
        [held, refused]
    }

    #[test]
    fn decode_gives_back_what_was_encoded_and_the_rest() {
        let mut bytes = full().encode();
        bytes.extend_from_slice(b"\xa0");
        assert_eq!(Receipt::decode(&bytes), Ok((full(), b"\xa0".as_slice())));
    }

    #[test]
    fn longest_receipt_stays_below_its_bound() {
        let lens = longest().map(|receipt| receipt.encode().len());
        assert!(lens.iter().all(|len| *len <= RECEIPT_LEN_MAX), "{lens:?}");
        assert!(lens.contains(&RECEIPT_LEN_MAX), "the bound is met: {lens:?}");
    }

    #[test]
    fn keys_that_are_not_known_are_passed_over() {
        let bytes = hex::decode("a5010102010719012c0af518636161").unwrap();
        let (receipt, rest) = Receipt::decode(&bytes).unwrap();
        assert_eq!(receipt, Receipt::new(Status::Received, UnixMillis(300)));
        assert!(rest.is_empty());
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let version_2 = hex::decode("a3010202010700").unwrap();
        assert_eq!(Receipt::decode(&version_2), Err(ReceiptError::Version(2)));
        let status_9 = hex::decode("a3010102090700").unwrap();
        assert_eq!(Receipt::decode(&status_9), Err(ReceiptError::Status(9)));
        assert_eq!(Receipt::decode(&[]), Err(ReceiptError::Malformed));
        assert_eq!(Receipt::decode(&[0xa3, 1, 1]), Err(ReceiptError::Malformed));
    }
}
