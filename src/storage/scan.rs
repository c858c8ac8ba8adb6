//! What a root holds at start-up. Looks, decides nothing, changes nothing.

use nix::errno::Errno;

use super::checkpoint::Draft;
use super::dir::{Dir, EntryKind};
use super::error::{DiskError, StorageError};
use super::file::{ReadFrom, read_small};
use super::how_to_scan::{HowToScan, ScanProgress};
use super::layout::{MIGRATING, QUARANTINE, TRASH, is_staging_name};
use super::record::decode_record;
use super::record_scan::{Records, scan_records};
use super::root::Root;
use super::salvaged::{generation_of, read_mark};
use super::staging::{Home, Owner, StagedContent, read_home, read_owner, staged_content};
use super::store::MetadataStore;
use super::trash::{TrashItem, UnfinishedEntry, read_entry, trash_entries, unfinished};
use crate::model::{RecordSummary, TabletKey};

/// A staging directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagingItem {
    /// Its name below `migrating/`.
    pub name: String,
    /// Whose it is; `None` when it says nothing.
    pub owner: Option<Owner>,
    /// Where its files may have gone.
    pub place: Option<Home>,
    /// What is in it.
    pub content: StagedContent,
}

/// An entry of staging, trash or quarantine that the disk does not give. It concerns nobody else, and is not touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableEntry {
    /// Below the root, e.g. `trash/20261128070000.0`.
    pub path: String,
    /// What the disk said.
    pub why: String,
}

impl UnreadableEntry {
    /// The entry `name` of the directory `parent` of a root.
    pub fn new(parent: &str, name: &str, error: &DiskError) -> Self {
        Self { path: format!("{parent}/{name}"), why: error.to_string() }
    }
}

/// Everything found.
#[derive(Debug, Default)]
pub struct RootScan {
    pub records: Vec<RecordSummary>,
    /// Tablets whose record is good but whose directory is not there.
    pub without_directory: Vec<TabletKey>,
    /// Tablets whose record is good, and of whose directory the disk did not say whether it is there; what it said.
    pub unseen_directory: Vec<(TabletKey, String)>,
    /// Damaged or foreign entries of the store: name, tablet where the name says one, what is wrong.
    pub damaged: Vec<(String, Option<TabletKey>, String)>,
    pub staging: Vec<StagingItem>,
    /// Retired sources, oldest first.
    pub trash: Vec<TrashItem>,
    /// Trash entries of which something is left to do.
    pub unfinished_trash: Vec<UnfinishedEntry>,
    /// Generations seen in quarantine: a new one must be above them.
    pub quarantined: Vec<(TabletKey, u64)>,
    /// Entries of staging, trash and quarantine that cannot be read.
    pub unreadable: Vec<UnreadableEntry>,
    /// What is worth keeping of it for the next start.
    pub draft: Draft,
}

impl RootScan {
    /// Every generation that anything aside names: what lies in trash and quarantine, and the owners that notes speak of.
    /// The owner that a retirement without a note was made for had a higher generation than what it retired.
    pub fn generations_aside(&self) -> impl Iterator<Item = (TabletKey, u64)> {
        let trashed = self.trash.iter().flat_map(|item| {
            let own = item.header.map(|header| (item.key, header.generation));
            own.into_iter().chain(item.note.as_ref().map(|note| (note.key, note.generation)))
        });
        let cut_short = self.unfinished_trash.iter().flat_map(|entry| {
            let outlived = entry.header.map(|header| (header.key, header.generation + 1));
            outlived.into_iter().chain(entry.note.as_ref().map(|note| (note.key, note.generation)))
        });
        trashed.chain(cut_short).chain(self.quarantined.iter().copied())
    }
}

/// Scans one root.
///
/// # Errors
/// The root cannot be read at all. A damaged or unreadable part is a finding, not an error.
pub fn scan_root(
    root: &Root,
    store: &(dyn MetadataStore + Sync),
    how: HowToScan,
    progress: &ScanProgress,
) -> Result<RootScan, StorageError> {
    progress.tick();
    let mut found = RootScan::default();
    let Records { records, damaged, without_directory, unseen_directory, draft } =
        scan_records(root, store, how, progress)?;
    (found.records, found.damaged, found.draft) = (records, damaged, draft);
    (found.without_directory, found.unseen_directory) = (without_directory, unseen_directory);
    scan_staging(root, &mut found, progress)?;
    scan_trash(root, &mut found, progress)?;
    scan_quarantine(root, &mut found, progress)?;
    Ok(found)
}

