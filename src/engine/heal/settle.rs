//! What becomes of the other copies once a tablet is healed: the damaged one is set aside, an older one that was never
//! retired goes to trash. Nothing is deleted, and a failure here takes nothing back: the next start settles the rest.

use std::sync::Arc;

use super::bring::Brought;
use super::find::{Found, Search};
use crate::engine::ledger;
use crate::engine::node::Node;
use crate::engine::parts::counts::Counts;
use crate::engine::parts::disk::{Disk, note_storage_error};
use crate::engine::parts::entry::Entry;
use crate::engine::parts::flush::SharedBarrier;
use crate::model::{Failure, ShardId, TabletKey};
use crate::rules::healing::FoundIn;
use crate::storage::Barrier;
use crate::storage::layout::{record_name, tablet_dir};
use crate::storage::{
    Quarantined, StorageError, ensure_note, finish_retiring, quarantine, remove_empty_parents, retire,
    take_retirement_back,
};

/// What a copy turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// It was read, and is not what it should be.
    Damaged,
    Untried,
}

/// Settles every copy that stands in a tablet's place beside the one that owns the tablet now. Says what it did.
pub(super) fn others(
    node: &Node,
    key: TabletKey,
    search: &Search,
    judged: impl Fn(&Found) -> Judged,
    served: Option<&Entry>,
    owner: &Brought,
) -> Vec<String> {
    let mut done = Vec::new();
    // Its record could not be read, so that only the catalog knew where its directory is.
    let unrecorded = served.filter(|entry| {
        !search.found.iter().any(|found| found.found_in == FoundIn::Place && found.disk.index == entry.disk)
    });
    if let Some(entry) = unrecorded {
        let disk = node.disk(entry.disk);
        match set_files_aside(key, disk, entry.shard_id, owner) {
            Ok(Some(path)) => done.push(format!("what was left of it is in {}/{path}", disk.path)),
            Ok(None) => {}
            Err(failure) => {
                tracing::warn!(tablet = %key, disk = disk.path, "what is left of it stays: {failure}");
            }
        }
    }
    let in_place = search.found.iter().filter(|found| found.found_in == FoundIn::Place);
    for found in in_place {
        match settle(node, key, found, judged(found), owner) {
            Ok(Some(path)) => done.push(format!("the other copy is in {}/{path}", found.disk.path)),
            Ok(None) => {}
            Err(failure) => {
                let text =
                    format!("the copy in {} stays: {failure}; the next start settles it", found.place());
                tracing::warn!(tablet = %key, "{text}");
                done.push(text);
            }
        }
    }
    for found in search.found.iter().filter(|found| found.found_in == FoundIn::Retiring) {
        if let Err(failure) = end_retirement(node, key, found, owner) {
            tracing::warn!(
                tablet = %key,
                "the retirement in {} stays as it is: {failure}; the next start ends it",
                found.place()
            );
        }
    }
    let is_done = |disk: &Disk| unrecorded.is_some_and(|entry| entry.disk == disk.index);
    let records = search.damaged_records.iter();
    for disk in records.filter(|disk| disk.index != owner.disk.index && !is_done(disk)) {
        let name = record_name(key);
        let aside = disk.open().and_then(|(root, store)| {
            let what = Quarantined::Record { name: &name };
            Ok(quarantine(root.dir(), &store, &what, "it cannot be read, and the tablet was healed")?)
        });
        match aside {
            Ok(path) => done.push(format!("its damaged record is in {}/{path}", disk.path)),
            Err(failure) => {
                tracing::warn!(tablet = %key, disk = disk.path, "its damaged record stays: {failure}");
            }
        }
    }
    done
}

