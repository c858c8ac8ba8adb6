//! The scheduler: a thread that starts what may run and takes back what has ended. What may run is decided in
//! [`crate::rules::schedule`].

use std::sync::Arc;
use std::time::Duration;

use super::node::Node;
use super::parts::checks::TroubleKind;
use super::parts::clock::{now_ms, pause_ends_at_ms, steady_ms};
use super::parts::job::{Command, Job, was_unreadable};
use super::parts::limits;
use super::parts::thread::{Workers, spawn_isolated};
use crate::engine::{damage, line};
use crate::model::{DiskIndex, Failure, MigrationId, Status, counted};
use crate::rules::gate::Gate;
use crate::rules::schedule::{Turn, Waiting};
use crate::rules::transition::Event;

/// How long the scheduler sleeps at most: conditions of disks change without a bell.
const NAP_MAX: Duration = Duration::from_millis(500);

/// What is done once a migration has come to rest: what was asked of it while its thread was on the way out.
pub(super) type Rested = fn(&Arc<Node>, MigrationId, &Arc<Job>);

/// Starts the scheduler's thread.
///
/// # Errors
/// No thread can be made.
pub(crate) fn start(node: &Arc<Node>, rested: Rested) -> Result<(), Failure> {
    let node = Arc::clone(node);
    spawn_isolated("scheduler", move || {
        let movers = Workers::default();
        while !node.is_stopping() {
            start_due(&node, &movers, rested);
        }
    })
    .map(drop)
}

/// Starts what may start now; when nothing may, waits for the bell.
fn start_due(node: &Arc<Node>, movers: &Workers, rested: Rested) {
    let limits = limits::of_node(&node.config());
    let slots = node.slots();
    let slots_of = |disk: DiskIndex| slots[usize::from(disk.0)];
    let mut schedule = node.schedule();
    let due = schedule.start_due(steady_ms(), limits, &slots_of);
    if due.is_empty() {
        let next_due = schedule.next_due_ms().and_then(|at| u64::try_from(at - steady_ms()).ok());
        let nap = next_due.map_or(NAP_MAX, |ms| Duration::from_millis(ms + 1).min(NAP_MAX));
        drop(node.wait_for_bell(schedule, nap));
        return;
    }
    drop(schedule);
    for id in due {
        match node.job(id) {
            Some(job) => begin(node, movers, id, &job, rested),
            None => node.schedule().finished(id),
        }
    }
}

fn begin(node: &Arc<Node>, movers: &Workers, id: MigrationId, job: &Arc<Job>, rested: Rested) {
    let (for_thread, for_job) = (Arc::clone(node), Arc::clone(job));
    let begun = movers.run(format!("move-{id}"), move || {
        // A panic fails this one migration; what it left is settled by the next start.
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| line::run(&for_thread, &for_job)));
        if outcome.is_err() {
            tracing::error!(migration = %id, "a migration panicked; it stays where it is until the next start");
            for_job.lock().status_reason = "an internal error; the next start settles it".to_owned();
        }
        for_thread.schedule().finished(id);
        rested(&for_thread, id, &for_job);
        requeue(&for_thread, &for_job);
        for_thread.ring();
    });
    if let Err(failure) = begun {
        tracing::warn!(migration = %id, "{failure}; tried again");
        node.schedule().finished(id);
        {
            let mut row = job.lock();
            row.not_before_ms = Some(now_ms() + 1000);
            row.status_reason = failure.message;
        }
        requeue(node, job);
    }
}

/// Puts a migration that is queued (again) into the queue. One whose thread is still on its way out is put there by
/// that thread: it must never run twice.
pub(crate) fn requeue(node: &Node, job: &Job) {
    let key = job.lock().key;
    let known = damage::trouble_of(node, key).is_some_and(|known| known.kind == TroubleKind::Unreadable);
    let mut schedule = node.schedule();
    let entry = {
        let row = job.lock();
        if row.status != Status::Queued || node.is_stopping() || schedule.is_running(row.id) {
            return;
        }
        let index = |uuid| node.disk_by_uuid(uuid).map(|disk| disk.index);
        let (Some(source), Some(destination)) = (index(row.source.uuid), index(row.destination.uuid)) else {
            return;
        };
        Waiting {
            id: row.id,
            source,
            destination,
            haste: row.steering.haste,
            priority: row.priority,
            turn: if known || was_unreadable(&row) { Turn::Last } else { Turn::Own },
            size_bytes: job.size_bytes,
            not_before_ms: row.not_before_ms.map(pause_ends_at_ms),
        }
    };
    schedule.push(entry);
}

/// Stops everything that can be stopped and waits, at most `grace`, until it has come to rest: what is being swapped is
/// finished, what is being copied keeps what is verified.
pub(crate) fn drain(node: &Node, grace: Duration) {
    let deadline = std::time::Instant::now() + grace;
    let jobs: Vec<_> = node.board().alive.values().cloned().collect();
    for job in &jobs {
        job.ask(Command::Stop);
    }
    // Only now: a thread that is told that there is no space must know that it is to stop, not to fail.
    node.journal.expect_stop();
    let mut schedule = node.schedule();
    while schedule.running_count() > 0 {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            tracing::warn!(
                "{} did not come to rest; the next start settles what is left",
                counted(schedule.running_count(), "migration")
            );
            return;
        }
        schedule = node.wait_for_bell(schedule, left.min(NAP_MAX));
    }
    drop(schedule);
    for job in jobs.into_iter().filter(|job| Job::gate(&job.lock()) == Gate::Passes) {
        // Those still queued say so in the journal as they are; nothing to add.
        let _ = job.advance(Event::Interrupted, "the daemon is stopping; goes on at the next start");
    }
}
