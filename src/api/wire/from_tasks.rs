//! From the tasks of the engine to what goes over the wire. Pure: the time is told, never asked for.

use super::{Task, TaskReplan, Timestamp};
use crate::engine::{self, TaskView};
use crate::model::{self, TimestampMs};

impl Task {
    /// The resource without its plan, as lists show it.
    pub fn in_list(view: TaskView) -> Self {
        let task = &view.task;
        Self {
            id: Some(task.id),
            name: task.name.clone(),
            kind: task.request.kind().to_owned(),
            request: task.request.clone(),
            status: Some(task.status),
            status_reason: view.status_reason,
            priority: task.options.priority,
            rate_bytes_per_sec: task.options.rate_bytes_per_sec,
            replan: task.options.replan,
            replans: task.replans.iter().map(TaskReplan::from).collect(),
            reason: task.reason.clone(),
            progress: view.progress,
            failed: view.failed,
            shortfall: task.result.as_ref().and_then(|result| result.shortfall.clone()),
            status_list: None,
            plan: None,
            created_at: Timestamp(task.created_ms),
            updated_at: Timestamp(task.updated_ms),
            started_at: task.started_ms.map(Timestamp),
            finished_at: task.finished_ms.map(Timestamp),
        }
    }

    /// What a request would come to; nothing of it is kept.
    pub fn only_planned(asked: engine::NewTask, plan: model::TaskPlan, now: TimestampMs) -> Self {
        let moves_total = plan.moves.len() as u64;
        Self {
            id: None,
            name: asked.name,
            kind: asked.request.kind().to_owned(),
            request: asked.request,
            status: None,
            status_reason: "only planned; with \"dry_run\": false it becomes a task".to_owned(),
            priority: asked.options.priority,
            rate_bytes_per_sec: asked.options.rate_bytes_per_sec,
            replan: asked.options.replan,
            replans: Vec::new(),
            reason: asked.reason,
            progress: model::TaskProgress {
                moves_total,
                moves_pending: moves_total,
                bytes_total: plan.total_bytes,
                ..model::TaskProgress::default()
            },
            failed: Vec::new(),
            shortfall: None,
            status_list: None,
            plan: Some(plan),
            created_at: Timestamp(now),
            updated_at: Timestamp(now),
            started_at: None,
            finished_at: None,
        }
    }

    /// As lists show it when they are asked for how it goes on each disk.
    pub fn with_status(mut view: TaskView) -> Self {
        let status_list = Some(std::mem::take(&mut view.disks));
        Self { status_list, ..Self::in_list(view) }
    }
}

impl From<TaskView> for Task {
    fn from(view: TaskView) -> Self {
        let plan = Some(view.task.plan.clone());
        Self { plan, ..Self::with_status(view) }
    }
}

impl From<&model::Replanned> for TaskReplan {
    fn from(replanned: &model::Replanned) -> Self {
        let model::Replanned { at_ms, requested_by, moves, reason } = replanned.clone();
        Self { at: Timestamp(at_ms), requested_by, moves, reason }
    }
}
