//! Quarantine: what is in it, and the way out. What goes in is decided where it is found wrong; nothing leaves by itself,
//! and what may be the last copy of a tablet only when an operator says that aloud.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::operations;
use crate::engine::parts::disk::{Disk, stay, visit};
use crate::engine::parts::operation_book::{NewOperation, Operation};
use crate::engine::parts::purging::GONE;
use crate::engine::tend::trash;
use crate::engine::view::operations::{OperationView, PurgeQuarantine, QuarantineFilter, QuarantineView};
use crate::engine::view::{Page, page_limit};
use crate::model::{ErrorCode, Failure, OperationItem, OperationKind, TabletKey, quoted};
use crate::rules::trash::LastCopy;
use crate::storage::layout::{QUARANTINE, parse_trash_entry_name};
use crate::storage::{Salvaged, purge_quarantined, quarantine_entries, read_quarantined};

/// How long a look may take, and the removal of one entry.
const LOOK_WAIT: Duration = Duration::from_secs(20);
const REMOVE_WAIT: Duration = Duration::from_secs(24 * 3600);

/// One page of what is in quarantine, oldest first on each disk. Without `tablet_id` nothing is looked into that is not on
/// the page.
///
/// # Errors
/// `DISK_NOT_FOUND`; the one disk that is named did not answer.
pub(crate) fn list(node: &Node, filter: &QuarantineFilter) -> Result<Page<QuarantineView>, Failure> {
    let limit = page_limit(filter.limit);
    let after = match &filter.after {
        Some(marker) => Some((node.find_disk(&marker.disk)?.index, parse_trash_entry_name(&marker.entry))),
        None => None,
    };
    let mut page = Page { total: 0, items: Vec::new() };
    for (disk, names) in entries(node, filter.disk.as_deref())? {
        if filter.tablet_id.is_none() {
            page.total += names.len() as u64;
        }
        for name in &names {
            if after.is_some_and(|after| (disk.index, parse_trash_entry_name(name)) <= after) {
                continue;
            }
            let is_full = page.items.len() >= limit;
            let Some(id) = filter.tablet_id else {
                if is_full {
                    break;
                }
                page.items.extend(look(&disk, name));
                continue;
            };
            let Some(view) = look(&disk, name).filter(|view| view.is_of(id)) else { continue };
            page.total += 1;
            if !is_full {
                page.items.push(view);
            }
        }
    }
    Ok(page)
}

/// One entry.
///
/// # Errors
/// `DISK_NOT_FOUND`, `QUARANTINE_NOT_FOUND`; the disk did not answer.
pub(crate) fn show(node: &Node, disk: &str, entry: &str) -> Result<QuarantineView, Failure> {
    let disk = node.find_disk(disk)?;
    let is_named = parse_trash_entry_name(entry).is_some();
    let found = if is_named { look_into(disk, entry)? } else { None };
    found.ok_or_else(|| {
        let text = format!(
            "no entry {1} is in quarantine on {0}; tabletctl quarantine list --disk {0} shows them",
            disk.path,
            quoted(entry)
        );
        Failure::new(ErrorCode::QuarantineNotFound, text)
    })
}

/// A disk, and the names of entries of its quarantine.
type Entries = (Arc<Disk>, Vec<String>);

/// The tablet in an entry that can be brought back as it is.
///
/// # Errors
/// `RECORD_DAMAGED`: it has no good record, or no files.
pub(crate) fn restorable(view: &QuarantineView) -> Result<TabletKey, Failure> {
    refuse_salvaged(view)?;
    view.key.filter(|_| view.has_files && view.generation.is_some()).ok_or_else(|| {
        let text = format!(
            "{0} holds no tablet with a good record ({1}); with its header, its files are taken in by tabletctl tablet \
             adopt {0} --header FILE",
            view.path, view.reason
        );
        Failure::new(ErrorCode::RecordDamaged, text)
    })
}

/// What was salvaged is never served: some of it is not there.
///
/// # Errors
/// `SOURCE_DAMAGED`.
pub(crate) fn refuse_salvaged(view: &QuarantineView) -> Result<(), Failure> {
    if !view.is_salvaged {
        return Ok(());
    }
    let text = format!(
        "{} is a salvage ({}): it is never served; copy single files out of it, tabletctl quarantine show {} --disk {} lists \
         what they lack",
        view.path, view.reason, view.entry, view.disk
    );
    Err(Failure::new(ErrorCode::SourceDamaged, text))
}

/// All entries of each readable disk, oldest first. A disk that does not answer hides nothing of the others.
fn entries(node: &Node, only: Option<&str>) -> Result<Vec<Entries>, Failure> {
    let hang_after = node.hang_after();
    let only = only.map(|path| node.find_disk(path)).transpose()?;
    let mut found = Vec::new();
    for disk in node.shown_disks() {
        let is_wanted = only.is_none_or(|only| only.index == disk.index);
        if !is_wanted || !disk.condition(hang_after).is_readable() {
            continue;
        }
        match visit(disk, LOOK_WAIT, |root, _| Ok(quarantine_entries(root.dir())?)) {
            Ok(names) => found.push((Arc::clone(disk), names)),
            Err(failure) if only.is_some() => return Err(failure),
            Err(failure) => tracing::warn!(disk = disk.path, "its quarantine cannot be read: {failure}"),
        }
    }
    Ok(found)
}

