//! The trash: what is in it, and when it goes.
//!
//! A tablet leaves the trash for good only after its live copy was read past the page cache, whole and right.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::engine::damage::note_failed_read;
use crate::engine::look::reading::{Reading, open_tablet, read_record};
use crate::engine::look::trash::{generation_of, live_copy, walk, walk_selected, why_kept};
use crate::engine::node::Node;
use crate::engine::operations;
use crate::engine::parts::counts::Counts;
use crate::engine::parts::disk::{Disk, stay};
use crate::engine::parts::operation_book::{NewOperation, Operation, Stopper};
use crate::engine::parts::purging::GONE;
use crate::engine::view::operations::OperationView;
use crate::engine::view::trash::PurgeSelect;
use crate::model::{ErrorCode, Failure, OperationItem, OperationKind, TabletKey};
use crate::storage::layout::TRASH;
use crate::storage::{TrashItem, purge_entry};
use crate::transfer::{CheckRequest, CopyOptions, verify_files};

/// How long reading a whole tablet may take.
const READ_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Purges what is due. Runs in the sweeper's thread; a failure is a line in the log and another try later.
pub(crate) fn sweep(node: &Arc<Node>) {
    // Each disk for itself: one that cannot be read keeps no other one full.
    for own in node.disks.iter().filter(|disk| !disk.is_read_only()) {
        let swept = walk(
            node,
            |disk| disk.index == own.index,
            |_| true,
            |disk, item| {
                if node.is_stopping() {
                    return ControlFlow::Break(());
                }
                if why_kept(node, disk, &item).is_none() {
                    let (tablet, entry) = (item.key, &item.entry);
                    match purge_one(node, disk, &item, None) {
                        Ok(()) => tracing::info!(%tablet, disk = disk.path, entry, "purged from trash"),
                        Err(why) => tracing::warn!(%tablet, disk = disk.path, entry, "kept in trash: {why}"),
                    }
                }
                ControlFlow::Continue(())
            },
        );
        if let Err(failure) = swept {
            tracing::warn!(disk = own.path, "sweeping the trash: {failure}");
        }
    }
}

/// Purges what an operator names, whatever its age. The cold check of the live copy is made all the same.
///
/// # Errors
/// `DISK_NOT_FOUND`; as [`operations::begin`].
pub(crate) fn purge(
    node: &Arc<Node>,
    select: &PurgeSelect,
    requested_by: &str,
) -> Result<OperationView, Failure> {
    if let Some(path) = &select.disk {
        node.find_disk(path)?;
    }
    let new = NewOperation {
        kind: OperationKind::PurgeTrash,
        subject: select.to_string(),
        requested_by: requested_by.to_owned(),
        claims: None,
    };
    let select = select.clone();
    operations::begin(node, &new, move |node, operation| purge_selected(node, operation, &select))
}

fn purge_selected(node: &Arc<Node>, operation: &Operation, select: &PurgeSelect) -> Result<String, Failure> {
    let mut stopped = Ok(());
    let (mut purged, mut kept) = (0_u64, 0_u64);
    walk_selected(node, select, |disk, item| {
        stopped = operation.checkpoint();
        if stopped.is_err() {
            return ControlFlow::Break(());
        }
        operation.expect(1);
        let outcome = purge_one(node, disk, &item, Some(operation));
        *(if outcome.is_ok() { &mut purged } else { &mut kept }) += 1;
        operation.done_with(OperationItem {
            key: Some(item.key),
            disk: disk.path.clone(),
            entry: Some(item.entry.clone()),
            size_bytes: item.header.map_or(0, |header| header.size_bytes),
            outcome,
        });
        ControlFlow::Continue(())
    })?;
    stopped?;
    Ok(format!("{purged} purged, {kept} kept"))
}

/// Whether a copy is not needed: the tablet has a live one of a higher generation, which is read past the page cache.
///
/// # Errors
/// In words: why it may be needed.
pub(crate) fn is_superfluous(
    node: &Arc<Node>,
    key: TabletKey,
    generation: Option<u64>,
    operation: Option<&Operation>,
) -> Result<(), String> {
    let owner = live_copy(node, key, generation)?;
    check_cold(node, &owner, key, operation)
        .map_err(|failure| format!("its live copy did not pass a cold check: {failure}"))
}

fn purge_one(
    node: &Arc<Node>,
    disk: &Arc<Disk>,
    item: &TrashItem,
    operation: Option<&Operation>,
) -> Result<(), String> {
    if disk.is_read_only() {
        return Err(format!("{} is read-only", disk.path));
    }
    let (entry, own, key) = (item.entry.clone(), Arc::clone(disk), item.key);
    let what = format!("{TRASH}/{entry}/{}/{}", key.tablet_id, key.schema_hash);
    let _claim = disk.purging.claim(what.clone())?;
    is_superfluous(node, key, generation_of(item), operation)?;
    // Each removal is a call of its own: many files take long on a disk in good health.
    stay(disk, READ_WAIT, move |root, _| {
        root.check_identity()?;
        if root.dir().kind(&what)?.is_none() {
            return Err(Failure::new(ErrorCode::TrashNotFound, GONE));
        }
        purge_entry(root.dir(), &entry, key, &|| own.enter("unlink"))?;
        // A plan that is made next may count on the room.
        own.space.measure(root)?;
        Ok(())
    })
    .map_err(|failure| failure.message)?;
    Counts::add(&node.counts.purged);
    let bytes = item.header.map_or(0, |header| header.size_bytes);
    let _ = disk
        .trash_bytes
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(bytes)));
    Ok(())
}

/// Reads a live tablet past the page cache and compares it with its manifest. What is found wrong is known from then on.
fn check_cold(
    node: &Arc<Node>,
    disk: &Arc<Disk>,
    key: TabletKey,
    operation: Option<&Operation>,
) -> Result<(), Failure> {
    let (at, on) = (Arc::clone(node), Arc::clone(disk));
    let stop = operation.map(Operation::stopper);
    let checked = stay(disk, READ_WAIT, move |root, store| {
        let record = read_record(store, key)?;
        let stop = || stop.as_ref().map_or(Ok(()), Stopper::check);
        verify_files(&CheckRequest {
            dir: &open_tablet(root, &record)?,
            manifest: &record.manifest,
            options: &CopyOptions { threads: 1, ..at.copy_options() },
            budget: &at.budget,
            hooks: &Reading {
                node: &at,
                disk: &on,
                bytes: &AtomicU64::new(0),
                stop: Some(&stop),
                count: None,
            },
        })
        .map(drop)
    });
    checked.inspect_err(|failure| note_failed_read(node, key, disk, failure))
}
