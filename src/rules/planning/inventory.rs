//! What a plan is made from: the disks and the tablets of the node at one moment, as plain values.
//!
//! It is a picture taken by somebody else; nothing here looks at a disk or at a clock.

use crate::model::{
    Capacity, DiskCondition, DiskIndex, DiskUuid, Medium, Space, TabletId, TabletKey, TimestampMs,
};

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its short name within this run of the daemon.
    pub index: DiskIndex,
    /// Its identity; `None` when it was never opened. A plan made for another disk at this index is refused by it.
    pub uuid: Option<DiskUuid>,
    /// Its path, for sentences.
    pub path: String,
    pub medium: Medium,
    /// What may be done with it now.
    pub condition: DiskCondition,
    /// Space of its file system.
    pub capacity: Capacity,
    /// Promised to moves towards it, in flight and queued, beyond what `capacity` shows as used by them already.
    pub reserved: Space,
    /// Bytes in its trash. They are in `capacity` as used; they hold a move back but make no disk "fuller" than another.
    pub trash_bytes: u64,
    /// Disks of one number are on one file system and share its space.
    pub file_system: u32,
}

/// Whether plans may move a tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pin {
    Free,
    /// An operator said that no plan may.
    Pinned,
}

/// One tablet that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tablet {
    pub key: TabletKey,
    /// The disk that owns it.
    pub disk: DiskIndex,
    /// Its table; 0 where unknown.
    pub table_id: i64,
    /// Its partition; 0 where unknown.
    pub partition_id: i64,
    /// Size of its files.
    pub size_bytes: u64,
    /// Number of its files.
    pub file_count: u64,
    /// Whether plans may move it.
    pub pin: Pin,
    /// Destination of the migration that owns it now.
    pub moving_to: Option<DiskIndex>,
    /// When it last changed its disk.
    pub last_moved_ms: Option<TimestampMs>,
}

impl Tablet {
    /// What it needs where it is copied to.
    pub const fn need(&self) -> Space {
        Space::of_tablet(self.size_bytes, self.file_count)
    }
}

/// The node at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// Its disks, each index once.
    pub disks: Vec<Disk>,
    /// Its tablets, each key once, in any order.
    pub tablets: Vec<Tablet>,
}

impl Inventory {
    /// The disk of that index.
    pub fn disk(&self, index: DiskIndex) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.index == index)
    }

    /// The disk's path, or its number where it is not known.
    pub fn path(&self, index: DiskIndex) -> String {
        self.disk(index).map_or_else(|| format!("disk {}", index.0), |disk| disk.path.clone())
    }

    /// The tablets in the order of their keys: what a plan depends on must not depend on the order it is told.
    pub(super) fn sorted_tablets(&self) -> Vec<&Tablet> {
        let mut tablets: Vec<_> = self.tablets.iter().collect();
        tablets.sort_unstable_by_key(|tablet| tablet.key);
        tablets
    }
}

/// Which tablets a `move` is about. Each list narrows it; an empty one asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// On one of these disks.
    pub disks: Vec<DiskIndex>,
    /// Of one of these tables.
    pub tables: Vec<i64>,
    /// Of one of these partitions.
    pub partitions: Vec<i64>,
    pub tablets: Vec<TabletId>,
    /// At least this large.
    pub min_size_bytes: Option<u64>,
    /// At most this large.
    pub max_size_bytes: Option<u64>,
    /// On a disk of this medium now.
    pub medium: Option<Medium>,
}

impl Selector {
    /// Whether the tablet is meant. `medium` is that of its disk.
    pub fn selects(&self, tablet: &Tablet, medium: Option<Medium>) -> bool {
        fn among<T: PartialEq>(list: &[T], value: Option<&T>) -> bool {
            list.is_empty() || value.is_some_and(|value| list.contains(value))
        }
        among(&self.disks, Some(&tablet.disk))
            && among(&self.tables, Some(&tablet.table_id))
            && among(&self.partitions, Some(&tablet.partition_id))
            && (self.tablets.is_empty() || self.tablets.contains(&tablet.key.tablet_id))
            && self.min_size_bytes.is_none_or(|least| tablet.size_bytes >= least)
            && self.max_size_bytes.is_none_or(|most| tablet.size_bytes <= most)
            && self.medium.is_none_or(|wanted| medium == Some(wanted))
    }
}
