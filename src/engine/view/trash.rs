//! What lies in trash, and what may be purged of it.

use super::undone::UndoneView;
use crate::model::{MigrationId, TabletId, TabletKey, TimestampMs, quoted};
use crate::storage::layout::parse_trash_entry_name;

/// A place in the list of what is in trash: the disk, and the entry on it. Written `<disk>:<entry>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashMarker {
    /// Path of the disk.
    pub disk: String,
    /// Name of the entry.
    pub entry: String,
}

impl std::str::FromStr for TrashMarker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').filter(|(_, entry)| parse_trash_entry_name(entry).is_some());
        parts.map(|(disk, entry)| Self { disk: disk.to_owned(), entry: entry.to_owned() }).ok_or_else(|| {
            let given = quoted(text);
            format!("{given} is not <disk>:<entry> of the last row of the page before")
        })
    }
}

/// Which trash to list.
#[derive(Debug, Clone, Default)]
pub struct TrashFilter {
    /// Of the disk at this path.
    pub disk: Option<String>,
    pub tablet_id: Option<TabletId>,
    pub after: Option<TrashMarker>,
    /// At most this many; 0 means 1000. An entry is never divided.
    pub limit: usize,
}

/// One tablet in trash.
#[derive(Debug, Clone)]
pub struct TrashView {
    /// Path of its disk.
    pub disk: String,
    /// Name of the trash entry.
    pub entry: String,
    pub key: TabletKey,
    /// Size; 0 where its header is unreadable.
    pub size_bytes: u64,
    pub generation: Option<u64>,
    pub moved_to: Option<String>,
    /// The migration that moved it.
    pub migration_id: Option<MigrationId>,
    /// When it was retired.
    pub retired_ms: Option<TimestampMs>,
    /// Why it is still there, or "due".
    pub kept_because: String,
    /// When it is due, if the daemon goes on running; not known of what this daemon did not retire.
    pub kept_until_ms: Option<TimestampMs>,
}

/// One page of what is in trash.
#[derive(Debug, Clone, Default)]
pub struct TrashPage {
    /// How many match in all.
    pub total: u64,
    /// Those on this page.
    pub items: Vec<TrashView>,
    /// Entries that cannot be read, on every disk that was asked for. They are not purged.
    pub unreadable: Vec<UndoneView>,
}

/// Which of the trash to purge now.
#[derive(Debug, Clone, Default)]
pub struct PurgeSelect {
    /// On the disk at this path.
    pub disk: Option<String>,
    pub entry: Option<String>,
    pub tablet_id: Option<TabletId>,
}

impl std::fmt::Display for PurgeSelect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("trash")?;
        self.tablet_id.map_or(Ok(()), |id| write!(f, " of tablet {id}"))?;
        self.entry.as_ref().map_or(Ok(()), |entry| write!(f, ", entry {}", quoted(entry)))?;
        self.disk.as_ref().map_or(Ok(()), |disk| write!(f, ", on {disk}"))
    }
}

/// What became of one tablet in trash.
#[derive(Debug, Clone)]
pub struct PurgeOutcome {
    pub item: TrashView,
    /// `Ok` when it is gone (or would be); else why it is kept: its live copy did not pass a cold check.
    pub outcome: Result<(), String>,
}
