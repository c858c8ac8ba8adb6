//! Who owns which tablet on one Doris root: its metadata store.
//!
//! `scan` is [`Inventory::read`] of the database as it was opened; the commit point is one synced batch in a log of our own.
//! What was read is as of the opening: after a batch that failed, only reading again from the medium tells what is there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};

use super::{AddedLog, DorisFiles, DorisRoot};
use crate::doris::database::{Database, Pair, Strictness};
use crate::doris::error::DorisError;
use crate::doris::inventory::Inventory;
use crate::doris::keys::{Key, TabletIds, prefixes_of};
use crate::doris::record::Tablet;
use crate::storage::{CommitError, StorageError};

/// The opened metadata database of a Doris root.
pub struct DorisStore {
    meta: DorisFiles,
    path: PathBuf,
    database: RwLock<Arc<Database>>,
    /// Tablets whose keys were written since the database was read.
    written: Mutex<BTreeSet<TabletIds>>,
    log: AddedLog,
    strictness: Strictness,
}

impl DorisStore {
    /// Reads the database from the medium, past what the cache may still say of a write that failed.
    ///
    /// # Errors
    /// It is damaged, or not understood; a failed call.
    pub fn open(root: &DorisRoot) -> Result<Self, StorageError> {
        Self::open_as(root, Strictness::Refuse)
    }

    /// Reads what is left of a damaged database, of which [`DorisStore::damage`] tells. It takes no batch.
    ///
    /// # Errors
    /// A failed call.
    pub fn open_damaged(root: &DorisRoot) -> Result<Self, StorageError> {
        Self::open_as(root, Strictness::Rescue)
    }

    fn open_as(root: &DorisRoot, strictness: Strictness) -> Result<Self, StorageError> {
        let meta = root.dir().open("meta")?;
        for entry in meta.entries()? {
            if let Some(name) = entry.name.to_str().filter(|name| name.ends_with(".log")) {
                // Advice: where it is not taken, the read is merely a warm one.
                let Ok(file) = meta.open_for_reading(name, OFlag::empty()) else { continue };
                let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
            }
        }
        let path = meta.path().to_owned();
        let files = DorisFiles(meta);
        let database = Database::open(&files, strictness)
            .map_err(|error| StorageError::Damaged { path: path.clone(), why: error.to_string() })?;
        let log = AddedLog::after(files.0, &database);
        let meta = DorisFiles(root.dir().open("meta")?);
        let written = Mutex::default();
        Ok(Self { meta, path, database: RwLock::new(Arc::new(database)), written, log, strictness })
    }

    /// What could not be read of a damaged database when it was opened.
    pub fn damage(&self) -> Vec<DorisError> {
        self.database().damage().to_vec()
    }

    fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The database with what was written of a tablet since it was opened: read again only for a tablet of which something
    /// was.
    fn database_for(&self, ids: TabletIds) -> Result<Arc<Database>, String> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.contains(&ids) {
            let database = Database::open(&self.meta, self.strictness)
                .map_err(|error| format!("{}: {error}", self.path.display()))?;
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(database);
            written.clear();
        }
        Ok(self.database())
    }

    /// Everything it says of its tablets.
    ///
    /// # Errors
    /// A block is damaged.
    pub fn scan(&self) -> Result<Inventory, DorisError> {
        Inventory::read(&self.database())
    }

    /// All keys of a tablet with their values: its record, and what is found by its number or its uid. Empty where there is
    /// no record.
    ///
    /// # Errors
    /// A block is damaged, or the record does not parse.
    pub fn get(&self, ids: TabletIds) -> Result<Vec<Pair>, String> {
        let database = self.database_for(ids)?;
        let key = Key::tablet(ids).into_bytes();
        let words = |error: DorisError| error.to_string();
        let Some(record) = database.get(&key).map_err(words)? else { return Ok(Vec::new()) };
        let uid = Tablet::read(&record).map_err(|why| why.to_string())?.uid;
        let mut pairs = vec![(key, record)];
        for prefix in prefixes_of(ids, uid) {
            pairs.extend(database.with_prefix(&prefix).map_err(words)?);
        }
        pairs.sort_unstable();
        Ok(pairs)
    }

    /// Writes the keys, durably, in one batch, after deleting others in the same one: the commit point of a move.
    ///
    /// # Errors
    /// [`CommitError`]: nothing happened, or nobody knows what did.
    pub fn commit(&mut self, delete: &[Vec<u8>], put: &[Pair]) -> Result<(), CommitError> {
        if self.strictness == Strictness::Rescue {
            let why = "it is damaged, and nothing is written to it".to_owned();
            return Err(CommitError::NotCommitted(StorageError::Damaged { path: self.path.clone(), why }));
        }
        let mut batch = self.log.batch();
        delete.iter().for_each(|key| batch.delete(key));
        put.iter().for_each(|(key, value)| batch.put(key, value));
        let keys = delete.iter().chain(put.iter().map(|(key, _)| key));
        let tablets = keys.filter_map(|key| match Key::parse(key) {
            Key::Tablet(ids) => Some(ids),
            _ => None,
        });
        // Also of a batch that fails: what is there then is for the medium to say.
        self.written.lock().unwrap_or_else(PoisonError::into_inner).extend(tablets);
        self.log.append(batch)
    }
}

/// SHA-256 over keys and values, each with its length before it: equal content, equal sum.
pub fn sum_of_pairs(pairs: &[Pair]) -> String {
    let mut sum = Sha256::new();
    for bytes in pairs.iter().flat_map(|(key, value)| [key, value]) {
        sum.update((bytes.len() as u64).to_le_bytes());
        sum.update(bytes);
    }
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
