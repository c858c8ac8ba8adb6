//! A record written again with a higher generation: its disk then owns the tablet, whatever another disk may still say.

use std::sync::Arc;

use super::disk::Disk;
use super::flush::SharedBarrier;
use crate::model::{MigrationId, TabletKey, TabletRecord};
use crate::storage::{
    Barrier, MetadataStore, NativeStore, Owner, Purpose, Root, StagedRecord, Staging, StorageError,
};

/// Gives the copy on `disk` the record it has with another generation, durably.
///
/// # Errors
/// The record is gone or damaged; a call's. What owned the tablet before does so still, unless the commit itself failed.
pub(super) fn outrank(
    disk: &Arc<Disk>,
    (root, store): (&Root, &NativeStore),
    key: TabletKey,
    generation: u64,
    migration_id: Option<MigrationId>,
) -> Result<TabletRecord, StorageError> {
    let barrier = SharedBarrier::new(disk);
    let gone = |why: &str| StorageError::Record { path: root.dir().path().to_owned(), why: why.to_owned() };
    let record = store.get(key)?.ok_or_else(|| gone("the record to be written again is gone"))?;
    let owner = Owner {
        purpose: Purpose::Restore,
        migration_id,
        key,
        shard_id: record.shard_id,
        source: None,
        source_shard: None,
        destination: disk.reference().ok_or_else(|| gone("the disk was never opened"))?,
        asked: None,
    };
    let name = migration_id.map_or_else(|| format!("outrank-{key}"), |id| format!("outrank-{id}"));
    let staging = Staging::open_or_create(root.dir(), &name, &owner)?;
    let staged = StagedRecord::write(staging.dir(), TabletRecord { generation, ..record })?;
    barrier.sync()?;
    staged.check()?;
    root.check_identity()?;
    store.commit(&staged, &barrier)?;
    let record = staged.record().clone();
    if let Err(error) = staging.remove() {
        tracing::warn!(disk = disk.path, "{error}; the next start removes what is left");
    }
    Ok(record)
}
