//! What goes over the wire at `/api/v1`: requests, answers, errors. The daemon writes these types and `tabletctl` reads
//! them, so their definitions name nothing of the engine; `from_engine` fills them.
//!
//! Answers are read leniently (an older client meets a newer daemon), requests strictly (a misspelt field must not be
//! taken for an absent one). Bytes are whole numbers, times RFC 3339 in UTC.

mod config;
mod disk;
mod event;
pub mod fleet;
mod from_engine;
mod from_loss;
mod from_operations;
mod from_tablets;
mod from_tasks;
mod from_undone;
mod loss;
mod many;
mod migration;
mod operation;
mod quarantine;
mod status;
mod tablet;
mod task;
mod time;
mod trash;
mod unrecorded;

pub use config::{KeyChange, Reloaded};
pub use disk::{DisableDisk, Disk, DiskLimits, DiskMigrations, DiskPath, Pace, RegisterDisk, Slots, Undone};
pub use event::Event;
pub use loss::{DiskLoss, ForgetDisk, LostMigration, LostTablet, ReplaceDisk};
pub use many::{CreateMigrations, MIGRATIONS_MAX, Submitted, SubmittedMany};
pub use migration::{
    Action, Blocker, Check, CreateMigration, DiskCounters, Extend, Limits, LogLine, Migration, NoParameters,
    Precondition, Receipt, RunStep, Step, Validation,
};
pub use operation::{HealTablet, Operation, OperationItem, SalvageTablet, VerifyTablets};
pub use quarantine::{PurgeQuarantine, QuarantineItem, RestoreQuarantined, Salvaged};
pub use status::{
    DamagedTablet, MigrationTotals, NodeStatus, StateDir, StepTotal, UnavailableTablet, UnreadableTablet,
};
pub use tablet::{PinTablet, Pinned, RuleAnswer, Table, Tablet, TabletCheck, WhichSchema};
pub use task::{CreateTask, DrainDisk, OnDisks, Task, TaskAction, TaskReplan, UpdateTask};
pub use time::Timestamp;
pub use trash::{PurgeTrash, PurgedItem, RestoreTablet, Trash, TrashItem};
pub use unrecorded::{AdoptTablet, SetAsideDirectory, Unrecorded};

use serde::{Deserialize, Serialize};

/// A list: one page of what matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct List<T> {
    /// How many match in all, not only on this page.
    pub total: u64,
    /// Those on this page.
    pub data: Vec<T>,
}

/// A refusal or a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What happened, to what, and what helps.
    pub error_msg: String,
    /// A stable name: one of [`crate::model::ErrorCode`], or of HTTP itself (`NOT_FOUND`, `METHOD_NOT_ALLOWED`,
    /// `PAYLOAD_TOO_LARGE`), or of who may (`UNAUTHENTICATED`, `FORBIDDEN`, `CROSS_SITE`, `HOST_NOT_ALLOWED`, `BAD_HOST`).
    pub error_code: String,
    /// What to do about it, where the sentence has not said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Facts for programs, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

/// `{"code", "message"}`: the failure of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FailureBody {
    /// A stable name, one of [`crate::model::ErrorCode`].
    pub code: String,
    /// What happened, to what, and what helps.
    pub message: String,
}
