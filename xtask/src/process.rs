//! Child processes: each has a time limit, is stopped with the command that started it, and leaves nothing behind.
//!
//! A terminal sends Ctrl-C to every process of the group at once. The handler here only sets a flag; whoever waits for
//! a child looks at it, returns an error, and the guards on the way out stop the other children and remove temporary
//! files. If this process is killed outright, `setpriv --pdeathsig` (where there is one) has the kernel stop the servers.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::clock::Stopwatch;

/// How often whoever waits looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Has SIGINT and SIGTERM stop the work in an orderly way. A second signal ends the process at once.
pub(crate) fn watch_signals() -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let flag = Arc::clone(&INTERRUPTED);
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, flag)?;
    }
    Ok(())
}

/// Whether the user asked for the end. Steps that could go on check it before they do.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// A child process that is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts `command`; `name` is what messages call it.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// The exit status, once there is one.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Waits for the end. Past `limit`, or when the user interrupts, the child is killed and an error returned.
    pub(crate) fn wait(mut self, limit: Duration) -> Result<ExitStatus> {
        let watch = Stopwatch::start();
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if interrupted() {
                bail!("{} was interrupted", self.name);
            }
            if watch.elapsed() > limit {
                bail!("{} did not end within {} s and was killed", self.name, limit.as_secs());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Asks for an orderly end with SIGTERM, then waits as [`Running::wait`] does.
    pub(crate) fn terminate(self, limit: Duration) -> Result<ExitStatus> {
        let id = i32::try_from(self.child.id()).context("a process id does not fit")?;
        let pid = Pid::from_raw(id).context("a process id is zero")?;
        kill_process(pid, Signal::TERM)
            .with_context(|| format!("cannot send SIGTERM to {}", self.name))?;
        self.wait(limit)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where the child has already ended and been waited for, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a finished child wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Captured {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output, as text.
    pub(crate) stdout: String,
    /// Its standard error, as text.
    pub(crate) stderr: String,
}

impl Captured {
    /// The standard output of a child that succeeded; otherwise an error that carries what it wrote.
    pub(crate) fn success(self, name: &str) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        bail!("{name} failed ({})\n{}{}", self.status, self.stdout, self.stderr)
    }
}

/// Runs `command` to its end, with what it writes kept.
pub(crate) fn capture(name: &str, command: &mut Command, limit: Duration) -> Result<Captured> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(name, command)?;
    let stdout = running.child.stdout.take().map(collect);
    let stderr = running.child.stderr.take().map(collect);
    let status = running.wait(limit)?;
    Ok(Captured { status, stdout: join(stdout), stderr: join(stderr) })
}

/// Runs `command` to its end; it writes to this process's own output.
pub(crate) fn run(name: &str, command: &mut Command, limit: Duration) -> Result<()> {
    command.stdin(Stdio::null());
    let status = Running::start(name, command)?.wait(limit)?;
    if status.success() { Ok(()) } else { bail!("{name} failed ({status})") }
}

/// Runs `command` to its end; each line of its standard output is printed and shown to `each`.
pub(crate) fn stream(
    name: &str,
    command: &mut Command,
    limit: Duration,
    mut each: impl FnMut(&str) + Send,
) -> Result<ExitStatus> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running::start(name, command)?;
    let stdout = running.child.stdout.take().with_context(|| format!("{name} has no output"))?;
    thread::scope(|scope| {
        scope.spawn(move || {
            // Bytes, because a failing test may print anything.
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                each(&line);
            }
        });
        running.wait(limit)
    })
}

/// Tries until there is a value. Past `limit`, or when the user interrupts, an error says that `what` did not come.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let watch = Stopwatch::start();
    loop {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        if interrupted() {
            bail!("waiting for {what} was interrupted");
        }
        if watch.elapsed() > limit {
            bail!("waited for {what} longer than {} s", limit.as_secs());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The command that runs `program` and dies with this process, where the system has a way to say so.
pub(crate) fn tied(program: &Path) -> Command {
    if !on_path("setpriv") {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Whether a program of this name would be found.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(OsStr::new(program)).is_file())
    })
}

/// The processor cores this process may use.
pub(crate) fn cores() -> Vec<usize> {
    sched_getaffinity(None).map_or_else(
        |_| Vec::new(),
        |set| (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
    )
}

/// Does `start` with this thread bound to `cores`, so that a child started in it is bound from its first instruction.
/// With no cores it is not bound.
pub(crate) fn bound_to<T>(cores: &[usize], start: impl FnOnce() -> Result<T>) -> Result<T> {
    if cores.is_empty() {
        return start();
    }
    let before = sched_getaffinity(None).context("cannot read the processor affinity")?;
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).context("cannot bind to a processor core")?;
    let started = start();
    sched_setaffinity(None, &before).context("cannot release the processor core")?;
    started
}

/// The same command, yielding the processor to whoever else wants it: a client that loads the machine on purpose must not
/// disturb the one beside it that measures.
pub(crate) fn yielding(command: &Command) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        nice.current_dir(folder);
    }
    nice
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What arrived before an error is still worth showing.
        drop(from.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn join(reader: Option<thread::JoinHandle<String>>) -> String {
    reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
}
