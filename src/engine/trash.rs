//! The trash: what is in it, when it goes, and the way back.
//!
//! A tablet leaves the trash for good only after its live copy was read past the page cache, whole and right.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::catalog::Entry;
use super::disk::{Disk, note_storage_error, stay, visit};
use super::flush::SharedBarrier;
use super::job::now_ms;
use super::node::{Counts, Node};
use super::query::{PAGE_DEFAULT, read_record};
use super::verify::{Reading, open_tablet};
use super::view::{Page, PurgeOutcome, PurgeSelect, TabletView, TrashFilter, TrashView};
use crate::model::{ErrorCode, Failure, MigrationId, TabletKey, TabletRecord};
use crate::rules::recovery::Unavailable;
use crate::rules::trash::{TrashFacts, TrashLimits, kept_because};
use crate::storage::layout::{TRASH, parse_trash_entry_name};
use crate::storage::{
    Barrier, Dir, MetadataStore, NativeStore, Owner, Purpose, Root, StagedRecord, Staging, TrashItem,
    is_placed, open_trashed, purge_entry, read_entry, read_trashed_record, trash_entries,
};
use crate::transfer::{CheckRequest, CopyOptions, verify_files};

/// How long a listing may take.
const LIST_WAIT: Duration = Duration::from_secs(20);
/// Entries that are looked at in one visit: on a disk that seeks, a few seconds.
const ENTRIES_PER_VISIT: usize = 64;
/// How long reading a whole tablet may take.
const READ_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Share of a disk in use, percent.
pub(super) fn used_percent(disk: &Disk) -> u64 {
    let capacity = disk.capacity();
    (capacity.used_bytes() * 100).checked_div(capacity.total_bytes).unwrap_or(0)
}

fn limits(node: &Node) -> TrashLimits {
    let config = node.config();
    TrashLimits {
        expire_sec: i64::from(config.trash_file_expire_time_sec),
        uptime_sec: u64::from(config.trash_min_uptime_sec),
        // Doris: the limit counts as 0 above nine tenths of the flood stage.
        pressure_percent: u64::from(config.storage_flood_stage_usage_percent) * 9 / 10,
    }
}

fn why_kept(node: &Node, disk: &Disk, item: &TrashItem) -> Option<String> {
    let Some(note) = &item.note else {
        return Some("not retired by this daemon; only an operator purges it".to_owned());
    };
    let facts = TrashFacts {
        age_sec: (now_ms() - note.retired_ms) / 1000,
        retired_at_uptime_sec: note.uptime_sec,
        now_uptime_sec: node.uptime_sec.load(Ordering::Relaxed),
        used_percent: used_percent(disk),
    };
    kept_because(facts, limits(node))
}

fn view(node: &Node, disk: &Disk, item: &TrashItem) -> TrashView {
    TrashView {
        disk: disk.path.clone(),
        entry: item.entry.clone(),
        key: item.key,
        size_bytes: item.header.map_or(0, |header| header.size_bytes),
        generation: item.header.map(|header| header.generation),
        moved_to: item.note.as_ref().map(|note| note.moved_to.path.clone()),
        migration_id: item.note.as_ref().and_then(|note| note.migration_id),
        retired_ms: item.note.as_ref().map(|note| note.retired_ms),
        kept_because: why_kept(node, disk, item).unwrap_or_else(|| "due".to_owned()),
    }
}

/// A disk, and the names of entries of its trash.
type Entries = (Arc<Disk>, Vec<String>);

/// All entries of each readable disk that `wanted` chooses, oldest first.
fn entries(node: &Node, wanted: impl Fn(&Disk) -> bool) -> Result<Vec<Entries>, Failure> {
    let hang_after = node.hang_after();
    let disks = node.disks.iter().filter(|disk| wanted(disk) && disk.condition(hang_after).is_readable());
    disks
        .map(|disk| {
            let names = visit(disk, LIST_WAIT, |root, _| Ok(trash_entries(&root.dir().open(TRASH)?)?))?;
            Ok((Arc::clone(disk), names))
        })
        .collect()
}

