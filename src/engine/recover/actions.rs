//! What recovery does on a disk. Each action is safe to repeat.

use crate::engine::line::remove_copy;
use crate::model::{Failure, ShardId, TabletKey};
use crate::storage::layout::{MIGRATING, TRASH};
use crate::storage::{
    EntryKind, NativeStore, Quarantined, RetiredNote, Root, finish_retiring, quarantine, remove_staging,
    retire,
};

/// What recovery does on one disk.
pub(super) enum Action {
    Sync,
    Retire { note: RetiredNote },
    FinishRetiring { note: RetiredNote, entry: String },
    Quarantine { key: TabletKey, shard: ShardId, why: String },
    QuarantineRecord { name: String, why: String },
    RemoveCopy { name: String, key: TabletKey, shard: Option<ShardId> },
    RemoveStaging { name: String },
    RemoveEmptyTrash { entry: String },
}

pub(super) fn act(root: &Root, store: &NativeStore, action: Action) -> Result<(), Failure> {
    match action {
        Action::Sync => root.dir().sync_file_system()?,
        Action::Retire { note } => {
            let path = retire(root.dir(), store, &note)?;
            tracing::warn!(tablet = %note.key, "retired to {path}");
        }
        Action::FinishRetiring { note, entry } => {
            let path = finish_retiring(root.dir(), store, &note, &entry)?;
            tracing::info!(tablet = %note.key, "retirement finished in {path}");
        }
        Action::Quarantine { key, shard, why } => {
            quarantine(root.dir(), store, &Quarantined::Tablet { shard, key }, &why)?;
        }
        Action::QuarantineRecord { name, why } => {
            quarantine(root.dir(), store, &Quarantined::Record { name: &name }, &why)?;
        }
        Action::RemoveEmptyTrash { entry } => root.dir().open(TRASH)?.remove_if_empty(&entry)?,
        Action::RemoveCopy { name, key, shard } => remove_copy(root, store, &name, key, shard)?,
        Action::RemoveStaging { name } => {
            let migrating = root.dir().open(MIGRATING)?;
            if migrating.kind(&name)? == Some(EntryKind::Directory) {
                remove_staging(&migrating, &name)?;
            } else {
                migrating.unlink(&name)?;
            }
        }
    }
    Ok(())
}
