//! A task's row is changed in one place, so that the journal hears of changes in their order.

use std::sync::Arc;

use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::task_book::KeptTask;
use crate::model::{ErrorCode, Failure, Task, TaskId};

/// Changes what the journal has of a task. Called under the lock, so that the journal hears of changes in their order.
pub(crate) fn change(
    node: &Node,
    entry: &mut KeptTask,
    how: impl FnOnce(&mut Task, i64),
) -> crate::engine::parts::journal_thread::Posted<()> {
    let now = now_ms();
    let task = Arc::make_mut(&mut entry.task);
    how(task, now);
    task.updated_ms = now;
    tracing::info!(task = %task.id, status = task.status.as_str(), "{}", task.name);
    node.journal.update_task(task.clone())
}

pub(crate) fn illegal(id: TaskId, why: &str) -> Failure {
    Failure::new(ErrorCode::IllegalTransition, format!("task {id}: {why}"))
}
