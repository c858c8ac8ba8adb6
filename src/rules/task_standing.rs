//! How the moves of a task stand, what they sum up to, and, for nodes that do one move after the other, how they stand by the
//! migrations that carried them out and when the task is over.

use std::collections::BTreeMap;

use crate::model::{
    FailedMove, Migration, MigrationId, MoveStatus, Status, TabletKey, Task, TaskProgress, TaskResult,
    TaskStatus, TimestampMs,
};

/// Failed moves that are told by name.
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

    /// The migration that carries it out now.
    pub const fn migration(&self) -> Option<MigrationId> {
        match self {
            Self::Running(id) => Some(*id),
            _ => None,
        }
    }

    /// Whether it is left to be done.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Running(_))
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
    let mut newest: BTreeMap<TabletKey, &Migration> = BTreeMap::new();
    for row in rows {
        let known = newest.entry(row.key).or_insert(row);
        if row.id > known.id {
            *known = row;
        }
    }
    let moves = task.plan.moves.iter();
    moves.map(|planned| newest.get(&planned.key).copied().map_or(Standing::Pending, Standing::of)).collect()
}

/// How every move stands of a task that has ended.
pub fn of_ended(task: &Task, result: &TaskResult) -> Vec<Standing> {
    let mut standings = vec![Standing::Completed; task.plan.moves.len()];
    let reasons: BTreeMap<_, _> = result.failed.iter().map(|failed| (failed.key, &failed.reason)).collect();
    for at in result.undone.iter().map(|at| *at as usize) {
        let (Some(standing), Some(planned)) = (standings.get_mut(at), task.plan.moves.get(at)) else {
            continue;
        };
        *standing = match (reasons.get(&planned.key), task.status) {
            (Some(reason), _) => Standing::Failed((*reason).clone()),
            (None, TaskStatus::Cancelled) => Standing::Cancelled,
            (None, _) => Standing::Failed("given up; its migration says why".to_owned()),
        };
    }
    standings
}

/// The sums, and the failures by name: the first hundred.
pub fn result(task: &Task, standings: &[Standing]) -> TaskResult {
    let plan = &task.plan;
    let mut progress = TaskProgress {
        moves_total: plan.moves.len() as u64,
        bytes_total: plan.total_bytes,
        ..TaskProgress::default()
    };
    let (mut failed, mut undone) = (Vec::new(), Vec::new());
    for (at, (planned, standing)) in plan.moves.iter().zip(standings).enumerate() {
        match standing {
            Standing::Pending => progress.moves_pending += 1,
            Standing::Running(_) => progress.moves_running += 1,
            Standing::Completed => {
                progress.moves_completed += 1;
                progress.bytes_completed += planned.size_bytes;
            }
            Standing::Cancelled => progress.moves_cancelled += 1,
            Standing::Failed(reason) => {
                progress.moves_failed += 1;
                if failed.len() < FAILED_SHOWN {
                    failed.push(FailedMove { key: planned.key, reason: reason.clone() });
                }
            }
        }
        if matches!(standing, Standing::Cancelled | Standing::Failed(_)) {
            undone.extend(u32::try_from(at));
        }
    }
    TaskResult { progress, failed, undone, shortfall: None }
}

/// Ends a task none of whose moves is left to be done. Says whether it did.
pub fn end(task: &mut Task, standings: &[Standing], now_ms: TimestampMs) -> bool {
    if task.result.is_some() || standings.iter().any(Standing::is_open) {
        return false;
    }
    if !task.status.is_over() {
        task.status = TaskStatus::Finished;
    }
    task.result = Some(result(task, standings));
    task.updated_ms = now_ms;
    task.finished_ms = Some(now_ms);
    true
}
