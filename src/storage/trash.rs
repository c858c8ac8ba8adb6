//! Trash and quarantine: what lies there, and what goes. How a tablet gets into trash is in [`super::retire`].

use super::dir::{Dir, EntryKind};
use super::error::{DiskError, StorageError};
use super::file::{ReadFrom, read_small, write_new};
use super::layout::{
    FILES, MIGRATING, QUARANTINE, REASON_FILE, RETIRED_FILE, TRASH, parse_trash_entry_name, tablet_parent,
    trashed_header_name,
};
use super::record::{decode_record, decode_summary, encode_record};
use super::retire::{RetiredNote, create_entry, read_note};
use super::staging::remove_empty_parents;
use super::store::MetadataStore;
use crate::model::{Reached, RecordSummary, ShardId, TabletId, TabletKey, TabletRecord};

/// What lies in one trash entry.
#[derive(Debug, Clone)]
pub struct TrashItem {
    /// `<YYYYmmddHHMMSS>.<n>`.
    pub entry: String,
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

/// Names of all entries of a trash, or of a quarantine, oldest first. What has another name is none.
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

/// Removes what is left of a retirement that was cut short, now that a record on this disk names the directory again.
///
/// # Errors
/// As the calls made.
pub fn take_retirement_back(root: &Dir, entry: &str, key: TabletKey) -> Result<(), DiskError> {
    if let Some(tablet) = root.open_if_exists(format!("{TRASH}/{entry}/{}", key.tablet_id))? {
        tablet.unlink(trashed_header_name(key.tablet_id))?;
    }
    remove_bare_entry(root, entry)
}

/// What a trash entry has of a tablet whose header is good.
#[derive(Debug, Clone)]
pub struct TrashedCopy {
    /// The header, whole: the record that the tablet had here.
    pub record: TabletRecord,
    /// How far its retirement came: [`Reached::Header`] where that was cut short.
    pub reached: Reached,
    /// Whether its files are in the entry.
    pub has_files: bool,
}

/// The copy of a tablet in a trash entry, also where its retirement was cut short; `None` where its header is damaged, or
/// not there.
///
/// # Errors
/// As the calls made.
pub fn read_trashed_copy(root: &Dir, entry: &str, key: TabletKey) -> Result<Option<TrashedCopy>, DiskError> {
    let Some(tablet) = root.open_if_exists(format!("{TRASH}/{entry}/{}", key.tablet_id))? else {
        return Ok(None);
    };
    let files = tablet.open_if_exists(key.schema_hash.to_string())?;
    let has_files = files.is_some();
    let header = trashed_header_name(key.tablet_id);
    for (dir, reached) in [(files, Reached::Place), (Some(tablet), Reached::Header)] {
        let Some(dir) = dir else { continue };
        let bytes = read_small(&dir, &header, ReadFrom::Cache)?;
        let record = bytes.and_then(|bytes| decode_record(&bytes).ok()).filter(|record| record.key == key);
        if let Some(record) = record {
            return Ok(Some(TrashedCopy { record, reached, has_files }));
        }
    }
    Ok(None)
}

/// Retirements in this trash that were cut short before the directory had followed its header: the tablets they are of.
/// An entry that cannot be read has none.
///
/// # Errors
/// The trash cannot be read.
pub fn retirements_cut_short(trash: &Dir) -> Result<Vec<TabletKey>, DiskError> {
    let cut_short = |entry: String| unfinished(trash, &entry).ok().flatten()?.header;
    Ok(trash_entries(trash)?.into_iter().filter_map(cut_short).map(|header| header.key).collect())
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
        key: TabletKey,
    },
    /// A directory below `data/` that no record names any more.
    Files {
        shard: ShardId,
        key: TabletKey,
        /// The record that named it, where that is known: the header beside it.
        record: Option<&'a TabletRecord>,
    },
    /// A directory below `data/` whose name is no tablet's.
    Foreign {
        /// Its path below the root.
        path: &'a str,
    },
    /// A file below `meta/` that is not a good record.
    Record {
        name: &'a str,
    },
    /// A file below `meta/` that is about to be replaced: it gets a second name.
    ReplacedRecord {
        name: &'a str,
    },
    Staging {
        name: &'a str,
    },
}

/// Moves something into quarantine with a note that says why. Nothing leaves it but by an operator's word. Not
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
        Quarantined::Foreign { path } => {
            let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
            root.open(parent)?.rename(name, &entry, FILES)?;
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
