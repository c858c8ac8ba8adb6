//! The metadata store of one root: who owns which tablet there.

use super::dir::{Barrier, Dir};
use super::error::{CommitError, DiskError, StorageError};
use super::file::{ReadFrom, read_small, write_new};
use super::layout::RECORD_FILE;
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

/// A part of a store's records, told by name: several readers share a scan without talking to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    nth: u32,
    of: u32,
}

impl Share {
    /// Everything.
    pub const ALL: Self = Self { nth: 0, of: 1 };

    /// `parts` shares that have every record in exactly one of them.
    pub fn split(parts: u32) -> impl Iterator<Item = Self> {
        let of = parts.max(1);
        (0..of).map(move |nth| Self { nth, of })
    }

    /// Whether a record of that name is in it.
    pub fn has(self, name: &[u8]) -> bool {
        self.of == 1 || crc32fast::hash(name) % self.of == self.nth
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
        staging.unlink(RECORD_FILE)?;
        write_new(staging, RECORD_FILE, &bytes)?;
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
        let bytes = read_small(self.staging, RECORD_FILE, ReadFrom::Medium)?
            .ok_or_else(|| differs("is gone a moment after it was written"))?;
        let back = decode_record(&bytes)
            .map_err(|why| differs(&format!("reads back damaged from the medium: {why}")))?;
        if self.is(&back) { Ok(()) } else { Err(differs("reads back from the medium as another record")) }
    }

    /// Whether it stands under its staged name, as the file system gives it now.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn still_staged(&self) -> Result<bool, DiskError> {
        let bytes = read_small(self.staging, RECORD_FILE, ReadFrom::Cache)?;
        Ok(bytes.is_some_and(|bytes| decode_record(&bytes).is_ok_and(|back| self.is(&back))))
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
    /// Calls `visit` for every record of the share, in no order.
    ///
    /// # Errors
    /// The store itself cannot be read. A damaged record is visited, not an error.
    fn scan(&self, share: Share, visit: &mut dyn FnMut(ScannedRecord)) -> Result<(), StorageError>;

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

    proptest::proptest! {
        #[test]
        fn every_name_is_in_exactly_one_share(name: Vec<u8>, parts in 0..9_u32) {
            let having = Share::split(parts).filter(|share| share.has(&name)).count();
            proptest::prop_assert_eq!(having, 1);
            proptest::prop_assert!(Share::ALL.has(&name));
        }
    }
}
