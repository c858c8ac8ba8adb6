//! What the catalog knows of one tablet that is served, and who has it.

use crate::model::{DiskIndex, MigrationId, RecordSummary, ShardId, Space};

/// Who has a tablet that is served: nobody else may move, restore or retire it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Migration(MigrationId),
    /// A migration that has no number yet: from the moment admission looked, so that two requests never get both.
    BeingAccepted,
    /// Whoever does what was left undone of it, or retires a copy that it has outlived.
    BeingTidied,
}

/// One tablet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) disk: DiskIndex,
    pub(crate) shard_id: ShardId,
    pub(crate) file_count: u32,
    pub(crate) generation: u64,
    pub(crate) size_bytes: u64,
    /// As its header says; 0 where unknown.
    pub(crate) table_id: i64,
    pub(crate) partition_id: i64,
    pub(crate) holder: Option<Holder>,
}

impl Entry {
    pub(crate) fn new(disk: DiskIndex, record: &RecordSummary) -> Self {
        Self {
            disk,
            shard_id: record.shard_id,
            file_count: record.file_count,
            generation: record.generation,
            size_bytes: record.size_bytes,
            table_id: record.table_id,
            partition_id: record.partition_id,
            holder: None,
        }
    }

    /// The migration that has it.
    pub(crate) const fn migration(&self) -> Option<MigrationId> {
        match self.holder {
            Some(Holder::Migration(id)) => Some(id),
            Some(Holder::BeingAccepted | Holder::BeingTidied) | None => None,
        }
    }

    /// What it needs where it is copied to.
    pub(crate) fn need(&self) -> Space {
        Space::of_tablet(self.size_bytes, self.file_count.into())
    }
}
