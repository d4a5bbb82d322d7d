//! Records for the tests of this room.

use pipeline::{Agencies, Carrier, Cursor, Record, Time, ZoneId};
use protocol::{
    AlertId, Algorithm, Category, Counters, DeviceId, Kind, Labels, Message, MessageId, Nonce,
};

/// A journaled raise at `cursor`, routed to `zone`. Its message id begins with the cursor.
pub(crate) fn record(cursor: u64, zone: &str) -> Record {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&cursor.to_be_bytes());
    let device = DeviceId([9; 16]);
    let counters = Counters::new(1, u32::try_from(cursor).unwrap_or(u32::MAX));
    let message = Message::raise(counters, Nonce([5; 8])).encode();
    let signed = protocol::assemble(Algorithm::EdDsa, &device, &message, &[0; 64]);
    Record {
        cursor: Cursor(cursor),
        received_at: Time(1_772_000_000_000_000 + cursor),
        device,
        message_id: MessageId(id),
        alert: Some(AlertId(id)),
        kind: Kind::Raise,
        counters,
        category: Category::Unspecified,
        zone: ZoneId::new(zone),
        labels: Labels::NONE,
        carrier: Carrier::Quic,
        disposition: pipeline::Disposition::Paged,
        also: vec![],
        agencies: Agencies::ALL,
        joins: None,
        incident: Some(AlertId(id)),
        raised_at: None,
        site: None,
        signed: signed.into(),
    }
}

/// The cursors of the events in `stream`, by the message ids that [`record`] gives.
pub(crate) fn cursors(stream: &[u8]) -> Vec<u64> {
    std::str::from_utf8(stream)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| {
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            u64::from_str_radix(&data["message_id"].as_str().unwrap()[..16], 16).unwrap()
        })
        .collect()
}

/// A root `town` with `west` (of `west-1` and `west-2`) and `east`.
pub(crate) fn town() -> pipeline::Zones {
    let zone = |id: &str, parent: Option<&str>, column: Option<f64>| {
        let mut properties = serde_json::json!({"id": id, "name": id, "level": "polsek"});
        if let Some(parent) = parent {
            properties["parent"] = parent.into();
        }
        let geometry = column.map(|west| {
            let east = west + 0.01;
            let ring = [[west, 0.0], [east, 0.0], [east, 0.01], [west, 0.01], [west, 0.0]];
            serde_json::json!({"type": "Polygon", "coordinates": [ring]})
        });
        serde_json::json!({"type": "Feature", "properties": properties, "geometry": geometry})
    };
    let features = [
        zone("town", None, None),
        zone("west", Some("town"), None),
        zone("west-1", Some("west"), Some(0.0)),
        zone("west-2", Some("west"), Some(0.01)),
        zone("east", Some("town"), Some(0.02)),
    ];
    let text = serde_json::json!({"type": "FeatureCollection", "features": features}).to_string();
    pipeline::Zones::from_geojson(&text).unwrap()
}
