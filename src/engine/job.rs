//! One migration while it is alive: its row, its progress, and what an operator has asked of it.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(super) use super::clock::now_ms;
use super::clock::{steady_ms, to_wall_ms};
use crate::model::{ErrorCode, Failure, LogEntry, Migration, Status, Step, StepRecord, StepStatus};
use crate::rules::transition::{Event, transition};

/// Lines kept of one step's log, and steps kept of one migration: a row in the journal stays small through any number
/// of attempts.
const LOG_LINES_MAX: usize = 100;
const STEPS_MAX: usize = 24;

/// What has been asked of a running migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    Run = 0,
    /// Stop and undo.
    Abort = 1,
    /// Stop, keep what is verified.
    Pause = 2,
    /// Stop, keep what is verified: the daemon ends.
    Stop = 3,
    /// Stop: nothing has moved for too long.
    TimeOut = 4,
    /// The swap has begun: from here on nothing but completion.
    Committing = 5,
}

/// Bytes and files so far; written by many threads.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) copied_bytes: AtomicU64,
    pub(super) verified_bytes: AtomicU64,
    pub(super) resumed_bytes: AtomicU64,
    pub(super) cloned_bytes: AtomicU64,
    pub(super) verified_files: AtomicU64,
    pub(super) throttled_ms: AtomicU64,
    /// By the steady clock; 0 before the first.
    pub(super) last_progress_ms: AtomicI64,
}

/// A migration that has not ended.
pub(super) struct Job {
    migration: Mutex<Migration>,
    pub(super) progress: Progress,
    order: AtomicU8,
    pub(super) size_bytes: u64,
}

