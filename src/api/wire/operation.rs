//! Operations, and the requests that begin one.

use serde::{Deserialize, Serialize};

use super::{FailureBody, Salvaged, Timestamp};
use crate::model::{OperationId, OperationKind, OperationState, SchemaHash, TabletId};

/// A call that may take long, as a job: healing, restoring, purging, verifying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Operation {
    /// Its number, counted from 1 in each run of the daemon.
    pub id: OperationId,
    /// What is done.
    pub kind: OperationKind,
    /// `running`, `completed`, `failed` or `cancelled`.
    pub state: OperationState,
    /// What it is about, in words.
    pub subject: String,
    /// The tablet it has to itself, where it is about one.
    pub tablet_id: Option<TabletId>,
    /// Its schema.
    pub schema_hash: Option<SchemaHash>,
    /// The generation claimed for the tablet that it brings back.
    pub generation: Option<u64>,
    /// Who asked.
    pub requested_by: String,
    /// What it is at, or how it ended.
    pub note: String,
    /// Tablets it is done with, whatever came of them.
    pub done_tablets: u64,
    /// Tablets in all, as far as it has looked.
    pub total_tablets: u64,
    /// Bytes read so far.
    pub read_bytes: u64,
    /// Bytes there are to read, where that is known beforehand.
    pub total_bytes: Option<u64>,
    /// What became of each tablet, the first ten thousand, of a verification only of those that are not good; empty in
    /// lists.
    pub items: Vec<OperationItem>,
    /// What was saved of its tablet, and what was not; `null` unless it is a salvage that came to its end.
    #[serde(default)]
    pub salvaged: Option<Salvaged>,
    /// Why it did not do what it was for.
    pub error: Option<FailureBody>,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What became of one tablet of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperationItem {
    /// The tablet; `null` for what does not say which it is.
    pub tablet_id: Option<TabletId>,
    /// Its schema.
    pub schema_hash: Option<SchemaHash>,
    /// Path of its disk.
    pub disk: String,
    /// Its entry in trash, quarantine or staging.
    pub entry: Option<String>,
    /// Its size; 0 where unknown.
    pub size_bytes: u64,
    /// Whether it was done.
    pub done: bool,
    /// Why not.
    pub not_done_because: Option<String>,
}

/// `POST /api/v1/tablets/{id}/heal`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealTablet {
    /// Its schema hash; looked up when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<SchemaHash>,
    /// The disk it is to live on; left out, the one that has the good copy, if that takes anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// An older copy will do, also while a newer one may be on a disk that is away.
    pub accept_older: bool,
}

/// `POST /api/v1/tablets/{id}/salvage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SalvageTablet {
    /// Its schema hash; looked up when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<SchemaHash>,
    /// The disk whose quarantine takes what can be read.
    pub to: String,
}

/// `POST /api/v1/tablets/verify`: of a disk, of a list, of both, or all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyTablets {
    /// Those that the disk at this path serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// Those of these ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tablet_ids: Vec<TabletId>,
    /// Every tablet of the node.
    pub all: bool,
}
