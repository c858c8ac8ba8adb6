//! The store of one process: SQLite in a state directory, behind a lock. The process that has the lock leads, at once.
//!
//! There is no second way of doing things for the small fleet: the epoch grows with every start, and every write is held
//! against it in its own transaction, as with many processes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use super::clock::Moment;
use super::record::{
    Change, Changes, Expect, LEASE, Leadership, Process, Record, Snapshot, Standing, Store, StoreError,
    check_sizes,
};

/// Version of the tables.
const FORMAT: u64 = 1;
/// As many changes are kept for those who follow them.
const HISTORY: u64 = 10_000;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS record (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS change (revision INTEGER NOT NULL, key TEXT NOT NULL, value TEXT,
                                       PRIMARY KEY (revision, key)) WITHOUT ROWID;";

/// SQLite in a state directory.
pub struct Sqlite {
    path: PathBuf,
    inside: Mutex<Inside>,
    changed: Condvar,
    _lock: Flock<File>,
}

struct Inside {
    database: Connection,
    /// Of this process, once it leads.
    epoch: Option<u64>,
    process: Option<Process>,
}

impl Sqlite {
    /// Opens the store in `state_dir`, made where it is missing, and keeps every other process out.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it; otherwise what the system or SQLite says.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let unavailable = |what: &Path, why: &dyn std::fmt::Display| {
            StoreError::Unavailable(format!("{}: {why}", what.display()))
        };
        fs::create_dir_all(state_dir).map_err(|error| unavailable(state_dir, &error))?;
        let lock_path = state_dir.join("tabletfleet.lock");
        let file = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let file = file.map_err(|error| unavailable(&lock_path, &error))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => StoreError::InUse(format!(
                "{} is used by another tabletfleet; several processes share a store on etcd, not a directory",
                state_dir.display()
            )),
            errno => unavailable(&lock_path, &errno.desc()),
        })?;
        let path = state_dir.join("fleet.db");
        let database = open_database(&path).map_err(|error| unavailable(&path, &error))?;
        let inside = Inside { database, epoch: None, process: None };
        let store = Self { path, inside: Mutex::new(inside), changed: Condvar::new(), _lock: lock };
        store.check_format()?;
        Ok(store)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let mut inside = self.inside();
        let work = inside.database.transaction().map_err(|error| self.failed(&error))?;
        let found = number(&work, "format").map_err(|error| self.failed(&error))?;
        match found {
            Some(FORMAT) => Ok(()),
            Some(newer) => {
                let text = format!(
                    "{} has format {newer}; this release knows {FORMAT}: use the release that wrote it",
                    self.path.display()
                );
                Err(StoreError::Unavailable(text))
            }
            None => {
                let set = set_number(&work, "format", FORMAT).and_then(|()| work.commit());
                set.map_err(|error| self.failed(&error))
            }
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::Unavailable(format!("{}: {error}", self.path.display()))
    }
}

fn open_database(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(5))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch(TABLES)?;
    Ok(database)
}

/// SQLite's numbers have a sign; ours never use it.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn number(work: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<u64>> {
    work.query_row("SELECT value FROM number WHERE name = ?1", [name], |row| unsigned(row, 0)).optional()
}

fn set_number(work: &Transaction<'_>, name: &str, value: u64) -> rusqlite::Result<()> {
    work.execute(
        "INSERT OR REPLACE INTO number (name, value) VALUES (?1, ?2)",
        params![name, value.cast_signed()],
    )
    .map(drop)
}

/// What stands in the way of a change, if anything does.
fn obstacle(work: &Transaction<'_>, change: &Change) -> rusqlite::Result<Option<StoreError>> {
    let found: Option<u64> = work
        .query_row("SELECT revision FROM record WHERE key = ?1", [&change.key], |row| unsigned(row, 0))
        .optional()?;
    let fine = match change.expect {
        Expect::Any => true,
        Expect::Absent => found.is_none(),
        Expect::Revision(revision) => found == Some(revision),
    };
    Ok((!fine).then(|| StoreError::Conflict(change.key.clone())))
}

