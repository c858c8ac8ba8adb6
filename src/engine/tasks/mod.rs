//! Tasks: many moves under one name, made by [`crate::rules::planning`] and carried out by ordinary migrations.
//!
//! A task is created stopped, with a plan that does not change any more. Started, its moves are submitted a few at a
//! time (`feeder`) through the same door as everybody's, so that admission, reservation and the journal hold for them. What
//! became of a move is never written into the task: it is seen from where the tablet is, and from its migration.
//!
//! Stopped, a task submits nothing and what it has submitted goes on. Paused, its migrations are paused with it, and
//! resumed with it (`holds`). Cancelled, they are aborted; what had moved stays where it is.

mod book;
mod feeder;
mod frozen;
mod holds;
mod picture;
mod replan;
mod report;
mod shortfall;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::Node;
use super::view::{NewTask, Page, TargetFilter, TaskChange, TaskFilter, TaskView};
use crate::model::{
    DiskUuid, ErrorCode, Failure, Idempotency, MigrateTarget, Task, TaskId, TaskPlan, TaskStatus, quoted,
};
use crate::rules::planning;
use book::{Entry, MoveState, Stock};

pub(super) use book::TaskBook;
pub(super) use feeder::start as start_feeding;
pub(super) use picture::cool_down_ms;

/// Tasks that are kept, finished ones included.
const TASKS_MAX: usize = 1000;

/// Puts the tasks of the journal into memory.
pub(super) fn take_up(node: &Node, tasks: Vec<Task>) {
    let mut book = node.tasks();
    book.entries.extend(tasks.into_iter().map(|task| (task.id, Entry::new(task))));
}

/// Makes a plan; refused when another one was looked at before.
pub(super) fn plan(node: &Node, asked: &NewTask) -> Result<TaskPlan, Failure> {
    let request = picture::request(node, &asked.request)?;
    let inventory = picture::inventory(node);
    let settings = picture::settings(node, &asked.request, asked.completeness);
    let plan = planning::plan(&request, &inventory, &settings, node.now_ms())
        .map_err(|refusal| frozen::refused(&inventory, &refusal))?;
    if let Some(planned) = asked.fingerprint.filter(|planned| *planned != plan.fingerprint) {
        let drifted = planning::Refusal::Drifted { planned, now: plan.fingerprint };
        return Err(frozen::refused(&inventory, &drifted));
    }
    frozen::freeze(node, &inventory, &plan, asked.completeness)
}

/// Makes a plan and keeps it.
pub(super) fn create(node: &Node, asked: &NewTask) -> Result<TaskView, Failure> {
    let _claim = match &asked.idempotency {
        None => None,
        Some(request) => {
            let claim = node.claim_key(&request.key)?;
            if let Some(id) = repeated(node, request)? {
                return show(node, id);
            }
            Some(claim)
        }
    };
    if node.tasks().entries.len() >= TASKS_MAX {
        let text = format!("{TASKS_MAX} tasks are kept already; delete finished ones first");
        return Err(Failure::new(ErrorCode::QueueFull, text));
    }
    let plan = plan(node, asked)?;
    let now = node.now_ms();
    let mut task = Task {
        id: TaskId(0),
        name: asked.name.clone(),
        request: asked.request.clone(),
        plan,
        options: asked.options,
        status: TaskStatus::Stopped,
        replans: Vec::new(),
        paused_disks: Vec::new(),
        reason: asked.reason.clone(),
        idempotency: asked.idempotency.clone(),
        created_ms: now,
        updated_ms: now,
        started_ms: None,
        finished_ms: None,
        result: None,
    };
    task.id = node.journal.add_task(task.clone())?;
    let id = task.id;
    node.tasks().entries.insert(id, Entry::new(task));
    show(node, id)
}

/// The task that a request under this key became.
fn repeated(node: &Node, request: &Idempotency) -> Result<Option<TaskId>, Failure> {
    let book = node.tasks();
    let known = book.entries.values().find_map(|entry| {
        let before = entry.task.idempotency.as_ref()?;
        (before.key == request.key).then_some((entry.task.id, before))
    });
    let Some((id, before)) = known else { return Ok(None) };
    request.check_repeats(before, format_args!("task {id}"))?;
    Ok(Some(id))
}

/// Tasks, ascending by number.
pub(super) fn list(node: &Node, filter: &TaskFilter) -> Page<TaskView> {
    report::list(node, filter)
}

/// One task.
pub(super) fn show(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    report::show(node, id)
}

/// The moves of a task as they stand.
pub(super) fn targets(
    node: &Node,
    id: TaskId,
    filter: &TargetFilter,
) -> Result<Page<MigrateTarget>, Failure> {
    report::targets(node, id, filter)
}

