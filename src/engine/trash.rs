//! The trash: what is in it, when it goes, and the way back.
//!
//! A tablet leaves the trash for good only after its live copy was read past the page cache, whole and right.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::catalog::Entry;
use super::disk::{Disk, visit};
use super::flush::SharedBarrier;
use super::job::now_ms;
use super::node::{Counts, Node};
use super::view::{PurgeOutcome, PurgeSelect, TabletView, TrashView};
use crate::model::{ErrorCode, Failure, TabletKey, TabletRecord};
use crate::rules::recovery::Unavailable;
use crate::rules::trash::{TrashFacts, TrashLimits, kept_because};
use crate::storage::layout::tablet_dir;
use crate::storage::{
    Barrier, MetadataStore, NativeStore, Owner, Purpose, Root, StagedRecord, Staging, TrashItem, is_placed,
    list_trash, open_trashed, purge_entry,
};
use crate::transfer::{CheckRequest, CopyHooks, CopyOptions, Traffic, verify_files};

/// How long a listing may take.
const LIST_WAIT: Duration = Duration::from_secs(20);
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
        size_bytes: item.record.as_ref().map_or(0, |record| record.manifest.total_bytes()),
        generation: item.record.as_ref().map(|record| record.generation),
        moved_to: item.note.as_ref().map(|note| note.moved_to.path.clone()),
        migration_id: item.note.as_ref().and_then(|note| note.migration_id),
        retired_ms: item.note.as_ref().map(|note| note.retired_ms),
        kept_because: why_kept(node, disk, item).unwrap_or_else(|| "due".to_owned()),
    }
}

/// Trash of the readable disks that `wanted` chooses, oldest first per disk.
fn items(node: &Node, wanted: impl Fn(&Disk) -> bool) -> Result<Vec<(Arc<Disk>, TrashItem)>, Failure> {
    let mut all = Vec::new();
    let hang_after = node.hang_after();
    for disk in node.disks.iter().filter(|disk| wanted(disk) && disk.condition(hang_after).is_readable()) {
        let found = visit(disk, LIST_WAIT, |root, _| Ok(list_trash(root.dir())?))?;
        all.extend(found.into_iter().map(|item| (Arc::clone(disk), item)));
    }
    Ok(all)
}

/// Everything in trash.
pub(super) fn list(node: &Node) -> Result<Vec<TrashView>, Failure> {
    Ok(items(node, |_| true)?.iter().map(|(disk, item)| view(node, disk, item)).collect())
}

/// What is in the trash of one disk.
pub(super) fn list_on(node: &Node, wanted: &Disk) -> Result<Vec<TrashView>, Failure> {
    let found = items(node, |disk| disk.index == wanted.index)?;
    Ok(found.iter().map(|(disk, item)| view(node, disk, item)).collect())
}

/// Purges what is due. Runs in the sweeper's thread; a failure is a line in the log and another try later.
pub(super) fn sweep(node: &Arc<Node>) {
    let due = match items(node, |_| true) {
        Ok(items) => items,
        Err(failure) => return tracing::warn!("sweeping the trash: {failure}"),
    };
    for (disk, item) in due.iter().filter(|(disk, item)| why_kept(node, disk, item).is_none()) {
        if node.is_stopping() {
            return;
        }
        match purge_one(node, disk, item) {
            Ok(()) => {
                tracing::info!(tablet = %item.key, disk = disk.path, entry = item.entry, "purged from trash");
            }
            Err(why) => {
                tracing::warn!(tablet = %item.key, disk = disk.path, entry = item.entry, "kept in trash: {why}");
            }
        }
    }
}

