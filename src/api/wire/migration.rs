//! The migration resource and what is asked of it.

use serde::{Deserialize, Serialize};

use super::{FailureBody, RuleAnswer, Timestamp};
use crate::model::{
    Medium, MigrationId, Mode, Phase, Priority, SchemaHash, Status, StepStatus, TabletId, TaskId,
};

/// `POST /api/v1/migrations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({ "tablet_id": 15001, "dest_disk": "/mnt/disk2", "reason": "disk1 is full" })))]
pub struct CreateMigration {
    /// What moves.
    pub tablet_id: TabletId,
    /// Its schema; may be left out while the node knows the tablet under one schema hash only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<SchemaHash>,
    /// Path of the destination, written as in `storage_root_path`. Either this or `dest_medium`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dest_disk: Option<String>,
    /// `SSD` or `HDD`: the least full disk of that medium that takes the tablet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dest_medium: Option<Medium>,
    /// How far by itself.
    #[serde(default)]
    pub mode: Mode,
    /// Order of service.
    #[serde(default)]
    pub priority: Priority,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A bandwidth limit of its own in bytes copied per second; 0 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_sec: Option<u64>,
    /// What is taken for granted of the tablet; refused with 412 when it is not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Precondition>,
    /// Only say what would become of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Absent fields ask nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Precondition {
    /// Path of the disk the tablet is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_disk: Option<String>,
    /// Generation of its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// The answer to a request with `dry_run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Validation {
    /// Always true: nothing was accepted.
    pub dry_run: bool,
    /// Whether it would be accepted now.
    pub would_be_accepted: bool,
    /// Where the tablet would go, as far as a disk is named or could be chosen.
    pub dest_disk: Option<String>,
    /// Why it would be refused.
    pub error: Option<FailureBody>,
    /// Every rule's yes or no with its numbers.
    pub checks: Vec<RuleAnswer>,
}

/// `POST /api/v1/migrations/{id}/action`: an object with exactly one key, `{"pause": {}}`; `null` for `{}` is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// Swap in the verified copy that waits in `ready`.
    Cutover(Option<NoParameters>),
    /// First in line, past every bandwidth limit and every gate.
    ForceComplete(Option<NoParameters>),
    /// More time at the gate.
    Extend(Extend),
    /// Copy faster or slower, from now on.
    Limits(Limits),
    /// Another place in line.
    Priority(Priority),
    /// Take a completed move back: another migration, to where the tablet came from.
    Revert(Option<NoParameters>),
    /// End the doubt about its swap: the source owns the tablet if it takes a record, else the destination if that does.
    Settle(Option<NoParameters>),
}

impl Action {
    /// The key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Abort(_) => "abort",
            Self::Retry(_) => "retry",
            Self::Cutover(_) => "cutover",
            Self::ForceComplete(_) => "force_complete",
            Self::Extend(_) => "extend",
            Self::Limits(_) => "limits",
            Self::Priority(_) => "priority",
            Self::Revert(_) => "revert",
            Self::Settle(_) => "settle",
        }
    }
}

/// `{"seconds": 3600}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// Added to the deadline; from 1 to 31536000, a year.
    pub seconds: u64,
}

/// `{"rate_bytes_per_sec": 10000000}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes copied per second; 0 is no limit of its own.
    pub rate_bytes_per_sec: u64,
}

/// `POST /api/v1/migrations/{id}/run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunStep {
    /// `prepare`, `data`, `finalize` or `abort`: one of the migration's `next_steps`.
    pub step: crate::model::Step,
}

