//! Files without a record: directories below `data/` that no record names. After a start, and after a disk came back, a
//! walk of each disk looks for them in the background. Until it has ended nobody knows that there are none, so the disk is
//! neither safe to remove nor forgotten; nor while there is one. They are shown and counted, and nothing here touches them.
//!
//! `tablet adopt` (`engine/heal/adopt.rs`) sums their files, gives them a record by a header or by a record of the very
//! same files, and goes the way of a heal. What is left over beside an owner that lives goes to quarantine
//! (`engine/heal/set_aside.rs`). A disk that was given up and can be read again is opened as a guest
//! (`engine/heal/guest.rs`): in no table, never written to, and only for the one copy that is named.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, visit};
use crate::engine::parts::io_class::wear_io_class;
use crate::engine::parts::thread::spawn_isolated;
use crate::engine::parts::walk::State;
use crate::engine::view::{Page, UnrecordedFilter, UnrecordedView, page_limit};
use crate::model::{DiskIndex, Failure};
use crate::storage::{DataDir, data_dirs, look_unnamed, shard_names};
use crate::transfer::Limiter;

/// Directories of one request that are looked at again before they are shown.
const SHOWN_AGAIN_MAX: usize = 1000;
/// How long a look at some of them may take.
const LOOK_WAIT: Duration = Duration::from_secs(20);
/// Directories that are looked at in one visit.
const DIRS_PER_VISIT: usize = 64;

/// Walks a disk from its beginning, on a thread of its own, unless that is under way.
pub(crate) fn start(node: &Arc<Node>, disk: &Arc<Disk>) {
    if !disk.unrecorded.begin() {
        return;
    }
    let (at, own) = (Arc::clone(node), Arc::clone(disk));
    let spawned = spawn_isolated("disk-walk", move || {
        let state = match walk(&at, &own) {
            Ok(()) => State::Ended,
            Err(failure) => {
                tracing::warn!(
                    disk = own.path,
                    "files without a record are looked for again later: {failure}"
                );
                State::Failed(failure.message)
            }
        };
        own.unrecorded.end(state);
        let view = own.unrecorded.view();
        if view.count > 0 {
            let count = view.count;
            tracing::warn!(
                disk = own.path,
                count,
                "directories without a record; tabletctl tablet unrecorded"
            );
        }
        at.ring();
    });
    if let Err(failure) = spawned {
        disk.unrecorded.end(State::Failed(failure.message));
    }
}

/// Looks again where a walk did not come to its end, and at what was found.
pub(crate) fn sweep(node: &Arc<Node>) {
    let hang_after = node.hang_after();
    for disk in node.shown_disks().filter(|disk| disk.opened.get().is_some()) {
        if !disk.condition(hang_after).is_readable() {
            continue;
        }
        let state = disk.unrecorded.lock().state.clone();
        match state {
            State::Failed(_) => start(node, disk),
            State::Ended => {
                if let Err(failure) = look_again(disk) {
                    tracing::debug!(disk = disk.path, "{failure}");
                }
            }
            State::NotYet | State::Walking => {}
        }
    }
}

fn walk(node: &Arc<Node>, disk: &Arc<Disk>) -> Result<(), Failure> {
    let (root, store) = disk.open()?;
    let shards = {
        let _call = disk.enter("a look for files without a record");
        shard_names(root.dir())?
    };
    disk.unrecorded.lock().shards = (0, shards.len());
    let pace = Limiter::new(0);
    let go_on = || if node.is_stopping() || disk.is_forgotten() { Err(BrokenOff) } else { Ok(()) };
    for shard in shards {
        let (class, dirs_per_sec) = {
            let config = node.config();
            (config.migration_io_class, config.unrecorded_walk_dirs_per_sec)
        };
        wear_io_class(class);
        pace.set_rate(u64::from(dirs_per_sec));
        if go_on().is_err() {
            return Ok(());
        }
        let dirs = {
            let _call = disk.enter("a look for files without a record");
            data_dirs(root.dir(), &shard)?
        };
        for dir in dirs {
            if pace.take(1, go_on).is_err() {
                return Ok(());
            }
            if is_owners(node, disk, &dir) {
                continue;
            }
            let _call = disk.enter("a look for files without a record");
            if let Some(unnamed) = look_unnamed(root.dir(), &store, &dir) {
                disk.unrecorded.note(dir, Some(unnamed));
            }
        }
        disk.unrecorded.lock().shards.0 += 1;
    }
    drop((root, store));
    // What was being swapped in at that moment has its record by now.
    look_again(disk)
}

