//! The migration resource and what is asked of it.

use serde::{Deserialize, Serialize};

use super::{FailureBody, Timestamp};
use crate::model::{MigrationId, Mode, Phase, Priority, SchemaHash, Status, StepStatus, TabletId, TaskId};

/// `POST /api/v1/migrations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateMigration {
    /// What moves.
    pub tablet_id: TabletId,
    /// Its schema; may be left out while the node knows the tablet under one schema hash only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<SchemaHash>,
    /// Path of the destination, written as in `storage_root_path`.
    pub dest_disk: String,
    /// How far by itself.
    #[serde(default)]
    pub mode: Mode,
    /// Order of service.
    #[serde(default)]
    pub priority: Priority,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// `POST /api/v1/migrations/{id}/action`: an object with exactly one key, `{"pause": {}}`; `null` for `{}` is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Stop where it is, keep what is copied.
    Pause(Option<NoParameters>),
    /// Go on.
    Resume(Option<NoParameters>),
    /// Undo; the source stays.
    Abort(Option<NoParameters>),
    /// Try a failed one again.
    Retry(Option<NoParameters>),
}

impl Action {
    /// The key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Abort(_) => "abort",
            Self::Retry(_) => "retry",
        }
    }
}

/// `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// One migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// Number; increasing, never used again.
    pub id: MigrationId,
    /// What moves.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// From where: the path when it was accepted.
    pub source_disk: String,
    /// To where.
    pub dest_disk: String,
    /// Where it stands, exactly.
    pub status: Status,
    /// Where it stands, coarsely.
    pub phase: Phase,
    /// Why it stands there; never empty while it waits.
    pub status_reason: String,
    /// How far by itself.
    pub mode: Mode,
    /// Order of service.
    pub priority: Priority,
    /// Why it was asked for.
    pub reason: String,
    /// The task it is part of.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// Attempts begun.
    pub attempts: u32,
    /// Steps run so far, oldest first.
    pub steps: Vec<Step>,
    /// Progress; its fields stand beside the others.
    #[serde(flatten)]
    pub counters: DiskCounters,
    /// Mean over the data step that is under way, or over the whole of a completed migration; `null` else.
    pub speed_bytes_per_sec: Option<u64>,
    /// At that speed; `null` while no bytes move.
    pub eta_seconds: Option<u64>,
    /// The last failure; kept through retries.
    pub error: Option<FailureBody>,
    /// Proof, once completed.
    pub receipt: Option<Receipt>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a status or counter last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When bytes last moved.
    pub last_progress_at: Option<Timestamp>,
    /// Not tried again before this time.
    pub not_before: Option<Timestamp>,
}

/// Bytes and files. Each only grows within one attempt, and `processed + remaining = total` always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiskCounters {
    /// Size of the tablet.
    pub disk_total_bytes: u64,
    /// On the destination so far, written or shared.
    pub disk_processed_bytes: u64,
    /// Not yet written.
    pub disk_remaining_bytes: u64,
    /// Read back and found right so far.
    pub disk_verified_bytes: u64,
    /// Found whole after a restart and not copied again; part of the two above.
    pub disk_resumed_bytes: u64,
    /// Shared with the source instead of written (one file system); part of the processed ones.
    #[serde(default)]
    pub disk_cloned_bytes: u64,
    /// Files of the tablet.
    pub disk_total_files: u64,
    /// Files read back and found right so far.
    pub disk_verified_files: u64,
    /// Waited for bandwidth limits.
    pub throttled_ms: u64,
}

/// One run of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub step: crate::model::Step,
    /// How it stands.
    pub status: StepStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it said.
    pub logs: Vec<LogLine>,
}

/// One line of a step's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// Proof of a completed move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Generation of the destination's record.
    pub generation: u64,
    /// Files moved.
    pub files: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// CRC-32 over the manifest's checksums in name order, eight hexadecimal digits.
    pub manifest_crc32: String,
    /// Whether every byte of the copy was read past the page cache.
    pub verified_cold: bool,
    /// How long the tablet's gate was closed.
    pub pause_us: u64,
    /// From the first step to the end.
    pub duration_ms: u64,
    /// Where the retired source waits, below the source disk.
    pub trash_path: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_an_object_with_one_known_key() {
        let read = |text: &str| serde_json::from_str::<Action>(text);
        assert_eq!(read(r#"{"pause":{}}"#).unwrap().as_str(), "pause");
        assert_eq!(read(r#"{"retry":null}"#).unwrap().as_str(), "retry");
        for text in [
            "{}",
            r#"{"pause":{},"abort":{}}"#,
            r#"{"explode":{}}"#,
            r#"{"pause":{"now":true}}"#,
            r#"{"pause":true}"#,
            "[]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_field_of_a_request_is_refused_by_name() {
        let error =
            serde_json::from_str::<CreateMigration>(r#"{"tablet_id":1,"dest_disk":"/d","prio":"high"}"#)
                .unwrap_err()
                .to_string();
        assert!(error.contains("prio"), "{error}");
    }
}
