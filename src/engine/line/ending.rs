//! Every way in which a migration ends, and in which an attempt of it does.

use super::base::Line;
use crate::engine::damage::note_failed_read;
use crate::engine::line::undo;
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::counts::Counts;
use crate::engine::parts::job::{Command, Heard, Job, apply, elapsed_ms};
use crate::engine::parts::undone::Action;
use crate::engine::parts::unfinished::Undone;
use crate::engine::parts::verbs::why_paused;
use crate::engine::parts::{checks, reservation};
use crate::fault;
use crate::model::{ErrorCode, Failure, Receipt, Step, StepStatus, UndoneFor};
use crate::rules::retry::{Copied, Leave, SPACE_PAUSE_MS_MAX, Verdict, after_failure, pause_ms};
use crate::rules::transition::Event;

/// How a migration ends: what has come of it, and in words why.
pub(crate) enum Ending {
    /// The tablet is on the disk at this path.
    Moved(String),
    /// It is, and nobody had lived to write it down.
    FoundMoved,
    /// It is, for the source at this path was given up.
    SourceGivenUp(String),
    /// What was made is removed.
    Undone(UndoneFor),
    /// The same, and the disk at this path was given up before it was done.
    UndoneWithDisk(String),
    /// The tablet is where it was, or nobody knows.
    Failed(Failure),
}

impl Ending {
    const fn event(&self) -> Event {
        match self {
            Self::Moved(_) | Self::FoundMoved | Self::SourceGivenUp(_) => Event::Completed,
            Self::Undone(UndoneFor::Abort | UndoneFor::Replan) | Self::UndoneWithDisk(_) => Event::Undone,
            Self::Undone(UndoneFor::Deadline) => Event::Expired,
            Self::Failed(_) => Event::Fail,
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Moved(path) => format!("on {path}"),
            Self::FoundMoved => "found complete at the start, or when its disk joined".to_owned(),
            Self::SourceGivenUp(path) => {
                format!("its source {path} was given up; the copy is the tablet now")
            }
            Self::Undone(UndoneFor::Abort) => "aborted by an operator; the source is as it was".to_owned(),
            Self::Undone(UndoneFor::Replan) => {
                "its task has a new plan and the tablet goes elsewhere".to_owned()
            }
            Self::Undone(UndoneFor::Deadline) => {
                "nobody let it through in time; the source is as it was".to_owned()
            }
            Self::UndoneWithDisk(path) => {
                format!("aborted by an operator; disk {path} was given up meanwhile")
            }
            Self::Failed(failure) => failure.message.clone(),
        }
    }
}

/// Ends a migration: takes it off the board of the living and gives back what it held. Its last row is durable before
/// anybody can see it ended.
pub(crate) fn end(node: &Node, job: &Job, ending: Ending) {
    // Held until everybody sees it ended: what would be written after the last row is refused.
    let turn = job.turn();
    let (event, reason) = (ending.event(), ending.reason());
    match ending {
        Ending::Moved(_) | Ending::FoundMoved | Ending::SourceGivenUp(_) => job.lock().failure = None,
        Ending::Failed(failure) => job.lock().failure = Some(failure),
        Ending::Undone(_) | Ending::UndoneWithDisk(_) => {}
    }
    let row = match turn.foresee(event, reason) {
        Ok(row) => row,
        Err(failure) => {
            tracing::error!("{failure}");
            return;
        }
    };
    if let Err(failure) = node.journal.post_update(row.clone()).wait() {
        // The disks know: the next start settles it the same way.
        tracing::error!(migration = %row.id, "its end could not be journalled: {failure}");
    }
    match event {
        Event::Completed => Counts::add(&node.counts.completed),
        Event::Undone => Counts::add(&node.counts.aborted),
        Event::Expired => Counts::add(&node.counts.expired),
        _ => Counts::add(&node.counts.failed),
    }
    tracing::info!(migration = %row.id, tablet = %row.key, status = %row.status, "{}", row.status_reason);
    node.catalog_mut().let_go(row.key, row.id);
    if let Some(disk) = node.disk_by_uuid(row.destination.uuid) {
        reservation::release(disk, job);
    }
    let keep = node.config().finished_migration_tasks_size as usize;
    let mut board = node.board();
    turn.show(row.clone());
    board.end(row, keep);
}

