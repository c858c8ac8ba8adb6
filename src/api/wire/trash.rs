//! Trash: what is in it, what is restored from it, what is purged.

use serde::{Deserialize, Serialize};

use super::{Timestamp, Undone};
use crate::model::{MigrationId, SchemaHash, TabletId};

/// One tablet in trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrashItem {
    /// Path of its disk.
    pub disk: String,
    /// Name of the trash entry, `<YYYYmmddHHMMSS>.<n>`.
    pub entry: String,
    /// The tablet.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// Size; 0 where its header is unreadable.
    pub size_bytes: u64,
    /// Generation it had.
    pub generation: Option<u64>,
    /// The disk it went to.
    pub moved_to: Option<String>,
    /// The migration that moved it.
    pub migration_id: Option<MigrationId>,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
    /// Why it is still there, or `due`.
    pub kept_because: String,
    /// When it is due, if the daemon goes on running until then; null of what this daemon did not retire.
    #[serde(default)]
    pub kept_until: Option<Timestamp>,
}

/// `GET /api/v1/trash`: one page of it, and what cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Trash {
    /// How many match in all, not only on this page.
    pub total: u64,
    /// Those on this page.
    pub data: Vec<TrashItem>,
    /// Entries that cannot be read. They are left as they are, and no purge touches them.
    #[serde(default)]
    pub unreadable: Vec<Undone>,
}

/// `POST /api/v1/trash/restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreTablet {
    /// The tablet.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// This trash entry; left out, the newest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The disk it is to live on; left out, the one that has the good copy, if that takes anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// An older copy will do, also while a newer one may be on a disk that is away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_older: bool,
}

/// `POST /api/v1/trash/purge`. Every field given narrows the choice; at least one is needed, or `all`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeTrash {
    /// On the disk at this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// This entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// This tablet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablet_id: Option<TabletId>,
    /// Everything: an empty request must not empty the trash.
    #[serde(default)]
    pub all: bool,
    /// Only say what would go.
    #[serde(default)]
    pub dry_run: bool,
}

/// What would become of one tablet in trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PurgedItem {
    /// Which.
    #[serde(flatten)]
    pub item: TrashItem,
    /// Whether it is gone; never with `dry_run`.
    pub purged: bool,
    /// Whether it would go.
    #[serde(default)]
    pub would_be_purged: bool,
    /// Why it is kept.
    pub not_purged_because: Option<String>,
}
