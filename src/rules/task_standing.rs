//! How the moves of a task stand by the migrations that carried them out, and when the task is over: for nodes that do one
//! move after the other.

use crate::model::{
    FailedMove, Migration, MigrationId, MoveStatus, Status, Task, TaskProgress, TaskResult, TaskStatus,
    TimestampMs,
};

/// Failed moves that are named.
const FAILED_SHOWN: usize = 100;

/// How one move of a plan stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not accepted yet.
    Pending,
    /// This migration carries it out.
    Running(MigrationId),
    Completed,
    /// Given up, and why.
    Failed(String),
    /// Its task was called off first.
    Cancelled,
}

impl Standing {
    /// As the API names it.
    pub const fn status(&self) -> MoveStatus {
        match self {
            Self::Pending => MoveStatus::Pending,
            Self::Running(_) => MoveStatus::Running,
            Self::Completed => MoveStatus::Completed,
            Self::Failed(_) => MoveStatus::Failed,
            Self::Cancelled => MoveStatus::Cancelled,
        }
    }

    /// By the migration that carries it out.
    pub fn of(row: &Migration) -> Self {
        match row.status {
            Status::Completed => Self::Completed,
            Status::Failed | Status::Aborted | Status::Expired => Self::Failed(row.status_reason.clone()),
            _ => Self::Running(row.id),
        }
    }
}

/// How every move of a plan stands, by the migrations of the task; of several for one tablet the newest counts.
pub fn standings(task: &Task, rows: &[Migration]) -> Vec<Standing> {
    if let (true, Some(result)) = (task.status.is_over(), &task.result) {
        return of_ended(task, result);
    }
    let newest = |key| rows.iter().filter(|row| row.key == key).max_by_key(|row| row.id);
    let moves = task.plan.moves.iter();
    moves.map(|planned| newest(planned.key).map_or(Standing::Pending, Standing::of)).collect()
}

fn of_ended(task: &Task, result: &TaskResult) -> Vec<Standing> {
    let one = |(at, planned): (usize, &crate::model::PlannedMove)| {
        if !result.undone.iter().any(|undone| *undone as usize == at) {
            return Standing::Completed;
        }
        match result.failed.iter().find(|failed| failed.key == planned.key) {
            Some(failed) => Standing::Failed(failed.reason.clone()),
            None if task.status == TaskStatus::Cancelled => Standing::Cancelled,
            None => Standing::Failed("more than a hundred moves were given up; see the journal".to_owned()),
        }
    };
    task.plan.moves.iter().enumerate().map(one).collect()
}

/// The sums.
pub fn progress(task: &Task, standings: &[Standing]) -> TaskProgress {
    let mut sums = TaskProgress { moves_total: standings.len() as u64, ..TaskProgress::default() };
    for (planned, standing) in task.plan.moves.iter().zip(standings) {
        sums.bytes_total += planned.size_bytes;
        match standing {
            Standing::Pending => sums.moves_pending += 1,
            Standing::Running(_) => sums.moves_running += 1,
            Standing::Completed => {
                sums.moves_completed += 1;
                sums.bytes_completed += planned.size_bytes;
            }
            Standing::Failed(_) => sums.moves_failed += 1,
            Standing::Cancelled => sums.moves_cancelled += 1,
        }
    }
    sums
}

/// Those given up, the first hundred.
pub fn failed(task: &Task, standings: &[Standing]) -> Vec<FailedMove> {
    let each = task.plan.moves.iter().zip(standings);
    let failed = each.filter_map(|(planned, standing)| match standing {
        Standing::Failed(reason) => Some(FailedMove { key: planned.key, reason: reason.clone() }),
        _ => None,
    });
    failed.take(FAILED_SHOWN).collect()
}

/// Ends a task none of whose moves is left to be done. Says whether it did.
pub fn end(task: &mut Task, standings: &[Standing], now_ms: TimestampMs) -> bool {
    let is_left = |standing: &Standing| matches!(standing, Standing::Pending | Standing::Running(_));
    if task.result.is_some() || standings.iter().any(is_left) {
        return false;
    }
    if !task.status.is_over() {
        task.status = TaskStatus::Finished;
    }
    let undone = standings.iter().enumerate().filter(|(_, standing)| **standing != Standing::Completed);
    let result = TaskResult {
        progress: progress(task, standings),
        failed: failed(task, standings),
        undone: undone.map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect(),
        shortfall: None,
    };
    task.result = Some(result);
    task.updated_ms = now_ms;
    task.finished_ms = Some(now_ms);
    true
}
