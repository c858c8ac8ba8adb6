//! A disk that takes its place while the node serves: mounted late, back again, or writable again after it was read-only.
//!
//! It is locked, looked through from end to end and held against the catalog before a byte is written to it: older copies
//! of tablets that live elsewhere are retired (their owner synced first), what nobody serves is settled as at a start,
//! migrations that waited go on. What contradicts a tablet that is served is a refusal with a name: the disk stays as it
//! was, and says why. Which copy owns is decided in [`crate::rules::joining`]; what is staged on it for migrations that
//! have ended is left to a start. Nothing is made at a bare mount point.
//!
//! What such a disk holds is known meanwhile from notes, the journal, and a list per disk in `<state_dir>/last_seen/`,
//! written after a start and at a clean stop.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::ledger;
use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, stay, visit};
use crate::engine::parts::entry::{Entry, Holder};
use crate::engine::parts::job::Job;
use crate::engine::parts::known_disks::KnownDisks;
use crate::engine::parts::probe::probe;
use crate::engine::parts::thread::run_isolated;
use crate::engine::parts::undone::{Action, Left};
use crate::engine::recover::look::{Look, look};
use crate::engine::recover::open::open_beside;
use crate::engine::recover::verdicts::{where_tablet_is, with_verdict};
use crate::engine::tend::{disk_list, marks, unrecorded};
use crate::model::{DiskIndex, DiskUuid, ErrorCode, Failure, RecordSummary, Status, TabletKey};
use crate::rules::joining::{Held, Served, Twin, Verdict, settle_joining};
use crate::rules::recovery::{
    CopyFound, Disks, Known, Ownership, Soundness, Unavailable, settle_migration, settle_ownership,
};
use crate::storage::layout::DISK_FILE;
use crate::storage::{
    Dir, HowToScan, LookForDirectories, MetadataStore, RetiredNote, RootScan, ScanProgress, retire, scan_root,
};

/// How long looking through a disk may take.
const SCAN_WAIT: Duration = Duration::from_secs(24 * 3600);
/// How long one retirement, or the sync of an owner, may take.
const RETIRE_WAIT: Duration = Duration::from_secs(600);
/// What is said of a disk while it is looked through.
const LOOKED_THROUGH: &str = "it is being looked through before anything is written to it";

/// Opens a disk that could not be opened at the start, or was let go of since, if it is there now, and lets it join.
///
/// # Errors
/// Why not, in words; the disk is marked broken with them.
pub(crate) fn join_late(node: &Arc<Node>, disk: &Arc<Disk>) -> Result<(), String> {
    let _one = node.registering();
    if disk.is_forgotten() {
        return Err(disk.condition(Duration::MAX).reason().to_owned());
    }
    if !is_there(disk) {
        return Err(disk.condition(Duration::MAX).reason().to_owned());
    }
    disk.mark_read_only(LOOKED_THROUGH);
    disk.clear_broken();
    let others: Vec<_> = node.shown_disks().filter(|other| other.index != disk.index).cloned().collect();
    let (owned, counts, config) = (Arc::clone(disk), Arc::clone(&node.syncs), node.config().clone());
    let opened = run_isolated("disk-join", move || {
        let configured = others.iter().map(|disk| disk.path.as_str());
        let mut known = KnownDisks::load(&PathBuf::from(&config.state_dir), configured)?;
        known.take_nothing_blank(&owned.path);
        let (scan, opened) = open_beside(&owned, &others, &known, &config, &counts)?;
        known.remember(&owned.path, opened.identity.uuid)?;
        Ok::<_, String>((scan, opened))
    });
    let settled =
        opened.map_err(|failure| failure.message).and_then(|opened| opened).and_then(|(scan, opened)| {
            disk.opened.set(opened)?;
            settle(node, disk, &scan)
        });
    match settled {
        Ok(()) => take_into_service(node, disk).inspect(|()| disk_list::spread(node)),
        Err(why) => {
            disk.mark_broken(why.clone());
            disk.clear_read_only();
            Err(why)
        }
    }
}

/// Whether a root is at the disk's path. Nothing is made, locked or said at a mount point that is still bare.
pub(crate) fn is_there(disk: &Disk) -> bool {
    let at = PathBuf::from(&disk.path);
    let found = run_isolated("disk-join", move || {
        Dir::open_absolute(&at).and_then(|dir| dir.kind(DISK_FILE)).is_ok_and(|kind| kind.is_some())
    });
    found.unwrap_or(false)
}

