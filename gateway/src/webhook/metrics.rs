//! What webhooks count. Which webhook it was stands in the log by its id; a label never names a webhook or an address.

use metrics::{Counter, Gauge, counter, gauge};

use super::post::Cause;

/// The counters of all webhooks together.
pub(super) struct Metrics {
    delivered: Counter,
    failed: [Counter; Cause::NAMES.len()],
    dead: [Counter; Cause::NAMES.len()],
    dropped: Counter,
    failing: Gauge,
    served: Gauge,
    missing: Gauge,
}

/// As long as it is held, one webhook counts as failing.
pub(super) struct Failing(Gauge);

impl Drop for Failing {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            delivered: counter!("gateway_webhook_attempts_total", "outcome" => "delivered"),
            failed: Cause::NAMES
                .map(|cause| counter!("gateway_webhook_attempts_total", "outcome" => cause)),
            dead: Cause::NAMES
                .map(|cause| counter!("gateway_webhook_dead_letters_total", "cause" => cause)),
            dropped: counter!("gateway_webhook_dead_letters_dropped_total"),
            failing: gauge!("gateway_webhook_failing"),
            served: gauge!("gateway_webhook_targets"),
            missing: gauge!("gateway_webhook_neighbours_missing"),
        }
    }

    /// An attempt was made; it failed for this cause, if it did.
    pub(super) fn attempted(&self, failed: Option<Cause>) {
        let counter = match failed {
            None => Some(&self.delivered),
            Some(cause) => self.failed.get(cause as usize),
        };
        counter.unwrap_or(&Counter::noop()).increment(1);
    }

    /// An event was given up, and so many older ones were dropped for it.
    pub(super) fn buried(&self, cause: Cause, dropped: u64) {
        self.dead.get(cause as usize).unwrap_or(&Counter::noop()).increment(1);
        self.dropped.increment(dropped);
    }

    /// A webhook's event was tried in vain and will be again.
    pub(super) fn failing(&self) -> Failing {
        self.failing.increment(1.0);
        Failing(self.failing.clone())
    }

    /// So many webhooks are served.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub(super) fn served(&self, webhooks: usize) {
        self.served.set(webhooks as f64);
    }

    /// So many neighbours are told nothing.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub(super) fn missing(&self, neighbours: usize) {
        self.missing.set(neighbours as f64);
    }
}
