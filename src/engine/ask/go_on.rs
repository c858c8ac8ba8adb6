//! What an operator may ask of a migration beyond stopping it: open its gate, hurry it, give it more time, another speed or
//! another place in line. Whether it is taken is decided by the table in [`crate::rules::gate`].
//!
//! Every change is made in its turn ([`crate::engine::parts::turn::Turn`]) and is durable before it is answered.

use std::sync::Arc;
use std::time::Duration;

use super::admit::{give_back, grant};
use crate::engine::ask::stop;
use crate::engine::look::migrations;
use crate::engine::look::migrations::alive;
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::job::{Job, apply};
use crate::engine::parts::thread::spawn_isolated;
use crate::engine::parts::verbs::{check, gate_reason};
use crate::engine::view::Precondition;
use crate::engine::{line, schedule};
use crate::model::{ErrorCode, Failure, Haste, Hold, Migration, MigrationId, Priority, Status, Step};
use crate::rules::gate::{Gate, Verb};
use crate::rules::transition::{Event, transition};

/// How long the disks of a swap in doubt may take to answer.
const SETTLE_WAIT: Duration = Duration::from_secs(60);

fn changed(
    node: &Node,
    job: &Job,
    how: impl FnOnce(&mut Migration) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // The turn is over before the journal is waited for.
    let posted = job.turn().change(&node.journal, how)?;
    posted.wait_unless_full().map(drop)
}

/// Lets a migration through its gate, up to and including `step`.
pub(crate) fn open_gate(
    node: &Arc<Node>,
    id: MigrationId,
    step: Step,
    verb: Verb,
) -> Result<Migration, Failure> {
    let job = alive(node, id, verb)?;
    let posted = job.turn().change(&node.journal, |row| {
        check(row, verb)?;
        let reason = format!("{} asked for; waiting for its turn", verb.name());
        let_through(row, step, reason)
    })?;
    let posted = posted.wait_unless_full();
    // Also when the journal did not take it: queued is what it is now.
    schedule::requeue(node, &job);
    node.ring();
    posted.map(|_| job.snapshot())
}

/// The attempts behind a gate are counted by themselves.
fn let_through(row: &mut Migration, step: Step, reason: String) -> Result<(), Failure> {
    row.steering.released = Some(step);
    row.attempts = 0;
    apply(row, Event::GoOn, reason)
}

/// Nothing holds it up any more: no gate, no limit, no turn, no pause between attempts.
pub(crate) fn force_complete(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::ForceComplete)?;
    let posted = job.turn().change(&node.journal, |row| {
        check(row, Verb::ForceComplete)?;
        row.steering.haste = Haste::Forced;
        row.not_before_ms = None;
        match Job::gate(row) {
            Gate::Waits => let_through(row, Step::Finalize, "forced; first in line".to_owned())?,
            Gate::Passes | Gate::InDoubt => row.steering.released = Some(Step::Finalize),
        }
        row.updated_ms = now_ms();
        Ok(())
    })?;
    let posted = posted.wait_unless_full();
    job.force();
    node.limiter.wake();
    schedule::requeue(node, &job);
    node.ring();
    posted.map(|_| job.snapshot())
}

/// More time at the gate: `seconds` beyond its deadline.
pub(crate) fn extend(node: &Node, id: MigrationId, seconds: u64) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::Extend)?;
    changed(node, &job, |row| {
        check(row, Verb::Extend)?;
        let Some(deadline) = row.steering.deadline_ms else {
            let text = format!("migration {id} waits without a deadline; there is nothing to extend");
            return Err(Failure::new(ErrorCode::IllegalTransition, text));
        };
        row.steering.deadline_ms = Some(deadline.saturating_add_unsigned(seconds.saturating_mul(1000)));
        row.status_reason = gate_reason(row);
        row.updated_ms = now_ms();
        Ok(())
    })?;
    Ok(job.snapshot())
}

/// Another bandwidth limit, felt at once; 0 is none.
pub(crate) fn set_rate(node: &Node, id: MigrationId, rate_bytes_per_sec: u64) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::SetLimits)?;
    changed(node, &job, |row| {
        check(row, Verb::SetLimits)?;
        row.steering.rate_bytes_per_sec = (rate_bytes_per_sec > 0).then_some(rate_bytes_per_sec);
        row.updated_ms = now_ms();
        Ok(())
    })?;
    if !job.is_forced() {
        job.limiter.set_rate(rate_bytes_per_sec);
    }
    Ok(job.snapshot())
}

