//! What the machine spends on a run: processor time and memory of a process, and how fast the disk syncs.
//!
//! Everything comes from `/proc` and from one small file. What cannot be read is nothing, never zero: a gateway on
//! another machine has no process here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::CpuSet;

use crate::clock::Clock;
use crate::recorder::micros;
use crate::report::json::{FsyncUs, Machine};

/// Writes and syncs of the disk probe.
const PROBES: usize = 200;
/// What each of them writes: a page, as a small commit does.
const PROBE_LEN: usize = 4_096;
/// What `/proc/PID/status` counts in, in bytes.
const KIB: u64 = 1_024;

/// A process on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(pub u32);

impl Process {
    /// This process.
    #[must_use]
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// Processor time used so far, by all its threads.
    #[must_use]
    pub fn cpu(self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // The name in parentheses may hold anything; the fields behind it are numbers.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let per_s = rustix::param::clock_ticks_per_second();
        Some(Duration::from_millis((user + system).saturating_mul(1_000) / per_s.max(1)))
    }

    /// Memory in use, in bytes.
    #[must_use]
    pub fn rss_bytes(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * KIB)
    }
}

/// Binds the calling thread, and every thread it starts from now on, to one processor.
///
/// # Errors
/// When there is no such processor, or the system does not permit it.
pub fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// The system lets this process have too few files. `ulimit -n` raises the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} open files are needed and the system allows {limit}; `ulimit -n` raises it")]
pub struct FilesError {
    /// How many are needed.
    pub needed: u64,
    /// How many there may be.
    pub limit: u64,
}

/// Lets this process have as many files as it needs, as far as it may decide that.
///
/// # Errors
/// When the system does not permit so many.
pub fn allow_files(needed: u64) -> Result<(), FilesError> {
    let mut limit = getrlimit(Resource::Nofile);
    let too_few = |limit: Option<u64>| limit.is_some_and(|limit| limit < needed);
    if !too_few(limit.current) {
        return Ok(());
    }
    let refused = FilesError { needed, limit: limit.maximum.unwrap_or(u64::MAX) };
    if too_few(limit.maximum) {
        return Err(refused);
    }
    limit.current = Some(needed);
    setrlimit(Resource::Nofile, limit).map_err(|_| refused)
}

/// The machine, with its disk probed in `folder`.
#[must_use]
pub fn machine(folder: &Path, clock: &Clock) -> Machine {
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':').map(|(_, name)| name.trim().to_owned())
    });
    let kernel = rustix::system::uname().release().to_str().ok().map(str::to_owned);
    let cores = cores();
    let fsync_us = probe_disk(folder, clock).inspect_err(|error| {
        tracing::warn!(%error, "the disk of the report's folder cannot be probed");
    });
    Machine { cpu, cores, kernel, fsync_us: fsync_us.ok() }
}

/// Processors of the machine, whether this process may use them or not.
fn cores() -> Option<u64> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    u64::try_from(cores).ok().filter(|cores| *cores > 0)
}

/// Runnable processes per core, averaged over the last minute.
#[must_use]
pub fn busy_per_core() -> Option<f64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = load.split_ascii_whitespace().next()?.parse().ok()?;
    Some(load / f64::from(u32::try_from(cores()?).ok()?))
}

/// How long the disk under `folder` takes to write 4 KiB and sync them. The file is removed.
///
/// # Errors
/// When the folder cannot be written.
pub fn probe_disk(folder: &Path, clock: &Clock) -> io::Result<FsyncUs> {
    fs::create_dir_all(folder)?;
    let path = folder.join(".fsync-probe");
    let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
    let taken = time_syncs(file, clock);
    fs::remove_file(&path)?;
    let mut taken = taken?;
    taken.sort_unstable();
    let at = |share: usize| taken.get((taken.len() * share / 100).min(PROBES - 1)).copied();
    let (p50, p99) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
    Ok(FsyncUs { p50, p99 })
}

fn time_syncs(mut file: File, clock: &Clock) -> io::Result<Vec<u64>> {
    let page = [0x5a; PROBE_LEN];
    let mut taken = Vec::with_capacity(PROBES);
    for probe in 0..PROBES {
        // A log grows and then wraps; writing over eight pages shows the sync, not the growth.
        let place = u64::try_from(probe % 8 * PROBE_LEN).unwrap_or_default();
        let before = clock.now();
        file.seek(SeekFrom::Start(place))?;
        file.write_all(&page)?;
        file.sync_data()?;
        taken.push(micros(clock.now().since(before)));
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process_and_not_one_that_is_not_there() {
        let own = Process::own();
        assert!(own.cpu().is_some() && own.rss_bytes() > Some(100_000));
        let nobody = Process(u32::MAX);
        assert_eq!((nobody.cpu(), nobody.rss_bytes()), (None, None));
    }

    #[test]
    fn probes_the_disk_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let fsync_us = probe_disk(folder.path(), &clock).unwrap();
        assert!(fsync_us.p50 <= fsync_us.p99, "{fsync_us:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(probe_disk(Path::new("/proc/nowhere"), &clock).is_err());
    }
}
