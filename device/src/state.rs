//! What a device must remember between two runs of the command: its counters, and presses whose outcome nobody was told.
//!
//! Counters are reserved on disk in blocks before any of them is used, so that a crash can only make them jump forward;
//! that keeps wear low and is normal to a gateway. A press's bytes are on disk before its first send and leave it once its
//! outcome has been told, so that a press that a crash interrupted is sent again as the same press, and no press is
//! sent behind the back of somebody who was told that it failed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::{Counters, Realm};

use crate::Signed;

/// Sequence numbers that one write to disk makes available.
const BLOCK: u32 = 64;
/// Interrupted presses that one run sends again; more of them are left for the next run.
pub const PENDING_MAX: usize = 16;
/// Longest state file that is read, in bytes.
const STATE_LEN_MAX: u64 = 64;

/// The state of one device, in a file and a directory beside it.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    next: Counters,
    /// Sequence numbers below this one are reserved.
    reserved: u32,
}

/// Why a device's state could not be read or kept. The message names the file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be opened, read, written or synced.
    #[error("{path}: {error}")]
    Io {
        /// The file at fault.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not a state file. Counters order messages and are no identity: deleting it loses no press.
    #[error("{0}: not a device state file; delete it to start counting afresh")]
    Damaged(String),
    /// Every boot and sequence number has been used; the device needs a new id.
    #[error("{0}: counters are used up; enrol a new device id")]
    Exhausted(String),
}

/// A press on disk whose outcome has not been told.
#[derive(Debug)]
pub struct Pending {
    path: PathBuf,
    /// The press, exactly as it was first sent.
    pub signed: Signed,
}

impl State {
    /// The state in the file at `path`, which is made if there is none. Nothing is reserved yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), next: Counters::new(0, 0), reserved: 0 }
    }

    /// The next counters. They are reserved on disk first, and never handed out twice, by this process or another.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn next_counters(&mut self) -> Result<Counters, StateError> {
        if self.next.sequence.0 >= self.reserved {
            let (first, end) = self.reserve()?;
            (self.next, self.reserved) = (first, end);
        }
        let counters = self.next;
        self.next.sequence.0 = self.next.sequence.0.saturating_add(1);
        Ok(counters)
    }

    /// Keeps `signed` on disk until [`settle`](Pending::settle).
    ///
    /// # Errors
    /// When it cannot be written and synced. The press can be sent all the same.
    pub fn keep(&self, signed: &Signed) -> Result<Pending, StateError> {
        let directory = self.pending_dir();
        let path = directory.join(format!("{}.cose", signed.id()));
        let write = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            // Under another name first: a file with a press's name holds the whole press.
            let part = path.with_extension("part");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&part)?;
            file.write_all(signed.bytes())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            File::open(&directory)?.sync_all()
        };
        write().map_err(|error| self.io(error))?;
        Ok(Pending { path, signed: signed.clone() })
    }

    /// Presses that an interrupted run left behind, at most [`PENDING_MAX`]. What cannot be read as a press is passed over.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn pending(&self, realm: &Realm) -> Result<Vec<Pending>, StateError> {
        let entries = match fs::read_dir(self.pending_dir()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(self.io(error)),
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "cose"))
            .collect();
        paths.sort();
        let read = |path: PathBuf| {
            let signed = Signed::from_bytes(realm, Bytes::from(fs::read(&path).ok()?)).ok()?;
            Some(Pending { path, signed })
        };
        Ok(paths.into_iter().filter_map(read).take(PENDING_MAX).collect())
    }

    /// Reserves a block on disk, under a lock against other processes, and returns its first counters and its end.
    fn reserve(&self) -> Result<(Counters, u32), StateError> {
        let mut file = self.open().map_err(|error| self.io(error))?;
        let mut text = String::new();
        (&mut file)
            .take(STATE_LEN_MAX)
            .read_to_string(&mut text)
            .map_err(|error| self.io(error))?;
        let used = if text.is_empty() {
            Counters::new(1, 0)
        } else {
            parse(&text).ok_or_else(|| StateError::Damaged(self.name()))?
        };
        let (first, end) = next_block(used).ok_or_else(|| StateError::Exhausted(self.name()))?;
        // A fixed width in one write, far below a disk's sector: an interrupted write leaves the old text or the new.
        let line = format!("boot {:010} sequence {end:010}\n", first.boot.0);
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(line.as_bytes())?;
            file.sync_all()
        };
        write(&mut file).map_err(|error| self.io(error))?;
        Ok((first, end))
    }

    /// The state file, locked until it is closed.
    fn open(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        file.lock()?;
        Ok(file)
    }

    fn pending_dir(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".pending");
        name.into()
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn io(&self, error: io::Error) -> StateError {
        StateError::Io { path: self.name(), error }
    }
}

