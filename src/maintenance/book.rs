//! The journal, as one run uses it: the daemon's own file, locked as the daemon locks it.

use std::path::Path;

use crate::journal::{Filter, Journal, Listed, Operation, RowOrder};
use crate::model::{ErrorCode, Failure, Migration, MigrationId, TabletKey, Task, TaskId, TimestampMs};
use crate::rules::transition::{Event, transition};

pub(super) struct Book(Journal);

impl Book {
    /// Opens it. `above` is the highest number that any root has seen: a journal that was lost gives none of those again.
    pub(super) fn open(state_dir: &Path, above: u64) -> Result<Self, Failure> {
        let (mut journal, _) = Journal::open(state_dir).map_err(unavailable)?;
        journal.ensure_next_id_above(MigrationId(above)).map_err(unavailable)?;
        Ok(Self(journal))
    }

    /// The moves of Doris roots that have not ended, oldest first; and what cannot be read, in words.
    pub(super) fn unfinished(&self) -> Result<(Vec<Migration>, Vec<String>), Failure> {
        let rows = self.0.unfinished().map_err(unavailable)?;
        let moves = rows.migrations.into_iter().filter(|row| row.doris.is_some()).collect();
        Ok((moves, rows.damaged.iter().map(ToString::to_string).collect()))
    }

    /// Every move of Doris roots that the journal still has, oldest first.
    pub(super) fn all(&self) -> Result<Vec<Migration>, Failure> {
        const PAGE_ROWS: u32 = 1000;
        let mut filter = Filter { order: RowOrder::OldestFirst, limit: PAGE_ROWS, ..Filter::default() };
        let mut moves = Vec::new();
        loop {
            let page = self.0.list(&filter).map_err(unavailable)?;
            moves.extend(page.rows.migrations.into_iter().filter(|row| row.doris.is_some()));
            filter.after = page.next_after;
            if filter.after.is_none() {
                return Ok(moves);
            }
        }
    }

    /// One row.
    pub(super) fn get(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        self.0.get(id).map_err(unavailable)
    }

    /// The newest move of a tablet.
    pub(super) fn latest(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        self.0.latest_for(key).map_err(unavailable)
    }

    /// The move that a request under this key became.
    pub(super) fn by_request_key(&self, key: &str) -> Result<Option<Migration>, Failure> {
        self.0.by_request_key(key).map_err(unavailable)
    }

    /// A page of rows.
    pub(super) fn list(&self, filter: &Filter) -> Result<Listed, Failure> {
        self.0.list(filter).map_err(unavailable)
    }

    /// Every task.
    pub(super) fn tasks(&self) -> Result<Vec<Task>, Failure> {
        let (tasks, damaged) = self.0.tasks().map_err(unavailable)?;
        damaged.iter().for_each(|row| tracing::warn!("{row}"));
        Ok(tasks)
    }

    /// Records a new task, durably.
    pub(super) fn add_task(&mut self, task: &Task) -> Result<TaskId, Failure> {
        self.0.add_task(task).map_err(unavailable)
    }

    /// Records how a task stands, durably.
    pub(super) fn note_task(&mut self, task: &Task) -> Result<(), Failure> {
        self.0.update_task(task).map_err(unavailable)
    }

    /// Forgets a task.
    pub(super) fn forget_task(&mut self, id: TaskId) -> Result<(), Failure> {
        self.0.delete_task(id).map_err(unavailable)
    }

    /// Records a new move, durably; it has its number when this returns.
    pub(super) fn accept(&mut self, row: &mut Migration) -> Result<(), Failure> {
        row.id = self.write(Operation::Accept(row))?;
        crate::fault::point("accepted");
        Ok(())
    }

    /// Records how a move stands, durably.
    pub(super) fn note(&mut self, row: &Migration) -> Result<(), Failure> {
        self.write(Operation::Update(row)).map(drop)
    }

    fn write(&mut self, operation: Operation<'_>) -> Result<MigrationId, Failure> {
        let mut answers = self.0.commit(&[operation]).map_err(unavailable)?;
        let answer = answers.pop().ok_or_else(|| unavailable("no answer to one operation"))?;
        answer.map_err(unavailable)
    }
}

fn unavailable(why: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorCode::JournalUnavailable, why.to_string())
}

/// Changes a row's status, in memory.
///
/// # Errors
/// `ILLEGAL_TRANSITION`: that does not happen to a move that stands so.
pub(crate) fn advance(row: &mut Migration, event: Event, reason: impl Into<String>) -> Result<(), Failure> {
    row.status = transition(row.status, event)
        .map_err(|illegal| Failure::new(ErrorCode::IllegalTransition, illegal.to_string()))?;
    row.status_reason = reason.into();
    row.updated_ms = now_ms();
    if row.status.is_final() {
        row.finished_ms = Some(row.updated_ms);
    }
    Ok(())
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> TimestampMs {
    chrono::Utc::now().timestamp_millis().saturating_add(crate::fault::clock_offset_ms())
}
