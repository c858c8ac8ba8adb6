//! What all rooms of the daemon share, and how it stops.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::queue::Queue;
use super::task_list::TaskList;
use crate::config::Config;
use crate::engine::{EventCursor, EventRing, Keys};
use crate::maintenance::Session;
use crate::model::Inspection;

/// Shared by all requests and the thread that moves.
pub(super) struct Inner {
    pub(super) session: Session,
    pub(super) be_conf: PathBuf,
    pub(super) config: RwLock<Config>,
    pub(super) queue: Queue,
    pub(super) tasks: Mutex<TaskList>,
    pub(super) events: EventRing,
    pub(super) worker: Mutex<Option<JoinHandle<()>>>,
    /// Held while a request is accepted, and while what a task wants is looked up and accepted: two for one tablet cannot
    /// both be, and what was paused or called off is not begun.
    pub(super) accepting: Mutex<()>,
    pub(super) keys: Keys,
    pub(super) started: Instant,
    /// The last look through the roots, and how far the events were when it began.
    pub(super) inspected: Mutex<Option<(Instant, EventCursor, Inspection)>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere fails one move; what is behind these locks is consistent between statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(super) fn config(&self) -> RwLockReadGuard<'_, Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn config_mut(&self) -> RwLockWriteGuard<'_, Config> {
        self.config.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tasks(&self) -> MutexGuard<'_, TaskList> {
        lock(&self.tasks)
    }

    /// Lets the move under way go back to its beginning, and waits for it at most so long.
    pub(super) fn shutdown(&self, grace: Duration) {
        self.queue.stop();
        let Some(worker) = lock(&self.worker).take() else { return };
        let until = Instant::now() + grace;
        while !worker.is_finished() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        match worker.is_finished() {
            true => drop(worker.join()),
            false => tracing::error!("a call to a disk does not return; the next start settles its move"),
        }
    }
}
