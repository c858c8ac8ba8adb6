//! Trash and quarantine. Both are renames on one disk: nothing is copied, nothing is lost.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::dir::{Dir, EntryKind};
use super::error::{DiskError, StorageError};
use super::file::{ReadFrom, read_small, write_new};
use super::layout::{
    FILES, MIGRATING, QUARANTINE, REASON_FILE, RETIRED_FILE, TRASH, parse_trash_entry_name, tablet_parent,
    trash_entry_name, trashed_header_name,
};
use super::record::{decode_record, decode_summary, encode_record};
use super::staging::remove_empty_parents;
use super::store::MetadataStore;
use crate::model::{
    DiskRef, MigrationId, Reached, RecordSummary, ShardId, TabletId, TabletKey, TabletRecord, TimestampMs,
};

/// Why a tablet is in trash and who owns it now. Lies beside it, as `retired.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredNote {
    /// The tablet.
    #[serde(flatten)]
    pub key: TabletKey,
    /// The directory below `data/` it was in.
    pub shard_id: ShardId,
    /// The migration that moved it, where one did.
    pub migration_id: Option<MigrationId>,
    /// The disk that owned it afterwards.
    pub moved_to: DiskRef,
    /// Generation it has there.
    pub generation: u64,
    /// When, for people.
    pub retired_ms: TimestampMs,
    /// The daemon's counted up-time then: age is measured in seconds the daemon was running, so that a jumping clock
    /// purges nothing.
    pub uptime_sec: u64,
}

/// Second of the entry made last, and the number after its own. Where a search for a free name begins: from 0 each time,
/// a thousand small tablets retired in one second would try half a million names.
static NEXT: Mutex<(i64, u64)> = Mutex::new((0, 0));

fn next_number(second: i64) -> u64 {
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let number = if next.0 == second { next.1 } else { 0 };
    *next = (second, number + 1);
    number
}

/// Makes an entry directory with a name of its own.
fn create_entry(parent: &Dir) -> Result<(Dir, String), DiskError> {
    let now = chrono::Local::now() + chrono::TimeDelta::milliseconds(crate::fault::clock_offset_ms());
    loop {
        let name = trash_entry_name(now, next_number(now.timestamp()));
        match parent.create(&name) {
            Ok(dir) => return Ok((dir, name)),
            // Of another process, or of one that was killed within this second.
            Err(error) if error.errno == nix::errno::Errno::EEXIST => {}
            Err(error) => return Err(error),
        }
    }
}

/// Moves a retired source to trash: first its record, which becomes the header inside, then its directory. Not durable
/// before the caller's barrier.
///
/// Returns the path below the root.
///
/// # Errors
/// As the calls made.
pub fn retire(root: &Dir, store: &dyn MetadataStore, note: &RetiredNote) -> Result<String, StorageError> {
    let (entry, name) = create_entry(&root.open(TRASH)?)?;
    write_note(&entry, note)?;
    let key = note.key;
    let tablet = entry.ensure(&key.tablet_id.to_string())?;
    // The record waits beside the place its directory is renamed to, then joins it.
    store.retire(key, &tablet, &trashed_header_name(key.tablet_id))?;
    crate::fault::point("source_record_retired");
    Ok(finish_retiring(root, note, &name)?)
}

/// Does what is left to do of a [`retire`] that was cut short after the record had left the store. Safe to repeat.
///
/// # Errors
/// As the calls made.
pub fn finish_retiring(root: &Dir, note: &RetiredNote, entry: &str) -> Result<String, DiskError> {
    let (key, shard) = (note.key, note.shard_id);
    let tablet = root.open(format!("{TRASH}/{entry}/{}", key.tablet_id))?;
    let schema = key.schema_hash.to_string();
    if tablet.kind(&schema)?.is_none() {
        match root.open_if_exists(tablet_parent(shard, key.tablet_id))? {
            Some(parent) if parent.kind(&schema)?.is_some() => parent.rename(&schema, &tablet, &schema)?,
            _ => drop(tablet.create(&schema)?),
        }
    }
    crate::fault::point("source_directory_retired");
    remove_empty_parents(root, shard, key)?;
    let header = trashed_header_name(key.tablet_id);
    if tablet.kind(&header)?.is_some() {
        tablet.replace(&header, &tablet.open(&schema)?, &header)?;
    }
    Ok(format!("{TRASH}/{entry}/{}/{schema}", key.tablet_id))
}

