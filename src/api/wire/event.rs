//! What a stream of events carries: the `data` line of each server-sent event.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::model::{MigrationId, Phase, Status, Step, StepStatus, TabletId};

/// One event. Which of its fields are there follows from its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `status`, `step`, `progress`; `reset` when events before this one are lost and the reader must look for itself.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// To which migration it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_id: Option<MigrationId>,
    /// Of which tablet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablet_id: Option<TabletId>,
    /// The exact status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The coarse one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Why it stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// The step that began or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_status: Option<StepStatus>,
    /// Size of the tablet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_total_bytes: Option<u64>,
    /// Written to the destination so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_processed_bytes: Option<u64>,
    /// Read back and found right so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_verified_bytes: Option<u64>,
    /// Bytes copied per second of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_bps: Option<u64>,
}

impl Event {
    /// One that says nothing yet but its kind.
    pub fn of_kind(kind: &str, at: Timestamp) -> Self {
        Self {
            kind: kind.to_owned(),
            at,
            migration_id: None,
            tablet_id: None,
            status: None,
            phase: None,
            status_reason: None,
            step: None,
            step_status: None,
            disk_total_bytes: None,
            disk_processed_bytes: None,
            disk_verified_bytes: None,
            recent_bps: None,
        }
    }
}
