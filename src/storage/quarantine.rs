//! What lies in quarantine: read entry by entry, and removed when an operator asks.
//!
//! ```text
//! quarantine/<entry>/reason.json         why it was set aside
//! quarantine/<entry>/files/              a tablet's files, and <tablet_id>.hdr.json beside them: its record
//! quarantine/<entry>/<name>.json         or a record alone
//! quarantine/<entry>/<name>/             or a staging directory, as it was
//! quarantine/<entry>/salvaged.json       the files are what could be read of a tablet (`salvaged`)
//! ```

use super::dir::{Dir, EntryKind};
use super::error::DiskError;
use super::file::{ReadFrom, read_small};
use super::layout::{FILES, QUARANTINE, REASON_FILE, RECORD_FILE, SALVAGED_FILE, parse_record_name};
use super::record::{decode_record, decode_summary};
use super::salvaged::{Salvaged, read_mark};
use super::staging::read_owner;
use super::trash::trash_entries;
use crate::model::{RecordSummary, TabletKey, TabletRecord};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuarantineItem {
    /// Its name, `<YYYYmmddHHMMSS>.<n>`.
    pub entry: String,
    /// Why it was set aside, where that can be read.
    pub reason: Option<String>,
    /// The tablet, where anything in it says which.
    pub key: Option<TabletKey>,
    /// Its record, where there is a good one.
    pub record: Option<RecordSummary>,
    /// Where that is, below the entry.
    pub record_file: Option<String>,
    /// The directory of its files, below the entry.
    pub files: Option<String>,
    /// Number of files in there.
    pub file_count: u64,
    /// Bytes of everything in the entry.
    pub size_bytes: u64,
    /// Whether it is what could be read of a tablet.
    pub salvaged: Salvaged,
}

#[derive(serde::Deserialize)]
struct Reason {
    reason: String,
}

/// Names of all entries, oldest first. What has another name is no entry of ours and is not touched.
///
/// # Errors
/// As the calls made.
pub fn quarantine_entries(root: &Dir) -> Result<Vec<String>, DiskError> {
    trash_entries(&root.open(QUARANTINE)?)
}

/// What is in an entry; `None` when there is none of that name.
///
/// # Errors
/// As the calls made.
pub fn read_quarantined(root: &Dir, entry: &str) -> Result<Option<QuarantineItem>, DiskError> {
    let Some(dir) = root.open(QUARANTINE)?.open_if_exists(entry)? else { return Ok(None) };
    let mut item = QuarantineItem { entry: entry.to_owned(), ..QuarantineItem::default() };
    for child in dir.entries()? {
        let Some(name) = child.name.to_str() else { continue };
        match child.kind {
            EntryKind::Directory if name == FILES => look_at_files(&mut item, &dir.open(name)?, name)?,
            EntryKind::Directory => look_at_staging(&mut item, &dir.open(name)?, name)?,
            EntryKind::File if name == SALVAGED_FILE => {
                item.salvaged = read_mark(&dir)?;
                item.key = item.key.or(item.salvaged.receipt().map(|receipt| receipt.key));
            }
            EntryKind::File if name == REASON_FILE => {
                let bytes = read_small(&dir, name, ReadFrom::Cache)?.unwrap_or_default();
                item.reason = serde_json::from_slice(&bytes).ok().map(|Reason { reason }| reason);
            }
            EntryKind::File => {
                item.size_bytes += size_of(&dir, name)?;
                item.key = item.key.or_else(|| parse_record_name(name));
                look_at_record(&mut item, &dir, name, name.to_owned())?;
            }
            EntryKind::Symlink | EntryKind::Special => {}
        }
    }
    Ok(Some(item))
}

fn look_at_record(item: &mut QuarantineItem, dir: &Dir, name: &str, file: String) -> Result<(), DiskError> {
    let bytes = read_small(dir, name, ReadFrom::Cache)?;
    if let Some(record) = bytes.and_then(|bytes| decode_summary(&bytes).ok()) {
        (item.key, item.record, item.record_file) = (Some(record.key), Some(record), Some(file));
    }
    Ok(())
}

fn look_at_files(item: &mut QuarantineItem, files: &Dir, path: &str) -> Result<(), DiskError> {
    item.files = Some(path.to_owned());
    files.for_each(|name, kind| {
        if kind == EntryKind::File {
            item.file_count += 1;
            item.size_bytes += files.stat(&name)?.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
        }
        Ok(())
    })
}

fn look_at_staging(item: &mut QuarantineItem, staging: &Dir, name: &str) -> Result<(), DiskError> {
    item.key = item.key.or(read_owner(staging)?.map(|owner| owner.key));
    look_at_record(item, staging, RECORD_FILE, format!("{name}/{RECORD_FILE}"))?;
    match staging.open_if_exists(FILES)? {
        Some(files) => look_at_files(item, &files, &format!("{name}/{FILES}")),
        None => Ok(()),
    }
}

fn size_of(dir: &Dir, name: &str) -> Result<u64, DiskError> {
    Ok(dir.stat(name)?.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0)))
}

/// The record of an entry, whole; `None` where it has no good one.
///
/// # Errors
/// As the calls made.
pub fn read_quarantined_record(root: &Dir, item: &QuarantineItem) -> Result<Option<TabletRecord>, DiskError> {
    let Some(file) = &item.record_file else { return Ok(None) };
    let dir = root.open(format!("{QUARANTINE}/{}", item.entry))?;
    Ok(read_small(&dir, file, ReadFrom::Cache)?.and_then(|bytes| decode_record(&bytes).ok()))
}

/// Removes an entry for good; what `entering` gives is held during each removal of a file. Removed in the middle, it is
/// one still, with less in it.
///
/// # Errors
/// As the calls made.
pub fn purge_quarantined<G>(root: &Dir, entry: &str, entering: &dyn Fn() -> G) -> Result<(), DiskError> {
    let quarantine = root.open(QUARANTINE)?;
    quarantine.remove_tree_in_steps(entry, entering)?;
    quarantine.sync()
}
