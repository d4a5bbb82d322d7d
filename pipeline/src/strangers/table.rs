//! The one table of what addresses have cost without proof.
//!
//! It is a count-min sketch (Cormode and Muthukrishnan, 2005) whose counters leak: four rows of cells, an address has
//! one cell in each by a keyed hash that nobody outside can work out, and what it owes is the least that any of them
//! says. Addresses that share a cell are charged together, so an address may look dearer than it is, never cheaper;
//! for one to look exhausted that is not, four others have to be, one in each of its cells, and to keep a share `s` of
//! a row exhausted takes `s` times cells times pay in cost a second. All shards and listeners share it without a lock.

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher13;

use super::address::Neighbourhood;
use super::crowd::{Crowd, Window, count};
use crate::{DeviceIndex, Span, Time};

const ROWS: usize = 4;
/// A row's place is sixteen bits of the hash.
const CELLS_MAX: usize = 1 << 16;
/// What an address can owe at most, in budgets. Whatever it did, it has its priority back once the surplus over one
/// budget is paid, because the next phone with this address may be somebody else's.
const OWED_BUDGETS_MAX: u64 = 2;
const US_PER_S: u64 = 1_000_000;

/// What something costs us, in handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(pub u32);

/// The sizes of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostConfig {
    /// Cells in each of the four rows: a power of two, at most 65,536; another number is rounded to such a one.
    pub cells: usize,
    /// What an address may owe before it loses priority.
    pub budget: Cost,
    /// What an address pays off in a second.
    pub paid_per_s: Cost,
    /// For every so many devices that were verified from an address, it has the budget of one address more.
    pub devices_per_budget: u32,
    /// How many budgets an IPv6 /48 has.
    pub block_budgets: u32,
    /// How long a verified device counts for its address: this at least, twice this at most.
    pub device_window: Span,
}

/// Whether an address has priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressStanding {
    /// It has.
    InBudget,
    /// It cost more than its budget: others come before it.
    Exhausted,
}

/// What every address has cost.
pub struct CostTable {
    key: (u64, u64),
    rows: [Box<[Cell]>; ROWS],
    config: CostConfig,
    /// How long an address pays for a cost of one, in microseconds.
    price_us: u64,
}

#[derive(Default)]
struct Cell {
    /// When everything that its addresses owe is paid, in microseconds.
    paid_at: AtomicU64,
    /// Devices verified from its addresses, in even and in odd windows.
    crowds: [AtomicU64; 2],
}

