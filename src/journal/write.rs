//! Everything that changes the journal. Each call is one durable transaction.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior};

use crate::model::{Migration, MigrationId};

use super::row::{self, INSERT, REOPEN, UPDATE};
use super::{Journal, JournalError, Refused, ledger, schema};

/// Most rows one [`Journal::prune_finished`] deletes: few enough that commits waiting behind it do not notice.
pub const PRUNE_CHUNK_ROWS: u32 = 512;

/// The highest number SQLite can hold as a row's id.
const LAST_NUMBER: u64 = i64::MAX.cast_unsigned();

/// One change, part of a batch.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// Records a new migration. Its `id` is ignored; the journal assigns the next number.
    Accept(&'a Migration),
    /// Replaces the row of this migration, found by number and tablet. One that has ended keeps its end.
    Update(&'a Migration),
    /// As [`Self::Update`], of a migration that has ended and is to begin again.
    Reopen(&'a Migration),
}

/// What one call of [`Journal::prune_finished`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    pub deleted: u64,
    /// Whether another call would delete more.
    pub rest: Rest,
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Call again, after other work that waits.
    More,
    Nothing,
}

impl Journal {
    /// Applies a batch in one transaction and makes it durable with one sync. Returns one answer per operation, in
    /// order: the number of the migration, or why this one alone was not applied.
    ///
    /// # Errors
    /// The batch as a whole failed. For want of space alone ([`JournalError::Full`]) it is not in the file, and may be
    /// committed again. Otherwise nothing more is written from then on, and whether this batch is in the file is known
    /// only after a restart.
    pub fn commit(
        &mut self,
        operations: &[Operation<'_>],
    ) -> Result<Vec<Result<MigrationId, Refused>>, JournalError> {
        self.check_available()?;
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let mut next_id = self.next_id;
        let answers = self.transact("committing a batch", |tx| {
            operations.iter().map(|operation| apply(tx, *operation, &mut next_id)).collect()
        })?;
        // Not before: a batch that is not in the file has given out no number.
        self.next_id = next_id;
        Ok(answers)
    }

    /// Makes the next number higher than `id`, durably, and says that what is before it was never in this journal. For a
    /// fresh journal on disks that know older numbers: until what they promise is accepted again, it is not forgotten.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn ensure_next_id_above(&mut self, id: MigrationId) -> Result<(), JournalError> {
        self.check_available()?;
        if self.next_id > id.0 {
            return Ok(());
        }
        let last = highest_number(id.0);
        self.transact("raising the next number", |tx| begin_history_above(tx, last))?;
        self.next_id = last.cast_unsigned() + 1;
        Ok(())
    }

    /// Adds to the counted up-time and returns the new sum, in seconds. It only ever grows.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn add_uptime(&mut self, seconds: u64) -> Result<u64, JournalError> {
        self.check_available()?;
        let sum = self.uptime_seconds()?.saturating_add(seconds).min(LAST_NUMBER);
        self.transact("adding to the up-time", |tx| {
            set_state(tx, schema::UPTIME_SECONDS, sum.cast_signed())
        })?;
        Ok(sum)
    }

    /// Deletes finished migrations beyond the `keep` that finished last, the oldest first and at most
    /// [`PRUNE_CHUNK_ROWS`] of them. The space is used again; the file does not shrink.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn prune_finished(&mut self, keep: u64) -> Result<Pruned, JournalError> {
        self.check_available()?;
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let deleted = self.transact("pruning finished migrations", |tx| {
            tx.prepare_cached(
                "DELETE FROM migration WHERE id IN (
                    SELECT id FROM migration
                    WHERE finished_seq <= (
                        SELECT finished_seq FROM migration WHERE finished_seq IS NOT NULL
                        ORDER BY finished_seq DESC LIMIT 1 OFFSET ?1)
                    ORDER BY finished_seq LIMIT ?2)",
            )?
            .execute((keep, PRUNE_CHUNK_ROWS))
        })?;
        let rest = if deleted < PRUNE_CHUNK_ROWS as usize { Rest::Nothing } else { Rest::More };
        Ok(Pruned { deleted: deleted as u64, rest })
    }

    pub(super) fn transact<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let done = transact(&mut self.conn, work).map_err(|source| self.fail(doing, source))?;
        self.wants_space.set(false);
        Ok(done)
    }
}

/// Runs `work` in a transaction; dropped without its commit, it leaves nothing behind.
fn transact<T>(
    conn: &mut rusqlite::Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&tx)?;
    tx.commit()?;
    Ok(done)
}

/// A number as SQLite holds it, the highest one at most.
pub(super) fn highest_number(number: u64) -> i64 {
    number.min(LAST_NUMBER).cast_signed()
}

/// The next number is the one above `last`, and what has no row and a lower one was never in this journal.
pub(super) fn begin_history_above(tx: &Transaction<'_>, last: i64) -> rusqlite::Result<()> {
    // SQLite adds the table's line here with its first row, hence maybe later.
    let changed = tx.execute("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'migration'", [last])?;
    if changed == 0 {
        tx.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('migration', ?1)", [last])?;
    }
    set_state(tx, schema::HISTORY_FROM, last.saturating_add(1))
}

fn set_state(tx: &Transaction<'_>, key: &str, value: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO state (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
    tx.prepare_cached(sql)?.execute((key, value)).map(drop)
}

pub(super) fn apply(
    tx: &Transaction<'_>,
    operation: Operation<'_>,
    next_id: &mut u64,
) -> rusqlite::Result<Result<MigrationId, Refused>> {
    match operation {
        Operation::Accept(migration) => {
            let Ok(id) = i64::try_from(*next_id) else { return Ok(Err(Refused::NumbersExhausted)) };
            let migration = Migration { id: MigrationId(*next_id), ..migration.clone() };
            row::write(&mut *tx.prepare_cached(INSERT)?, id, &migration)?;
            *next_id += 1;
            Ok(Ok(migration.id))
        }
        Operation::Update(migration) => replace(tx, UPDATE, migration),
        Operation::Reopen(migration) => replace(tx, REOPEN, migration),
    }
}

fn replace(
    tx: &Transaction<'_>,
    how: &str,
    migration: &Migration,
) -> rusqlite::Result<Result<MigrationId, Refused>> {
    let (id, key) = (migration.id, migration.key);
    let unknown = Ok(Err(Refused::UnknownMigration { id, key }));
    let Ok(number) = i64::try_from(id.0) else { return unknown };
    if row::write(&mut *tx.prepare_cached(how)?, number, migration)? > 0 {
        ledger::note(tx, migration)?;
        return Ok(Ok(id));
    }
    let ended = "SELECT status FROM migration
        WHERE id = ?1 AND tablet_id = ?2 AND schema_hash = ?3 AND finished_seq IS NOT NULL";
    let ended = tx
        .prepare_cached(ended)?
        .query_row((number, key.tablet_id.0, key.schema_hash.0), |row| row.get::<_, String>(0))
        .optional()?;
    match ended {
        Some(status) => Ok(Err(Refused::Ended { id, status, late: migration.status })),
        None => unknown,
    }
}
