//! What is left undone, as it is shown.

use crate::model::{TabletKey, TimestampMs};

/// Something that could not be done on a disk, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoneView {
    /// Path of the disk.
    pub disk: String,
    /// What it is about, below that path.
    pub path: String,
    /// The tablet, where it is about one.
    pub key: Option<TabletKey>,
    /// Bytes it takes up, as far as that is known.
    pub size_bytes: u64,
    /// What is left undone, and why.
    pub why: String,
    pub since_ms: TimestampMs,
}

/// What is left undone on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UndoneOnDisk {
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first hundred of them.
    pub items: Vec<UndoneView>,
}
