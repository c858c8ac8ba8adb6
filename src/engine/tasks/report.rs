//! A task as it is shown: its sums, what it waits for in one line, how it goes on each disk, and its moves one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::engine::look::migrations;
use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::task_book::{KeptTask, MoveState, Sample};
use crate::engine::tasks::shortfall;
use crate::engine::view::{Page, TargetFilter, TaskFilter, TaskView, page_limit};
use crate::model::{
    BlockedMove, DiskCondition, DiskRef, DiskUuid, ErrorCode, Failure, Hold, MigrateTarget, Migration,
    MigrationId, PlanOutcome, PlannedMove, Status, Step, Task, TaskDisk, TaskId, TaskRequest, TaskResult,
    TaskStatus, counted, counted_as,
};

/// A running migration of which no byte has moved for so long is told as stuck.
const STUCK_AFTER_MS: i64 = 60_000;
/// Stuck moves that are told by name, per disk.
const BLOCKED_SHOWN: usize = 100;
/// Samples of the speed that are kept, one a second.
const SAMPLES: usize = 10;

/// How much is told of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Its sums and one line.
    Sums,
    /// How it goes on each disk too.
    Disks,
}

/// What is copied out under the lock.
struct Draft {
    task: Arc<Task>,
    result: TaskResult,
    under_way: Vec<(usize, MigrationId)>,
    waits: Option<(usize, String)>,
    way_out: Option<String>,
    disks: BTreeMap<DiskUuid, TaskDisk>,
    oldest: Option<(Instant, BTreeMap<DiskUuid, u64>)>,
}

impl Draft {
    fn of(entry: &KeptTask, detail: Detail) -> Self {
        Self {
            task: Arc::clone(&entry.task),
            result: entry.result(),
            under_way: entry.moves.running().collect(),
            waits: entry.waits.clone(),
            way_out: entry.way_out.clone(),
            disks: if detail == Detail::Disks { by_disk(entry) } else { BTreeMap::new() },
            oldest: entry.samples.front().map(|sample| (sample.at, sample.finished.clone())),
        }
    }
}

/// The sums of each source disk.
fn by_disk(entry: &KeptTask) -> BTreeMap<DiskUuid, TaskDisk> {
    let mut disks: BTreeMap<DiskUuid, TaskDisk> = BTreeMap::new();
    for (planned, state) in entry.task.plan.moves.iter().zip(entry.states()) {
        let disk = disks
            .entry(planned.source.uuid)
            .or_insert_with(|| TaskDisk::new(planned.source.path.clone(), entry.task.status));
        disk.moves_total += 1;
        disk.total_bytes += planned.size_bytes;
        match state {
            MoveState::Pending => disk.moves_pending += 1,
            MoveState::Running(_) => disk.moves_running += 1,
            MoveState::Completed => {
                disk.moves_completed += 1;
                disk.finished_bytes += planned.size_bytes;
            }
            MoveState::Failed(why) => {
                disk.moves_failed += 1;
                disk.error = Some(format!("tablet {}: {why}", planned.key.tablet_id));
            }
            MoveState::Cancelled => {}
        }
    }
    for (uuid, disk) in &mut disks {
        if disk.moves_pending + disk.moves_running == 0 {
            disk.status = if entry.task.status.is_over() { entry.task.status } else { TaskStatus::Finished };
        } else if entry.task.paused_disks.contains(uuid) && !entry.task.status.is_over() {
            disk.status = TaskStatus::Paused;
        }
    }
    disks
}

/// One task, in full.
pub(crate) fn show(node: &Node, id: TaskId) -> Result<TaskView, Failure> {
    let draft = Draft::of(node.tasks().get(id)?, Detail::Disks);
    Ok(complete(node, draft))
}

/// Tasks, ascending by number.
pub(crate) fn list(node: &Node, filter: &TaskFilter) -> Page<TaskView> {
    let limit = page_limit(filter.limit);
    let detail = if filter.with_disks { Detail::Disks } else { Detail::Sums };
    let drafts: Vec<_>;
    let total;
    {
        let book = node.tasks();
        let matching: Vec<_> = book.entries.values().filter(|entry| is_wanted(filter, &entry.task)).collect();
        total = matching.len() as u64;
        let following = matching.into_iter().filter(|entry| filter.after.is_none_or(|id| entry.task.id > id));
        drafts = following.take(limit).map(|entry| Draft::of(entry, detail)).collect();
    }
    Page { total, items: drafts.into_iter().map(|draft| complete(node, draft)).collect() }
}