/// One that cannot be read is shown as that; one that is gone is not.
fn look(disk: &Arc<Disk>, entry: &str) -> Option<QuarantineView> {
    look_into(disk, entry)
        .unwrap_or_else(|failure| Some(QuarantineView::unreadable(&disk.path, entry, &failure)))
}

fn look_into(disk: &Arc<Disk>, entry: &str) -> Result<Option<QuarantineView>, Failure> {
    let (path, name) = (disk.path.clone(), entry.to_owned());
    let found = visit(disk, LOOK_WAIT, move |root, _| Ok(read_quarantined(root.dir(), &name)?))?;
    Ok(found.map(|item| QuarantineView {
        path: format!("{path}/{QUARANTINE}/{}", item.entry),
        disk: path,
        entry: item.entry,
        is_salvaged: item.salvaged != Salvaged::No,
        reason: item.reason.unwrap_or_else(|| "its reason cannot be read".to_owned()),
        key: item.key,
        generation: item.record.map(|record| record.generation),
        has_files: item.files.is_some(),
        file_count: item.file_count,
        size_bytes: item.size_bytes,
        salvaged: item.salvaged.receipt().cloned(),
    }))
}

/// Removes for good what is named.
///
/// # Errors
/// `DISK_NOT_FOUND`; as [`operations::begin`].
pub(crate) fn purge(node: &Arc<Node>, request: &PurgeQuarantine) -> Result<OperationView, Failure> {
    if let Some(path) = &request.disk {
        node.find_disk(path)?;
    }
    let new = NewOperation {
        kind: OperationKind::PurgeQuarantine,
        subject: request.to_string(),
        requested_by: request.requested_by.clone(),
        claims: None,
    };
    let request = request.clone();
    operations::begin(node, &new, move |node, operation| purge_chosen(node, operation, &request))
}

fn purge_chosen(
    node: &Arc<Node>,
    operation: &Operation,
    request: &PurgeQuarantine,
) -> Result<String, Failure> {
    let (mut purged, mut kept) = (0_u64, 0_u64);
    let chosen = walk_chosen(node, request, |disk, view| {
        operation.checkpoint()?;
        operation.expect(1);
        let outcome = purge_one(node, operation, disk, &view, request.last_copy);
        *(if outcome.is_ok() { &mut purged } else { &mut kept }) += 1;
        if outcome.is_ok() {
            tracing::warn!(disk = disk.path, entry = view.entry, "purged from quarantine: {}", view.reason);
        }
        operation.done_with(OperationItem {
            key: view.key,
            disk: view.disk,
            entry: Some(view.entry),
            size_bytes: view.size_bytes,
            outcome,
        });
        Ok(())
    })?;
    match chosen {
        0 => Err(Failure::new(ErrorCode::QuarantineNotFound, format!("there is no {request}"))),
        _ => Ok(format!("{purged} purged, {kept} kept")),
    }
}

/// Shows `each` what is named, one at a time; says how many there were.
fn walk_chosen(
    node: &Node,
    request: &PurgeQuarantine,
    mut each: impl FnMut(&Arc<Disk>, QuarantineView) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut count = 0;
    for (disk, names) in entries(node, request.disk.as_deref())? {
        let names = names.iter().filter(|name| request.entry.as_ref().is_none_or(|entry| entry == *name));
        for name in names {
            let Some(view) = look(&disk, name) else { continue };
            if request.tablet_id.is_none_or(|id| view.is_of(id)) {
                count += 1;
                each(&disk, view)?;
            }
        }
    }
    Ok(count)
}

fn purge_one(
    node: &Arc<Node>,
    operation: &Operation,
    disk: &Arc<Disk>,
    view: &QuarantineView,
    last_copy: LastCopy,
) -> Result<(), String> {
    if disk.is_read_only() {
        return Err(format!("{} is read-only", disk.path));
    }
    let what = format!("{QUARANTINE}/{}", view.entry);
    let _claim = disk.purging.claim(what.clone())?;
    // What says of no tablet that it is its copy is nobody's last one.
    if let (Some(key), LastCopy::Keep) = (view.key, last_copy) {
        trash::is_superfluous(node, key, view.generation, Some(operation)).map_err(|why| {
            format!("it may be the last copy of tablet {key}: {why}; --last-copy removes it")
        })?;
    }
    let (own, entry) = (Arc::clone(disk), view.entry.clone());
    let removed = stay(disk, REMOVE_WAIT, move |root, _| {
        root.check_identity()?;
        if root.dir().kind(&what)?.is_none() {
            return Err(Failure::new(ErrorCode::QuarantineNotFound, GONE));
        }
        purge_quarantined(root.dir(), &entry, &|| own.enter("unlink"))?;
        own.space.measure(root)?;
        Ok(())
    });
    removed.map_err(|failure| failure.message)
}
