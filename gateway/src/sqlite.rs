//! How this gateway opens SQLite: one place for the pragmas, the file mode and the version that all its files need.
//!
//! Every file is in WAL mode, so that readers never wait for the writer and the writer never waits for them. Files are
//! created with mode 0600 before SQLite sees them; SQLite gives `-wal` and `-shm` the mode of their database. What is
//! stored is decided elsewhere: this module knows no table.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// The first SQLite without the WAL-reset bug, which silently lost committed transactions (3.7.0 to 3.51.2).
pub const VERSION_MIN: i32 = 3_051_003;

/// How long a statement waits for another process's transaction before it gives up.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// When a commit is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// Before the commit returns. For what was promised to anybody.
    Full,
    /// Some time later; the file stays consistent. For what can be built again.
    Normal,
}

/// How to open a file for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// When a commit is on disk.
    pub synchronous: Synchronous,
    /// Whether deleted content is overwritten with zeroes.
    pub secure_delete: bool,
    /// How long a statement waits for another process's transaction.
    pub busy_timeout: Duration,
}

impl WriterOptions {
    /// Durable, deleted content erased, [`BUSY_TIMEOUT`].
    pub const DURABLE: Self =
        Self { synchronous: Synchronous::Full, secure_delete: true, busy_timeout: BUSY_TIMEOUT };
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be created or its mode not be set. Check the folder and who owns it.
    #[error("cannot create {path}: {source}")]
    File {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused the file. If it is damaged, restore it or move it away.
    #[error("cannot open {path}: {source}")]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file is on a file system without shared memory. Put the data directory on a local disk.
    #[error("{path} cannot use a write-ahead log (journal mode is {mode})")]
    NoWal {
        /// The database file.
        path: PathBuf,
        /// The mode that SQLite chose instead.
        mode: String,
    },
    /// The linked SQLite loses committed data. Build with `libsqlite3-sys` 0.37 or later.
    #[error("SQLite {found} may lose committed transactions; at least 3.51.3 is needed")]
    TooOld {
        /// The version that is linked.
        found: &'static str,
    },
}

/// Opens `path` for writing and creates it, with mode 0600, if it is not there.
///
/// # Errors
/// If the file cannot be created, is not a database, cannot be in WAL mode, or if SQLite is too old.
pub fn open_writer(path: &Path, options: WriterOptions) -> Result<Connection, OpenError> {
    assert_version()?;
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite_error(path))?;
    connection.busy_timeout(options.busy_timeout).map_err(sqlite_error(path))?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(sqlite_error(path))?;
    if mode != "wal" {
        return Err(OpenError::NoWal { path: path.to_owned(), mode });
    }
    let synchronous = match options.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(sqlite_error(path))?;
    // Not `pragma_update`: this pragma answers with a row.
    connection
        .query_row(&format!("PRAGMA secure_delete = {}", options.secure_delete), [], |_| Ok(()))
        .map_err(sqlite_error(path))?;
    connection.pragma_update(None, "foreign_keys", true).map_err(sqlite_error(path))?;
    Ok(connection)
}

/// Opens `path` for reading only. The file must exist.
///
/// # Errors
/// If there is no such file, if it is not a database, or if SQLite is too old.
pub fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    assert_version()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite_error(path))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite_error(path))?;
    Ok(connection)
}

fn assert_version() -> Result<(), OpenError> {
    if rusqlite::version_number() < VERSION_MIN {
        return Err(OpenError::TooOld { found: rusqlite::version() });
    }
    Ok(())
}

fn create_private(path: &Path) -> Result<(), OpenError> {
    let file_error = |source| OpenError::File { path: path.to_owned(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path).map_err(file_error)?.permissions().mode();
            if mode & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(file_error)?;
            }
            Ok(())
        }
        Err(error) => Err(file_error(error)),
    }
}

fn sqlite_error(path: &Path) -> impl Fn(rusqlite::Error) -> OpenError {
    move |source| OpenError::Sqlite { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_private_files_in_wal_mode_with_the_asked_pragmas() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let writer = open_writer(&path, WriterOptions::DURABLE).unwrap();
        writer.execute_batch("CREATE TABLE t (x)").unwrap();
        for name in ["a.db", "a.db-wal", "a.db-shm"] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let pragma = |name: &str| -> i64 {
            writer.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!(
            (pragma("synchronous"), pragma("secure_delete"), pragma("foreign_keys")),
            (2, 1, 1)
        );
    }

    #[test]
    fn tightens_the_mode_of_a_file_that_others_could_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        fs::write(&path, b"").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        open_writer(&path, WriterOptions::DURABLE).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_reader_sees_commits_and_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        assert!(matches!(open_reader(&path), Err(OpenError::Sqlite { .. })));
        let normal = WriterOptions { synchronous: Synchronous::Normal, ..WriterOptions::DURABLE };
        let writer = open_writer(&path, normal).unwrap();
        writer.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (7)").unwrap();
        let reader = open_reader(&path).unwrap();
        let x: i64 = reader.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 7);
        assert!(reader.execute("INSERT INTO t VALUES (8)", []).is_err());
    }
}
