//! The tasks in memory: what the journal has of each, and how its moves stand. Knows no disk and no journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::view::TaskView;
use crate::model::{
    ErrorCode, FailedMove, Failure, MigrationId, Task, TaskId, TaskProgress, TaskResult, TaskStatus,
};

/// Failed moves that are told by name.
const FAILED_SHOWN: usize = 100;

/// How one move stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MoveState {
    /// Not submitted yet.
    Pending,
    /// This migration carries it out.
    Running(MigrationId),
    /// The tablet is where it was to go.
    Done,
    /// Given up, and why.
    Failed(String),
}

/// Whether the states of the moves were compared with the node since the start of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stock {
    /// Not yet.
    ToTake,
    /// They were, or nothing of the task was ever submitted.
    Taken,
}

/// One task.
pub(super) struct Entry {
    pub(super) task: Arc<Task>,
    /// One per move of the plan; empty once the task has finished.
    pub(super) moves: Vec<MoveState>,
    pub(super) stock: Stock,
    /// Why the last move that could not be submitted was not; empty when all could.
    pub(super) waits: String,
}

impl Entry {
    pub(super) fn new(task: Task) -> Self {
        let moves = match task.status {
            TaskStatus::Finished => Vec::new(),
            TaskStatus::Stopped | TaskStatus::Running => vec![MoveState::Pending; task.plan.moves.len()],
        };
        let stock = if task.started_ms.is_some() { Stock::ToTake } else { Stock::Taken };
        Self { task: Arc::new(task), moves, stock, waits: String::new() }
    }

    /// The sums and the failures by name.
    pub(super) fn result(&self) -> TaskResult {
        if let (TaskStatus::Finished, Some(result)) = (self.task.status, &self.task.result) {
            return result.clone();
        }
        let plan = &self.task.plan;
        let mut progress = TaskProgress {
            moves_total: plan.moves.len() as u64,
            bytes_total: plan.total_bytes,
            ..TaskProgress::default()
        };
        let mut failed = Vec::new();
        for (planned, state) in plan.moves.iter().zip(&self.moves) {
            match state {
                MoveState::Pending => progress.moves_pending += 1,
                MoveState::Running(_) => progress.moves_running += 1,
                MoveState::Done => {
                    progress.moves_completed += 1;
                    progress.bytes_completed += planned.size_bytes;
                }
                MoveState::Failed(reason) => {
                    progress.moves_failed += 1;
                    if failed.len() < FAILED_SHOWN {
                        failed.push(FailedMove { key: planned.key, reason: reason.clone() });
                    }
                }
            }
        }
        TaskResult { progress, failed }
    }

    pub(super) fn view(&self) -> TaskView {
        let TaskResult { progress, failed } = self.result();
        let status_reason = match self.task.status {
            TaskStatus::Stopped if self.task.started_ms.is_none() => "planned; start it to move".to_owned(),
            TaskStatus::Stopped => "stopped by an operator; start it to go on".to_owned(),
            TaskStatus::Running if !self.waits.is_empty() => self.waits.clone(),
            TaskStatus::Running => format!("{} of its moves are under way", progress.moves_running),
            TaskStatus::Finished if progress.moves_failed > 0 => {
                format!("{} moves were given up; start it to try them again", progress.moves_failed)
            }
            TaskStatus::Finished => "every move is done".to_owned(),
        };
        TaskView { task: Arc::clone(&self.task), progress, failed, status_reason }
    }
}

/// All tasks.
#[derive(Default)]
pub(in crate::engine) struct TaskBook {
    pub(super) entries: BTreeMap<TaskId, Entry>,
}

impl TaskBook {
    pub(super) fn get(&self, id: TaskId) -> Result<&Entry, Failure> {
        self.entries.get(&id).ok_or_else(|| unknown(id))
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Result<&mut Entry, Failure> {
        self.entries.get_mut(&id).ok_or_else(|| unknown(id))
    }
}

fn unknown(id: TaskId) -> Failure {
    Failure::new(ErrorCode::TaskNotFound, format!("there is no task {id}"))
}
