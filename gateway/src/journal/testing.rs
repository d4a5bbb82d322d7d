//! Entries for tests.

use std::sync::Arc;

use bytes::Bytes;
use pipeline::{
    Act, Actor, Agencies, Carrier, Cursor, Decision, Entry, Record, Rule, Standing, Strike, Time,
    Verdict, ZoneId,
};
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
        also: vec![],
        agencies: Agencies::ALL,
        joins: None,
        incident: Some(message_id.alert()),
        raised_at: None,
        site: Position::new(-79_666_200, 1_126_326_000).map(|site| site.by(Method::FixedSite)),
        signed: Bytes::from(vec![u8::try_from(cursor % 251).unwrap_or(0); 200]),
    }
}

/// An update of `alert` at `cursor`.
pub(crate) fn update(cursor: u64, alert: AlertId) -> Record {
    Record { kind: Kind::Update, alert: Some(alert), incident: None, site: None, ..record(cursor) }
}

/// Raises at all of these cursors.
pub(crate) fn records(cursors: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    cursors.into_iter().map(|cursor| record(cursor).into()).collect()
}

/// A verdict of prank at `cursor` on the raise at `on`, whose device is blocked for it, as it is read back.
pub(crate) fn decision(cursor: u64, on: u64) -> Decision {
    let raise = record(on);
    let alert = raise.message_id.alert();
    let decided_at = Time(1_800_000_000_000_000 + cursor);
    Decision {
        cursor: Cursor(cursor),
        decided_at,
        actor: Actor::Operator(Arc::from("siti")),
        act: Act::Verdict(Verdict::Prank),
        device: Some(raise.device),
        alert: Some((alert, Cursor(on))),
        zone: raise.zone.clone(),
        reason: Some(Arc::from("laughed and hung up")),
        evidence: vec![alert],
        standing: Some(Standing {
            strikes: vec![Strike { at: decided_at, alert }],
            blocks: 1,
            blocked_at: Some(decided_at),
            blocked_by_rule: true,
            blocked_until: Some(Time(decided_at.0 + 1_000)),
            probation_until: None,
        }),
        raise: Some(Arc::new(raise)),
        place: None,
    }
}

/// The promotion at `cursor` of the raise at `on`, as it is read back.
pub(crate) fn promotion(cursor: u64, on: u64) -> Decision {
    Decision {
        actor: Actor::Rule(Rule::Corroboration),
        act: Act::Promote,
        reason: None,
        standing: None,
        ..decision(cursor, on)
    }
}
