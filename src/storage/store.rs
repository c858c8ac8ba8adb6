//! The metadata store of one root: who owns which tablet there.

use nix::errno::Errno;

use super::checkpoint::Stamp;
use super::dir::{Barrier, Dir, EntryKind};
use super::error::{CommitError, DiskError, StorageError};
use super::file::{ReadFrom, read_parsed, write_new};
use super::layout::{RECORD_FILE, parse_record_name, record_name};
use super::record::{decode_record, encode_record};
use crate::model::{RecordSummary, TabletKey, TabletRecord};

/// One record found by a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScannedRecord {
    /// It parses and its checksum is right.
    Good(RecordSummary),
    /// It does not, or its name is not one of ours. Never deleted by a scan.
    Damaged {
        /// Its name in the store.
        name: String,
        /// The tablet its name says, where it says one.
        key: Option<TabletKey>,
        /// What is wrong with it.
        why: String,
    },
}

/// A name in the store that a scan has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRecord {
    inode: u64,
    name: ListedName,
}

/// Short for the usual name, of which there may be millions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListedName {
    Record(TabletKey),
    Other(Box<(String, EntryKind)>),
}

impl ListedRecord {
    pub(super) fn new(name: String, kind: EntryKind, inode: u64) -> Self {
        let key = parse_record_name(&name).filter(|key| kind == EntryKind::File && record_name(*key) == name);
        let name = key.map_or_else(|| ListedName::Other(Box::new((name, kind))), ListedName::Record);
        Self { inode, name }
    }

    /// Where it is on the disk, more or less.
    pub const fn inode(&self) -> u64 {
        self.inode
    }

    /// The tablet, of a record under its usual name.
    pub const fn key(&self) -> Option<TabletKey> {
        match self.name {
            ListedName::Record(key) => Some(key),
            ListedName::Other(_) => None,
        }
    }

    pub(super) const fn name(&self) -> &ListedName {
        &self.name
    }
}

/// A record written into a staging directory, not yet owning anything.
#[derive(Debug)]
pub struct StagedRecord<'a> {
    staging: &'a Dir,
    record: TabletRecord,
}

impl<'a> StagedRecord<'a> {
    /// Writes `record` into `staging`, replacing an earlier staged one. Durable only after the caller's barrier.
    ///
    /// # Errors
    /// As the calls made.
    pub fn write(staging: &'a Dir, record: TabletRecord) -> Result<Self, StorageError> {
        let bytes = encode_record(&record).map_err(|error| StorageError::Record {
            path: staging.path().join(RECORD_FILE),
            why: error.to_string(),
        })?;
        match write_new(staging, RECORD_FILE, &bytes) {
            Err(error) if error.errno == Errno::EEXIST => {
                staging.unlink(RECORD_FILE)?;
                write_new(staging, RECORD_FILE, &bytes)?;
            }
            written => drop(written?),
        }
        Ok(Self { staging, record })
    }

    /// A record that was staged there before.
    pub const fn already(staging: &'a Dir, record: TabletRecord) -> Self {
        Self { staging, record }
    }

    /// Reads the record back from the medium and parses it again. Comparing with the bytes that were written would
    /// miss a flip in the buffer they were written from.
    ///
    /// # Errors
    /// [`StorageError::ReadBack`]: it is missing, damaged, or not the record that was staged. Or a failed call.
    pub fn check(&self) -> Result<(), StorageError> {
        let differs = |why: &str| StorageError::ReadBack {
            path: self.staging.path().join(RECORD_FILE),
            why: format!("the staged record {why}"),
        };
        let back = read_parsed(self.staging, RECORD_FILE, ReadFrom::Medium, decode_record)?
            .ok_or_else(|| differs("is gone a moment after it was written"))?
            .map_err(|why| differs(&format!("reads back damaged from the medium: {why}")))?;
        if self.is(&back) { Ok(()) } else { Err(differs("reads back from the medium as another record")) }
    }

    /// Whether it stands under its staged name, as the file system gives it now.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn still_staged(&self) -> Result<bool, DiskError> {
        let back = read_parsed(self.staging, RECORD_FILE, ReadFrom::Cache, decode_record)?;
        Ok(back.is_some_and(|back| back.is_ok_and(|back| self.is(&back))))
    }

    fn is(&self, other: &TabletRecord) -> bool {
        other.summary() == self.record.summary()
            && other.manifest == self.record.manifest
            && other.tablet_meta.get() == self.record.tablet_meta.get()
    }

    /// The record.
    pub const fn record(&self) -> &TabletRecord {
        &self.record
    }

    /// The staging directory it stands in.
    pub const fn staging(&self) -> &Dir {
        self.staging
    }
}

/// Who owns which tablet on one root. The embedded implementation is [`super::NativeStore`]; one for a Doris root
/// (RocksDB) fits behind it with a synced write batch as `commit`.
pub trait MetadataStore {
    /// Every name in it, in no order.
    ///
    /// # Errors
    /// The store itself cannot be read.
    fn list(&self) -> Result<Vec<ListedRecord>, StorageError>;

    /// Reads what was listed, with the stamp it had before it was read. A damaged record is an answer, not an error.
    ///
    /// # Errors
    /// The store itself cannot be read.
    fn read(&self, listed: &ListedRecord) -> Result<(ScannedRecord, Option<Stamp>), StorageError>;

    /// The stamp of a record; `None` where there is none.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    fn stamp(&self, key: TabletKey) -> Result<Option<Stamp>, DiskError>;

    /// Calls `visit` for every record, in no order.
    ///
    /// # Errors
    /// The store itself cannot be read. A damaged record is visited, not an error.
    fn scan(&self, visit: &mut dyn FnMut(ScannedRecord)) -> Result<(), StorageError> {
        let mut listed = self.list()?;
        listed.sort_unstable_by_key(ListedRecord::inode);
        listed.iter().try_for_each(|listed| {
            visit(self.read(listed)?.0);
            Ok(())
        })
    }

    /// The record of one tablet.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn get(&self, key: TabletKey) -> Result<Option<TabletRecord>, StorageError>;

    /// The commit point: when this returns, the staged record owns the tablet on this root, durably.
    ///
    /// # Errors
    /// [`CommitError`]: nothing happened, or nobody knows what did.
    fn commit(&self, staged: &StagedRecord<'_>, barrier: &dyn Barrier) -> Result<(), CommitError>;

    /// Takes the record away and leaves it as the header `name` in the directory `into`. Nothing there is fine.
    /// Durable only after the caller's barrier.
    ///
    /// # Errors
    /// As the calls made.
    fn retire(&self, key: TabletKey, into: &Dir, name: &str) -> Result<(), DiskError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_under_its_usual_name_is_listed_by_its_tablet() {
        let listed = |name: &str, kind| ListedRecord::new(name.to_owned(), kind, 9).key();
        assert_eq!(listed("15001_7.json", EntryKind::File), Some(TabletKey::new(15001, 7)));
        for (name, kind) in [
            ("15001_7.json", EntryKind::Directory),
            ("015001_7.json", EntryKind::File),
            ("15001_7.json.tmp", EntryKind::File),
            ("", EntryKind::File),
        ] {
            assert_eq!(listed(name, kind), None, "{name}");
        }
    }
}
