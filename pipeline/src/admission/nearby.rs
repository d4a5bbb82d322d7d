//! Who presses near whom: whether other people's devices confirm a press that was not paged.
//!
//! Two tables by place. Witnesses are raises of devices in good standing. Pending presses were held, or are told by a
//! notice alone; each counts the owners and batches that confirm it, once and for all when either of the two arrives.
//! Both are bounded: of witnesses the oldest are forgotten, in all and within one cell, so a full table confirms less;
//! of pending presses the oldest stays as it is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use protocol::AlertId;

use super::models::ModelNumber;
use crate::place::{Cell, Spot};
use crate::policy::Corroboration;
use crate::{
    BatchIndex, Cursor, DeviceIndex, Disposition, EVIDENCE_MAX, Enrolment, Policy, Record, Span,
    Time,
};

/// Witnesses in one cell: far more than it takes to confirm anything, and few enough to be looked through.
const CELL_MAX: usize = 64;
/// Of them by one owner, who counts once for any press, so that one who presses without end, or with many devices, does
/// not push out the others.
const OWNER_MAX: usize = 8;
/// Owners and batches that a press counts: as many as a policy may ask for.
const COUNTED_MAX: usize = 16;

/// Hashed without a random key: cells are places, which a device can choose only by pressing there.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

#[derive(Debug, Default)]
pub(crate) struct Nearby {
    witnesses: Map<Cell, Vec<Witness>>,
    /// When and where each witness came, oldest first.
    order: VecDeque<(Time, Cell, DeviceIndex)>,
    pending: BTreeMap<Cursor, Pending>,
    cells: Map<Cell, Vec<Cursor>>,
    by_device: Map<DeviceIndex, Cursor>,
    noticed: usize,
}

/// Who raised, where and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raiser {
    pub(crate) alert: AlertId,
    pub(crate) device: DeviceIndex,
    pub(crate) enrolment: Enrolment,
    pub(crate) model: Option<ModelNumber>,
    pub(crate) at: Time,
    pub(crate) spot: Option<Spot>,
}

/// A raise that may confirm others, in 80 bytes.
#[derive(Debug, Clone, Copy)]
struct Witness {
    alert: AlertId,
    device: DeviceIndex,
    owner: Owner,
    batch: Option<BatchIndex>,
    model: Option<ModelNumber>,
    at: Time,
    spot: Spot,
}

/// A press that was not paged.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) record: Arc<Record>,
    pub(crate) raiser: Raiser,
    /// Whether operators were told of it together with others.
    told: bool,
    tally: Tally,
}

/// Who confirms a press.
#[derive(Debug, Default)]
struct Tally {
    owners: Vec<Owner>,
    batches: Vec<Option<BatchIndex>>,
    alerts: Vec<AlertId>,
}

/// Whose a device is: somebody's, or its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Somebody(u32),
    Itself(DeviceIndex),
}

impl Nearby {
    /// A raise of a device in good standing: the pending presses that it confirms for good, oldest first.
    pub(crate) fn witness(
        &mut self,
        raiser: Raiser,
        policy: &Corroboration,
        len_max: usize,
    ) -> Vec<Cursor> {
        let Some(spot) = raiser.spot else { return vec![] };
        let cell = spot.cell(policy.radius_m);
        let witness = Witness::of(&raiser, spot);
        self.place(witness, cell, len_max);
        if self.pending.is_empty() {
            return vec![];
        }
        let mut reached: Vec<_> =
            cell.around().filter_map(|cell| self.cells.get(&cell)).flatten().copied().collect();
        reached.sort_unstable();
        reached.retain(|cursor| {
            let Some(pending) = self.pending.get_mut(cursor) else { return false };
            let noticed = pending.is_noticed();
            pending.tally.hear(&pending.raiser, noticed, &witness, policy);
            pending.tally.is_enough(policy)
        });
        reached
    }

    /// A press that was not paged. It takes the place of an earlier one of the same device.
    pub(crate) fn pend(
        &mut self,
        record: Arc<Record>,
        raiser: Raiser,
        policy: &Corroboration,
        len_max: usize,
    ) {
        let cursor = record.cursor;
        let earlier = self.by_device.get(&raiser.device).copied();
        let earlier = earlier.and_then(|cursor| self.take(cursor, policy));
        let told = earlier.is_some_and(|earlier| earlier.told);
        let noticed = record.disposition == Disposition::Noticed;
        let tally = self.tally(&raiser, noticed, policy);
        while self.pending.len() >= len_max.max(1) {
            let Some(oldest) = self.pending.first_key_value().map(|(cursor, _)| *cursor) else {
                break;
            };
            self.take(oldest, policy);
        }
        if let Some(spot) = raiser.spot {
            self.cells.entry(spot.cell(policy.radius_m)).or_default().push(cursor);
        }
        self.by_device.insert(raiser.device, cursor);
        self.noticed += usize::from(noticed);
        self.pending.insert(cursor, Pending { record, raiser, told, tally });
    }