fn is_wanted(filter: &TaskFilter, task: &Task) -> bool {
    let names = |path: &String| {
        let asked = match &task.request {
            TaskRequest::Drain { disks, .. } => disks.contains(path),
            TaskRequest::Move { .. } | TaskRequest::Rebalance { .. } => false,
        };
        asked || task.plan.moves.iter().any(|planned| touches(planned, path))
    };
    (filter.statuses.is_empty() || filter.statuses.contains(&task.status))
        && filter.kind.as_ref().is_none_or(|kind| kind == task.request.kind())
        && filter.disk.as_ref().is_none_or(names)
}

fn touches(planned: &PlannedMove, path: &str) -> bool {
    planned.source.path == path || planned.destination.path == path
}

/// Adds what only the migrations know.
fn complete(node: &Node, draft: Draft) -> TaskView {
    let Draft { task, result, under_way, waits, way_out, mut disks, oldest } = draft;
    let mut steps: BTreeMap<DiskUuid, BTreeMap<Step, usize>> = BTreeMap::new();
    let mut blocked: Vec<(DiskUuid, BlockedMove)> = Vec::new();
    for (at, id) in under_way {
        let Some(planned) = task.plan.moves.get(at) else { continue };
        let Some(row) = node.job(id).and_then(|_| migrations::migration(node, id).ok().flatten()) else {
            continue;
        };
        let disk = planned.source.uuid;
        if let Some(shown) = disks.get_mut(&disk) {
            shown.finished_bytes += row.counters.verified_bytes.min(planned.size_bytes);
        }
        if let Some(step) = step_of(row.status) {
            *steps.entry(disk).or_default().entry(step).or_default() += 1;
        }
        if let Some(reason) = why_stuck(node, &row) {
            blocked.push((disk, blocked_move(planned, Some(id), reason)));
        }
    }
    if task.status == TaskStatus::Running
        && let Some((at, why)) = waits
        && let Some(planned) = task.plan.moves.get(at)
    {
        blocked.push((planned.source.uuid, blocked_move(planned, None, why)));
    }
    let mut status_reason = status_reason(&task, &result, &blocked);
    if let Some(way) = way_out.filter(|_| task.status == TaskStatus::Running) {
        status_reason = format!("{status_reason}; {way}");
    }
    for (disk, stuck) in blocked {
        if let Some(shown) = disks.get_mut(&disk).filter(|shown| shown.blocked.len() < BLOCKED_SHOWN) {
            shown.blocked.push(stuck);
        }
    }
    for (uuid, disk) in &mut disks {
        let most = steps.get(uuid).and_then(|steps| steps.iter().max_by_key(|(_, count)| **count));
        disk.unit = most.map(|(step, _)| *step);
        if task.status == TaskStatus::Running {
            disk.bytes_per_sec = oldest.as_ref().and_then(|(at, finished)| {
                speed(*at, disk.finished_bytes, finished.get(uuid).copied().unwrap_or(0))
            });
        }
    }
    let disks = disks.into_values().collect();
    TaskView { progress: result.progress, failed: result.failed, status_reason, disks, task }
}

fn blocked_move(planned: &PlannedMove, migration_id: Option<MigrationId>, reason: String) -> BlockedMove {
    BlockedMove { key: planned.key, migration_id, destination: planned.destination.path.clone(), reason }
}

const fn step_of(status: Status) -> Option<Step> {
    match status {
        Status::Preflight | Status::PreflightPassed => Some(Step::Preflight),
        Status::Prepared => Some(Step::Prepare),
        Status::Copying => Some(Step::Data),
        Status::Ready | Status::Finalizing => Some(Step::Finalize),
        Status::Aborting => Some(Step::Abort),
        Status::Queued
        | Status::Paused
        | Status::Completed
        | Status::Aborted
        | Status::Failed
        | Status::Expired => None,
    }
}

