//! One migration while it is alive: its row, its progress, and what an operator has asked of it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::clock::to_ms;
use super::events::{EventKind, EventRing};
use super::progress::Progress;
use super::space_claim::SpaceClaim;
use crate::model::{
    Counters, DiskRef, ErrorCode, Failure, Haste, LogEntry, Migration, Status, Step, StepCheck, StepRecord,
    StepStatus, TabletKey,
};
use crate::rules::gate::{self, Gate};
use crate::rules::transition::{Event, transition};
use crate::transfer::{Limiter, VerifiedCopy};

pub(crate) use super::clock::now_ms;

/// Lines kept of one step's log, and steps kept of one migration: a row in the journal stays small through any number
/// of attempts.
const LOG_LINES_MAX: usize = 100;
const STEPS_MAX: usize = 24;

/// The row of a migration that has just been asked for.
pub(crate) fn new_row(
    key: TabletKey,
    source: DiskRef,
    destination: DiskRef,
    total_bytes: u64,
    file_count: u32,
) -> Migration {
    Migration {
        counters: Counters { total_bytes, total_files: u64::from(file_count), ..Counters::default() },
        ..Migration::new(key, source, destination, now_ms())
    }
}

/// What a running migration may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Abort,
    /// Stop, keep what is verified.
    Pause,
    /// Stop, keep what is verified: the daemon ends.
    Stop,
    /// Stop: nothing has moved for too long.
    TimeOut,
}

/// What it has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing: it goes on.
    Nothing,
    Command(Command),
    /// It listens no more: the swap has begun, and from here on there is nothing but completion.
    PastRecall,
}

impl Heard {
    const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Command(Command::Abort),
        Self::Command(Command::Pause),
        Self::Command(Command::Stop),
        Self::Command(Command::TimeOut),
        Self::PastRecall,
    ];

    fn to_bits(self) -> u8 {
        let at = Self::ALL.iter().position(|heard| *heard == self);
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
    }

    fn of_bits(bits: u8) -> Self {
        Self::ALL.get(usize::from(bits)).copied().unwrap_or(Self::Nothing)
    }
}

/// A migration that has not ended.
pub(crate) struct Job {
    /// Of [`super::turn::Turn`].
    pub(crate) turn: Mutex<()>,
    migration: Mutex<Migration>,
    pub(crate) progress: Progress,
    /// [`Heard`].
    heard: AtomicU8,
    pub(crate) size_bytes: u64,
    pub(crate) claim: SpaceClaim,
    /// Its own bandwidth limit, in bytes copied.
    pub(crate) limiter: Limiter,
    forced: AtomicBool,
    /// Held by whoever settles its swap.
    pub(crate) settling: Mutex<()>,
    kept_copy: Mutex<Option<KeptCopy>>,
    events: Arc<EventRing>,
}

/// What a migration that waits at a gate knows of its staging: a cutover need not read it again. Gone with the process;
/// the next one reads the staging back from the medium.
pub(crate) struct KeptCopy {
    pub(crate) copy: VerifiedCopy,
    /// [`super::disk::Disk::write_epoch`] when it was verified: a sync that failed since makes it worth nothing.
    pub(crate) write_epoch: u64,
}

impl Job {
    /// Whoever listens hears of it from here on.
    pub(crate) fn new(migration: Migration, size_bytes: u64, events: &Arc<EventRing>) -> Self {
        events.publish_status(&migration);
        let steering = &migration.steering;
        Self {
            turn: Mutex::default(),
            progress: Progress::default(),
            heard: AtomicU8::new(Heard::Nothing.to_bits()),
            size_bytes,
            claim: SpaceClaim::of(&migration),
            limiter: Limiter::new(steering.rate_bytes_per_sec.unwrap_or(0)),
            forced: AtomicBool::new(steering.haste == Haste::Forced),
            settling: Mutex::default(),
            kept_copy: Mutex::default(),
            events: Arc::clone(events),
            migration: Mutex::new(migration),
        }
    }

    /// Whether it waits at a gate to be asked on, or for its swap to be settled.
    pub(crate) fn gate(migration: &Migration) -> Gate {
        if migration.steering.in_doubt_since_ms.is_some() {
            return Gate::InDoubt;
        }
        let mode = gate::mode_in_force(migration.mode, migration.steering.known_by);
        gate::gate(migration.status, mode, migration.steering.released)
    }

