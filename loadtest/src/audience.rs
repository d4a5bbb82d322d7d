//! Many command centres at once: each reads the feed with its own token, and who should have seen what is worked out from
//! the timeline and the zones, never from the gateway.
//!
//! All of them are read on one thread beside the driver. Of each press is kept who saw it and when the last of those did
//! who should have, so that the slowest entitled subscriber is what is measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use protocol::Position;
use serde::Serialize;
use simulator::{ZoneId, ZoneIndex, Zones};
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, Moment};
use crate::ledger::{Outcome, PressIndex};
use crate::plan::Plan;
use crate::recorder::{Latencies, Summary};
use crate::subscriber::{FeedError, Reading, Shown, Source, client};

/// Who listens, by `--audience`: a line each, a token and the zones that it was made for.
#[derive(Debug, Clone)]
pub struct Audience {
    members: Vec<Member>,
    zones: Arc<Zones>,
}

#[derive(Debug, Clone)]
struct Member {
    token: String,
    granted: Vec<ZoneIndex>,
}

/// Why there is no audience.
#[derive(Debug, thiserror::Error)]
pub enum AudienceError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The zones are wrong.
    #[error("{path}: {problem}")]
    Zones {
        /// The file.
        path: PathBuf,
        /// The first problem of the file.
        problem: String,
    },
    /// A line that is not a token and its zones. Write `TOKEN ZONE,ZONE`.
    #[error("line {0}: expected a token and zones that are drawn, as in `TOKEN ZONE,ZONE`")]
    Line(usize),
}

/// What an audience saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attendance {
    /// Subscribers.
    pub subscribers: usize,
    /// Events that somebody was entitled to, by press and subscriber, of presses with a receipt.
    pub owed: u64,
    /// Of these, how many never came.
    pub missing: u64,
    /// Events of presses that whoever saw them was not entitled to, or of no press of this run.
    pub strange: u64,
    /// Events that came to a subscriber a second time.
    pub repeated: u64,
    /// From the intended instant to the last entitled subscriber, of presses that all of them saw.
    pub last_us: Summary,
    /// From the receipt to the last entitled subscriber.
    pub beyond_receipt_us: Summary,
}

/// An audience that is reading.
pub struct Listening {
    thread: JoinHandle<()>,
    stopped: oneshot::Sender<()>,
    seen: Arc<Vec<Seat>>,
    expected: Vec<Vec<u32>>,
}

/// What one member saw of each press.
struct Seat {
    /// Nanoseconds plus one of the first time; 0: not yet.
    first: Vec<AtomicU64>,
    times: Vec<AtomicU32>,
    strange: AtomicU64,
}

