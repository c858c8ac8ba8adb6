//! Retirement: a tablet's way from `data/` into trash. Renames on one disk: nothing is copied, nothing is lost.

use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::error::{DiskError, StorageError};
use super::file::{ReadFrom, read_small, write_new};
use super::layout::{
    RETIRED_FILE, TRASH, parse_trash_entry_name, tablet_parent, trash_entry_name, trashed_header_name,
};
use super::spare::take_spare;
use super::staging::remove_empty_parents;
use super::store::MetadataStore;
use crate::model::{DiskRef, MigrationId, ShardId, TabletKey, TimestampMs};

/// Why a tablet is in trash and who owns it now. Lies beside it, as `retired.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredNote {
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
pub(super) fn create_entry(parent: &Dir) -> Result<(Dir, String), DiskError> {
    with_new_name(|name| Ok((parent.create(name)?, name.to_owned())))
}

/// Tries names that no entry of this process has had.
fn with_new_name<T>(make: impl Fn(&str) -> Result<T, DiskError>) -> Result<T, DiskError> {
    let now = chrono::Local::now() + chrono::TimeDelta::milliseconds(crate::fault::clock_offset_ms());
    loop {
        match make(&trash_entry_name(now, next_number(now.timestamp()))) {
            // Of another process, or of one that was killed within this second.
            Err(error) if error.errno == Errno::EEXIST => {}
            answer => return answer,
        }
    }
}

/// Moves a retired source to trash: first its record, which becomes the header inside, then its directory. Not durable
/// before the caller's barrier. On a disk without room for a new entry one that was made in advance is taken.
///
/// Returns the path below the root.
///
/// # Errors
/// As the calls made. Where the record has not left the store, nothing has happened.
pub fn retire(root: &Dir, store: &dyn MetadataStore, note: &RetiredNote) -> Result<String, StorageError> {
    let trash = root.open(TRASH)?;
    let (tablet, name) = match new_entry(&trash, note) {
        Err(StorageError::Disk(error)) if is_want_of_room(error.errno) => {
            spare_entry(root, &trash, note)?.ok_or(StorageError::Disk(error))?
        }
        made => made?,
    };
    let key = note.key;
    // The record goes before the directory: a kill in between leaves files that nobody owns, which the next start finishes
    // retiring. The other way round it would leave a record that names files which are not there. It waits beside the place
    // that its directory is renamed to, then joins it.
    if let Err(error) = store.retire(key, &tablet, &trashed_header_name(key.tablet_id)) {
        // The next attempt makes an entry of its own.
        let _ = remove_prepared(&trash, &name, key);
        return Err(error.into());
    }
    crate::fault::point("source_record_retired");
    Ok(follow_record(root, note, &name, &tablet)?)
}

const fn is_want_of_room(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSPC | Errno::EDQUOT)
}

/// An entry with its note; its directory for the tablet, and its name.
fn new_entry(trash: &Dir, note: &RetiredNote) -> Result<(Dir, String), StorageError> {
    // The note stands before anything arrives: whoever finds the entry after a kill reads there what it is of.
    let (entry, name) = create_entry(trash)?;
    let made = write_note(&entry, note).and_then(|()| Ok(entry.create(&note.key.tablet_id.to_string())?));
    if made.is_err() {
        let _ = remove_prepared(trash, &name, note.key);
    }
    Ok((made?, name))
}

/// The same of an entry that was made in advance; `None` where there is none.
fn spare_entry(root: &Dir, trash: &Dir, note: &RetiredNote) -> Result<Option<(Dir, String)>, StorageError> {
    let text = note_text(trash, note)?;
    let taken = with_new_name(|name| {
        let taken = take_spare(root, trash, name, &text, note.key.tablet_id)?;
        Ok(taken.map(|tablet| (tablet, name.to_owned())))
    });
    // Of two who take the same one, the second finds it gone.
    match taken {
        Err(error) if error.errno == Errno::ENOENT => Ok(None),
        taken => Ok(taken?),
    }
}

