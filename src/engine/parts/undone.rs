//! What is left undone: things that were decided and could not be done on a disk that was full, read-only or failing, and
//! entries that cannot be read. No start and no move stops for them; each is named once at WARN, shown until it is done,
//! and tried again by the sweep and before the tablet is put there again (see [`crate::engine::tidy`], `rules::undone`).
//! Kept in memory: a start finds them again.
//!
//! The sync of an owner stays a barrier: where it fails, no other copy of its tablets goes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::now_ms;
use super::disk::Disk;
use crate::engine::view::undone::{UndoneOnDisk, UndoneView};
use crate::model::{DiskIndex, ShardId, TabletKey, TimestampMs};
use crate::storage::layout::{META, MIGRATING, RETIRED_FILE, TRASH, parse_record_name, tablet_dir};
use crate::storage::{RetiredNote, UnreadableEntry};

/// Of what is left undone on a disk, as many are shown by name.
const SHOWN_MAX: usize = 100;

/// What is to be done on one disk. Each is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Retire {
        note: RetiredNote,
    },
    FinishRetiring {
        note: RetiredNote,
        entry: String,
    },
    RewriteNote {
        note: RetiredNote,
        entry: String,
    },
    Quarantine {
        key: TabletKey,
        shard: ShardId,
        why: String,
    },
    QuarantineRecord {
        name: String,
        why: String,
    },
    RemoveCopy {
        name: String,
        key: TabletKey,
        shard: Option<ShardId>,
    },
    RemoveStaging {
        name: String,
    },
    SetCopyAside {
        name: String,
        key: TabletKey,
        shard: Option<ShardId>,
        why: String,
    },
    SetStagingAside {
        name: String,
        why: String,
    },
    RemoveBareTrash {
        entry: String,
    },
    /// Nothing but a look: somebody else has to mend the entry at this path.
    Read {
        path: String,
    },
}

impl Action {
    /// The tablet it is about.
    pub(crate) fn key(&self) -> Option<TabletKey> {
        match self {
            Self::Retire { note } | Self::FinishRetiring { note, .. } | Self::RewriteNote { note, .. } => {
                Some(note.key)
            }
            Self::Quarantine { key, .. } | Self::RemoveCopy { key, .. } | Self::SetCopyAside { key, .. } => {
                Some(*key)
            }
            Self::QuarantineRecord { name, .. } => parse_record_name(name),
            Self::RemoveStaging { .. }
            | Self::SetStagingAside { .. }
            | Self::RemoveBareTrash { .. }
            | Self::Read { .. } => None,
        }
    }

    /// What it is about, below the root.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Retire { note } => tablet_dir(note.shard_id, note.key),
            Self::FinishRetiring { entry, .. } | Self::RemoveBareTrash { entry } => {
                format!("{TRASH}/{entry}")
            }
            Self::RewriteNote { entry, .. } => format!("{TRASH}/{entry}/{RETIRED_FILE}"),
            Self::Quarantine { key, shard, .. } => tablet_dir(*shard, *key),
            Self::QuarantineRecord { name, .. } => format!("{META}/{name}"),
            Self::RemoveCopy { name, .. }
            | Self::RemoveStaging { name }
            | Self::SetCopyAside { name, .. }
            | Self::SetStagingAside { name, .. } => format!("{MIGRATING}/{name}"),
            Self::Read { path } => path.clone(),
        }
    }

    /// What it is, for people.
    const fn words(&self) -> &'static str {
        match self {
            Self::Retire { .. } => "an outlived copy, to be retired to trash",
            Self::FinishRetiring { .. } | Self::RewriteNote { .. } => "a retirement that was cut short",
            Self::Quarantine { .. }
            | Self::QuarantineRecord { .. }
            | Self::SetCopyAside { .. }
            | Self::SetStagingAside { .. } => "to be set aside",
            Self::RemoveCopy { .. } | Self::RemoveStaging { .. } => {
                "staging that nobody needs, to be removed"
            }
            Self::RemoveBareTrash { .. } => "an empty trash entry, to be removed",
            Self::Read { .. } => "cannot be read, and is left as it is",
        }
    }
}

