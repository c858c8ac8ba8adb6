//! What an operator has said of a tablet or of a disk, until he takes it back: one fact each, with who, why and when.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DiskUuid, TabletKey, TimestampMs};

/// What is marked, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marked {
    /// No plan moves this tablet.
    Pinned(TabletKey),
    /// Nothing new is copied to this disk.
    Disabled(DiskUuid),
}

/// Who said it, why and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// An address, or a name where callers have one.
    pub by: String,
    /// Free text; may be empty.
    pub reason: String,
    /// When it was said.
    pub since_ms: TimestampMs,
}

/// `by ops at 127.0.0.1:50000: new cable`; without the colon where no reason was given.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}", self.by)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}
