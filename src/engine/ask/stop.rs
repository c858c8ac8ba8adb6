//! How a migration is stopped: called off, paused by an operator, held by its task or its destination, or undone because
//! nobody let it through in time. One that runs stops itself; of one that does not, what it has made is undone here.

use std::sync::Arc;

use crate::engine::line::{Ending, end, owner_is_seen, undo_copy};
use crate::engine::look::migrations::alive;
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::note_storage_error;
use crate::engine::parts::job::{Command, Heard, Job, apply};
use crate::engine::parts::journal_thread::Posted;
use crate::engine::parts::turn::Turn;
use crate::engine::parts::undone::{Action, Left};
use crate::engine::parts::verbs::why_paused;
use crate::engine::parts::{reservation, verbs};
use crate::model::{
    ErrorCode, Failure, Hold, Migration, MigrationId, Status, Step, StepStatus, TimestampMs, UndoneFor,
};
use crate::rules::gate::{Gate, Verb, is_overdue, taken_now};
use crate::rules::hold::{PendingPause, holder};
use crate::rules::transition::Event;
use crate::storage::StorageError;

/// Calls a migration off. One that is running stops at its next block; the answer does not wait for it. Asked for again
/// it changes nothing.
pub(crate) fn abort(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::Abort)?;
    if job.lock().status != Status::Aborting {
        stop(node, id, &job, Wish::Abort)?;
    }
    Ok(job.snapshot())
}

/// Stops a migration for a while. What is verified in staging is kept.
pub(crate) fn pause(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::Pause)?;
    stop(node, id, &job, Wish::Pause(None))?;
    Ok(job.snapshot())
}

/// As [`pause`], because of its task or of its destination: what holds it lets it go on.
pub(crate) fn hold(node: &Arc<Node>, id: MigrationId, by: Hold) -> Result<(), Failure> {
    let job = alive(node, id, Verb::Pause)?;
    stop(node, id, &job, Wish::Pause(Some(by)))
}

/// Calls off a migration that only waits: by the new plan of its task the tablet goes elsewhere.
///
/// # Errors
/// `ILLEGAL_TRANSITION` once it has begun, and nothing is changed then.
pub(crate) fn give_way(node: &Arc<Node>, id: MigrationId) -> Result<(), Failure> {
    let job = alive(node, id, Verb::Abort)?;
    if job.lock().status != Status::Queued {
        return Err(Failure::new(ErrorCode::IllegalTransition, format!("migration {id} does not wait")));
    }
    stop(node, id, &job, Wish::GiveWay)
}

/// What is asked of a migration that is to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Abort,
    /// While it only waits.
    GiveWay,
    /// By an operator, or by what holds it.
    Pause(Option<Hold>),
}

impl Wish {
    const fn command(self) -> Command {
        match self {
            Self::Abort | Self::GiveWay => Command::Abort,
            Self::Pause(_) => Command::Pause,
        }
    }

    /// Why what was made is removed; `None` where it is kept.
    const fn undoes(self) -> Option<UndoneFor> {
        match self {
            Self::Abort => Some(UndoneFor::Abort),
            Self::GiveWay => Some(UndoneFor::Replan),
            Self::Pause(_) => None,
        }
    }

    const fn verb(self) -> Verb {
        match self {
            Self::Abort | Self::GiveWay => Verb::Abort,
            Self::Pause(_) => Verb::Pause,
        }
    }
}

fn stop(node: &Arc<Node>, id: MigrationId, job: &Arc<Job>, wish: Wish) -> Result<(), Failure> {
    let turn = job.turn();
    verbs::check(&job.lock(), wish.verb())?;
    // Under this lock a migration neither starts nor comes to rest: what is asked of it is heard by its thread, or
    // there is none.
    let mut schedule = node.schedule();
    if schedule.is_running(id) {
        if wish == Wish::GiveWay {
            return Err(Failure::new(ErrorCode::IllegalTransition, format!("migration {id} has begun")));
        }
        let posted = ask_running(node, id, job, &turn, wish)?;
        drop((schedule, turn));
        node.limiter.wake();
        job.limiter.wake();
        return posted.map_or(Ok(()), |posted| posted.wait_unless_full().map(drop));
    }
    let posted = turn.change(&node.journal, |row| match wish {
        Wish::Pause(by) => {
            row.steering.held_by = by;
            apply(row, Event::Pause, why_paused(row))
        }
        Wish::Abort | Wish::GiveWay => {
            row.steering.undone_for = wish.undoes();
            apply(row, Event::Abort, "removing what was copied".to_owned())
        }
    })?;
    schedule.remove(id);
    if let (Wish::Pause(_), Some(disk)) = (wish, node.disk_by_uuid(job.lock().destination.uuid)) {
        reservation::release(disk, job);
    }
    drop((schedule, turn));
    let posted = posted.wait_unless_full().map(drop);
    if let Some(why) = wish.undoes() {
        // Also when the journal did not take it: nobody else would ever undo it.
        undo_resting(node, id, job, why);
    }
    posted
}

