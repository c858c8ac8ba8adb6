//! The embedded metadata store: one JSON file per tablet below `meta/`. The commit point is one rename.

use nix::errno::Errno;

use super::checkpoint::Stamp;
use super::dir::{Barrier, Dir, EntryKind};
use super::error::{CommitError, DiskError, StorageError};
use super::file::{ReadFrom, read_parsed, read_small_as_found};
use super::layout::{META, RECORD_FILE, parse_record_name, record_name};
use super::record::{decode_record, decode_summary};
use super::store::{ListedName, ListedRecord, MetadataStore, ScannedRecord, StagedRecord};
use crate::model::{TabletKey, TabletRecord};

/// The records of one root, as files.
#[derive(Debug)]
pub struct NativeStore {
    meta: Dir,
}

impl NativeStore {
    /// The store below a root's directory.
    ///
    /// # Errors
    /// `meta/` cannot be opened.
    pub fn open(root: &Dir) -> Result<Self, DiskError> {
        Ok(Self { meta: root.open(META)? })
    }

    fn read_summary(&self, name: &str, key: TabletKey) -> (ScannedRecord, Option<Stamp>) {
        let damaged =
            |why: String| (ScannedRecord::Damaged { name: name.to_owned(), key: Some(key), why }, None);
        match read_small_as_found(&self.meta, name, ReadFrom::Cache) {
            Ok(None) => damaged("vanished during the scan".into()),
            Ok(Some((bytes, found))) => match decode_summary(&bytes) {
                Ok(summary) if summary.key == key => {
                    (ScannedRecord::Good(summary), Some(Stamp::of_file(&found)))
                }
                Ok(summary) => damaged(format!("is the record of {}", summary.key)),
                Err(why) => damaged(why),
            },
            // One unreadable sector must not hide the other tablets of the disk.
            Err(error) => damaged(error.to_string()),
        }
    }
}

/// Whether a rename that failed like this was refused before anything was changed. A file system that answers `EIO` or
/// `EROFS` may have failed in the middle of it.
const fn refuses_cleanly(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSPC | Errno::EDQUOT | Errno::EEXIST | Errno::EMLINK | Errno::ENOMEM)
}

impl MetadataStore for NativeStore {
    fn list(&self) -> Result<Vec<ListedRecord>, StorageError> {
        let mut listed = Vec::new();
        self.meta.for_each_inode::<DiskError>(|name, kind, inode| {
            listed.push(ListedRecord::new(name.to_string_lossy().into_owned(), kind, inode));
            Ok(())
        })?;
        Ok(listed)
    }

    fn read(&self, listed: &ListedRecord) -> Result<(ScannedRecord, Option<Stamp>), StorageError> {
        let (name, kind) = match listed.name() {
            ListedName::Record(key) => return Ok(self.read_summary(&record_name(*key), *key)),
            ListedName::Other(other) => (&other.0, other.1),
        };
        Ok(match (kind, parse_record_name(name)) {
            (EntryKind::File, Some(key)) => self.read_summary(name, key),
            (kind, key) => {
                let why = format!("{} that is not a record", kind.as_str());
                (ScannedRecord::Damaged { name: name.clone(), key, why }, None)
            }
        })
    }

    fn stamp(&self, key: TabletKey) -> Result<Option<Stamp>, DiskError> {
        Ok(self.meta.stat(record_name(key))?.map(|stat| Stamp::of(&stat)))
    }

    fn get(&self, key: TabletKey) -> Result<Option<TabletRecord>, StorageError> {
        let name = record_name(key);
        let read = read_parsed(&self.meta, &name, ReadFrom::Cache, decode_record)?;
        let Some(read) = read else { return Ok(None) };
        let damaged = |why| StorageError::Record { path: self.meta.path().join(&name), why };
        let record = read.map_err(damaged)?;
        if record.key == key {
            Ok(Some(record))
        } else {
            Err(damaged(format!("is the record of {}", record.key)))
        }
    }

    fn commit(&self, staged: &StagedRecord<'_>, barrier: &dyn Barrier) -> Result<(), CommitError> {
        let name = record_name(staged.record().key);
        if let Err(error) = staged.staging().replace(RECORD_FILE, &self.meta, &name) {
            let clean = refuses_cleanly(error.errno) && staged.still_staged().unwrap_or(false);
            let how = if clean { CommitError::NotCommitted } else { CommitError::InDoubt };
            return Err(how(error.into()));
        }
        crate::fault::point("record_renamed");
        barrier.sync().map_err(|error| CommitError::InDoubt(error.into()))
    }

    fn retire(&self, key: TabletKey, into: &Dir, name: &str) -> Result<(), DiskError> {
        match self.meta.replace(&record_name(key), into, name) {
            Err(error) if error.errno == Errno::ENOENT => Ok(()),
            answer => answer,
        }
    }
}