fn speed(since: Instant, now: u64, then: u64) -> Option<u64> {
    let elapsed_ms = since.elapsed().as_millis().max(1);
    let speed = u128::from(now.saturating_sub(then)) * 1000 / elapsed_ms;
    u64::try_from(speed).ok()
}

/// Why a migration that has not ended waits for more than its turn, in words.
fn why_stuck(node: &Node, row: &Migration) -> Option<String> {
    let hang_after = node.hang_after();
    let condition = |disk: &DiskRef| node.disk_by_uuid(disk.uuid).map(|disk| disk.condition(hang_after));
    let (source, destination) = (condition(&row.source), condition(&row.destination));
    let is_hung = |condition: &Option<DiskCondition>| matches!(condition, Some(DiskCondition::Hung { .. }));
    match row.status {
        // Held with its task it is not stuck: the task is.
        Status::Paused => (row.steering.held_by != Some(Hold::Task)).then(|| row.status_reason.clone()),
        Status::Queued => {
            let usable = source.is_some_and(|condition| condition.is_readable())
                && destination.is_some_and(|condition| condition.is_writable());
            (row.failure.is_some() || !usable).then(|| row.status_reason.clone())
        }
        _ if is_hung(&source) || is_hung(&destination) => Some(row.status_reason.clone()),
        _ => {
            let still_ms = now_ms() - row.last_progress_ms?;
            let text = || format!("no byte has moved for {} s ({})", still_ms / 1000, row.status_reason);
            (still_ms > STUCK_AFTER_MS).then(text)
        }
    }
}

/// What the task waits for or what is to be done with it: one line, never empty.
fn status_reason(task: &Task, result: &TaskResult, blocked: &[(DiskUuid, BlockedMove)]) -> String {
    let progress = &result.progress;
    let line = match task.status {
        TaskStatus::Stopped if task.started_ms.is_none() => "planned; start it to move".to_owned(),
        TaskStatus::Stopped => "stopped by an operator; start it to go on".to_owned(),
        TaskStatus::Running => {
            format!("{} under way", counted_as(progress.moves_running, "move is", "moves are"))
        }
        TaskStatus::Paused if progress.moves_running > 0 => {
            format!(
                "paused by an operator with {} under way; resume it to go on",
                counted(progress.moves_running, "move")
            )
        }
        TaskStatus::Paused => "paused by an operator; resume it to go on".to_owned(),
        TaskStatus::Finished => {
            let given_up = (progress.moves_failed > 0).then(|| {
                let given_up = counted_as(progress.moves_failed, "move was", "moves were");
                format!("{given_up} given up; start it to try again")
            });
            let short = result.shortfall.as_ref().map(|why| format!("not all that was asked for: {why}"));
            match (given_up, short) {
                (None, None) => "every move is done".to_owned(),
                (given_up, short) => given_up.into_iter().chain(short).collect::<Vec<_>>().join("; "),
            }
        }
        TaskStatus::Cancelled if progress.moves_running > 0 => {
            format!("cancelled; {} being undone", counted_as(progress.moves_running, "move is", "moves are"))
        }
        TaskStatus::Cancelled => "cancelled by an operator; what had moved stays where it is".to_owned(),
    };
    let line = match paused_sources(task) {
        Some(paths) => format!("{line}; nothing is taken from {paths}, paused by an operator"),
        None => line,
    };
    let line = match task.plan.outcome {
        PlanOutcome::Reaches => line,
        _ if task.status.is_over() => line,
        _ => format!("{line}; its plan is not all that was asked for: {}", shortfall::of_plan(task)),
    };
    match blocked {
        [] => line,
        [(_, first), ..] => {
            let (count, id) = (blocked.len(), first.key.tablet_id);
            let are = counted_as(count, "move is", "moves are");
            format!("{line}; {are} stuck: tablet {id} to {}: {}", first.destination, first.reason)
        }
    }
}

