//! The disk resource.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::model::{Medium, SchemaHash, TabletId, TaskId};

/// `POST /api/v1/disks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterDisk {
    /// Path, as it would be written in `storage_root_path`.
    pub path: String,
    /// Medium.
    pub medium: Medium,
}

/// `POST /api/v1/disks/disable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableDisk {
    /// Path, written as in `storage_root_path`.
    pub path: String,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// `POST /api/v1/disks/enable` and `/cancel_drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskPath {
    /// Path, written as in `storage_root_path`.
    pub path: String,
}

/// `POST /api/v1/disks/limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskLimits {
    /// Path, written as in `storage_root_path`.
    pub path: String,
    /// Bytes per second copied from and to it; 0 is no limit, `null` the limit of all disks. It has to be said: a limit is not
    /// lifted by what was left out.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    pub rate_bytes_per_sec: Option<u64>,
}

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Disk {
    /// Path as configured.
    pub path: String,
    /// Identity; `null` while it has never been opened.
    pub uuid: Option<String>,
    /// Medium.
    pub medium: Medium,
    /// `online`, `suspect`, `read-only`, `hung`, `broken` or `disabled`.
    pub condition: String,
    /// Why it is not simply online; empty when it is.
    pub condition_reason: String,
    /// Size of the file system.
    pub total_bytes: u64,
    /// Free for tablets.
    pub avail_bytes: u64,
    /// Promised to migrations in flight and queued, beyond what they have taken up already.
    pub reserved_bytes: u64,
    /// Files and directories its file system was made for; 0 where it counts none.
    #[serde(default)]
    pub total_inodes: u64,
    /// Of these, how many are left.
    #[serde(default)]
    pub avail_inodes: u64,
    /// Promised to migrations in flight and queued.
    #[serde(default)]
    pub reserved_inodes: u64,
    /// Tablets owned.
    pub tablet_count: u64,
    /// Their bytes.
    pub tablet_bytes: u64,
    /// In its trash.
    pub trash_bytes: u64,
    /// Kind of file system.
    pub file_system: String,
    /// Other roots on the same file system: moves between them free nothing.
    pub shares_file_system_with: Vec<String>,
    /// For reading from it.
    pub read_slots: Slots,
    /// For writing to it.
    pub write_slots: Slots,
    /// Migrations waiting to read from it.
    pub queued_from: u64,
    /// Migrations waiting to write to it.
    pub queued_to: u64,
    /// Migrations that have not ended, away from it.
    #[serde(default)]
    pub migrations_from: DiskMigrations,
    /// Migrations that have not ended, towards it.
    #[serde(default)]
    pub migrations_to: DiskMigrations,
    /// Tasks under way that have moves from or to it still to be done.
    #[serde(default)]
    pub task_ids: Vec<TaskId>,
    /// Bandwidth limit; 0 is none.
    pub rate_limit_bytes_per_sec: u64,
    /// How adaptive throttling paces it; `null` while it does not.
    #[serde(default)]
    pub pace: Option<Pace>,
    /// Milliseconds copies have waited for the limits of this disk, since the start of the process.
    #[serde(default)]
    pub throttled_ms: u64,
    /// Whether the disk may be pulled now without losing a tablet; an older daemon does not say, which is no.
    #[serde(default)]
    pub safe_to_remove: bool,
    /// Every reason why not; `null` when it is safe.
    #[serde(default)]
    pub not_safe_because: Option<String>,
    /// Things that could not be done on it (a copy that cannot be retired, an entry that cannot be read), and that are
    /// tried again.
    #[serde(default)]
    pub undone_count: u64,
    /// Bytes they take up, as far as that is known.
    #[serde(default)]
    pub undone_bytes: u64,
    /// The first hundred of them.
    #[serde(default)]
    pub undone: Vec<Undone>,
    /// Directories below `data/` that no record names, found so far: `GET /unrecorded`.
    #[serde(default)]
    pub unrecorded_count: u64,
    /// Their bytes.
    #[serde(default)]
    pub unrecorded_bytes: u64,
    /// Why there may be more of them; `null` once the disk was looked through, which a start begins in the background.
    #[serde(default)]
    pub unrecorded_not_looked_at: Option<String>,
}

/// Something that could not be done on a disk. Nothing stops for it; it is tried again until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Undone {
    /// Path of the disk.
    pub disk: String,
    /// What it is about, below that path.
    pub path: String,
    /// The tablet, where it is about one.
    pub tablet_id: Option<TabletId>,
    /// Its schema.
    pub schema_hash: Option<SchemaHash>,
    /// Bytes it takes up; 0 where that is not known.
    pub size_bytes: u64,
    /// What is left undone, and why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Migrations at one end of which a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskMigrations {
    /// Waiting for their turn.
    pub queued: u64,
    /// Paused, by an operator, with their task, or because their destination is disabled.
    pub paused: u64,
    /// Between the two: at work, or at a gate.
    pub running: u64,
}

/// How a disk is paced beside others' work, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pace {
    /// The rate now; 0 is none.
    pub rate_bytes_per_sec: u64,
    /// Why, in words.
    pub reason: String,
    /// What nine of ten small reads took at most; `null` where such reads say nothing.
    pub latency_us: Option<u64>,
    /// The same on the calm disk.
    pub calm_latency_us: Option<u64>,
    /// Share of time in which others stalled on I/O, on the whole machine, in thousandths.
    pub stall_permille: u32,
}

/// The right to read from, or write to, one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Slots {
    /// Held by migrations now.
    pub in_use: u32,
    /// As many may be held at once.
    pub limit: u32,
}
