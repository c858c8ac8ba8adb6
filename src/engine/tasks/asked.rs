//! What may be asked of tasks. What is asked changes a row and is durable when it is answered; the feeder does the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::report::show;
use super::row::{change, illegal};
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::task_book::{KeptTask, MoveState};
use crate::engine::parts::task_moves::Moves;
use crate::engine::tasks::{frozen, picture, report};
use crate::engine::view::{NewTask, TaskChange, TaskView};
use crate::model::{DiskUuid, ErrorCode, Failure, TaskId, TaskPlan, TaskStatus, quoted};
use crate::rules::planning;

/// Makes a plan; refused when another one was looked at before.
pub(crate) fn plan(node: &Node, asked: &NewTask) -> Result<TaskPlan, Failure> {
    let request = picture::request(node, &asked.request)?;
    let inventory = picture::inventory(node);
    let settings = picture::settings(node, &asked.request, asked.completeness);
    let plan = planning::plan(&request, &inventory, &settings, now_ms())
        .map_err(|refusal| frozen::refused(&inventory, &refusal))?;
    if let Some(planned) = asked.fingerprint.filter(|planned| *planned != plan.fingerprint) {
        let drifted = planning::Refusal::Drifted { planned, now: plan.fingerprint };
        return Err(frozen::refused(&inventory, &drifted));
    }
    frozen::freeze(node, &inventory, &plan, asked.completeness)
}

/// Makes a plan and keeps it.
pub(crate) fn create(node: &Node, asked: &NewTask) -> Result<TaskView, Failure> {
    let _claim = asked.idempotency.as_ref().map(|request| node.keys.claim(&request.key)).transpose()?;
    // Bound first: within an `if let` the book would still be locked while the task is shown.
    let kept = asked.kept_before(node.tasks().entries.values().map(|entry| &*entry.task))?;
    if let Some(id) = kept {
        return show(node, id);
    }
    NewTask::check_room(node.tasks().entries.len())?;
    let plan = plan(node, asked)?;
    let mut task = asked.with_plan(plan, now_ms());
    task.id = node.journal.add_task(task.clone())?;
    let id = task.id;
    node.tasks().entries.insert(id, KeptTask::new(task));
    show(node, id)
}

/// Lets a task submit its moves.
pub(crate) fn start(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
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
                let plan = &entry.task.plan.moves;
                entry.moves = Moves::new(vec![MoveState::Pending; plan.len()], plan);
            }
        }
        // What failed is tried again.
        entry.restate(|state| match state {
            MoveState::Failed(_) => MoveState::Pending,
            state => state,
        });
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
pub(crate) fn stop(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    turn(node, id, &[TaskStatus::Running, TaskStatus::Paused], TaskStatus::Stopped)
}

/// No further moves are submitted, and its migrations are paused: all, or those from some of its source disks.
pub(crate) fn pause(node: &Node, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
    if disks.is_empty() {
        return turn(node, id, &[TaskStatus::Running], TaskStatus::Paused);
    }
    on_disks(node, id, disks, |paused, named| {
        paused.retain(|disk| !named.contains(disk));
        paused.extend(named);
    })
}

/// It submits its moves again, and what was paused with it goes on: all, or what is from some of its source disks.
pub(crate) fn resume(node: &Node, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
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
pub(crate) fn on_disks(
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

/// Calls it off: what is under way is undone, what has moved stays.
pub(crate) fn cancel(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    let open = [TaskStatus::Stopped, TaskStatus::Running, TaskStatus::Paused];
    turn(node, id, &open, TaskStatus::Cancelled)
}

/// Cancels every drain of a disk.
pub(crate) fn cancel_drains(node: &Node, path: &str) -> Result<Vec<TaskView>, Failure> {
    node.find_disk(path)?;
    report::drains_of(node, path)?.into_iter().map(|id| cancel(node, id)).collect()
}

/// Changes a task's status and leaves the rest to the feeder, which sees what follows from it.
pub(crate) fn turn(
    node: &Node,
    id: TaskId,
    from: &[TaskStatus],
    to: TaskStatus,
) -> Result<TaskView, Failure> {
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
            entry.restate(|state| match state {
                MoveState::Pending => MoveState::Cancelled,
                state => state,
            });
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
pub(crate) fn update(node: &Node, id: TaskId, asked: &TaskChange) -> Result<TaskView, Failure> {
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
pub(crate) fn delete(node: &Node, id: TaskId) -> Result<(), Failure> {
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
