//! What the tests need beside Rust: a few programs and a Python environment. What is missing is installed where that is
//! possible without asking (Debian, as root) and named precisely where it is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::stage::target_folder;
use crate::tally::Outcome;

/// A program that tests run, and the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("sqlite3", "sqlite3"),
    ("curl", "curl"),
    ("python3", "python3"),
    ("promtool", "prometheus"),
    #[cfg(target_arch = "x86_64")]
    ("qemu-x86_64-static", "qemu-user-static"),
];

/// The longest that installing may take over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Sees to it that every program is there.
pub(crate) fn programs() -> Result<Outcome> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !process::on_path(program))
        .map(|(_, package)| *package)
        .collect();
    install(&missing)?;
    Ok(Outcome::Passed(0))
}

/// Sees to it that `target/strangers-venv` holds what `requirements` lists, and what `files` lists without what that asks
/// for, and returns its Python.
///
/// The environment keeps a copy of the lists it was made from, so it is made once per list.
pub(crate) fn python(requirements: &Path, files: &Path) -> Result<PathBuf> {
    let list = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let wanted = list(requirements)? + &list(files)?;
    let folder = target_folder()?.join("strangers-venv");
    let python = folder.join("bin").join("python");
    let made_from = folder.join("made-from.txt");
    if fs::read_to_string(&made_from).is_ok_and(|made| made == wanted) && works(&python) {
        return Ok(python);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    println!("making {} from {}", folder.display(), requirements.display());
    make_environment(&folder)?;
    for (list, alone) in [(requirements, None), (files, Some("--no-deps"))] {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(alone);
        process::run("pip install", pip.arg("--requirement").arg(list), INSTALL_LIMIT)?;
    }
    fs::write(&made_from, wanted)?;
    Ok(python)
}

fn works(python: &Path) -> bool {
    let mut version = Command::new(python);
    process::capture("python --version", version.arg("--version"), INSTALL_LIMIT)
        .is_ok_and(|captured| captured.status.success())
}

/// Debian's python3 comes without `venv`; its package is fetched when the first try fails.
fn make_environment(folder: &Path) -> Result<()> {
    let make = || {
        let mut venv = Command::new("python3");
        process::capture("python3 -m venv", venv.args(["-m", "venv"]).arg(folder), INSTALL_LIMIT)
    };
    if make()?.status.success() {
        return Ok(());
    }
    install(&["python3-venv"])?;
    make()?.success("python3 -m venv")?;
    Ok(())
}

/// Installs Debian packages, if this user may.
fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    let possible = process::on_path("apt-get") && rustix::process::geteuid().is_root();
    ensure!(possible, "missing programs; install them first: sudo apt-get install {list}");
    println!("installing {list}");
    let mut update = Command::new("apt-get");
    process::run("apt-get update", update.args(["update", "-qq"]), INSTALL_LIMIT)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    let captured = process::capture("apt-get install", &mut install, INSTALL_LIMIT)?;
    captured.success("apt-get install").map(drop)
}
