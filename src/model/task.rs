//! A task: many moves under one name, made from one plan that does not change once it is made.
//!
//! Disks are named by identity and path, never by their position: a task outlives the run of the daemon that planned it.

use serde::{Deserialize, Serialize};

use super::text::quoted;
use super::{
    DiskRef, DiskUuid, Idempotency, Medium, Priority, ReplanPolicy, Replanned, TabletId, TabletKey, TaskId,
    TimestampMs,
};

/// What is asked of the planner. Disks by path, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TaskRequest {
    /// Empty disks.
    Drain {
        /// Which.
        disks: Vec<String>,
        /// Onto which others.
        #[serde(default)]
        media: DrainMedia,
    },
    /// Bring selected tablets to disks, or to a medium.
    Move {
        /// Which tablets.
        #[serde(default)]
        select: TabletSelector,
        /// Where to.
        to: MoveTarget,
    },
    /// Make the disks of one medium equally full.
    Rebalance {
        /// Of this medium only; of each by itself when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        medium: Option<Medium>,
        /// Begin when a disk is farther than this from the mean, in percentage points of its size; 10 when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_points: Option<u32>,
        /// End when every disk is within this; 5, or `start_points` where that is less, when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_points: Option<u32>,
    },
}

impl TaskRequest {
    /// `drain`, `move` or `rebalance`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Drain { .. } => "drain",
            Self::Move { .. } => "move",
            Self::Rebalance { .. } => "rebalance",
        }
    }
}

/// Onto which disks a drain may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrainMedia {
    /// Of the same medium only.
    #[default]
    Same,
    /// Of another where the same has no room.
    Any,
}

/// Which tablets a `move` is about. Each field narrows it; an empty one asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TabletSelector {
    /// On one of these disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<String>,
    /// Of one of these tables, by the `table_id` of their headers; 0 stands for tablets whose header names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<i64>,
    /// Of one of these partitions; 0 where the partition is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<i64>,
    /// One of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tablets: Vec<TabletId>,
    /// At least this large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_size_bytes: Option<u64>,
    /// At most this large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size_bytes: Option<u64>,
    /// On a disk of this medium now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
}

/// Where selected tablets go: `{"disks": [...]}` or `{"medium": "SSD"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveTarget {
    /// To one of these disks.
    Disks(Vec<String>),
    /// To any disk of this medium.
    Medium(Medium),
}

/// What a task does that cannot be done in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanCompleteness {
    /// It does not start.
    #[default]
    AllOrNothing,
    /// It does what it can.
    WhatFits,
}

/// One tablet goes from one disk to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedMove {
    /// Which tablet.
    #[serde(flatten)]
    pub key: TabletKey,
    /// From.
    pub source: DiskRef,
    /// To.
    pub destination: DiskRef,
    /// Its size when it was planned.
    pub size_bytes: u64,
    /// Why, in words.
    pub why: String,
    /// Where earlier plans of its task would have brought it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<DiskRef>,
}

impl PlannedMove {
    /// Sends it elsewhere.
    pub fn redirect(&mut self, to: DiskRef) {
        let before = std::mem::replace(&mut self.destination, to);
        self.formerly.retain(|disk| disk.uuid != before.uuid && disk.uuid != self.destination.uuid);
        self.formerly.push(before);
    }
}

/// A disk at one moment. Disks of one file system share its bytes and show the same figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedLevel {
    /// In use or promised, trash included. It does not fall on a source before its trash is purged.
    pub committed_bytes: u64,
    /// Share of the disk, in thousandths.
    pub committed_permille: u64,
    /// The same without trash and without tablets that are leaving.
    pub load_bytes: u64,
    /// Share of the disk, in thousandths.
    pub load_permille: u64,
    /// Tablets on it.
    pub tablets: u64,
}

/// One disk before and after the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedDisk {
    /// Its path.
    pub path: String,
    /// Its identity; `None` while it has never been opened.
    pub uuid: Option<DiskUuid>,
    /// When it was planned.
    pub before: PlannedLevel,
    /// When every move is done and no trash is purged yet.
    pub after: PlannedLevel,
}

/// A tablet the request is about that does not move, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LeftOut {
    /// Which.
    #[serde(flatten)]
    pub key: TabletKey,
    /// The rule, in words.
    pub reason: String,
}

/// A tablet that must move and fits nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FitsNowhere {
    /// Which.
    #[serde(flatten)]
    pub key: TabletKey,
    /// Path of the disk where it stays.
    pub source: String,
    /// Its size.
    pub size_bytes: u64,
    /// Every other disk with the reason, in words.
    pub tried: Vec<String>,
}

