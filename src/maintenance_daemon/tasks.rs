//! Tasks: named lists of moves that are fed to the queue one by one. What is decided of them is in
//! [`crate::rules::task_standing`]; the journal has each as it last stood.

use super::inner::{Inner, lock};
use super::plans;
use super::task_list::{ListedTask, view};
use crate::engine::{NewTask, Page, TargetFilter, TaskFilter, TaskView, page_limit};
use crate::maintenance::{now_ms, wishes_of};
use crate::model::{
    ErrorCode, Failure, MigrateTarget, Migration, PlanCompleteness, PlannedMove, Task, TaskId, TaskPlan,
    TaskRequest, TaskStatus, counted,
};
use crate::rules::task_standing::{Standing, end};

impl Inner {
    /// Makes the plan of a task. Nothing is written.
    pub(super) fn plan_task(&self, asked: &NewTask) -> Result<TaskPlan, Failure> {
        let (request, wishes) = plans::request(&asked.request)?;
        let refused = |why| Failure::new(ErrorCode::PlanRefused, why);
        let plan = self.session.plan(&request, wishes).map_err(refused)?;
        let plan = plans::frozen(&self.session.node(), plan, asked.completeness);
        if asked.fingerprint.is_some_and(|wanted| wanted != plan.fingerprint) {
            let text = "the plan is another one by now: look at it again with dry_run";
            return Err(Failure::new(ErrorCode::PlanDrifted, text));
        }
        Ok(plan)
    }

    pub(super) fn create_task(&self, asked: &NewTask) -> Result<TaskView, Failure> {
        // Of two requests under one key at once one makes a task.
        let _claim = asked.idempotency.as_ref().map(|request| self.keys.claim(&request.key)).transpose()?;
        // Bound first: within an `if let` the list would still be locked while the task is shown.
        let kept = asked.kept_before(self.tasks().0.values().map(|entry| &entry.task))?;
        if let Some(id) = kept {
            return self.task(id);
        }
        NewTask::check_room(self.tasks().0.len())?;
        let plan = self.plan_task(asked)?;
        let short = plan.left_out.len() + plan.fits_nowhere.len();
        if asked.completeness == PlanCompleteness::AllOrNothing && short > 0 {
            let text = format!(
                "{} would stay (see dry_run); ask for completeness \"what_fits\" to move the others",
                counted(short, "tablet")
            );
            return Err(Failure::new(ErrorCode::PlanRefused, text));
        }
        let mut task = asked.with_plan(plan, now_ms());
        task.id = self.session.add_task(&task)?;
        let entry = ListedTask { moves: vec![Standing::Pending; task.plan.moves.len()], task };
        let shown = view(&entry, true);
        self.tasks().0.insert(shown.task.id, entry);
        Ok(shown)
    }