/// The disks from which a task that is not over takes nothing, by path.
fn paused_sources(task: &Task) -> Option<String> {
    if task.status.is_over() || task.paused_disks.is_empty() {
        return None;
    }
    let sources = task.plan.moves.iter().map(|planned| &planned.source);
    let paused = sources.filter(|disk| task.paused_disks.contains(&disk.uuid));
    let paths: BTreeSet<_> = paused.map(|disk| disk.path.as_str()).collect();
    Some(paths.into_iter().collect::<Vec<_>>().join(", "))
}

/// Every move of a task as it stands.
pub(crate) fn targets(
    node: &Node,
    id: TaskId,
    filter: &TargetFilter,
) -> Result<Page<MigrateTarget>, Failure> {
    let limit = page_limit(filter.limit);
    let (task, states, waits) = {
        let book = node.tasks();
        let entry = book.get(id)?;
        (Arc::clone(&entry.task), entry.states(), entry.waits.clone())
    };
    let matches = |planned: &PlannedMove, state: &MoveState| {
        (filter.statuses.is_empty() || filter.statuses.contains(&state.status()))
            && filter.disk.as_ref().is_none_or(|path| touches(planned, path))
    };
    let mut matching: Vec<_> = task
        .plan
        .moves
        .iter()
        .zip(states)
        .enumerate()
        .filter(|(_, (planned, state))| matches(planned, state))
        .collect();
    let total = matching.len() as u64;
    matching.retain(|(at, _)| filter.after.is_none_or(|after| *at as u64 > after));
    matching.truncate(limit);
    let items = matching.into_iter().map(|(at, (planned, state))| {
        let (migration_id, row) = match &state {
            MoveState::Running(migration) => {
                (Some(*migration), migrations::migration(node, *migration).ok().flatten())
            }
            _ => (None, None),
        };
        let reason = match (&state, &waits) {
            (MoveState::Failed(why), _) => why.clone(),
            (MoveState::Pending, Some((place, why))) if *place == at => why.clone(),
            _ => row.as_ref().map(|row| row.status_reason.clone()).unwrap_or_default(),
        };
        MigrateTarget {
            position: at as u64,
            planned: planned.clone(),
            status: state.status(),
            migration_id,
            migration_status: row.map(|row| row.status),
            reason,
        }
    });
    Ok(Page { total, items: items.collect() })
}

/// Notes how much is finished, once a second, for the speed.
pub(super) fn sample(node: &Node, id: TaskId) {
    let draft = {
        let book = node.tasks();
        let Ok(entry) = book.get(id) else { return };
        let is_due = entry.samples.back().is_none_or(|last| last.at.elapsed().as_secs() >= 1);
        if entry.task.status != TaskStatus::Running || !is_due {
            return;
        }
        Draft::of(entry, Detail::Disks)
    };
    let mut finished: BTreeMap<_, _> =
        draft.disks.iter().map(|(disk, shown)| (*disk, shown.finished_bytes)).collect();
    for (at, id) in &draft.under_way {
        if let (Some(planned), Some(job)) = (draft.task.plan.moves.get(*at), node.job(*id)) {
            let verified = job.snapshot().counters.verified_bytes.min(planned.size_bytes);
            *finished.entry(planned.source.uuid).or_default() += verified;
        }
    }
    if let Ok(entry) = node.tasks().get_mut(id) {
        entry.samples.push_back(Sample { at: Instant::now(), finished });
        while entry.samples.len() > SAMPLES {
            entry.samples.pop_front();
        }
    }
}

/// The drains of a disk that are not over.
pub(super) fn drains_of(node: &Node, path: &str) -> Result<Vec<TaskId>, Failure> {
    let book = node.tasks();
    let drains = book.entries.values().filter(|entry| match &entry.task.request {
        TaskRequest::Drain { disks, .. } => {
            !entry.task.status.is_over() && disks.iter().any(|disk| disk == path)
        }
        TaskRequest::Move { .. } | TaskRequest::Rebalance { .. } => false,
    });
    let ids: Vec<_> = drains.map(|entry| entry.task.id).collect();
    if ids.is_empty() {
        return Err(Failure::new(ErrorCode::TaskNotFound, format!("no drain of {path} is to be cancelled")));
    }
    Ok(ids)
}
