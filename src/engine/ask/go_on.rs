//! What an operator may ask of a migration beyond stopping it: open its gate, hurry it, give it more time, another speed or
//! another place in line. Whether it is taken is decided by the table in [`crate::rules::gate`].
//!
//! Every change is made in its turn ([`crate::engine::parts::turn::Turn`]) and is durable before it is answered.

use std::sync::Arc;
use std::time::Duration;

use super::admit::{alive, submit};
use crate::engine::line;
use crate::engine::look::migrations;
use crate::engine::node::Node;
use crate::engine::parts::job::{Job, apply, now_ms};
use crate::engine::parts::thread::spawn_isolated;
use crate::engine::schedule;
use crate::engine::tend::trash;
use crate::engine::view::Submit;
use crate::model::{ErrorCode, Failure, Haste, KnownBy, Migration, MigrationId, Priority, Status, Step, utc};
use crate::rules::gate::{self, Gate, Verb, taken_now, takes};
use crate::rules::transition::Event;

/// How long the disks of a swap in doubt may take to answer.
const SETTLE_WAIT: Duration = Duration::from_secs(60);

/// Refuses a verb that the table does not have for the migration as it stands, and says what it takes instead.
///
/// # Errors
/// `ILLEGAL_TRANSITION`; `STEP_NOT_ALLOWED` for a step.
pub(crate) fn check(row: &Migration, verb: Verb) -> Result<(), Failure> {
    if takes(row.status, Job::gate(row), verb) { Ok(()) } else { Err(refusal(row, verb)) }
}

/// Why a verb is not taken, and what is instead.
pub(crate) fn refusal(row: &Migration, verb: Verb) -> Failure {
    let gate = Job::gate(row);
    let code = match verb {
        Verb::Run(_) => ErrorCode::StepNotAllowed,
        _ => ErrorCode::IllegalTransition,
    };
    let waiting = match gate {
        Gate::Waits => " and waits",
        Gate::InDoubt => " and in doubt",
        Gate::Passes => "",
    };
    let text = format!(
        "migration {}: it is {}{waiting} and does not take {}; it takes: {}",
        row.id,
        row.status,
        verb.name(),
        taken_now(row.status, gate)
    );
    Failure::new(code, text)
}

/// The names of the actions that a migration takes as it stands.
pub fn actions(row: &Migration) -> Vec<String> {
    gate::actions(row.status, Job::gate(row))
}

/// The steps that may be run of a migration as it stands.
pub fn next_steps(row: &Migration) -> Vec<Step> {
    gate::next_steps(row.status, Job::gate(row))
}

/// Whether a migration waits at a gate to be asked on.
pub fn waits_at_gate(row: &Migration) -> bool {
    Job::gate(row) == Gate::Waits
}

/// What a migration at a gate waits for, since when and until when.
pub(crate) fn gate_reason(row: &Migration) -> String {
    let waits_for = match row.status {
        Status::PreflightPassed => "preflight passed; waits for run prepare",
        Status::Prepared => "staging stands; waits for run data",
        _ => "a verified, durable copy stands in staging; waits for cutover",
    };
    let since = row.steering.waits_since_ms.map(|at| format!(" since {}", utc(at)));
    let until = row.steering.deadline_ms.map_or_else(
        || ", without a deadline".to_owned(),
        |at| format!(", and is undone at {} unless let through or extended", utc(at)),
    );
    let known_by = match row.steering.known_by {
        KnownBy::Request => "",
        KnownBy::Staging => {
            "; the journal was lost, and what was decided with it, so that an operator has the word"
        }
    };
    format!("{waits_for}{}{until}{known_by}", since.unwrap_or_default())
}

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

/// Takes a finished move back: an ordinary migration to where the tablet came from, with whatever it has become since.
/// Legal while the trash of that disk still holds what was retired; a move that is the tablet's last one only.
pub(crate) fn revert(node: &Arc<Node>, id: MigrationId, caller: &str) -> Result<Migration, Failure> {
    let ended = migrations::migration(node, id)?
        .ok_or_else(|| Failure::new(ErrorCode::MigrationNotFound, format!("there is no migration {id}")))?;
    check(&ended, Verb::Revert)?;
    let refuse = |why: String| Failure::new(ErrorCode::NotRevertible, format!("migration {id}: {why}"));
    if let Some(by) = ended.steering.reverted_by
        && !migrations::migration(node, by)?.is_some_and(|other| ended_without_a_move(&other))
    {
        return Err(refuse(format!("migration {by} takes it back already, or has")));
    }
    let Some(source) = node.disk_by_uuid(ended.source.uuid) else {
        return Err(refuse(format!("its source disk {} is not here", ended.source.path)));
    };
    let now_on = node.catalog().get(ended.key).map(|entry| node.disk(entry.disk).path.clone());
    let destination = node.disk_by_uuid(ended.destination.uuid).map(|disk| disk.path.clone());
    if now_on.is_none() || now_on != destination {
        let now_on = now_on.unwrap_or_else(|| "no disk that is here".to_owned());
        return Err(refuse(format!("the tablet is on {now_on} now, not on {}", ended.destination.path)));
    }
    if !trash::holds(node, source, id)? {
        return Err(refuse(format!("what it retired is no longer in the trash of {}", source.path)));
    }
    let back = submit(
        node,
        &Submit {
            reason: format!("reverts migration {id}"),
            requested_by: caller.to_owned(),
            reverts: Some(id),
            ..Submit::new(ended.key, source.path.clone())
        },
    )?;
    // The way back is in the new row; this way is for whoever looks at the old one.
    let mut ended = ended;
    ended.steering.reverted_by = Some(back.id);
    let keep = node.config().finished_migration_tasks_size as usize;
    if let Err(failure) = node.journal.post_update(ended.clone()).wait_unless_full() {
        tracing::warn!(migration = %id, "that migration {} takes it back could not be noted: {failure}", back.id);
    }
    let mut board = node.board();
    if board.ended.contains_key(&id) {
        board.revive(id);
        board.remember(ended, keep);
    }
    Ok(back)
}

fn ended_without_a_move(other: &Migration) -> bool {
    other.status.is_final() && other.status != Status::Completed
}
