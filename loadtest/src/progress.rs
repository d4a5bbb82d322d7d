//! The line that moves while a run lasts, and the watch over the gateway's memory that comes with it.
//!
//! Once a second on standard error: a terminal sees one line that is written over, a log file sees a line each time.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::ledger::{Ledger, Totals};
use crate::resources::Process;

const EVERY: Duration = Duration::from_secs(1);
/// Memory is looked at more often than the line is written.
const LOOKS_PER_LINE: u64 = 4;

/// A line that is being written.
#[derive(Debug)]
pub struct Progress {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    rss_bytes_max: Arc<AtomicU64>,
}

impl Progress {
    /// Starts writing, and watching `gateway` if its process is known.
    #[must_use]
    pub fn start(ledger: Arc<Ledger>, clock: Clock, gateway: Option<Process>) -> Self {
        let stop: Arc<AtomicBool> = Arc::default();
        let rss_bytes_max: Arc<AtomicU64> = Arc::default();
        let (stopped, rss) = (Arc::clone(&stop), Arc::clone(&rss_bytes_max));
        let run = move || {
            let mut before = Totals::default();
            let start = clock.now();
            for look in 1.. {
                let every = EVERY.as_nanos() / u128::from(LOOKS_PER_LINE) * u128::from(look);
                let every = Duration::from_nanos(u64::try_from(every).unwrap_or(u64::MAX));
                clock.sleep_until(start.plus(every));
                if stopped.load(Relaxed) {
                    break;
                }
                rss.fetch_max(gateway.and_then(Process::rss_bytes).unwrap_or(0), Relaxed);
                if look % LOOKS_PER_LINE == 0 {
                    let totals = ledger.totals();
                    write(&line(clock.now(), ledger.len(), totals, before), false);
                    before = totals;
                }
            }
            write(&line(clock.now(), ledger.len(), ledger.totals(), before), true);
        };
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(run).ok();
        Self { thread, stop, rss_bytes_max }
    }

    /// Writes the last line. Returns the most memory that the gateway was seen to use, in bytes.
    #[must_use]
    pub fn stop(mut self) -> Option<u64> {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
        Some(self.rss_bytes_max.load(Relaxed)).filter(|bytes| *bytes > 0)
    }
}

fn line(now: Moment, planned: usize, totals: Totals, before: Totals) -> String {
    let rate = totals.sent - before.sent;
    let waiting = totals.sent - totals.receipted.min(totals.sent);
    format!(
        "{:>5} s  sent {} of {planned} ({rate}/s)  receipts {}  feed {}  waiting {waiting}",
        now.offset().as_secs(),
        totals.sent,
        totals.receipted,
        totals.fed
    )
}

/// A line that cannot be written is nobody's loss.
fn write(line: &str, last: bool) {
    let mut out = io::stderr().lock();
    let written = if out.is_terminal() {
        let end = if last { "\n" } else { "" };
        write!(out, "\r\x1b[2K{line}{end}")
    } else {
        writeln!(out, "{line}")
    };
    if written.and_then(|()| out.flush()).is_err() {
        tracing::debug!("standard error is closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_sent_answered_and_shown() {
        let before = Totals { sent: 600, ..Totals::default() };
        let totals = Totals { sent: 1_204, receipted: 1_200, fed: 1_199, ..Totals::default() };
        let now = Moment::after_start(Duration::from_secs(2));
        assert_eq!(
            line(now, 12_000, totals, before),
            "    2 s  sent 1204 of 12000 (604/s)  receipts 1200  feed 1199  waiting 4"
        );
    }
}