/// One thing that is left undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) action: Action,
    pub(crate) size_bytes: u64,
    pub(crate) why: String,
    pub(crate) since_ms: TimestampMs,
}

impl Left {
    pub(crate) fn new(action: Action, size_bytes: u64, why: impl Into<String>) -> Self {
        Self { action, size_bytes, why: why.into(), since_ms: now_ms() }
    }

    /// What it is and why it is not done, for people.
    pub(crate) fn words(&self) -> String {
        format!("{}: {}", self.action.words(), self.why)
    }
}

/// Everything that is left undone. Its lock is held for moments, and none is taken under it.
#[derive(Default)]
pub(crate) struct Undone(Mutex<BTreeMap<(DiskIndex, String), Left>>);

impl Undone {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(DiskIndex, String), Left>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a start could not do.
    pub(crate) fn take_over(&self, other: Self) {
        self.lock().extend(other.0.into_inner().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes it; said once, not at every attempt.
    pub(crate) fn leave(&self, disk: &Disk, left: Left) {
        let path = left.action.path();
        let mut all = self.lock();
        let known = all.get(&(disk.index, path.clone())).map(|known| known.since_ms);
        if known.is_none() {
            let tablet = left.action.key().map(|key| format!(" of tablet {key}")).unwrap_or_default();
            tracing::warn!(disk = disk.path, "left undone{tablet}: {}/{path}: {}", disk.path, left.words());
        }
        let since_ms = known.unwrap_or(left.since_ms);
        all.insert((disk.index, path), Left { since_ms, ..left });
    }

    /// It is done, or not wanted any more; whether it was known.
    pub(crate) fn done(&self, disk: DiskIndex, path: &str) -> bool {
        self.lock().remove(&(disk, path.to_owned())).is_some()
    }

    /// All of it.
    pub(crate) fn all(&self) -> Vec<(DiskIndex, Left)> {
        self.lock().iter().map(|((disk, _), left)| (*disk, left.clone())).collect()
    }

    /// What is left undone of a tablet on a disk.
    pub(crate) fn of(&self, disk: DiskIndex, key: TabletKey) -> Vec<Left> {
        let all = self.lock();
        let of = all.iter().filter(|((on, _), left)| *on == disk && left.action.key() == Some(key));
        of.map(|(_, left)| left.clone()).collect()
    }

    /// What is left undone on a disk.
    pub(crate) fn on(&self, disk: &Disk) -> UndoneOnDisk {
        let all = self.lock();
        let mut on = UndoneOnDisk::default();
        for ((_, path), left) in all.iter().filter(|((index, _), _)| *index == disk.index) {
            on.count += 1;
            on.bytes += left.size_bytes;
            if on.items.len() < SHOWN_MAX {
                on.items.push(view(disk, path, left));
            }
        }
        on
    }

    /// Notes an entry that cannot be read.
    pub(crate) fn cannot_read(&self, disk: &Disk, entry: UnreadableEntry) {
        self.leave(disk, Left::new(Action::Read { path: entry.path }, 0, entry.why));
    }

    /// Entries of a directory of this disk that cannot be read.
    pub(crate) fn unreadable_in(&self, disk: &Disk, directory: &str) -> Vec<UndoneView> {
        let all = self.lock();
        let unreadable = all.iter().filter(|((index, path), left)| {
            *index == disk.index
                && matches!(left.action, Action::Read { .. })
                && path.split('/').next() == Some(directory)
        });
        unreadable.map(|((_, path), left)| view(disk, path, left)).collect()
    }
}

fn view(disk: &Disk, path: &str, left: &Left) -> UndoneView {
    UndoneView {
        disk: disk.path.clone(),
        path: path.to_owned(),
        key: left.action.key(),
        size_bytes: left.size_bytes,
        why: left.words(),
        since_ms: left.since_ms,
    }
}
