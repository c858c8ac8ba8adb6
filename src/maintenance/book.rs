//! The journal, as one run uses it: the daemon's own file, locked as the daemon locks it.

use std::path::Path;

use crate::journal::{Filter, Journal, Operation, Order};
use crate::model::{ErrorCode, Failure, Migration, MigrationId};
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
        let mut filter = Filter { order: Order::OldestFirst, limit: PAGE_ROWS, ..Filter::default() };
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
pub(super) fn advance(row: &mut Migration, event: Event, reason: impl Into<String>) -> Result<(), Failure> {
    row.status = transition(row.status, event)
        .map_err(|illegal| Failure::new(ErrorCode::Internal, illegal.to_string()))?;
    row.status_reason = reason.into();
    row.updated_ms = now_ms();
    if row.status.is_final() {
        row.finished_ms = Some(row.updated_ms);
    }
    Ok(())
}

/// Milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis().saturating_add(crate::fault::clock_offset_ms())
}
