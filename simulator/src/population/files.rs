//! A population on disk: what a gateway imports, what a load test signs with, and what both belong to.
//!
//! - `devices.csv`: the gateway's import. `device_id,alg,public_key,label,owner,batch,lat,lon`; only buttons have a
//!   place, because only they hang where they were enrolled.
//! - `keys.csv`, mode 0600: `device_id,alg,secret,public_key,zone,lat_e7,lon_e7`. TEST KEYS.
//! - `population.json`: scenario, seed, sizes and the SHA-256 of both. It is written last and checked when read.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use pipeline::ZoneId;
use protocol::{Algorithm, Position};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Device, Keys, Population, Profile, TestKey};
use crate::random::Seed;

const DEVICES: &str = "devices.csv";
const KEYS: &str = "keys.csv";
const SUMMARY: &str = "population.json";
const SCHEMA_VERSION: u32 = 1;
const WARNING: &str =
    "TEST KEYS: anyone who has the seed has them; never enrol them where a real press could arrive";
const DEVICES_HEADER: [&str; 8] =
    ["device_id", "alg", "public_key", "label", "owner", "batch", "lat", "lon"];
const KEYS_HEADER: [&str; 7] =
    ["device_id", "alg", "secret", "public_key", "zone", "lat_e7", "lon_e7"];

/// What `population.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// 1.
    pub schema_version: u32,
    /// That its keys prove nothing.
    pub warning: String,
    /// Name of the scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// How many devices there are.
    pub devices: u32,
    /// How many of them are phones (ES256).
    pub phones: u32,
    /// How many of them are buttons (Ed25519).
    pub buttons: u32,
    /// How many presses the timeline has.
    pub presses: u32,
    /// SHA-256 of `devices.csv`, in hex.
    pub devices_sha256: String,
    /// SHA-256 of `keys.csv`, in hex.
    pub keys_sha256: String,
}

/// Why a population could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PopulationError {
    /// The file system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A file does not hold what it must: make the population anew with `simulator population`.
    #[error("{}: {fault}; make it anew with `simulator population`", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

impl Population {
    /// Writes the population into a directory, which is made if it is not there. Earlier files are replaced.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, dir: &Path) -> Result<Summary, PopulationError> {
        fs::create_dir_all(dir).map_err(io_error(dir))?;
        let keys = self.keys();
        let devices_csv = csv_bytes(DEVICES_HEADER, self.import_rows(&keys));
        let keys_csv = csv_bytes(KEYS_HEADER, self.key_rows(&keys));
        put(&dir.join(DEVICES), &devices_csv, 0o644)?;
        put(&dir.join(KEYS), &keys_csv, 0o600)?;
        let buttons = number(self.buttons());
        let summary = Summary {
            schema_version: SCHEMA_VERSION,
            warning: WARNING.to_owned(),
            scenario: self.scenario.clone(),
            seed: self.seed.0,
            devices: number(self.devices.len()),
            phones: number(self.devices.len()) - buttons,
            buttons,
            presses: self.presses,
            devices_sha256: sha256_hex(&devices_csv),
            keys_sha256: sha256_hex(&keys_csv),
        };
        let path = dir.join(SUMMARY);
        let mut json =
            serde_json::to_vec_pretty(&summary).map_err(|error| io_error(&path)(error.into()))?;
        json.push(b'\n');
        put(&path, &json, 0o644)?;
        Ok(summary)
    }

    /// Reads a population that was written.
    ///
    /// # Errors
    /// When a file is absent, is not the one that was written, or holds what no population has.
    pub fn read(dir: &Path) -> Result<Self, PopulationError> {
        let path = dir.join(SUMMARY);
        let summary: Summary = serde_json::from_slice(&get(&path)?)
            .map_err(|error| broken(&path, error.to_string()))?;
        if summary.schema_version != SCHEMA_VERSION {
            let fault = format!("schema version {} is not read here", summary.schema_version);
            return Err(broken(&path, fault));
        }
        let devices = dir.join(DEVICES);
        check(&devices, &get(&devices)?, &summary.devices_sha256)?;
        let path = dir.join(KEYS);
        let bytes = get(&path)?;
        check(&path, &bytes, &summary.keys_sha256)?;
        let (devices, keys) = read_keys(&path, &bytes)?;
        Ok(Self {
            scenario: summary.scenario,
            seed: Seed(summary.seed),
            presses: summary.presses,
            devices,
            keys: Keys::Read(keys),
        })
    }

    fn import_rows<'a>(&'a self, keys: &'a [TestKey]) -> impl Iterator<Item = [String; 8]> + 'a {
        let batch = format!("{}-{}", self.scenario, self.seed.0);
        self.devices.iter().zip(keys).zip(0_u32..).map(move |((device, key), index)| {
            let (noun, lat, lon) = match device.profile {
                Profile::Phone => ("phone", String::new(), String::new()),
                Profile::Button => {
                    let place = &device.place;
                    ("button", degrees(place.lat_e7()), degrees(place.lon_e7()))
                }
            };
            [
                device.id.to_string(),
                device.algorithm().name().to_owned(),
                hex::encode(key.public().as_bytes()),
                format!("TEST {noun} {index}"),
                "simulator".to_owned(),
                batch.clone(),
                lat,
                lon,
            ]
        })
    }

    fn key_rows<'a>(&'a self, keys: &'a [TestKey]) -> impl Iterator<Item = [String; 7]> + 'a {
        self.devices.iter().zip(keys).map(|(device, key)| {
            [
                device.id.to_string(),
                device.algorithm().name().to_owned(),
                hex::encode(key.secret()),
                hex::encode(key.public().as_bytes()),
                device.zone.to_string(),
                device.place.lat_e7().to_string(),
                device.place.lon_e7().to_string(),
            ]
        })
    }
}