/// Asks a migration that has a thread: it stops itself, and settles what it has made.
///
/// # Errors
/// `ILLEGAL_TRANSITION` once its swap has begun.
fn ask_running(
    node: &Node,
    id: MigrationId,
    job: &Job,
    turn: &Turn<'_>,
    wish: Wish,
) -> Result<Option<Posted<MigrationId>>, Failure> {
    let pending = job.heard();
    if wish == Wish::Abort && pending == Heard::Command(Command::Abort) {
        return Ok(None);
    }
    if !job.ask(wish.command()) {
        let takes = taken_now(Status::Finalizing, Gate::Passes);
        let text = format!("migration {id}: its swap has begun and can only be finished; it takes: {takes}");
        return Err(Failure::new(ErrorCode::IllegalTransition, text));
    }
    {
        let mut row = job.lock();
        if let Wish::Pause(by) = wish {
            let earlier = match pending {
                Heard::Command(Command::Pause) => PendingPause::AskedBy(row.steering.held_by),
                _ => PendingPause::None,
            };
            row.steering.held_by = holder(earlier, by);
        }
        if !row.status.is_final() && row.status != Status::Paused {
            row.status_reason = format!("{} asked for; stops at the next block", wish.verb().name());
        }
    }
    match wish {
        Wish::Pause(_) => Ok(None),
        // Should the daemon die before it has stopped, on a hung disk say, the next start finds the wish.
        Wish::Abort | Wish::GiveWay => turn.change(&node.journal, |_| Ok(())).map(Some),
    }
}

/// Undoes a migration whose time at its gate is over, unless it has been let through or extended meanwhile.
///
/// # Errors
/// `ILLEGAL_TRANSITION` when it has; `JOURNAL_UNAVAILABLE`.
fn stop_at_gate(
    node: &Arc<Node>,
    id: MigrationId,
    job: &Arc<Job>,
    now_ms: TimestampMs,
) -> Result<(), Failure> {
    let key = job.lock().key;
    let posted = {
        let turn = job.turn();
        // Time does not undo what may be the only copy: it waits for its tablet's owner. Looked at before the schedule is
        // locked, which is the last in the order of locks.
        if !owner_is_seen(node, key) {
            return Ok(());
        }
        let schedule = node.schedule();
        if schedule.is_running(id) {
            return Ok(());
        }
        turn.change(&node.journal, |row| {
            if !is_overdue(Job::gate(row), row.steering.deadline_ms, now_ms) {
                let text = format!("migration {id} no longer waits at its gate");
                return Err(Failure::new(ErrorCode::IllegalTransition, text));
            }
            let waited_in = row.status;
            row.steering.undone_for = Some(UndoneFor::Deadline);
            row.failure = Some(Failure::new(
                ErrorCode::TimedOut,
                format!("it waited in {waited_in} past its deadline and nobody let it through"),
            ));
            apply(row, Event::Expire, "its deadline has passed; removing what was copied".to_owned())
        })?
    };
    let posted = posted.wait_unless_full().map(drop);
    undo_resting(node, id, job, UndoneFor::Deadline);
    posted
}

/// After a migration has come to rest: what was asked of it while its thread was on the way out.
pub(crate) fn settle_late_command(node: &Arc<Node>, id: MigrationId, job: &Arc<Job>) {
    let (rests_at_gate, is_paused, held_by) = {
        let row = job.lock();
        (Job::gate(&row) == Gate::Waits, row.status == Status::Paused, row.steering.held_by)
    };
    let wish = match job.heard() {
        Heard::Command(Command::Abort) if rests_at_gate || is_paused => Wish::Abort,
        Heard::Command(Command::Pause) if rests_at_gate => Wish::Pause(held_by),
        Heard::Command(Command::TimeOut) if rests_at_gate => return job.forget(),
        _ => return,
    };
    job.forget();
    if let Err(failure) = stop(node, id, job, wish) {
        tracing::warn!("{failure}");
    }
}

/// Undoes a migration that is not running, on a thread of its own: its disk may be slow to answer.
fn undo_resting(node: &Arc<Node>, id: MigrationId, job: &Arc<Job>, why: UndoneFor) {
    let (at, owned) = (Arc::clone(node), Arc::clone(job));
    let spawned = crate::engine::parts::thread::spawn_isolated(&format!("undo-{id}"), move || {
        let (key, shard, destination) = {
            let row = owned.lock();
            (row.key, row.destination_shard, row.destination.uuid)
        };
        owned.begin_step(Step::Abort);
        let name = id.to_string();
        let undone = at.disk_by_uuid(destination).map_or(Ok(None), |disk| {
            let blame = |error: StorageError| {
                note_storage_error(disk, &error);
                Failure::from(error)
            };
            let removed = disk
                .open()
                .and_then(|(root, store)| undo_copy(&at, &root, &store, &name, key, shard).map_err(blame))
                .map(|undone| Some(undone.in_words(&disk.path)));
            removed.inspect_err(|failure| {
                let action = Action::RemoveCopy { name: name.clone(), key, shard };
                at.undone.leave(disk, Left::new(action, owned.size_bytes, failure.message.clone()));
            })
        });
        match &undone {
            Ok(None) => {}
            Ok(Some(said)) => owned.log(said),
            Err(failure) => {
                owned.log(format!("{failure}; what is left is removed once the disk lets it be"));
            }
        }
        owned.end_step(if undone.is_ok() { StepStatus::Done } else { StepStatus::Error });
        end(&at, &owned, Ending::Undone(why));
    });
    if let Err(failure) = spawned {
        tracing::warn!(migration = %id, "{failure}; the next start finishes the abort");
    }
}

/// Undoes what has waited at a gate past its deadline.
pub(crate) fn expire_overdue(node: &Arc<Node>) {
    if node.journal.check_space().is_err() {
        return;
    }
    let now = now_ms();
    let jobs: Vec<_> = node.board().alive.iter().map(|(id, job)| (*id, Arc::clone(job))).collect();
    let overdue = |job: &Job| {
        let row = job.lock();
        is_overdue(Job::gate(&row), row.steering.deadline_ms, now)
    };
    for (id, job) in jobs.into_iter().filter(|(_, job)| overdue(job)) {
        if let Err(failure) = stop_at_gate(node, id, &job, now) {
            tracing::debug!("{failure}");
        }
    }
}
