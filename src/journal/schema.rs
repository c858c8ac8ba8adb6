//! The tables, and how a connection to them is set up. Nothing here looks at a migration.
//!
//! The version of the format is SQLite's `user_version`. A change of the tables raises [`VERSION`] and adds a step
//! to [`upgrade`]. A file of a version above, or below [`OLDEST`], is refused as it is opened, untouched.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

/// `application_id` of the file: "tbJ1" (<https://sqlite.org/pragma.html#pragma_application_id>).
pub(super) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"tbJ1");

/// Version of the tables below.
pub(super) const VERSION: i32 = 6;

/// The lowest version that is read, that of release 0.1.0. Those before it are of no release.
pub(super) const OLDEST: i32 = 5;

/// Pages of a new journal. A row has two to three thousand bytes once its migration has ended: in pages of 4,096 each is
/// alone, and a growing one splits them. Each page of a commit is two calls. Older journals keep what they have.
pub(super) const PAGE_BYTES: usize = 16 << 10;

/// Key of the counted up-time in table `state`.
pub(super) const UPTIME_SECONDS: &str = "uptime_seconds";

/// Key of the first number of which this journal would still have a row, or has pruned it: numbers before it are of a
/// journal that was lost. Journals of 0.1 have none.
pub(super) const HISTORY_FROM: &str = "history_from";

