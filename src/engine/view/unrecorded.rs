//! Files without a record, as they are shown.

use crate::model::{TabletId, TabletKey};

/// Which of them to list. Empty fields match everything.
#[derive(Debug, Clone, Default)]
pub struct UnrecordedFilter {
    /// On the disk at this path.
    pub disk: Option<String>,
    /// Where this tablet would stand.
    pub tablet_id: Option<TabletId>,
    /// Behind the one with this path.
    pub after: Option<String>,
    /// At most this many; 0 means 1000.
    pub limit: usize,
}

/// A directory below `data/` that no record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnrecordedView {
    /// Path of its disk.
    pub disk: String,
    pub path: String,
    /// The tablet that would stand there; `None` for a name that is not one of ours.
    pub key: Option<TabletKey>,
    /// Number of its entries.
    pub entries: u64,
    /// Bytes of the files directly in it.
    pub size_bytes: u64,
    /// What is wrong with the record under that name, or with the directory, where something is.
    pub remark: Option<String>,
}

/// What is known of them on one disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnrecordedOnDisk {
    /// How many were found so far.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why there may be more, in words; `None` once the disk was looked through.
    pub not_looked_at: Option<String>,
}
