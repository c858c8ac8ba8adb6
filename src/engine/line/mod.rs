//! The straight line: one attempt of one migration, read from top to bottom.
//!
//! ```text
//! preflight -> prepare -> data (copy, sync, read back) -> finalize (swap, retire) -> completed
//! ```
//!
//! Each step takes the value that only the step before can make: an unverified copy cannot be swapped in, and a source
//! cannot be retired without the receipt of a swap. Before the commit point nothing here writes to the source; after it
//! nothing here removes anything from the destination.
//!
//! At a gate the line ends and gives everything back: the thread, the slots, every descriptor. Let through, the migration
//! begins again at the top and finds its staging; what was verified is neither copied nor, in the same process, read again.

mod data;
mod doubt;
mod finalize;
mod gate;
mod hooks;
mod preflight;
mod prepare;
mod undo;

use std::sync::Arc;
use std::time::Instant;

use super::node::{Counts, Node};
use super::parts::checks;
use super::parts::checks::note_failed_read;
use super::parts::disk::{Disk, note_storage_error};
use super::parts::job::{Job, Order, Parked, apply, elapsed_ms};
use super::parts::pressure::OUT;
use super::parts::reservation;
use super::parts::undone::{Action, Left};
use crate::fault;
use crate::model::{DiskRef, ErrorCode, Failure, MigrationId, Receipt, Step, StepStatus, TabletKey};
use crate::rules::retry::{Copied, Leave, SPACE_PAUSE_MS_MAX, Verdict, after_failure, pause_ms};
use crate::rules::transition::Event;
use crate::storage::StorageError;
use gate::Halt;
use undo::Undone;

pub(super) use doubt::settle;
pub(super) use finalize::content_crc32;
pub(super) use undo::{
    owner_is_seen, reclaim_placed, remove_copy, set_copy_aside, take_back_placed, undo_copy,
};

/// What every step of one attempt needs.
pub(super) struct Line<'a> {
    pub(super) node: &'a Node,
    pub(super) job: &'a Job,
    id: MigrationId,
    key: TabletKey,
    source: Arc<Disk>,
    destination: Arc<Disk>,
    source_ref: DiskRef,
    destination_ref: DiskRef,
    began: Instant,
}

/// How an attempt ended.
enum Outcome {
    Completed(Receipt),
    /// It waits at a gate, and says so durably.
    AtGate,
    /// Before the commit point: the source is as it was.
    Stopped(Failure),
    /// At the commit point: whether the destination owns the tablet is not known.
    InDoubt(Failure),
}

/// Runs one attempt on the calling thread, which has a descriptor table of its own, and settles what came of it.
pub(super) fn run(node: &Node, job: &Job) {
    let line = match Line::new(node, job) {
        Ok(line) => line,
        Err(failure) => return give_up(node, job, failure),
    };
    Counts::add(&node.counts.started);
    match line.attempt() {
        Outcome::Completed(receipt) => line.complete(receipt),
        Outcome::AtGate => {}
        Outcome::Stopped(failure) => line.settle_stop(failure),
        Outcome::InDoubt(failure) => line.settle_doubt(&failure),
    }
}

fn give_up(node: &Node, job: &Job, failure: Failure) {
    let reason = failure.message.clone();
    job.lock().failure = Some(failure);
    node.end(job, Event::Fail, reason);
}

impl<'a> Line<'a> {
    /// # Errors
    /// One of the disks is not here.
    fn new(node: &'a Node, job: &'a Job) -> Result<Self, Failure> {
        let (id, key, source_ref, destination_ref) = {
            let row = job.lock();
            (row.id, row.key, row.source.clone(), row.destination.clone())
        };
        let here = |disk: &DiskRef| {
            node.disk_by_uuid(disk.uuid).cloned().ok_or_else(|| {
                Failure::new(
                    ErrorCode::DiskUnavailable,
                    format!("disk {} ({}) is not here", disk.path, disk.uuid),
                )
            })
        };
        let (source, destination) = (here(&source_ref)?, here(&destination_ref)?);
        Ok(Self {
            node,
            job,
            id,
            key,
            source,
            destination,
            source_ref,
            destination_ref,
            began: Instant::now(),
        })
    }

