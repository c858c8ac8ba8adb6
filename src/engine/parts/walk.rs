//! What the walk of one disk for files without a record has found. The walk itself is in
//! [`crate::engine::tend::unrecorded`].

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::view::{UnrecordedOnDisk, UnrecordedView};
use crate::model::counted;
use crate::storage::{DataDir, Unnamed};

/// What the walk of one disk has found so far.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    found: Mutex<Found>,
    over: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) state: State,
    /// Directories below `data/` that were walked, and their number.
    pub(crate) shards: (usize, usize),
    pub(crate) dirs: BTreeMap<String, (DataDir, Unnamed)>,
    pub(crate) bytes: u64,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    NotYet,
    Walking,
    /// It did not come to its end, and why.
    Failed(String),
    Ended,
}

impl Walk {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a moment for a walk that is under way: most are over soon.
    pub(crate) fn wait(&self, patience: Duration) {
        let is_open = |found: &mut Found| matches!(found.state, State::NotYet | State::Walking);
        drop(self.over.wait_timeout_while(self.lock(), patience, is_open));
    }

    pub(crate) fn end(&self, state: State) {
        self.lock().state = state;
        self.over.notify_all();
    }

    /// Counts.
    pub(crate) fn view(&self) -> UnrecordedOnDisk {
        let found = self.lock();
        UnrecordedOnDisk {
            count: found.dirs.len() as u64,
            bytes: found.bytes,
            not_looked_at: match &found.state {
                State::Ended => None,
                State::Failed(why) => Some(format!("not yet looked at: {why}")),
                State::NotYet => Some("not yet looked at".to_owned()),
                State::Walking => {
                    let (done, all) = found.shards;
                    Some(format!("not yet looked at: {done} of {all} shards so far"))
                }
            },
        }
    }

    /// Why the disk must not be let go because of it.
    pub(crate) fn in_the_way(&self, path: &str) -> Option<String> {
        let view = self.view();
        if let Some(why) = view.not_looked_at {
            return Some(format!("whether it has files without a record is {why}"));
        }
        let what = match view.count {
            0 => return None,
            count => counted(count, "directory"),
        };
        Some(format!(
            "{what} below data/ that no record names: tabletctl tablet unrecorded --disk {path} lists them, tabletctl tablet adopt takes \
             them in, and tabletctl tablet set-aside moves what is left over to quarantine"
        ))
    }

    /// What was found at this path below the root.
    pub(crate) fn find(&self, path: &str) -> Option<DataDir> {
        self.lock().dirs.get(path).map(|(dir, _)| dir.clone())
    }

    /// Notes what is in a directory, or that it is none of these.
    pub(crate) fn note(&self, dir: DataDir, unnamed: Option<Unnamed>) {
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

    /// What was found in a directory of the disk at `disk`, for people; `None` where it is gone.
    pub(crate) fn shown(&self, disk: &str, dir: &DataDir) -> Option<UnrecordedView> {
        let found = self.lock();
        let (_, unnamed) = found.dirs.get(&dir.path)?;
        Some(UnrecordedView {
            disk: disk.to_owned(),
            path: format!("{disk}/{}", dir.path),
            key: dir.place.map(|(_, key)| key),
            entries: unnamed.entries,
            size_bytes: unnamed.size_bytes,
            remark: unnamed.remark.clone(),
        })
    }

    pub(crate) fn known(&self) -> Vec<DataDir> {
        self.lock().dirs.values().map(|(dir, _)| dir.clone()).collect()
    }

    /// Whether it is this caller that walks now.
    pub(crate) fn begin(&self) -> bool {
        let mut found = self.lock();
        let is_free = found.state != State::Walking;
        if is_free {
            *found = Found { state: State::Walking, ..Found::default() };
        }
        is_free
    }
}
