//! A record written again with a higher generation: its disk then owns the tablet, whatever another disk may still say.

use std::sync::Arc;

use super::disk::Disk;
use super::flush::SharedBarrier;
use crate::model::{Manifest, MigrationId, TabletKey, TabletRecord};
use crate::storage::Barrier;
use crate::storage::{MetadataStore, NativeStore, Owner, Purpose, Root, StagedRecord, Staging, StorageError};

/// Gives the copy on `disk` the record it has with another generation, durably.
///
/// # Errors
/// The record is gone or damaged; a call's. What owned the tablet before does so still, unless the commit itself failed.
pub(crate) fn outrank(
    disk: &Arc<Disk>,
    (root, store): (&Root, &NativeStore),
    key: TabletKey,
    generation: u64,
    migration_id: Option<MigrationId>,
) -> Result<TabletRecord, StorageError> {
    let gone = || StorageError::Record {
        path: root.dir().path().to_owned(),
        why: "the record to be written again is gone".to_owned(),
    };
    let record = store.get(key)?.ok_or_else(gone)?;
    write_again(disk, (root, store), TabletRecord { generation, ..record }, migration_id)
}

/// Gives the files on `disk` that this record names the record, durably.
///
/// # Errors
/// As [`outrank`].
pub(crate) fn write_again(
    disk: &Arc<Disk>,
    (root, store): (&Root, &NativeStore),
    record: TabletRecord,
    migration_id: Option<MigrationId>,
) -> Result<TabletRecord, StorageError> {
    let (key, barrier) = (record.key, SharedBarrier::new(disk));
    let never_opened = || StorageError::Record {
        path: root.dir().path().to_owned(),
        why: "the disk was never opened".to_owned(),
    };
    let owner = Owner {
        purpose: Purpose::Restore,
        migration_id,
        key,
        shard_id: record.shard_id,
        source: None,
        source_shard: None,
        destination: disk.reference().ok_or_else(never_opened)?,
        asked: None,
    };
    let name = migration_id.map_or_else(|| format!("outrank-{key}"), |id| format!("outrank-{id}"));
    let staging = Staging::open_or_create(root.dir(), &name, &owner)?;
    let staged = StagedRecord::write(staging.dir(), record)?;
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

/// CRC-32 over the checksums of a manifest in name order, each as four little-endian bytes: equal contents, equal sum.
pub(crate) fn content_crc32(manifest: &Manifest) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for file in manifest.files() {
        hasher.update(&file.crc32.unwrap_or(0).to_le_bytes());
    }
    hasher.finalize()
}