impl Line<'_> {
    pub(super) fn complete(&self, mut receipt: Receipt) {
        receipt.duration_ms = elapsed_ms(self.began);
        self.node.counts.moved(receipt.bytes);
        self.job.lock().receipt = Some(receipt);
        end(self.node, self.job, Ending::Moved(self.destination_ref.path.clone()));
        fault::point("completed");
    }

    /// The source is as it was. What an operator asked for comes first, then whether another attempt can help.
    pub(super) fn settle_stop(&self, failure: Failure) {
        match self.job.heard() {
            Heard::Command(Command::Abort) => self.abort(),
            Heard::Command(Command::Pause) => self.pause(),
            Heard::Command(Command::Stop) => {
                self.rest(Event::Interrupted, "the daemon is stopping; goes on at the next start");
            }
            Heard::Nothing | Heard::Command(Command::TimeOut) | Heard::PastRecall => {
                self.settle_failure(failure);
            }
        }
    }

    fn abort(&self) {
        if let Err(failure) = self.advance(Event::Abort, "removing what was copied") {
            tracing::error!("{failure}");
        }
        self.undo(Leave::Nothing);
        end(self.node, self.job, Ending::Undone(UndoneFor::Abort));
    }

    /// Stops for a while; what is verified in staging is kept.
    fn rest(&self, event: Event, reason: &str) {
        let rested = self.job.turn().note(&self.node.journal, |row| apply(row, event, reason.to_owned()));
        if let Err(failure) = rested {
            tracing::error!("{failure}");
        }
    }

    /// Paused is what an operator asked for: it is seen only once a crash cannot take it back.
    fn pause(&self) {
        let turn = self.job.turn();
        let reason = why_paused(&self.job.lock());
        if let Err(failure) = turn.commit(&self.node.journal, Event::Pause, reason) {
            tracing::error!("{failure}");
        }
        drop(turn);
        self.release_space();
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
                end(self.node, self.job, Ending::Failed(checks::with_way_out(self.key, failure)));
            }
        }
    }

    fn try_later(&self, failure: Failure, after_ms: u64, reason: &str) {
        {
            let mut row = self.job.lock();
            row.failure = Some(failure);
            row.not_before_ms = Some(now_ms().saturating_add_unsigned(after_ms));
        }
        Counts::add(&self.node.counts.retried);
        self.rest(Event::Retry, reason);
        // An operator may have asked after the failure was looked at.
        match self.job.take_heard() {
            Heard::Command(Command::Abort) => self.abort(),
            Heard::Command(Command::Pause) => self.pause(),
            Heard::Nothing
            | Heard::Command(Command::Stop)
            | Heard::Command(Command::TimeOut)
            | Heard::PastRecall => {}
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Status;
    use crate::rules::transition::transition;

    #[test]
    fn every_ending_ends_a_migration_and_says_why() {
        let disk = || "/d1".to_owned();
        for (from, ending, to) in [
            (Status::Finalizing, Ending::Moved(disk()), Status::Completed),
            (Status::Aborting, Ending::FoundMoved, Status::Completed),
            (Status::Paused, Ending::SourceGivenUp(disk()), Status::Completed),
            (Status::Aborting, Ending::Undone(UndoneFor::Abort), Status::Aborted),
            (Status::Aborting, Ending::Undone(UndoneFor::Replan), Status::Aborted),
            (Status::Aborting, Ending::Undone(UndoneFor::Deadline), Status::Expired),
            (Status::Aborting, Ending::UndoneWithDisk(disk()), Status::Aborted),
            (Status::Copying, Ending::Failed(Failure::new(ErrorCode::IoError, "why")), Status::Failed),
        ] {
            assert_eq!(transition(from, ending.event()), Ok(to), "{from}: {}", ending.reason());
            assert!(to.is_final() && !ending.reason().is_empty());
        }
    }
}
