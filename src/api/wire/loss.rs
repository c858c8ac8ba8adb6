//! A disk that is given up: what an operator asks, and what goes with it.

use serde::{Deserialize, Serialize};

use super::Disk;
use crate::model::{DiskUuid, MigrationId, SchemaHash, TabletId};

/// `POST /api/v1/disks/forget`. All but `path` is for a disk that never comes back, and refused without `lost`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetDisk {
    /// Path, written as in `storage_root_path`.
    pub path: String,
    /// It is lost: what it held is given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// Copies older than what is lost are served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_older: bool,
    /// Only say what would be given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What the dry run said under this name; needed to carry it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// `POST /api/v1/disks/replace`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceDisk {
    /// Path, written as in `storage_root_path`, where a blank file system is mounted.
    pub path: String,
    /// Copies older than what is lost are served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_older: bool,
    /// Only say what would be given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What the dry run said under this name; needed to carry it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// What is given up with a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskLoss {
    /// Path of the disk.
    pub path: String,
    /// The disk; `null` where none was ever seen there.
    pub uuid: Option<DiskUuid>,
    /// Whether nothing has been changed.
    pub dry_run: bool,
    /// What to repeat as `confirm`.
    pub confirm: String,
    /// Tablets in all, of which `data` has the first ten thousand and the log every one.
    pub total: u64,
    /// Tablets of the disk.
    pub data: Vec<LostTablet>,
    /// Migrations that wait for it.
    pub migrations: Vec<LostMigration>,
    /// The disk that took its place, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// One tablet of a disk that is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LostTablet {
    /// The tablet.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// The highest generation the disk had, where that is known.
    pub lost_generation: Option<u64>,
    /// `untouched`, `kept`, `adopted`, `older_served`, `older_adopted`, `older_left`, `elsewhere` or `given_up`.
    pub fate: String,
    /// The generation it is served with afterwards, where that changes.
    pub generation: Option<u64>,
    /// The disk that has what is left of it.
    pub disk: Option<String>,
    /// The same in words, with what helps.
    pub detail: String,
}

/// One migration that waits for a disk that is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LostMigration {
    /// Its number.
    pub migration_id: MigrationId,
    /// Its tablet.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
    /// `goes_on`, `completed`, `aborted` or `failed`.
    pub fate: String,
}
