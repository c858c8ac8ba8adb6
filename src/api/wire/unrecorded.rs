//! Files without a record.

use serde::{Deserialize, Serialize};

use serde_json::value::RawValue;

use crate::model::{SchemaHash, TabletId};

/// A directory below `data/` that no record names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Unrecorded {
    /// Path of its disk.
    pub disk: String,
    /// Its own path.
    pub path: String,
    /// The tablet that would stand there; `null` for a name that is not one of ours.
    pub tablet_id: Option<TabletId>,
    /// Its schema.
    pub schema_hash: Option<SchemaHash>,
    /// Number of its entries.
    pub entries: u64,
    /// Bytes of the files directly in it.
    pub size_bytes: u64,
    /// What is wrong with the record under that name, or with the directory, where something is.
    pub remark: Option<String>,
}

/// `POST /api/v1/tablets/adopt`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptTablet {
    /// Where the files are: `<disk>/data/<shard>/<tablet_id>/<schema_hash>`, `<disk>/quarantine/<entry>` or
    /// `<disk>/migrating/<name>`. Of a disk that was given up and can be read again, the first form with the path at which
    /// it is now.
    pub path: String,
    /// The tablet's header, a `TabletMetaPB` in the JSON form that Doris prints, kept as it is; left out, a record of the
    /// same files is looked for on every disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub header: Option<Box<RawValue>>,
    /// The disk the tablet is to live on; left out, the files stay where they are if that disk takes anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// They may be older than the tablet was. Refused without it, with what would be missing.
    #[serde(default)]
    pub accept_older: bool,
}

/// `POST /api/v1/unrecorded/set_aside`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAsideDirectory {
    /// Where it is, as listed.
    pub path: String,
}
