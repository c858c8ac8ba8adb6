//! The node at a glance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Undone;
use crate::model::{SchemaHash, Step, TabletId};

/// `GET /api/v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeStatus {
    /// Release of the daemon.
    pub version: String,
    /// Since the start of the process.
    pub uptime_seconds: u64,
    /// Number of disks by condition (`online`, `suspect`, `read-only`, `hung`, `broken`, `disabled`); every condition is listed.
    pub disks: BTreeMap<String, u64>,
    /// The state directory and the journal in it.
    #[serde(default)]
    pub state_dir: StateDir,
    /// Tablets known.
    pub tablets: u64,
    /// Tablets known but not served.
    pub tablets_unavailable: u64,
    /// They by name, the first thousand.
    #[serde(default)]
    pub unavailable_tablets: Vec<UnavailableTablet>,
    /// Tablets that a verification found damaged, by name; they are served as they are.
    #[serde(default)]
    pub damaged_tablets: Vec<DamagedTablet>,
    /// Tablets of which a disk did not give all bytes, by name.
    #[serde(default)]
    pub unreadable_tablets: Vec<UnreadableTablet>,
    /// Things that could not be done on a disk, and that are tried again.
    #[serde(default)]
    pub undone_count: u64,
    /// They by name, the first hundred of each disk.
    #[serde(default)]
    pub undone: Vec<Undone>,
    /// Migrations waiting now.
    pub queued: u64,
    /// Migrations running now.
    pub running: u64,
    /// Since the start of the process.
    pub totals: MigrationTotals,
}

/// The state directory and the journal in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StateDir {
    /// Where it is.
    pub path: String,
    /// Bytes that its file system has left; absent before it was measured.
    pub available_bytes: Option<u64>,
    /// Bytes of its file system; absent before it was measured.
    pub total_bytes: Option<u64>,
    /// There is no space for the journal: nothing is accepted or changed until there is, and then it goes on by itself.
    pub is_full: bool,
    /// Rows that wait for that space.
    pub waiting_rows: u64,
    /// The journal has failed, and takes nothing more until a restart.
    pub journal_failed: bool,
    /// This start found the journal damaged, or none although tablets of these disks were moved before.
    pub journal_lost: bool,
    /// What is wrong, with the way out; absent on a good day.
    pub trouble: Option<String>,
}

/// A tablet that this node knows of and does not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnavailableTablet {
    /// Identity.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// Why.
    pub unavailable: String,
}

/// A tablet that a verification found damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DamagedTablet {
    /// Identity.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// Path of its disk.
    pub disk: String,
    /// What is wrong.
    pub damaged: String,
}

/// A tablet of which a disk did not give all bytes. Nothing is known to be wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnreadableTablet {
    /// Identity.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// Path of its disk.
    pub disk: String,
    /// Which, and what the disk said.
    pub unreadable: String,
}

/// Counters since the start of the process.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MigrationTotals {
    /// Accepted.
    pub accepted: u64,
    /// Started, attempts counted.
    pub started: u64,
    /// Completed.
    pub completed: u64,
    /// Failed for good.
    pub failed: u64,
    /// Aborted.
    pub aborted: u64,
    /// Undone because nobody let them through their gate in time.
    #[serde(default)]
    pub expired: u64,
    /// Attempts that are repeated.
    pub retried: u64,
    /// Refused, by error code.
    pub refused: BTreeMap<String, u64>,
    /// Written to staging.
    pub copied_bytes: u64,
    /// Read back and found right.
    pub verified_bytes: u64,
    /// Waited for bandwidth limits.
    pub throttled_ms: u64,
    /// Per step.
    pub steps: Vec<StepTotal>,
    /// Tablets put into quarantine.
    pub quarantined: u64,
    /// Tablets purged from trash.
    pub purged: u64,
}

/// One step, all migrations together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepTotal {
    /// Which.
    pub step: Step,
    /// Seconds spent in it.
    pub seconds: f64,
    /// Runs that ended well.
    pub done: u64,
    /// Runs that did not.
    pub failed: u64,
}
