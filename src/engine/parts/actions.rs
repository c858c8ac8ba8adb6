//! What recovery does on a disk. Each action is safe to repeat.

use super::undone::Action;
use super::unfinished::{remove_copy, set_copy_aside};
use crate::model::Failure;
use crate::storage::layout::MIGRATING;
use crate::storage::{
    EntryKind, NativeStore, Quarantined, Root, ensure_note, finish_retiring, look_at_entry, quarantine,
    remove_bare_entry, remove_staging, retire_again, rewrite_note,
};

/// Does one thing.
///
/// # Errors
/// As the calls made; it can be done again.
pub(crate) fn act(root: &Root, store: &NativeStore, action: Action) -> Result<(), Failure> {
    match action {
        Action::Retire { note } => {
            let path = retire_again(root.dir(), store, &note)?;
            tracing::warn!(tablet = %note.key, "retired to {path}");
        }
        Action::FinishRetiring { note, entry } => {
            ensure_note(root.dir(), &note, &entry)?;
            let path = finish_retiring(root.dir(), &note, &entry)?;
            tracing::info!(tablet = %note.key, "retirement finished in {path}");
        }
        Action::RewriteNote { note, entry } => {
            rewrite_note(root.dir(), &note, &entry)?;
            tracing::info!(tablet = %note.key, entry, "the note of a retirement was lost, and written again");
        }
        Action::Quarantine { key, shard, why } => {
            quarantine(root.dir(), store, &Quarantined::Tablet { shard, key }, &why)?;
        }
        Action::QuarantineRecord { name, why } => {
            quarantine(root.dir(), store, &Quarantined::Record { name: &name }, &why)?;
        }
        Action::RemoveBareTrash { entry } => remove_bare_entry(root.dir(), &entry)?,
        Action::Read { path } => look_at_entry(root.dir(), &path)?,
        Action::RemoveCopy { name, key, shard } => {
            remove_copy(root, store, &name, key, shard)?;
        }
        Action::RemoveStaging { name } => {
            let migrating = root.dir().open(MIGRATING)?;
            if migrating.kind(&name)? == Some(EntryKind::Directory) {
                remove_staging(&migrating, &name)?;
            } else {
                migrating.unlink(&name)?;
            }
        }
        Action::SetCopyAside { name, key, shard, why } => {
            if let Some(path) = set_copy_aside(root, store, &name, key, shard, &why)? {
                tracing::warn!(tablet = %key, staging = name, "{why}; kept in {path}");
            }
        }
        Action::SetStagingAside { name, why } => {
            let disk = root.dir().path().display();
            // A name that is no text is not found again by what was read of it.
            if root.dir().open(MIGRATING)?.kind(&name)?.is_none() {
                tracing::warn!("{disk}/{MIGRATING}/{name} stays: its name is not UTF-8");
                return Ok(());
            }
            let path = quarantine(root.dir(), store, &Quarantined::Staging { name: &name }, &why)?;
            tracing::warn!("{disk}/{MIGRATING}/{name}: {why}; kept in {path}");
        }
    }
    Ok(())
}
