//! Operations as the engine shows them, and what they are asked with.

use crate::model::{
    Failure, OperationId, OperationItem, OperationKind, OperationState, SchemaHash, TabletId, TabletKey,
    TimestampMs,
};
use crate::rules::giving_up::Older;

/// One operation.
#[derive(Debug, Clone)]
pub struct OperationView {
    /// Its number, in this run of the daemon.
    pub id: OperationId,
    /// What is done.
    pub kind: OperationKind,
    /// Where it stands.
    pub state: OperationState,
    /// What it is about, in words.
    pub subject: String,
    /// The tablet, where it is about one.
    pub key: Option<TabletKey>,
    /// Who asked.
    pub requested_by: String,
    /// The generation claimed for the tablet that it brings back.
    pub generation: Option<u64>,
    /// What it is at, or how it ended.
    pub note: String,
    /// Tablets it is done with, whatever came of them.
    pub done_tablets: u64,
    /// Tablets in all, as far as it has looked.
    pub total_tablets: u64,
    /// Bytes read so far.
    pub read_bytes: u64,
    /// What became of each tablet; the first ten thousand.
    pub items: Vec<OperationItem>,
    /// Why it did not do what it was for.
    pub failure: Option<Failure>,
    /// When it was asked for.
    pub started_ms: TimestampMs,
    /// When it ended.
    pub finished_ms: Option<TimestampMs>,
}

/// How a damaged tablet is to be healed.
#[derive(Debug, Clone)]
pub struct Heal {
    /// The tablet.
    pub tablet_id: TabletId,
    /// Its schema; needed where it is known under several.
    pub schema_hash: Option<SchemaHash>,
    /// The disk it is to live on; `None` leaves it to where the copy is.
    pub to: Option<String>,
    /// Whether an older copy will do.
    pub older: Older,
    /// Who asks.
    pub requested_by: String,
}

/// How a tablet is to be brought back that nobody serves.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The tablet.
    pub key: TabletKey,
    /// This trash entry, instead of the newest good copy.
    pub entry: Option<String>,
    /// The disk it is to live on; `None` leaves it to where the copy is.
    pub to: Option<String>,
    /// Whether an older copy will do.
    pub older: Older,
    /// Who asks.
    pub requested_by: String,
}