/// Another place in line.
pub(crate) fn set_priority(node: &Node, id: MigrationId, priority: Priority) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::SetPriority)?;
    changed(node, &job, |row| {
        check(row, Verb::SetPriority)?;
        row.priority = priority;
        row.updated_ms = now_ms();
        Ok(())
    })?;
    schedule::requeue(node, &job);
    node.ring();
    Ok(job.snapshot())
}

/// Ends the doubt about a swap, as soon as one of its disks takes a record.
///
/// # Errors
/// `ILLEGAL_TRANSITION` where it is not in doubt, or somebody settles it already; `SWAP_IN_DOUBT` where it stays so.
pub(crate) fn settle(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::Settle)?;
    check(&job.lock(), Verb::Settle)?;
    let (sender, answer) = std::sync::mpsc::sync_channel(1);
    let (at, own) = (Arc::clone(node), Arc::clone(&job));
    spawn_isolated(&format!("settle-{id}"), move || drop(sender.send(line::settle(&at, &own))))?;
    answer.recv_timeout(SETTLE_WAIT).map_err(|_| {
        let why = format!(
            "migration {id} is in doubt still: its disks did not answer in {} s",
            SETTLE_WAIT.as_secs()
        );
        Failure::new(ErrorCode::SwapInDoubt, why)
    })??;
    node.ring();
    Ok(job.snapshot())
}

/// Lets a paused migration go on.
pub(crate) fn resume(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id, Verb::Resume)?;
    let posted = job.turn().change(&node.journal, |row| {
        check(row, Verb::Resume)?;
        row.paused_in = None;
        let how = match row.steering.held_by.take() {
            None => "resumed by an operator",
            Some(Hold::Task) => "resumed with its task",
            Some(Hold::Disk) => "its destination is in service again",
        };
        apply(row, Event::Resume, how.to_owned())?;
        job.forget();
        Ok(())
    })?;
    let posted = posted.wait_unless_full();
    // Also when the journal did not take it: queued is what it is now.
    schedule::requeue(node, &job);
    node.ring();
    posted.map(|_| job.snapshot())
}

/// Tries again what had given up or was aborted. Admission is asked again: the world has moved on.
pub(crate) fn retry(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let ended = migrations::migration(node, id)?
        .ok_or_else(|| Failure::new(ErrorCode::MigrationNotFound, format!("there is no migration {id}")))?;
    check(&ended, Verb::Retry)?;
    let granted = grant(node, ended.key, &ended.destination.path, &Precondition::default())?;
    let mut row = ended;
    (row.source, row.destination, row.attempts) = (granted.source, granted.destination, 0);
    (row.finished_ms, row.not_before_ms) = (None, None);
    row.steering.start_over();
    row.status = transition(row.status, Event::Retry).unwrap_or(Status::Queued);
    row.status_reason = "tried again by an operator".to_owned();
    if let Err(failure) = node.journal.post_reopen(row.clone()).wait() {
        give_back(node, row.key, &row, granted.need);
        return Err(failure);
    }
    let job = Arc::new(Job::new(row.clone(), granted.size_bytes, &node.events));
    job.claim.set_reserved(granted.need);
    job.claim.set_verified_copy(false);
    {
        let mut board = node.board();
        board.revive(id);
        board.alive.insert(id, Arc::clone(&job));
        board.latest.insert(row.key, id);
    }
    node.catalog_mut().give_to(row.key, id);
    schedule::requeue(node, &job);
    node.ring();
    Ok(row)
}

/// Does the step behind the gate a migration waits at; [`Step::Abort`] calls it off.
pub(crate) fn run_step(node: &Arc<Node>, id: MigrationId, step: Step) -> Result<Migration, Failure> {
    match step {
        Step::Abort => stop::abort(node, id).map_err(|failure| match failure.code {
            ErrorCode::IllegalTransition => Failure { code: ErrorCode::StepNotAllowed, ..failure },
            _ => failure,
        }),
        step => open_gate(node, id, step, Verb::Run(step)),
    }
}
