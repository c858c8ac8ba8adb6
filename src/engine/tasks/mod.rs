//! Tasks: many moves under one name, made by [`crate::rules::planning`] and carried out by ordinary migrations.
//!
//! A task is created stopped, with a plan that does not change any more. Started, its moves are submitted a few at a
//! time (`feeder`) through the same door as everybody's, so that admission, reservation and the journal hold for them. What
//! became of a move is never written into the task: it is seen from where the tablet is, and from its migration.

mod book;
mod feeder;
mod frozen;
mod picture;

use std::sync::Arc;

use super::node::Node;
use super::view::{NewTask, TaskView};
use crate::model::{DiskUuid, ErrorCode, Failure, Task, TaskId, TaskPlan, TaskStatus};
use crate::rules::planning;
use book::{Entry, MoveState, Stock};

pub(super) use book::TaskBook;
pub(super) use feeder::start as start_feeding;
pub(super) use picture::{COOL_DOWN_MS, MIN_MOVE_BYTES};

/// Tasks that are kept, finished ones included.
const TASKS_MAX: usize = 1000;

/// Puts the tasks of the journal into memory.
pub(super) fn take_up(node: &Node, tasks: Vec<Task>) {
    let mut book = node.tasks();
    book.entries.extend(tasks.into_iter().map(|task| (task.id, Entry::new(task))));
}

/// Makes a plan.
pub(super) fn plan(node: &Node, asked: &NewTask) -> Result<TaskPlan, Failure> {
    let request = picture::request(node, &asked.request)?;
    let inventory = picture::inventory(node);
    let settings = picture::settings(node, asked.completeness);
    let plan = planning::plan(&request, &inventory, &settings, node.now_ms())
        .map_err(|refusal| frozen::refused(&inventory, &refusal))?;
    frozen::freeze(node, &inventory, &plan, asked.completeness)
}

/// Makes a plan and keeps it.
pub(super) fn create(node: &Node, asked: &NewTask) -> Result<TaskView, Failure> {
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
        status: TaskStatus::Stopped,
        reason: asked.reason.clone(),
        created_ms: now,
        updated_ms: now,
        started_ms: None,
        finished_ms: None,
        result: None,
    };
    task.id = node.journal.add_task(task.clone())?;
    let entry = Entry::new(task);
    let view = entry.view();
    node.tasks().entries.insert(view.task.id, entry);
    Ok(view)
}

/// All tasks.
pub(super) fn list(node: &Node) -> Vec<TaskView> {
    node.tasks().entries.values().map(Entry::view).collect()
}

/// One task.
pub(super) fn show(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    node.tasks().get(id).map(Entry::view)
}

/// Lets a task submit its moves.
pub(super) fn start(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    let task = Arc::clone(&node.tasks().get(id)?.task);
    if task.started_ms.is_none() {
        frozen::check_ready(node, &task)?;
    }
    let posted = {
        let mut book = node.tasks();
        let entry = book.get_mut(id)?;
        match entry.task.status {
            TaskStatus::Running => return Err(illegal(id, "it is running already")),
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
        change(node, entry, |task, now| {
            task.status = TaskStatus::Running;
            task.started_ms.get_or_insert(now);
            (task.finished_ms, task.result) = (None, None);
        })
    };
    posted.wait()?;
    node.ring();
    show(node, id)
}

/// No further moves are submitted.
pub(super) fn stop(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    let posted = {
        let mut book = node.tasks();
        let entry = book.get_mut(id)?;
        if entry.task.status != TaskStatus::Running {
            return Err(illegal(id, &format!("it is {}, not running", entry.task.status.as_str())));
        }
        change(node, entry, |task, _| task.status = TaskStatus::Stopped)
    };
    posted.wait()?;
    show(node, id)
}

/// Forgets a task.
pub(super) fn delete(node: &Node, id: TaskId) -> Result<(), Failure> {
    let posted = {
        let mut book = node.tasks();
        if book.get(id)?.task.status == TaskStatus::Running {
            return Err(illegal(id, "it is running; stop it first"));
        }
        book.entries.remove(&id);
        node.journal.delete_task(id)
    };
    posted.wait()
}

/// Changes what the journal has of a task. Called under the lock, so that the journal hears of changes in their order.
fn change(
    node: &Node,
    entry: &mut Entry,
    how: impl FnOnce(&mut Task, i64),
) -> super::journal_thread::Posted<()> {
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

/// A running task that has moves to this disk still to submit.
pub(super) fn sends_to(node: &Node, disk: DiskUuid) -> Option<TaskId> {
    let book = node.tasks();
    let running = book.entries.values().filter(|entry| entry.task.status == TaskStatus::Running);
    let mut sending = running.filter(|entry| {
        let mut moves = entry.task.plan.moves.iter().zip(&entry.moves);
        moves.any(|(planned, state)| *state == MoveState::Pending && planned.destination.uuid == disk)
    });
    sending.next().map(|entry| entry.task.id)
}
