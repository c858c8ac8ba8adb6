//! Quarantine: what was set aside, and the requests about it.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::model::{DamagedFile, LostRange, SalvageState, SchemaHash, TabletId};

/// One entry of a quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QuarantineItem {
    /// Path of its disk.
    pub disk: String,
    /// Name of the entry, `<YYYYmmddHHMMSS>.<n>`.
    pub entry: String,
    /// Its directory.
    pub path: String,
    /// Why it was set aside.
    pub reason: String,
    /// The tablet; `null` where nothing in it says which.
    pub tablet_id: Option<TabletId>,
    /// Its schema.
    pub schema_hash: Option<SchemaHash>,
    /// Of its record; `null` where it has no good one.
    pub generation: Option<u64>,
    /// Whether a tablet's directory is in it.
    pub has_files: bool,
    /// Number of the files in there.
    pub file_count: u64,
    /// Bytes of all of it.
    pub size_bytes: u64,
    /// Whether it is what could be read of a tablet: never brought back.
    #[serde(default)]
    pub is_salvaged: bool,
    /// What was saved then, and what was not; `null` where it is no salvage, or its mark is damaged.
    #[serde(default)]
    pub salvaged: Option<Salvaged>,
}

/// The receipt of a salvage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Salvaged {
    /// `begun` while it is under way or where it was cut short, `done`.
    pub state: SalvageState,
    /// Path of the disk it was read from, and that owns the tablet.
    pub source: String,
    /// Generation of the tablet there.
    pub generation: u64,
    /// Files of its manifest.
    pub total_files: u64,
    /// Bytes that were read and copied.
    pub saved_bytes: u64,
    /// Bytes that were not given.
    pub lost_bytes: u64,
    /// Which, in the order of the manifest: the copy has holes there.
    pub lost: Vec<LostRange>,
    /// Files that are not as the manifest says although every byte of them was given.
    pub damaged: Vec<DamagedFile>,
    /// When it began.
    pub begun_at: Timestamp,
}

/// `POST /api/v1/quarantine/restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreQuarantined {
    /// Path of the disk it is on.
    pub disk: String,
    /// The entry.
    pub entry: String,
    /// The disk the tablet is to live on; left out, the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// It may be older than the tablet was.
    #[serde(default)]
    pub accept_older: bool,
}

/// `POST /api/v1/quarantine/purge`. Every field given narrows the choice; at least one is needed, or `all`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PurgeQuarantine {
    /// On the disk at this path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// This entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Of this tablet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tablet_id: Option<TabletId>,
    /// Everything: an empty request must not empty the quarantine.
    pub all: bool,
    /// Also what may be the last copy of a tablet: what it holds has no live copy of a higher generation that passes a
    /// check. Such an entry stays without it.
    pub last_copy: bool,
}
