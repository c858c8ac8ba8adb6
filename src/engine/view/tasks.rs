//! What the engine shows of tasks, and what is asked of them: plain values.

use std::sync::Arc;

use crate::model::{
    ErrorCode, FailedMove, Failure, Idempotency, MoveOptions, MoveStatus, PlanCompleteness, Priority,
    ReplanPolicy, Task, TaskDisk, TaskId, TaskPlan, TaskProgress, TaskRequest, TaskStatus, TimestampMs,
};

/// Tasks that are kept, finished ones included.
const TASKS_MAX: usize = 1000;

/// A request for a task.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its name, for people.
    pub name: String,
    pub request: TaskRequest,
    /// What to do when it cannot be done in full.
    pub completeness: PlanCompleteness,
    /// Fingerprint of the plan that was looked at; another one is refused.
    pub fingerprint: Option<u32>,
    /// How its moves are submitted.
    pub options: MoveOptions,
    /// Who asks and why, for the record.
    pub reason: String,
    /// The key of the request: asked again under the same key, the same task is answered.
    pub idempotency: Option<Idempotency>,
}

impl NewTask {
    /// The one of `tasks` that a request under the same key became.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH`: it was another request.
    pub(crate) fn kept_before<'a>(
        &self,
        mut tasks: impl Iterator<Item = &'a Task>,
    ) -> Result<Option<TaskId>, Failure> {
        let Some(request) = &self.idempotency else { return Ok(None) };
        let known = tasks.find_map(|task| {
            let before = task.idempotency.as_ref()?;
            (before.key == request.key).then_some((task.id, before))
        });
        let Some((id, before)) = known else { return Ok(None) };
        request.check_repeats(before, format_args!("task {id}"))?;
        Ok(Some(id))
    }

    /// Whether another task is kept beside so many.
    ///
    /// # Errors
    /// `QUEUE_FULL`: there are as many as may be.
    pub(crate) fn check_room(kept: usize) -> Result<(), Failure> {
        if kept < TASKS_MAX {
            return Ok(());
        }
        let text = format!("{TASKS_MAX} tasks are kept already; delete finished ones first");
        Err(Failure::new(ErrorCode::QueueFull, text))
    }

    /// The task it becomes by a plan, stopped; its number is the journal's to give.
    pub(crate) fn with_plan(&self, plan: TaskPlan, now_ms: TimestampMs) -> Task {
        Task {
            id: TaskId(0),
            name: self.name.clone(),
            request: self.request.clone(),
            plan,
            options: self.options,
            status: TaskStatus::Stopped,
            replans: Vec::new(),
            paused_disks: Vec::new(),
            reason: self.reason.clone(),
            idempotency: self.idempotency.clone(),
            created_ms: now_ms,
            updated_ms: now_ms,
            started_ms: None,
            finished_ms: None,
            result: None,
        }
    }
}

/// One task.
#[derive(Debug, Clone)]
pub struct TaskView {
    /// What the journal has of it.
    pub task: Arc<Task>,
    /// How its moves stand.
    pub progress: TaskProgress,
    /// Moves given up; the first hundred.
    pub failed: Vec<FailedMove>,
    /// What it waits for, what of it is stuck and why, or what is to be done with it, in words.
    pub status_reason: String,
    /// How it goes on each disk it takes tablets from; empty in lists.
    pub disks: Vec<TaskDisk>,
}

/// Which tasks to list. Empty fields match everything.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Any of these statuses.
    pub statuses: Vec<TaskStatus>,
    /// `drain`, `move` or `rebalance`.
    pub kind: Option<String>,
    /// With a move from or to this disk, by path, or asked to drain it.
    pub disk: Option<String>,
    /// Numbers above this one (the marker of the page before).
    pub after: Option<TaskId>,
    /// At most this many; 0 means 1000.
    pub limit: usize,
    /// With how each goes on the disks it takes tablets from.
    pub with_disks: bool,
}

/// What is changed of a stopped task; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct TaskChange {
    pub name: Option<String>,
    /// Order of service of its moves.
    pub priority: Option<Priority>,
    /// Bandwidth limit of each move; 0 is none.
    pub rate_bytes_per_sec: Option<u64>,
    /// What becomes of moves that cannot go on.
    pub replan: Option<ReplanPolicy>,
}

/// Which moves of a task to list.
#[derive(Debug, Clone, Default)]
pub struct TargetFilter {
    /// Any of these statuses.
    pub statuses: Vec<MoveStatus>,
    /// From or to this disk, by path.
    pub disk: Option<String>,
    /// Places in the plan above this one.
    pub after: Option<u64>,
    /// At most this many; 0 means 1000.
    pub limit: usize,
}
