//! The disk under the gateway: honest, forgetful, lying, or failing. See `forget.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::House;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes fail: no space is left.
    Full,
    /// Syncs fail, and what they were to write is dropped.
    Sync,
}

/// A disk, as the environment of the gateway's process.
pub(crate) struct Disk {
    environment: Vec<(String, String)>,
    data: PathBuf,
    images: Option<PathBuf>,
    fault: PathBuf,
}

impl Disk {
    /// The disk of this machine, whose cache outlives the process.
    pub(crate) fn honest(house: &House) -> Self {
        let fault = house.path().join("fault");
        Self { environment: vec![], data: house.data(), images: None, fault }
    }

    /// A disk that keeps what was synced, and by chance some of what was not.
    pub(crate) fn forgetful(house: &House, seed: u64) -> Self {
        Self::preloaded(house, ("FORGET_SPILL", seed.to_string()))
    }

    /// A disk that says that it synced.
    pub(crate) fn lying(house: &House) -> Self {
        Self::preloaded(house, ("FORGET_LIE", "1".to_owned()))
    }

    fn preloaded(house: &House, (name, value): (&str, String)) -> Self {
        let images = house.path().join("images");
        fs::create_dir(&images).unwrap();
        let fault = house.path().join("fault");
        let data = fs::canonicalize(house.data()).unwrap();
        copy_databases(&data, &images);
        let library = compile(house.path());
        let environment = [
            ("LD_PRELOAD", text(&library)),
            ("FORGET_DIR", text(&data)),
            ("FORGET_IMAGES", text(&images)),
            ("FORGET_FAULT", text(&fault)),
            (name, value),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        Self { environment: environment.into(), data, images: Some(images), fault }
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// From here on, until it is mended, everything that this fault touches fails.
    pub(crate) fn fail(&self, fault: Fault) {
        let word = match fault {
            Fault::Full => "ENOSPC",
            Fault::Sync => "EIO",
        };
        // Whole or not at all: the gateway must not read half a word.
        let temporary = self.fault.with_extension("tmp");
        fs::write(&temporary, word).unwrap();
        fs::rename(&temporary, &self.fault).unwrap();
    }

    /// Everything works from here on; what failed syncs dropped stays dropped.
    pub(crate) fn mend(&self, fault: Fault) {
        match fault {
            Fault::Full => fs::remove_file(&self.fault).unwrap(),
            Fault::Sync => fs::write(&self.fault, "AFTER EIO").unwrap(),
        }
    }

    /// Puts what is on the platter in place of the files. Nothing happens on an honest disk.
    pub(crate) fn lose_power(&self) {
        let Some(images) = &self.images else { return };
        for (name, file) in files_of(&self.data) {
            let image = images.join(&name);
            if name.ends_with("-shm") || is_database(&name) && !image.exists() {
                fs::remove_file(&file).unwrap();
            }
        }
        copy_databases(images, &self.data);
    }
}

fn copy_databases(from: &Path, to: &Path) {
    for (name, file) in files_of(from) {
        if is_database(&name) {
            fs::copy(&file, to.join(&name)).unwrap();
        }
    }
}

fn is_database(name: &str) -> bool {
    name.ends_with(".db") || name.ends_with("-wal")
}

fn files_of(folder: &Path) -> Vec<(String, PathBuf)> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), file.path())).collect()
}

fn compile(folder: &Path) -> PathBuf {
    let library = folder.join("forget.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/forget.c");
    let output = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&library)
        .args([source, "-ldl"])
        .output()
        .expect("a C compiler, which SQLite needs too");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
