//! The moves that have not ended, and which of them is next. In memory; the journal has each as it last stood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::{ErrorCode, Failure, Migration, MigrationId, Priority, Space, Status, TabletKey};

/// What waits, what runs, and what was counted.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
    stopping: AtomicBool,
    /// Of the move that runs.
    copied_bytes: AtomicU64,
    verified_bytes: AtomicU64,
    pub(super) counts: Counts,
}

/// Since the start of the process.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) accepted: AtomicU64,
    pub(super) started: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) copied_bytes: AtomicU64,
    pub(super) verified_bytes: AtomicU64,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<MigrationId, Migration>,
    running: Option<MigrationId>,
    /// Called off while it runs.
    aborted: Option<(MigrationId, String)>,
    /// Cannot be ended in this run: a root that is not here, a source that takes no writes.
    held: BTreeSet<MigrationId>,
    /// Something may have been made for them at their destinations: by this process, or by one before it.
    begun: BTreeSet<MigrationId>,
    /// Why nothing more is written in this run.
    halted: Option<String>,
}

impl Queue {
    pub(super) fn of(rows: Vec<Migration>) -> Self {
        let begun = rows.iter().map(|row| row.id).collect();
        let rows = rows.into_iter().map(|row| (row.id, row)).collect();
        let state = State { rows, begun, ..State::default() };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.ring();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(super) fn ring(&self) {
        // Under the lock: a ring between a look and the wait after it would be missed.
        drop(self.state());
        self.bell.notify_all();
    }

    /// Waits for a ring, at most so long.
    pub(super) fn wait(&self, most: Duration) {
        drop(self.bell.wait_timeout(self.state(), most).unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn halt(&self, why: String) {
        tracing::error!("{why}");
        self.state().halted = Some(why);
    }

    pub(super) fn halted(&self) -> Option<String> {
        self.state().halted.clone()
    }

    /// How a move stands, wherever that was decided. One that has ended is forgotten here.
    pub(super) fn stands(&self, row: &Migration) {
        let mut state = self.state();
        if row.status.is_final() {
            state.rows.remove(&row.id);
            state.held.remove(&row.id);
            state.begun.remove(&row.id);
        } else {
            state.rows.insert(row.id, row.clone());
        }
    }

    pub(super) fn hold(&self, id: MigrationId) {
        self.state().held.insert(id);
    }

    /// Lets a move be tried again that could not be ended.
    pub(super) fn release(&self, id: MigrationId) -> bool {
        self.state().held.remove(&id)
    }

    /// Takes the next one to work on: what is past its commit or was called off first, then by priority and number.
    pub(super) fn take(&self) -> Option<Migration> {
        let mut state = self.state();
        let is_due = |row: &&Migration| row.status != Status::Paused && !state.held.contains(&row.id);
        let rank = |row: &Migration| {
            let ends = matches!(row.status, Status::Finalizing | Status::Aborting);
            let behind = match row.priority {
                Priority::High => 0,
                Priority::Normal => 1,
                Priority::Low => 2,
            };
            (!ends, behind, row.id)
        };
        let next = state.rows.values().filter(is_due).min_by_key(|row| rank(row)).cloned();
        state.running = next.as_ref().map(|row| row.id);
        state.begun.extend(next.as_ref().map(|row| row.id));
        self.copied_bytes.store(0, Ordering::Relaxed);
        self.verified_bytes.store(0, Ordering::Relaxed);
        next
    }

    pub(super) fn put_down(&self) {
        let mut state = self.state();
        state.running = None;
        state.aborted = None;
    }

    pub(super) fn copied(&self, bytes: u64) {
        self.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn verified(&self, bytes: u64) {
        self.verified_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.verified_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether the one that runs may go on.
    pub(super) fn go_on(&self, id: MigrationId) -> Result<(), Failure> {
        if self.is_stopping() {
            return Err(stopping());
        }
        match &self.state().aborted {
            Some((aborted, why)) if *aborted == id => Err(Failure::new(ErrorCode::Aborted, why.as_str())),
            _ => Ok(()),
        }
    }

    /// Calls off the one that runs, if it is that one.
    pub(super) fn abort_running(&self, id: MigrationId, why: &str) {
        let mut state = self.state();
        if state.running == Some(id) {
            state.aborted = Some((id, why.to_owned()));
        }
    }

    /// Whether something may have been made for a move.
    pub(super) fn has_begun(&self, id: MigrationId) -> bool {
        self.state().begun.contains(&id)
    }

    pub(super) fn is_running(&self, id: MigrationId) -> bool {
        self.state().running == Some(id)
    }

    /// One that has not ended, with its progress.
    pub(super) fn get(&self, id: MigrationId) -> Option<Migration> {
        let state = self.state();
        state.rows.get(&id).map(|row| self.shown(&state, row))
    }

    pub(super) fn all(&self) -> Vec<Migration> {
        let state = self.state();
        state.rows.values().map(|row| self.shown(&state, row)).collect()
    }

    fn shown(&self, state: &State, row: &Migration) -> Migration {
        let mut row = row.clone();
        if state.running == Some(row.id) {
            let total = row.counters.total_bytes;
            row.counters.copied_bytes = self.copied_bytes.load(Ordering::Relaxed).min(total);
            row.counters.verified_bytes = self.verified_bytes.load(Ordering::Relaxed).min(total);
        } else if row.status == Status::Queued {
            row.status_reason = match (&state.halted, state.running) {
                (Some(why), _) => why.clone(),
                (None, _) if state.held.contains(&row.id) => row.status_reason,
                (None, Some(running)) => format!("waiting: one move after the other, and {running} runs"),
                (None, None) => row.status_reason,
            };
        }
        row
    }

    /// The move that has a tablet.
    pub(super) fn of_tablet(&self, key: TabletKey) -> Option<Migration> {
        self.state().rows.values().find(|row| row.key.tablet_id == key.tablet_id).cloned()
    }

    /// What is promised on a root to moves that have not copied yet.
    pub(super) fn reserved(&self, path: &str) -> Space {
        let state = self.state();
        let towards = state.rows.values().filter(|row| row.destination.path == path);
        towards.fold(Space::default(), |sum, row| {
            let need = Space::of_tablet(row.counters.total_bytes, row.counters.total_files);
            sum.plus(need)
        })
    }

    /// Waiting and running.
    pub(super) fn lengths(&self) -> (u64, u64) {
        let state = self.state();
        let running = u64::from(state.running.is_some());
        ((state.rows.len() as u64).saturating_sub(running), running)
    }
}

/// The daemon is stopping.
pub(super) fn stopping() -> Failure {
    Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping; nothing new is accepted")
}
