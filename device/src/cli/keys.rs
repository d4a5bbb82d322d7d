//! `device keygen` and `device public`.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use device::Key;
use protocol::{Algorithm, DeviceId};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;

use super::{Outcome, remark, say};

#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// Algorithm of the key, fixed for the life of the device
    #[arg(long, value_parser = PossibleValuesParser::new(["es256", "eddsa"]))]
    alg: String,
    /// Where to write the key; a file that exists is never replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Public {
    /// The key, PKCS#8 in PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The device that the key belongs to; the output is then a line of an enrolment CSV
    #[arg(long, value_name = "HEX")]
    device_id: Option<DeviceId>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What an enrolment needs to know of a key. Field names are the columns of an enrolment CSV.
#[derive(Debug, Serialize)]
struct Enrolment<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    alg: &'a str,
    public_key: String,
}

impl<'a> Enrolment<'a> {
    fn of(key: &'a Key, device_id: Option<DeviceId>) -> Self {
        Self {
            device_id: device_id.map(|device_id| device_id.to_string()),
            alg: key.algorithm().name(),
            public_key: key.public_hex(),
        }
    }

    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            say(&serde_json::to_string(self)?);
        } else {
            let columns = [self.device_id.as_deref(), Some(self.alg), Some(&self.public_key)];
            say(&columns.into_iter().flatten().collect::<Vec<_>>().join(","));
        }
        Ok(())
    }
}

impl Keygen {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let algorithm = Algorithm::from_name(&self.alg)
            .ok_or_else(|| anyhow::anyhow!("algorithm {:?} is not used here", self.alg))?;
        let key = Key::generate(algorithm)?;
        key.write_new(&self.out)?;
        // A new key is a new device: the id that comes with it saves inventing one.
        let device_id = random_device_id()?;
        Enrolment::of(&key, Some(device_id)).print(self.json)?;
        remark(&format!("{}", Written { path: &self.out, device_id }));
        Ok(Outcome::Done)
    }
}

impl Public {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let key = Key::read(&self.key)?;
        Enrolment::of(&key, self.device_id).print(self.json)?;
        Ok(Outcome::Done)
    }
}

struct Written<'a> {
    path: &'a Path,
    device_id: DeviceId,
}

impl std::fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, device_id } = self;
        write!(
            f,
            "key written to {}; enrol it at the gateway with the line above and press with \
             --device-id {device_id}",
            path.display(),
        )
    }
}

fn random_device_id() -> anyhow::Result<DeviceId> {
    let mut id = [0; DeviceId::LEN];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| anyhow::anyhow!("the operating system gave no randomness"))?;
    Ok(DeviceId(id))
}