/// Lets a task submit its moves.
pub(super) fn start(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    node.journal.check_space()?;
    let task = Arc::clone(&node.tasks().get(id)?.task);
    if task.started_ms.is_none() && task.status == TaskStatus::Stopped {
        frozen::check_ready(node, &task)?;
    }
    let posted = {
        let mut book = node.tasks();
        let entry = book.get_mut(id)?;
        match entry.task.status {
            TaskStatus::Running => return Err(illegal(id, "it is running already")),
            TaskStatus::Paused => return Err(illegal(id, "it is paused; resume it")),
            TaskStatus::Cancelled => return Err(illegal(id, "it was cancelled; plan anew")),
            TaskStatus::Stopped => {}
            TaskStatus::Finished if entry.result().progress.moves_failed == 0 => {
                return Err(illegal(id, "it has finished and nothing is left to be done"));
            }
            TaskStatus::Finished => {
                entry.moves = vec![MoveState::Pending; entry.task.plan.moves.len()];
            }
        }
        // What failed is tried again.
        for state in &mut entry.moves {
            if matches!(state, MoveState::Failed(_)) {
                *state = MoveState::Pending;
            }
        }
        entry.samples.clear();
        change(node, entry, |task, now| {
            task.status = TaskStatus::Running;
            task.started_ms.get_or_insert(now);
            (task.finished_ms, task.result) = (None, None);
        })
    };
    posted.wait_unless_full()?;
    node.ring();
    show(node, id)
}

/// No further moves are submitted; what is held goes on.
pub(super) fn stop(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    turn(node, id, &[TaskStatus::Running, TaskStatus::Paused], TaskStatus::Stopped)
}

/// No further moves are submitted, and its migrations are paused: all, or those from some of its source disks.
pub(super) fn pause(node: &Node, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
    if disks.is_empty() {
        return turn(node, id, &[TaskStatus::Running], TaskStatus::Paused);
    }
    on_disks(node, id, disks, |paused, named| {
        paused.retain(|disk| !named.contains(disk));
        paused.extend(named);
    })
}

/// It submits its moves again, and what was paused with it goes on: all, or what is from some of its source disks.
pub(super) fn resume(node: &Node, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
    node.journal.check_space()?;
    if !disks.is_empty() {
        return on_disks(node, id, disks, |paused, named| paused.retain(|disk| !named.contains(disk)));
    }
    let (status, some_paused) = {
        let book = node.tasks();
        let task = &book.get(id)?.task;
        (task.status, !task.paused_disks.is_empty())
    };
    match status {
        // The whole of it goes on.
        TaskStatus::Running if some_paused => {
            let posted = change(node, node.tasks().get_mut(id)?, |task, _| task.paused_disks.clear());
            posted.wait_unless_full()?;
            node.ring();
            show(node, id)
        }
        _ => turn(node, id, &[TaskStatus::Paused], TaskStatus::Running),
    }
}

/// Changes from which of its source disks a task takes nothing.
fn on_disks(
    node: &Node,
    id: TaskId,
    disks: &[String],
    how: impl FnOnce(&mut Vec<DiskUuid>, Vec<DiskUuid>),
) -> Result<TaskView, Failure> {
    node.journal.check_space()?;
    let posted = {
        let mut book = node.tasks();
        let entry = book.get_mut(id)?;
        if entry.task.status.is_over() {
            return Err(illegal(id, &format!("it is {}", entry.task.status.as_str())));
        }
        let sources: BTreeMap<_, _> =
            entry.task.plan.moves.iter().map(|planned| (&planned.source.path, planned.source.uuid)).collect();
        let named = disks.iter().map(|path| {
            sources.get(path).copied().ok_or_else(|| {
                let known: Vec<_> = sources.keys().map(|path| path.as_str()).collect();
                let text = format!(
                    "task {id} takes nothing from {}; it does from {}",
                    quoted(path),
                    known.join(", ")
                );
                Failure::new(ErrorCode::DiskNotFound, text)
            })
        });
        let named = named.collect::<Result<Vec<_>, _>>()?;
        change(node, entry, |task, _| how(&mut task.paused_disks, named))
    };
    posted.wait_unless_full()?;
    node.ring();
    show(node, id)
}

/// Gives what is left of it and cannot go on other destinations.
pub(super) fn replan(node: &Node, id: TaskId, requested_by: &str) -> Result<TaskView, Failure> {
    replan::replan(node, id, requested_by)
}

/// Calls it off: what is under way is undone, what has moved stays.
pub(super) fn cancel(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    let open = [TaskStatus::Stopped, TaskStatus::Running, TaskStatus::Paused];
    turn(node, id, &open, TaskStatus::Cancelled)
}

/// Cancels every drain of a disk.
pub(super) fn cancel_drains(node: &Node, path: &str) -> Result<Vec<TaskView>, Failure> {
    report::drains_of(node, path)?.into_iter().map(|id| cancel(node, id)).collect()
}