/// Ends a retirement that was cut short: taken back where its directory owns the tablet again, and else gone on with.
fn end_retirement(node: &Node, key: TabletKey, found: &Found, owner: &Brought) -> Result<(), Failure> {
    let (disk, shard) = (&found.disk, found.record.shard_id);
    let (Some(entry), Some(moved_to)) = (&found.entry, owner.disk.reference()) else { return Ok(()) };
    let barrier = SharedBarrier::new(disk);
    let (root, _) = disk.open()?;
    let _call = disk.enter("ending a retirement");
    root.check_identity()?;
    if disk.index == owner.disk.index && shard == owner.record.shard_id {
        take_retirement_back(root.dir(), entry, key)?;
    } else {
        let note = ledger::retired_note(node, key, shard, moved_to, owner.record.generation);
        ensure_note(root.dir(), &note, entry)?;
        finish_retiring(root.dir(), &note, entry)?;
    }
    Ok(barrier.sync().inspect_err(|error| note_storage_error(disk, &error.clone().into()))?)
}

/// Sets the directory of a tablet aside whose record is damaged or gone, and that record too.
fn set_files_aside(
    key: TabletKey,
    disk: &Arc<Disk>,
    shard: ShardId,
    owner: &Brought,
) -> Result<Option<String>, Failure> {
    let barrier = SharedBarrier::new(disk);
    let (root, store) = disk.open()?;
    let _call = disk.enter("setting a copy aside");
    root.check_identity()?;
    let is_owners_disk = disk.index == owner.disk.index;
    let is_there = root.dir().kind(tablet_dir(shard, key))?.is_some();
    let why = "its record cannot be read, and the tablet was healed from another copy";
    let what = match is_owners_disk {
        true if !is_there || shard == owner.record.shard_id => return Ok(None),
        true => Quarantined::Files { shard, key, record: None },
        false => Quarantined::Tablet { shard, key },
    };
    let path = quarantine(root.dir(), &store, &what, why)?;
    barrier.sync()?;
    disk.note_something_aside();
    Ok(Some(path))
}

fn settle(
    node: &Node,
    key: TabletKey,
    found: &Found,
    judged: Judged,
    owner: &Brought,
) -> Result<Option<String>, Failure> {
    let disk = &found.disk;
    let is_owners_disk = disk.index == owner.disk.index;
    if is_owners_disk && found.record.shard_id == owner.record.shard_id {
        return Ok(None);
    }
    let barrier = SharedBarrier::new(disk);
    let (root, store) = disk.open()?;
    let _call = disk.enter("setting a copy aside");
    root.check_identity()?;
    let why = match judged {
        Judged::Damaged => "it is damaged, and the tablet was healed from another copy",
        Judged::Untried => "it is older, and the tablet was healed from another copy",
    };
    let done: Result<Option<String>, StorageError> = match judged {
        // Its record was replaced at the commit.
        _ if is_owners_disk => match root.dir().kind(tablet_dir(found.record.shard_id, key)) {
            Ok(None) => remove_empty_parents(root.dir(), found.record.shard_id, key)
                .map(|()| None)
                .map_err(Into::into),
            Ok(Some(_)) => {
                let (shard, record) = (found.record.shard_id, Some(&found.record));
                let what = Quarantined::Files { shard, key, record };
                quarantine(root.dir(), &store, &what, why).map(Some)
            }
            Err(error) => Err(error.into()),
        },
        Judged::Damaged => {
            let what = Quarantined::Tablet { shard: found.record.shard_id, key };
            quarantine(root.dir(), &store, &what, why).map(Some)
        }
        Judged::Untried => owner.disk.reference().map_or(Ok(None), |moved_to| {
            let shard = found.record.shard_id;
            let note = ledger::retired_note(node, key, shard, moved_to, owner.record.generation);
            retire(root.dir(), &store, &note).map(Some)
        }),
    };
    let path = done.and_then(|path| Ok(barrier.sync().map(|()| path)?)).map_err(|error| {
        note_storage_error(disk, &error);
        Failure::from(error)
    })?;
    if path.is_some() && judged == Judged::Damaged {
        Counts::add(&node.counts.quarantined);
    }
    disk.note_something_aside();
    Ok(path)
}
