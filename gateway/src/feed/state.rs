//! What every stream of the feed shares.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pipeline::{Time, Zones};
use tokio::sync::{Semaphore, watch};

use super::attendance::{Attendance, Attended};
use super::backlog::Backlog;
use super::cursor::CursorCodec;
use super::heads::Heads;
use super::incidents::Incidents;
use crate::config::FeedConfig;
use crate::registry::{Operators, Subscribers};

/// What a [`Feed`] is made of.
pub struct FeedParts {
    /// The heads that the journal's thread pushes to.
    pub heads: Arc<Heads>,
    /// The journal's file.
    pub journal: PathBuf,
    /// The deployment's cursor key.
    pub cursor_key: [u8; 16],
    /// The zones in force.
    pub zones: Arc<ArcSwap<Zones>>,
    /// Who is told where somebody listens.
    pub attendance: Arc<Attendance>,
    /// Who may listen.
    pub subscribers: Arc<Subscribers>,
    /// Who may listen and decide.
    pub operators: Arc<Operators>,
    /// The feed's bounds.
    pub config: FeedConfig,
    /// The gateway's clock: a token expires by it.
    pub now: Arc<dyn Fn() -> Time + Send + Sync>,
}

/// The feed: what its streams share.
pub struct Feed {
    pub(super) heads: Arc<Heads>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) incidents: Arc<Incidents>,
    pub(super) codec: Arc<CursorCodec>,
    pub(super) zones: Arc<ArcSwap<Zones>>,
    pub(super) attendance: Arc<Attendance>,
    pub(super) subscribers: Arc<Subscribers>,
    pub(super) operators: Arc<Operators>,
    pub(super) config: FeedConfig,
    pub(super) now: Arc<dyn Fn() -> Time + Send + Sync>,
    pub(super) places: Arc<Semaphore>,
    pub(super) closing: watch::Sender<bool>,
}

impl Feed {
    /// A feed without streams.
    #[must_use]
    pub fn new(parts: FeedParts) -> Arc<Self> {
        let codec = Arc::new(CursorCodec::new(parts.cursor_key));
        Arc::new(Self {
            heads: parts.heads,
            incidents: Incidents::new(parts.journal.clone(), &parts.config),
            backlog: Backlog::new(parts.journal, Arc::clone(&codec)),
            codec,
            zones: parts.zones,
            attendance: parts.attendance,
            subscribers: parts.subscribers,
            operators: parts.operators,
            places: Arc::new(Semaphore::new(parts.config.subscribers_max)),
            config: parts.config,
            now: parts.now,
            closing: watch::Sender::new(false),
        })
    }

    /// Encodes what is pushed to the heads, folds incidents, and wakes the streams, for ever. Streams stand still without
    /// it.
    pub async fn run(&self) {
        let incidents = self.incidents.run(self.heads.watch_pushed(), self.closing.subscribe());
        tokio::join!(self.heads.run(&self.codec), incidents);
    }

    /// Puts other zones in force: streams that are open see what their tokens cover in them from the next read on, which
    /// for streams of incidents is at once.
    pub fn set_zones(&self, zones: Arc<Zones>) {
        self.zones.store(zones);
        self.incidents.wake();
    }

    /// Ends every stream once it has delivered what was pushed. Call it after the last push.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// The zones that the tokens of open streams name, and the wake-up when they change; nothing until it is known.
    #[must_use]
    pub fn attended(&self) -> watch::Receiver<Attended> {
        self.attendance.watch()
    }

    /// The feed's bounds.
    #[must_use]
    pub fn config(&self) -> &FeedConfig {
        &self.config
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("heads", &self.heads).finish_non_exhaustive()
    }
}