/// Looks through a disk that was opened before and has been read-only or away since, and takes it back.
///
/// # Errors
/// Why not, in words; its condition is as it was.
pub(crate) fn take_back(node: &Arc<Node>, disk: &Arc<Disk>) -> Result<(), String> {
    let _one = node.registering();
    let scan = stay(disk, SCAN_WAIT, |root, store| {
        root.check_identity()?;
        let how = HowToScan::alone(LookForDirectories::Yes);
        Ok(scan_root(root, store, how, &ScanProgress::default())?)
    });
    settle(node, disk, &scan.map_err(|failure| failure.message)?)?;
    take_into_service(node, disk)
}

/// The first write comes after everything is settled.
fn take_into_service(node: &Arc<Node>, disk: &Arc<Disk>) -> Result<(), String> {
    let own = Arc::clone(disk);
    let probed = visit(disk, RETIRE_WAIT, move |root, _| Ok(probe(&own, root)?));
    // A full disk is no fault: its tablets are served, and it is the one that needs draining.
    probed.or_else(|failure| match failure.code {
        ErrorCode::NoSpace => Ok(()),
        _ => Err(format!("the write probe failed: {failure}")),
    })?;
    marks::restore_service(node, disk);
    disk.clear_broken();
    disk.clear_read_only();
    tracing::warn!(disk = disk.path, "the disk was looked through and takes its place");
    unrecorded::start(node, disk);
    wake_migrations(node, disk);
    node.ring();
    Ok(())
}

/// What is to be done about the tablets of a disk.
#[derive(Default)]
struct Plan {
    /// Owned by these disks from now on.
    own: Vec<(TabletKey, DiskIndex, RecordSummary)>,
    /// Older than the owner on that disk.
    retire: Vec<(RecordSummary, DiskIndex)>,
    /// Served by nobody any more.
    unserve: Vec<(TabletKey, Unavailable, String)>,
}

/// Holds what a scan has found against the catalog, and does what follows from it.
fn settle(node: &Arc<Node>, disk: &Arc<Disk>, scan: &RootScan) -> Result<(), String> {
    let plan = plan(node, disk, scan)?;
    disk.note_scan(scan);
    {
        let mut catalog = node.catalog_mut();
        for (key, generation) in scan.generations_aside() {
            catalog.saw_generation(key, generation);
        }
        for (key, owner, record) in &plan.own {
            if catalog.get(*key).is_none_or(|entry| entry.disk == *owner) {
                let holder = catalog.get(*key).and_then(|entry| entry.holder);
                catalog.insert(*key, Entry { holder, ..Entry::new(*owner, record) });
            }
        }
        for (key, kind, why) in &plan.unserve {
            catalog.set_unavailable(*key, *kind, why.clone());
        }
        if let Some(opened) = disk.opened.get() {
            catalog.is_here(opened.identity.uuid);
        }
    }
    for (key, _, why) in &plan.unserve {
        tracing::error!(tablet = %key, disk = disk.path, "unavailable: {why}");
    }
    let ended: Vec<_> = scan.staging.iter().map(|item| item.name.as_str()).collect();
    if !ended.is_empty() {
        tracing::info!(disk = disk.path, "staged on it, and kept: {}", ended.join(", "));
    }
    retire_old_copies(node, disk, &plan.retire);
    Ok(())
}