/// Changes a task's status and leaves the rest to the feeder, which sees what follows from it.
fn turn(node: &Node, id: TaskId, from: &[TaskStatus], to: TaskStatus) -> Result<TaskView, Failure> {
    node.journal.check_space()?;
    let posted = {
        let mut book = node.tasks();
        let entry = book.get_mut(id)?;
        if !from.contains(&entry.task.status) {
            let from: Vec<_> = from.iter().map(|status| status.as_str()).collect();
            let why = format!("it is {}, not {}", entry.task.status.as_str(), from.join(" or "));
            return Err(illegal(id, &why));
        }
        entry.samples.clear();
        if to == TaskStatus::Cancelled {
            for state in entry.moves.iter_mut().filter(|state| **state == MoveState::Pending) {
                *state = MoveState::Cancelled;
            }
        }
        change(node, entry, |task, _| {
            task.status = to;
            if to == TaskStatus::Running {
                task.paused_disks.clear();
            }
        })
    };
    posted.wait_unless_full()?;
    node.ring();
    show(node, id)
}

/// Changes what may be changed of a task that submits nothing.
pub(super) fn update(node: &Node, id: TaskId, asked: &TaskChange) -> Result<TaskView, Failure> {
    node.journal.check_space()?;
    let posted = {
        let mut book = node.tasks();
        let entry = book.get_mut(id)?;
        if entry.task.status != TaskStatus::Stopped {
            let why = format!("it is {}; only a stopped task is changed", entry.task.status.as_str());
            return Err(illegal(id, &why));
        }
        change(node, entry, |task, _| {
            if let Some(name) = &asked.name {
                task.name.clone_from(name);
            }
            task.options.priority = asked.priority.unwrap_or(task.options.priority);
            task.options.replan = asked.replan.unwrap_or(task.options.replan);
            if let Some(rate) = asked.rate_bytes_per_sec {
                task.options.rate_bytes_per_sec = Some(rate).filter(|rate| *rate > 0);
            }
        })
    };
    posted.wait_unless_full()?;
    show(node, id)
}

/// Forgets a task.
pub(super) fn delete(node: &Node, id: TaskId) -> Result<(), Failure> {
    node.journal.check_space()?;
    let posted = {
        let mut book = node.tasks();
        let task = &book.get(id)?.task;
        match task.status {
            TaskStatus::Running | TaskStatus::Paused => {
                return Err(illegal(id, "it is under way; stop or cancel it first"));
            }
            TaskStatus::Cancelled if task.result.is_none() => {
                return Err(illegal(id, "what it had under way is still being undone"));
            }
            TaskStatus::Stopped | TaskStatus::Finished | TaskStatus::Cancelled => {}
        }
        book.entries.remove(&id);
        node.journal.delete_task(id)
    };
    posted.wait_unless_full()
}

/// Changes what the journal has of a task. Called under the lock, so that the journal hears of changes in their order.
fn change(
    node: &Node,
    entry: &mut Entry,
    how: impl FnOnce(&mut Task, i64),
) -> super::parts::journal_thread::Posted<()> {
    let now = node.now_ms();
    let task = Arc::make_mut(&mut entry.task);
    how(task, now);
    task.updated_ms = now;
    tracing::info!(task = %task.id, status = task.status.as_str(), "{}", task.name);
    node.journal.update_task(task.clone())
}

fn illegal(id: TaskId, why: &str) -> Failure {
    Failure::new(ErrorCode::IllegalTransition, format!("task {id}: {why}"))
}

/// Tasks that are under way with moves from or to a disk.
pub(super) fn touching(node: &Node, disk: DiskUuid) -> Vec<TaskId> {
    let book = node.tasks();
    let active = book.entries.values().filter(|entry| entry.is_active());
    let touching = active.filter(|entry| {
        let mut moves = entry.task.plan.moves.iter().zip(&entry.moves);
        moves.any(|(planned, state)| {
            state.is_open() && (planned.source.uuid == disk || planned.destination.uuid == disk)
        })
    });
    touching.map(|entry| entry.task.id).collect()
}

/// A task under way that has moves to this disk still to submit.
pub(super) fn sends_to(node: &Node, disk: DiskUuid) -> Option<TaskId> {
    let book = node.tasks();
    let under_way = [TaskStatus::Running, TaskStatus::Paused];
    let running = book.entries.values().filter(|entry| under_way.contains(&entry.task.status));
    let mut sending = running.filter(|entry| {
        let mut moves = entry.task.plan.moves.iter().zip(&entry.moves);
        moves.any(|(planned, state)| *state == MoveState::Pending && planned.destination.uuid == disk)
    });
    sending.next().map(|entry| entry.task.id)
}
