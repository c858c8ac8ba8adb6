//! The tablet resource.

use serde::{Deserialize, Serialize};

use crate::model::{MigrationId, SchemaHash, ShardId, TabletId};

/// One tablet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tablet {
    /// Identity.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// Partition; 0 where unknown.
    pub partition_id: i64,
    /// Path of the disk that owns it.
    pub disk: String,
    /// Directory below `data/`.
    pub shard_id: ShardId,
    /// Of its record: raised by one at every move.
    pub generation: u64,
    /// Sum of its files.
    pub size_bytes: u64,
    /// Number of its files.
    pub file_count: u32,
    /// The migration that owns it now.
    pub migration_id: Option<MigrationId>,
    /// Why it is not served; `null` when it is.
    pub unavailable: Option<String>,
}

/// What one rule says about a move that was only thought of: `GET /api/v1/tablets/{id}/explain?disk=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RuleAnswer {
    /// A stable name.
    pub rule: String,
    /// Whether it lets the tablet go; `null` when it cannot be asked.
    pub allows: Option<bool>,
    /// The numbers it looked at, in words.
    pub detail: String,
    /// It binds moves that a plan makes, not one that is asked for by name.
    pub plans_only: bool,
}