impl Pending {
    /// Forgets the press: its outcome has been told.
    ///
    /// # Errors
    /// When the file cannot be removed. The press would then be sent once more, as a duplicate.
    pub fn settle(self) -> Result<(), StateError> {
        fs::remove_file(&self.path)
            .map_err(|error| StateError::Io { path: self.path.display().to_string(), error })
    }
}

/// The block behind `used`: its first counters and the sequence number where it ends.
fn next_block(used: Counters) -> Option<(Counters, u32)> {
    let (boot, sequence) = (used.boot.0, used.sequence.0);
    match sequence.checked_add(BLOCK) {
        Some(end) => Some((used, end)),
        None => Some((Counters::new(boot.checked_add(1)?, 0), BLOCK)),
    }
}

fn parse(text: &str) -> Option<Counters> {
    let mut words = text.split_whitespace();
    match (words.next()?, words.next()?, words.next()?, words.next()?, words.next()) {
        ("boot", boot, "sequence", sequence, None) => {
            Some(Counters::new(boot.parse().ok()?, sequence.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Algorithm, DeviceId, Message, Nonce};

    use super::*;
    use crate::{Key, Signer};

    #[test]
    fn counters_never_repeat_and_only_jump_forward_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut last = Counters::new(0, 0);
        for _ in 0..3 {
            let mut state = State::at(&path);
            for _ in 0..BLOCK + 1 {
                let next = state.next_counters().unwrap();
                assert!(next > last, "{next:?} after {last:?}");
                last = next;
            }
        }
        assert_eq!(last, Counters::new(1, 5 * BLOCK));
    }

    #[test]
    fn a_used_up_sequence_counts_as_a_boot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::write(&path, format!("boot 7 sequence {}\n", u32::MAX - 3)).unwrap();
        assert_eq!(State::at(&path).next_counters().unwrap(), Counters::new(8, 0));
        fs::write(&path, format!("boot {0} sequence {0}\n", u32::MAX)).unwrap();
        assert!(matches!(State::at(&path).next_counters(), Err(StateError::Exhausted(_))));
    }

    #[test]
    fn a_damaged_state_file_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::write(&path, "boot one").unwrap();
        let error = State::at(&path).next_counters().unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "boot one");
    }

    #[test]
    fn an_interrupted_press_is_found_again_with_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(&dir.path().join("state"));
        let realm = Realm([1; 16]);
        assert!(state.pending(&realm).unwrap().is_empty());
        let key = Key::from_secret(Algorithm::Es256, &[1; 32]).unwrap();
        let message = Message::raise(Counters::new(1, 0), Nonce([3; 8]));
        let signed = Signer::new(realm, DeviceId([2; 16]), key).sign(&message).unwrap();

        let kept = state.keep(&signed).unwrap();
        fs::write(state.pending_dir().join("torn.cose"), b"\xd2\x84").unwrap();

        let found = state.pending(&realm).unwrap();
        assert_eq!(found.iter().map(|found| &found.signed).collect::<Vec<_>>(), [&signed]);
        kept.settle().unwrap();
        assert!(state.pending(&realm).unwrap().is_empty());
    }
}
