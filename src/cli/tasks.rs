//! Commands about tasks that exist: list, show, follow, steer, change, delete.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::args::Output;
use super::client::{Answer, Client, Query};
use super::exit::{CliError, Exit, confirm, print};
use super::follow::bar;
use super::jobs::remainder;
use super::lines::Lines;
use super::table::{Align, Table, human_bytes};
use super::task_text::{disks, failures, headline, how_far, plan};
use crate::api::wire::{Task, TaskAction, UpdateTask};
use crate::model::{MoveStatus, TaskId, TaskRequest, TaskStatus, printable};

/// Between two looks at a task.
const POLL: Duration = Duration::from_millis(500);
/// How long a daemon may stay away: a restart with many disks takes a while.
const PATIENCE: Duration = Duration::from_secs(600);

const BAR: &str = "{spinner} {prefix} [{bar:30}] moves {pos}/{len}, {msg}";

/// `task list`.
pub(super) fn list(client: &Client, query: &Query<'_>, output: Output) -> Result<(), CliError> {
    let Answer { value: list, text } = client.tasks(query)?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("NAME", Align::Left),
        ("STATUS", Align::Left),
        ("DONE", Align::Right),
        ("FAILED", Align::Right),
        ("OF", Align::Right),
        ("BYTES", Align::Right),
        ("PLANNED", Align::Left),
        ("WHY", Align::Left),
    ]);
    for task in &list.data {
        table.row([
            task.id.map(|id| id.to_string()).unwrap_or_default(),
            task.name.clone(),
            task.status.map_or("", TaskStatus::as_str).to_owned(),
            task.progress.moves_completed.to_string(),
            task.progress.moves_failed.to_string(),
            task.progress.moves_total.to_string(),
            human_bytes(task.progress.bytes_total),
            task.created_at.to_string(),
            task.status_reason.clone(),
        ]);
    }
    print(&(table.render_or("no task") + &remainder(list.data.len(), list.total)))
}

/// `task show`.
pub(super) fn show(client: &Client, id: TaskId, output: Output) -> Result<(), CliError> {
    let Answer { value: task, text } = client.task(id)?;
    match output {
        Output::Json => print(&text),
        Output::Text => {
            let (headline, disks, failures) = (headline(&task), disks(&task), failures(&task));
            print(&format!("{headline}\n{disks}{failures}{}", plan(&task)))
        }
    }
}

/// `task start`, `stop`, `pause`, `resume`, `cancel`.
pub(super) fn act(client: &Client, id: TaskId, action: &TaskAction, output: Output) -> Result<(), CliError> {
    let Answer { value: task, text } = client.act_on_task(id, action)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&format!("{}\n", headline(&task))),
    }
}

/// `disk cancel-drain`.
pub(super) fn cancel_drain(client: &Client, path: &str, output: Output) -> Result<(), CliError> {
    let Answer { value: list, text } = client.cancel_drain(path)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&list.data.iter().map(|task| headline(task) + "\n").collect::<String>()),
    }
}

/// `task update`.
pub(super) fn update(
    client: &Client,
    id: TaskId,
    change: &UpdateTask,
    output: Output,
) -> Result<(), CliError> {
    let Answer { value: task, text } = client.update_task(id, change)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&format!("{}\n", headline(&task))),
    }
}

/// `task targets`.
pub(super) fn targets(
    client: &Client,
    id: TaskId,
    query: &Query<'_>,
    output: Output,
) -> Result<(), CliError> {
    let Answer { value: list, text } = client.targets(id, query)?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("PLACE", Align::Right),
        ("TABLET", Align::Right),
        ("SIZE", Align::Right),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("STATUS", Align::Left),
        ("MIGRATION", Align::Right),
        ("REMARK", Align::Left),
    ]);
    for target in &list.data {
        let under_way = target.migration_status.map(|status| status.to_string());
        table.row([
            target.position.to_string(),
            target.planned.key.tablet_id.to_string(),
            human_bytes(target.planned.size_bytes),
            target.planned.source.path.clone(),
            target.planned.destination.path.clone(),
            under_way.unwrap_or_else(|| target.status.as_str().to_owned()),
            target.migration_id.map(|id| id.to_string()).unwrap_or_default(),
            if target.status == MoveStatus::Completed { String::new() } else { target.reason.clone() },
        ]);
    }
    print(&(table.render_or("the task has no move") + &remainder(list.data.len(), list.total)))
}

