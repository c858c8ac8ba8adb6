//! What an operator may ask of a migration: submit, abort, pause, resume, retry. Whether it is granted is decided in
//! [`crate::rules`].

use std::sync::Arc;

use super::facts::Known;
use super::job::{Job, Order};
use super::line::remove_copy;
use super::node::{Counts, Node};
use super::query;
use super::scheduler;
use super::start::new_row;
use super::view::Submit;
use crate::fault;
use crate::model::{ErrorCode, Failure, Migration, MigrationId, Status, TabletKey};
use crate::rules::admission::admit;
use crate::rules::transition::{Event, transition};

/// Accepts a migration. Its row is durable when this returns.
pub(super) fn submit(node: &Arc<Node>, submit: &Submit) -> Result<Migration, Failure> {
    if node.is_stopping() {
        return Err(Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping; nothing new is accepted"));
    }
    let granted = grant(node, submit).inspect_err(|failure| node.counts.refuse(failure.code))?;
    let mut row =
        new_row(submit.key, granted.source, granted.destination, granted.size_bytes, granted.file_count);
    row.mode = submit.mode;
    row.priority = submit.priority;
    row.request_reason.clone_from(&submit.reason);
    row.task = submit.task;
    match node.journal.accept(row.clone()) {
        Ok(id) => row.id = id,
        Err(failure) => {
            give_back(node, submit.key, &row, granted.size_bytes);
            node.counts.refuse(failure.code);
            return Err(failure);
        }
    }
    fault::point("accepted");
    Counts::add(&node.counts.accepted);
    let job = Arc::new(Job::new(row.clone(), granted.size_bytes));
    {
        let mut board = node.board();
        board.alive.insert(row.id, Arc::clone(&job));
        board.latest.insert(row.key, row.id);
    }
    if let Some(entry) = node.catalog_mut().get_mut(row.key) {
        entry.migration = Some(row.id);
    }
    scheduler::requeue(node, &job);
    node.ring();
    Ok(row)
}

/// Holds the tablet and the space from the moment admission looked: two requests never get both.
const NOT_YET_NUMBERED: MigrationId = MigrationId(0);

struct Granted {
    source: crate::model::DiskRef,
    destination: crate::model::DiskRef,
    size_bytes: u64,
    file_count: u32,
}

fn grant(node: &Node, submit: &Submit) -> Result<Granted, Failure> {
    let key = submit.key;
    let known = Known::look(node, key);
    let destination = node.disk_at(&submit.destination);
    let mut catalog = node.catalog_mut();
    let facts = known.facts(&catalog, &submit.destination);
    admit(key, &submit.destination, &facts)?;

    let entry = catalog.get(key).copied();
    let (Some(entry), Some(destination)) = (entry, destination) else {
        return Err(Failure::new(ErrorCode::Internal, "admitted without a tablet or a disk"));
    };
    let source = node.disk(entry.disk);
    let (Some(source), Some(reference)) = (source.reference(), destination.reference()) else {
        return Err(Failure::new(ErrorCode::DiskUnavailable, "a disk was never opened"));
    };
    if let Some(entry) = catalog.get_mut(key) {
        entry.migration = Some(NOT_YET_NUMBERED);
    }
    destination.reserve(entry.size_bytes);
    Ok(Granted { source, destination: reference, size_bytes: entry.size_bytes, file_count: entry.file_count })
}

fn give_back(node: &Node, key: TabletKey, row: &Migration, size_bytes: u64) {
    if let Some(entry) = node.catalog_mut().get_mut(key) {
        entry.migration = None;
    }
    if let Some(disk) = node.disk_by_uuid(row.destination.uuid) {
        disk.unreserve(size_bytes);
    }
}

fn alive(node: &Node, id: MigrationId) -> Result<Arc<Job>, Failure> {
    node.job(id).ok_or_else(|| match query::migration(node, id) {
        Some(ended) => Failure::new(
            ErrorCode::IllegalTransition,
            format!("migration {id} has ended: it is {}", ended.status),
        ),
        None => Failure::new(ErrorCode::MigrationNotFound, format!("there is no migration {id}")),
    })
}

fn refuse(id: MigrationId, status: Status, event: Event) -> Failure {
    let why = match (status, event) {
        (Status::Finalizing, _) => "its swap has begun and can only be finished".to_owned(),
        (Status::Aborting, _) => "it is being aborted".to_owned(),
        _ => format!("a migration that is {status} cannot take {:?}", event.as_str()),
    };
    Failure::new(ErrorCode::IllegalTransition, format!("migration {id}: {why}"))
}

/// Calls a migration off. One that is running stops at its next block; the answer does not wait for it.
pub(super) fn abort(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id)?;
    stop(node, id, &job, Event::Abort, Order::Abort)?;
    Ok(job.snapshot())
}

