//! The one thread that moves: what the journal has first, then what tasks still want.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::inner::{Inner, lock};
use crate::maintenance::{Outcome, Watch, WhenStopped};
use crate::model::{Failure, Migration, MigrationId, Status};

/// How long nothing rings before it looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(60);

struct Follows<'a> {
    inner: &'a Inner,
    id: MigrationId,
}

impl Watch for Follows<'_> {
    fn go_on(&self) -> Result<(), Failure> {
        self.inner.queue.go_on(self.id)
    }

    fn when_stopped(&self) -> WhenStopped {
        WhenStopped::GoesOnLater
    }

    fn stands(&self, row: &Migration) {
        self.inner.stands(row);
    }

    fn copied(&self, bytes: u64) {
        self.inner.queue.copied(bytes);
    }

    fn verified(&self, bytes: u64) {
        self.inner.queue.verified(bytes);
    }
}

/// # Errors
/// No thread can be made.
pub(super) fn start(inner: &Arc<Inner>) -> std::io::Result<JoinHandle<()>> {
    let inner = Arc::clone(inner);
    std::thread::Builder::new().name("maintenance".into()).spawn(move || {
        while !inner.queue.is_stopping() {
            if !inner.work_once() {
                inner.queue.wait(LOOK_EVERY);
            }
        }
    })
}

impl Inner {
    /// Does the next thing there is to do. Says whether there was one.
    fn work_once(&self) -> bool {
        if self.queue.halted().is_some() {
            return false;
        }
        // Not between the look of a request that pauses or aborts one and its write.
        let next = {
            let _one_at_a_time = lock(&self.accepting);
            self.queue.take()
        };
        if let Some(row) = next {
            self.carry(row);
            self.queue.put_down();
            return true;
        }
        self.feed()
    }

    fn carry(&self, row: Migration) {
        let id = row.id;
        self.queue.counts.started.fetch_add(1, Ordering::Relaxed);
        match self.session.finish(row, &Follows { inner: self, id }) {
            Ok(moved) => match moved.outcome {
                Outcome::Moved | Outcome::Failed => {}
                Outcome::NotRetired if self.queue.is_stopping() => {}
                Outcome::NotRetired | Outcome::Waits => self.queue.hold(id),
                Outcome::InDoubt => {
                    self.queue.halt(format!("move {id}: {}; nothing more is written", moved.reason));
                }
            },
            // Reading a database again is not tried a second time in this run: nothing it says may be built on.
            Err(failure) => {
                self.queue.halt(format!("move {id}: {}; nothing more is written", failure.message));
            }
        }
    }

    /// Tells how a move stands: those who look, and the task that wants it.
    pub(super) fn stands(&self, row: &Migration) {
        let counts = &self.queue.counts;
        match row.status {
            Status::Completed => drop(counts.completed.fetch_add(1, Ordering::Relaxed)),
            Status::Failed => drop(counts.failed.fetch_add(1, Ordering::Relaxed)),
            Status::Aborted => drop(counts.aborted.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
        self.queue.stands(row);
        self.events.publish_status(row);
        if row.status.is_final() {
            self.task_move_ended(row);
        }
    }
}