impl Job {
    pub(super) fn new(migration: Migration, size_bytes: u64) -> Self {
        Self {
            migration: Mutex::new(migration),
            progress: Progress::default(),
            order: AtomicU8::new(Order::Run as u8),
            size_bytes,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Migration> {
        self.migration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row with the progress of this moment.
    pub(super) fn snapshot(&self) -> Migration {
        let mut migration = self.lock().clone();
        self.merge_progress(&mut migration);
        if migration.status != Status::Completed {
            // Until the end it is a draft.
            migration.receipt = None;
        }
        migration
    }

    fn merge_progress(&self, migration: &mut Migration) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &mut migration.counters;
        // Verified first: read in this order no snapshot shows more verified than copied, or more copied than there is.
        counters.verified_bytes = load(&self.progress.verified_bytes).min(counters.total_bytes);
        counters.copied_bytes =
            load(&self.progress.copied_bytes).clamp(counters.verified_bytes, counters.total_bytes);
        counters.resumed_bytes = load(&self.progress.resumed_bytes);
        counters.cloned_bytes = load(&self.progress.cloned_bytes);
        counters.verified_files = load(&self.progress.verified_files).min(counters.total_files);
        counters.throttled_ms = load(&self.progress.throttled_ms);
        let at = self.progress.last_progress_ms.load(Ordering::Relaxed);
        if at > 0 {
            migration.last_progress_ms = Some(to_wall_ms(at));
        }
    }

    /// A new attempt counts from nothing.
    pub(super) fn reset_progress(&self) {
        let progress = &self.progress;
        for counter in [
            &progress.verified_bytes,
            &progress.copied_bytes,
            &progress.resumed_bytes,
            &progress.cloned_bytes,
            &progress.verified_files,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        progress.last_progress_ms.store(steady_ms(), Ordering::Relaxed);
    }

    /// All of it is on the destination: progress that nobody was there to count.
    pub(super) fn count_as_copied(&self) {
        let counters = self.lock().counters;
        self.progress.copied_bytes.store(counters.total_bytes, Ordering::Relaxed);
        self.progress.verified_bytes.store(counters.total_bytes, Ordering::Relaxed);
        self.progress.verified_files.store(counters.total_files, Ordering::Relaxed);
    }

    /// Changes the status, if the table allows it, and returns the row for the journal.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION`.
    pub(super) fn advance(&self, event: Event, reason: impl Into<String>) -> Result<Migration, Failure> {
        let mut migration = self.lock();
        *migration = self.after(&migration, event, reason.into())?;
        Ok(migration.clone())
    }

    /// The row as [`Job::advance`] would make it. Nobody sees it before it is durable.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION`.
    pub(super) fn foresee(&self, event: Event, reason: impl Into<String>) -> Result<Migration, Failure> {
        self.after(&self.lock(), event, reason.into())
    }

    /// Lets everybody see a row that has been made durable.
    pub(super) fn show(&self, row: Migration) {
        *self.lock() = row;
    }

    fn after(&self, now: &Migration, event: Event, reason: String) -> Result<Migration, Failure> {
        let next = transition(now.status, event).map_err(|illegal| {
            Failure::new(ErrorCode::IllegalTransition, format!("migration {}: {illegal}", now.id))
        })?;
        let mut migration = now.clone();
        if next == Status::Paused {
            migration.paused_in = Some(now.status);
        }
        if !matches!(next, Status::Finalizing | Status::Completed) {
            migration.receipt = None;
        }
        migration.status = next;
        migration.status_reason = reason;
        migration.updated_ms = now_ms();
        if next.is_final() {
            migration.finished_ms = Some(migration.updated_ms);
        }
        self.merge_progress(&mut migration);
        Ok(migration)
    }

    /// Begins a step.
    pub(super) fn begin_step(&self, step: Step) {
        let mut migration = self.lock();
        if migration.steps.len() >= STEPS_MAX {
            // The first attempt and the latest ones tell the story.
            migration.steps.remove(STEPS_MAX / 4);
        }
        migration.steps.push(StepRecord {
            step,
            status: StepStatus::Running,
            started_ms: now_ms(),
            ended_ms: None,
            logs: Vec::new(),
        });
    }

    /// Ends the step that is under way.
    pub(super) fn end_step(&self, status: StepStatus) {
        if let Some(step) = self.lock().steps.last_mut() {
            step.status = status;
            step.ended_ms = Some(now_ms());
        }
    }

    /// Adds a line to the log of the step that is under way.
    pub(super) fn log(&self, text: impl Into<String>) {
        let text = text.into();
        let mut migration = self.lock();
        tracing::info!(migration = %migration.id, tablet = %migration.key, "{text}");
        let Some(step) = migration.steps.last_mut() else { return };
        match step.logs.len() {
            len if len < LOG_LINES_MAX => step.logs.push(LogEntry { at_ms: now_ms(), text }),
            LOG_LINES_MAX => {
                step.logs
                    .push(LogEntry { at_ms: now_ms(), text: "further lines are in the daemon's log".into() });
            }
            _ => {}
        }
    }

    /// What has been asked of it.
    pub(super) fn order(&self) -> Order {
        Self::read(self.order.load(Ordering::SeqCst))
    }

    /// What has been asked of it, forgotten in the same moment: the next attempt begins with a free hand.
    pub(super) fn take_order(&self) -> Order {
        Self::read(self.order.swap(Order::Run as u8, Ordering::SeqCst))
    }

    fn read(order: u8) -> Order {
        match order {
            1 => Order::Abort,
            2 => Order::Pause,
            3 => Order::Stop,
            4 => Order::TimeOut,
            5 => Order::Committing,
            _ => Order::Run,
        }
    }

    /// Asks it to stop; false when the swap has begun, or an abort was asked for already.
    pub(super) fn ask(&self, order: Order) -> bool {
        let may = |now: u8| now != Order::Committing as u8 && now != Order::Abort as u8;
        self.order
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| may(now).then_some(order as u8))
            .is_ok()
    }

    /// Takes the step of no return: succeeds only while nobody has asked it to stop.
    ///
    /// # Errors
    /// What it was asked to stop with.
    pub(super) fn enter_commit(&self) -> Result<(), Failure> {
        self.order
            .compare_exchange(Order::Run as u8, Order::Committing as u8, Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(|_| self.checkpoint().err().unwrap_or_else(|| stopped(Order::Stop)))
    }

    /// Forgets what was asked: a new attempt begins with a free hand.
    pub(super) fn reset_order(&self) {
        self.order.store(Order::Run as u8, Ordering::SeqCst);
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// What it was asked to stop with.
    pub(super) fn checkpoint(&self) -> Result<(), Failure> {
        match self.order() {
            Order::Run | Order::Committing => Ok(()),
            order => Err(stopped(order)),
        }
    }
}

fn stopped(order: Order) -> Failure {
    match order {
        Order::Abort => Failure::new(ErrorCode::Aborted, "aborted by an operator"),
        Order::Pause => Failure::new(ErrorCode::Aborted, "paused by an operator"),
        Order::TimeOut => Failure::new(ErrorCode::TimedOut, "no byte moved for migration_task_timeout_secs"),
        Order::Stop | Order::Run | Order::Committing => {
            Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping")
        }
    }
}

/// Time since a moment, in whole milliseconds.
pub(super) fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