/// Writes the note of an entry again, where it was lost.
///
/// # Errors
/// As the calls made.
pub fn rewrite_note(root: &Dir, note: &RetiredNote, entry: &str) -> Result<(), StorageError> {
    let entry = root.open(TRASH)?.open(entry)?;
    entry.unlink(RETIRED_FILE)?;
    write_note(&entry, note)
}

fn write_note(entry: &Dir, note: &RetiredNote) -> Result<(), StorageError> {
    let text = serde_json::to_vec_pretty(note).map_err(|error| StorageError::Record {
        path: entry.path().join(RETIRED_FILE),
        why: error.to_string(),
    })?;
    Ok(write_new(entry, RETIRED_FILE, &text).map(drop)?)
}

/// What lies in one trash entry.
#[derive(Debug, Clone)]
pub struct TrashItem {
    /// `<YYYYmmddHHMMSS>.<n>`.
    pub entry: String,
    /// The tablet.
    pub key: TabletKey,
    /// What its header says, where it is good.
    pub header: Option<RecordSummary>,
    /// Who owns it now; `None` for what another program put there.
    pub note: Option<RetiredNote>,
}

/// Lists one trash entry; several tablets may share one, as Doris's do. One that is gone meanwhile has none.
///
/// # Errors
/// As the calls made.
pub fn read_entry(trash: &Dir, entry: &str) -> Result<Vec<TrashItem>, DiskError> {
    let mut items = Vec::new();
    let Some(dir) = trash.open_if_exists(entry)? else { return Ok(items) };
    let note = read_note(&dir)?;
    for (tablet_id, tablet) in numbered_dirs(&dir)? {
        for (schema_hash, files) in numbered_dirs(&tablet)? {
            let (Ok(tablet_id), Ok(schema_hash)) = (tablet_id.parse(), schema_hash.parse()) else { continue };
            let key = TabletKey { tablet_id, schema_hash };
            let header = match read_header(&files, tablet_id)? {
                Some(header) => Some(header),
                None => read_header(&tablet, tablet_id)?,
            }
            .filter(|header| header.key == key);
            items.push(TrashItem { entry: entry.to_owned(), key, header, note: note.clone() });
        }
    }
    Ok(items)
}

fn numbered_dirs(dir: &Dir) -> Result<Vec<(String, Dir)>, DiskError> {
    let mut found = Vec::new();
    for entry in dir.entries()? {
        if let (EntryKind::Directory, Some(name)) = (entry.kind, entry.name.to_str()) {
            found.push((name.to_owned(), dir.open(name)?));
        }
    }
    Ok(found)
}

fn read_header(dir: &Dir, tablet_id: TabletId) -> Result<Option<RecordSummary>, DiskError> {
    let bytes = read_small(dir, &trashed_header_name(tablet_id), ReadFrom::Cache)?;
    Ok(bytes.and_then(|bytes| decode_summary(&bytes).ok()).filter(|header| header.key.tablet_id == tablet_id))
}

/// A trash entry that a crash left in the middle of a retirement or a purge.
#[derive(Debug, Clone)]
pub struct UnfinishedEntry {
    /// Its name.
    pub entry: String,
    /// What its note says, where it can be read: a power cut may have come before the bytes of a note were on the disk,
    /// and after its name and every rename that followed were.
    pub note: Option<RetiredNote>,
    /// The tablet's header, where it has arrived.
    pub header: Option<RecordSummary>,
    /// How far the tablet got.
    pub reached: Reached,
}

