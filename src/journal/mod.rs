//! The durable record of migrations and tasks: one SQLite file, `<state_dir>/journal.db`.
//!
//! A migration is in the journal before the client hears "submitted", and its row follows it to its end. The journal
//! remembers; it never decides who owns a tablet (the disks do), never judges a change of status, and reads no clock.
//!
//! [`Journal`] is a plain synchronous struct for one owner thread. That thread gathers what many callers want written
//! and hands it to [`Journal::commit`], which makes the whole batch durable with one sync (group commit).
//!
//! # Promises
//!
//! * What [`Journal::commit`] returned `Ok` for survives a crash of the process or of the machine. A batch is there
//!   whole or not at all.
//! * A write that a full disk refused changed nothing, and can be asked for again ([`JournalError::Full`]).
//! * After any other error from SQLite nothing more is written to the file: a sync that failed once must not be asked
//!   again and believed. A batch that failed may still be found after a restart, because its bytes may have reached the
//!   disk before the error did.
//! * A migration number is never given out twice, also after its row was pruned.
//! * No file is ever deleted or overwritten to make room for a fresh journal: a damaged one is renamed and kept, one of
//!   a newer release or of another program is refused and not touched.
//!
//! # Rooms
//!
//! `open` (examine, create), `wal` (the log, before SQLite sees it), `distrust` (what lost its end), `aside` (lock, renames, copies, syncs), `schema` (the
//! tables), `row` (a migration as a row), `write` and `query`, `ledger` (what is never pruned), and `task`, `mark` and
//! `check`, which do both for tasks, for what operators have said and for what verifications have found.

mod aside;
mod check;
mod distrust;
mod error;
mod ledger;
mod mark;
mod open;
mod query;
mod row;
mod schema;
mod task;
mod wal;
mod write;

#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

pub use aside::SetAside;
pub use error::{JournalError, Refused};
pub use mark::MarkRow;
pub use open::{Opened, Origin};
pub use query::{DiskMatch, Filter, Listed, RowOrder, Rows};
pub use row::DamagedRow;
pub use wal::LogDamage;
pub use write::{Operation, PRUNE_CHUNK_ROWS, Pruned, Rest};

/// The open journal. `Send`, not `Sync`: it has one owner at a time.
///
/// Open it and use it in threads that share one descriptor table: a thread that called `unshare(CLONE_FILES)` after
/// the journal was opened keeps the lock on it for as long as that thread lives.
#[derive(Debug)]
pub struct Journal {
    // Before `_lock`: fields are dropped in this order, and the file must be closed before the lock is given up.
    conn: Connection,
    file: PathBuf,
    next_id: u64,
    /// The first error from SQLite but a full disk, in words. Once set, nothing is written any more.
    first_error: OnceCell<String>,
    /// The last write found no space.
    wants_space: Cell<bool>,
    _lock: File,
}

impl Journal {
    /// The journal's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the journal still takes writes.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] with the first error, once there was one.
    pub fn check_available(&self) -> Result<(), JournalError> {
        match self.first_error.get() {
            Some(first) => {
                Err(JournalError::Unavailable { file: self.file.clone(), first_error: first.clone() })
            }
            None => Ok(()),
        }
    }

    /// Whether the last write found no space. Any later one may be tried.
    pub fn wants_space(&self) -> bool {
        self.wants_space.get() && self.first_error.get().is_none()
    }

    /// Folds the write-ahead log into the file and closes it. Dropping does the same, but cannot report.
    ///
    /// # Errors
    /// What SQLite says; what was committed is safe in the write-ahead log all the same.
    pub fn close(self) -> Result<(), JournalError> {
        self.check_available()?;
        let Self { conn, file, .. } = self;
        conn.close().map_err(|(_, source)| JournalError::Sqlite {
            file,
            doing: "closing the journal",
            source,
        })
    }

    /// Turns an error from SQLite into ours and latches it, unless nothing but space was missing: what a full disk does
    /// not take was never written, so nothing that was to be synced is in doubt. A sync that fails for want of space is
    /// another error.
    fn fail(&self, doing: &'static str, source: rusqlite::Error) -> JournalError {
        if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
            self.wants_space.set(true);
            let dir = self.file.parent().unwrap_or(Path::new(".")).to_owned();
            return JournalError::Full { dir, doing };
        }
        // Closing would copy the write-ahead log into the file and delete it: after a failed sync neither is to be
        // believed, so both stay as they are for the next start. Best effort: there is nothing to do if it fails.
        let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        // Keeps the first: later errors are only its echo.
        let _ = self.first_error.set(format!("{doing}: {source}"));
        JournalError::Sqlite { file: self.file.clone(), doing, source }
    }
}