    pub(super) fn task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.tasks().entry(id).map(|entry| view(entry, true))
    }

    pub(super) fn task_list(&self, filter: &TaskFilter) -> Page<TaskView> {
        let is_about = |task: &Task, path: &String| {
            let asked = matches!(&task.request, TaskRequest::Drain { disks, .. } if disks.contains(path));
            asked
                || task.plan.moves.iter().any(|one| one.source.path == *path || one.destination.path == *path)
        };
        let wanted = |task: &Task| {
            (filter.statuses.is_empty() || filter.statuses.contains(&task.status))
                && filter.kind.as_ref().is_none_or(|kind| task.request.kind() == kind)
                && filter.disk.as_ref().is_none_or(|path| is_about(task, path))
        };
        let tasks = self.tasks();
        let all: Vec<&ListedTask> = tasks.0.values().filter(|entry| wanted(&entry.task)).collect();
        let limit = page_limit(filter.limit);
        let after = |entry: &&&ListedTask| filter.after.is_none_or(|after| entry.task.id > after);
        let items = all.iter().filter(after).take(limit).map(|entry| view(entry, filter.with_disks));
        Page { total: all.len() as u64, items: items.collect() }
    }

    pub(super) fn targets(&self, id: TaskId, filter: &TargetFilter) -> Result<Page<MigrateTarget>, Failure> {
        let (moves, plan) = {
            let mut tasks = self.tasks();
            let entry = tasks.entry(id)?;
            (entry.moves.clone(), entry.task.plan.moves.clone())
        };
        let target = |(at, (planned, standing)): (usize, (PlannedMove, Standing))| {
            let migration_id = match &standing {
                Standing::Running(id) => Some(*id),
                _ => None,
            };
            let row = migration_id.and_then(|id| self.queue.get(id));
            let reason = match &standing {
                Standing::Failed(why) => why.clone(),
                _ => row.as_ref().map_or_else(String::new, |row| row.status_reason.clone()),
            };
            MigrateTarget {
                position: at as u64,
                planned,
                status: standing.status(),
                migration_id,
                migration_status: row.map(|row| row.status),
                reason,
            }
        };
        let wanted = |target: &MigrateTarget| {
            let ends = [&target.planned.source.path, &target.planned.destination.path];
            (filter.statuses.is_empty() || filter.statuses.contains(&target.status))
                && filter.disk.as_ref().is_none_or(|path| ends.contains(&path))
        };
        let all: Vec<_> = plan.into_iter().zip(moves).enumerate().map(target).filter(wanted).collect();
        let limit = page_limit(filter.limit);
        let total = all.len() as u64;
        let after = |target: &MigrateTarget| filter.after.is_none_or(|after| target.position > after);
        Ok(Page { total, items: all.into_iter().filter(after).take(limit).collect() })
    }

    /// Changes where a task stands, if it may go there.
    pub(super) fn steer_task(&self, id: TaskId, verb: &str, to: TaskStatus) -> Result<TaskView, Failure> {
        self.change_task(id, verb, &|task| {
            task.status = to;
            if to == TaskStatus::Running {
                task.started_ms.get_or_insert(task.updated_ms);
            }
        })
    }

    /// Changes a task that is not over; durable when this returns.
    pub(super) fn change_task(
        &self,
        id: TaskId,
        verb: &str,
        change: &dyn Fn(&mut Task),
    ) -> Result<TaskView, Failure> {
        let _one_at_a_time = lock(&self.accepting);
        let mut task = self.tasks().entry(id)?.task.clone();
        if task.status.is_over() {
            let text = format!("task {id} is {}: it cannot be {verb}", task.status.as_str());
            return Err(Failure::new(ErrorCode::IllegalTransition, text));
        }
        task.updated_ms = now_ms();
        change(&mut task);
        self.session.note_task(&task)?;
        self.tasks().entry(id)?.task = task;
        // Its last move may have ended since it was read.
        self.end_task_if_over(id)?;
        self.queue.ring();
        self.task(id)
    }

    /// Calls a task off: moves that wait are aborted, the one under way goes back.
    pub(super) fn cancel_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.steer_task(id, "cancelled", TaskStatus::Cancelled)?;
        let running: Vec<_> = {
            let mut tasks = self.tasks();
            let entry = tasks.entry(id)?;
            let pending = entry.moves.iter_mut().filter(|standing| **standing == Standing::Pending);
            pending.for_each(|standing| *standing = Standing::Cancelled);
            let running = entry.moves.iter().filter_map(|standing| match standing {
                Standing::Running(id) => Some(*id),
                _ => None,
            });
            running.collect()
        };
        for migration in running {
            // One past its commit ends by itself.
            let _ = self.abort(migration, &format!("task {id} was cancelled"));
        }
        self.end_task_if_over(id)?;
        self.task(id)
    }

    fn end_task_if_over(&self, id: TaskId) -> Result<(), Failure> {
        let ended = {
            let mut tasks = self.tasks();
            let entry = tasks.entry(id)?;
            end(&mut entry.task, &entry.moves, now_ms()).then(|| entry.task.clone())
        };
        ended.map_or(Ok(()), |task| self.session.note_task(&task))
    }

    pub(super) fn delete_task(&self, id: TaskId) -> Result<(), Failure> {
        let status = self.tasks().entry(id)?.task.status;
        if !status.is_over() {
            let text = format!("task {id} is {}: cancel it first", status.as_str());
            return Err(Failure::new(ErrorCode::IllegalTransition, text));
        }
        self.session.forget_task(id)?;
        self.tasks().0.remove(&id);
        Ok(())
    }

    /// Accepts the next move that a running task wants. Says whether there was one.
    pub(super) fn feed(&self) -> bool {
        // Not between the look of a request that pauses or cancels the task and its write: what it stopped does not begin.
        let accepting = lock(&self.accepting);
        let Some((task, at, planned)) = self.tasks().next() else { return false };
        let wishes = wishes_of(&task.request);
        let dress = |row: &mut Migration| {
            row.task = Some(task.id);
            row.priority = task.options.priority;
            row.request_reason.clone_from(&task.reason);
        };
        let (key, to) = (planned.key, planned.destination.path.as_str());
        let standing = match self.accept_alone(&accepting, key, to, wishes, &dress) {
            Ok(row) => Standing::Running(row.id),
            // Whoever was here before has done it.
            Err(failure) if failure.code == ErrorCode::AlreadyOnDisk => Standing::Completed,
            // Nothing speaks against the move: it is asked for again by the next start, or at the next look.
            Err(failure)
                if matches!(failure.code, ErrorCode::ShuttingDown | ErrorCode::JournalUnavailable) =>
            {
                return false;
            }
            Err(failure) => Standing::Failed(failure.message),
        };
        let ended = self.tasks().note(task.id, at, standing);
        self.keep(ended);
        true
    }

    /// The migration of a task has come to its end.
    pub(super) fn task_move_ended(&self, row: &Migration) {
        let Some(id) = row.task else { return };
        let ended = {
            let mut tasks = self.tasks();
            let Ok(entry) = tasks.entry(id) else { return };
            let at = entry.task.plan.moves.iter().position(|planned| planned.key == row.key);
            let standing = match (Standing::of(row), entry.task.status) {
                (Standing::Failed(_), TaskStatus::Cancelled) => Standing::Cancelled,
                (standing, _) => standing,
            };
            at.and_then(|at| tasks.note(id, at, standing))
        };
        self.keep(ended);
    }

    fn keep(&self, ended: Option<Task>) {
        if let Some(task) = ended
            && let Err(failure) = self.session.note_task(&task)
        {
            // The next start finds it over as well.
            tracing::error!("task {} has ended, and the journal does not know: {}", task.id, failure.message);
        }
    }
}