/// Shows `each` what is in these entries until it breaks off. A few entries at a time: a million of them are neither
/// held in memory, nor take a disk that seeks long enough to look hung.
fn read_entries(
    disk: &Arc<Disk>,
    names: &[String],
    each: &mut impl FnMut(&Arc<Disk>, TrashItem) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Failure> {
    for some in names.chunks(ENTRIES_PER_VISIT) {
        let some = some.to_vec();
        let found = visit(disk, LIST_WAIT, move |root, _| {
            let trash = root.dir().open(TRASH)?;
            let items = some.iter().map(|entry| read_entry(&trash, entry));
            Ok(items.collect::<Result<Vec<_>, _>>()?)
        })?;
        if found.into_iter().flatten().try_for_each(|item| each(disk, item)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Shows `each` what is in the chosen entries of the wanted disks until it breaks off.
pub(super) fn walk(
    node: &Node,
    wanted: impl Fn(&Disk) -> bool,
    chosen: impl Fn(&str) -> bool,
    mut each: impl FnMut(&Arc<Disk>, TrashItem) -> ControlFlow<()>,
) -> Result<(), Failure> {
    for (disk, mut names) in entries(node, wanted)? {
        names.retain(|name| chosen(name));
        if read_entries(&disk, &names, &mut each)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// One page of what is in trash.
pub(super) fn list(node: &Node, filter: &TrashFilter) -> Result<Page<TrashView>, Failure> {
    let limit = if filter.limit == 0 { PAGE_DEFAULT } else { filter.limit };
    let only = filter.disk.as_ref().map(|path| node.find_disk(path)).transpose()?;
    let after = match &filter.after {
        Some(marker) => Some((node.find_disk(&marker.disk)?.index, parse_trash_entry_name(&marker.entry))),
        None => None,
    };
    let mut page = Page { total: 0, items: Vec::new() };
    for (disk, mut names) in entries(node, |disk| only.is_none_or(|only| only.index == disk.index))? {
        if filter.tablet_id.is_none() {
            page.total += names.len() as u64;
        }
        names.retain(|name| after.is_none_or(|after| (disk.index, parse_trash_entry_name(name)) > after));
        let mut last = None;
        // Where it breaks off, the page is full, and only the names on the other disks are left to count.
        let _ = read_entries(&disk, &names, &mut |disk, item| {
            // The marker is an entry: one with several tablets is never divided between two pages.
            let full = page.items.len() >= limit && last.as_ref() != Some(&item.entry);
            match filter.tablet_id {
                Some(id) if id != item.key.tablet_id => return ControlFlow::Continue(()),
                Some(_) => page.total += 1,
                None if full => return ControlFlow::Break(()),
                None => {}
            }
            if !full {
                page.items.push(view(node, disk, &item));
                last = Some(item.entry);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(page)
}

/// Whether the trash of a disk still has what a migration retired.
pub(super) fn holds(node: &Node, source: &Disk, id: MigrationId) -> Result<bool, Failure> {
    let mut found = false;
    walk(
        node,
        |disk| disk.index == source.index,
        |_| true,
        |_, item| {
            found = item.note.is_some_and(|note| note.migration_id == Some(id));
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    )?;
    Ok(found)
}

/// Purges what is due. Runs in the sweeper's thread; a failure is a line in the log and another try later.
pub(super) fn sweep(node: &Arc<Node>) {
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
                    match purge_one(node, disk, &item) {
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
pub(super) fn purge(node: &Arc<Node>, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> {
    let only = select.disk.as_ref().map(|path| node.find_disk(path)).transpose()?;
    let mut outcomes = Vec::new();
    let on = |disk: &Disk| only.is_none_or(|only| only.index == disk.index);
    let in_entry = |name: &str| select.entry.as_ref().is_none_or(|entry| entry == name);
    walk(node, on, in_entry, |disk, item| {
        if select.tablet_id.is_none_or(|id| id == item.key.tablet_id) {
            let outcome = match select.dry_run {
                true => live_copy(node, &item).map(drop),
                false => purge_one(node, disk, &item),
            };
            outcomes.push(PurgeOutcome { item: view(node, disk, &item), outcome });
        }
        ControlFlow::Continue(())
    })?;
    Ok(outcomes)
}

/// The owner of the tablet that makes this trash superfluous.
fn live_copy(node: &Node, item: &TrashItem) -> Result<Arc<Disk>, String> {
    let catalog = node.catalog();
    let owner = catalog.get(item.key).ok_or("the tablet has no live copy; restore it, or keep this")?;
    let on = node.disk(owner.disk);
    if on.is_read_only() {
        return Err(format!(
            "its live copy is on {}, which is read-only: what that shows may not last",
            on.path
        ));
    }
    let newer = item.header.is_none_or(|header| header.generation < owner.generation);
    newer.then(|| Arc::clone(node.disk(owner.disk))).ok_or_else(|| {
        format!("the live copy has generation {}, which is not newer than this", owner.generation)
    })
}

fn purge_one(node: &Arc<Node>, disk: &Arc<Disk>, item: &TrashItem) -> Result<(), String> {
    if disk.is_read_only() {
        return Err(format!("{} is read-only", disk.path));
    }
    let owner = live_copy(node, item)?;
    let (key, at) = (item.key, Arc::clone(node));
    let on = Arc::clone(&owner);
    stay(&owner, READ_WAIT, move |root, store| check_cold(&at, &on, root, store, key))
        .map_err(|failure| format!("its live copy did not pass a cold check: {failure}"))?;
    let (entry, own) = (item.entry.clone(), Arc::clone(disk));
    visit(disk, LIST_WAIT, move |root, _| {
        root.check_identity()?;
        purge_entry(root.dir(), &entry, key)?;
        // A plan that is made next may count on the room.
        own.set_capacity(root.capacity()?);
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

/// Reads a live tablet past the page cache and compares it with its manifest.
fn check_cold(
    node: &Node,
    disk: &Disk,
    root: &Root,
    store: &NativeStore,
    key: TabletKey,
) -> Result<(), Failure> {
    let record = read_record(store, key)?;
    verify(node, disk, &open_tablet(root, &record)?, &record)
}

fn verify(node: &Node, disk: &Disk, dir: &Dir, record: &TabletRecord) -> Result<(), Failure> {
    verify_files(&CheckRequest {
        dir,
        manifest: &record.manifest,
        options: &CopyOptions { threads: 1, ..node.copy_options() },
        budget: &node.budget,
        hooks: &Reading { node, disk, bytes: &AtomicU64::new(0) },
    })
    .map(drop)
}

/// Brings a tablet back: the files get second names in staging, are checked, and are placed and committed like a copy.
/// The trash keeps what it has until it expires.
pub(super) fn restore(node: &Arc<Node>, key: TabletKey, entry: Option<&str>) -> Result<TabletView, Failure> {
    let refuse = |code, why: String| Err(Failure::new(code, why));
    if node.catalog().get(key).is_some() {
        return refuse(ErrorCode::AlreadyOnDisk, format!("tablet {key} exists; there is nothing to restore"));
    }
    // An older copy beside an owner that is only away would be a second owner when it returns.
    if let Some((Unavailable::NewerOnMissingDisk, why)) = node.catalog().unavailability(key) {
        return refuse(ErrorCode::TabletUnavailable, format!("tablet {key} is {why}: bring that disk back"));
    }
    let mut newest: Option<((u64, Option<_>), Arc<Disk>, TrashItem)> = None;
    let chosen = |name: &str| entry.is_none_or(|entry| entry == name);
    walk(
        node,
        |_| true,
        chosen,
        |disk, item| {
            if let Some(header) = item.header.filter(|header| header.key == key) {
                let age = (header.generation, parse_trash_entry_name(&item.entry));
                if newest.as_ref().is_none_or(|(newest, ..)| *newest < age) {
                    newest = Some((age, Arc::clone(disk), item));
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    let Some((_, disk, item)) = newest else {
        return refuse(
            ErrorCode::TrashNotFound,
            format!("no trash of this node has tablet {key} with a good header"),
        );
    };
    let generation = node.catalog().next_generation(key);
    let reference = disk.reference().ok_or_else(|| {
        Failure::new(ErrorCode::DiskUnavailable, format!("disk {} was never opened", disk.path))
    })?;
    let (at, owned) = (Arc::clone(node), Arc::clone(&disk));
    let summary = stay(&disk, READ_WAIT, move |root, store| {
        let record = read_trashed_record(root.dir(), &item)?.ok_or_else(|| {
            Failure::new(ErrorCode::RecordDamaged, format!("the header of {key} in trash cannot be read"))
        })?;
        bring_back(&at, &owned, root, store, &item, TabletRecord { generation, ..record }, reference)
    })?;
    node.catalog_mut().insert(key, Entry::new(disk.index, &summary));
    tracing::info!(tablet = %key, disk = disk.path, "restored from trash with generation {generation}");
    super::query::tablet(node, key).ok_or_else(|| Failure::new(ErrorCode::Internal, "the tablet vanished"))
}

fn bring_back(
    node: &Node,
    disk: &Arc<Disk>,
    root: &Root,
    store: &NativeStore,
    item: &TrashItem,
    record: TabletRecord,
    destination: crate::model::DiskRef,
) -> Result<crate::model::RecordSummary, Failure> {
    let barrier = SharedBarrier::new(disk);
    if store.get(item.key)?.is_some() || is_placed(root.dir(), record.shard_id, item.key)? {
        let why = format!("something of tablet {} stands on {} already", item.key, disk.path);
        return Err(Failure::new(ErrorCode::AlreadyOnDisk, why));
    }
    let owner = Owner {
        purpose: Purpose::Restore,
        migration_id: None,
        key: item.key,
        shard_id: record.shard_id,
        source: None,
        source_shard: None,
        destination,
    };
    let staging = Staging::open_or_create(root.dir(), &format!("restore-{}", item.key), &owner)?;
    let trashed = open_trashed(root.dir(), item)?;
    for file in record.manifest.files() {
        staging.files().unlink(&file.name)?;
        trashed.link(&file.name, staging.files(), &file.name)?;
    }
    let staged = StagedRecord::write(staging.dir(), record)?;
    barrier.sync()?;
    verify(node, disk, staging.files(), staged.record())?;
    staged.check().inspect_err(|error| note_storage_error(disk, error))?;
    staging.place(root.dir())?;
    barrier.sync()?;
    root.check_identity()?;
    store.commit(&staged, &barrier)?;
    let summary = staged.record().summary();
    staging.remove()?;
    Ok(summary)
}
