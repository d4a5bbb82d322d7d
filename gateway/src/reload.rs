//! What can be changed while the gateway serves: the zones on SIGHUP, the policy on SIGHUP and when its file changes.
//!
//! Each is taken whole, or the old one stays and the log says why. What changed is logged value by value.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use metrics::{Gauge, counter, gauge};
use pipeline::policy::Policy;
use pipeline::{ZoneId, Zones};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::Config;
use crate::policy::{self, PolicyError};
use crate::zones::{self, ZonesError};

/// Why there is nothing to start with.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The zones.
    #[error("zones of {0}")]
    Zones(#[from] ZonesError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// What is in force, and who is told of a change.
pub struct Reload {
    config: Config,
    zones_of_feed: Arc<ArcSwap<Zones>>,
    zones_of_desk: watch::Sender<Arc<Zones>>,
    policy: watch::Sender<Arc<Policy>>,
    /// The policy's text as it was last read.
    policy_text: Mutex<Cow<'static, str>>,
    /// How often the policy has changed since the start.
    generation: Gauge,
}

impl Reload {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// Every problem of the zones, or of the policy.
    pub fn start(config: &Config) -> Result<Self, ReloadError> {
        let zones = Arc::new(zones::load(&config.zones)?);
        let text = policy::text(&config.policy)?;
        let policy = Arc::new(policy::parse(&text, &config.policy)?);
        let generation = gauge!("gateway_policy_generation");
        generation.set(1.0);
        Ok(Self {
            config: config.clone(),
            zones_of_feed: Arc::new(ArcSwap::new(Arc::clone(&zones))),
            zones_of_desk: watch::Sender::new(zones),
            policy: watch::Sender::new(policy),
            policy_text: Mutex::new(text),
            generation,
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
        self.policy.subscribe()
    }

    /// Reads everything again.
    pub fn reload(&self) {
        self.reload_zones();
        self.reload_policy();
    }

    /// Reads the policy again whenever its file has changed, for ever.
    pub async fn watch_policy(&self) {
        let mut ticks = interval(self.config.policy.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A file that is gone for a moment is being replaced.
            let Ok(text) = policy::text(&self.config.policy) else { continue };
            if *self.policy_text() != text {
                self.reload_policy();
            }
        }
    }

    fn reload_zones(&self) {
        let outcome = match zones::load(&self.config.zones) {
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

    fn policy_text(&self) -> MutexGuard<'_, Cow<'static, str>> {
        self.policy_text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reload_policy(&self) {
        let read = policy::text(&self.config.policy).and_then(|text| {
            let policy = policy::parse(&text, &self.config.policy);
            *self.policy_text() = text;
            policy
        });
        let outcome = match read {
            Ok(policy) => {
                let changed = self.policy.borrow().differences(&policy);
                if changed.is_empty() {
                    tracing::info!("policy read again; nothing changed");
                } else {
                    for change in &changed {
                        tracing::info!(%change, "policy changed");
                    }
                    self.policy.send_replace(Arc::new(policy));
                    self.generation.increment(1.0);
                }
                "taken"
            }
            Err(error) => {
                tracing::warn!(%error, "the policy was not reloaded; the old one stays");
                "kept"
            }
        };
        counter!("gateway_reloads_total", "what" => "policy", "outcome" => outcome).increment(1);
    }
}
