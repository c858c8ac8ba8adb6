//! The ledger: the highest generation, the owner and whoever may own of every tablet that was ever moved. Written in the
//! transaction of the row that says it, and never pruned.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::row::{self, COLUMNS};
use super::{Journal, JournalError};
use crate::model::{DiskUuid, LedgerLine, LedgerOwner, Migration, Status, TabletKey};

/// Writes what a migration's row says of its tablet. On roots of a real Doris backend that one owns the tablets: it may
/// move or drop them as soon as it runs, and nothing is promised here.
pub(super) fn note(conn: &Connection, migration: &Migration) -> rusqlite::Result<()> {
    if migration.doris.is_some() {
        return Ok(());
    }
    change(conn, migration.key, |line| line.after(migration))
}

/// Writes a line if it says something else than before.
fn change(
    conn: &Connection,
    key: TabletKey,
    how: impl FnOnce(LedgerLine) -> LedgerLine,
) -> rusqlite::Result<()> {
    let before = known(conn, key)?.unwrap_or_else(|| LedgerLine::new(key));
    let line = how(before.clone());
    if line == before {
        return Ok(());
    }
    let doc = serde_json::to_string(&line).expect("a line holds strings and whole numbers");
    conn.prepare_cached(
        "INSERT INTO ledger (tablet_id, schema_hash, doc_crc32, doc)
         VALUES (:tablet_id, :schema_hash, :doc_crc32, :doc)
         ON CONFLICT (tablet_id, schema_hash) DO UPDATE SET doc_crc32 = :doc_crc32, doc = :doc",
    )?
    .execute(named_params! {
        ":tablet_id": key.tablet_id.0,
        ":schema_hash": key.schema_hash.0,
        ":doc_crc32": crc32fast::hash(doc.as_bytes()),
        ":doc": doc,
    })
    .map(drop)
}

/// The line of a tablet. A damaged one is begun again: each start says that it is.
fn known(conn: &Connection, key: TabletKey) -> rusqlite::Result<Option<LedgerLine>> {
    let found: Option<(i64, Vec<u8>)> = conn
        .prepare_cached(
            "SELECT doc_crc32, CAST(doc AS BLOB) FROM ledger WHERE tablet_id = ?1 AND schema_hash = ?2",
        )?
        .query_row((key.tablet_id.0, key.schema_hash.0), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let whole = found.filter(|(crc32, doc)| i64::from(crc32fast::hash(doc)) == *crc32);
    Ok(whole.and_then(|(_, doc)| serde_json::from_slice(&doc).ok()))
}

/// Fills an empty ledger from the rows that are there. A damaged row is told by whoever reads it.
pub(super) fn fill(conn: &Connection) -> rusqlite::Result<()> {
    let mut statement =
        conn.prepare(&format!("SELECT {COLUMNS} FROM migration WHERE status IN (?1, ?2) ORDER BY id"))?;
    let mut rows = statement.query([Status::Finalizing, Status::Completed].map(Status::as_str))?;
    while let Some(found) = rows.next()? {
        if let Ok(migration) = row::read(found)? {
            note(conn, &migration)?;
        }
    }
    Ok(())
}

/// How a line is named when it cannot be read, with its bytes.
const LINES: &str =
    "SELECT 'the line of tablet ' || tablet_id || '_' || schema_hash || ' in the ledger', doc_crc32,
        CAST(doc AS BLOB) FROM ledger";

impl Journal {
    /// Every line, in order of the tablets, and in words those that cannot be read.
    ///
    /// # Errors
    /// SQLite's.
    pub fn ledger(&self) -> Result<(Vec<LedgerLine>, Vec<String>), JournalError> {
        self.documents("reading the ledger", &format!("{LINES} ORDER BY tablet_id, schema_hash"))
    }

    /// The lines that name this disk.
    ///
    /// # Errors
    /// SQLite's.
    pub fn ledger_of(&self, disk: DiskUuid) -> Result<Vec<LedgerLine>, JournalError> {
        let naming = format!("{LINES} WHERE instr(doc, '{disk}') > 0 ORDER BY tablet_id, schema_hash");
        Ok(self.documents("reading the ledger", &naming)?.0)
    }

    /// What is known of one tablet.
    ///
    /// # Errors
    /// SQLite's.
    pub fn ledger_line(&self, key: TabletKey) -> Result<Option<LedgerLine>, JournalError> {
        known(&self.conn, key).map_err(|source| self.fail("reading the ledger", source))
    }

    /// Writes who owns these tablets, where no migration's row says so.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn note_owners(&mut self, owners: &[(TabletKey, LedgerOwner)]) -> Result<(), JournalError> {
        self.check_available()?;
        self.transact("writing the ledger", |tx| {
            owners.iter().try_for_each(|(key, owner)| change(tx, *key, |line| line.owned_by(owner.clone())))
        })
    }
}
