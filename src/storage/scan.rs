//! What a root holds at start-up. Looks, decides nothing, changes nothing.

use super::dir::EntryKind;
use super::error::StorageError;
use super::file::{ReadFrom, read_small};
use super::layout::{MIGRATING, QUARANTINE, TRASH, tablet_dir};
use super::record::decode_record;
use super::root::Root;
use super::staging::{Owner, read_owner};
use super::store::{MetadataStore, ScannedRecord};
use super::trash::{RetiredNote, TrashItem, half_retired, list_trash, trash_entries};
use crate::model::{RecordSummary, TabletKey};

/// Whether a scan looks for each tablet's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookForDirectories {
    /// One `stat` per tablet.
    Yes,
    /// The record alone is believed until the tablet is used.
    No,
}

/// A staging directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagingItem {
    /// Its name below `migrating/`.
    pub name: String,
    /// Whose it is; `None` when it says nothing.
    pub owner: Option<Owner>,
}

/// Everything found.
#[derive(Debug, Default)]
pub struct RootScan {
    /// Good records.
    pub records: Vec<RecordSummary>,
    /// Tablets whose record is good but whose directory is not there.
    pub without_directory: Vec<TabletKey>,
    /// Damaged or foreign entries of the store: name, tablet where the name says one, what is wrong.
    pub damaged: Vec<(String, Option<TabletKey>, String)>,
    /// Unfinished copies.
    pub staging: Vec<StagingItem>,
    /// Retired sources, oldest first.
    pub trash: Vec<TrashItem>,
    /// Trash entries whose tablet has not arrived whole.
    pub half_retired: Vec<(String, RetiredNote)>,
    /// Trash entries with nothing in them: a kill came right after they were made.
    pub empty_trash: Vec<String>,
    /// Generations seen in quarantine: a new one must be above them.
    pub quarantined: Vec<(TabletKey, u64)>,
}

/// Scans one root.
///
/// # Errors
/// The root cannot be read at all. A damaged part is a finding, not an error.
pub fn scan_root(
    root: &Root,
    store: &dyn MetadataStore,
    look: LookForDirectories,
) -> Result<RootScan, StorageError> {
    let mut found = RootScan::default();
    store.scan(&mut |record| match record {
        ScannedRecord::Good(summary) => found.records.push(summary),
        ScannedRecord::Damaged { name, key, why } => found.damaged.push((name, key, why)),
    })?;
    if look == LookForDirectories::Yes {
        for record in &found.records {
            if root.dir().kind(tablet_dir(record.shard_id, record.key))? != Some(EntryKind::Directory) {
                found.without_directory.push(record.key);
            }
        }
    }
    let migrating = root.dir().open(MIGRATING)?;
    for entry in migrating.entries()? {
        let name = entry.name.to_string_lossy().into_owned();
        let owner = match entry.kind {
            EntryKind::Directory => read_owner(&migrating.open(&entry.name)?)?,
            _ => None,
        };
        found.staging.push(StagingItem { name, owner });
    }
    found.trash = list_trash(root.dir())?;
    let trash = root.dir().open(TRASH)?;
    for entry in trash_entries(&trash)? {
        if let Some(note) = half_retired(&trash, &entry)? {
            found.half_retired.push((entry, note));
        } else if trash.open(&entry)?.entries()?.is_empty() {
            found.empty_trash.push(entry);
        }
    }
    found.quarantined = quarantined_generations(root)?;
    Ok(found)
}

fn quarantined_generations(root: &Root) -> Result<Vec<(TabletKey, u64)>, StorageError> {
    let mut seen = Vec::new();
    let quarantine = root.dir().open(QUARANTINE)?;
    for entry in quarantine.entries()?.into_iter().filter(|entry| entry.kind == EntryKind::Directory) {
        let dir = quarantine.open(&entry.name)?;
        for file in dir.entries()?.into_iter().filter(|file| file.kind == EntryKind::File) {
            let Some(name) = file.name.to_str().filter(|name| name.ends_with(".json")) else { continue };
            let bytes = read_small(&dir, name, ReadFrom::Cache)?;
            if let Some(Ok(record)) = bytes.map(|bytes| decode_record(&bytes)) {
                seen.push((record.key, record.generation));
            }
        }
    }
    Ok(seen)
}
