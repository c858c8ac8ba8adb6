//! The task resource and what is asked of it.

use serde::{Deserialize, Serialize};

use super::{NoParameters, Timestamp};
use crate::model::{
    DrainMedia, FailedMove, PlanCompleteness, Priority, ReplanPolicy, TaskDisk, TaskId, TaskPlan,
    TaskProgress, TaskRequest, TaskStatus,
};

/// `POST /api/v1/tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({ "name": "empty disk1", "request": { "kind": "drain", "disks": ["/mnt/disk1"] }, "dry_run": true })))]
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
    /// Of the plan that was looked at: refused (412) when the plan made now would be made from something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<u32>,
    /// Order of service of its moves.
    #[serde(default)]
    pub priority: Priority,
    /// Bandwidth limit of each move, in bytes copied per second; 0 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_sec: Option<u64>,
    /// What becomes of moves whose destination is full, disabled or gone.
    #[serde(default)]
    pub replan: ReplanPolicy,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

const fn only_look() -> bool {
    true
}

/// `POST /api/v1/disks/drain`: a task of kind `drain` of one disk. Fields as of [`CreateTask`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainDisk {
    /// Path, written as in `storage_root_path`.
    pub path: String,
    /// Onto which others.
    #[serde(default)]
    pub media: DrainMedia,
    /// What to do when not every tablet fits elsewhere.
    #[serde(default)]
    pub completeness: PlanCompleteness,
    /// Only make the plan and show it; the default.
    #[serde(default = "only_look")]
    pub dry_run: bool,
    /// Of the plan that was looked at: refused (412) when the plan made now would be made from something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<u32>,
    /// Order of service of its moves.
    #[serde(default)]
    pub priority: Priority,
    /// Bandwidth limit of each move, in bytes copied per second; 0 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_sec: Option<u64>,
    /// What becomes of moves whose destination is full, disabled or gone.
    #[serde(default)]
    pub replan: ReplanPolicy,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl From<DrainDisk> for CreateTask {
    fn from(asked: DrainDisk) -> Self {
        let DrainDisk {
            path,
            media,
            completeness,
            dry_run,
            fingerprint,
            priority,
            rate_bytes_per_sec,
            replan,
            reason,
        } = asked;
        Self {
            name: format!("drain {path}"),
            request: TaskRequest::Drain { disks: vec![path], media },
            completeness,
            dry_run,
            fingerprint,
            priority,
            rate_bytes_per_sec,
            replan,
            reason,
        }
    }
}

/// `PATCH /api/v1/tasks/{id}`: what changes of a stopped task; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateTask {
    /// Its name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Order of service of its moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Bandwidth limit of each move, in bytes copied per second; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_sec: Option<u64>,
    /// What becomes of moves whose destination is full, disabled or gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replan: Option<ReplanPolicy>,
}

/// `POST /api/v1/tasks/{id}/action`: an object with exactly one key, `{"start": {}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskAction {
    /// Submit its moves; a finished task tries those again that it gave up.
    Start(Option<NoParameters>),
    /// Submit no further moves; those under way go on.
    Stop(Option<NoParameters>),
    /// Submit no further moves, and pause those under way; of the whole task, or of some of its source disks.
    Pause(Option<OnDisks>),
    /// Submit moves again; what was paused with the task, or with these disks of it, goes on.
    Resume(Option<OnDisks>),
    /// Give moves whose destination is full, disabled or gone other destinations; what has begun goes on as it is. 409 when
    /// there is nothing to change, with the reason.
    Replan(Option<NoParameters>),
    /// Call it off for good: what is under way is undone, what has moved stays.
    Cancel(Option<NoParameters>),
}

/// Some of the disks a task takes tablets from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OnDisks {
    /// By path; none is all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<String>,
}

impl TaskAction {
    /// The key.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Replan(_) => "replan",
            Self::Cancel(_) => "cancel",
        }
    }
}

/// A new plan that a task was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskReplan {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub requested_by: String,
    /// Moves that were given another destination.
    pub moves: u64,
    /// What was wrong with those before, in words.
    pub reason: String,
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
    /// Order of service of its moves.
    #[serde(default)]
    pub priority: Priority,
    /// Bandwidth limit of each move, in bytes copied per second; `null` is none.
    #[serde(default)]
    pub rate_bytes_per_sec: Option<u64>,
    /// What becomes of moves whose destination is full, disabled or gone.
    #[serde(default)]
    pub replan: ReplanPolicy,
    /// New plans for what was left of it, oldest first; the last 32. Where a move would have gone before is in the plan.
    #[serde(default)]
    pub replans: Vec<TaskReplan>,
    /// Why it was asked for.
    pub reason: String,
    /// How its moves stand; its fields stand beside the others.
    #[serde(flatten)]
    pub progress: TaskProgress,
    /// Moves given up; the first hundred.
    pub failed: Vec<FailedMove>,
    /// What was asked for and was not so when the task finished, in words; `null` when it was, or is not over yet.
    #[serde(default)]
    pub shortfall: Option<String>,
    /// How it goes on each disk it takes tablets from; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_list: Option<Vec<TaskDisk>>,
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
