//! Undo: removes what an attempt made on the destination. Never reaches a tablet that a record owns.

use super::Line;
use crate::engine::node::Node;
use crate::model::{Failure, ShardId, TabletKey};
use crate::rules::retry::Leave;
use crate::storage::layout::{FILES, MIGRATING, tablet_parent};
use crate::storage::{
    Dir, MetadataStore, NativeStore, Quarantined, Root, StorageError, is_placed, quarantine, read_owner,
    read_place, remove_empty_parents, remove_staging,
};

/// Removes this migration's copy. Says where it is kept instead, where it may be the only one, or is to be kept.
pub(super) fn undo(line: &Line<'_>, leave: Leave) -> Result<Option<String>, Failure> {
    let shard = line.job.lock().destination_shard;
    let (root, store) = line.destination.open()?;
    let name = line.id.to_string();
    match leave {
        Leave::Nothing => undo_copy(line.node, &root, &store, &name, line.key, shard),
        Leave::Copy => {
            let why = "a verified copy whose source turned out bad";
            Ok(set_copy_aside(&root, &store, &name, line.key, shard, why)?)
        }
    }
}

/// Removes what a migration copied, while its tablet is served by a disk that can be read; else it may be the only copy
/// there is and goes to quarantine. Says where it is then.
///
/// # Errors
/// As the calls made; what is left is settled by the next start.
pub(in crate::engine) fn undo_copy(
    node: &Node,
    root: &Root,
    store: &NativeStore,
    name: &str,
    key: TabletKey,
    noted: Option<ShardId>,
) -> Result<Option<String>, Failure> {
    if owner_is_seen(node, key) {
        return Ok(remove_copy(root, store, name, key, noted).map(|()| None)?);
    }
    let why = "an unfinished copy; its tablet is served by no disk that can be read";
    Ok(set_copy_aside(root, store, name, key, noted, why)?)
}

/// Whether a disk serves the tablet and can be read.
pub(in crate::engine) fn owner_is_seen(node: &Node, key: TabletKey) -> bool {
    let owner = node.catalog().get(key).map(|entry| entry.disk);
    owner.is_some_and(|disk| node.disk(disk).condition(node.hang_after()).is_readable())
}

/// Takes a copy that was placed, but never committed, back into its staging directory, and moves that to quarantine.
/// Returns where it is; `None` when there is none.
///
/// # Errors
/// As the calls made.
pub(in crate::engine) fn set_copy_aside(
    root: &Root,
    store: &NativeStore,
    name: &str,
    key: TabletKey,
    noted: Option<ShardId>,
    why: &str,
) -> Result<Option<String>, StorageError> {
    root.check_identity()?;
    reclaim_placed(root, store, name, key, noted)?;
    if root.dir().open(MIGRATING)?.kind(name)?.is_none() {
        return Ok(None);
    }
    quarantine(root.dir(), store, &Quarantined::Staging { name }, why).map(Some)
}

/// Removes the staging directory `name`, and a placed copy that came out of it and that no record owns. `noted` is where
/// that may be, should the staging directory not say.
///
/// # Errors
/// As the calls made; it can be done again.
pub(in crate::engine) fn remove_copy(
    root: &Root,
    store: &NativeStore,
    name: &str,
    key: TabletKey,
    noted: Option<ShardId>,
) -> Result<(), StorageError> {
    root.check_identity()?;
    let shard = reclaim_placed(root, store, name, key, noted)?;
    remove_staging(&root.dir().open(MIGRATING)?, name)?;
    // A rename that failed leaves the parents that were made for it.
    Ok(shard.map_or(Ok(()), |shard| remove_empty_parents(root.dir(), shard, key))?)
}

/// Takes a copy that was placed, but never committed, back into the staging directory it came from. Returns the shard of
/// its files: by the word of the staging directory, or else the one that was noted. A journal that lost its last pages
/// may know another, or none.
///
/// It came from there if the staging directory stands without its files and no record on this disk owns the tablet.
///
/// # Errors
/// As the calls made.
pub(in crate::engine) fn reclaim_placed(
    root: &Root,
    store: &NativeStore,
    name: &str,
    key: TabletKey,
    noted: Option<ShardId>,
) -> Result<Option<ShardId>, StorageError> {
    let Some(staging) = root.dir().open(MIGRATING)?.open_if_exists(name)? else { return Ok(noted) };
    let place = read_place(&staging, read_owner(&staging)?.as_ref())?.filter(|place| place.key == key);
    let shard = place.map(|place| place.shard_id).or(noted);
    if let Some(shard) = shard
        && staging.kind(FILES)?.is_none()
        && is_placed(root.dir(), shard, key)?
        && store.get(key)?.is_none()
    {
        take_back(root.dir(), &staging, shard, key)?;
    }
    Ok(shard)
}

fn take_back(root: &Dir, staging: &Dir, shard: ShardId, key: TabletKey) -> Result<(), StorageError> {
    root.open(tablet_parent(shard, key.tablet_id))?.rename(&key.schema_hash.to_string(), staging, FILES)?;
    Ok(remove_empty_parents(root, shard, key)?)
}

/// Puts placed files back into staging, for an attempt that stopped between the rename and the commit. What fails here is
/// left for the next attempt or the next start.
pub(in crate::engine) fn take_back_placed(root: &Root, staging: &Dir, shard: ShardId, key: TabletKey) {
    if let Err(error) = take_back(root.dir(), staging, shard, key) {
        tracing::warn!("a placed copy could not be taken back into staging: {error}");
    }
}
