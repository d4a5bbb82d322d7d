//! A status item: what the gateway tells the sender, behind the receipt, about what became of the alert.
//!
//! It says how far the alert is answered and never by whom: a sender may be made to show the phone to somebody. As with
//! receipts, a reader takes what it understands; an item of a later version is passed over, because the next one may be
//! understood again.

use alloc::vec::Vec;

use minicbor::Decoder;
use minicbor::decode::Error as DecodeError;

use crate::envelope::encode;
use crate::{AlertId, UnixMillis};

/// Longest status item that a gateway makes, in bytes.
pub const STATUS_ITEM_LEN_MAX: usize = 33;

const VERSION: u64 = 1;

/// How far an alert is answered. The numbers are the wire's and go on from those of [`Status`](crate::Status), because
/// both stand in key 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Somebody has taken the alert on.
    Acknowledged = 5,
    /// Somebody is sent.
    Assigned = 6,
    /// The alert is over.
    Resolved = 7,
    /// It is not over after all, and waits for an answer again.
    Reopened = 8,
}

impl Progress {
    /// Every progress, in order of its number.
    pub const ALL: [Self; 4] = [Self::Acknowledged, Self::Assigned, Self::Resolved, Self::Reopened];

    /// The progress with this wire number.
    #[must_use]
    pub fn from_wire(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|progress| *progress as u64 == number)
    }

    /// The name that reports and command lines use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Assigned => "assigned",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
        }
    }

    /// Whether nothing is told after it, unless the alert is reopened.
    #[must_use]
    pub fn is_last(self) -> bool {
        self == Self::Resolved
    }
}

/// What the gateway tells the sender about what became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusItem {
    /// Key 2.
    pub progress: Progress,
    /// Key 3: the alert of the receipt that stands before it.
    pub alert: AlertId,
    /// Key 7: the gateway's clock.
    pub gateway_clock: UnixMillis,
}

/// Why bytes are not a status item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusItemError {
    /// There is more to come: read on.
    #[error("status item is cut off")]
    CutOff,
    /// Not a map, or a value of the wrong type. What follows cannot be read either.
    #[error("status item is malformed")]
    Malformed,
}

impl From<DecodeError> for StatusItemError {
    fn from(error: DecodeError) -> Self {
        if error.is_end_of_input() { Self::CutOff } else { Self::Malformed }
    }
}

impl StatusItem {
    /// The one deterministic spelling of this item.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(STATUS_ITEM_LEN_MAX, |encoder| {
            encoder.map(4)?.u8(1)?.u64(VERSION)?.u8(2)?.u64(self.progress as u64)?;
            encoder.u8(3)?.bytes(self.alert.as_bytes())?;
            encoder.u8(7)?.u64(self.gateway_clock.0)?;
            Ok(())
        })
    }

    /// Reads the item that `bytes` start with and returns it with the bytes that follow it; nothing in its place if it is
    /// of a version, or says something, that this code does not know.
    ///
    /// # Errors
    /// When the bytes do not start with a whole item.
    pub fn decode(bytes: &[u8]) -> Result<(Option<Self>, &[u8]), StatusItemError> {
        let mut decoder = Decoder::new(bytes);
        let entries = decoder.map()?.ok_or(StatusItemError::Malformed)?;
        let (mut version, mut progress, mut alert, mut gateway_clock) = (None, None, None, None);
        for _ in 0..entries {
            match decoder.u64()? {
                1 => version = Some(decoder.u64()?),
                2 => progress = Progress::from_wire(decoder.u64()?),
                3 => alert = AlertId::from_slice(decoder.bytes()?),
                7 => gateway_clock = Some(UnixMillis(decoder.u64()?)),
                _ => decoder.skip()?,
            }
        }
        let rest = bytes.get(decoder.position()..).unwrap_or_default();
        let known = (version == Some(VERSION)).then_some(());
        let item = known.and(progress).zip(alert).zip(gateway_clock);
        let item =
            item.map(|((progress, alert), gateway_clock)| Self { progress, alert, gateway_clock });
        Ok((item, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    fn item(progress: Progress) -> StatusItem {
        let gateway_clock = UnixMillis(1_800_000_000_000);
        StatusItem { progress, alert: AlertId([3; 16]), gateway_clock }
    }

    #[test]
    fn numbers_are_those_of_no_receipt() {
        for progress in Progress::ALL {
            assert_eq!(Status::from_wire(progress as u64), None, "{progress:?}");
        }
    }

    #[test]
    fn items_are_read_one_behind_the_other() {
        let [first, second] = [Progress::Acknowledged, Progress::Resolved].map(item);
        let bytes = [first.encode(), second.encode()].concat();
        let (read, rest) = StatusItem::decode(&bytes).unwrap();
        assert_eq!((read, StatusItem::decode(rest)), (Some(first), Ok((Some(second), &[][..]))));
    }

    #[test]
    fn longest_item_meets_its_bound() {
        let latest = StatusItem { gateway_clock: UnixMillis(u64::MAX), ..item(Progress::Assigned) };
        assert_eq!(latest.encode().len(), STATUS_ITEM_LEN_MAX);
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let mut known = item(Progress::Reopened).encode();
        let last = known.len();
        known[0] = 0xa5;
        known.extend_from_slice(&hex::decode("18636161").unwrap());
        let mut other_version = known.clone();
        other_version[2] = 2;
        let mut other_progress = known.clone();
        other_progress[4] = 23;
        assert_eq!(StatusItem::decode(&known), Ok((Some(item(Progress::Reopened)), &[][..])));
        assert_eq!(StatusItem::decode(&other_version), Ok((None, &[][..])));
        assert_eq!(StatusItem::decode(&other_progress), Ok((None, &[][..])));
        assert!(last < known.len());
    }

    #[test]
    fn what_is_cut_off_is_told_from_what_is_wrong() {
        let whole = item(Progress::Acknowledged).encode();
        for len in 0..whole.len() {
            assert_eq!(StatusItem::decode(&whole[..len]), Err(StatusItemError::CutOff), "{len}");
        }
        let not_a_map = hex::decode("8101").unwrap();
        assert_eq!(StatusItem::decode(&not_a_map), Err(StatusItemError::Malformed));
    }
}
