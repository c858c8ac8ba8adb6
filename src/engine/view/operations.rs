//! Operations as the engine shows them, and what they are asked with.

use serde_json::value::RawValue;

use super::trash::TrashMarker;
use crate::model::{
    Failure, OperationId, OperationItem, OperationKind, OperationState, Salvage, SchemaHash, TabletId,
    TabletKey, TimestampMs, quoted,
};
use crate::rules::giving_up::Older;
use crate::rules::trash::LastCopy;

/// One operation.
#[derive(Debug, Clone)]
pub struct OperationView {
    /// Its number, in this run of the daemon.
    pub id: OperationId,
    pub kind: OperationKind,
    pub state: OperationState,
    /// What it is about, in words.
    pub subject: String,
    /// The tablet, where it is about one.
    pub key: Option<TabletKey>,
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
    /// Bytes there are to read, where that is known beforehand.
    pub total_bytes: Option<u64>,
    /// What became of each tablet, the first ten thousand; of a verification only of those that are not good.
    pub items: Vec<OperationItem>,
    /// What was saved of its tablet, and what was not.
    pub salvaged: Option<Salvage>,
    /// Why it did not do what it was for.
    pub failure: Option<Failure>,
    /// When it was asked for.
    pub started_ms: TimestampMs,
    pub finished_ms: Option<TimestampMs>,
}

/// How a damaged tablet is to be healed.
#[derive(Debug, Clone)]
pub struct Heal {
    pub tablet_id: TabletId,
    /// Its schema; needed where it is known under several.
    pub schema_hash: Option<SchemaHash>,
    /// The disk it is to live on; `None` leaves it to where the copy is.
    pub to: Option<String>,
    /// Whether an older copy will do.
    pub older: Older,
    pub requested_by: String,
}

/// How what can be read of a tablet is to be saved.
#[derive(Debug, Clone)]
pub struct SalvageTo {
    pub tablet_id: TabletId,
    /// Its schema; needed where it is known under several.
    pub schema_hash: Option<SchemaHash>,
    /// The disk whose quarantine takes it.
    pub to: String,
    pub requested_by: String,
}

/// How a tablet is to be brought back that nobody serves.
#[derive(Debug, Clone)]
pub struct Restore {
    pub key: TabletKey,
    /// This copy, instead of the newest good one.
    pub from: Option<CopyNamed>,
    /// What its files are of, where no record says so.
    pub header: Option<Box<RawValue>>,
    /// The disk it is to live on; `None` leaves it to where the copy is.
    pub to: Option<String>,
    /// Whether an older copy will do.
    pub older: Older,
    pub requested_by: String,
}

/// Files that are to become a tablet.
#[derive(Debug, Clone)]
pub struct Adopt {
    /// Where they are: below `data/`, or an entry of quarantine or staging; with the path of the disk.
    pub path: String,
    /// The tablet's header, a `TabletMetaPB` as JSON, where no record says what they are.
    pub header: Option<Box<RawValue>>,
    /// The disk the tablet is to live on; `None` leaves it where the files are.
    pub to: Option<String>,
    /// Whether files older than the tablet was will do.
    pub older: Older,
    pub requested_by: String,
}

/// A directory without a record that is to go to quarantine.
#[derive(Debug, Clone)]
pub struct SetAside {
    /// Where it is, with the path of its disk.
    pub path: String,
    pub requested_by: String,
}

/// Which tablets are to be verified. Empty fields match everything.
#[derive(Debug, Clone, Default)]
pub struct VerifyMany {
    /// Those that the disk at this path serves.
    pub disk: Option<String>,
    /// Those of these ids.
    pub tablet_ids: Vec<TabletId>,
    pub requested_by: String,
}

/// A copy that an operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyNamed {
    /// In this directory, below the disk at this path, with a record that is made for it.
    Unrecorded(String, String),
    /// In the staging directory of this name on the disk at this path.
    InStaging(String, String),
    /// In this entry of any trash.
    InTrash(String),
    /// In this entry of the quarantine of the disk at this path.
    InQuarantine(String, String),
}

/// Which of the quarantine to list. Empty fields match everything.
#[derive(Debug, Clone, Default)]
pub struct QuarantineFilter {
    /// On the disk at this path.
    pub disk: Option<String>,
    pub tablet_id: Option<TabletId>,
    pub after: Option<TrashMarker>,
    /// At most this many; 0 means 1000.
    pub limit: usize,
}

/// A tablet in an entry of a quarantine that is to come back.
#[derive(Debug, Clone)]
pub struct RestoreQuarantined {
    /// Path of its disk.
    pub disk: String,
    pub entry: String,
    /// Path of the disk it is to come to, where that is said.
    pub to: Option<String>,
    /// What becomes of it while something newer may be elsewhere.
    pub older: Older,
    pub requested_by: String,
}

/// What is to go from quarantine for good. Empty fields match everything.
#[derive(Debug, Clone)]
pub struct PurgeQuarantine {
    /// On the disk at this path.
    pub disk: Option<String>,
    pub entry: Option<String>,
    pub tablet_id: Option<TabletId>,
    /// Whether what may be the last copy of a tablet goes as well.
    pub last_copy: LastCopy,
    pub requested_by: String,
}

impl std::fmt::Display for PurgeQuarantine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "entry {} in quarantine", quoted(entry))?,
            None => f.write_str("entry in quarantine")?,
        }
        self.tablet_id.map_or(Ok(()), |id| write!(f, " of tablet {id}"))?;
        self.disk.as_ref().map_or(Ok(()), |disk| write!(f, " on {disk}"))?;
        match self.last_copy {
            LastCopy::Keep => Ok(()),
            LastCopy::Remove => f.write_str(", last copies too"),
        }
    }
}

/// One entry of a quarantine.
#[derive(Debug, Clone)]
pub struct QuarantineView {
    /// Path of its disk.
    pub disk: String,
    pub entry: String,
    pub path: String,
    /// Why it was set aside.
    pub reason: String,
    /// The tablet, where anything in it says which.
    pub key: Option<TabletKey>,
    /// Of its record, where there is a good one.
    pub generation: Option<u64>,
    /// Whether a tablet's directory is in it.
    pub has_files: bool,
    /// Number of the files in there.
    pub file_count: u64,
    /// Bytes of all of it.
    pub size_bytes: u64,
    /// Whether it is, as far as it could be read, a salvaged tablet: never brought back.
    pub is_salvaged: bool,
    /// What was saved then, and what was not.
    pub salvaged: Option<Salvage>,
}

impl QuarantineView {
    pub(crate) fn is_of(&self, id: TabletId) -> bool {
        self.key.is_some_and(|key| key.tablet_id == id)
    }

    /// An entry that could not be looked into.
    pub(crate) fn unreadable(disk: &str, entry: &str, failure: &Failure) -> Self {
        Self {
            path: format!("{disk}/quarantine/{entry}"),
            disk: disk.to_owned(),
            entry: entry.to_owned(),
            reason: format!("it cannot be read: {failure}"),
            key: None,
            generation: None,
            has_files: false,
            file_count: 0,
            size_bytes: 0,
            is_salvaged: false,
            salvaged: None,
        }
    }
}
