//! What a plan was made from, as one number; and whether it may start now.
//!
//! The number is over what the plan's decisions rest on: the disks' identity, condition and size, and the tablets the
//! request is about. Free bytes are not in it, because every write anywhere changes them: space is counted again instead.

use std::collections::BTreeMap;

use super::Request;
use super::inventory::{Inventory, Pin, Tablet};
use super::ledger::Ledger;
use super::relocate::scope;
use super::report::{Misfit, Plan, Refusal, obstacles};
use crate::model::{DiskIndex, PlanCompleteness, Space, TabletKey};
use crate::rules::capacity::CapacityLimits;

/// What of a plan is asked again before its first move. What is only shown of one stays as it was planned.
pub struct Frozen<'a> {
    pub request: &'a Request,
    /// No plan takes a disk past this.
    pub watermark: CapacityLimits,
    /// Whether it may do less than all.
    pub completeness: PlanCompleteness,
    /// What moves, from where, to where.
    pub moves: Vec<(TabletKey, DiskIndex, DiskIndex)>,
    /// Whether something fits nowhere.
    pub fits_nowhere: Option<Refusal>,
    /// Of what it was made from.
    pub fingerprint: u32,
}

impl Plan {
    /// Whether the plan may start on the node as it is now; as [`Frozen::ready`].
    ///
    /// # Errors
    /// As there.
    pub fn ready(&self, now: &Inventory) -> Result<(), Refusal> {
        let misfit = |Misfit { key, size_bytes, tried, .. }: &Misfit| Refusal::FitsNowhere {
            count: self.fits_nowhere.len(),
            first: *key,
            size_bytes: *size_bytes,
            tried: if tried.is_empty() { String::new() } else { obstacles(now, tried) },
        };
        let frozen = Frozen {
            request: &self.request,
            watermark: self.settings.watermark,
            completeness: self.settings.completeness,
            moves: self.moves.iter().map(|one| (one.key, one.source, one.destination)).collect(),
            fits_nowhere: self.fits_nowhere.first().map(misfit),
            fingerprint: self.fingerprint,
        };
        frozen.ready(now)
    }
}

impl Frozen<'_> {
    /// Whether it may start on the node as it is now. Nothing of it has moved before this says yes.
    ///
    /// # Errors
    /// [`Refusal::FitsNowhere`] unless it was asked to do what it can, [`Refusal::Drifted`], [`Refusal::NoLongerFits`],
    /// [`Refusal::NoLongerHelps`].
    pub fn ready(self, now: &Inventory) -> Result<(), Refusal> {
        if let (Some(refusal), PlanCompleteness::AllOrNothing) = (self.fits_nowhere, self.completeness) {
            return Err(refusal);
        }
        let found = fingerprint(self.request, now);
        let drifted = || Refusal::Drifted { planned: self.fingerprint, now: found };
        if found != self.fingerprint {
            return Err(drifted());
        }
        let mut ledger = Ledger::new(now, self.watermark);
        let score_now = ledger.score(&[]);
        let mut arriving: BTreeMap<usize, (DiskIndex, Space)> = BTreeMap::new();
        let tablets: BTreeMap<_, _> = now.tablets.iter().map(|tablet| (tablet.key, tablet)).collect();
        for (key, source, destination) in &self.moves {
            let ends = (ledger.bin_of(*source), ledger.bin_of(*destination));
            let ((Some(from), Some(to)), Some(tablet)) = (ends, tablets.get(key)) else {
                return Err(drifted());
            };
            ledger.shift(tablet, from, to);
            let (_, space) = arriving.entry(to).or_insert((*destination, Space::default()));
            *space = space.plus(tablet.need());
        }
        for (bin, (disk, space)) in arriving {
            if let Some(why) = ledger.why_not(bin, space) {
                return Err(Refusal::NoLongerFits { disk, why });
            }
        }
        let evens = matches!(self.request, Request::Rebalance { .. });
        if evens && !self.moves.is_empty() && ledger.score(&[]) >= score_now {
            return Err(Refusal::NoLongerHelps);
        }
        Ok(())
    }
}

/// CRC-32 over the parts of the inventory that a plan for `request` depends on.
pub fn fingerprint(request: &Request, inventory: &Inventory) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let mut number = |value: u64| crc.update(&value.to_le_bytes());
    let mut disks: Vec<_> = inventory.disks.iter().collect();
    disks.sort_by_key(|disk| disk.index);
    for disk in &disks {
        number(u64::from(disk.index.0));
        let (high, low) = disk.uuid.map_or((0, 0), |uuid| uuid.0.as_u64_pair());
        number(high);
        number(low);
        number(disk.medium as u64);
        disk.condition.as_str().bytes().for_each(|byte| number(u64::from(byte)));
        number(disk.capacity.total_bytes);
        // Numbers of file systems change with a remount; who shares with whom does not.
        let first = disks.iter().find(|other| other.file_system == disk.file_system);
        number(first.map_or(0, |first| u64::from(first.index.0)));
    }
    for Tablet {
        key,
        disk,
        table_id: _,
        partition_id,
        size_bytes,
        file_count: _,
        pin,
        moving_to,
        last_moved_ms,
    } in scope(request, inventory)
    {
        number(key.tablet_id.0.cast_unsigned());
        number(u64::from(key.schema_hash.0.cast_unsigned()));
        number(u64::from(disk.0));
        number(partition_id.cast_unsigned());
        number(*size_bytes);
        number(u64::from(*pin == Pin::Pinned));
        number(moving_to.map_or(u64::MAX, |to| u64::from(to.0)));
        if matches!(request, Request::Rebalance { .. }) {
            number(last_moved_ms.unwrap_or(0).cast_unsigned());
        }
    }
    crc.finalize()
}