/// Purges what an operator names, whatever its age. The cold check of the live copy is made all the same.
pub(super) fn purge(node: &Arc<Node>, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> {
    if let Some(path) = &select.disk
        && node.disk_at(path).is_none()
    {
        return Err(Failure::new(ErrorCode::DiskNotFound, format!("no configured disk is written {path:?}")));
    }
    let chosen = items(node, |disk| select.disk.as_ref().is_none_or(|path| *path == disk.path))?;
    let chosen: Vec<_> = chosen
        .into_iter()
        .filter(|(_, item)| select.entry.as_ref().is_none_or(|entry| *entry == item.entry))
        .filter(|(_, item)| select.tablet_id.is_none_or(|id| id == item.key.tablet_id))
        .collect();
    Ok(chosen
        .iter()
        .map(|(disk, item)| PurgeOutcome {
            item: view(node, disk, item),
            outcome: if select.dry_run {
                live_copy(node, item).map(drop)
            } else {
                purge_one(node, disk, item)
            },
        })
        .collect())
}

/// The owner of the tablet that makes this trash superfluous.
fn live_copy(node: &Node, item: &TrashItem) -> Result<Arc<Disk>, String> {
    let catalog = node.catalog();
    let owner = catalog.get(item.key).ok_or("the tablet has no live copy; restore it, or keep this")?;
    let newer = item.record.as_ref().is_none_or(|record| record.generation < owner.generation);
    newer.then(|| Arc::clone(node.disk(owner.disk))).ok_or_else(|| {
        format!("the live copy has generation {}, which is not newer than this", owner.generation)
    })
}

fn purge_one(node: &Arc<Node>, disk: &Arc<Disk>, item: &TrashItem) -> Result<(), String> {
    let owner = live_copy(node, item)?;
    let (key, at) = (item.key, Arc::clone(node));
    visit(&owner, READ_WAIT, move |root, store| check_cold(&at, root, store, key))
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
    let bytes = item.record.as_ref().map_or(0, |record| record.manifest.total_bytes());
    let _ = disk
        .trash_bytes
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(bytes)));
    Ok(())
}

/// Reads a live tablet past the page cache and compares it with its manifest.
fn check_cold(node: &Node, root: &Root, store: &NativeStore, key: TabletKey) -> Result<(), Failure> {
    let record = store.get(key)?.ok_or_else(|| {
        Failure::new(ErrorCode::RecordDamaged, format!("the metadata record of {key} is gone"))
    })?;
    let dir = root.dir().open(tablet_dir(record.shard_id, key))?;
    verify(node, &dir, &record)
}

fn verify(node: &Node, dir: &crate::storage::Dir, record: &TabletRecord) -> Result<(), Failure> {
    verify_files(&CheckRequest {
        dir,
        manifest: &record.manifest,
        options: &CopyOptions { threads: 1, ..node.copy_options() },
        budget: &node.budget,
        hooks: &Quiet(node),
    })
    .map(drop)
}

/// The owner of a check that nobody follows: it only stops when the daemon does, and keeps to the node's limit.
struct Quiet<'a>(&'a Node);

impl CopyHooks for Quiet<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        let stopping = || Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping");
        if self.0.is_stopping() { Err(stopping()) } else { Ok(()) }
    }

    fn take(&self, _: Traffic, bytes: u64, go_on: &dyn Fn() -> Result<(), Failure>) -> Result<(), Failure> {
        self.0.limiter.take(bytes, go_on).map(drop)
    }

    fn log(&self, text: String) {
        tracing::debug!("{text}");
    }
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
    let newest = items(node, |_| true)?
        .into_iter()
        .filter(|(_, item)| item.key == key && entry.is_none_or(|entry| entry == item.entry))
        .filter_map(|(disk, item)| {
            let record = item.record.clone()?;
            Some((
                record.generation,
                crate::storage::layout::parse_trash_entry_name(&item.entry),
                disk,
                item,
                record,
            ))
        })
        .max_by_key(|(generation, age, ..)| (*generation, *age));
    let Some((_, _, disk, item, record)) = newest else {
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
    let summary = visit(&disk, READ_WAIT, move |root, store| {
        let record = TabletRecord { generation, ..record };
        bring_back(&at, &owned, root, store, &item, record, reference)
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
    verify(node, staging.files(), staged.record())?;
    staged.check()?;
    staging.place(root.dir())?;
    barrier.sync()?;
    root.check_identity()?;
    store.commit(&staged, &barrier)?;
    let summary = staged.record().summary();
    staging.remove()?;
    Ok(summary)
}
