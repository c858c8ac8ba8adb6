//! A migration: one move of one tablet from its source disk to a destination disk.

use serde::{Deserialize, Serialize};

use super::{
    DiskUuid, DorisMove, Failure, Haste, KnownBy, MigrationId, Phase, ShardId, Status, Steering, Step,
    StepStatus, TabletKey, TaskId,
};

/// Milliseconds since the Unix epoch. For people to read; no rule ever compares two of them to decide ownership.
pub type TimestampMs = i64;

/// How far a migration goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// To the end.
    #[default]
    Auto,
    /// To `ready`, then waits for a cutover.
    ManualCutover,
    /// One step at a time.
    Stepwise,
}

impl Mode {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ManualCutover => "manual_cutover",
            Self::Stepwise => "stepwise",
        }
    }
}

/// Order of service. Within one priority: first come, first served.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// After everything else.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before everything else.
    High,
}

/// A disk as a migration names it: by identity, and by path for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskRef {
    /// Which disk, wherever it is mounted.
    pub uuid: DiskUuid,
    /// Its path as configured when the migration was accepted.
    pub path: String,
}

/// Bytes and files, for progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Sum of the manifest.
    pub total_bytes: u64,
    /// In staging so far, written or shared; never above `total_bytes`.
    pub copied_bytes: u64,
    /// Read back and found right so far; never above `copied_bytes`.
    pub verified_bytes: u64,
    /// Found whole in staging after a restart and not copied again; part of both above.
    pub resumed_bytes: u64,
    /// Shared with the source instead of written; part of `copied_bytes`.
    #[serde(default)]
    pub cloned_bytes: u64,
    /// Files in the manifest.
    pub total_files: u64,
    /// Files verified so far.
    pub verified_files: u64,
    /// Milliseconds spent waiting for the bandwidth limit.
    pub throttled_ms: u64,
    /// Bytes copied per second of late; 0 while none are. Of this moment, hence not kept.
    #[serde(skip)]
    pub recent_bytes_per_sec: u64,
}

/// One line of a step's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When.
    pub at_ms: TimestampMs,
    /// What.
    pub text: String,
}

/// One run of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Which.
    pub step: Step,
    /// How it stands.
    pub status: StepStatus,
    /// When it began.
    pub started_ms: TimestampMs,
    /// When it ended.
    pub ended_ms: Option<TimestampMs>,
    /// What it said.
    pub logs: Vec<LogEntry>,
    /// What it looked at, one by one, up to the first that was not as it must be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<StepCheck>,
}

/// One thing a step looked at, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCheck {
    /// A stable name.
    pub name: String,
    /// `done` where it was as it must be, else `error`.
    pub status: StepStatus,
    /// What was found, with the numbers.
    pub found: String,
}

/// Proof of a completed move, kept as long as its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Generation the destination's record has.
    pub generation: u64,
    /// Files moved.
    pub files: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// CRC-32 over the manifest's checksums in name order (each as 4 little-endian bytes).
    pub manifest_crc32: u32,
    /// Whether every byte of the copy was read past the page cache.
    pub verified_cold: bool,
    /// How long the tablet's gate was closed.
    pub pause_us: u64,
    /// From the first step to the end.
    pub duration_ms: u64,
    /// Where the retired source waits, below the source root.
    pub trash_path: Option<String>,
}

/// The job resource, as the journal keeps it and the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// Number.
    pub id: MigrationId,
    /// What moves.
    pub key: TabletKey,
    /// From where.
    pub source: DiskRef,
    /// To where.
    pub destination: DiskRef,
    /// How far by itself.
    pub mode: Mode,
    /// Order of service.
    pub priority: Priority,
    /// Where it stands.
    pub status: Status,
    /// Where it goes back to after `paused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_in: Option<Status>,
    /// Why it stands there; never empty while it waits.
    pub status_reason: String,
    /// Attempts begun.
    pub attempts: u32,
    /// Not started again before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<TimestampMs>,
    /// Shard on the source, as its record said at prepare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_shard: Option<ShardId>,
    /// Shard on the destination, chosen at prepare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_shard: Option<ShardId>,
    /// Path of a disk of it that has stopped to answer under its work. Of this moment, hence not kept.
    #[serde(skip)]
    pub hung_disk: Option<String>,
    /// Progress.
    pub counters: Counters,
    /// Steps run so far, oldest first.
    pub steps: Vec<StepRecord>,
    /// The last failure; kept through retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Proof, once completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Who asked and why, free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_reason: String,
    /// The task it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Of a move between roots of a real Doris backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doris: Option<Box<DorisMove>>,
    /// What operators and the request say of gates, speed and relations.
    #[serde(default, skip_serializing_if = "Steering::is_default")]
    pub steering: Steering,
    /// When it was accepted.
    pub created_ms: TimestampMs,
    /// When a status or counter last changed.
    pub updated_ms: TimestampMs,
    /// When bytes last moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_progress_ms: Option<TimestampMs>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<TimestampMs>,
}

impl Migration {
    /// Lets it go as far as a verified copy and wait there for an operator, as long as that takes: what is known of it may
    /// not be the last that was decided.
    pub fn await_operator(&mut self) {
        let steering = &mut self.steering;
        (steering.released, steering.haste, steering.deadline_ms) = (None, Haste::Normal, None);
        steering.known_by = KnownBy::Staging;
    }

    /// One that has just been asked for: queued, without a number, a mode of its own or a byte moved.
    pub fn new(key: TabletKey, source: DiskRef, destination: DiskRef, created_ms: TimestampMs) -> Self {
        Self {
            id: MigrationId(0),
            key,
            source,
            destination,
            mode: Mode::Auto,
            priority: Priority::Normal,
            status: Status::Queued,
            paused_in: None,
            status_reason: "accepted".to_owned(),
            attempts: 0,
            not_before_ms: None,
            source_shard: None,
            destination_shard: None,
            hung_disk: None,
            counters: Counters::default(),
            steps: Vec::new(),
            failure: None,
            receipt: None,
            request_reason: String::new(),
            task: None,
            doris: None,
            steering: Steering::default(),
            created_ms,
            updated_ms: created_ms,
            last_progress_ms: None,
            finished_ms: None,
        }
    }

    /// The coarse phase. One that waits again, after its first preflight has begun, is still being worked on.
    pub fn phase(&self) -> Phase {
        match self.status {
            Status::Queued if !self.steps.is_empty() => Phase::Working,
            status => status.phase(),
        }
    }

    /// Adds a line to the log of the step that is under way (the last one).
    pub fn log(&mut self, at_ms: TimestampMs, text: impl Into<String>) {
        if let Some(step) = self.steps.last_mut() {
            step.logs.push(LogEntry { at_ms, text: text.into() });
        }
    }
}
