//! What strangers cost, by address: the one table that all shards and listeners share.
//!
//! Only the address that a packet came from is ever charged, never the device that a message claims to be: until its
//! proof is checked, anybody can have written it. What is decided lies in `pipeline`; here are its clock and counters.

use std::net::IpAddr;
use std::time::Instant;

use metrics::{Counter, Gauge, counter, gauge};
use pipeline::{AddressStanding, Cost, CostConfig, CostTable, DeviceIndex, Span, Time};

use crate::clock;
use crate::config::StrangersConfig;

/// What an address is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// A handshake.
    Handshake = 0,
    /// A message that proves nothing.
    FailedProof = 1,
    /// A message that was begun and given up, which costs as much as a handshake.
    Unread = 2,
}

impl Charge {
    const NAMES: [&'static str; 3] = ["handshake", "failed_proof", "unread"];
}

/// The table of what addresses have cost.
pub struct Strangers {
    table: CostTable,
    handshake: Cost,
    failed_proof: Cost,
    /// The table's time starts here and never goes back, whatever the date does.
    started: Instant,
    charges: [Counter; 3],
    exhausted_cells: Gauge,
}

impl Strangers {
    /// An empty table.
    #[must_use]
    pub fn new(config: &StrangersConfig, key: [u8; 16]) -> Self {
        let window = u64::try_from(config.device_window.as_micros()).unwrap_or(u64::MAX);
        let sizes = CostConfig {
            cells: config.table_cells,
            budget: Cost(config.budget),
            paid_per_s: Cost(config.paid_per_s),
            devices_per_budget: config.devices_per_budget,
            block_budgets: config.block_budgets,
            device_window: Span(window),
        };
        let table = CostTable::new(sizes, key);
        let cells = u32::try_from(table.cells_per_row()).unwrap_or(u32::MAX);
        gauge!("gateway_address_cells").set(f64::from(cells));
        Self {
            table,
            handshake: Cost(config.handshake_cost),
            failed_proof: Cost(config.failed_proof_cost),
            started: clock::monotonic(),
            charges: Charge::NAMES
                .map(|cause| counter!("gateway_address_charges_total", "cause" => cause)),
            exhausted_cells: gauge!("gateway_address_cells_exhausted"),
        }
    }

    /// Tells the gauges how full the table is. Looks at all of it: for every few seconds.
    pub fn measure(&self) {
        let exhausted = self.table.exhausted_cells(self.now());
        self.exhausted_cells.set(f64::from(u32::try_from(exhausted).unwrap_or(u32::MAX)));
    }

    pub(super) fn charge(&self, address: IpAddr, charge: Charge) {
        let cost = match charge {
            Charge::Handshake | Charge::Unread => self.handshake,
            Charge::FailedProof => self.failed_proof,
        };
        self.table.charge(address, cost, self.now());
        self.charges.get(charge as usize).unwrap_or(&Counter::noop()).increment(1);
    }

    pub(super) fn verified(&self, address: IpAddr, device: DeviceIndex) {
        self.table.verified(address, device, self.now());
    }

    pub(super) fn standing(&self, address: IpAddr) -> AddressStanding {
        self.table.standing(address, self.now())
    }

    /// The time since the table was made.
    pub(super) fn now(&self) -> Time {
        let since = clock::monotonic().saturating_duration_since(self.started);
        Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}