fn read_keys(path: &Path, bytes: &[u8]) -> Result<(Vec<Device>, Vec<TestKey>), PopulationError> {
    let mut reader = csv::Reader::from_reader(bytes);
    let (mut devices, mut keys) = (Vec::new(), Vec::new());
    for (row, line) in reader.deserialize::<[String; 7]>().zip(2_u32..) {
        let row = row.map_err(|error| broken(path, error.to_string()))?;
        let (device, key) = read_row(&row)
            .ok_or_else(|| broken(path, format!("line {line} is not a device and its key")))?;
        devices.push(device);
        keys.push(key);
    }
    Ok((devices, keys))
}

fn read_row(row: &[String; 7]) -> Option<(Device, TestKey)> {
    let [id, algorithm, secret, public, zone, lat_e7, lon_e7] = row;
    let algorithm = Algorithm::from_name(algorithm)?;
    let secret = hex::decode(secret).ok()?.try_into().ok()?;
    let key = TestKey::written(algorithm, secret, hex::decode(public).ok()?);
    let device = Device {
        id: id.parse().ok()?,
        profile: Profile::of(algorithm),
        zone: ZoneId::new(zone),
        place: Position::new(lat_e7.parse().ok()?, lon_e7.parse().ok()?)?,
    };
    Some((device, key))
}

/// Rows of text that needs no quotes, one line each.
fn csv_bytes<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Vec<u8> {
    let mut bytes = header.join(",").into_bytes();
    bytes.push(b'\n');
    for row in rows {
        bytes.extend_from_slice(row.join(",").as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// Degrees with all seven decimals, without a detour over floating point.
fn degrees(e7: i32) -> String {
    let (sign, e7) = (if e7 < 0 { "-" } else { "" }, e7.unsigned_abs());
    format!("{sign}{}.{:07}", e7 / 10_000_000, e7 % 10_000_000)
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Writes a file that others may read only as `mode` says, also if it was there before.
fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PopulationError> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).and_then(
            |mut file| {
                file.set_permissions(fs::Permissions::from_mode(mode))?;
                io::Write::write_all(&mut file, bytes)
            },
        );
    written.map_err(io_error(path))
}

fn get(path: &Path) -> Result<Vec<u8>, PopulationError> {
    fs::read(path).map_err(io_error(path))
}

fn check(path: &Path, bytes: &[u8], sha256: &str) -> Result<(), PopulationError> {
    if sha256_hex(bytes) == sha256 {
        Ok(())
    } else {
        Err(broken(path, format!("its SHA-256 is not the one in {SUMMARY}")))
    }
}

fn broken(path: &Path, fault: String) -> PopulationError {
    PopulationError::Broken { path: path.to_owned(), fault }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> PopulationError + use<> {
    let path = path.to_owned();
    move |error| PopulationError::Io { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_keep_every_digit() {
        assert_eq!(degrees(-79_778_000), "-7.9778000");
        assert_eq!(degrees(1_126_341_001), "112.6341001");
        assert_eq!(degrees(-1), "-0.0000001");
        assert_eq!(degrees(0), "0.0000000");
    }
}