    /// Whether a press of the device is pending that came after `cursor`.
    pub(crate) fn has_newer(&self, device: DeviceIndex, cursor: Cursor) -> bool {
        self.by_device.get(&device).is_some_and(|newest| *newest > cursor)
    }

    /// Whether others confirm a press of a surge before it is made pending.
    pub(crate) fn confirms(&self, raiser: &Raiser, policy: &Corroboration) -> bool {
        self.tally(raiser, true, policy).is_enough(policy)
    }

    /// The pending presses that others confirm, oldest first.
    pub(crate) fn confirmed(&self, policy: &Corroboration) -> impl Iterator<Item = Cursor> {
        let confirmed = self.pending.iter().filter(|(_, pending)| pending.tally.is_enough(policy));
        confirmed.map(|(cursor, _)| *cursor)
    }

    /// The pending press at `cursor`.
    pub(crate) fn get(&self, cursor: Cursor) -> Option<&Pending> {
        self.pending.get(&cursor)
    }

    /// Whether the press `alert` of the device is told by a notice alone.
    pub(crate) fn is_noticed(&self, device: DeviceIndex, alert: AlertId) -> bool {
        let pending = self.by_device.get(&device).and_then(|cursor| self.pending.get(cursor));
        pending.is_some_and(|press| press.is_noticed() && press.raiser.alert == alert)
    }

    /// Whether others confirm the pending press at `cursor`.
    pub(crate) fn is_confirmed(&self, cursor: Cursor, policy: &Corroboration) -> bool {
        self.pending.get(&cursor).is_some_and(|pending| pending.tally.is_enough(policy))
    }

    /// The newest presses that a notice alone tells of and whose raiser `is_meant`, newest first: as many as are evidence.
    pub(crate) fn newest_noticed(&self, is_meant: impl Fn(&Raiser) -> bool) -> Vec<&Record> {
        let newest = self.pending.values().rev();
        let meant = newest.filter(|pending| pending.is_noticed() && is_meant(&pending.raiser));
        meant.take(EVIDENCE_MAX).map(|pending| pending.record.as_ref()).collect()
    }

    /// Every pending press, oldest first.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (Cursor, &Pending)> {
        self.pending.iter().map(|(cursor, pending)| (*cursor, pending))
    }

    /// The press at `cursor` is no longer pending.
    pub(crate) fn take(&mut self, cursor: Cursor, policy: &Corroboration) -> Option<Pending> {
        let pending = self.pending.remove(&cursor)?;
        self.noticed -= usize::from(pending.is_noticed());
        if self.by_device.get(&pending.raiser.device) == Some(&cursor) {
            self.by_device.remove(&pending.raiser.device);
        }
        if let Some(cell) = pending.raiser.spot.map(|spot| spot.cell(policy.radius_m))
            && let Some(cursors) = self.cells.get_mut(&cell)
        {
            cursors.retain(|other| *other != cursor);
            if cursors.is_empty() {
                self.cells.remove(&cell);
            }
        }
        Some(pending)
    }

    /// The held presses around the one at `cursor`, itself included, that operators were not told of, newest first; none
    /// if there are fewer than a notice takes.
    pub(crate) fn held_together(&self, cursor: Cursor, policy: &Corroboration) -> Vec<&Pending> {
        let Some(centre) = self.pending.get(&cursor).filter(|centre| !centre.told) else {
            return vec![];
        };
        let Some(spot) = centre.raiser.spot else { return vec![] };
        let around = spot.cell(policy.radius_m).around();
        let mut cursors: Vec<_> =
            around.filter_map(|cell| self.cells.get(&cell)).flatten().copied().collect();
        cursors.sort_unstable_by(|a, b| b.cmp(a));
        let together =
            cursors.iter().filter_map(|cursor| self.pending.get(cursor)).filter(|other| {
                let near =
                    other.raiser.spot.is_some_and(|there| there.is_within(spot, policy.radius_m));
                near && !other.told && !other.is_noticed() && within(centre, other, policy.window)
            });
        let together: Vec<_> = together.take(policy.held_notice.into()).collect();
        if together.len() < usize::from(policy.held_notice) { vec![] } else { together }
    }

    /// Operators were told of the held presses with these alerts.
    pub(crate) fn told(&mut self, alerts: &[AlertId]) {
        for pending in self.pending.values_mut() {
            pending.told |= alerts.contains(&pending.record.message_id.alert());
        }
    }

    /// Forgets what is too old to confirm anything, or to be confirmed, and what a clock that was set back left ahead.
    pub(crate) fn forget(&mut self, now: Time, policy: &Policy) {
        // A press that gets its place late is confirmed by whoever pressed before it.
        let window = policy.confirmed_window();
        while let Some((at, cell, device)) = self.order.front().copied() {
            if now.apart(at) <= window {
                break;
            }
            self.order.pop_front();
            self.displace(at, cell, device);
        }
        while let Some((cursor, pending)) = self.pending.first_key_value() {
            if now.apart(pending.raiser.at) <= policy.pending_window() {
                break;
            }
            let cursor = *cursor;
            self.take(cursor, &policy.corroboration);
        }
    }

    /// Sorts everything by place anew: the reach has changed from `old` to `new`.
    pub(crate) fn rearrange(&mut self, new: &Corroboration, len_max: usize) {
        let mut witnesses: Vec<_> =
            std::mem::take(&mut self.witnesses).into_values().flatten().collect();
        witnesses.sort_unstable_by_key(|witness| (witness.at, witness.device));
        self.order.clear();
        for witness in witnesses {
            self.place(witness, witness.spot.cell(new.radius_m), len_max);
        }
        self.cells.clear();
        for (cursor, pending) in &self.pending {
            if let Some(spot) = pending.raiser.spot {
                self.cells.entry(spot.cell(new.radius_m)).or_default().push(*cursor);
            }
        }
    }

    /// Witnesses, some of them forgotten already.
    pub(crate) fn witnesses(&self) -> usize {
        self.order.len()
    }

    /// Pending presses that are told by a notice alone.
    pub(crate) fn noticed(&self) -> usize {
        self.noticed
    }

    /// Pending presses.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Who confirms a press by `raiser` so far.
    fn tally(&self, raiser: &Raiser, noticed: bool, policy: &Corroboration) -> Tally {
        let mut tally = Tally::default();
        let cells = raiser.spot.map(|spot| spot.cell(policy.radius_m).around());
        let there = cells.into_iter().flatten().filter_map(|cell| self.witnesses.get(&cell));
        there.flatten().for_each(|witness| tally.hear(raiser, noticed, witness, policy));
        tally
    }

    /// Keeps a witness, and of each cell and of each owner in it the newest.
    fn place(&mut self, witness: Witness, cell: Cell, len_max: usize) {
        // Most cells hold one; a vector that grows by itself would start with four.
        let there = self.witnesses.entry(cell).or_insert_with(|| Vec::with_capacity(1));
        let own = |other: &Witness| other.owner == witness.owner;
        if there.iter().filter(|other| own(other)).count() >= OWNER_MAX {
            let oldest = there.iter().position(own);
            oldest.map(|place| there.remove(place));
        } else if there.len() >= CELL_MAX {
            there.remove(0);
        }
        there.push(witness);
        self.order.push_back((witness.at, cell, witness.device));
        while self.order.len() > len_max.max(1) {
            let Some((at, cell, device)) = self.order.pop_front() else { break };
            self.displace(at, cell, device);
        }
    }

    /// Removes the witness that came then and there, if it is still kept.
    fn displace(&mut self, at: Time, cell: Cell, device: DeviceIndex) {
        let Some(there) = self.witnesses.get_mut(&cell) else { return };
        there.retain(|witness| (witness.at, witness.device) != (at, device));
        if there.is_empty() {
            self.witnesses.remove(&cell);
        }
    }
}

