//! The tasks there are, in memory, and how one is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::TaskView;
use crate::maintenance::{Session, now_ms};
use crate::model::{ErrorCode, Failure, PlannedMove, Task, TaskDisk, TaskId, TaskStatus};
use crate::rules::task_standing::{Standing, end, result, standings};

/// One task, and how each of its moves stands.
pub(super) struct ListedTask {
    pub(super) task: Task,
    pub(super) moves: Vec<Standing>,
}

/// Every task of the node.
#[derive(Default)]
pub(super) struct TaskList(pub(super) BTreeMap<TaskId, ListedTask>);

impl TaskList {
    /// As the journal has them.
    pub(super) fn load(session: &Session) -> Result<Self, Failure> {
        let mut list = Self::default();
        for mut task in session.tasks()? {
            // Of one that has ended its result says all.
            let has_ended = task.status.is_over() && task.result.is_some();
            let rows = if has_ended { Vec::new() } else { session.rows_of(task.id)? };
            let moves = standings(&task, &rows);
            if end(&mut task, &moves, now_ms()) {
                session.note_task(&task)?;
            }
            list.0.insert(task.id, ListedTask { task, moves });
        }
        Ok(list)
    }

    pub(super) fn entry(&mut self, id: TaskId) -> Result<&mut ListedTask, Failure> {
        self.0
            .get_mut(&id)
            .ok_or_else(|| Failure::new(ErrorCode::TaskNotFound, format!("there is no task {id}")))
    }

    /// The next move that a running task wants: of which task, at which place.
    pub(super) fn next(&self) -> Option<(Task, usize, PlannedMove)> {
        let running = self.0.values().filter(|entry| entry.task.status == TaskStatus::Running);
        running
            .filter_map(|entry| {
                let at = entry.moves.iter().zip(&entry.task.plan.moves).position(|(standing, planned)| {
                    *standing == Standing::Pending && !entry.task.paused_disks.contains(&planned.source.uuid)
                })?;
                Some((entry.task.clone(), at, entry.task.plan.moves[at].clone()))
            })
            .next()
    }

    /// Tasks that are not over, with moves from or to that root.
    pub(super) fn with_disk(&self, path: &str) -> Vec<TaskId> {
        let about = |entry: &&ListedTask| {
            let mut moves = entry.task.plan.moves.iter();
            !entry.task.status.is_over()
                && moves.any(|one| one.source.path == path || one.destination.path == path)
        };
        self.0.values().filter(about).map(|entry| entry.task.id).collect()
    }

    /// Notes how a move stands; the task as it is to be journalled, where that ended it.
    pub(super) fn note(&mut self, id: TaskId, at: usize, standing: Standing) -> Option<Task> {
        let entry = self.0.get_mut(&id)?;
        *entry.moves.get_mut(at)? = standing;
        end(&mut entry.task, &entry.moves, now_ms()).then(|| entry.task.clone())
    }
}

pub(super) fn view(entry: &ListedTask, with_disks: bool) -> TaskView {
    let task = &entry.task;
    let sums = result(task, &entry.moves);
    TaskView {
        progress: sums.progress,
        failed: sums.failed,
        status_reason: match task.status {
            TaskStatus::Stopped => "not started: nothing moves before it is".to_owned(),
            TaskStatus::Running => "one move after the other; sources go to .tabletd/retired".to_owned(),
            TaskStatus::Paused => "paused: the move under way ends, and no further one begins".to_owned(),
            TaskStatus::Finished | TaskStatus::Cancelled => String::new(),
        },
        disks: if with_disks { by_disk(entry) } else { Vec::new() },
        task: Arc::new(task.clone()),
    }
}

fn by_disk(entry: &ListedTask) -> Vec<TaskDisk> {
    let mut disks: BTreeMap<&str, TaskDisk> = BTreeMap::new();
    for (planned, standing) in entry.task.plan.moves.iter().zip(&entry.moves) {
        let path = planned.source.path.as_str();
        let disk = disks.entry(path).or_insert_with(|| TaskDisk::new(path.to_owned(), entry.task.status));
        disk.moves_total += 1;
        disk.total_bytes += planned.size_bytes;
        match standing {
            Standing::Pending | Standing::Cancelled => disk.moves_pending += 1,
            Standing::Running(_) => disk.moves_running += 1,
            Standing::Completed => {
                disk.moves_completed += 1;
                disk.finished_bytes += planned.size_bytes;
            }
            Standing::Failed(why) => {
                disk.moves_failed += 1;
                disk.error = Some(why.clone());
            }
        }
    }
    disks.into_values().collect()
}
