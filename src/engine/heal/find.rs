//! Every copy of one tablet, wherever it lies: below `data/`, in trash, in staging, in quarantine. Changes nothing, and
//! believes nothing: what is found has a good record, and its files have not been read.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::parts::disk::{Disk, visit};
use crate::engine::parts::operation_book::Operation;
use crate::engine::view::operations::CopyNamed;
use crate::model::{ErrorCode, Failure, Reached, TabletKey, TabletRecord};
use crate::rules::healing::{FilesIn, FoundIn, files_of_trashed};
use crate::storage::layout::{FILES, MIGRATING, QUARANTINE, RECORD_FILE, TRASH, tablet_dir};
use crate::storage::{
    Dir, EntryKind, MetadataStore, NativeStore, ReadFrom, Root, decode_record, quarantine_entries,
    read_quarantined, read_quarantined_record, read_small, read_trashed_copy, trash_entries,
};

/// How long one look at a disk may take.
const LOOK_WAIT: Duration = Duration::from_secs(20);
/// Entries that are looked at in one visit: on a disk that seeks, a few seconds.
const ENTRIES_PER_VISIT: usize = 64;

/// A copy with a good record.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) disk: Arc<Disk>,
    pub(super) record: TabletRecord,
    pub(super) found_in: FoundIn,
    /// The directory of its files, below the root.
    pub(super) files: String,
    /// Its entry in trash, quarantine or staging.
    pub(super) entry: Option<String>,
}

impl Found {
    /// Whether it is the one that an operator names.
    pub(super) fn is(&self, named: &CopyNamed) -> bool {
        match named {
            CopyNamed::Unrecorded(..) => self.found_in == FoundIn::Unrecorded,
            CopyNamed::InStaging(disk, name) => {
                let is_name = self.found_in == FoundIn::Staging && self.entry.as_ref() == Some(name);
                is_name && self.disk.path == *disk
            }
            CopyNamed::InTrash(entry) => {
                let is_trash = matches!(self.found_in, FoundIn::Trash | FoundIn::Retiring);
                is_trash && self.entry.as_ref() == Some(entry)
            }
            CopyNamed::InQuarantine(disk, entry) => {
                let is_entry = self.found_in == FoundIn::Quarantine && self.entry.as_ref() == Some(entry);
                is_entry && self.disk.path == *disk
            }
        }
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.disk.path, self.files)
    }
}

/// What a search found, and where it could not look.
#[derive(Default)]
pub(super) struct Search {
    pub(super) found: Vec<Found>,
    /// Disks with a record under the tablet's name that is damaged.
    pub(super) damaged_records: Vec<Arc<Disk>>,
    /// Disks that are not here or did not answer, and entries that cannot be read, and why.
    pub(super) away: Vec<String>,
}

/// Looks for a tablet on every disk. A disk that does not answer hides nothing of the others.
///
/// # Errors
/// The operation was stopped.
pub(super) fn search(
    node: &Node,
    operation: &Operation,
    key: TabletKey,
    named: Option<&CopyNamed>,
) -> Result<Search, Failure> {
    let mut search = Search::default();
    let hang_after = node.hang_after();
    for disk in node.shown_disks() {
        operation.checkpoint()?;
        // Given up, and its copy is named: it is read without its joining.
        let is_named = matches!(named, Some(CopyNamed::Unrecorded(path, _)) if *path == disk.path);
        if is_named && disk.opened.get().is_none() {
            continue;
        }
        let condition = disk.condition(hang_after);
        let looked = match disk.opened.get() {
            Some(_) if condition.is_readable() => look(disk, key, &mut search),
            _ => Err(Failure::new(ErrorCode::DiskUnavailable, condition.reason().to_owned())),
        };
        if let Err(failure) = looked {
            search.away.push(format!("{} ({failure})", disk.path));
        }
    }
    Ok(search)
}

