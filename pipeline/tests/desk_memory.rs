//! A million devices with something held against each of them: how much of the process the desk takes for each. Alone in
//! its process, so that nothing else grows meanwhile.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::fs;
use std::sync::Arc;

use pipeline::{Cursor, Desk, DeskConfig, DeviceIndex, Input, Standing, Strike, Time, Zones};
use protocol::{AlertId, Counters, DeviceId};

/// A device may take 400 bytes in all: 235 of them are the registry's.
const BYTES_MAX: usize = 400 - 235;

const ZONES: &str = r#"{"type":"FeatureCollection","features":[
  {"type":"Feature","properties":{"id":"city","name":"City","level":"polres"},
   "geometry":{"type":"Polygon","coordinates":[[[10,0],[11,0],[11,1],[10,1],[10,0]]]}}]}"#;

/// What a device last said of its model, in a table that grows by doubling.
const MODEL_BYTES: usize = 2 * 8;

/// Each device has sent something, and was found a prankster once.
fn bytes_per_device(count: u32) -> usize {
    let zones = Arc::new(Zones::from_geojson(ZONES).unwrap());
    let mut desk = Desk::new(DeskConfig::default(), zones, Arc::default(), Cursor(0));
    let before = resident();
    let now = Time(1_800_000_000_000_000);
    for number in 0..count {
        let index = DeviceIndex(number);
        let id = u128::from(number).to_be_bytes();
        let standing = Standing {
            strikes: vec![Strike { at: now, alert: AlertId(id) }],
            ..Standing::default()
        };
        desk.handle(Input::Counted(index, Counters::new(1, number)), now);
        desk.handle(Input::Stands { index, device: DeviceId(id), standing }, now);
        while desk.poll_output().is_some() {}
    }
    let each = (resident() - before) / usize::try_from(count).unwrap();
    assert_eq!(desk.sizes().admission.standings, usize::try_from(count).unwrap());
    // The open presses take 24 bytes more once everybody has pressed.
    each + 24 + MODEL_BYTES
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_million_devices_with_standing_take_less_than_their_share_of_memory_each() {
    let each = bytes_per_device(1_000_000);
    println!("{each} bytes of resident memory per device");
    assert!(each <= BYTES_MAX, "{each} bytes");
}
