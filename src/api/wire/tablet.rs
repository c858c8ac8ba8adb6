//! The tablet resource.

use serde::{Deserialize, Serialize};

use super::{FailureBody, Timestamp};
use crate::model::{CheckState, DamagedFile, MigrationId, SchemaHash, ShardId, TabletId, UnreadableFile};

/// One tablet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tablet {
    /// Identity.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// Table, by `table_id` of its header; 0 where the header names none.
    #[serde(default)]
    pub table_id: i64,
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
    /// Always `null`: a tablet that is not served is refused with the reason, and named in `/status`.
    pub unavailable: Option<String>,
    /// Who says that no plan moves it; `null` when plans may.
    #[serde(default)]
    pub pinned: Option<Pinned>,
    /// What a verification found wrong with it; `null` when none did.
    #[serde(default)]
    pub damaged: Option<String>,
    /// What of it its disk did not give, at the last attempt to read it; `null` when nothing is known of that. It is served
    /// as it is, and no damage.
    #[serde(default)]
    pub unreadable: Option<String>,
}

/// One table, as far as this node has tablets of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Table {
    /// By `table_id` of its tablets' headers; 0 counts those whose header names none.
    pub table_id: i64,
    /// Its tablets.
    pub tablet_count: u64,
    /// Their bytes.
    pub tablet_bytes: u64,
}

impl Table {
    /// One of which no tablet is counted yet.
    pub const fn empty(table_id: i64) -> Self {
        Self { table_id, tablet_count: 0, tablet_bytes: 0 }
    }
}

/// A verification: the tablet read again past the page cache and compared with its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TabletCheck {
    /// Identity.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// Path of the disk it is read from.
    pub disk: String,
    /// Of the record it is compared with.
    pub generation: u64,
    /// `never`, `queued`, `running`, `passed`, `damaged`, `unreadable` or `failed`.
    pub state: CheckState,
    /// Files of the manifest.
    pub total_files: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Files read so far.
    pub checked_files: u64,
    /// Bytes read so far.
    pub checked_bytes: u64,
    /// Files of which the manifest records no checksum: only their size was compared.
    pub unrecorded_files: u64,
    /// `true` when all of it is known to have come from the medium, `false` when some may have come from the page cache.
    pub cold: Option<bool>,
    /// Files that are not as the manifest says, and those it does not list; the first thousand.
    pub damaged: Vec<DamagedFile>,
    /// Files that the disk did not give whole; the first thousand.
    #[serde(default)]
    pub unreadable: Vec<UnreadableFile>,
    /// Why it could not be brought to an end.
    pub error: Option<FailureBody>,
    /// When it was asked for.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A pin: no plan moves the tablet; a migration that is asked for by name does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pinned {
    /// Who pinned it.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// When.
    pub since: Timestamp,
}

/// `POST /api/v1/tablets/{id}/pin`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PinTablet {
    /// Its schema hash; looked up when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<SchemaHash>,
    /// Why, for the record.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// `POST /api/v1/tablets/{id}/unpin` and `/verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhichSchema {
    /// Its schema hash; looked up when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<SchemaHash>,
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
