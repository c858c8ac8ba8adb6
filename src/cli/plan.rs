//! Commands that make a plan: drain a disk, move selected tablets, even out a medium. The plan is shown, a question is
//! asked, and then it is a task.

use std::fmt::Write as _;

use super::args::Output;
use super::client::{Answer, Client};
use super::exit::{CliError, Exit, confirm, print};
use super::table::{Align, Table, human_bytes};
use super::task_args::{DrainArgs, MoveArgs, PlanArgs, RebalanceArgs};
use super::tasks::{follow, headline};
use crate::api::wire::{CreateTask, NoParameters, Task, TaskAction};
use crate::model::{
    DrainMedia, MoveTarget, PlanCompleteness, PlanOutcome, ReplanPolicy, TabletSelector, TaskRequest,
    printable,
};

/// Moves and remarks of a plan that are shown; `--json` shows all.
const SHOWN: usize = 20;

/// `disk drain`.
pub(super) fn drain(client: &Client, args: &DrainArgs, output: Output) -> Result<(), CliError> {
    let request = TaskRequest::Drain {
        disks: vec![args.path.clone()],
        media: if args.any_medium { DrainMedia::Any } else { DrainMedia::Same },
    };
    carry_out(client, format!("drain {}", args.path), request, &args.plan, output)
}

/// `task move`.
pub(super) fn move_tablets(client: &Client, args: &MoveArgs, output: Output) -> Result<(), CliError> {
    let (to, name) = match args.to_medium {
        Some(medium) => (MoveTarget::Medium(medium), format!("move to {medium}")),
        None => (MoveTarget::Disks(args.to.clone()), format!("move to {}", args.to.join(", "))),
    };
    let select = TabletSelector {
        disks: args.from.clone(),
        tables: args.table.clone(),
        partitions: args.partition.clone(),
        tablets: args.tablet.clone(),
        min_size_bytes: args.min_size_bytes,
        max_size_bytes: args.max_size_bytes,
        medium: args.medium,
    };
    carry_out(client, name, TaskRequest::Move { select, to }, &args.plan, output)
}

/// `task rebalance`.
pub(super) fn rebalance(client: &Client, args: &RebalanceArgs, output: Output) -> Result<(), CliError> {
    let RebalanceArgs { medium, start_points, stop_points, plan } = args;
    let (medium, start_points, stop_points) = (*medium, *start_points, *stop_points);
    let request = TaskRequest::Rebalance { medium, start_points, stop_points };
    carry_out(client, "rebalance".to_owned(), request, plan, output)
}

/// The plan, a question, a task, and on request its end.
fn carry_out(
    client: &Client,
    name: String,
    request: TaskRequest,
    args: &PlanArgs,
    output: Output,
) -> Result<(), CliError> {
    let request = CreateTask {
        name,
        request,
        completeness: if args.what_fits {
            PlanCompleteness::WhatFits
        } else {
            PlanCompleteness::AllOrNothing
        },
        dry_run: true,
        fingerprint: None,
        priority: args.priority.into(),
        rate_bytes_per_sec: args.rate_bytes_per_sec,
        replan: if args.replan { ReplanPolicy::Automatic } else { ReplanPolicy::WhenAsked },
        reason: args.reason.clone(),
    };
    let Answer { value: planned, text } = client.create_task(&request)?;
    if args.dry_run {
        return match output {
            Output::Json => print(&text),
            Output::Text => print(&plan(&planned)),
        };
    }
    let mut fingerprint = None;
    if !args.yes && !args.stopped {
        let question = format!("Move {} tablets?", planned.progress.moves_total);
        confirm(&plan(&planned), &question, "nothing was moved")?;
        // What was agreed to, or nothing: the node may have changed while it was read.
        fingerprint = planned.plan.as_ref().map(|plan| plan.fingerprint);
    }
    let created = client.create_task(&CreateTask { dry_run: false, fingerprint, ..request })?;
    let id =
        created.value.id.ok_or_else(|| CliError::new(Exit::Failed, "the daemon gave the task no number"))?;
    if args.stopped {
        return match output {
            Output::Json => print(&created.text),
            Output::Text => {
                let (headline, plan) = (headline(&created.value), plan(&created.value));
                print(&format!("{headline}\n{plan}start it with: tabletctl task start {id}\n"))
            }
        };
    }
    let started = client.act_on_task(id, &TaskAction::Start(Some(NoParameters {})));
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
            print(&format!("started: {headline}\nwatch it with: tabletctl task follow {id}\n"))
        }
    }
}

/// The plan in words: what happens to each disk (full counts trash and promises, load does not), the first moves,
/// everything that does not move, and how even the disks are before and after.
pub(super) fn plan(task: &Task) -> String {
    let Some(plan) = &task.plan else { return String::new() };
    let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
    let mut disks = Table::new(&[
        ("DISK", Align::Left),
        ("TABLETS", Align::Right),
        ("THEN", Align::Right),
        ("FULL", Align::Right),
        ("THEN", Align::Right),
        ("LOAD", Align::Right),
        ("THEN", Align::Right),
    ]);
    for disk in &plan.disks {
        disks.row([
            disk.path.clone(),
            disk.before.tablets.to_string(),
            disk.after.tablets.to_string(),
            percent(disk.before.committed_permille),
            percent(disk.after.committed_permille),
            percent(disk.before.load_permille),
            percent(disk.after.load_permille),
        ]);
    }
    let mut moves = Table::new(&[
        ("TABLET", Align::Right),
        ("SIZE", Align::Right),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("BEFORE", Align::Left),
    ]);
    for planned in plan.moves.iter().take(SHOWN) {
        moves.row([
            planned.key.tablet_id.to_string(),
            human_bytes(planned.size_bytes),
            planned.source.path.clone(),
            planned.destination.path.clone(),
            planned.formerly.iter().map(|disk| disk.path.as_str()).collect::<Vec<_>>().join(", "),
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
    for replan in &task.replans {
        let (at, by, reason) = (replan.at, printable(&replan.requested_by), printable(&replan.reason));
        let _ = writeln!(out, "planned anew: {} moves at {at} by {by}: {reason}", replan.moves);
    }
    for why in &plan.falls_short {
        let _ = writeln!(out, "falls short: {}", printable(why));
    }
    let _ = writeln!(
        out,
        "{}; unevenness {:.1} points, then {:.1}; fingerprint {}",
        match plan.outcome {
            PlanOutcome::Reaches => "all that was asked for",
            PlanOutcome::CutShort => "cut short at the limit of moves: plan again when they are done",
            PlanOutcome::FallsShort => "not all that was asked for",
        },
        plan.score_before,
        plan.score_after,
        plan.fingerprint
    );
    out
}
