//! One `syncfs` for everybody who waits for one.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::storage::{Barrier, Dir, DiskError};

/// A barrier many threads pass together: a sync that is under way when a thread arrives does not count for it, the
/// next one does, and serves all who came meanwhile.
pub(super) struct SharedBarrier<'a> {
    root: &'a Dir,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    started: u64,
    finished: u64,
    failed: Option<DiskError>,
}

impl<'a> SharedBarrier<'a> {
    /// A barrier of the file system `root` is on. To be made before the first write: `syncfs` tells of failed
    /// write-backs since its descriptor was opened.
    pub(super) fn new(root: &'a Dir) -> Self {
        Self { root, state: Mutex::default(), ended: Condvar::new() }
    }
}

impl Barrier for SharedBarrier<'_> {
    fn sync(&self) -> Result<(), DiskError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = state.started + 1;
        loop {
            // For good: after a failed sync a second one would say "ok" over what was lost.
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.finished >= wanted {
                return Ok(());
            }
            if state.started > state.finished {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.started += 1;
            drop(state);
            let outcome = self.root.sync_file_system();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.finished = state.started;
            state.failed = outcome.err();
            self.ended.notify_all();
        }
    }
}