    /// How far it goes before it has to be asked.
    pub(crate) fn may_do(migration: &Migration) -> Step {
        let mode = gate::mode_in_force(migration.mode, migration.steering.known_by);
        gate::may_do(mode, migration.steering.released)
    }

    /// Whether limits and turns no longer hold for it.
    pub(crate) fn is_forced(&self) -> bool {
        self.forced.load(Ordering::Relaxed)
    }

    /// Whether it is queued because there was no space for it.
    pub(crate) fn waits_for_space(&self) -> bool {
        let row = self.lock();
        row.status == Status::Queued && row.failure.as_ref().is_some_and(|why| why.code.is_want_of_space())
    }

    /// Whether it is queued for something that others do not need: space, or bytes that its disk has not given.
    pub(crate) fn stands_aside(&self) -> bool {
        let was_unreadable = {
            let row = self.lock();
            row.status == Status::Queued && was_unreadable(&row)
        };
        was_unreadable || self.waits_for_space()
    }

    /// Whether it only waits, and has nothing in staging that is worth keeping: its tablet may as well go elsewhere.
    pub(crate) fn may_give_way(&self) -> bool {
        self.lock().status == Status::Queued && !self.claim.has_verified_copy()
    }

    /// Whether its swap ended without anybody knowing which disk owns the tablet.
    pub(crate) fn is_in_doubt(&self) -> bool {
        Self::gate(&self.lock()) == Gate::InDoubt
    }

    /// From now on no limit holds for it; whoever waits for one of its own is let go.
    pub(crate) fn force(&self) {
        self.forced.store(true, Ordering::Relaxed);
        self.limiter.set_rate(0);
    }

    /// Keeps what is known of a verified copy.
    pub(crate) fn keep_copy(&self, copy: KeptCopy) {
        *self.kept_copy.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
    }

    /// What was kept, once.
    pub(crate) fn take_copy(&self) -> Option<KeptCopy> {
        self.kept_copy.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Migration> {
        self.migration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row with the progress of this moment.
    pub(crate) fn snapshot(&self) -> Migration {
        let mut migration = self.lock().clone();
        self.progress.merge_into(&mut migration);
        if migration.status != Status::Completed {
            // Until the end it is a draft.
            migration.receipt = None;
        }
        migration
    }

    /// A new attempt counts from nothing.
    pub(crate) fn reset_progress(&self) {
        self.progress.reset();
    }

    /// All of it is on the destination: progress that nobody was there to count.
    pub(crate) fn count_as_copied(&self) {
        self.progress.count_as_copied(self.lock().counters);
    }

    /// What this attempt did not copy was there already, verified.
    pub(crate) fn count_as_resumed(&self) {
        let counters = self.lock().counters;
        self.progress.count_as_resumed(counters);
    }

    /// Under the lock of the row: listeners hear of changes in their order.
    pub(crate) fn replace(&self, migration: &mut Migration, changed: Migration) {
        let is_news = migration.status != changed.status || migration.status_reason != changed.status_reason;
        *migration = changed;
        if is_news {
            self.events.publish_status(migration);
        }
    }

    /// Begins a step.
    pub(crate) fn begin_step(&self, step: Step) {
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
            checks: Vec::new(),
        });
        let kind = EventKind::Step { step, status: StepStatus::Running };
        self.events.publish(migration.id, migration.key, kind);
    }

    /// Ends the step that is under way.
    pub(crate) fn end_step(&self, status: StepStatus) {
        let mut migration = self.lock();
        let (id, key) = (migration.id, migration.key);
        if let Some(step) = migration.steps.last_mut() {
            step.status = status;
            step.ended_ms = Some(now_ms());
            self.events.publish(id, key, EventKind::Step { step: step.step, status });
        }
    }

    /// Adds a line to the log of the step that is under way, and to the daemon's.
    pub(crate) fn log(&self, text: impl Into<String>) {
        let text = text.into();
        {
            let row = self.lock();
            tracing::info!(migration = %row.id, tablet = %row.key, "{text}");
        }
        self.note(text);
    }

    /// Adds a line to the log of the step that is under way: what went as it should.
    pub(crate) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        let mut migration = self.lock();
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

