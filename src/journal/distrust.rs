//! A journal that has lost its end: what it says of things under way is how they stood once. What an operator decided since,
//! a pause, an abort, a stop, may be what is missing.

use rusqlite::Transaction;

use super::row::{self, UPDATE};
use super::{Journal, JournalError, task, write};
use crate::model::{Migration, MigrationId, Task, TaskStatus};

impl Journal {
    /// Writes down, in one transaction, that nothing of this journal goes on unasked: unfinished migrations wait before their
    /// swap for an operator, running tasks are stopped. Numbers up to `given_out` are not given out again, and one that has
    /// no row here is not taken for pruned.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn distrust(&mut self, given_out: MigrationId) -> Result<(), JournalError> {
        self.check_available()?;
        let unfinished = self.unfinished()?.migrations;
        let (tasks, _) = self.tasks()?;
        let last = write::highest_number(given_out.0.max(self.next_id.saturating_sub(1)));
        self.transact("noting that the journal lost its end", |tx| {
            write::begin_history_above(tx, last)?;
            unfinished.into_iter().try_for_each(|migration| let_migration_wait(tx, migration))?;
            tasks.into_iter().try_for_each(|task| let_task_wait(tx, task))
        })?;
        self.next_id = last.cast_unsigned() + 1;
        Ok(())
    }
}

fn let_migration_wait(tx: &Transaction<'_>, mut migration: Migration) -> rusqlite::Result<()> {
    migration.await_operator();
    row::write(&mut *tx.prepare_cached(UPDATE)?, migration.id.0.cast_signed(), &migration).map(drop)
}

fn let_task_wait(tx: &Transaction<'_>, mut task: Task) -> rusqlite::Result<()> {
    if task.status != TaskStatus::Running {
        return Ok(());
    }
    task.status = TaskStatus::Stopped;
    task::replace(tx, &task)
}
