//! Undo: removes what an attempt made on the destination. Never reaches a tablet that a record owns.

use super::base::Line;
use crate::engine::node::Node;
use crate::engine::parts::unfinished::{Undone, remove_copy, set_copy_aside};
use crate::model::{Failure, ShardId, TabletKey};
use crate::rules::retry::Leave;
use crate::storage::{NativeStore, Root, StorageError};

/// Removes this migration's copy, or keeps it elsewhere, where it may be the only one or is to be kept.
pub(super) fn undo(line: &Line<'_>, leave: Leave) -> Result<Undone, Failure> {
    let shard = line.job.lock().destination_shard;
    let (root, store) = line.destination.open()?;
    let name = line.id.to_string();
    let undone = match leave {
        Leave::Nothing => undo_copy(line.node, &root, &store, &name, line.key, shard),
        Leave::Copy => {
            let why = "a verified copy whose source turned out bad";
            set_copy_aside(&root, &store, &name, line.key, shard, why).map(Undone::aside)
        }
    };
    undone.map_err(|error| line.on_destination(error))
}

/// Removes what a migration copied, while its tablet is served by a disk that can be read; else it may be the only copy
/// there is and goes to quarantine.
///
/// # Errors
/// As the calls made, for the caller to blame on the disk; what is left is settled by the next start.
pub(crate) fn undo_copy(
    node: &Node,
    root: &Root,
    store: &NativeStore,
    name: &str,
    key: TabletKey,
    noted: Option<ShardId>,
) -> Result<Undone, StorageError> {
    if owner_is_seen(node, key) {
        return Ok(Undone::Removed(remove_copy(root, store, name, key, noted)?));
    }
    let why = "an unfinished copy; its tablet is served by no disk that can be read";
    Ok(Undone::aside(set_copy_aside(root, store, name, key, noted, why)?))
}

/// Whether a disk serves the tablet and can be read.
pub(crate) fn owner_is_seen(node: &Node, key: TabletKey) -> bool {
    let owner = node.catalog().get(key).map(|entry| entry.disk);
    owner.is_some_and(|disk| node.disk(disk).condition(node.hang_after()).is_readable())
}