/// `task delete`. Its plan cannot be had again: asks first, unless told not to.
pub(super) fn delete(client: &Client, id: TaskId, yes: bool, output: Output) -> Result<(), CliError> {
    if !yes {
        let task = client.task(id)?.value;
        let question = format!("Delete task {id} and its plan?");
        confirm(&format!("{}\n", headline(&task)), &question, "nothing was deleted")?;
    }
    client.delete_task(id)?;
    match output {
        Output::Json => Ok(()),
        Output::Text => print(&format!("deleted: task {id}\n")),
    }
}

/// Watches a task to its end, or until somebody stops it. A daemon that restarts meanwhile is waited for, and a pause is
/// waited out.
///
/// # Errors
/// [`Exit::Failed`] when it was stopped or cancelled, a move was given up, or it falls short of what was asked;
/// [`Exit::Unreachable`] when the daemon stays away.
pub(super) fn follow(client: &Client, id: TaskId, output: Output) -> Result<(), CliError> {
    let bar = bar(BAR);
    let mut away_since: Option<Instant> = None;
    let mut lines = Lines::new(output, !bar.is_hidden());
    loop {
        match client.task(id) {
            Ok(Answer { value: task, text }) => {
                away_since = None;
                let status = task.status.unwrap_or(TaskStatus::Stopped);
                if !matches!(status, TaskStatus::Running | TaskStatus::Paused) {
                    bar.finish_and_clear();
                    return end(client, &task, &text, output);
                }
                show_on(&bar, &task, status);
                lines.tell(status.as_str(), &headline(&task));
            }
            Err(error) if error.exit == Exit::Unreachable => {
                let since = *away_since.get_or_insert_with(|| {
                    lines.say("the daemon does not answer; waiting for it to come back");
                    Instant::now()
                });
                bar.set_message("waiting for the daemon");
                if since.elapsed() > PATIENCE {
                    bar.finish_and_clear();
                    return Err(error);
                }
            }
            Err(error) => {
                bar.finish_and_clear();
                return Err(error);
            }
        }
        std::thread::sleep(POLL);
    }
}

fn show_on(bar: &ProgressBar, task: &Task, status: TaskStatus) {
    bar.set_prefix(status.as_str());
    bar.set_length(task.progress.moves_total);
    bar.set_position(task.progress.moves_completed);
    bar.set_message(format!("{}; {}", how_far(task), printable(&task.status_reason)));
}

fn end(client: &Client, task: &Task, text: &str, output: Output) -> Result<(), CliError> {
    match output {
        Output::Json => print(text)?,
        Output::Text => {
            print(&format!("{}\n{}{}", headline(task), failures(task), emptied(client, task)))?;
        }
    }
    let finished = task.status == Some(TaskStatus::Finished);
    let done = finished && task.progress.moves_failed == 0 && task.shortfall.is_none();
    if done { Ok(()) } else { Err(CliError::reported()) }
}

/// After a drain: whether its disks may be pulled, and what they still hold.
fn emptied(client: &Client, task: &Task) -> String {
    let TaskRequest::Drain { disks, .. } = &task.request else { return String::new() };
    let mut said = String::new();
    for path in disks {
        let disk = match client.disk(path) {
            Ok(answer) => answer.value,
            // What the task came to is told all the same: the disk may be forgotten already.
            Err(error) => {
                said += &format!("{}: {}\n", printable(path), printable(&error.message));
                continue;
            }
        };
        let trash = match disk.trash_bytes {
            0 => String::new(),
            bytes => format!("; {} in trash{}", human_bytes(bytes), until(client, path)),
        };
        let safe = match (disk.safe_to_remove, &disk.not_safe_because) {
            (true, _) => "safe to remove".to_owned(),
            (false, Some(why)) => format!("not safe to remove: {}", printable(why)),
            (false, None) => "not safe to remove".to_owned(),
        };
        said += &format!("{}: {safe}{trash}\n", printable(path));
    }
    said
}

/// Until when the trash of a disk is kept, and what frees it at once. Silent where that cannot be asked.
fn until(client: &Client, path: &str) -> String {
    let query: Query<'_> = vec![("disk", path.to_owned()), ("limit", "100000".to_owned())];
    let Ok(trash) = client.trash(&query) else { return String::new() };
    let last = trash.value.data.iter().filter_map(|item| item.kept_until).max();
    let last = last.and_then(|time| chrono::DateTime::from_timestamp_millis(time.0));
    let last = last.map(|time| time.format(" until %Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
    format!("{last} (tabletctl trash purge --disk {} frees it now)", printable(path))
}