/// What is left to do of a trash entry; `None` for one that is whole, half purged, or another program's.
///
/// # Errors
/// As the calls made.
pub(super) fn unfinished(trash: &Dir, entry: &str) -> Result<Option<UnfinishedEntry>, DiskError> {
    let Some(dir) = trash.open_if_exists(entry)? else { return Ok(None) };
    let note = read_note(&dir)?;
    if let Some(RetiredNote { key, .. }) = note {
        let (tablet_id, schema) = (key.tablet_id, key.schema_hash);
        if dir.kind(format!("{tablet_id}/{schema}/{}", trashed_header_name(tablet_id)))?.is_some() {
            return Ok(None);
        }
    } else if dir.kind(RETIRED_FILE)?.is_none() && !dir.entries()?.is_empty() {
        // Another program's: it writes no notes.
        return Ok(None);
    }
    let (mut header, mut reached) = (None, Reached::Nothing);
    for (tablet_id, tablet) in numbered_dirs(&dir)? {
        let Ok(tablet_id) = tablet_id.parse() else { return Ok(None) };
        if let Some(found) = read_header(&tablet, tablet_id)? {
            (header, reached) = (Some(found), Reached::Header);
        } else if let Some((_, files)) = numbered_dirs(&tablet)?.first() {
            match read_header(files, tablet_id)? {
                Some(found) if note.is_none() => (header, reached) = (Some(found), Reached::Place),
                // Its files without its header: half purged, and listed as what it is.
                _ => return Ok(None),
            }
        }
    }
    Ok(Some(UnfinishedEntry { entry: entry.to_owned(), note, header, reached }))
}

