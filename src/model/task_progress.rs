//! How a task goes, seen from the disks it takes tablets from, and each of its moves as it stands.

use serde::{Deserialize, Serialize};

use super::{MigrationId, MoveStatus, PlannedMove, Status, Step, TabletKey, TaskStatus};

/// One source disk of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskDisk {
    /// Path of the disk the tablets leave.
    pub disk: String,
    /// That of the task; `paused` also where only this disk is, `finished` once nothing is left to be done from it.
    pub status: TaskStatus,
    /// The step most of its running moves are in; `null` while none runs.
    pub unit: Option<Step>,
    /// Moves of the plan from it.
    pub moves_total: u64,
    /// Not submitted yet.
    pub moves_pending: u64,
    /// Submitted: queued, running or paused.
    pub moves_running: u64,
    /// Done.
    pub moves_completed: u64,
    /// Given up.
    pub moves_failed: u64,
    /// Sum of the moves.
    pub total_bytes: u64,
    /// Of moves that are done, and what is verified of those under way.
    pub finished_bytes: u64,
    /// Finished bytes per second, over the last seconds; `null` while the task does not run.
    pub bytes_per_sec: Option<u64>,
    /// Moves that do not get on, each with the reason; the first hundred.
    pub blocked: Vec<BlockedMove>,
    /// Why the last move that was given up was; `null` when none was.
    pub error: Option<String>,
}

impl TaskDisk {
    /// One from which no move is known yet.
    pub const fn new(disk: String, status: TaskStatus) -> Self {
        Self {
            disk,
            status,
            unit: None,
            moves_total: 0,
            moves_pending: 0,
            moves_running: 0,
            moves_completed: 0,
            moves_failed: 0,
            total_bytes: 0,
            finished_bytes: 0,
            bytes_per_sec: None,
            blocked: Vec::new(),
            error: None,
        }
    }
}

/// Seconds until a task is done at the speed of now, all its disks together; `None` while none of it moves.
pub fn eta_seconds(disks: &[TaskDisk]) -> Option<u64> {
    let left: u64 = disks.iter().map(|disk| disk.total_bytes.saturating_sub(disk.finished_bytes)).sum();
    let speed: u64 = disks.iter().filter_map(|disk| disk.bytes_per_sec).sum();
    (speed > 0).then(|| left.div_ceil(speed))
}

/// A move that waits for more than its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BlockedMove {
    /// Which tablet.
    #[serde(flatten)]
    pub key: TabletKey,
    /// The migration that carries it out; `null` when none could be submitted.
    pub migration_id: Option<MigrationId>,
    /// Path of its destination.
    pub destination: String,
    /// What it waits for, in words.
    pub reason: String,
}

/// One move of a plan as it stands: a migrate target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MigrateTarget {
    /// Place in the plan, from 0: the marker of a page.
    pub position: u64,
    /// The move.
    #[serde(flatten)]
    pub planned: PlannedMove,
    /// How it stands.
    pub status: MoveStatus,
    /// The migration that carries it out, while it does.
    pub migration_id: Option<MigrationId>,
    /// Where that one stands.
    pub migration_status: Option<Status>,
    /// What it waits for, or why it was given up; empty when there is nothing to say.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_all_disks_at_their_speed_of_now() {
        let disk = |finished_bytes, bytes_per_sec| TaskDisk {
            total_bytes: 1000,
            finished_bytes,
            bytes_per_sec,
            ..TaskDisk::new("/d".into(), TaskStatus::Running)
        };
        for (disks, expected) in [
            (vec![], None),
            (vec![disk(0, None)], None),
            (vec![disk(0, Some(0))], None),
            (vec![disk(1000, Some(7))], Some(0)),
            (vec![disk(0, Some(7))], Some(143)),
            (vec![disk(500, Some(60)), disk(900, Some(40))], Some(6)),
            (vec![disk(500, Some(10)), disk(0, None)], Some(150)),
        ] {
            assert_eq!(eta_seconds(&disks), expected, "{disks:?}");
        }
    }
}
