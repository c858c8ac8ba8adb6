//! Files without a record.

use serde::{Deserialize, Serialize};

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