/// Stops a migration for a while. What is verified in staging is kept.
pub(super) fn pause(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id)?;
    stop(node, id, &job, Event::Pause, Order::Pause)?;
    Ok(job.snapshot())
}

fn stop(
    node: &Arc<Node>,
    id: MigrationId,
    job: &Arc<Job>,
    event: Event,
    order: Order,
) -> Result<(), Failure> {
    let status = job.lock().status;
    transition(status, event).map_err(|_| refuse(id, status, event))?;
    let is_running = {
        let mut schedule = node.schedule();
        schedule.remove(id).is_none() && schedule.is_running(id)
    };
    if is_running {
        // It stops itself, and settles what it has made.
        if !job.ask(order) {
            return Err(refuse(id, Status::Finalizing, event));
        }
        job.lock().status_reason = format!("{} asked for; stops at the next block", event.as_str());
        node.limiter.wake();
        if order == Order::Abort {
            // Should the daemon die before it has stopped, on a hung disk say, the next start finds the wish.
            node.journal.update_durably(job.foresee(Event::Abort, "aborted by an operator")?)?;
        }
        return Ok(());
    }
    match event {
        Event::Pause => node.advance_durably(job, Event::Pause, "paused by an operator")?,
        _ => {
            node.advance_durably(job, Event::Abort, "removing what was copied")?;
            undo_parked(node, id, job);
        }
    }
    Ok(())
}

/// Undoes a migration that is not running, on a thread of its own: its disk may be slow to answer.
fn undo_parked(node: &Arc<Node>, id: MigrationId, job: &Arc<Job>) {
    let (at, owned) = (Arc::clone(node), Arc::clone(job));
    let spawned = super::thread::spawn_isolated(&format!("undo-{id}"), move || {
        let (key, shard, destination) = {
            let row = owned.lock();
            (row.key, row.destination_shard, row.destination.uuid)
        };
        let undone = at.disk_by_uuid(destination).map(|disk| {
            disk.open().and_then(|(root, store)| Ok(remove_copy(&root, &store, &id.to_string(), key, shard)?))
        });
        if let Some(Err(failure)) = undone {
            tracing::warn!(migration = %id, "{failure}; the next start removes what is left");
        }
        at.end(&owned, Event::Undone, "aborted by an operator; the source is as it was");
    });
    if let Err(failure) = spawned {
        tracing::warn!(migration = %id, "{failure}; the next start finishes the abort");
    }
}

/// Lets a paused migration go on.
pub(super) fn resume(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let job = alive(node, id)?;
    let status = job.lock().status;
    transition(status, Event::Resume).map_err(|_| refuse(id, status, Event::Resume))?;
    job.reset_order();
    job.lock().paused_in = None;
    node.advance_durably(&job, Event::Resume, "resumed by an operator")?;
    scheduler::requeue(node, &job);
    node.ring();
    Ok(job.snapshot())
}

/// Tries again what had given up or was aborted. Admission is asked again: the world has moved on.
pub(super) fn retry(node: &Arc<Node>, id: MigrationId) -> Result<Migration, Failure> {
    let ended = query::migration(node, id)
        .ok_or_else(|| Failure::new(ErrorCode::MigrationNotFound, format!("there is no migration {id}")))?;
    transition(ended.status, Event::Retry).map_err(|_| refuse(id, ended.status, Event::Retry))?;
    if !ended.status.is_final() {
        return Err(refuse(id, ended.status, Event::Retry));
    }
    let again = Submit {
        key: ended.key,
        destination: ended.destination.path.clone(),
        mode: ended.mode,
        priority: ended.priority,
        reason: ended.request_reason.clone(),
        task: ended.task,
    };
    let granted = grant(node, &again)?;
    let mut row = ended;
    (row.source, row.destination, row.attempts) = (granted.source, granted.destination, 0);
    (row.finished_ms, row.not_before_ms) = (None, None);
    row.status = transition(row.status, Event::Retry).unwrap_or(Status::Queued);
    row.status_reason = "tried again by an operator".to_owned();
    if let Err(failure) = node.journal.update_durably(row.clone()) {
        give_back(node, row.key, &row, granted.size_bytes);
        return Err(failure);
    }
    let job = Arc::new(Job::new(row.clone(), granted.size_bytes));
    {
        let mut board = node.board();
        board.revive(id);
        board.alive.insert(id, Arc::clone(&job));
        board.latest.insert(row.key, id);
    }
    if let Some(entry) = node.catalog_mut().get_mut(row.key) {
        entry.migration = Some(id);
    }
    scheduler::requeue(node, &job);
    node.ring();
    Ok(row)
}
