//! How far each task has come: those that are not over, and those that ended within a day, so that an alert can see how.

use super::page::Family;
use super::page::Kind::Gauge;
use crate::engine::TaskView;
use crate::model::{TaskStatus, TimestampMs, eta_seconds};

/// How long an ended task is told of.
const TOLD_FOR_MS: TimestampMs = 24 * 60 * 60 * 1000;

/// Whether a task is told of at `now`.
pub(super) fn is_told(view: &TaskView, now: TimestampMs) -> bool {
    let task = &view.task;
    !task.status.is_over() || task.finished_ms.unwrap_or(task.updated_ms).saturating_add(TOLD_FOR_MS) > now
}

pub(super) fn families(tasks: &[TaskView]) -> Vec<Family> {
    vec![
        statuses(tasks),
        moves(tasks),
        planned(tasks),
        finished(tasks),
        speed(tasks),
        eta(tasks),
        blocked(tasks),
    ]
}

/// A family of one sample per task, where there is a value.
fn each(
    tasks: &[TaskView],
    name: &'static str,
    help: &'static str,
    value: fn(&TaskView) -> Option<u64>,
) -> Family {
    let mut family = Family::new(name, Gauge, help);
    for view in tasks {
        if let Some(value) = value(view) {
            family.sample(&[("task", &view.task.id.to_string())], value);
        }
    }
    family
}

fn statuses(tasks: &[TaskView]) -> Family {
    let help = "1 for the status a task has, 0 for the others; not over, or ended within a day.";
    let mut family = Family::new("tabletd_task_status", Gauge, help);
    for view in tasks {
        let (id, kind) = (view.task.id.to_string(), view.task.request.kind());
        for status in TaskStatus::ALL {
            let labels = [("task", id.as_str()), ("kind", kind), ("status", status.as_str())];
            family.sample(&labels, *status == view.task.status);
        }
    }
    family
}

fn moves(tasks: &[TaskView]) -> Family {
    let mut family = Family::new("tabletd_task_moves", Gauge, "Moves of a task's plan, by how they stand.");
    for view in tasks {
        let (id, progress) = (view.task.id.to_string(), &view.progress);
        for (state, count) in [
            ("pending", progress.moves_pending),
            ("running", progress.moves_running),
            ("completed", progress.moves_completed),
            ("failed", progress.moves_failed),
            ("cancelled", progress.moves_cancelled),
        ] {
            family.sample(&[("task", &id), ("state", state)], count);
        }
    }
    family
}

fn planned(tasks: &[TaskView]) -> Family {
    each(tasks, "tabletd_task_planned_bytes", "Bytes of the moves of a task's plan.", |view| {
        Some(view.progress.bytes_total)
    })
}

fn finished(tasks: &[TaskView]) -> Family {
    let help = "Bytes of its moves that are done, and what is verified of those under way.";
    each(tasks, "tabletd_task_finished_bytes", help, |view| {
        let on_disks: u64 = view.disks.iter().map(|disk| disk.finished_bytes).sum();
        Some(on_disks.max(view.progress.bytes_completed))
    })
}

fn speed(tasks: &[TaskView]) -> Family {
    let help = "Finished bytes per second, over the last seconds; only while it runs.";
    each(tasks, "tabletd_task_bytes_per_second", help, |view| {
        view.disks.iter().filter_map(|disk| disk.bytes_per_sec).reduce(u64::saturating_add)
    })
}

fn eta(tasks: &[TaskView]) -> Family {
    let help = "Seconds until it is done at the speed of now; only while it moves.";
    each(tasks, "tabletd_task_eta_seconds", help, |view| eta_seconds(&view.disks))
}

fn blocked(tasks: &[TaskView]) -> Family {
    let help = "Moves of a task that do not get on; the first hundred of each disk.";
    each(tasks, "tabletd_task_blocked_moves", help, |view| {
        Some(view.disks.iter().map(|disk| disk.blocked.len() as u64).sum())
    })
}
