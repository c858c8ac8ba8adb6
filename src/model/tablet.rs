//! A tablet's metadata record.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{HeaderTable, Manifest, ShardId, TabletKey};

/// State of a tablet. Named as `TabletStatePB`, without its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TabletState {
    /// Serves reads and writes.
    Running,
    /// Retired; only in trash.
    Shutdown,
}

/// One metadata record: who owns which files, and the tablet's own header.
///
/// Two records of one tablet are compared by `generation` only. Time stamps never decide. How a record is written down
/// is `storage`'s business.
#[derive(Debug, Clone)]
pub struct TabletRecord {
    /// Raised by one at every swap; the highest good one owns the tablet.
    pub generation: u64,
    pub key: TabletKey,
    /// Partition the tablet belongs to; 0 where unknown.
    pub partition_id: i64,
    /// The directory below `data/` that holds it.
    pub shard_id: ShardId,
    pub state: TabletState,
    pub manifest: Manifest,
    /// The tablet's `TabletMetaPB` in the JSON form Doris prints, byte for byte as given, unknown fields included.
    /// Its `shard_id` is the one at import; the record's own is the truth.
    pub tablet_meta: Box<RawValue>,
}

/// What the catalog keeps of a record in memory: small, because a node holds a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSummary {
    pub key: TabletKey,
    /// See [`TabletRecord::generation`].
    pub generation: u64,
    /// See [`TabletRecord::table_id`].
    pub table_id: i64,
    /// See [`TabletRecord::partition_id`].
    pub partition_id: i64,
    /// Sum of the manifest's sizes.
    pub size_bytes: u64,
    pub file_count: u32,
    /// Directory below `data/`.
    pub shard_id: ShardId,
}

/// How far a retired tablet got into its trash entry: first its record leaves the store, and becomes the header there;
/// then its directory follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Nothing of it is there: it has not come yet, or is purged already.
    Nothing,
    /// The header lies beside its place; the directory may still be where the tablet lived.
    Header,
    /// All is in its place, only the note is lost.
    Place,
}

impl TabletRecord {
    /// Table the tablet belongs to, as its header says; 0 where unknown.
    pub fn table_id(&self) -> i64 {
        HeaderTable::of(&self.tablet_meta).0
    }

    /// The part the catalog keeps.
    pub fn summary(&self) -> RecordSummary {
        RecordSummary {
            key: self.key,
            generation: self.generation,
            table_id: self.table_id(),
            partition_id: self.partition_id,
            size_bytes: self.manifest.total_bytes(),
            file_count: u32::try_from(self.manifest.files().len()).unwrap_or(u32::MAX),
            shard_id: self.shard_id,
        }
    }
}