    /// Adds what the step that is under way has looked at, and hands on what was found.
    ///
    /// # Errors
    /// What was found is one.
    pub(crate) fn checked<T>(
        &self,
        name: &str,
        found: Result<T, Failure>,
        said: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let (status, text) = match &found {
            Ok(good) => (StepStatus::Done, said(good)),
            Err(failure) => (StepStatus::Error, failure.message.clone()),
        };
        if let Some(step) = self.lock().steps.last_mut() {
            step.checks.push(StepCheck { name: name.to_owned(), status, found: text });
        }
        found
    }

    /// What has been asked of it.
    pub(crate) fn heard(&self) -> Heard {
        Heard::of_bits(self.heard.load(Ordering::SeqCst))
    }

    /// What has been asked of it, forgotten in the same moment: the next attempt begins with a free hand.
    pub(crate) fn take_heard(&self) -> Heard {
        Heard::of_bits(self.heard.swap(Heard::Nothing.to_bits(), Ordering::SeqCst))
    }

    /// Asks it to stop; false when the swap has begun, or it was asked for more already.
    pub(crate) fn ask(&self, command: Command) -> bool {
        let may = |heard| match heard {
            Heard::PastRecall | Heard::Command(Command::Abort) => false,
            Heard::Nothing => true,
            // What the daemon wants takes nothing back of what an operator asked for: it comes to rest all the same.
            Heard::Command(Command::Pause | Command::Stop | Command::TimeOut) => {
                !matches!(command, Command::Stop | Command::TimeOut)
            }
        };
        let told = Heard::Command(command).to_bits();
        let ask = |now| may(Heard::of_bits(now)).then_some(told);
        self.heard.fetch_update(Ordering::SeqCst, Ordering::SeqCst, ask).is_ok()
    }

    /// Takes the step of no return: succeeds only while nobody has asked it to stop.
    ///
    /// # Errors
    /// What it was asked to stop with.
    pub(crate) fn enter_commit(&self) -> Result<(), Failure> {
        let (free, past) = (Heard::Nothing.to_bits(), Heard::PastRecall.to_bits());
        self.heard
            .compare_exchange(free, past, Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(|_| self.checkpoint().err().unwrap_or_else(|| stopped(Command::Stop)))
    }

    /// Forgets what was asked: a new attempt begins with a free hand.
    pub(crate) fn forget(&self) {
        self.heard.store(Heard::Nothing.to_bits(), Ordering::SeqCst);
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// What it was asked to stop with.
    pub(crate) fn checkpoint(&self) -> Result<(), Failure> {
        match self.heard() {
            Heard::Nothing | Heard::PastRecall => Ok(()),
            Heard::Command(command) => Err(stopped(command)),
        }
    }
}

/// Whether its last attempt ended at bytes that its source's disk did not give.
pub(crate) fn was_unreadable(migration: &Migration) -> bool {
    migration.failure.as_ref().is_some_and(|why| why.code == ErrorCode::SourceUnreadable)
}

/// Changes the status of a row, if the table allows it.
///
/// # Errors
/// `ILLEGAL_TRANSITION`.
pub(crate) fn apply(migration: &mut Migration, event: Event, reason: String) -> Result<(), Failure> {
    let next = transition(migration.status, event).map_err(|illegal| {
        Failure::new(ErrorCode::IllegalTransition, format!("migration {}: {illegal}", migration.id))
    })?;
    if next == Status::Paused {
        migration.paused_in = Some(migration.status);
    }
    if !matches!(next, Status::Finalizing | Status::Completed) {
        migration.receipt = None;
    }
    migration.status = next;
    migration.steering.leave_gate();
    migration.status_reason = reason;
    migration.updated_ms = now_ms();
    if next.is_final() {
        migration.finished_ms = Some(migration.updated_ms);
    }
    Ok(())
}

fn stopped(command: Command) -> Failure {
    match command {
        Command::Abort => Failure::new(ErrorCode::Aborted, "aborted by an operator"),
        Command::Pause => Failure::new(ErrorCode::Aborted, "paused by an operator"),
        Command::TimeOut => Failure::new(
            ErrorCode::TimedOut,
            "nothing was heard of it for migration_task_timeout_secs, or a second for each MiB",
        ),
        Command::Stop => Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping"),
    }
}

/// Time since a moment, in whole milliseconds.
pub(crate) fn elapsed_ms(since: Instant) -> u64 {
    to_ms(since.elapsed())
}