/// How long a lock of another program (say, an operator's `sqlite3` shell) is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// `doc` is the truth: the migration as JSON, with its CRC-32. The other columns repeat parts of it, to select by.
///
/// `finished_seq` is NULL while the migration is unfinished and then a number that grows with every finish: retention
/// and "the last n finished" follow it, so that neither a clock set back nor a migration that took weeks upsets them.
/// AUTOINCREMENT keeps the highest number ever used in `sqlite_sequence`, also when its row is gone.
///
/// `request_key` is the key a client gave its request. Not unique here: the engine accepts one request of a key at a time,
/// and a broken promise must not break the journal. Of the other tables `doc` is the truth too: tasks, what an operator
/// has said of a tablet or a disk (`mark`), what the last verification of a tablet found (`tablet_check`).
pub(super) const TABLES: &str = "
    CREATE TABLE migration (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        tablet_id     INTEGER NOT NULL,
        schema_hash   INTEGER NOT NULL,
        status        TEXT    NOT NULL,
        phase         TEXT    NOT NULL,
        finished_seq  INTEGER,
        source_uuid   TEXT    NOT NULL,
        source_path   TEXT    NOT NULL,
        dest_uuid     TEXT    NOT NULL,
        dest_path     TEXT    NOT NULL,
        task          TEXT,
        created_ms    INTEGER NOT NULL,
        updated_ms    INTEGER NOT NULL,
        finished_ms   INTEGER,
        doc_crc32     INTEGER NOT NULL,
        doc           TEXT    NOT NULL,
        request_key   TEXT
    ) STRICT;
    CREATE INDEX migration_by_tablet   ON migration (tablet_id, schema_hash);
    CREATE INDEX migration_by_status   ON migration (status);
    CREATE INDEX migration_by_finished ON migration (finished_seq);
    CREATE INDEX migration_by_request_key ON migration (request_key) WHERE request_key IS NOT NULL;
    CREATE TABLE state (
        key   TEXT PRIMARY KEY,
        value ANY NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE task (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        status     TEXT    NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        doc_crc32  INTEGER NOT NULL,
        doc        TEXT    NOT NULL
    ) STRICT;
    CREATE TABLE mark (
        kind      TEXT    NOT NULL,
        subject   TEXT    NOT NULL,
        doc_crc32 INTEGER NOT NULL,
        doc       TEXT    NOT NULL,
        PRIMARY KEY (kind, subject)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tablet_check (
        tablet_id   INTEGER NOT NULL,
        schema_hash INTEGER NOT NULL,
        doc_crc32   INTEGER NOT NULL,
        doc         TEXT    NOT NULL,
        PRIMARY KEY (tablet_id, schema_hash)
    ) STRICT, WITHOUT ROWID;
";

/// Added by version 6: the highest generation, the owner and whoever may own of each tablet that was ever moved, never
/// pruned. `doc` is the truth. Filled from the rows that are there ([`super::ledger::fill`]).
const LEDGER_TABLE: &str = "
    CREATE TABLE ledger (
        tablet_id   INTEGER NOT NULL,
        schema_hash INTEGER NOT NULL,
        doc_crc32   INTEGER NOT NULL,
        doc         TEXT    NOT NULL,
        PRIMARY KEY (tablet_id, schema_hash)
    ) STRICT, WITHOUT ROWID;
";

/// What each version after [`OLDEST`] added to the one before, and a statement that fails to compile where it is missing.
const ADDED: [(i32, &str, &str); 1] =
    [(6, LEDGER_TABLE, "SELECT tablet_id, schema_hash, doc_crc32, doc FROM ledger")];

/// The version whose table is filled from rows that were there before.
const FILLED_FROM_ROWS: i32 = 6;

/// Fails to compile as a statement if a table or column is missing.
const PROBES: [&str; 6] = [
    "SELECT id, tablet_id, schema_hash, status, phase, finished_seq, source_uuid, source_path, dest_uuid, dest_path, \
     task, created_ms, updated_ms, finished_ms, doc_crc32, doc, request_key FROM \
     migration",
    "SELECT key, value FROM state",
    "SELECT name, seq FROM sqlite_sequence",
    "SELECT id, status, created_ms, updated_ms, doc_crc32, doc FROM task",
    "SELECT kind, subject, doc_crc32, doc FROM mark",
    "SELECT tablet_id, schema_hash, doc_crc32, doc FROM tablet_check",
];

/// What a file of this version must answer.
pub(super) fn probes(version: i32) -> impl Iterator<Item = &'static str> {
    let added = ADDED.iter().filter(move |(since, ..)| *since <= version).map(|(_, _, probe)| *probe);
    PROBES.iter().copied().chain(added)
}

/// Brings the tables of an older version to [`VERSION`], each step whole or not at all.
pub(super) fn upgrade(conn: &Connection) -> rusqlite::Result<()> {
    let version: i32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (to, tables, _) in ADDED.iter().filter(|(to, ..)| *to > version) {
        let step = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        step.execute_batch(tables)?;
        if *to == FILLED_FROM_ROWS {
            super::ledger::fill(&step)?;
        }
        step.pragma_update(None, "user_version", to)?;
        step.commit()?;
    }
    Ok(())
}

/// Makes the tables in an empty database, stamped with [`APPLICATION_ID`] and [`VERSION`], and turns it to WAL.
pub(super) fn create(conn: &Connection) -> rusqlite::Result<()> {
    let added: String = ADDED.iter().map(|(_, tables, _)| *tables).collect();
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA page_size = {PAGE_BYTES};
         BEGIN;
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {VERSION};
         {TABLES}
         {added}
         INSERT INTO state (key, value) VALUES ('{HISTORY_FROM}', 1);
         COMMIT;
         PRAGMA journal_mode = WAL;"
    ))
}

/// Opens an existing file so that nothing is changed in it yet, not even by closing it again.
pub(super) fn connect_untouching(file: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // Before the first read, so that the index of the write-ahead log lives in memory and not in a `-shm` file
    // (<https://sqlite.org/wal.html#noshm>). The lock goes with the process.
    conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON;")?;
    Ok(conn)
}

/// Prepares a connection to a file that was found good for writing.
pub(super) fn allow_writes(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384;
         PRAGMA journal_size_limit = 67108864;",
    )
}

/// Folds the write-ahead log into the file and empties it: what lies behind its end, torn or damaged, is not found there by
/// a later start. A full disk is no reason not to start.
pub(super) fn fold_log(conn: &Connection) -> rusqlite::Result<()> {
    match conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Ok(()),
        done => done,
    }
}