fn read_note(entry: &Dir) -> Result<Option<RetiredNote>, DiskError> {
    Ok(read_small(entry, RETIRED_FILE, ReadFrom::Cache)?
        .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Names of all trash entries of a root, oldest first.
///
/// # Errors
/// As the calls made.
pub fn trash_entries(trash: &Dir) -> Result<Vec<String>, DiskError> {
    let mut names: Vec<_> = trash
        .entries()?
        .into_iter()
        .filter_map(|entry| entry.name.into_string().ok())
        .filter_map(|name| Some((parse_trash_entry_name(&name)?, name)))
        .collect();
    names.sort_unstable();
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

/// All trash of a root, oldest first.
///
/// # Errors
/// As the calls made.
pub fn list_trash(root: &Dir) -> Result<Vec<TrashItem>, DiskError> {
    let trash = root.open(TRASH)?;
    let mut items = Vec::new();
    for name in trash_entries(&trash)? {
        items.extend(read_entry(&trash, &name)?);
    }
    Ok(items)
}

/// Removes one tablet from a trash entry, and the entry when nothing is left of it. What `entering` gives is held during
/// each removal of a file.
///
/// # Errors
/// As the calls made.
pub fn purge_entry<G>(
    root: &Dir,
    entry: &str,
    key: TabletKey,
    entering: &dyn Fn() -> G,
) -> Result<(), DiskError> {
    let trash = root.open(TRASH)?;
    let Some(dir) = trash.open_if_exists(entry)? else { return Ok(()) };
    if let Some(tablet) = dir.open_if_exists(key.tablet_id.to_string())? {
        tablet.remove_tree_in_steps(&key.schema_hash.to_string(), entering)?;
        tablet.unlink(trashed_header_name(key.tablet_id))?;
    }
    remove_bare_entry(root, entry)
}

/// Removes a trash entry with nothing but its note in it; any other stays.
///
/// # Errors
/// As the calls made.
pub fn remove_bare_entry(root: &Dir, entry: &str) -> Result<(), DiskError> {
    let trash = root.open(TRASH)?;
    let Some(dir) = trash.open_if_exists(entry)? else { return Ok(()) };
    for (tablet_id, _) in numbered_dirs(&dir)? {
        dir.remove_if_empty(&tablet_id)?;
    }
    if dir.entries()?.iter().all(|entry| entry.name == RETIRED_FILE) {
        trash.remove_tree(entry)?;
    }
    Ok(())
}

/// The record of a trashed tablet, whole; `None` where its header is damaged.
///
/// # Errors
/// As the calls made.
pub fn read_trashed_record(root: &Dir, item: &TrashItem) -> Result<Option<TabletRecord>, DiskError> {
    let header = trashed_header_name(item.key.tablet_id);
    let bytes = read_small(&open_trashed(root, item)?, &header, ReadFrom::Cache)?;
    Ok(bytes.and_then(|bytes| decode_record(&bytes).ok()).filter(|record| record.key == item.key))
}

/// Opens the directory of a trashed tablet.
///
/// # Errors
/// As `openat2(2)`.
pub fn open_trashed(root: &Dir, item: &TrashItem) -> Result<Dir, DiskError> {
    root.open(format!("{TRASH}/{}/{}/{}", item.entry, item.key.tablet_id, item.key.schema_hash))
}

/// What is set aside because it contradicts itself.
pub enum Quarantined<'a> {
    /// A tablet's record and directory.
    Tablet {
        /// Where the directory is.
        shard: ShardId,
        /// Which.
        key: TabletKey,
    },
    /// A directory below `data/` that no record names any more.
    Files {
        /// Where it is.
        shard: ShardId,
        /// Whose it was.
        key: TabletKey,
        /// The record that named it, where that is known: the header beside it.
        record: Option<&'a TabletRecord>,
    },
    /// A file below `meta/` that is not a good record.
    Record {
        /// Its name.
        name: &'a str,
    },
    /// A file below `meta/` that is about to be replaced: it gets a second name.
    ReplacedRecord {
        /// Its name.
        name: &'a str,
    },
    /// A staging directory.
    Staging {
        /// Its name.
        name: &'a str,
    },
}

/// Moves something into quarantine with a note that says why. Nothing in there is ever deleted by this program. Not
/// durable before the caller's barrier.
///
/// # Errors
/// As the calls made.
pub fn quarantine(
    root: &Dir,
    store: &dyn MetadataStore,
    what: &Quarantined<'_>,
    why: &str,
) -> Result<String, StorageError> {
    let (entry, name) = create_entry(&root.open(QUARANTINE)?)?;
    write_new(&entry, REASON_FILE, serde_json::json!({ "reason": why }).to_string().as_bytes())?;
    match what {
        // The directory first: one without a record would be nobody's if a crash came in between, and a record without
        // its directory is set aside by the next start.
        Quarantined::Tablet { shard, key } => {
            if let Some(parent) = root.open_if_exists(tablet_parent(*shard, key.tablet_id))?
                && parent.kind(key.schema_hash.to_string())?.is_some()
            {
                parent.rename(&key.schema_hash.to_string(), &entry, FILES)?;
            }
            remove_empty_parents(root, *shard, *key)?;
            store.retire(*key, &entry, &trashed_header_name(key.tablet_id))?;
        }
        Quarantined::Files { shard, key, record } => {
            if let Some(record) = record {
                let header = encode_record(record).map_err(|error| StorageError::Record {
                    path: entry.path().join(REASON_FILE),
                    why: error.to_string(),
                })?;
                write_new(&entry, &trashed_header_name(key.tablet_id), &header)?;
            }
            let parent = root.open(tablet_parent(*shard, key.tablet_id))?;
            parent.rename(&key.schema_hash.to_string(), &entry, FILES)?;
            remove_empty_parents(root, *shard, *key)?;
        }
        Quarantined::Record { name } => root.open("meta")?.rename(name, &entry, name)?,
        Quarantined::ReplacedRecord { name } => root.open("meta")?.link(name, &entry, name)?,
        // Beside the reason, whatever its name is.
        Quarantined::Staging { name } if *name == REASON_FILE => {
            root.open(MIGRATING)?.rename(name, &entry, &format!("{name}.found"))?;
        }
        Quarantined::Staging { name } => root.open(MIGRATING)?.rename(name, &entry, name)?,
    }
    Ok(format!("{QUARANTINE}/{name}"))
}
