//! Files for the owner only, written whole or not at all.
//!
//! Everything that the gateway keeps is somebody's place, key or token. Folders that it makes have mode 0700, files
//! 0600. A file is written beside its place, synced and renamed, so that a reader never sees half of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes `folder`, and what is missing above it, for the owner only. A folder that is there keeps its mode; if others
/// can enter it, that is logged.
///
/// # Errors
/// If it cannot be made, or is not a folder.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(
            folder = %folder.display(),
            mode = format!("{:o}", mode & 0o777),
            "others may enter the data directory; chmod 700 it"
        );
    }
    Ok(())
}

/// Replaces the file at `path` by one that holds `bytes`, mode 0600, on disk when this returns.
///
/// # Errors
/// If the folder is missing or not writable, or the disk is full; the old file is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let written = write_new(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    if let Err(error) = written {
        // The draft may not even be there; the first error is the one to report.
        drop(fs::remove_file(&draft));
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match create() {
        // Left by a process that was killed; in a container the next one has the same number.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()?
        }
        file => file?,
    };
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_the_owner_only() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("a/b");
        create_private_folder(&folder).unwrap();
        create_private_folder(&folder).unwrap();
        assert_eq!(mode_of(&folder), 0o700);
        replace(&folder.join("key"), b"secret").unwrap();
        assert_eq!(mode_of(&folder.join("key")), 0o600);
    }

    #[test]
    fn replacing_leaves_the_whole_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, b"first, and longer").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("missing/file"), b"").is_err());
    }

    #[test]
    fn a_draft_that_a_killed_process_left_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let draft = folder.path().join(format!(".file.{}", std::process::id()));
        fs::write(&draft, b"half of").unwrap();
        replace(&folder.path().join("file"), b"whole").unwrap();
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"whole");
        assert!(!draft.exists());
    }
}
