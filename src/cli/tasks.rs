//! Commands about tasks: drain a disk, list, show, start, stop, delete; and why a tablet may go to a disk or not.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::args::{DrainArgs, Output};
use super::client::{Answer, Client};
use super::exit::{CliError, Exit, confirm, print};
use super::table::{Align, Table, human_bytes, printable};
use crate::api::wire::{CreateTask, NoParameters, Task, TaskAction};
use crate::model::{DrainMedia, PlanCompleteness, TabletId, TaskId, TaskRequest, TaskStatus};

/// Between two looks at a task.
const POLL: Duration = Duration::from_millis(500);
/// How long a daemon may stay away: a restart with many disks takes a while.
const PATIENCE: Duration = Duration::from_secs(600);
/// Moves and remarks of a plan that are shown; `--json` shows all.
const SHOWN: usize = 20;

/// `disk drain`: the plan, a question, a task, and on request its end.
pub(super) fn drain(client: &Client, args: &DrainArgs, output: Output) -> Result<(), CliError> {
    let request = CreateTask {
        name: format!("drain {}", args.path),
        request: TaskRequest::Drain {
            disks: vec![args.path.clone()],
            media: if args.any_medium { DrainMedia::Any } else { DrainMedia::Same },
        },
        completeness: if args.what_fits {
            PlanCompleteness::WhatFits
        } else {
            PlanCompleteness::AllOrNothing
        },
        dry_run: true,
        reason: args.reason.clone(),
    };
    let Answer { value: planned, text } = client.create_task(&request)?;
    if args.dry_run {
        return match output {
            Output::Json => print(&text),
            Output::Text => print(&plan(&planned)),
        };
    }
    if !args.yes {
        let question = format!("Move {} tablets away from {}?", planned.progress.moves_total, args.path);
        confirm(&plan(&planned), &question, "nothing was moved")?;
    }
    // What was looked at is gone; the task has a plan of its own, made of the same node or refused at its start.
    let created = client.create_task(&CreateTask { dry_run: false, ..request })?.value;
    let id = created.id.ok_or_else(|| CliError::new(Exit::Failed, "the daemon gave the task no number"))?;
    let started = client.act_on_task(id, TaskAction::Start(Some(NoParameters {})));
    let started = started.inspect_err(|_| {
        // A task that cannot start is of no use to anybody.
        let _ = client.delete_task(id);
    })?;
    if args.follow {
        return follow(client, id, output);
    }
    match output {
        Output::Json => print(&started.text),
        Output::Text => {
            let headline = headline(&started.value);
            print(&format!("started: {headline}\nwatch it with: tabletctl task show {id} --follow\n"))
        }
    }
}

/// `task list`.
pub(super) fn list(client: &Client, output: Output) -> Result<(), CliError> {
    let Answer { value: list, text } = client.tasks()?;
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
    print(&table.render())
}

/// `task show`.
pub(super) fn show(client: &Client, id: TaskId, output: Output) -> Result<(), CliError> {
    let Answer { value: task, text } = client.task(id)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&format!("{}\n{}{}", headline(&task), failures(&task), plan(&task))),
    }
}

/// `task start`, `task stop`.
pub(super) fn act(client: &Client, id: TaskId, action: TaskAction, output: Output) -> Result<(), CliError> {
    let Answer { value: task, text } = client.act_on_task(id, action)?;
    match output {
        Output::Json => print(&text),
        Output::Text => print(&format!("{}\n", headline(&task))),
    }
}

/// `task delete`.
pub(super) fn delete(client: &Client, id: TaskId, output: Output) -> Result<(), CliError> {
    client.delete_task(id)?;
    match output {
        Output::Json => Ok(()),
        Output::Text => print(&format!("deleted: task {id}\n")),
    }
}

