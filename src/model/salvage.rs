//! A salvage: what could be read of a tablet, copied to another disk. Never a tablet: nothing serves or owns it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DamagedFile, DiskRef, TabletKey, TimestampMs, counted};

/// Bytes of a file that were not to be had; the copy has a hole there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LostRange {
    /// Name of the file in the tablet's directory.
    pub file: String,
    /// Where they begin.
    pub offset_bytes: u64,
    /// How many.
    pub length_bytes: u64,
}

/// `02000001_0.dat, 4096 bytes at offset 8192`.
impl fmt::Display for LostRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes at offset {}", self.file, self.length_bytes, self.offset_bytes)
    }
}

/// How far a salvage came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SalvageState {
    /// It is under way, or was cut short: of no file it is known whether it is there.
    Begun,
    /// What could be read is there, durable and compared.
    Done,
}

/// The receipt of a salvage; lies beside what was salvaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salvage {
    /// The tablet.
    #[serde(flatten)]
    pub key: TabletKey,
    /// Of its record.
    pub generation: u64,
    /// The disk it was read from, and that still owns it.
    pub source: DiskRef,
    /// How far it came.
    pub state: SalvageState,
    /// Files of its manifest.
    pub total_files: u64,
    /// Bytes that were read and copied.
    pub saved_bytes: u64,
    /// Bytes that were not given.
    pub lost_bytes: u64,
    /// Which, in the order of the manifest.
    pub lost: Vec<LostRange>,
    /// Files that are not as the manifest says although every byte of them was given.
    pub damaged: Vec<DamagedFile>,
    /// When it began.
    pub begun_ms: TimestampMs,
}

/// What it is, in a line.
impl fmt::Display for Salvage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, source, total_files, saved_bytes, lost_bytes, lost, damaged, .. } = self;
        match self.state {
            SalvageState::Begun => {
                write!(f, "a salvage of tablet {key} from {}, under way or cut short", source.path)
            }
            SalvageState::Done => write!(
                f,
                "salvaged of tablet {key} from {}: {}, {saved_bytes} bytes saved, {lost_bytes} lost in {}, {} damaged; never \
                 served",
                source.path,
                counted(*total_files, "file"),
                counted(lost.len(), "range"),
                counted(damaged.len(), "file")
            ),
        }
    }
}
