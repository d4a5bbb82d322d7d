//! Records for tests.

use bytes::Bytes;
use pipeline::{Carrier, Cursor, Record, Time, ZoneId};
use protocol::{
    AlertId, Category, Counters, DeviceId, Kind, Label, Labels, MessageId, Method, Position,
};

/// A raise at `cursor` whose every part depends on it.
pub(crate) fn record(cursor: u64) -> Record {
    let message_id = MessageId((u128::from(cursor) << 64 | 0x8000).to_be_bytes());
    Record {
        cursor: Cursor(cursor),
        received_at: Time(1_800_000_000_000_000 + cursor),
        device: DeviceId(u128::from(cursor % 7).to_le_bytes()),
        message_id,
        alert: Some(message_id.alert()),
        kind: Kind::Raise,
        counters: Counters::new(u32::MAX, u32::try_from(cursor).unwrap_or(u32::MAX)),
        category: Category::Fire,
        zone: ZoneId::new(if cursor.is_multiple_of(2) { "klojen" } else { "sukun" }),
        labels: Labels::NONE.with(Label::Silent).with(Label::NoPosition),
        carrier: Carrier::Quic,
        disposition: pipeline::Disposition::Paged,
        joins: None,
        site: Position::new(-79_666_200, 1_126_326_000).map(|site| site.by(Method::FixedSite)),
        signed: Bytes::from(vec![u8::try_from(cursor % 251).unwrap_or(0); 200]),
    }
}

/// An update of `alert` at `cursor`.
pub(crate) fn update(cursor: u64, alert: AlertId) -> Record {
    Record { kind: Kind::Update, alert: Some(alert), site: None, ..record(cursor) }
}

/// Records at all of these cursors.
pub(crate) fn records(cursors: impl IntoIterator<Item = u64>) -> Vec<Record> {
    cursors.into_iter().map(record).collect()
}
