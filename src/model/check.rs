//! What a verification found: a tablet read again, past the page cache, and compared with its manifest.

use serde::{Deserialize, Serialize};

use super::{Failure, TabletKey, TimestampMs};

/// Where a verification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// None is remembered.
    #[default]
    Never,
    /// It waits for another one on the same disk.
    Queued,
    /// Files are being read.
    Running,
    /// Every file is as the manifest says.
    Passed,
    /// Some are not.
    Damaged,
    /// The disk did not give all of them; what it gave is as the manifest says.
    Unreadable,
    /// It could not be brought to an end: nothing is known of the files that were not read.
    Failed,
}

impl CheckState {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
            Self::Failed => "failed",
        }
    }

    /// Whether it is over, or was never begun.
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// A file that is not as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DamagedFile {
    /// Its name in the tablet's directory.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A file of which the disk did not give all bytes. Nothing is known to be wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnreadableFile {
    /// Its name in the tablet's directory; the tablet's own where that was not given.
    pub name: String,
    /// What the disk said, and of which bytes.
    pub reason: String,
}

/// One verification of one tablet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TabletCheck {
    /// Which tablet.
    pub key: TabletKey,
    /// Path of the disk it is read from.
    pub disk: String,
    /// Generation of the record it is compared with.
    pub generation: u64,
    /// Where it stands.
    pub state: CheckState,
    /// Files of the manifest.
    pub total_files: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Files read so far.
    pub checked_files: u64,
    /// Bytes read so far.
    pub checked_bytes: u64,
    /// Files of which the manifest records no checksum: only their size was compared.
    pub unrecorded_files: u64,
    /// Whether all of it is known to have come from the medium; `None` before the end.
    pub cold: Option<bool>,
    /// Files that are not as the manifest says, and those that it does not list; the first thousand.
    pub damaged: Vec<DamagedFile>,
    /// Files that the disk did not give whole; the first thousand.
    #[serde(default)]
    pub unreadable: Vec<UnreadableFile>,
    /// Why it could not be brought to an end.
    pub error: Option<Failure>,
    /// When it was asked for.
    pub started_ms: Option<TimestampMs>,
    /// When it ended.
    pub finished_ms: Option<TimestampMs>,
}