impl CostTable {
    /// An empty table. The key must be secret, or somebody could make an address share all cells of another.
    #[must_use]
    pub fn new(config: CostConfig, key: [u8; 16]) -> Self {
        let cells = config.cells.clamp(1, CELLS_MAX).next_power_of_two();
        let row = || (0..cells).map(|_| Cell::default()).collect();
        let key = u128::from_le_bytes(key);
        let [low, high] = [key, key >> 64]
            .map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or_default());
        Self {
            key: (low, high),
            rows: std::array::from_fn(|_| row()),
            price_us: US_PER_S / u64::from(config.paid_per_s.0).clamp(1, US_PER_S),
            config,
        }
    }

    /// Something without proof came from `address`. `now` is a clock's that never goes back.
    ///
    /// The more devices were verified from the address of late, the less each cost weighs: that is the same as a
    /// budget, and a pay, for every few of them.
    pub fn charge(&self, address: IpAddr, cost: Cost, now: Time) {
        let own = Neighbourhood::of(address);
        self.charge_one(own, 1, cost, now);
        if let Some(around) = own.around() {
            self.charge_one(around, u64::from(self.config.block_budgets.max(1)), cost, now);
        }
    }

    /// A message from `address` was proven to come from `device`.
    pub fn verified(&self, address: IpAddr, device: DeviceIndex, now: Time) {
        let window = Window::at(now, self.config.device_window);
        let hash = self.hash(&device.0.to_le_bytes());
        let own = Neighbourhood::of(address);
        for cell in [Some(own), own.around()].into_iter().flatten().flat_map(|key| self.cells(key))
        {
            let [even, odd] = &cell.crowds;
            let kept = if window.is_odd() { odd } else { even };
            let add = |crowd| {
                let with = Crowd(crowd).with(hash, window).0;
                (with != crowd).then_some(with)
            };
            // Nothing to do where the device is counted already.
            kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok();
        }
    }

    /// Whether `address` has priority.
    #[must_use]
    pub fn standing(&self, address: IpAddr, now: Time) -> AddressStanding {
        let own = Neighbourhood::of(address);
        let all = [Some(own), own.around()];
        let exhausted = all.into_iter().flatten().any(|key| self.owed(key, now) > self.budget());
        if exhausted { AddressStanding::Exhausted } else { AddressStanding::InBudget }
    }

    /// Cells whose addresses would be exhausted if they were alone in them, in the fullest row: how far the table is
    /// from telling addresses apart. Looks at every cell.
    #[must_use]
    pub fn exhausted_cells(&self, now: Time) -> usize {
        let exhausted =
            |row: &[Cell]| row.iter().filter(|cell| cell.owed(now) > self.budget()).count();
        self.rows.iter().map(|row| exhausted(row)).max().unwrap_or(0)
    }

    /// Cells in each row.
    #[must_use]
    pub fn cells_per_row(&self) -> usize {
        self.rows.iter().map(|row| row.len()).max().unwrap_or(0)
    }

    fn charge_one(&self, key: Neighbourhood, budgets: u64, cost: Cost, now: Time) {
        let owed_us = self.weight_us(self.devices(key, now), budgets, cost);
        let most = now + Span(OWED_BUDGETS_MAX * self.budget().0);
        for cell in self.cells(key) {
            let add = |paid_at: u64| {
                let paid_at = Time(paid_at);
                let charged = (paid_at.max(now) + owed_us).min(most);
                Some(paid_at.max(charged).0)
            };
            // It is never refused: `add` always has an answer.
            cell.paid_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok();
        }
    }

    /// How long one address pays for `cost`, if so many devices and budgets share in it. Nothing is free.
    pub(super) fn weight_us(&self, devices: u64, budgets: u64, cost: Cost) -> Span {
        let share = u64::from(self.config.devices_per_budget.max(1));
        let whole = u64::from(cost.0) * self.price_us * share;
        Span((whole / (share + devices) / budgets).max(u64::from(cost.0 > 0)))
    }

    /// The budget, as the time in which it is paid off.
    pub(super) fn budget(&self) -> Span {
        Span(u64::from(self.config.budget.0) * self.price_us)
    }

    /// What a neighbourhood owes, as the time in which it is paid off: never less than what it was charged.
    pub(super) fn owed(&self, key: Neighbourhood, now: Time) -> Span {
        self.cells(key).map(|cell| cell.owed(now)).min().unwrap_or_default()
    }

    /// About how many devices were verified from a neighbourhood of late.
    pub(super) fn devices(&self, key: Neighbourhood, now: Time) -> u64 {
        let window = Window::at(now, self.config.device_window);
        self.cells(key).map(|cell| cell.devices(window)).min().unwrap_or_default()
    }

    fn cells(&self, key: Neighbourhood) -> impl Iterator<Item = &Cell> {
        let hash = self.hash(&key.bytes());
        self.rows.iter().enumerate().filter_map(move |(number, row)| {
            let place = usize::try_from((hash >> (16 * number)) & 0xffff).unwrap_or_default();
            row.get(place & (row.len() - 1))
        })
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(bytes);
        hasher.finish()
    }
}

impl Cell {
    fn owed(&self, now: Time) -> Span {
        Time(self.paid_at.load(Ordering::Relaxed)).since(now)
    }

    fn devices(&self, window: Window) -> u64 {
        let [even, odd] = &self.crowds;
        let [even, odd] = [even, odd].map(|crowd| Crowd(crowd.load(Ordering::Relaxed)));
        let before = window.before();
        if window.is_odd() {
            count(odd.of(window), even.of(before))
        } else {
            count(even.of(window), odd.of(before))
        }
    }
}
