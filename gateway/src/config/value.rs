//! How the values that only a gateway has are read and shown: addresses, files, the realm.
//!
//! The rest, and what a codec is, stand in [`pipeline::settings`].

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;

use pipeline::settings::{Codec, Raw};
use protocol::Realm;

/// An IP address and a port.
pub(super) struct Address;

impl Codec for Address {
    type Value = SocketAddr;

    fn read(raw: &Raw<'_>) -> Result<SocketAddr, String> {
        let text = raw.text("an address")?;
        text.parse().map_err(|_| {
            format!(
                "\"{text}\" is not an IP address and port; write one like \"0.0.0.0:4433\" or \"[::]:4433\""
            )
        })
    }

    fn show(value: &SocketAddr) -> Option<String> {
        Some(format!("\"{value}\""))
    }
}

/// The name of a deployment, or nothing.
pub(super) struct RealmText;

impl Codec for RealmText {
    type Value = Option<Realm>;

    fn read(raw: &Raw<'_>) -> Result<Option<Realm>, String> {
        let text = raw.text("32 hexadecimal digits")?;
        text.parse().map(Some).map_err(|_| {
            format!("\"{text}\" is not 32 hexadecimal digits; `openssl rand -hex 16` makes some")
        })
    }

    fn show(value: &Option<Realm>) -> Option<String> {
        value.map(|realm| format!("\"{realm}\""))
    }
}

/// A file that must be there and readable, or nothing.
pub(super) struct ReadableFile;

impl Codec for ReadableFile {
    type Value = Option<PathBuf>;

    fn read(raw: &Raw<'_>) -> Result<Option<PathBuf>, String> {
        let text = raw.text("a path")?;
        let readable = File::open(text).and_then(|file| file.metadata());
        match readable {
            Ok(data) if data.is_file() => Ok(Some(PathBuf::from(text))),
            Ok(_) => Err(format!("\"{text}\" is not a file")),
            Err(error) => Err(format!("cannot read \"{text}\": {error}")),
        }
    }

    fn show(value: &Option<PathBuf>) -> Option<String> {
        value.as_ref().map(|path| format!("{:?}", path.display().to_string()))
    }
}

/// A folder, which need not be there yet.
pub(super) struct Folder;

impl Codec for Folder {
    type Value = PathBuf;

    fn read(raw: &Raw<'_>) -> Result<PathBuf, String> {
        match raw.text("a path")? {
            "" => Err("is empty; write a path".to_owned()),
            text => Ok(PathBuf::from(text)),
        }
    }

    fn show(value: &PathBuf) -> Option<String> {
        Some(format!("{:?}", value.display().to_string()))
    }
}
