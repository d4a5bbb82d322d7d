//! Many devices: they are imported and loaded whole, and how fast that was and what they take is printed, not judged.
//! `KENTONGAN_DEVICES=1000000 cargo test --release -p gateway --test registry_many -- --nocapture` measures a million.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use device::Key;
use gateway::clock;
use gateway::registry::load;
use protocol::Algorithm;

/// Devices where the environment asks for no other number.
const COUNT: u32 = 20_000;

fn count() -> u32 {
    std::env::var("KENTONGAN_DEVICES").map_or(COUNT, |count| count.parse().unwrap())
}

/// Different keys; devices share them, which costs an import the same.
const KEYS: u32 = 500;

fn write_csv(path: &Path) {
    let keys: Vec<(&str, String)> = (0..KEYS)
        .map(|number| {
            let algorithm = if number % 2 == 0 { Algorithm::Es256 } else { Algorithm::EdDsa };
            let key = Key::generate(algorithm).unwrap();
            (algorithm.name(), key.public_hex())
        })
        .collect();
    let mut file = BufWriter::new(File::create(path).unwrap());
    writeln!(file, "device_id,alg,public_key,label,owner,batch,lat,lon").unwrap();
    for (number, (alg, key)) in (0..count()).zip(keys.iter().cycle()) {
        let id = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let batch = number / 10_000;
        writeln!(file, "{id:032x},{alg},{key},Button {number},Owner {number},batch-{batch},-7.9666200,112.6326321")
            .unwrap();
    }
    file.flush().unwrap();
}

fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn many_devices_are_imported_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("devices.csv");
    write_csv(&csv);
    for pass in ["import", "same file again"] {
        let started = clock::monotonic();
        let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .args(["device", "import"])
            .arg(&csv)
            .arg("--data-dir")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        println!("{pass}: {:.1} s: {}", started.elapsed().as_secs_f64(), said.trim_end());
    }
    let size = fs::metadata(folder.path().join("registry.db")).unwrap().len();
    println!("registry.db: {} bytes per device", size / u64::from(count()));
    let (before, started) = (resident(), clock::monotonic());
    let loaded = load(folder.path()).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let each = resident().saturating_sub(before) / loaded.registry.len();
    println!("load: {seconds:.1} s, {each} bytes of resident memory per device");
    assert_eq!(loaded.registry.len(), usize::try_from(count()).unwrap());
}
