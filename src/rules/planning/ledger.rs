//! The arithmetic of space: one *bin* per file system, what is in it, and what a plan has put there so far.
//!
//! Two figures are kept apart. What a bin can still *take* counts everything: trash, and bytes promised to other moves;
//! and a move takes nothing off its source, because the source goes to trash on the same file system. How *loaded* it is,
//! compared with others, leaves trash and departing tablets out: they go by themselves, and a source that looked as full
//! after a move as before it would be emptied for ever.

use std::collections::{BTreeMap, HashMap};

use super::inventory::{Disk, Inventory, Tablet};
use crate::model::{Capacity, DiskCondition, DiskIndex, Medium, Space};
use crate::rules::capacity::{CapacityLimits, DoesNotFit, fits};

/// Sizes are compared by cross-multiplication in 128 bits; 32 PiB leaves room for it on any number of disks.
const LARGEST_BYTES: u64 = 1 << 55;

/// One file system.
#[derive(Debug, Clone)]
pub(super) struct Bin {
    /// As the system reports it.
    pub(super) capacity: Capacity,
    /// Promised to moves towards it that are not this plan's.
    pub(super) reserved: Space,
    /// Size, for comparison with others.
    pub(super) total_bytes: u64,
    /// Load, for comparison with others.
    pub(super) load_bytes: u64,
    /// What the plan may send to it in all; `None` when it is past its watermark and takes not even an empty tablet.
    pub(super) room: Option<Space>,
    /// What the plan has sent to it so far.
    pub(super) arriving: Space,
}

impl Bin {
    /// What may still come; `None` when nothing may.
    pub(super) fn left(&self) -> Option<Space> {
        self.room.filter(|room| self.arriving.is_within(*room)).map(|room| room.minus(self.arriving))
    }

    /// Whether so much more may come.
    pub(super) fn takes(&self, need: Space) -> bool {
        self.left().is_some_and(|left| need.is_within(left))
    }
}

/// All bins.
#[derive(Debug, Clone)]
pub(super) struct Ledger<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) bins: Vec<Bin>,
    limits: CapacityLimits,
    bin_of: BTreeMap<DiskIndex, usize>,
    /// Tablets of a partition per bin, where moves in flight end counted.
    crowd: HashMap<(i64, usize), u32>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(inventory: &'a Inventory, limits: CapacityLimits) -> Self {
        let mut members: BTreeMap<u32, Vec<&Disk>> = BTreeMap::new();
        for disk in &inventory.disks {
            members.entry(disk.file_system).or_default().push(disk);
        }
        let mut bins = Vec::new();
        let mut bin_of = BTreeMap::new();
        for disks in members.values() {
            bin_of.extend(disks.iter().map(|disk| (disk.index, bins.len())));
            // A disk that cannot be asked reports nothing; its neighbour on the same file system may.
            let capacity = disks.iter().map(|disk| disk.capacity).max_by_key(|capacity| capacity.total_bytes);
            let capacity = capacity.unwrap_or_default();
            let reserved = disks.iter().fold(Space::default(), |sum, disk| sum.plus(disk.reserved));
            let trash_bytes = disks.iter().fold(0, |sum: u64, disk| sum.saturating_add(disk.trash_bytes));
            bins.push(Bin {
                capacity,
                reserved,
                total_bytes: capacity.total_bytes.min(LARGEST_BYTES),
                load_bytes: capacity.used_bytes().saturating_sub(trash_bytes).saturating_add(reserved.bytes),
                room: room(capacity, reserved, limits),
                arriving: Space::default(),
            });
        }
        let mut crowd = HashMap::new();
        for tablet in &inventory.tablets {
            if let (Some(to), Some(from)) = (tablet.moving_to, bin_of.get(&tablet.disk))
                && bin_of.contains_key(&to)
            {
                let load = &mut bins[*from].load_bytes;
                *load = load.saturating_sub(tablet.size_bytes);
            }
            let stays = tablet.moving_to.unwrap_or(tablet.disk);
            if let (Some(bin), true) = (bin_of.get(&stays), tablet.partition_id != 0) {
                *crowd.entry((tablet.partition_id, *bin)).or_default() += 1;
            }
        }
        for bin in &mut bins {
            bin.load_bytes = bin.load_bytes.min(LARGEST_BYTES);
        }
        Self { inventory, bins, limits, bin_of, crowd }
    }

    /// Which bin a disk is in.
    pub(super) fn bin_of(&self, disk: DiskIndex) -> Option<usize> {
        self.bin_of.get(&disk).copied()
    }

    /// The first disk of a bin, for sentences.
    pub(super) fn first_disk(&self, bin: usize) -> Option<DiskIndex> {
        self.bin_of.iter().find_map(|(disk, of)| (*of == bin).then_some(*disk))
    }

    /// How many tablets of the tablet's partition the bin has; 0 where the partition is unknown.
    pub(super) fn crowd(&self, tablet: &Tablet, bin: usize) -> u32 {
        self.crowd.get(&(tablet.partition_id, bin)).copied().unwrap_or(0)
    }

    /// Moves load and crowd from one bin to another. Bytes that arrive are the caller's to count: a tablet that is
    /// planned back to where it is now arrives nowhere.
    pub(super) fn shift(&mut self, tablet: &Tablet, from: usize, to: usize) {
        self.bins[from].load_bytes = self.bins[from].load_bytes.saturating_sub(tablet.size_bytes);
        self.bins[to].load_bytes = self.bins[to].load_bytes.saturating_add(tablet.size_bytes);
        if tablet.partition_id != 0 {
            if let Some(count) = self.crowd.get_mut(&(tablet.partition_id, from)) {
                *count = count.saturating_sub(1);
            }
            *self.crowd.entry((tablet.partition_id, to)).or_default() += 1;
        }
    }

    /// Why a tablet does not fit beside what the plan has sent already; `None` when it does.
    pub(super) fn why_not(&self, bin: usize, need: Space) -> Option<DoesNotFit> {
        let bin = &self.bins[bin];
        fits(bin.capacity, bin.reserved.plus(bin.arriving), need, self.limits).err()
    }

    /// The bins whose loads are compared with each other, per medium: those with a disk in service. A bin is in one group
    /// only, that of its first disk.
    pub(super) fn groups(&self, without: &[DiskIndex]) -> Vec<(Medium, Vec<usize>)> {
        let mut disks: Vec<_> = self.inventory.disks.iter().collect();
        disks.sort_by_key(|disk| disk.index);
        let mut groups: Vec<(Medium, Vec<usize>)> =
            [Medium::Hdd, Medium::Ssd].map(|m| (m, Vec::new())).into();
        let mut taken = vec![false; self.bins.len()];
        for disk in disks {
            let Some(bin) = self.bin_of(disk.index) else { continue };
            let in_service = disk.condition == DiskCondition::Online && self.bins[bin].total_bytes > 0;
            if !in_service || without.contains(&disk.index) || taken[bin] {
                continue;
            }
            if let Some((_, bins)) = groups.iter_mut().find(|(medium, _)| *medium == disk.medium) {
                bins.push(bin);
                taken[bin] = true;
            }
        }
        groups
    }

    /// How uneven the loads are: the standard deviation of the loaded share, weighted by size, in percentage points. 0 is
    /// even. Disks of different media are not compared.
    pub(super) fn score(&self, without: &[DiskIndex]) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (_, bins) in self.groups(without) {
            let total: f64 = bins.iter().map(|bin| self.bins[*bin].total_bytes as f64).sum();
            let load: f64 = bins.iter().map(|bin| self.bins[*bin].load_bytes as f64).sum();
            for bin in bins {
                let size = self.bins[bin].total_bytes as f64;
                sum += size * (self.bins[bin].load_bytes as f64 / size - load / total).powi(2);
            }
            weight += total;
        }
        if weight == 0.0 { 0.0 } else { (sum / weight).sqrt() * 100.0 }
    }
}