    fn attempt(&self) -> Outcome {
        reservation::not_allocated(&self.destination, self.job);
        job_begins(self.job);
        let verified = match self.up_to_the_swap() {
            Ok(verified) => verified,
            Err(Halt::AtGate) => {
                self.release_space();
                return Outcome::AtGate;
            }
            Err(Halt::Failed(failure)) => return Outcome::Stopped(failure),
        };
        let moved = self.step(Step::Finalize, || {
            let swapped = finalize::swap(self, verified)?;
            Ok(finalize::retire(self, swapped))
        });
        match moved {
            Ok(receipt) => Outcome::Completed(receipt),
            Err(finalize::SwapError::BeforeCommit(failure)) => Outcome::Stopped(failure),
            Err(finalize::SwapError::InDoubt(failure)) => Outcome::InDoubt(failure),
        }
    }

    fn up_to_the_swap(&self) -> Result<data::Ready, Halt> {
        self.node.advance(self.job, Event::Start, "checking tablet, disks and space")?;
        let passed = self.step(Step::Preflight, || preflight::check(self))?;
        self.node.advance(self.job, Event::PreflightPassed, "tablet, disks and space are as they must be")?;
        self.pass_gate()?;
        let prepared = self.step(Step::Prepare, || prepare::prepare(self, passed))?;
        self.node.advance(self.job, Event::Prepared, "staging stands")?;
        self.pass_gate()?;
        self.node.advance(self.job, Event::CopyStarted, "copying")?;
        let ready = self.step(Step::Data, || data::copy(self, prepared))?;
        self.job.claim.set_verified_copy(true);
        self.node.advance(self.job, Event::CopyVerified, "a verified, durable copy stands in staging")?;
        let write_epoch = self.destination.write_epoch();
        if let Err(halt) = self.pass_gate() {
            self.job.park(Parked { copy: ready.copy, write_epoch });
            return Err(halt);
        }
        Ok(ready)
    }

    /// Runs one step with its record, log and timing.
    fn step<T, E: AsRef<Failure>>(&self, step: Step, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.job.begin_step(step);
        if step == Step::Data {
            // The long one: should the daemon die in it, the next start knows which step that was.
            self.job.note_row(&self.node.journal, |_| {});
        }
        let began = Instant::now();
        let done = {
            // A copy's calls are counted one by one; the other steps are short, and nothing but calls.
            let _out = (step != Step::Data).then(|| OUT.guard());
            work()
        };
        if let Err(error) = &done {
            self.job.log(error.as_ref().message.clone());
        }
        let how = if done.is_ok() { StepStatus::Done } else { StepStatus::Error };
        self.node.counts.step_ended(step, began.elapsed(), how);
        self.job.end_step(how);
        done
    }

    fn complete(&self, mut receipt: Receipt) {
        receipt.duration_ms = elapsed_ms(self.began);
        self.node.counts.moved(receipt.bytes);
        {
            let mut row = self.job.lock();
            row.receipt = Some(receipt);
            row.failure = None;
        }
        self.node.end(self.job, Event::Completed, format!("on {}", self.destination_ref.path));
        fault::point("completed");
    }

    /// The source is as it was. What an operator asked for comes first, then whether another attempt can help.
    fn settle_stop(&self, failure: Failure) {
        match self.job.order() {
            Order::Abort => self.abort(),
            Order::Pause => self.pause(),
            Order::Stop => self.park(Event::Interrupted, "the daemon is stopping; goes on at the next start"),
            Order::Run | Order::TimeOut | Order::Committing => self.settle_failure(failure),
        }
    }

    fn abort(&self) {
        if let Err(failure) = self.node.advance(self.job, Event::Abort, "removing what was copied") {
            tracing::error!("{failure}");
        }
        self.undo(Leave::Nothing);
        self.node.end(self.job, Event::Undone, "aborted by an operator; the source is as it was");
    }

    /// Stops for a while; what is verified in staging is kept.
    fn park(&self, event: Event, reason: &str) {
        let parked = self.job.turn().note(&self.node.journal, |row| apply(row, event, reason.to_owned()));
        if let Err(failure) = parked {
            tracing::error!("{failure}");
        }
    }

    /// Paused is what an operator asked for: it is seen only once a crash cannot take it back.
    fn pause(&self) {
        let turn = self.job.turn();
        let reason = super::ask::stop::why_paused(&self.job.lock());
        if let Err(failure) = turn.commit(&self.node.journal, Event::Pause, reason) {
            tracing::error!("{failure}");
        }
        drop(turn);
        self.release_space();
    }