/// Decides about every tablet that the disk holds, was served from, or was said to hold.
fn plan(node: &Arc<Node>, disk: &Arc<Disk>, scan: &RootScan) -> Result<Plan, String> {
    let uuid = disk.opened.get().map(|opened| opened.identity.uuid);
    let missing: HashSet<_> = scan.without_directory.iter().collect();
    let mut held: BTreeMap<TabletKey, Option<(RecordSummary, Soundness)>> = BTreeMap::new();
    for (_, key, _) in &scan.damaged {
        held.extend(key.map(|key| (key, None)));
    }
    for record in &scan.records {
        let soundness = if missing.contains(&record.key) { Soundness::Bad } else { Soundness::Good };
        held.insert(record.key, Some((*record, soundness)));
    }
    let mut keys: BTreeSet<TabletKey> = held.keys().copied().collect();
    {
        let catalog = node.catalog();
        keys.extend(catalog.after(None).filter(|(_, entry)| entry.disk == disk.index).map(|(key, _)| key));
        keys.extend(uuid.into_iter().flat_map(|uuid| catalog.claimed_by(uuid)));
    }
    let mut plan = Plan::default();
    for key in keys {
        let copy = held.get(&key).copied();
        let entry = node.catalog().get(key).copied();
        let Some(entry) = entry else {
            settle_unserved(node, disk, uuid, key, copy.flatten(), &mut plan);
            continue;
        };
        if entry.migration().is_some_and(|id| is_in_doubt(node, id)) {
            continue;
        }
        let found = copy.map(|copy| {
            copy.map_or(Held { generation: 0, soundness: Soundness::Bad }, |(record, soundness)| Held {
                generation: record.generation,
                soundness,
            })
        });
        let served = match entry.disk == disk.index {
            true => Served::Here(entry.generation),
            false => Served::Elsewhere(entry.generation, twin(node, disk, key, &entry, found)),
        };
        match (settle_joining(found, served), copy.flatten()) {
            (Verdict::Own, Some((record, _))) => plan.own.push((key, disk.index, record)),
            (Verdict::Retire, Some((record, _))) => plan.retire.push((record, entry.disk)),
            (Verdict::Unserve, _) => plan.unserve.push((
                key,
                Unavailable::NoGoodCopy,
                format!(
                    "on {}: it was served from there, and its record or its directory is gone",
                    disk.path
                ),
            )),
            (Verdict::Refuse(contradiction), _) => {
                let (served_on, what) = (&node.disk(entry.disk).path, contradiction.as_str());
                return Err(format!(
                    "it is not taken in: tablet {key} {what} (generation {} on {served_on}); a restart of the daemon \
                     settles it",
                    entry.generation
                ));
            }
            _ => {}
        }
    }
    Ok(plan)
}

/// Whether a copy of the owner's generation has the owner's content; only then is it looked at.
fn twin(node: &Node, disk: &Arc<Disk>, key: TabletKey, owner: &Entry, held: Option<Held>) -> Twin {
    if held.is_none_or(|held| held.generation != owner.generation) {
        return Twin::Equal;
    }
    match (look(disk, key), look(node.disk(owner.disk), key)) {
        (Ok(Look::Sound { content_crc32: here, .. }), Ok(Look::Sound { content_crc32: there, .. }))
            if here == there =>
        {
            Twin::Equal
        }
        _ => Twin::Unequal,
    }
}

/// A tablet that nobody serves: the newest good copy of all disks that are here, unless one that is away has a newer one.
fn settle_unserved(
    node: &Arc<Node>,
    disk: &Arc<Disk>,
    uuid: Option<DiskUuid>,
    key: TabletKey,
    copy: Option<(RecordSummary, Soundness)>,
    plan: &mut Plan,
) {
    let (is_known, elsewhere, acknowledged, held_against) = {
        let catalog = node.catalog();
        let is_known = catalog.unavailability(key).is_some();
        let acknowledged = catalog.acknowledged(key, uuid);
        (is_known, catalog.claimed_elsewhere(key, uuid), acknowledged, catalog.held_against(key, None))
    };
    let is_bad = matches!(copy, Some((_, Soundness::Bad)));
    let mut found = Vec::new();
    let mut records = Vec::new();
    let mut note = |on: DiskIndex, record: RecordSummary, soundness, content_crc32| {
        found.push(CopyFound { disk: on, generation: record.generation, soundness, content_crc32 });
        records.push((on, record));
    };
    match (is_known, copy) {
        // The usual case: the disk has the only copy, and nobody else has ever heard of it.
        (false, Some((record, Soundness::Good))) => note(disk.index, record, Soundness::Good, 0),
        (false, _) => {}
        (true, _) => {
            for on in node.shown_disks().filter(|on| on.opened.get().is_some()) {
                if let Ok(Look::Sound { record, content_crc32 }) = look(on, key) {
                    note(on.index, record, Soundness::Good, content_crc32);
                }
            }
        }
    }
    let newest = found.iter().map(|copy| copy.generation).max();
    if held_against > newest {
        // It is known why nobody serves it, and nothing newer has come.
        return;
    }
    let known = Known { elsewhere, acknowledged: None };
    let why = match settle_ownership(&found, known, Disks::SomeMissing) {
        Ownership::Owner { disk: owner, .. } if newest >= acknowledged => {
            plan.own
                .extend(records.iter().find(|(on, _)| *on == owner).map(|(on, record)| (key, *on, *record)));
            return;
        }
        Ownership::Unavailable(Unavailable::NewerOnMissingDisk) => return,
        Ownership::Unavailable(Unavailable::Contradiction) => {
            (Unavailable::Contradiction, "two good copies of one generation differ".to_owned())
        }
        _ if is_bad || acknowledged.is_none() => {
            (Unavailable::NoGoodCopy, format!("on {}: its record or its directory is damaged", disk.path))
        }
        _ => {
            let why = format!(
                "generation {} of it was on {}, and is not there any more",
                acknowledged.unwrap_or(0),
                disk.path
            );
            (Unavailable::NoGoodCopy, why)
        }
    };
    plan.unserve.push((key, why.0, why.1));
}

