//! What a root holds at start-up. Looks, decides nothing, changes nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::dir::EntryKind;
use super::error::StorageError;
use super::file::{ReadFrom, read_small};
use super::layout::{MIGRATING, QUARANTINE, TRASH, is_staging_name, tablet_dir};
use super::record::decode_record;
use super::root::Root;
use super::staging::{Owner, Place, StagedContent, read_owner, read_place, staged_content};
use super::store::{MetadataStore, ScannedRecord, Share};
use super::trash::{TrashItem, UnfinishedEntry, read_entry, trash_entries, unfinished};
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
    /// Where its files may have gone.
    pub place: Option<Place>,
    /// What is in it.
    pub content: StagedContent,
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
    /// Trash entries of which something is left to do.
    pub unfinished_trash: Vec<UnfinishedEntry>,
    /// Generations seen in quarantine: a new one must be above them.
    pub quarantined: Vec<(TabletKey, u64)>,
}

/// How far a scan is, for those who wait for it: a large disk takes long, a hung one stands still.
#[derive(Debug)]
pub struct ScanProgress {
    begun: Instant,
    moved_ms: AtomicU64,
    records: AtomicU64,
}

impl Default for ScanProgress {
    fn default() -> Self {
        Self { begun: Instant::now(), moved_ms: AtomicU64::new(0), records: AtomicU64::new(0) }
    }
}

impl ScanProgress {
    /// Records read so far.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// How long it has stood still.
    pub fn still_for(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)))
    }

    /// It has moved.
    pub fn tick(&self) {
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.fetch_max(elapsed, Ordering::Relaxed);
    }
}

/// Scans one root; `readers` threads share its records.
///
/// # Errors
/// The root cannot be read at all. A damaged part is a finding, not an error.
pub fn scan_root(
    root: &Root,
    store: &(dyn MetadataStore + Sync),
    look: LookForDirectories,
    readers: u32,
    progress: &ScanProgress,
) -> Result<RootScan, StorageError> {
    progress.tick();
    let mut found = RootScan::default();
    for part in scan_records(root, store, look, readers, progress)? {
        found.records.extend(part.records);
        found.without_directory.extend(part.without_directory);
        found.damaged.extend(part.damaged);
    }
    let migrating = root.dir().open(MIGRATING)?;
    for entry in migrating.entries()? {
        let name = entry.name.to_string_lossy().into_owned();
        let (mut owner, mut place, mut content) = (None, None, StagedContent::Foreign);
        if entry.kind == EntryKind::Directory {
            let staging = migrating.open(&entry.name)?;
            owner = read_owner(&staging)?;
            place = read_place(&staging, owner.as_ref())?;
            content = match staged_content(&staging)? {
                StagedContent::Nothing if owner.is_none() && !is_staging_name(&name) => {
                    StagedContent::Foreign
                }
                content => content,
            };
        }
        found.staging.push(StagingItem { name, owner, place, content });
        progress.tick();
    }
    let trash = root.dir().open(TRASH)?;
    for entry in trash_entries(&trash)? {
        found.trash.extend(read_entry(&trash, &entry)?);
        found.unfinished_trash.extend(unfinished(&trash, &entry)?);
        progress.tick();
    }
    found.quarantined = quarantined_generations(root)?;
    Ok(found)
}

/// The records' part of a scan, one for each reader.
fn scan_records(
    root: &Root,
    store: &(dyn MetadataStore + Sync),
    look: LookForDirectories,
    readers: u32,
    progress: &ScanProgress,
) -> Result<Vec<RootScan>, StorageError> {
    let read = |share| {
        let mut found = RootScan::default();
        let mut unreadable = Ok(());
        store.scan(share, &mut |record| {
            match record {
                ScannedRecord::Good(summary) => {
                    if look == LookForDirectories::Yes && unreadable.is_ok() {
                        match root.dir().kind(tablet_dir(summary.shard_id, summary.key)) {
                            Ok(Some(EntryKind::Directory)) => {}
                            Ok(_) => found.without_directory.push(summary.key),
                            Err(error) => unreadable = Err(error),
                        }
                    }
                    found.records.push(summary);
                }
                ScannedRecord::Damaged { name, key, why } => found.damaged.push((name, key, why)),
            }
            progress.records.fetch_add(1, Ordering::Relaxed);
            progress.tick();
        })?;
        unreadable?;
        Ok(found)
    };
    thread::scope(|scope| {
        let mut shares = Share::split(readers);
        let own = shares.next().unwrap_or(Share::ALL);
        let others: Vec<_> = shares
            .map(|share| (share, thread::Builder::new().spawn_scoped(scope, move || read(share))))
            .collect();
        let mut parts = vec![read(own)];
        for (share, reader) in others {
            // No thread to be had: the share is read all the same.
            parts.push(
                reader.map_or_else(|_| read(share), |reader| reader.join().unwrap_or_else(|_| read(share))),
            );
        }
        parts.into_iter().collect()
    })
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