impl Pending {
    /// The presses that confirm it.
    pub(crate) fn evidence(&self) -> Vec<AlertId> {
        self.tally.alerts.clone()
    }

    /// Whether it is told by a notice alone, rather than held.
    pub(crate) fn is_noticed(&self) -> bool {
        self.record.disposition == Disposition::Noticed
    }
}

impl Tally {
    /// Counts a witness, if it is one for a press by `own`.
    fn hear(&mut self, own: &Raiser, noticed: bool, witness: &Witness, policy: &Corroboration) {
        let near = own.spot.is_some_and(|spot| spot.is_within(witness.spot, policy.radius_m));
        let apart = own.at.apart(witness.at);
        // What surges cannot be confirmed by more of the same.
        let of_a_kind = noticed
            && (own.enrolment.batch.is_some() && own.enrolment.batch == witness.batch
                || own.model.is_some() && own.model == witness.model);
        if near && apart <= policy.window && !of_a_kind && own.owner() != witness.owner {
            count(&mut self.owners, witness.owner);
            count(&mut self.batches, witness.batch);
            count(&mut self.alerts, witness.alert);
        }
    }

    fn is_enough(&self, policy: &Corroboration) -> bool {
        self.owners.len() >= usize::from(policy.devices)
            && self.batches.len() >= usize::from(policy.batches)
    }
}

impl Witness {
    fn of(raiser: &Raiser, spot: Spot) -> Self {
        Self {
            alert: raiser.alert,
            device: raiser.device,
            owner: raiser.owner(),
            batch: raiser.enrolment.batch,
            model: raiser.model,
            at: raiser.at,
            spot,
        }
    }
}

impl Raiser {
    fn owner(&self) -> Owner {
        self.enrolment.owner.map_or(Owner::Itself(self.device), |owner| Owner::Somebody(owner.0))
    }
}

fn within(a: &Pending, b: &Pending, window: Span) -> bool {
    a.raiser.at.apart(b.raiser.at) <= window
}

fn count<T: PartialEq>(counted: &mut Vec<T>, one: T) {
    if counted.len() < COUNTED_MAX && !counted.contains(&one) {
        counted.push(one);
    }
}
