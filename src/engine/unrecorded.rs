//! Files without a record: directories below `data/` that no record names. After a start, and after a disk came back, a
//! walk of each disk looks for them in the background; until it has ended nobody knows that there are none. They are
//! shown and counted, they keep their disk from being let go, and nothing here touches them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::{Disk, visit};
use super::node::Node;
use super::query::PAGE_DEFAULT;
use super::thread::spawn_isolated;
use super::view::{Page, UnrecordedFilter, UnrecordedOnDisk, UnrecordedView};
use crate::model::Failure;
use crate::storage::{DataDir, Unnamed, data_dirs, look_unnamed, shard_names};

/// How long a look at some of them may take.
const LOOK_WAIT: Duration = Duration::from_secs(20);
/// Directories that are looked at in one visit.
const DIRS_PER_VISIT: usize = 64;

/// What the walk of one disk has found so far.
#[derive(Debug, Default)]
pub(super) struct Walk {
    found: Mutex<Found>,
    over: Condvar,
}

#[derive(Debug, Default)]
struct Found {
    state: State,
    dirs: BTreeMap<String, (DataDir, Unnamed)>,
    bytes: u64,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum State {
    #[default]
    NotYet,
    Walking,
    /// It did not come to its end, and why.
    Failed(String),
    Ended,
}

impl Walk {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a moment for a walk that is under way: most are over soon.
    pub(super) fn wait(&self, patience: Duration) {
        let is_open = |found: &mut Found| matches!(found.state, State::NotYet | State::Walking);
        drop(self.over.wait_timeout_while(self.lock(), patience, is_open));
    }

    fn end(&self, state: State) {
        self.lock().state = state;
        self.over.notify_all();
    }

    /// Counts.
    pub(super) fn view(&self) -> UnrecordedOnDisk {
        let found = self.lock();
        UnrecordedOnDisk {
            count: found.dirs.len() as u64,
            bytes: found.bytes,
            not_looked_at: match &found.state {
                State::Ended => None,
                State::Failed(why) => Some(format!("not yet looked at: {why}")),
                State::NotYet | State::Walking => Some("not yet looked at".to_owned()),
            },
        }
    }

    /// Why the disk must not be let go because of it.
    pub(super) fn in_the_way(&self, path: &str) -> Option<String> {
        let view = self.view();
        if let Some(why) = view.not_looked_at {
            return Some(format!("whether it has files without a record is {why}"));
        }
        let what = match view.count {
            0 => return None,
            1 => "1 directory".to_owned(),
            count => format!("{count} directories"),
        };
        Some(format!(
            "{what} below data/ that no record names: tabletctl tablet unrecorded --disk {path} lists them, tabletctl tablet adopt takes \
             them in"
        ))
    }

    fn note(&self, dir: DataDir, unnamed: Option<Unnamed>) {
        let mut found = self.lock();
        let before = match unnamed {
            Some(unnamed) => {
                found.bytes += unnamed.size_bytes;
                found.dirs.insert(dir.path.clone(), (dir, unnamed))
            }
            None => found.dirs.remove(&dir.path),
        };
        found.bytes -= before.map_or(0, |(_, unnamed)| unnamed.size_bytes);
    }

    fn known(&self) -> Vec<DataDir> {
        self.lock().dirs.values().map(|(dir, _)| dir.clone()).collect()
    }

    /// Whether it is this caller that walks now.
    fn begin(&self) -> bool {
        let mut found = self.lock();
        let is_free = found.state != State::Walking;
        if is_free {
            *found = Found { state: State::Walking, ..Found::default() };
        }
        is_free
    }
}

/// Walks a disk from its beginning, on a thread of its own, unless that is under way.
pub(super) fn start(node: &Arc<Node>, disk: &Arc<Disk>) {
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
pub(super) fn sweep(node: &Arc<Node>) {
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
    for shard in shards {
        if node.is_stopping() || disk.is_forgotten() {
            return Ok(());
        }
        let dirs = {
            let _call = disk.enter("a look for files without a record");
            data_dirs(root.dir(), &shard)?
        };
        for dir in dirs.into_iter().filter(|dir| !is_owners(node, disk, dir)) {
            let _call = disk.enter("a look for files without a record");
            if let Some(unnamed) = look_unnamed(root.dir(), &store, &dir) {
                disk.unrecorded.note(dir, Some(unnamed));
            }
        }
    }
    drop((root, store));
    // What was being swapped in at that moment has its record by now.
    look_again(disk)
}

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
pub(super) fn look_again(disk: &Arc<Disk>) -> Result<(), Failure> {
    for some in disk.unrecorded.known().chunks(DIRS_PER_VISIT) {
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

/// One page of them, by path on each disk.
///
/// # Errors
/// `DISK_NOT_FOUND`; the disk that is named did not answer.
pub(super) fn list(node: &Node, filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure> {
    let limit = if filter.limit == 0 { PAGE_DEFAULT } else { filter.limit };
    let only = filter.disk.as_ref().map(|path| node.find_disk(path)).transpose()?;
    let mut page = Page { total: 0, items: Vec::new() };
    let mut is_behind = filter.after.is_none();
    for disk in node.shown_disks().filter(|disk| only.is_none_or(|only| only.index == disk.index)) {
        match look_again(disk) {
            Err(failure) if only.is_some() => return Err(failure),
            _ => {}
        }
        for (dir, unnamed) in disk.unrecorded.lock().dirs.values() {
            let key = dir.place.map(|(_, key)| key);
            if filter.tablet_id.is_some_and(|id| key.is_none_or(|key| key.tablet_id != id)) {
                continue;
            }
            page.total += 1;
            let path = format!("{}/{}", disk.path, dir.path);
            if is_behind && page.items.len() < limit {
                page.items.push(UnrecordedView {
                    disk: disk.path.clone(),
                    path,
                    key,
                    entries: unnamed.entries,
                    size_bytes: unnamed.size_bytes,
                    remark: unnamed.remark.clone(),
                });
            } else if !is_behind {
                is_behind = filter.after.as_ref() == Some(&path);
            }
        }
    }
    Ok(page)
}
