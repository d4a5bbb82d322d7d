//! Devices: what each sent, where it last pressed, and how it stands.

use pipeline::{Standing, Time, ZoneId};
use protocol::DeviceId;
use rusqlite::OptionalExtension;

use super::{foreign, time};
use crate::journal;
use crate::search::{Lookup, SearchError};

const SEEN: &str = "SELECT messages, received_at_us FROM devices JOIN entries ON entries.cursor = devices.last_cursor \
     WHERE devices.device_id = ?1";
const PRESSED: &str = "SELECT zone FROM device_messages AS d JOIN entries AS e ON e.cursor = d.cursor \
     WHERE d.device_id = ?1 AND e.kind = 1 ORDER BY d.cursor DESC LIMIT 1";
const STANDS: &str = "SELECT standing FROM standings WHERE device_id = ?1";

/// What the index knows of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceRow {
    /// Messages that it sent.
    pub messages: u64,
    /// When its latest came.
    pub last_seen: Option<Time>,
    /// Where it last pressed.
    pub zone: Option<ZoneId>,
    /// How it stands by the latest decision about it; nothing: nobody decided about it yet.
    pub standing: Option<Standing>,
}

impl Lookup {
    /// What is known of the device with this id.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn device(&self, device: DeviceId) -> Result<DeviceRow, SearchError> {
        self.read(|connection| {
            let id = [device.as_bytes().as_slice()];
            let seen: Option<(i64, i64)> =
                connection.prepare_cached(SEEN)?.query_row(id, |row| row.try_into()).optional()?;
            let zone: Option<String> =
                connection.prepare_cached(PRESSED)?.query_row(id, |row| row.get(0)).optional()?;
            let stands: Option<String> =
                connection.prepare_cached(STANDS)?.query_row(id, |row| row.get(0)).optional()?;
            let standing = match stands {
                Some(text) => Some(journal::standing(&text).ok_or_else(|| foreign(0))?),
                None => None,
            };
            Ok(DeviceRow {
                messages: seen.map_or(0, |(messages, _)| u64::try_from(messages).unwrap_or(0)),
                last_seen: seen.map(|(_, at)| time(at)),
                zone: zone.as_deref().map(ZoneId::new),
                standing,
            })
        })
    }
}