/// Watches a task to its end, or until somebody stops it. A daemon that restarts meanwhile is waited for.
///
/// # Errors
/// [`Exit::Failed`] when it was stopped or a move was given up; [`Exit::Unreachable`] when the daemon stays away.
pub(super) fn follow(client: &Client, id: TaskId, output: Output) -> Result<(), CliError> {
    let mut away_since: Option<Instant> = None;
    let mut last = String::new();
    loop {
        match client.task(id) {
            Ok(Answer { value: task, text }) => {
                away_since = None;
                let line = headline(&task);
                if task.status != Some(TaskStatus::Running) {
                    match output {
                        Output::Json => print(&text)?,
                        Output::Text => print(&format!("{line}\n{}", failures(&task)))?,
                    }
                    let done = task.status == Some(TaskStatus::Finished) && task.progress.moves_failed == 0;
                    return if done { Ok(()) } else { Err(CliError::reported()) };
                }
                if output == Output::Text && line != last {
                    eprintln!("{line}");
                }
                last = line;
                std::thread::sleep(POLL);
            }
            Err(error) if error.exit == Exit::Unreachable => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(error);
                }
                std::thread::sleep(POLL);
            }
            Err(error) => return Err(error),
        }
    }
}

/// `tablet explain`.
pub(super) fn explain(client: &Client, tablet: TabletId, disk: &str, output: Output) -> Result<(), CliError> {
    let Answer { value: list, text } = client.explain(tablet, disk)?;
    if output == Output::Json {
        return print(&text);
    }
    let mut table = Table::new(&[
        ("RULE", Align::Left),
        ("MAY IT", Align::Left),
        ("BINDS", Align::Left),
        ("BECAUSE", Align::Left),
    ]);
    for answer in &list.data {
        let word = match answer.allows {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let binds = if answer.plans_only { "plans" } else { "every move" };
        table.row([answer.rule.clone(), word.to_owned(), binds.to_owned(), answer.detail.clone()]);
    }
    print(&table.render())
}

fn headline(task: &Task) -> String {
    let progress = &task.progress;
    let failed = match progress.moves_failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    format!(
        "task {} ({}): {}, {} of {} moves done{failed}, {} of {} ({})",
        task.id.map(|id| id.to_string()).unwrap_or_default(),
        printable(&task.name),
        task.status.map_or("planned", TaskStatus::as_str),
        progress.moves_completed,
        progress.moves_total,
        human_bytes(progress.bytes_completed),
        human_bytes(progress.bytes_total),
        printable(&task.status_reason),
    )
}

fn failures(task: &Task) -> String {
    let line = |failed: &crate::model::FailedMove| {
        format!("  given up: tablet {}: {}\n", failed.key.tablet_id, printable(&failed.reason))
    };
    task.failed.iter().map(line).collect()
}

/// The plan in words: what happens to each disk, the first moves, and everything that does not move.
fn plan(task: &Task) -> String {
    let Some(plan) = &task.plan else { return String::new() };
    let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
    let mut disks = Table::new(&[
        ("DISK", Align::Left),
        ("TABLETS", Align::Right),
        ("THEN", Align::Right),
        ("FULL", Align::Right),
        ("THEN", Align::Right),
    ]);
    for disk in &plan.disks {
        disks.row([
            disk.path.clone(),
            disk.before.tablets.to_string(),
            disk.after.tablets.to_string(),
            percent(disk.before.committed_permille),
            percent(disk.after.committed_permille),
        ]);
    }
    let mut moves = Table::new(&[
        ("TABLET", Align::Right),
        ("SIZE", Align::Right),
        ("FROM", Align::Left),
        ("TO", Align::Left),
    ]);
    for planned in plan.moves.iter().take(SHOWN) {
        moves.row([
            planned.key.tablet_id.to_string(),
            human_bytes(planned.size_bytes),
            planned.source.path.clone(),
            planned.destination.path.clone(),
        ]);
    }
    let mut out = disks.render() + "\n" + &moves.render();
    let more = |out: &mut String, count: usize, what: &str| {
        if count > SHOWN {
            let _ = writeln!(out, "... and {} {what} more; --json shows all", count - SHOWN);
        }
    };
    more(&mut out, plan.moves.len(), "moves");
    for left in plan.left_out.iter().take(SHOWN) {
        let _ = writeln!(out, "stays: tablet {}: {}", left.key.tablet_id, printable(&left.reason));
    }
    more(&mut out, plan.left_out.len(), "that stay");
    for misfit in plan.fits_nowhere.iter().take(SHOWN) {
        let (id, size) = (misfit.key.tablet_id, human_bytes(misfit.size_bytes));
        let _ = writeln!(out, "fits nowhere: tablet {id}, {size}: {}", printable(&misfit.tried.join("; ")));
    }
    more(&mut out, plan.fits_nowhere.len(), "that fit nowhere");
    out
}
