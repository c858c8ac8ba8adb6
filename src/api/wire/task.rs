//! The task resource and what is asked of it.

use serde::{Deserialize, Serialize};

use super::{NoParameters, Timestamp};
use crate::model::{FailedMove, PlanCompleteness, TaskId, TaskPlan, TaskProgress, TaskRequest, TaskStatus};

/// `POST /api/v1/tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What to plan: `{"kind": "drain", "disks": ["/mnt/disk1"]}`.
    pub request: TaskRequest,
    /// What to do when it cannot be done in full.
    #[serde(default)]
    pub completeness: PlanCompleteness,
    /// Only make the plan and show it; the default.
    #[serde(default = "only_look")]
    pub dry_run: bool,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

const fn only_look() -> bool {
    true
}

/// `POST /api/v1/tasks/{id}/action`: an object with exactly one key, `{"start": {}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskAction {
    /// Submit its moves; a finished task tries those again that it gave up.
    Start(Option<NoParameters>),
    /// Submit no further moves; those under way go on.
    Stop(Option<NoParameters>),
}

impl TaskAction {
    /// The key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
        }
    }
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Task {
    /// Number; increasing, never used again. `null` for a plan that was only looked at.
    pub id: Option<TaskId>,
    /// Its name, for people.
    pub name: String,
    /// `drain`, `move` or `rebalance`.
    pub kind: String,
    /// What was asked.
    pub request: TaskRequest,
    /// Where it stands; `null` for a plan that was only looked at.
    pub status: Option<TaskStatus>,
    /// What it waits for, or what is to be done with it.
    pub status_reason: String,
    /// Why it was asked for.
    pub reason: String,
    /// How its moves stand; its fields stand beside the others.
    #[serde(flatten)]
    pub progress: TaskProgress,
    /// Moves given up; the first hundred.
    pub failed: Vec<FailedMove>,
    /// The frozen plan; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<TaskPlan>,
    /// When it was planned.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
    /// When it was first started.
    pub started_at: Option<Timestamp>,
    /// When it finished.
    pub finished_at: Option<Timestamp>,
}