/// How far a plan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanOutcome {
    /// All that was asked for.
    Reaches,
    /// Its length is at the limit; another plan goes on from there.
    CutShort,
    /// Something fits nowhere or stays for a rule, or no further move helps.
    FallsShort,
}

/// The frozen list of moves and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskPlan {
    /// In the order of service.
    pub moves: Vec<PlannedMove>,
    /// Sum of the moves.
    pub total_bytes: u64,
    /// Every disk, as configured.
    pub disks: Vec<PlannedDisk>,
    /// Tablets the request is about that do not move.
    pub left_out: Vec<LeftOut>,
    /// Tablets that must move and cannot.
    pub fits_nowhere: Vec<FitsNowhere>,
    /// How uneven the disks in service are, in percentage points; 0 is even.
    pub score_before: f64,
    /// And afterwards.
    pub score_after: f64,
    /// How far it goes.
    pub outcome: PlanOutcome,
    /// Why not all the way, each reason with the key or the option that allows more; empty when it reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub falls_short: Vec<String>,
    /// What it does when it cannot be done in full.
    pub completeness: PlanCompleteness,
    /// Of the disks and tablets it was made from: a plan whose node has changed is refused.
    pub fingerprint: u32,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// It submits nothing: created and not started yet, or stopped.
    Stopped,
    /// It submits its moves.
    Running,
    /// It submits nothing, and its migrations are paused with it.
    Paused,
    /// None of its moves is left to be done.
    Finished,
    /// Called off: what has moved stays where it is, and nothing else moves.
    Cancelled,
}

impl TaskStatus {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    /// Every status.
    pub const ALL: &'static [Self] =
        &[Self::Stopped, Self::Running, Self::Paused, Self::Finished, Self::Cancelled];

    /// Whether it never submits a move again by itself.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// In any case: DM writes `Running`.
impl std::str::FromStr for TaskStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|status| status.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            format!("{} is no status of a task; accepted: {}", quoted(text), all.join(", "))
        })
    }
}

/// How the moves of a task stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskProgress {
    /// Moves of the plan.
    pub moves_total: u64,
    /// Not submitted yet.
    pub moves_pending: u64,
    /// Submitted: queued, running or paused.
    pub moves_running: u64,
    /// Done.
    pub moves_completed: u64,
    /// Given up.
    pub moves_failed: u64,
    /// Not done when the task was called off.
    #[serde(default)]
    pub moves_cancelled: u64,
    /// Sum of the moves.
    pub bytes_total: u64,
    /// Of the moves that are done.
    pub bytes_completed: u64,
}

/// A move that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FailedMove {
    /// Which tablet.
    #[serde(flatten)]
    pub key: TabletKey,
    /// Why.
    pub reason: String,
}

/// How one move of a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveStatus {
    /// Not submitted yet.
    Pending,
    /// A migration carries it out: queued, running or paused.
    Running,
    /// The tablet is where it was to go.
    Completed,
    /// Given up.
    Failed,
    /// Its task was called off first.
    Cancelled,
}

impl MoveStatus {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Every status.
    pub const ALL: &'static [Self] =
        &[Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];
}

impl std::str::FromStr for MoveStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|status| status.as_str() == text).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            format!("{} is no status of a move; accepted: {}", quoted(text), all.join(", "))
        })
    }
}

/// How a finished task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskResult {
    /// Its moves.
    pub progress: TaskProgress,
    /// Those given up; the first hundred.
    pub failed: Vec<FailedMove>,
    /// Places in the plan of all moves that were not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<u32>,
    /// What was asked for and was not so when the task ended, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<String>,
}

/// How the moves of a task are submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct MoveOptions {
    /// Order of service of each.
    pub priority: Priority,
    /// Bandwidth limit of each, in bytes copied per second; `None` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_sec: Option<u64>,
    /// What becomes of moves that cannot go on.
    pub replan: ReplanPolicy,
}

/// The task resource, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Number.
    pub id: TaskId,
    /// Its name, for people.
    pub name: String,
    /// What was asked.
    pub request: TaskRequest,
    /// What came of it.
    pub plan: TaskPlan,
    /// How its moves are submitted.
    #[serde(default)]
    pub options: MoveOptions,
    /// Where it stands.
    pub status: TaskStatus,
    /// New plans for what was left of it; the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replans: Vec<Replanned>,
    /// Source disks from which it takes nothing for now, whatever its status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused_disks: Vec<DiskUuid>,
    /// Who asked and why, free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The key of the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// When it was planned.
    pub created_ms: TimestampMs,
    /// When its status last changed.
    pub updated_ms: TimestampMs,
    /// When it was first started: from then on its own moves change the node, and its fingerprint is not asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<TimestampMs>,
    /// When it finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<TimestampMs>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<TaskResult>,
}