fn is_in_doubt(node: &Node, id: crate::model::MigrationId) -> bool {
    node.job(id).is_some_and(|job| job.lock().status == Status::Finalizing)
}

/// Retires what is older than the owner, once the owner is synced. What cannot be retired now owns nothing all the same.
fn retire_old_copies(node: &Arc<Node>, disk: &Arc<Disk>, old: &[(RecordSummary, DiskIndex)]) {
    let owners: BTreeSet<DiskIndex> = old.iter().map(|(_, owner)| *owner).collect();
    for owner in owners {
        let on = node.disk(owner);
        let synced = match on.is_read_only() {
            true => Err(format!("{} is read-only", on.path)),
            false => visit(on, RETIRE_WAIT, |root, _| Ok(root.dir().sync_file_system()?))
                .map_err(|failure| failure.message),
        };
        for (record, _) in old.iter().filter(|(_, of)| *of == owner) {
            let done = synced.clone().and_then(|()| retire_one(node, disk, record, owner));
            match (done, note_of(node, record, owner)) {
                (Ok(path), _) => tracing::warn!(tablet = %record.key, disk = disk.path, "retired to {path}"),
                (Err(why), Some(note)) => {
                    node.undone.leave(disk, Left::new(Action::Retire { note }, record.size_bytes, why));
                }
                (Err(why), None) => tracing::warn!(
                    tablet = %record.key, disk = disk.path,
                    "generation {} is outlived and could not be retired: {why}", record.generation
                ),
            }
        }
    }
}

fn retire_one(
    node: &Arc<Node>,
    disk: &Arc<Disk>,
    old: &RecordSummary,
    owner: DiskIndex,
) -> Result<String, String> {
    let key = old.key;
    {
        let mut catalog = node.catalog_mut();
        let entry = catalog.get_mut(key).filter(|entry| entry.disk == owner && entry.holder.is_none());
        let Some(entry) = entry else { return Err("a migration of the tablet is under way".to_owned()) };
        entry.holder = Some(Holder::BeingTidied);
    }
    let done = retire_claimed(node, disk, old, owner);
    node.catalog_mut().give_back(key, Holder::BeingTidied);
    done.map_err(|failure| failure.message)
}

/// What is said of a copy that the one on the disk `owner` has outlived; `None` when that has gone on.
fn note_of(node: &Node, old: &RecordSummary, owner: DiskIndex) -> Option<RetiredNote> {
    let generation = node.catalog().get(old.key).filter(|entry| entry.disk == owner)?.generation;
    Some(ledger::retired_note(node, old.key, old.shard_id, node.disk(owner).reference()?, generation))
}

fn retire_claimed(
    node: &Node,
    disk: &Arc<Disk>,
    old: &RecordSummary,
    owner: DiskIndex,
) -> Result<String, Failure> {
    let note = note_of(node, old, owner)
        .ok_or_else(|| Failure::new(ErrorCode::DiskUnavailable, "its owner is not what it was"))?;
    let (key, old_generation) = (old.key, old.generation);
    visit(disk, RETIRE_WAIT, move |root, store| {
        root.check_identity()?;
        // Somebody may have retired it since it was seen.
        if store.get(key)?.is_none_or(|record| record.generation != old_generation) {
            return Ok("trash already".to_owned());
        }
        let path = retire(root.dir(), store, &note)?;
        root.dir().sync_file_system()?;
        Ok(path)
    })
}

/// Settles the migrations that waited for this disk, as a start would have.
fn wake_migrations(node: &Arc<Node>, disk: &Arc<Disk>) {
    let Some(uuid) = disk.opened.get().map(|opened| opened.identity.uuid) else { return };
    let jobs: Vec<Arc<Job>> = node.board().alive.values().cloned().collect();
    for job in jobs {
        let row = job.snapshot();
        let touches = row.source.uuid == uuid || row.destination.uuid == uuid;
        if !touches || job.is_in_doubt() || node.schedule().is_running(row.id) {
            continue;
        }
        let verdict = settle_migration(row.status, Job::gate(&row), where_tablet_is(node, &row));
        tracing::info!(migration = %row.id, tablet = %row.key, disk = disk.path, "its disk is here: {}", verdict.in_words());
        with_verdict(node, &job, verdict, "its disk is here now; goes on");
    }
}