/// The daemon stops, or the disk was forgotten: the walk ends where it is.
struct BrokenOff;

/// The place of a tablet that this disk serves: its record was read.
fn is_owners(node: &Node, disk: &Disk, dir: &DataDir) -> bool {
    dir.place.is_some_and(|(shard, key)| {
        let catalog = node.catalog();
        catalog.get(key).is_some_and(|entry| entry.disk == disk.index && entry.shard_id == shard)
    })
}

/// Drops what has got a record since, or is gone.
///
/// # Errors
/// The disk did not answer.
fn look_again(disk: &Arc<Disk>) -> Result<(), Failure> {
    look_again_at(disk, &disk.unrecorded.known())
}

fn look_again_at(disk: &Arc<Disk>, dirs: &[DataDir]) -> Result<(), Failure> {
    for some in dirs.chunks(DIRS_PER_VISIT) {
        let some = some.to_vec();
        let looked = visit(disk, LOOK_WAIT, move |root, store| {
            let look = |dir: DataDir| (look_unnamed(root.dir(), store, &dir), dir);
            Ok(some.into_iter().map(look).collect::<Vec<_>>())
        })?;
        for (unnamed, dir) in looked {
            disk.unrecorded.note(dir, unnamed);
        }
    }
    Ok(())
}

/// One page of them, by path on each disk. What is on it is looked at again, and nothing else.
///
/// # Errors
/// `DISK_NOT_FOUND`; the disk that is named did not answer.
pub(crate) fn list(node: &Node, filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure> {
    let only = filter.disk.as_ref().map(|path| node.find_disk(path)).transpose()?;
    let disks = || node.shown_disks().filter(|disk| only.is_none_or(|only| only.index == disk.index));
    let after = filter.after.as_ref().and_then(|path| {
        node.shown_disks()
            .find_map(|disk| Some((disk.index, path.strip_prefix(&disk.path)?.strip_prefix('/')?)))
    });
    let mut left = SHOWN_AGAIN_MAX;
    for (disk, dirs) in chosen(disks(), after, filter).1 {
        let again = &dirs[..dirs.len().min(left)];
        left -= again.len();
        if let Err(failure) = look_again_at(disk, again)
            && only.is_some()
        {
            return Err(failure);
        }
    }
    let (total, chosen) = chosen(disks(), after, filter);
    let shown = chosen.into_iter().flat_map(|(disk, dirs)| dirs.into_iter().map(move |dir| (disk, dir)));
    Ok(Page {
        total,
        items: shown.filter_map(|(disk, dir)| disk.unrecorded.shown(&disk.path, &dir)).collect(),
    })
}

/// Disks, and what of each is on a page.
type Chosen<'n> = Vec<(&'n Arc<Disk>, Vec<DataDir>)>;

/// How many the filter chooses, and those of the page.
fn chosen<'n>(
    disks: impl Iterator<Item = &'n Arc<Disk>>,
    after: Option<(DiskIndex, &str)>,
    filter: &UnrecordedFilter,
) -> (u64, Chosen<'n>) {
    let mut room = page_limit(filter.limit);
    let (mut total, mut page) = (0, Vec::new());
    for disk in disks {
        let mut dirs = Vec::new();
        for (dir, _) in disk.unrecorded.lock().dirs.values() {
            let id = dir.place.map(|(_, key)| key.tablet_id);
            if filter.tablet_id.is_some_and(|wanted| id != Some(wanted)) {
                continue;
            }
            total += 1;
            let is_behind = after.is_none_or(|after| (disk.index, dir.path.as_str()) > after);
            if is_behind && room > 0 {
                room -= 1;
                dirs.push(dir.clone());
            }
        }
        page.push((disk, dirs));
    }
    (total, page)
}