    /// Others may use what is free while this migration waits.
    fn release_space(&self) {
        // Measured first: what is kept in staging shows as used from here on. If it cannot be, the next probe measures.
        let _ = self.destination.open().map(|(root, _)| self.destination.measure(&root).map(drop));
        reservation::release(&self.destination, self.job);
    }

    fn settle_failure(&self, failure: Failure) {
        if matches!(failure.code, ErrorCode::SourceDamaged | ErrorCode::SourceUnreadable) {
            note_failed_read(self.node, self.key, &self.source, &failure);
        }
        let attempts = self.job.lock().attempts;
        let (attempts_max, backoff_ms) = {
            let config = self.node.config();
            (config.migration_max_attempts, u64::from(config.migration_retry_backoff_ms))
        };
        let copy = if self.job.claim.has_verified_copy() { Copied::Verified } else { Copied::Unverified };
        match after_failure(failure.code, copy, attempts, attempts_max, backoff_ms) {
            Verdict::RetryAfter(ms) => {
                let reason = format!("attempt {attempts} failed: {failure}; the next one in {ms} ms");
                self.try_later(failure, ms, &reason);
            }
            Verdict::WaitForSpace => {
                if copy == Copied::Unverified && self.job.lock().destination_shard.is_some() {
                    // What was copied is in the way of whatever else needs the space.
                    self.undo(Leave::Nothing);
                }
                let ms = pause_ms(self.job.claim.waits_again(), backoff_ms).min(SPACE_PAUSE_MS_MAX);
                // Having waited is not having tried.
                self.job.lock().attempts = attempts.saturating_sub(1);
                let reason = format!("waiting for space: {failure}; looked for again in {ms} ms");
                self.try_later(failure, ms, &reason);
                self.release_space();
            }
            Verdict::GiveUp(leave) => {
                self.undo(leave);
                let failure = checks::with_way_out(self.key, failure);
                let reason = failure.message.clone();
                self.job.lock().failure = Some(failure);
                self.node.end(self.job, Event::Fail, reason);
            }
        }
    }

    fn try_later(&self, failure: Failure, after_ms: u64, reason: &str) {
        {
            let mut row = self.job.lock();
            row.failure = Some(failure);
            row.not_before_ms = Some(self.node.now_ms().saturating_add_unsigned(after_ms));
        }
        Counts::add(&self.node.counts.retried);
        self.park(Event::Retry, reason);
        // An operator may have asked after the failure was looked at.
        match self.job.take_order() {
            Order::Abort => self.abort(),
            Order::Pause => self.pause(),
            Order::Run | Order::Stop | Order::TimeOut | Order::Committing => {}
        }
    }

    fn undo(&self, leave: Leave) {
        self.job.begin_step(Step::Abort);
        let undone = undo::undo(self, leave);
        self.job.claim.set_verified_copy(false);
        reservation::not_allocated(&self.destination, self.job);
        match &undone {
            Ok(gone @ Undone::Removed(_)) => {
                self.job.note(gone.in_words(&self.destination.path));
                self.job.lock().destination_shard = None;
            }
            Ok(kept) => self.job.log(kept.in_words(&self.destination.path)),
            Err(failure) => {
                self.job.log(format!("{failure}; what is left is removed once the disk lets it be"));
                let shard = self.job.lock().destination_shard;
                let name = self.id.to_string();
                let action = Action::RemoveCopy { name, key: self.key, shard };
                self.leave(&self.destination, action, self.job.size_bytes, failure);
            }
        }
        self.job.end_step(if undone.is_ok() { StepStatus::Done } else { StepStatus::Error });
    }

    /// Notes what could not be done on a disk. Nothing stops for it.
    fn leave(&self, disk: &Disk, action: Action, size_bytes: u64, why: &Failure) {
        self.node.undone.leave(disk, Left::new(action, size_bytes, why.message.clone()));
    }

    /// A storage error on the source, as this migration's failure.
    fn on_source(&self, error: impl Into<StorageError>) -> Failure {
        let error = error.into();
        note_storage_error(&self.source, &error);
        error.on_source()
    }

    /// A storage error on the destination, as this migration's failure.
    fn on_destination(&self, error: impl Into<StorageError>) -> Failure {
        let error = error.into();
        note_storage_error(&self.destination, &error);
        error.into()
    }
}

fn job_begins(job: &Job) {
    job.reset_progress();
    let mut row = job.lock();
    row.attempts += 1;
    row.not_before_ms = None;
}

impl AsRef<Self> for Failure {
    fn as_ref(&self) -> &Self {
        self
    }
}
