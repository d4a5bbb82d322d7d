//! A million devices in memory: how much of the process each one takes. Alone in its process, so that nothing else
//! grows meanwhile.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::fs;

use gateway::registry::{Device, DeviceKey, Registry};
use pipeline::{DeviceIndex, Enrolment};
use protocol::DeviceId;

/// A gateway may use 400 bytes for a device; what the desk knows of it takes the rest.
const BYTES_MAX: usize = 240;

/// Fills a registry that starts empty, which is the worst case: every part of it grows by doubling.
fn bytes_per_device(count: u32) -> usize {
    let before = resident();
    let registry = Registry::default();
    for number in 0..count {
        let mut id = [0; 16];
        // Ids are random; multiplying by an odd number spreads these as well.
        id[..8]
            .copy_from_slice(&u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let key = DeviceKey::Es256([number.to_be_bytes()[3]; 64]);
        let device = Device {
            index: DeviceIndex(number),
            key,
            revoked: false,
            site: None,
            enrolment: Enrolment::default(),
        };
        registry.put(DeviceId(id), &device);
    }
    let each = (resident() - before) / usize::try_from(count).unwrap();
    assert_eq!(registry.len(), usize::try_from(count).unwrap());
    each
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_million_devices_take_less_than_their_share_of_memory_each() {
    let each = bytes_per_device(1_000_000);
    println!("{each} bytes of resident memory per device");
    assert!(each <= BYTES_MAX, "{each} bytes");
}
