//! Webhooks whose targets are dead, beside a hundred command centres: what those notice, and what it costs the gateway in
//! memory.
//!
//! The targets are threads of this program on the cores of the load: some take the connection and never say a word, some
//! answer every event with 500, and where some were nobody listens any more.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::audience::{COMPARED, EACH, PHONES, ROOT, STALLED, WORSE_MAX, ms};
use super::{Bench, Ground, LIMIT, number};
use crate::process;
use crate::table::Row;

/// Webhooks whose targets say nothing, answer 500, and are not there.
const MUTE: usize = 4;
const FAILING: usize = 3;
const GONE: usize = 3;
/// What the gateway may grow by beside them, in MiB: each holds one batch of events, one connection and its buffers; the
/// rest is what twelve seconds of alerts leave behind, with or without webhooks.
const GROWN_MIB_MAX: f64 = 32.0;
/// Longer than any target reads: whoever does not send by then has gone.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// What a target does with its connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Mute,
    Fails,
}

/// A listener whose connections are counted. Its thread ends with this program.
struct Target {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Bench<'_> {
    /// Five hundred alerts a second to a hundred subscribers: alone, beside ten dead webhooks, and beside those and a
    /// hundred stalled feeds.
    pub(super) fn dead_webhooks(&self) -> Result<Vec<Row>> {
        let ground = self.heard_ground(&[(PHONES, &[])])?;
        let members = self.members(&ground, EACH, 0)?;
        let before = memory_mib(&ground)?;
        let alone = self.hear(&ground, &members, COMPARED)?;
        let after_alone = memory_mib(&ground)?;
        let (mute, failing) = register(&ground)?;
        let beside = self.hear(&ground, &members, COMPARED)?;
        let after_beside = memory_mib(&ground)?;
        let mut stall = self.feeds(&ground, "stall");
        stall.args(["--feeds", &STALLED.to_string(), "--duration", "20s"]).stdout(Stdio::null());
        let stalled = self.beside("loadtest feeds stall", &ground, &mut stall)?;
        let beside_both = self.hear(&ground, &members, COMPARED)?;
        stalled.wait(LIMIT)?;
        ensure!(mute.all(|connections| connections > 0), "nothing was posted to who says nothing");
        ensure!(failing.all(|connections| connections > 0), "nothing was posted to who fails");
        ground.close()?;
        let p99 = |found| number(found, "/audience/last_us/p99");
        let base = p99(&alone)?;
        Ok(vec![
            ms("others alone, to the last entitled, p99", &alone, "last_us")?,
            Row::new("others beside 10 dead webhooks, p99", p99(&beside)? / base, "x")
                .at_most(WORSE_MAX),
            Row::new(
                "others beside these and 100 stalled feeds, p99",
                p99(&beside_both)? / base,
                "x",
            )
            .at_most(WORSE_MAX),
            Row::new("gateway's memory, grown by the others alone", after_alone - before, "MiB"),
            Row::new("the same, beside 10 dead webhooks", after_beside - after_alone, "MiB")
                .at_most(GROWN_MIB_MAX),
        ])
    }
}

/// Targets of one manner.
struct Targets(Vec<Target>);

impl Targets {
    fn start(manner: Manner, count: usize) -> Result<Self> {
        (0..count).map(|_| Target::start(manner)).collect::<Result<_>>().map(Self)
    }

    fn all(&self, holds: impl Fn(usize) -> bool) -> bool {
        self.0.iter().all(|target| holds(target.connections.load(Ordering::Relaxed)))
    }
}

/// Has everything of the city posted to ten targets; those that say nothing, and those that fail.
fn register(ground: &Ground) -> Result<(Targets, Targets)> {
    // Threads run where the one runs that started them.
    let (mute, failing) = process::bound_to(&ground.load_cores, || {
        Ok((Targets::start(Manner::Mute, MUTE)?, Targets::start(Manner::Fails, FAILING)?))
    })?;
    let gone: Vec<_> = (0..GONE).map(|_| gone()).collect::<Result<_>>()?;
    let served = mute.0.iter().chain(&failing.0).map(|target| target.address);
    for address in served.chain(gone) {
        let url = format!("http://{address}/alerts");
        let add = ["webhook", "add", "--url", &url, "--zone", ROOT, "--allow-private"];
        ground.site.gateway(&add)?;
    }
    Ok((mute, failing))
}

/// An address where somebody listened, and nobody does.
fn gone() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Target {
    fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            let mut held = vec![];
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                match manner {
                    Manner::Mute => held.push(stream),
                    // Its webhook posts one event after the other: there is no second connection to look at meanwhile.
                    Manner::Fails => fail(stream),
                }
            }
        });
        Ok(Self { address, connections })
    }
}

/// Answers whatever is sent with 500, until nothing is. A request comes in one piece, or is answered twice.
fn fail(mut stream: TcpStream) {
    let mut buffer = [0; 64 * 1024];
    if stream.set_read_timeout(Some(READ_LIMIT)).is_err() {
        return;
    }
    while let Ok(1..) = stream.read(&mut buffer) {
        let answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

/// What the gateway holds in memory, in MiB.
fn memory_mib(ground: &Ground) -> Result<f64> {
    let path = format!("/proc/{}/status", ground.gateway.ready.pid);
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("{path} names no VmRSS"))? / 1024.0)
}