fn scan_staging(root: &Root, found: &mut RootScan, progress: &ScanProgress) -> Result<(), StorageError> {
    let migrating = root.dir().open(MIGRATING)?;
    for entry in migrating.entries()? {
        let name = entry.name.to_string_lossy().into_owned();
        let read = match entry.kind {
            EntryKind::Directory => read_staging(&migrating, &name),
            EntryKind::File | EntryKind::Symlink | EntryKind::Special => {
                Ok((None, None, StagedContent::Foreign))
            }
        };
        match read {
            Ok((owner, place, content)) => {
                found.staging.push(StagingItem { name, owner, place, content });
            }
            // Whose it is may still be read one day: it is not nobody's.
            Err(error) => found.unreadable.push(UnreadableEntry::new(MIGRATING, &name, &error)),
        }
        progress.tick();
    }
    Ok(())
}

type ReadStaging = (Option<Owner>, Option<Home>, StagedContent);

fn read_staging(migrating: &Dir, name: &str) -> Result<ReadStaging, DiskError> {
    let staging = migrating.open(name)?;
    let owner = read_owner(&staging)?;
    let place = read_home(&staging, owner.as_ref())?;
    let content = match staged_content(&staging)? {
        StagedContent::Nothing if owner.is_none() && !is_staging_name(name) => StagedContent::Foreign,
        content => content,
    };
    Ok((owner, place, content))
}

fn scan_trash(root: &Root, found: &mut RootScan, progress: &ScanProgress) -> Result<(), StorageError> {
    let trash = root.dir().open(TRASH)?;
    for entry in trash_entries(&trash)? {
        let read = || Ok((read_entry(&trash, &entry)?, unfinished(&trash, &entry)?));
        match read() {
            Ok((items, left)) => {
                found.trash.extend(items);
                found.unfinished_trash.extend(left);
            }
            Err(error) => found.unreadable.push(UnreadableEntry::new(TRASH, &entry, &error)),
        }
        progress.tick();
    }
    Ok(())
}

/// Generations only: a new one must be above them.
fn scan_quarantine(root: &Root, found: &mut RootScan, progress: &ScanProgress) -> Result<(), StorageError> {
    let quarantine = root.dir().open(QUARANTINE)?;
    for entry in quarantine.entries()?.into_iter().filter(|entry| entry.kind == EntryKind::Directory) {
        let name = entry.name.to_string_lossy();
        match quarantine.open(&entry.name).and_then(|dir| generations_in(&dir)) {
            Ok(seen) => found.quarantined.extend(seen),
            Err(error) => found.unreadable.push(UnreadableEntry::new(QUARANTINE, &name, &error)),
        }
        progress.tick();
    }
    Ok(())
}

/// Looks whether an entry that could not be read can be read now. One that is gone can.
///
/// # Errors
/// What the disk says.
pub fn look_at_entry(root: &Dir, path: &str) -> Result<(), DiskError> {
    let Some((parent, name)) = path.split_once('/') else { return Ok(()) };
    let dir = root.open(parent)?;
    let looked = match parent {
        TRASH => read_entry(&dir, name).and_then(|_| unfinished(&dir, name)).map(drop),
        MIGRATING => read_staging(&dir, name).map(drop),
        QUARANTINE => dir.open(name).and_then(|dir| generations_in(&dir)).map(drop),
        _ => Ok(()),
    };
    match looked {
        Err(error) if error.errno == Errno::ENOENT => Ok(()),
        looked => looked,
    }
}

/// Of the records in one entry.
fn generations_in(dir: &Dir) -> Result<Vec<(TabletKey, u64)>, DiskError> {
    let mut seen: Vec<_> = generation_of(&read_mark(dir)?).into_iter().collect();
    for file in dir.entries()?.into_iter().filter(|file| file.kind == EntryKind::File) {
        let Some(name) = file.name.to_str().filter(|name| name.ends_with(".json")) else { continue };
        let bytes = read_small(dir, name, ReadFrom::Cache)?;
        if let Some(Ok(record)) = bytes.map(|bytes| decode_record(&bytes)) {
            seen.push((record.key, record.generation));
        }
    }
    Ok(seen)
}
