//! The log that a run adds to the database of a Doris root: RocksDB replays it at its next start as if it had written it
//! itself (`doris-roots` 6.3, 6.4).
//!
//! Each run begins a file of its own and goes on with the next at 64 MiB, which is when RocksDB would flush. A log that
//! exists is never appended to, ours of an earlier run included: behind a record that was cut off, everything is lost.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, fchown};

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::{Mode, fchmod};

use crate::doris::batch::{Batch, BatchBuilder};
use crate::doris::database::Database;
use crate::doris::keys::{Key, TabletIds};
use crate::doris::log::{LogReader, LogWriter, TornTail};
use crate::storage::{CommitError, Dir, DiskError, StorageError};

const ROLL_AT_BYTES: u64 = 64 << 20;
/// Counts and lengths in a batch have 32 bits.
const BATCH_BYTES_MAX: usize = u32::MAX as usize / 2;

/// The tablets whose records each batch of a log writes or deletes.
///
/// # Errors
/// In words: it cannot be read, or does not parse. A last batch that was cut off is none.
pub fn tablets_in_log(meta: &Dir, name: &str) -> Result<Vec<BTreeSet<TabletIds>>, String> {
    let mut bytes = Vec::new();
    let mut file = meta.open_for_reading(name, OFlag::empty()).map_err(|error| error.to_string())?;
    file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let mut batches = Vec::new();
    for record in LogReader::new(name, &bytes, TornTail::Allowed) {
        let record = record.map_err(|error| error.to_string())?;
        let batch = Batch::decode(&record.bytes).map_err(|why| why.to_string())?;
        let tablet = |key: &[u8]| match Key::parse(key) {
            Key::Tablet(ids) => Some(ids),
            _ => None,
        };
        batches.push(batch.operations.iter().filter_map(|operation| tablet(operation.key)).collect());
    }
    Ok(batches)
}

/// Appends batches to a database that nobody else writes to: the caller holds its lock.
#[derive(Debug)]
pub struct AddedLog {
    meta: Dir,
    family: u32,
    next_file: u64,
    next_sequence: u64,
    roll_at_bytes: u64,
    current: Option<Current>,
    in_doubt: bool,
}

#[derive(Debug)]
struct Current {
    name: String,
    file: File,
    writer: LogWriter,
}

impl AddedLog {
    /// Goes on where `database`, as read from `meta`, ends. Writes nothing yet.
    pub const fn after(meta: Dir, database: &Database) -> Self {
        Self {
            meta,
            family: database.meta_family(),
            next_file: database.next_file(),
            next_sequence: database.next_sequence(),
            roll_at_bytes: ROLL_AT_BYTES,
            current: None,
            in_doubt: false,
        }
    }

    /// Begins a new file at this size instead, in bytes.
    #[must_use]
    pub const fn rolled_at(mut self, bytes: u64) -> Self {
        self.roll_at_bytes = bytes;
        self
    }

    /// An empty batch for [`AddedLog::append`].
    pub fn batch(&self) -> BatchBuilder {
        BatchBuilder::new(self.family)
    }

    /// Appends a batch, durably, and reads it back: when this returns, a backend's next start sees all of it.
    ///
    /// # Errors
    /// [`CommitError::NotCommitted`]: nothing was written. [`CommitError::InDoubt`]: whether the batch is there is known
    /// only once the database has been read again, and this log takes no further batch.
    pub fn append(&mut self, batch: BatchBuilder) -> Result<(), CommitError> {
        if self.in_doubt {
            let why = "an earlier batch is in doubt; the database has to be read again first";
            return Err(CommitError::NotCommitted(self.damaged(why)));
        }
        if batch.size_bytes() > BATCH_BYTES_MAX {
            return Err(CommitError::NotCommitted(self.damaged("a batch is too large for RocksDB")));
        }
        let mut current = self.begun().map_err(|error| CommitError::NotCommitted(error.into()))?;
        let count = u64::from(batch.count());
        let at = current.writer.written_bytes();
        let bytes = current.writer.append(&batch.finish(self.next_sequence));
        if let Err(error) = current.file.write_all(&bytes) {
            let failed = DiskError::from_io("write", self.meta.path().join(&current.name), &error);
            if self.is_cut_off(&current, at + bytes.len() as u64, &failed) {
                // No reader takes the beginning of a batch, and the next one begins a file: one with nothing else in it is
                // litter, and should it stay it does no harm.
                if at == 0 {
                    let _ = self.meta.unlink(&current.name);
                }
                return Err(CommitError::NotCommitted(failed.into()));
            }
            self.in_doubt = true;
            return Err(CommitError::InDoubt(failed.into()));
        }
        if let Err(error) = self.make_durable(&current, at, &bytes) {
            self.in_doubt = true;
            return Err(CommitError::InDoubt(error));
        }
        self.next_sequence += count;
        self.current = Some(current);
        Ok(())
    }

    /// Whether a failed write certainly has not put the whole batch into the file: there was no room for it, and the file
    /// ends before the batch would.
    fn is_cut_off(&self, current: &Current, end: u64, failed: &DiskError) -> bool {
        matches!(failed.errno, Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)
            && current.file.metadata().is_ok_and(|metadata| metadata.len() < end)
    }

    fn make_durable(&self, current: &Current, at: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let path = || self.meta.path().join(&current.name);
        let failed = |operation, error: &std::io::Error| DiskError::from_io(operation, path(), error);
        current.file.sync_data().map_err(|error| failed("fdatasync", &error))?;
        // Advice: where it is not taken, the read is merely a warm one.
        let _ = posix_fadvise(&current.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        let mut back = vec![0; bytes.len()];
        current.file.read_exact_at(&mut back, at).map_err(|error| failed("read", &error))?;
        if back != bytes {
            let why = "a batch reads back from the medium as something else".to_owned();
            return Err(StorageError::ReadBack { path: path(), why });
        }
        Ok(())
    }

    /// The file that the next batch goes to.
    fn begun(&mut self) -> Result<Current, DiskError> {
        match self.current.take() {
            Some(current) if current.writer.written_bytes() < self.roll_at_bytes => Ok(current),
            _ => self.begin(),
        }
    }

    fn begin(&mut self) -> Result<Current, DiskError> {
        let name = format!("{:06}.log", self.next_file);
        self.next_file += 1;
        let file = self.meta.open_file(&name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL)?;
        self.give_to_backend(&file, &name).and_then(|()| self.meta.sync()).inspect_err(|_| {
            // An empty log of ours would do no harm; one that a backend may not read would.
            let _ = self.meta.unlink(&name);
        })?;
        Ok(Current { name, file, writer: LogWriter::default() })
    }

    /// The backend may not run as we do: its own files say who it is.
    fn give_to_backend(&self, file: &File, name: &str) -> Result<(), DiskError> {
        let path = || self.meta.path().join(name);
        let Some(like) = self.meta.stat("CURRENT")? else {
            return Err(DiskError::new("stat", self.meta.path().join("CURRENT"), Errno::ENOENT));
        };
        fchown(file, Some(like.st_uid), Some(like.st_gid))
            .map_err(|error| DiskError::from_io("chown", path(), &error))?;
        let mode = Mode::from_bits_truncate(like.st_mode & 0o7777);
        fchmod(file, mode).map_err(|errno| DiskError::new("chmod", path(), errno))
    }

    fn damaged(&self, why: &str) -> StorageError {
        StorageError::Damaged { path: self.meta.path().to_owned(), why: why.to_owned() }
    }
}