/// The most that [`fits`] lets onto the disk; `None` when it refuses even nothing.
fn room(capacity: Capacity, reserved: Space, limits: CapacityLimits) -> Option<Space> {
    let takes = |bytes| fits(capacity, reserved, Space::of_bytes(bytes), limits).is_ok();
    if !takes(0) {
        return None;
    }
    let (mut fitting, mut above) = (0, capacity.avail_bytes.saturating_add(1));
    while above - fitting > 1 {
        let middle = fitting + (above - fitting) / 2;
        if takes(middle) { fitting = middle } else { above = middle }
    }
    let inodes = capacity.inodes_left().map_or(u64::MAX, |left| left.saturating_sub(reserved.inodes));
    Some(Space { bytes: fitting, inodes })
}

/// `part` of `whole` in thousandths, rounded down; 0 of nothing.
pub(super) fn permille(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(part) * 1000 / u128::from(whole)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::capacity::{CapacityRule, LeftBytesFrom};

    proptest::proptest! {
        /// The room is exact: that much fits, a byte more does not.
        #[test]
        fn room_is_the_last_byte_that_fits(
            total in 0_u64..1_000_000, avail in 0_u64..1_000_000, reserved in 0_u64..1_000_000,
            total_inodes in 0_u64..3, avail_inodes in 0_u64..100, reserved_inodes in 0_u64..100,
            usage_percent in 0_u64..=100, left_bytes in 0_u64..500_000, either: bool,
        ) {
            let capacity = Capacity { total_bytes: total, avail_bytes: avail.min(total), total_inodes, avail_inodes };
            let reserved = Space { bytes: reserved, inodes: reserved_inodes };
            let rule = if either { CapacityRule::Or } else { CapacityRule::And };
            let limits = CapacityLimits { usage_percent, left_bytes, left_bytes_from: LeftBytesFrom::Setting, rule };
            let takes = |need| fits(capacity, reserved, need, limits).is_ok();
            match room(capacity, reserved, limits) {
                Some(room) => {
                    let (a_byte, an_inode) = (Space::of_bytes(1), Space { bytes: 0, inodes: 1 });
                    proptest::prop_assert!(takes(room) && !takes(room.plus(a_byte)));
                    proptest::prop_assert!(total_inodes == 0 || !takes(room.plus(an_inode)));
                }
                None => proptest::prop_assert!(!takes(Space::default())),
            }
        }
    }
}