/// Removes an entry that was to take a tablet, unless the tablet's record has arrived.
fn remove_prepared(trash: &Dir, name: &str, key: TabletKey) -> Result<(), DiskError> {
    let entry = trash.open(name)?;
    let tablet = key.tablet_id.to_string();
    entry.remove_if_empty(&tablet)?;
    if entry.kind(&tablet)?.is_none() {
        entry.unlink(RETIRED_FILE)?;
        trash.remove_if_empty(name)?;
    }
    Ok(())
}

/// As [`retire`], where an earlier attempt may have come half the way: goes on with that one.
///
/// # Errors
/// As the calls made.
pub fn retire_again(
    root: &Dir,
    store: &dyn MetadataStore,
    note: &RetiredNote,
) -> Result<String, StorageError> {
    if store.get(note.key)?.is_some() {
        return retire(root, store, note);
    }
    let key = note.key;
    let trash = root.open(TRASH)?;
    for entry in trash.entries()? {
        let Some(name) = entry.name.to_str().filter(|name| parse_trash_entry_name(name).is_some()) else {
            continue;
        };
        let waits = format!("{name}/{}/{}", key.tablet_id, trashed_header_name(key.tablet_id));
        if trash.kind(waits)?.is_some() {
            return Ok(finish_retiring(root, note, name)?);
        }
    }
    Ok(TRASH.to_owned())
}

/// Does what is left to do of a [`retire`] that was cut short after the record had left the store. Safe to repeat.
///
/// # Errors
/// As the calls made.
pub fn finish_retiring(root: &Dir, note: &RetiredNote, entry: &str) -> Result<String, DiskError> {
    let tablet = root.open(format!("{TRASH}/{entry}/{}", note.key.tablet_id))?;
    follow_record(root, note, entry, &tablet)
}

/// The directory follows its record to `tablet`, its place in the entry; then the header joins it there. Each may have
/// happened before: a rename says so by itself, and nobody looks first.
fn follow_record(root: &Dir, note: &RetiredNote, entry: &str, tablet: &Dir) -> Result<String, DiskError> {
    let (key, shard) = (note.key, note.shard_id);
    let schema = key.schema_hash.to_string();
    let moved = match root.open_if_exists(tablet_parent(shard, key.tablet_id))? {
        Some(parent) => parent.rename(&schema, tablet, &schema),
        None => Err(DiskError::new("rename", tablet.path().join(&schema), Errno::ENOENT)),
    };
    match moved {
        Err(error) if error.errno == Errno::ENOENT => drop(tablet.open_or_create(&schema)?),
        Err(error) if error.errno == Errno::EEXIST => {}
        moved => moved?,
    }
    crate::fault::point("source_directory_retired");
    remove_empty_parents(root, shard, key)?;
    // Last: as long as the header stands beside its files, the retirement is known to be cut short.
    let header = trashed_header_name(key.tablet_id);
    match tablet.replace(&header, &tablet.open(&schema)?, &header) {
        Err(error) if error.errno == Errno::ENOENT => {}
        joined => joined?,
    }
    Ok(format!("{TRASH}/{entry}/{}/{schema}", key.tablet_id))
}

/// Writes the note of an entry, unless it has one.
///
/// # Errors
/// As the calls made.
pub fn ensure_note(root: &Dir, note: &RetiredNote, entry: &str) -> Result<(), StorageError> {
    match read_note(&root.open(TRASH)?.open(entry)?)? {
        Some(_) => Ok(()),
        None => rewrite_note(root, note, entry),
    }
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
    Ok(write_new(entry, RETIRED_FILE, &note_text(entry, note)?).map(drop)?)
}

fn note_text(at: &Dir, note: &RetiredNote) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec_pretty(note)
        .map_err(|error| StorageError::Record { path: at.path().join(RETIRED_FILE), why: error.to_string() })
}

pub(super) fn read_note(entry: &Dir) -> Result<Option<RetiredNote>, DiskError> {
    Ok(read_small(entry, RETIRED_FILE, ReadFrom::Cache)?
        .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
