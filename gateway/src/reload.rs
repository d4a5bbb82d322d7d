//! What can be changed while the gateway serves: the zones on SIGHUP, policy and routing on SIGHUP and when their file
//! changes.
//!
//! Each is taken whole, or the old one stays and the log says why. What changed is logged value by value.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Gauge, counter, gauge};
use pipeline::policy::Policy;
use pipeline::{Routing, ZoneId, Zones};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{Config, ZonesConfig};
use crate::lock::lock;
use crate::settings::{self, Settings, SettingsError};
use crate::zones::{self, ZonesError};

/// Why there is nothing to start with.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The zones.
    #[error("zones of {0}")]
    Zones(#[from] ZonesError),
    /// The policy or the routing.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// What is in force, and who is told of a change.
pub struct Reload {
    zones_config: ZonesConfig,
    zones_of_feed: Arc<ArcSwap<Zones>>,
    zones_of_desk: watch::Sender<Arc<Zones>>,
    policy: Watched<Policy>,
    routing: Watched<Routing>,
}

impl Reload {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// Every problem of the zones, of the policy, or of the routing.
    pub fn start(config: &Config) -> Result<Self, ReloadError> {
        let zones = Arc::new(zones::load(&config.zones)?);
        let (policy, routing) = (&config.policy, &config.routing);
        Ok(Self {
            zones_config: config.zones.clone(),
            policy: Watched::start(policy.file.clone(), policy.poll_interval, &())?,
            routing: Watched::<Routing>::start(
                routing.file.clone(),
                routing.poll_interval,
                &zones,
            )?,
            zones_of_feed: Arc::new(ArcSwap::new(Arc::clone(&zones))),
            zones_of_desk: watch::Sender::new(zones),
        })
    }

    /// The zones as the feed and the operators' side read them.
    #[must_use]
    pub fn zones(&self) -> Arc<ArcSwap<Zones>> {
        Arc::clone(&self.zones_of_feed)
    }

    /// The zones as the desk is told of them.
    #[must_use]
    pub fn desk_zones(&self) -> watch::Receiver<Arc<Zones>> {
        self.zones_of_desk.subscribe()
    }

    /// The policy as the desk is told of it.
    #[must_use]
    pub fn policy(&self) -> watch::Receiver<Arc<Policy>> {
        self.policy.in_force.subscribe()
    }

    /// The routing as the desk is told of it.
    #[must_use]
    pub fn routing(&self) -> watch::Receiver<Arc<Routing>> {
        self.routing.in_force.subscribe()
    }

    /// Reads everything again. The zones come first: routing may name one that is new.
    pub fn reload(&self) {
        self.reload_zones();
        self.policy.reload(&());
        self.routing.reload(&self.zones_of_feed.load());
    }

    /// Reads policy and routing again whenever their file has changed, for ever.
    pub async fn watch(&self) {
        let policy = self.policy.watch(|| self.policy.reload(&()));
        let routing = self.routing.watch(|| self.routing.reload(&self.zones_of_feed.load()));
        tokio::join!(policy, routing);
    }

    fn reload_zones(&self) {
        let outcome = match zones::load(&self.zones_config) {
            Ok(zones) => match self.lost_zone(&zones) {
                Some(zone) => {
                    tracing::warn!(%zone, "zones were not reloaded: this one is gone, and alerts are journaled under it");
                    "kept"
                }
                None => {
                    let zones = Arc::new(zones);
                    self.zones_of_feed.store(Arc::clone(&zones));
                    self.zones_of_desk.send_replace(zones);
                    tracing::info!("zones reloaded");
                    "taken"
                }
            },
            Err(error) => {
                tracing::warn!(%error, "zones were not reloaded; the old ones stay");
                "kept"
            }
        };
        counter!("gateway_reloads_total", "what" => "zones", "outcome" => outcome).increment(1);
    }

    /// A zone in force that `zones` lack. Its alerts would be hidden from those who may see them.
    fn lost_zone(&self, zones: &Zones) -> Option<ZoneId> {
        let in_force = self.zones_of_feed.load();
        let lost = in_force.iter().find(|(_, zone)| zones.find(zone.id.as_str()).is_none());
        lost.map(|(_, zone)| zone.id.clone())
    }
}

/// Settings in force, and the file that may change them.
struct Watched<S> {
    file: Option<PathBuf>,
    poll_interval: Duration,
    in_force: watch::Sender<Arc<S>>,
    /// The text as it was last read.
    text: Mutex<Cow<'static, str>>,
    /// How often they have changed since the start.
    generation: Gauge,
}

impl<S: Settings> Watched<S> {
    fn start(
        file: Option<PathBuf>,
        poll_interval: Duration,
        basis: &S::Basis,
    ) -> Result<Self, SettingsError> {
        let text = settings::text::<S>(file.as_deref())?;
        let in_force = settings::parse(&text, file.as_deref(), basis)?;
        let generation = gauge!(S::GENERATION);
        generation.set(1.0);
        Ok(Self {
            file,
            poll_interval,
            in_force: watch::Sender::new(Arc::new(in_force)),
            text: Mutex::new(text),
            generation,
        })
    }

    /// Calls `reload` whenever the file's text is another, for ever.
    async fn watch(&self, reload: impl Fn()) {
        let mut ticks = interval(self.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A file that is gone for a moment is being replaced.
            let Ok(text) = settings::text::<S>(self.file()) else { continue };
            if *self.text() != text {
                reload();
            }
        }
    }

    fn reload(&self, basis: &S::Basis) {
        let read = settings::text::<S>(self.file()).and_then(|text| {
            let settings = settings::parse::<S>(&text, self.file(), basis);
            *self.text() = text;
            settings
        });
        let outcome = match read {
            Ok(settings) => {
                self.take(settings);
                "taken"
            }
            Err(error) => {
                tracing::warn!(%error, "the {} was not reloaded; the old one stays", S::NAME);
                "kept"
            }
        };
        counter!("gateway_reloads_total", "what" => S::NAME, "outcome" => outcome).increment(1);
    }

    fn take(&self, settings: S) {
        let changed = self.in_force.borrow().differences(&settings);
        if changed.is_empty() {
            tracing::info!("{} read again; nothing changed", S::NAME);
            return;
        }
        for change in &changed {
            tracing::info!(%change, "{} changed", S::NAME);
        }
        self.in_force.send_replace(Arc::new(settings));
        self.generation.increment(1.0);
    }

    fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn text(&self) -> MutexGuard<'_, Cow<'static, str>> {
        lock(&self.text)
    }
}