impl Audience {
    /// Reads who listens, and the zones that the gateway goes by.
    ///
    /// # Errors
    /// See [`AudienceError`].
    pub fn read(members: &Path, zones: &Path) -> Result<Self, AudienceError> {
        let text = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|source| AudienceError::File { path: path.to_owned(), source })
        };
        let drawn = Zones::from_geojson(&text(zones)?).map_err(|problems| {
            let problem = problems.first().map(ToString::to_string).unwrap_or_default();
            AudienceError::Zones { path: zones.to_owned(), problem }
        })?;
        let lines = text(members)?;
        let lines = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let members = lines.map(|(number, line)| {
            Member::parse(line, &drawn).ok_or(AudienceError::Line(number + 1))
        });
        Ok(Self { members: members.collect::<Result<_, _>>()?, zones: Arc::new(drawn) })
    }

    /// For each press, the members who are entitled to it.
    fn expected(&self, plan: &Plan) -> Vec<Vec<u32>> {
        let entitled = |zone: ZoneIndex| {
            let members = (0_u32..).zip(&self.members);
            let covers = members.filter(|(_, member)| {
                member.granted.iter().any(|granted| self.zones.is_within(zone, *granted))
            });
            covers.map(|(number, _)| number).collect::<Vec<_>>()
        };
        let zone = |place: Option<Position>| {
            place.and_then(|place| self.zones.locate(&place)).unwrap_or(self.zones.root())
        };
        plan.presses().iter().map(|press| entitled(zone(press.position()))).collect()
    }

    /// Opens every feed. Returns when all have agreed, so that no later press is missed.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub async fn open(
        &self,
        operator: &str,
        plan: &Plan,
        clock: Clock,
    ) -> Result<Listening, FeedError> {
        let presses = plan.presses().len();
        let seen: Arc<Vec<_>> = Arc::new(self.members.iter().map(|_| Seat::new(presses)).collect());
        let alerts = Arc::new(plan.alerts());
        let mut readings = vec![];
        for (number, member) in self.members.iter().enumerate() {
            let seats = Arc::clone(&seen);
            let shown: Shown = Box::new(move |press, now| {
                seats.get(number).into_iter().for_each(|seat| seat.note(press, now));
            });
            let source = Source { operator: operator.to_owned(), token: member.token.clone() };
            let (client, alerts) = (client()?, Arc::clone(&alerts));
            readings.push(Reading {
                source,
                client,
                alerts,
                shown,
                clock,
                reconnects: Arc::default(),
            });
        }
        let (agreed, mut agreement) = mpsc::channel(readings.len().max(1));
        let (stopped, stopping) = oneshot::channel();
        let count = readings.len();
        let thread = thread::Builder::new().name("audience".to_owned());
        let thread = thread.spawn(move || listen(readings, &agreed, stopping));
        let thread = thread.map_err(|_| FeedError::Thread)?;
        for _ in 0..count {
            agreement.recv().await.ok_or(FeedError::Thread)??;
        }
        Ok(Listening { thread, stopped, seen, expected: self.expected(plan) })
    }
}

fn listen(
    readings: Vec<Reading>,
    agreed: &mpsc::Sender<Result<(), FeedError>>,
    stopping: oneshot::Receiver<()>,
) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    runtime.block_on(async move {
        for reading in readings {
            let agreed = agreed.clone();
            tokio::spawn(async move {
                match reading.open(None).await {
                    Ok(response) => {
                        if agreed.send(Ok(())).await.is_ok() {
                            reading.read_on(response).await;
                        }
                    }
                    Err(error) => drop(agreed.send(Err(error)).await),
                }
            });
        }
        // Whoever started this has gone if it is not told to stop.
        stopping.await.ok();
    });
}

impl Member {
    fn parse(line: &str, zones: &Zones) -> Option<Self> {
        let (token, granted) = line.trim().split_once(' ')?;
        let granted = granted.trim().split(',').map(|id| zones.find(ZoneId::new(id).as_str()));
        let granted: Vec<_> = granted.collect::<Option<_>>()?;
        Some(Self { token: token.to_owned(), granted })
    }
}

impl Seat {
    fn new(presses: usize) -> Self {
        Self {
            first: (0..presses).map(|_| AtomicU64::new(0)).collect(),
            times: (0..presses).map(|_| AtomicU32::new(0)).collect(),
            strange: AtomicU64::new(0),
        }
    }

    fn note(&self, press: Option<PressIndex>, now: Moment) {
        let place = press.and_then(|press| usize::try_from(press.0).ok());
        let row = place.and_then(|place| Some((self.first.get(place)?, self.times.get(place)?)));
        let Some((first, times)) = row else {
            self.strange.fetch_add(1, Relaxed);
            return;
        };
        if times.fetch_add(1, Relaxed) == 0 {
            first.store(now.0.saturating_add(1), Relaxed);
        }
    }

    /// When this member first saw the press.
    fn first(&self, press: usize) -> Option<Moment> {
        let stamp = self.first.get(press)?.load(Relaxed);
        stamp.checked_sub(1).map(Moment)
    }

    fn times(&self, press: usize) -> u64 {
        self.times.get(press).map_or(0, |times| times.load(Relaxed).into())
    }
}

