//! Tries again what is left undone (see [`super::parts::undone`]): by the sweep, and before a tablet is put where something of
//! it is still in the way. Whether it may be done is decided in [`crate::rules::undone`].

use std::sync::Arc;
use std::time::Duration;

use super::node::Node;
use super::parts::actions::act;
use super::parts::disk::{Disk, note_storage_error, visit};
use super::parts::entry::{Entry, Holder};
use super::parts::undone::{Action, Left};
use crate::model::{DiskIndex, Failure, TabletKey};
use crate::rules::undone::{OwnerIs, Verdict, Work, settle_undone};
use crate::storage::{MetadataStore, NativeStore, Root, StorageError};

/// How long one attempt, or the sync of an owner, may take.
const WAIT: Duration = Duration::from_secs(600);

/// Tries everything again that is left undone.
pub(crate) fn sweep(node: &Node) {
    for (index, left) in node.undone.all() {
        if node.is_stopping() {
            return;
        }
        let disk = node.disk(index);
        if disk.is_forgotten() {
            node.undone.done(index, &left.action.path());
        } else if disk.condition(node.hang_after()).is_readable() {
            let claim = left.action.key().map(|key| Claim::take(node, key));
            if !matches!(claim, Some(None)) {
                let _ = try_again(node, disk, left);
            }
        }
    }
}

/// Does what is left undone of a tablet on a disk it is to be put on. The caller's migration has the tablet.
///
/// # Errors
/// Why a copy is still in the way. Staging is not: the new copy has one of its own.
pub(crate) fn make_way(node: &Node, disk: &Arc<Disk>, key: TabletKey) -> Result<(), String> {
    let left = node.undone.of(disk.index, key);
    left.into_iter().try_for_each(|left| {
        let is_staging = matches!(left.action, Action::RemoveCopy { .. });
        try_again(node, disk, left).or_else(|why| if is_staging { Ok(()) } else { Err(why) })
    })
}

/// The sole right to a tablet that somebody serves, or that nobody serves, until dropped.
struct Claim<'a> {
    node: &'a Node,
    key: TabletKey,
}

impl<'a> Claim<'a> {
    /// `None` while a migration or an operation has it.
    fn take(node: &'a Node, key: TabletKey) -> Option<Self> {
        let mut catalog = node.catalog_mut();
        if catalog.claimant(key).is_some() {
            return None;
        }
        let entry = catalog.get_mut(key).filter(|entry| entry.holder.is_none())?;
        entry.holder = Some(Holder::BeingTidied);
        Some(Self { node, key })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.node.catalog_mut().give_back(self.key, Holder::BeingTidied);
    }
}

/// Does it, or notes why it is still not done. Nobody else has the tablet meanwhile.
///
/// # Errors
/// Why it is not done; noted already.
pub(crate) fn try_again(node: &Node, disk: &Arc<Disk>, left: Left) -> Result<(), String> {
    let path = left.action.path();
    let owner = left.action.key().and_then(|key| node.catalog().get(key).copied());
    let done = match settle_undone(work(&left.action), owner_is(disk.index, &left.action, owner)) {
        Verdict::Drop => Ok(()),
        Verdict::Wait => Err("nobody serves the tablet now".to_owned()),
        Verdict::Do => do_it(node, disk, &left.action, owner).map_err(|failure| failure.message),
    };
    match &done {
        Ok(()) => {
            if node.undone.done(disk.index, &path) {
                tracing::info!(disk = disk.path, path, "done, or not wanted any more: {}", left.words());
            }
        }
        Err(why) => node.undone.leave(disk, Left { why: why.clone(), ..left }),
    }
    done
}

fn do_it(node: &Node, disk: &Arc<Disk>, action: &Action, owner: Option<Entry>) -> Result<(), Failure> {
    if let Action::Read { .. } = action {
        let action = action.clone();
        return visit(disk, WAIT, move |root, store| act(root, store, action));
    }
    if disk.is_read_only() {
        return Err(refused(format!("{} is read-only", disk.path)));
    }
    // The owner first: after a crash of the machine what it shows may be gone.
    if let Some(on) = owner.map(|owner| node.disk(owner.disk)).filter(|on| on.index != disk.index) {
        if on.is_read_only() {
            return Err(refused(format!("{}, which owns the tablet, is read-only", on.path)));
        }
        sync(on)?;
    }
    let (own, action, generation) = (Arc::clone(disk), action.clone(), owner.map(|owner| owner.generation));
    visit(disk, WAIT, move |root, store| {
        root.check_identity()?;
        if let Action::Retire { note } = &action {
            check_outlived(store, note.key, generation)?;
        }
        let puts_aside = matches!(action, Action::Retire { .. } | Action::Quarantine { .. });
        act(root, store, action)?;
        if puts_aside {
            own.note_something_aside();
        }
        sync_root(&own, root)
    })
}

fn refused(why: String) -> Failure {
    Failure::new(crate::model::ErrorCode::DiskUnavailable, why)
}

fn sync(disk: &Arc<Disk>) -> Result<(), Failure> {
    let own = Arc::clone(disk);
    visit(disk, WAIT, move |root, _| {
        root.check_identity()?;
        sync_root(&own, root)
    })
}

fn sync_root(disk: &Disk, root: &Root) -> Result<(), Failure> {
    let synced = root.dir().sync_file_system().map_err(StorageError::from);
    Ok(synced.inspect_err(|error| note_storage_error(disk, error))?)
}

/// The record that is to be retired must be older than the owner's.
fn check_outlived(store: &NativeStore, key: TabletKey, generation: Option<u64>) -> Result<(), Failure> {
    match (store.get(key)?, generation) {
        (Some(record), Some(owner)) if record.generation >= owner => Err(refused(format!(
            "it has generation {}, which is not older than the owner's {owner}; a restart settles which copy owns",
            record.generation
        ))),
        _ => Ok(()),
    }
}

fn work(action: &Action) -> Work {
    match action {
        Action::Retire { note } => Work::Retire(note.generation),
        Action::FinishRetiring { note, .. } | Action::RewriteNote { note, .. } => {
            Work::FinishRetiring(note.generation)
        }
        Action::Quarantine { .. } | Action::QuarantineRecord { .. } | Action::SetCopyAside { .. } => {
            Work::SetAside
        }
        Action::RemoveCopy { .. } => Work::RemoveCopy,
        Action::RemoveStaging { .. }
        | Action::SetStagingAside { .. }
        | Action::RemoveBareTrash { .. }
        | Action::Read { .. } => Work::Tidy,
    }
}

fn owner_is(disk: DiskIndex, action: &Action, owner: Option<Entry>) -> OwnerIs {
    let Some(owner) = owner else { return OwnerIs::NotHere };
    let same_place = match action {
        // The entry of an earlier stay on this disk, in another shard.
        Action::FinishRetiring { note, .. } | Action::RewriteNote { note, .. } => {
            note.shard_id == owner.shard_id
        }
        _ => true,
    };
    if owner.disk == disk && same_place { OwnerIs::InThisPlace } else { OwnerIs::Elsewhere(owner.generation) }
}