/// `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// One migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Migration {
    /// Number; increasing, never used again.
    pub id: MigrationId,
    /// The same as 24 digits, zeros first; taken wherever the number is.
    #[serde(rename = "_id", default)]
    #[schema(pattern = "^[0-9]{24}$")]
    pub object_id: String,
    /// Who does the work: this node, by its name.
    #[serde(rename = "migrationHosts", default)]
    pub migration_hosts: Vec<String>,
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
    /// Who asked for it: an address, or a name.
    #[serde(default)]
    pub requested_by: String,
    /// The step that is under way; `null` while none is. DM's unit.
    #[serde(default)]
    pub unit: Option<crate::model::Step>,
    /// The steps that `run` takes now.
    #[serde(default)]
    pub next_steps: Vec<crate::model::Step>,
    /// The keys that `action` takes now.
    #[serde(default)]
    pub actions: Vec<String>,
    /// What it waits for, if it waits.
    #[serde(default)]
    pub blockers: Vec<Blocker>,
    /// Whether a verified copy waits for its cutover.
    #[serde(default)]
    pub ready_for_cutover: bool,
    /// Since when it waits at its gate.
    #[serde(default)]
    pub waits_since: Option<Timestamp>,
    /// When it stops waiting at its gate and is undone.
    #[serde(default)]
    pub cutover_deadline: Option<Timestamp>,
    /// Whether it was forced: no gate and no limit holds it.
    #[serde(default)]
    pub forced: bool,
    /// Its own bandwidth limit in bytes copied per second; 0 is none.
    #[serde(default)]
    pub rate_bytes_per_sec: u64,
    /// Since when nobody knows which of its two disks owns the tablet; `settle` ends it.
    #[serde(default)]
    pub in_doubt_since: Option<Timestamp>,
    /// The migration whose move this one takes back.
    #[serde(default)]
    pub reverts: Option<MigrationId>,
    /// The migration that takes this move back.
    #[serde(default)]
    pub reverted_by: Option<MigrationId>,
    /// Attempts begun, those behind a gate counted by themselves.
    pub attempts: u32,
    /// Steps entered so far, each once, in the order they were first entered, with what they said. Lists leave them out unless
    /// asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// Progress; its fields stand beside the others.
    #[serde(flatten)]
    pub counters: DiskCounters,
    /// Mean over the data step that is under way, or over the whole of a completed migration; `null` else.
    pub speed_bytes_per_sec: Option<u64>,
    /// The same by DM's name.
    #[serde(default)]
    pub bps: Option<u64>,
    /// Bytes copied per second of late; `null` while none are.
    #[serde(default)]
    pub recent_bps: Option<u64>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
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

/// One thing a migration waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Blocker {
    /// `operator` (it has to be asked), `queue` (a slot, a disk or the node's limit), `backoff` (the next attempt's time),
    /// `space` (on its destination; it is looked for again and again), `task` (that is paused),
    /// `disk` (its destination is disabled, or a disk has stopped to answer under it).
    pub kind: String,
    /// In words.
    pub text: String,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
}

/// One step, with every time it was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StepRun)]
pub struct Step {
    /// Of this step of this migration; stays through every attempt.
    #[serde(default)]
    pub id: String,
    /// Which.
    pub step: crate::model::Step,
    /// How it stands, by its last attempt.
    pub status: StepStatus,
    /// How often it was entered, as far as that is remembered.
    #[serde(default)]
    pub attempts: u32,
    /// When it first began.
    pub started_at: Timestamp,
    /// When its last attempt ended.
    pub ended_at: Option<Timestamp>,
    /// What it said, in all attempts.
    pub logs: Vec<LogLine>,
    /// What its last attempt looked at, one by one, up to the first that was not as it must be. Preflight has them.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// One thing a step looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Check {
    /// A stable name, such as `space`.
    pub name: String,
    /// `done` where it was as it must be, else `error`.
    pub status: StepStatus,
    /// What was found, with the numbers.
    pub found: String,
}

/// One line of a step's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// Proof of a completed move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
        assert_eq!(read(r#"{"force_complete":null}"#).unwrap().as_str(), "force_complete");
        assert_eq!(read(r#"{"priority":"low"}"#).unwrap(), Action::Priority(Priority::Low));
        assert_eq!(read(r#"{"extend":{"seconds":60}}"#).unwrap(), Action::Extend(Extend { seconds: 60 }));
        for text in [
            "{}",
            r#"{"pause":{},"abort":{}}"#,
            r#"{"explode":{}}"#,
            r#"{"pause":{"now":true}}"#,
            r#"{"pause":true}"#,
            r#"{"extend":null}"#,
            r#"{"extend":{"seconds":-1}}"#,
            r#"{"limits":{}}"#,
            r#"{"priority":"urgent"}"#,
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
