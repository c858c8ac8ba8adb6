//! The tasks in memory: what the journal has of each, and how its moves stand. Knows no disk and no journal.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::task_moves::Moves;
use crate::model::{DiskUuid, ErrorCode, Failure, Task, TaskId, TaskResult, TaskStatus};
use crate::rules::task_standing;

/// How one move stands; a planner's standing is another thing.
pub(crate) use crate::rules::task_standing::Standing as MoveState;

/// Whether the states of the moves were compared with the node since the start of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stock {
    /// Not yet.
    ToTake,
    /// They were, or nothing of the task was ever submitted.
    Taken,
}

/// Bytes that were finished at a moment, by source disk.
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) finished: BTreeMap<DiskUuid, u64>,
}

/// One task.
pub(crate) struct KeptTask {
    pub(crate) task: Arc<Task>,
    /// One per move of the plan; empty once the task is over.
    pub(crate) moves: Moves,
    pub(crate) stock: Stock,
    /// The last move that could not be submitted, by its place, and why; `None` when all could.
    pub(crate) waits: Option<(usize, String)>,
    /// What would help the moves that wait, in words; of the last look.
    pub(crate) way_out: Option<String>,
    /// When a way out was last looked for.
    pub(crate) looked_for_way: Option<Instant>,
    /// Of the last seconds, oldest first.
    pub(crate) samples: VecDeque<Sample>,
}

impl KeptTask {
    pub(crate) fn new(task: Task) -> Self {
        let moves = match &task.result {
            Some(_) => Moves::default(),
            None => Moves::new(vec![MoveState::Pending; task.plan.moves.len()], &task.plan.moves),
        };
        let stock = if task.started_ms.is_some() { Stock::ToTake } else { Stock::Taken };
        let (way_out, looked_for_way) = (None, None);
        let (waits, samples) = (None, VecDeque::new());
        Self { task: Arc::new(task), moves, stock, waits, way_out, looked_for_way, samples }
    }

    /// A move stands like this now.
    pub(crate) fn set_move(&mut self, at: usize, state: MoveState) {
        self.moves.set(at, state, &self.task.plan.moves);
    }

    /// All of them stand as `how` says; also once the plan has changed.
    pub(crate) fn restate(&mut self, how: impl FnMut(MoveState) -> MoveState) {
        self.moves.restate(&self.task.plan.moves, how);
    }

    /// Whether the feeder has to look after it.
    pub(crate) fn is_active(&self) -> bool {
        let begun = self.task.started_ms.is_some() || self.task.status == TaskStatus::Cancelled;
        begun && self.task.result.is_none()
    }

    /// The sums and the failures by name.
    pub(crate) fn result(&self) -> TaskResult {
        if let Some(result) = &self.task.result {
            return result.clone();
        }
        task_standing::result(&self.task, &self.moves)
    }

    /// How every move stands, also after the end.
    pub(crate) fn states(&self) -> Vec<MoveState> {
        match &self.task.result {
            Some(result) => task_standing::of_ended(&self.task, result),
            None => self.moves.to_vec(),
        }
    }
}

/// All tasks.
#[derive(Default)]
pub(crate) struct TaskBook {
    pub(crate) entries: BTreeMap<TaskId, KeptTask>,
}

impl TaskBook {
    pub(crate) fn get(&self, id: TaskId) -> Result<&KeptTask, Failure> {
        self.entries.get(&id).ok_or_else(|| unknown(id))
    }

    pub(crate) fn get_mut(&mut self, id: TaskId) -> Result<&mut KeptTask, Failure> {
        self.entries.get_mut(&id).ok_or_else(|| unknown(id))
    }

    /// Tasks that are under way with moves from or to a disk.
    pub(crate) fn touching(&self, disk: DiskUuid) -> Vec<TaskId> {
        let active = self.entries.values().filter(|entry| entry.is_active());
        let touching = active.filter(|entry| {
            let mut moves = entry.task.plan.moves.iter().zip(entry.moves.iter());
            moves.any(|(planned, state)| {
                state.is_open() && (planned.source.uuid == disk || planned.destination.uuid == disk)
            })
        });
        touching.map(|entry| entry.task.id).collect()
    }

    /// A task under way that has moves to this disk still to submit.
    pub(crate) fn sends_to(&self, disk: DiskUuid) -> Option<TaskId> {
        let under_way = [TaskStatus::Running, TaskStatus::Paused];
        let running = self.entries.values().filter(|entry| under_way.contains(&entry.task.status));
        let mut sending = running.filter(|entry| {
            let mut moves = entry.task.plan.moves.iter().zip(entry.moves.iter());
            moves.any(|(planned, state)| *state == MoveState::Pending && planned.destination.uuid == disk)
        });
        sending.next().map(|entry| entry.task.id)
    }
}

fn unknown(id: TaskId) -> Failure {
    Failure::new(ErrorCode::TaskNotFound, format!("there is no task {id}"))
}
