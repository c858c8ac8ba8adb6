//! The nouns of the program. No I/O, no clock, no decisions: what things *are*, and how they are written down.

mod check;
mod disk;
mod doris_move;
mod error;
mod file_owner;
pub mod fleet;
mod header;
mod ids;
mod inspection;
mod ledger;
mod manifest;
mod mark;
mod migration;
mod operation;
mod replan;
mod rowsets;
mod salvage;
mod size;
mod status;
mod steering;
mod tablet;
mod task;
mod task_progress;
mod text;
mod time;
mod window;

pub use check::{CheckState, DamagedFile, TabletCheck, UnreadableFile};
pub use disk::{
    Capacity, CapacityRule, DiskCondition, DiskIndex, DiskUuid, LeftBytes, LeftBytesFrom, Medium, Space,
    limit_in_words,
};
pub use doris_move::{DorisMove, Replaced, SourceAfter, StaleRowsets, Swap};
pub use error::{ErrorCode, Failure};
pub use file_owner::{FileOwner, InvalidFileOwner};
pub use header::HeaderTable;
pub use ids::{
    InvalidId, MigrationId, OperationId, SHARD_COUNT, SchemaHash, ShardId, TabletId, TabletKey, TaskId,
};
pub use inspection::{
    DamagedSegment, InspectedCopy, InspectedPartition, InspectedRoot, InspectedSum, InspectedTablet,
    Inspection, LeftFor, SeveralCopies, Stray, Verdict,
};
pub use ledger::{LedgerContent, LedgerLine, LedgerOwner, MayOwn};
pub use manifest::{FileEntry, InvalidFileName, Manifest, check_file_name};
pub use mark::{Mark, Marked};
pub use migration::{
    Counters, DiskRef, LogEntry, Migration, Mode, Priority, Receipt, StepCheck, StepRecord, TimestampMs,
};
pub use operation::{OperationItem, OperationKind, OperationState};
pub use replan::{ReplanPolicy, Replanned};
pub use rowsets::HeaderClaims;
pub use salvage::{LostRange, Salvage, SalvageState};
pub use size::{human_bytes, parse_bytes};
pub use status::{Phase, Status, Step, StepStatus};
pub use steering::{Haste, Hold, Idempotency, KnownBy, Steering, UndoneFor};
pub use tablet::{Reached, RecordSummary, TabletRecord, TabletState};
pub use task::{
    DrainMedia, FailedMove, FitsNowhere, LeftOut, MoveOptions, MoveStatus, MoveTarget, PlanCompleteness,
    PlanOutcome, PlannedDisk, PlannedLevel, PlannedMove, TabletSelector, Task, TaskPlan, TaskProgress,
    TaskRequest, TaskResult, TaskStatus,
};
pub use task_progress::{BlockedMove, MigrateTarget, TaskDisk, eta_seconds};
pub use text::{Quoted, counted, counted_as, cut, printable, quoted};
pub use time::utc;
pub use window::{DailyWindow, DailyWindows, InvalidWindows};