fn write(work: &Transaction<'_>, changes: &[Change], revision: u64) -> rusqlite::Result<()> {
    for change in changes {
        match &change.value {
            Some(value) => work.execute(
                "INSERT OR REPLACE INTO record (key, value, revision) VALUES (?1, ?2, ?3)",
                params![change.key, value, revision.cast_signed()],
            )?,
            None => work.execute("DELETE FROM record WHERE key = ?1", [&change.key])?,
        };
        work.execute(
            "INSERT OR REPLACE INTO change (revision, key, value) VALUES (?1, ?2, ?3)",
            params![revision.cast_signed(), change.key, change.value],
        )?;
    }
    set_number(work, "revision", revision)?;
    let oldest = revision.saturating_sub(HISTORY);
    work.execute("DELETE FROM change WHERE revision <= ?1", [oldest.cast_signed()])?;
    Ok(())
}

impl Store for Sqlite {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn lead(&self, who: &Process) -> Result<Standing, StoreError> {
        let mut inside = self.inside();
        let epoch = match inside.epoch {
            Some(epoch) => epoch,
            None => {
                let next = |work: Transaction<'_>| {
                    let epoch = number(&work, "epoch")?.unwrap_or(0) + 1;
                    set_number(&work, "epoch", epoch)?;
                    work.commit()?;
                    Ok(epoch)
                };
                let work = inside.database.transaction_with_behavior(TransactionBehavior::Immediate);
                work.and_then(next).map_err(|error| self.failed(&error))?
            }
        };
        inside.epoch = Some(epoch);
        inside.process = Some(who.clone());
        // The lock is kept as long as the process lives: nobody else can lead meanwhile.
        let believed_until = Moment::now().after(LEASE);
        Ok(Standing::Leads(Leadership { epoch, fence: epoch, believed_until }))
    }

    fn resign(&self) -> Result<(), StoreError> {
        self.inside().epoch = None;
        Ok(())
    }

    fn processes(&self) -> Result<Vec<Process>, StoreError> {
        Ok(self.inside().process.iter().cloned().collect())
    }

    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let mut inside = self.inside();
        let read = |work: &Transaction<'_>| {
            let mut rows = work.prepare_cached("SELECT key, value, revision FROM record")?;
            let record =
                |row: &Row<'_>| Ok((row.get(0)?, Record { value: row.get(1)?, revision: unsigned(row, 2)? }));
            let records = rows.query_map([], record)?.collect::<rusqlite::Result<_>>()?;
            Ok(Snapshot { records, revision: number(work, "revision")?.unwrap_or(0) })
        };
        let work = inside.database.transaction();
        work.and_then(|work| read(&work)).map_err(|error| self.failed(&error))
    }

    fn changes_after(&self, revision: u64, wait: Duration) -> Result<Changes, StoreError> {
        let mut inside = self.inside();
        let read = |work: &Transaction<'_>| {
            let now = number(work, "revision")?.unwrap_or(0);
            if revision > now || now.saturating_sub(revision) > HISTORY {
                return Ok(Changes::Compacted);
            }
            let mut rows = work.prepare_cached(
                "SELECT key, value, revision FROM change WHERE revision > ?1 ORDER BY revision, key",
            )?;
            let change = |row: &Row<'_>| {
                let (value, revision): (Option<String>, u64) = (row.get(1)?, unsigned(row, 2)?);
                Ok((row.get(0)?, value.map(|value| Record { value, revision })))
            };
            let changes =
                rows.query_map([revision.cast_signed()], change)?.collect::<rusqlite::Result<_>>()?;
            Ok(Changes::Some(changes, now))
        };
        for is_last in [false, true] {
            let found = {
                let work = inside.database.transaction();
                work.and_then(|work| read(&work)).map_err(|error| self.failed(&error))?
            };
            let nothing = matches!(&found, Changes::Some(changes, _) if changes.is_empty());
            if is_last || !nothing {
                return Ok(found);
            }
            inside = self.changed.wait_timeout(inside, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(Changes::Some(Vec::new(), revision))
    }

    fn commit(&self, leadership: &Leadership, changes: &[Change]) -> Result<u64, StoreError> {
        check_sizes(changes)?;
        let mut inside = self.inside();
        let commit = |work: Transaction<'_>| {
            if number(&work, "epoch")? != Some(leadership.epoch) {
                return Ok(Err(StoreError::NotLeading));
            }
            for change in changes {
                if let Some(obstacle) = obstacle(&work, change)? {
                    return Ok(Err(obstacle));
                }
            }
            let revision = number(&work, "revision")?.unwrap_or(0) + 1;
            write(&work, changes, revision)?;
            work.commit()?;
            Ok(Ok(revision))
        };
        let work = inside.database.transaction_with_behavior(TransactionBehavior::Immediate);
        let revision = work.and_then(commit).map_err(|error| self.failed(&error))??;
        self.changed.notify_all();
        Ok(revision)
    }
}