fn look(disk: &Arc<Disk>, key: TabletKey, search: &mut Search) -> Result<(), Failure> {
    let in_place = visit(disk, LOOK_WAIT, move |_, store| Ok(record_in_place(store, key)))?;
    match in_place {
        Ok(Some(record)) => search.found.push(Found {
            disk: Arc::clone(disk),
            files: tablet_dir(record.shard_id, key),
            record,
            found_in: FoundIn::Place,
            entry: None,
        }),
        Ok(None) => {}
        Err(failure) if failure.code == ErrorCode::RecordDamaged => {
            search.damaged_records.push(Arc::clone(disk));
        }
        Err(failure) => return Err(failure),
    }
    let trashed = visit(disk, LOOK_WAIT, |root, _| Ok(trash_entries(&root.dir().open(TRASH)?)?))?;
    let aside = visit(disk, LOOK_WAIT, |root, _| Ok(quarantine_entries(root.dir())?))?;
    let staged = visit(disk, LOOK_WAIT, |root, _| staging_names(root))?;
    for (names, found_in) in
        [(trashed, FoundIn::Trash), (staged, FoundIn::Staging), (aside, FoundIn::Quarantine)]
    {
        for names in names.chunks(ENTRIES_PER_VISIT) {
            let names = names.to_vec();
            let (found, unreadable) = visit(disk, LOOK_WAIT, move |root, store| {
                let (mut found, mut unreadable) = (Vec::new(), Vec::new());
                for name in names {
                    match copy_in((root.dir(), store), found_in, &name, key) {
                        Ok(copy) => found.extend(copy.map(|copy| (copy, name))),
                        Err(failure) => unreadable.push(format!("{name}: {failure}")),
                    }
                }
                Ok((found, unreadable))
            })?;
            // It hides nothing of the others; whether it has something newer is not known.
            search.away.extend(unreadable.into_iter().map(|entry| format!("{} ({entry})", disk.path)));
            search.found.extend(found.into_iter().map(|((record, found_in, files), entry)| Found {
                disk: Arc::clone(disk),
                record,
                found_in,
                files,
                entry: Some(entry),
            }));
        }
    }
    Ok(())
}

fn record_in_place(store: &NativeStore, key: TabletKey) -> Result<Option<TabletRecord>, Failure> {
    Ok(store.get(key)?)
}

fn staging_names(root: &Root) -> Result<Vec<String>, Failure> {
    let entries = root.dir().open(MIGRATING)?.entries()?;
    let directories = entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
    Ok(directories.filter_map(|entry| entry.name.into_string().ok()).collect())
}

/// A record, where it was found, and the directory of its files.
type Copy = (TabletRecord, FoundIn, String);

/// The copy of this tablet in an entry.
fn copy_in(
    (root, store): (&Dir, &NativeStore),
    found_in: FoundIn,
    name: &str,
    key: TabletKey,
) -> Result<Option<Copy>, Failure> {
    let found = match found_in {
        FoundIn::Place | FoundIn::Unrecorded => None,
        FoundIn::Trash | FoundIn::Retiring => return trashed(root, store, name, key),
        FoundIn::Staging => {
            let dir = format!("{MIGRATING}/{name}");
            let record = read_small(&root.open(&dir)?, RECORD_FILE, ReadFrom::Cache)?;
            let record = record.and_then(|bytes| decode_record(&bytes).ok());
            record.map(|record| (record, format!("{dir}/{FILES}")))
        }
        FoundIn::Quarantine => {
            let item = read_quarantined(root, name)?.filter(|item| item.key == Some(key));
            match item {
                Some(item) => {
                    let record = read_quarantined_record(root, &item)?;
                    record.zip(item.files.map(|files| format!("{QUARANTINE}/{name}/{files}")))
                }
                None => None,
            }
        }
    };
    match found.filter(|(record, _)| record.key == key) {
        Some((record, files)) => Ok(root.kind(&files)?.map(|_| (record, found_in, files))),
        None => Ok(None),
    }
}

/// The copy of this tablet in a trash entry. Of a retirement that was cut short the files may be below `data/` still:
/// they are its own unless a record names them.
fn trashed(root: &Dir, store: &NativeStore, name: &str, key: TabletKey) -> Result<Option<Copy>, Failure> {
    let Some(copy) = read_trashed_copy(root, name, key)? else { return Ok(None) };
    let place = tablet_dir(copy.record.shard_id, key);
    // A record that cannot be read names nothing; the files are read before they are believed.
    let named = store.get(key).ok().flatten().is_some_and(|record| record.shard_id == copy.record.shard_id);
    let files = match files_of_trashed(copy.has_files, root.kind(&place)?.is_some(), named) {
        Some(FilesIn::Entry) => format!("{TRASH}/{name}/{}/{}", key.tablet_id, key.schema_hash),
        Some(FilesIn::Place) => place,
        None => return Ok(None),
    };
    let found_in = if copy.reached == Reached::Header { FoundIn::Retiring } else { FoundIn::Trash };
    Ok(Some((copy.record, found_in, files)))
}