impl Listening {
    /// Whether everybody has seen what is owed of presses whose receipt says that they are on disk.
    #[must_use]
    pub fn is_served(&self, is_owed: impl Fn(PressIndex) -> bool) -> bool {
        self.expected.iter().enumerate().all(|(press, members)| {
            let index = PressIndex(u32::try_from(press).unwrap_or(u32::MAX));
            !is_owed(index)
                || members.iter().all(|member| {
                    self.seat(*member).is_some_and(|seat| seat.first(press).is_some())
                })
        })
    }

    /// Stops reading and says who saw what.
    #[must_use]
    pub fn close(self, outcomes: &[Outcome]) -> Attendance {
        self.stopped.send(()).ok();
        let Self { thread, seen, expected, .. } = self;
        thread.join().unwrap_or_default();
        attendance(&seen, &expected, outcomes)
    }

    fn seat(&self, member: u32) -> Option<&Seat> {
        self.seen.get(usize::try_from(member).ok()?)
    }
}

fn attendance(seen: &[Seat], expected: &[Vec<u32>], outcomes: &[Outcome]) -> Attendance {
    let mut found = Attendance {
        subscribers: seen.len(),
        owed: 0,
        missing: 0,
        strange: seen.iter().map(|seat| seat.strange.load(Relaxed)).sum(),
        repeated: 0,
        last_us: Summary::default(),
        beyond_receipt_us: Summary::default(),
    };
    let (mut last, mut beyond) = (Latencies::new(), Latencies::new());
    for (press, (members, outcome)) in expected.iter().zip(outcomes).enumerate() {
        let times = seen.iter().map(|seat| seat.times(press));
        let entitled: Vec<&Seat> =
            members.iter().filter_map(|member| seen.get(usize::try_from(*member).ok()?)).collect();
        let all: u64 = times.clone().sum();
        let rightly: u64 = entitled.iter().map(|seat| seat.times(press)).sum();
        found.strange += all - rightly;
        found.repeated += times.map(|times| times.saturating_sub(1)).sum::<u64>();
        let Some((received, answer)) = outcome.receipt.filter(|(_, answer)| answer.is_durable())
        else {
            continue;
        };
        // Held presses are shown as such, and not as alerts.
        if answer == crate::ledger::Answer::Held {
            continue;
        }
        let firsts: Vec<_> = entitled.iter().filter_map(|seat| seat.first(press)).collect();
        found.owed += entitled.len() as u64;
        found.missing += (entitled.len() - firsts.len()) as u64;
        if let Some(latest) = firsts.iter().max().filter(|_| firsts.len() == entitled.len()) {
            last.record(latest.since(outcome.intended));
            beyond.record(latest.since(received));
        }
    }
    found.last_us = last.summary();
    found.beyond_receipt_us = beyond.summary();
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::Answer;

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    fn received(due_ms: u64, receipt_ms: u64) -> Outcome {
        Outcome {
            intended: at(due_ms),
            sent: Some(at(due_ms)),
            receipt: Some((at(receipt_ms), Answer::Received)),
            fed: None,
            fed_times: 0,
            attempts: 1,
            corrupted: false,
        }
    }

    #[test]
    fn tells_what_is_missing_strange_and_late() {
        let seen = [Seat::new(3), Seat::new(3)];
        let press = |n| Some(PressIndex(n));
        seen[0].note(press(0), at(12));
        seen[1].note(press(0), at(30));
        seen[1].note(press(0), at(31));
        seen[0].note(press(1), at(40));
        seen[1].note(press(2), at(50));
        seen[1].note(None, at(51));
        let expected = [vec![0, 1], vec![0, 1], vec![0]];
        let outcomes = [received(10, 11), received(10, 11), received(10, 11)];
        let found = attendance(&seen, &expected, &outcomes);
        assert_eq!((found.owed, found.missing), (5, 2));
        assert_eq!((found.strange, found.repeated), (2, 1), "press 2 was not for member 1");
        assert_eq!(found.last_us.count, 1);
        assert!(found.last_us.max.is_some_and(|us| us.abs_diff(20_000) < 100));
        assert!(found.beyond_receipt_us.max.is_some_and(|us| us.abs_diff(19_000) < 100));
    }
}
